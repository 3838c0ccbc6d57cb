#!/usr/bin/python3
"""Adds up the JUnit files of a directory and ends with the one line `N passed, N failed, N skipped`.

The exit status is 0 only if something ran, nothing failed, and every suite's runner itself ended well (--status):
a runner that died before it wrote its file counts as one failure.
"""

import argparse
import pathlib
import sys
from xml.etree import ElementTree


def outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    # ctest: status="run" passed, "fail" failed, "disabled" or "notrun" neither.
    status = case.get("status", "run")
    if case.find("skipped") is not None or status in ("disabled", "notrun"):
        return "skipped"
    return "failed" if status == "fail" else "passed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--status", type=int, default=0, help="non-zero if a suite's runner failed")
    options = parser.parse_args()
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failed = []
    for path in sorted(options.directory.glob("*.xml")):
        for case in ElementTree.parse(path).iter("testcase"):
            kind = outcome(case)
            counts[kind] += 1
            if kind == "failed":
                failed.append(f"{path.stem}: {case.get('name')}")
    if options.status and not counts["failed"]:
        failed.append("a suite ended with an error and without naming a failed test: see above")
        counts["failed"] += 1
    for line in failed:
        print(f"failed: {line}")
    if counts["passed"] + counts["failed"] == 0:
        print("no test ran: is the filter right?")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or counts["passed"] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
