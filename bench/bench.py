#!/usr/bin/python3
"""Benchmarks, native and in the enclave, interleaved in one go; medians of the rounds.

Prints a table, writes bench/out/results.json (a list of {name, native, enclave, unit, ratio}, plus `limit` and `pass`
where a row has a bar) and bench/out/index.html. The ratio is time over time, enclave over native: lower is better.
The exit status is 1 if a benchmark could not be run or, with --check, if a bar was missed.
"""

import argparse
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import report

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out"
PYTHON_LOOP = ("import time; t = time.perf_counter_ns(); d = {}\n"
               "for i in range(3000000): d[i & 1023] = d.get(i & 1023, 0) + i * 3 % 7\n"
               "print(time.perf_counter_ns() - t)")
UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6}


class Broken(Exception):
    """A benchmark that cannot be run, with the reason for people."""


@dataclass
class Row:
    """One benchmark. `kind` says how it is measured; the limits are bars: on the ratio, or on the enclave's own value."""

    name: str
    kind: str  # program (prints ns itself), process (whole process from outside), memory, or instance
    unit: str
    command: list[str]
    rounds: int = 5
    ratio_limit: float | None = None
    limit: float | None = None  # in `unit`
    pinned: bool = False  # natively also on one CPU; the better counts
    needs: list[str] = field(default_factory=list)


def rows() -> list[Row]:
    def calls(name, unit="ns", **rest):
        return Row(name, "program", unit, ["{bench}/calls", name], **rest)
    def pairs(name, unit="us", **rest):
        return Row(name, "program", unit, ["{bench}/pairs", name], pinned=True, **rest)
    return [
        Row("cpu_sha256", "program", "ms", ["{bench}/cpu", "sha256"], rounds=5, ratio_limit=1.03),
        Row("cpu_python", "program", "ms", ["/usr/bin/python3", "-c", PYTHON_LOOP], ratio_limit=1.03),
        Row("cpu_sort", "program", "ms", ["{bench}/cpu", "sort"], ratio_limit=1.03),
        calls("syscall_trap", "us", limit=5.0),
        Row("hello_run", "instance", "ms", ["/bin/hello"], rounds=21, limit=30.0),
        Row("do_true", "process", "ms", ["/bin/true"], rounds=21, limit=40.0),
        Row("hello_rss", "memory", "MB", ["/bin/hello"], rounds=5, limit=40.0),
        Row("image_start_4g", "instance", "ms", ["/bin/hello"], rounds=21, needs=["hello_run"]),
        calls("getpid"), calls("read_zero"), calls("write_null"), calls("clock_gettime"), calls("stat"), calls("open_close"),
        calls("pread_4k"), calls("create_unlink", "us"), calls("signal_self"), calls("mmap_1m", "us"),
        calls("thread_create_join", "us"), calls("epoll_1000", "us"),
        pairs("futex_pingpong"), pairs("condvar_pingpong"), pairs("pipe_pingpong"), pairs("unix_pingpong"),
        pairs("pipe_bw_4k"), pairs("pipe_bw_64k"), pairs("pipe_bw_1m"),
        Row("spawn_static", "program", "us", ["{bench}/spawn", "{bench}/hello.musl"]),
        Row("spawn_static_glibc", "program", "us", ["{bench}/spawn", "{bench}/hello.static"]),
        Row("spawn_dynamic", "program", "us", ["{bench}/spawn", "{bench}/hello.dynamic"]),
        Row("fork_exit", "program", "us", ["{bench}/fork", "exit"]),
        Row("fork_exec_50mb", "program", "us", ["{bench}/fork", "exec_50mb"]),
        Row("fork_pipe_pingpong", "program", "us", ["{bench}/fork", "pipe_pingpong"], pinned=True),
        Row("prefork_2_workers", "program", "us", ["{bench}/fork", "prefork_2_workers"]),
        Row("python_start", "process", "ms", ["/usr/bin/python3", "-c", "pass"], rounds=7),
    ]


class World:
    def __init__(self, options):
        self.options = options
        self.build = options.build_dir
        self.bench = self.build / "bench"
        self.occlum = str(self.build / "bin" / "occlum")
        self.env = {k: v for k, v in os.environ.items() if re.match("SGX_|OCCLUM_", k)} | {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
        self.costs = ["--cost-model", options.cost_model] if options.cost_model else []

    def words(self, command):
        return [w.replace("{bench}", str(self.bench)) for w in command]

    def run(self, command, tmp: str, cwd=None) -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.options.timeout, cwd=cwd,
                                  env=self.env | {"TMPDIR": tmp}, stdin=subprocess.DEVNULL, check=False)
        except OSError as error:
            raise Broken(f"cannot start {command[0]}: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise Broken(f"'{' '.join(command)[:100]}' took more than {self.options.timeout:.0f} s") from error
        if done.returncode:
            raise Broken(f"'{' '.join(command)[:100]}' ended with status {done.returncode}: {done.stderr.strip()[-200:]}")
        return done.stdout

    def outside(self, command, cwd=None) -> tuple[float, float]:
        """(ns, MB) of a whole process, by bench/programs/measure.c."""
        nanoseconds, kibibytes, status = self.run([str(self.bench / "measure"), "1", *command], "/tmp", cwd).split()
        if status != "0":
            raise Broken(f"'{' '.join(command)[:100]}' ended with status {status}")
        return float(nanoseconds), float(kibibytes) / 1024

    def instance(self, name: str, gigabytes: int) -> pathlib.Path:
        """A built instance with hello in it, and so many GB beside it; made once and kept in the build directory."""
        directory = self.bench / f"instance-{name}"
        hello = self.bench / "hello.static"
        if (directory / ".ready").exists() and (directory / ".ready").stat().st_mtime > max(
                hello.stat().st_mtime, pathlib.Path(self.occlum).stat().st_mtime):
            return directory
        shutil.rmtree(directory, ignore_errors=True)
        if gigabytes and shutil.disk_usage(self.bench).free < (3 * gigabytes + 2) << 30:
            raise Broken(f"an image of {gigabytes} GB needs {3 * gigabytes + 2} GB free in {self.bench}")
        self.options.timeout, before = 900, self.options.timeout
        self.run([self.occlum, "new", str(directory)], "/tmp")
        shutil.copy(hello, directory / "image" / "bin" / "hello")
        noise = random.Random(1).randbytes(1 << 20)
        for i in range(gigabytes):
            with open(directory / "image" / f"data{i}", "wb") as file:
                for j in range(1024):
                    file.write(j.to_bytes(8, "little") + noise[8:])
        self.run([self.occlum, "build"], "/tmp", cwd=directory)
        self.options.timeout = before
        (directory / ".ready").touch()
        return directory


def samplers(row: Row, world: World):
    """Two functions that each give one value in the row's unit: native and enclave."""
    scale = UNITS.get(row.unit, 1.0)
    command = world.words(row.command)
    do = [world.occlum, "do", "--quiet", *world.costs]
    if row.kind == "program":
        with_tmp = lambda prefix, tmp: float(world.run(prefix + command, tmp).split()[0]) / scale

        def native():
            with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="occlum-bench-") as tmp:
                values = [with_tmp([], tmp)]
                if row.pinned:
                    values.append(with_tmp(["taskset", "-c", str(min(os.sched_getaffinity(0)))], tmp))
                return min(values)

        def enclave():
            with tempfile.TemporaryDirectory(dir="/tmp", prefix="occlum-bench-") as tmp:
                return with_tmp(do, tmp)
        return native, enclave
    if row.kind == "process":
        return (lambda: world.outside(command)[0] / scale), (lambda: world.outside(do + command)[0] / scale)
    size = 4 if row.name == "image_start_4g" else 0
    hello = [str(world.bench / "hello.static")]
    run = [world.occlum, "run", *world.costs, *row.command]
    place = None if world.options.native_only else world.instance("4g" if size else "hello", size)
    which = 1 if row.kind == "memory" else 0
    divide = 1.0 if row.kind == "memory" else scale
    return (lambda: world.outside(hello)[which] / divide), (lambda: world.outside(run, place)[which] / divide)


def measure(row: Row, world: World) -> dict:
    native, enclave = samplers(row, world)
    rounds = world.options.rounds or row.rounds
    natives, enclaves = [], []
    for _ in range(rounds):
        natives.append(native())
        if not world.options.native_only:
            enclaves.append(enclave())
    result = {"name": row.name, "native": round(statistics.median(natives), 4), "enclave": None, "unit": row.unit,
              "ratio": None}
    if enclaves:
        result["enclave"] = round(statistics.median(enclaves), 4)
        if row.kind != "memory" and result["native"]:
            result["ratio"] = round(result["enclave"] / result["native"], 4)
    return result


def judge(result: dict, row: Row, results: list[dict]):
    """Adds `limit` (a sentence) and `pass` where the row has a bar."""
    limit = row.limit
    if row.name == "image_start_4g":
        base = next((r["enclave"] for r in results if r["name"] == "hello_run" and r["enclave"] is not None), None)
        limit = None if base is None else base + 5.0
    if row.ratio_limit is not None:
        result["limit"] = f"ratio {row.ratio_limit:g}"
        result["pass"] = None if result["ratio"] is None else result["ratio"] <= row.ratio_limit
    elif limit is not None:
        result["limit"] = f"{limit:.4g} {row.unit}"
        result["pass"] = None if result["enclave"] is None else result["enclave"] <= limit


def choose(names: list[str]) -> list[Row]:
    table = rows()
    known = {r.name for r in table}
    wanted = set(names)
    if wanted - known:
        sys.exit(f"bench: there is no benchmark {', '.join(sorted(wanted - known))}; there are: {', '.join(r.name for r in table)}")
    for row in table:
        if row.name in wanted:
            wanted |= set(row.needs)
    return [r for r in table if not names or r.name in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (all)")
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--list", action="store_true", help="names only")
    parser.add_argument("--rounds", type=int, default=0, help="instead of each row's own number")
    parser.add_argument("--native-only", action="store_true")
    parser.add_argument("--cost-model", help="of the emulator, for the enclave's side: sgx2")
    parser.add_argument("--check", action="store_true", help="fail if a bar is missed")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one run of one program")
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    options = parser.parse_args()
    options.build_dir = options.build_dir.absolute()
    chosen = choose(options.names)
    if options.list:
        print("\n".join(r.name for r in chosen))
        return 0
    world = World(options)
    print(report.table_head(), flush=True)
    results, broken = [], 0
    for row in chosen:
        try:
            result = measure(row, world)
        except Broken as reason:
            broken += 1
            print(f"{row.name:20} could not be measured: {reason}", flush=True)
            results.append({"name": row.name, "native": None, "enclave": None, "unit": row.unit, "ratio": None,
                            "error": str(reason)})
            continue
        judge(result, row, results)
        results.append(result)
        print(report.table_line(result), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "index.html").write_text(report.page(results, options.cost_model))
    missed = [r["name"] for r in results if r.get("pass") is False]
    print(f"\n{len(results) - broken} measured, {broken} could not be; bars missed: {', '.join(missed) or 'none'};"
          f" written to {options.out}/results.json and index.html")
    return 1 if broken or (options.check and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
