#!/usr/bin/python3
"""Runs the same random sequences of system calls on Linux and in the enclave, and compares them line by line.

tests/random/ is the program; this starts it for batches of seeds. Natively it runs in namespaces of its own with its
own tmpfs, / read-only: whatever a sequence does stays there. A sequence that differs is made as small as it stays
different, and printed with how to run it again.

    run_random.py --count 2000 --seed 1
    run_random.py --again 1234:0,5,7 --length 20      one sequence, printed from both sides
"""

import pathlib
import re
import shlex
import sys
import time

import harness
from harness import Result, Test

# Everything outside the sequence's own tmpfs is read-only, device files included.
CONFINE = """
mount --make-rprivate /
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs /run
mount -t tmpfs -o nosuid,mode=755 tmpfs /dev
mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/zero c 1 5 && mknod -m 666 /dev/full c 1 7
mount -o remount,ro,bind /dev && mount -o remount,ro,bind /
exec "$@"
"""
NATIVE = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--ipc", "--uts", "--net", "--mount-proc",
          "sh", "-e", "-c", CONFINE, "random"]
DIRECTORY = "/run/random"
LEFT_OUT = harness.ROOT / "tests" / "random" / "left_out.txt"
BATCH = 100
Lines = list[str]


def left_out() -> list[str]:
    """The kinds that are known to differ, a line each: `NAME why`."""
    return [line.split()[0] for line in LEFT_OUT.read_text().splitlines() if line and not line.startswith("#")]


class Runner:
    def __init__(self, options):
        self.options = options
        self.executed: dict[str, int] = {}
        self.without = [] if options.all else ["--without", ",".join(left_out())]
        self.only = ["--only", options.only] if options.only else []
        self.program = str(options.program or options.build_dir / "tests" / "random" / "random")
        self.occlum = str(options.build_dir / "bin" / "occlum")

    def command(self, side: str, arguments: list[str]) -> list[str]:
        start = NATIVE if side == "native" else [self.occlum, "do", "--quiet"]
        return [*start, self.program, *arguments, DIRECTORY]

    def run(self, side: str, seed: int, count: int, extra: list[str] = []) -> dict[int, Lines]:
        """The lines of each sequence. One that is missing was reached by no run: the program ended or hung before."""
        arguments = ["--length", str(self.options.length), *self.without, *self.only, *extra, str(seed), str(count)]
        run = harness.run(self.command(side, arguments), 30 + 0.5 * count, env=harness.enclave_environment())
        found: dict[int, Lines] = {}
        for line in run.stdout.decode("utf-8", "replace").splitlines():
            if match := re.fullmatch(r"== (\d+)", line):
                lines = found.setdefault(int(match[1]), [])
            elif found:
                lines.append(line)
        if len(found) < count:
            said = run.stderr.decode("utf-8", "replace")[-400:]
            found[seed + len(found)] = [f"({side}: the whole run {run.ended()} after {run.seconds:.0f} s) {said}"]
        return found

    def both(self, seed: int, count: int, extra: list[str] = []) -> list[tuple[int, Lines, Lines]]:
        """The sequences that differ."""
        native = self.run("native", seed, count, extra)
        for lines in native.values():
            for line in lines:
                if match := re.match(r"\d+ (\w+)\(", line):
                    self.executed[match[1]] = self.executed.get(match[1], 0) + 1
        enclave = self.run("enclave", seed, count, extra)
        return [(s, native.get(s, ["(not run)"]), enclave.get(s, ["(not run)"])) for s in range(seed, seed + count)
                if native.get(s) != enclave.get(s) or not native.get(s)]


def first_difference(native: Lines, enclave: Lines) -> tuple[str, str]:
    for left, right in zip(native, enclave):
        if left != right:
            return left, right
    size = min(len(native), len(enclave))
    return (native[size:] or ["(nothing)"])[0], (enclave[size:] or ["(nothing)"])[0]


def operation(line: str) -> str:
    match = re.match(r"\d+ (\w+)\(", line)
    return match[1] if match else line.split(":")[0]


def kind(native: Lines, enclave: Lines) -> str:
    """What two differences must share to count as the same one: the operation, and how its results begin."""
    left, right = first_difference(native, enclave)
    results = [(re.search(r"\) = (\S+)", line) or re.search(r"(\w+)", line.split(":")[-1]) or [0, "?"])[1] for line in (left, right)]
    results = ["number" if re.fullmatch(r"\d+", r) else r for r in results]
    return f"{operation(left) if ':' not in left[:5] else operation(right)}: {results[0]} / {results[1]}"


def shrink(runner: Runner, seed: int, native: Lines, enclave: Lines, patience: float) -> tuple[list[int], Lines, Lines]:
    """Leaves out positions as long as the same kind of difference remains. Returns the positions left out."""
    wanted = kind(native, enclave)
    left, _ = first_difference(native, enclave)
    match = re.match(r"(\d+) ", left)
    last = int(match[1]) if match else runner.options.length - 1
    out = set(range(last + 1, runner.options.length))
    end = time.monotonic() + patience
    best = (native, enclave)
    step = max(1, last // 2)
    while step:
        at = 0
        while at < last and time.monotonic() < end:
            group = {p for p in range(at, min(at + step, last)) if p not in out}
            at += step
            if not group:
                continue
            trial = sorted(out | group)
            for s, n, e in runner.both(seed, 1, ["--skip", ",".join(map(str, trial))]):
                if s == seed and kind(n, e) == wanted:
                    out |= group
                    best = (n, e)
        step //= 2
    return sorted(out), *best


def ranges(positions: list[int]) -> str:
    """3,4,5,9 as 3-5,9."""
    runs: list[list[int]] = []
    for position in positions:
        if runs and runs[-1][1] == position - 1:
            runs[-1][1] = position
        else:
            runs.append([position, position])
    return ",".join(f"{a}-{b}" if a != b else f"{a}" for a, b in runs) or "-"


def positions(text: str) -> str:
    """The other way, as the program takes them."""
    runs = [[int(end) for end in run.split("-")] for run in text.split(",") if run not in ("", "-")]
    return ",".join(str(at) for run in runs for at in range(run[0], run[-1] + 1)) or "-"


def describe(runner: Runner, seed: int, native: Lines, enclave: Lines, small: bool, patience: float) -> str:
    skip = []
    if small:
        skip, native, enclave = shrink(runner, seed, native, enclave, patience)
    left, right = first_difference(native, enclave)
    at = native.index(left) if left in native else len(native)
    said = [f"  seed {seed}: {kind(native, enclave)}"]
    said += ["    " + line[:220] for line in native[max(0, at - 14):at]]
    said += [f"    native:  {left[:400]}", f"    enclave: {right[:400]}"]
    again = f"{seed}:{ranges(skip)}"
    said += [f"    again: tests/run_random.py --build-dir {shlex.quote(str(runner.options.build_dir))} --length {runner.options.length}{' --all' if runner.options.all else ''}{f' --only {runner.options.only}' if runner.options.only else ''} --again {again}"]
    return "\n".join(said)


def again(runner: Runner, text: str) -> int:
    seed, _, skip = text.partition(":")
    extra = ["--skip", positions(skip)]
    sides = [runner.run(side, int(seed), 1, extra).get(int(seed), []) for side in ("native", "enclave")]
    for number, left in enumerate(sides[0]):
        right = sides[1][number] if number < len(sides[1]) else "(nothing)"
        print(f"  {left}" if left == right else f"- {left}\n+ {right}")
    print("\n".join("+ " + line for line in sides[1][len(sides[0]):]))
    return sides[0] != sides[1]


def main() -> int:
    parser = harness.arguments(__doc__)
    parser.add_argument("--count", type=int, help="sequences (default 2,000; 100,000 with --long)")
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--length", type=int, default=40, help="operations in each")
    parser.add_argument("--program", type=pathlib.Path)
    parser.add_argument("--again", help="SEED:POSITIONS left out")
    parser.add_argument("--only", help="operations of this family alone")
    parser.add_argument("--all", action="store_true", help="the kinds of left_out.txt too")
    parser.add_argument("--shrink", type=float, default=20, help="seconds for making each difference small; 0: not at all")
    parser.add_argument("--relaxed", action="store_true", help="accepted as by the other runners: strict mode is off here")
    options = parser.parse_args()
    options.build_dir = options.build_dir.absolute()
    runner = Runner(options)
    if options.again:
        return again(runner, options.again)
    count = options.count or (100000 if options.long else 2000)
    known: dict[str, int] = {}

    def batch(seed: int) -> Result:
        size = min(BATCH, options.seed + count - seed)
        name = f"sequences {seed} to {seed + size - 1}"
        if options.native_only:
            runner.run("native", seed, size)
            return Result(name, "passed")
        differing = runner.both(seed, size)
        said = []
        for s, native, enclave in differing:
            what = kind(native, enclave)
            known[what] = known.get(what, 0) + 1
            # One of each kind is worth the time.
            if known[what] == 1:
                said.append(describe(runner, s, native, enclave, options.shrink > 0, options.shrink))
        if differing and not said:
            said.append(f"  {len(differing)} differ as others before")
        return Result(name, "failed" if differing else "passed", "\n".join(said))

    tests = [Test(f"random {s}", lambda s=s: batch(s)) for s in range(options.seed, options.seed + count, BATCH)]
    status = harness.run_all("random", tests, options)
    for what, times in sorted(known.items(), key=lambda item: -item[1]):
        print(f"{times:6} {what}")
    if runner.executed:
        print(f"{len(runner.executed)} kinds of call, {sum(runner.executed.values())} calls")
    return status


if __name__ == "__main__":
    sys.exit(main())
