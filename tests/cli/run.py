#!/usr/bin/python3
"""Runs one test of the command by its CTest name: image.* are in image_tests.py, cli.* in cli_tests.py.

Exit status 0: passed; 1: failed; 77: could not be run here, which CTest counts as skipped.
"""

import argparse
import pathlib
import shutil
import sys
import tempfile

import cli_tests
import common
import image_tests


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    for option in ("--occlum", "--mkenclave", "--libos"):
        parser.add_argument(option, required=True)
    arguments = parser.parse_args()
    group, _, test = arguments.name.partition(".")
    function = getattr({"image": image_tests, "cli": cli_tests}[group], "test_" + test)
    common.Tools.prefix = pathlib.Path(tempfile.mkdtemp(prefix="occlum-test-prefix-"))
    try:
        common.set_up(arguments)
        function()
    except common.Failure as failure:
        print(f"{arguments.name}: {failure}")
        raise SystemExit(1) from failure
    finally:
        shutil.rmtree(common.Tools.prefix, ignore_errors=True)


sys.dont_write_bytecode = True
main()
