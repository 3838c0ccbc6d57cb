#!/usr/bin/python3
"""Runs whole programs, each natively and in the enclave (programs/table.py), and the tests of how `occlum do` and
`occlum run` behave around a program (programs/do_tests.py)."""

import pathlib
import shlex
import sys

import harness
from harness import Result, Test

sys.path.insert(0, str(harness.ROOT / "tests" / "programs"))
import core_files  # noqa: E402
import do_tests  # noqa: E402
import debuggers  # noqa: E402
import families  # noqa: E402
import interactive  # noqa: E402
import own_tests  # noqa: E402
import hard_times  # noqa: E402
import table  # noqa: E402


def environment(tmp: str) -> dict[str, str]:
    return harness.enclave_environment() | {"TMPDIR": tmp, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "2"}


def execute(spec: table.Spec, options, inputs: str, prefix: list[str], tmp: str, slack: float) -> harness.Run:
    places = {"dir": inputs, "tmp": tmp, "programs": str(options.build_dir / "tests" / "programs"),
              "guest": str(options.build_dir / "tests" / "guest")}
    words = []
    for word in spec.command:
        for name, value in places.items():
            word = word.replace("{" + name + "}", value)
        words.append(word)
    stdin = spec.stdin if isinstance(spec.stdin, bytes) else spec.stdin()
    run = harness.run(prefix + words, spec.seconds * slack, cwd=tmp, env=environment(tmp), stdin=stdin)
    run.command = shlex.join(prefix + words)
    # Where the writable directory is differs; what a program says about it does not count.
    run.stdout, run.stderr = (s.replace(inputs.encode(), b"{dir}").replace(tmp.encode(), b"{tmp}")
                              for s in (run.stdout, run.stderr))
    return run


def compare(spec: table.Spec, options) -> Result:
    if spec.needs:
        return Result(spec.name, "skipped", f"  {spec.needs}")
    if not pathlib.Path(spec.command[0]).exists() and "{" not in spec.command[0]:
        return Result(spec.name, "failed", f"  {spec.command[0]} is not installed: run ./dev setup")
    with harness.scratch() as inputs, harness.scratch("/dev/shm") as tmp:
        pathlib.Path(inputs).chmod(0o755)
        if spec.prepare:
            spec.prepare(pathlib.Path(inputs))
        native = execute(spec, options, inputs, [], tmp, 1)
        wrong = spec.check(native) if spec.check else ""
        if native.status != spec.status or wrong:
            return Result(spec.name, "failed", f"  natively it {native.ended()}, not {spec.status}: the test is wrong\n{wrong}\n"
                          + harness.show(native.stdout) + harness.show(native.stderr))
        if options.native_only:
            return Result(spec.name, "passed")
        # An empty directory of the host's: what the program writes there goes into the enclave's tmpfs.
        prefix = [str(options.build_dir / "bin" / "occlum"), "do", "--quiet"]
        with harness.scratch() as work:
            enclave = execute(spec, options, inputs, prefix, work, 3)
    if spec.check:
        said = spec.check(enclave) if enclave.status == spec.status else harness.same(
            harness.Run(native.status, b"", b"", 0, enclave.digest), harness.Run(enclave.status, b"", enclave.stderr, 0, enclave.digest))
    else:
        # The digest is of the bytes as they came, with the writable directory's name in them.
        if b"{tmp}" in native.stdout:
            native.digest = enclave.digest
        said = harness.same(native, enclave, spec.stderr)
    if said:
        said += f"\n  again: {enclave.command}"
    return Result(spec.name, "failed" if said else "passed", said)


def behave(name: str, function, options) -> Result:
    if options.native_only:
        if name == "redis.server":
            with harness.scratch() as directory:
                function(do_tests.World(options, directory), native=True)
            return Result(name, "passed")
        return Result(name, "skipped", "  --native-only")
    with harness.scratch() as directory:
        try:
            function(do_tests.World(options, directory))
        except do_tests.Failure as failure:
            return Result(name, "failed", str(failure))
    return Result(name, "passed")


def terminal(name: str, function, options) -> Result:
    with harness.scratch() as directory:
        try:
            function(do_tests.World(options, directory), options.native_only)
        except interactive.Failure as failure:
            return Result(name, "failed", f"  {failure}")
    return Result(name, "passed")


def main() -> int:
    options = harness.arguments(__doc__).parse_args()
    options.build_dir = options.build_dir.absolute()
    # The longest first, so that the workers end together.
    specs = own_tests.specs(options.build_dir / "sources", options.long) + table.all_specs() + families.specs()
    specs += debuggers.specs() + interactive.specs()
    tests = [Test(s.name, lambda s=s: compare(s, options), alone=s.alone) for s in specs]
    tests += [Test(n, lambda n=n, f=f: behave(n, f, options), alone=n in do_tests.ALONE | hard_times.ALONE)
              for n, f in (do_tests.TESTS | core_files.TESTS | hard_times.TESTS).items()]
    tests += [Test(n, lambda n=n, f=f: terminal(n, f, options)) for n, f in interactive.tests().items()]
    if options.long:
        tests.sort(key=lambda t: t.name not in hard_times.HOURS)
    return harness.run_all("programs", tests, options)


if __name__ == "__main__":
    sys.exit(main())
