#!/usr/bin/python3
"""Runs every guest program of tests/guest/programs.txt on Linux first, then in the enclave, and compares.

Natively a program must end with the status its table line says (0 unless given): else the test is wrong, not the
product. In the enclave output and status must be the same. `--case NAME` runs one CASE of a program.
"""

import os
import pathlib
import shlex
import sys
from dataclasses import dataclass

import harness
from harness import Result, Test

TABLE = harness.ROOT / "tests" / "guest" / "programs.txt"


@dataclass
class Program:
    name: str
    build: str
    seconds: float
    options: dict[str, str]
    arguments: list[str]


def read_table() -> list[Program]:
    """Lines `NAME BUILD,BUILD SECONDS [key=value...] [-- ARGUMENT...]`; programs.txt explains them."""
    programs = []
    for line in TABLE.read_text().splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        name, builds, seconds, *rest = words
        split = rest.index("--") if "--" in rest else len(rest)
        options = dict(word.split("=", 1) for word in rest[:split])
        for build in builds.split(","):
            programs.append(Program(name, build, float(seconds), options, rest[split + 1:]))
    return programs


def environment(tmp: str, scale: str | None) -> dict[str, str]:
    return harness.enclave_environment() | {"TMPDIR": tmp, "GUEST_WORD": "a word from the environment",
                                            "GUEST_SCALE": scale or "1"}


def compare(program: Program, options) -> Result:
    scale = program.options.get("scale")
    path = options.build_dir / "tests" / "guest" / f"{program.name}.{program.build}"
    title = path.name + (f"*{scale}" if scale else "")
    if not path.exists():
        return Result(title, "failed", f"  {path} was not built")
    arguments = [options.case] if options.case else program.arguments
    expected = int(program.options.get("status", "0"))
    # tmpfs is what the enclave gives; natively /dev/shm is one.
    with harness.scratch("/dev/shm") as tmp:
        native = harness.run([str(path), *arguments], program.seconds, cwd=tmp, env=environment(tmp, scale))
    if native.status != expected:
        return Result(title, "failed", f"  natively the program {native.ended()}, not {expected}: the test is wrong\n"
                      + harness.show(native.stdout) + harness.show(native.stderr))
    if options.native_only:
        return Result(title, "passed")
    # An empty directory of the host's: what the program writes there goes into the enclave's tmpfs.
    strict = [] if options.relaxed else ["--strict", "--strict-seed", str(options.seed)]
    command = [str(options.build_dir / "bin" / "occlum"), "do", "--quiet", *strict, str(path), *arguments]
    slack = 2 if options.relaxed else 4
    with harness.scratch() as tmp:
        enclave = harness.run(command, slack * program.seconds + 5, cwd=tmp, env=environment(tmp, scale))
    said = harness.same(native, enclave)
    if said:
        said += f"\n  again: cd /tmp && TMPDIR=/tmp {shlex.join(command)}"
    return Result(title, "failed" if said else "passed", said)


def main() -> int:
    parser = harness.arguments(__doc__)
    parser.add_argument("--case", help="only this CASE of each program")
    parser.add_argument("--relaxed", action="store_true", help="without the emulator's strict mode and injections")
    parser.add_argument("--seed", type=int, default=1, help="of the injections")
    options = parser.parse_args()
    options.build_dir = options.build_dir.absolute()
    os.umask(0o022)
    tests = [Test(f"{p.name}.{p.build}" + (f"*{p.options['scale']}" if "scale" in p.options else ""), lambda p=p: compare(p, options), alone="alone" in p.options)
             for p in read_table() if options.long or "long" not in p.options]
    return harness.run_all("guest", tests, options)


if __name__ == "__main__":
    sys.exit(main())
