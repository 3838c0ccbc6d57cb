#!/usr/bin/python3
"""Runs one test of the enclave's boundary, by the name that follows `enclave.` in CTest.

All of them start programs through occlum-hostile (hostile.h) or through `occlum` itself on instances that are damaged
on purpose. Everything is decided by seeds and bounded in time. With OCCLUM_LONG=1 there are ten times as many seeds.
Exit status 0: passed, 1: failed, 77: cannot be run here.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

LONG = os.environ.get("OCCLUM_LONG") == "1"
MORE = 10 if LONG else 1
SECONDS = 600 if LONG else 200  # for one run; a loaded machine is slow
WORKERS = 2
OWN_FAILURE = 125
COMPLAINTS = ("because of a bug", "software SGX", "hostile:", "AddressSanitizer")
STAT_CALLS = (5, 262)  # fstat, newfstatat
CALLS = {"system": 1, "wait": 3, "kick": 4, "protect": 5, "types": 6, "remove": 7, "vcpu": 8, "watch": 9, "unwatch": 10}


class Failure(Exception):
    pass


class Run:
    def __init__(self, what, status, out, err):
        self.what, self.status, self.out, self.err = what, status, out, err

    def problem(self):
        """What no host may bring about, or None."""
        if self.status is None:
            return f"it hangs: killed after {SECONDS} s"
        if self.status < 0:
            return f"the runtime died of signal {-self.status}"
        return next((f"it says: {line}" for line in self.err.splitlines() for c in COMPLAINTS if c in line), None)

    def lines(self):
        return [line for line in self.err.splitlines() if "emulated SGX" not in line]


class Place:
    """Where things are."""

    def __init__(self, build):
        self.build = build.absolute()
        self.hostile = str(self.build / "bin" / "occlum-hostile")
        self.occlum = str(self.build / "bin" / "occlum")
        self.programs = self.build / "tests" / "enclave"

    def program(self, name):
        return str(self.programs / name)

    def symbols(self):
        text = subprocess.run(["nm", self.build / "bin" / "libos"], capture_output=True, text=True, check=True).stdout
        return {words[2]: int(words[0], 16) for words in map(str.split, text.splitlines()) if len(words) == 3}


def start(what, command, env=None, cwd="/", stdin=subprocess.DEVNULL):
    base = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LC_ALL": "C"}
    process = subprocess.Popen(command, env=base | (env or {}), cwd=cwd, stdin=stdin, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, err = process.communicate(timeout=SECONDS)
        status = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        status = None
    return Run(what, status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def hostile(place, settings, command, *options):
    """One run under the hostile runtime; returns it with the runtime's counts."""
    with tempfile.NamedTemporaryFile(prefix="occlum-hostile-", suffix=".json") as report:
        run = start(f"HOSTILE={settings} occlum-hostile do {' '.join([*options, *command])}",
                    [place.hostile, "do", "--quiet", *options, *command],
                    {"HOSTILE": f"{settings},report={report.name}"})
        text = pathlib.Path(report.name).read_text(encoding="ascii")
    return run, json.loads(text) if text else {}


def expect(condition, run, what):
    if not condition:
        raise Failure(f"{run.what}\n  {what}; status {run.status}\n  stdout: {run.out[-500:]!r}\n"
                      f"  stderr: {run.err[-1000:]!r}")


def each(function, jobs, workers=WORKERS):
    """Runs all jobs, and fails with the first few failures."""
    failures = []

    def one(job):
        try:
            return function(job)
        except Failure as failure:
            failures.append(str(failure))
            return None

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(one, jobs))
    if failures:
        raise Failure(f"{len(failures)} of {len(results)} runs\n" + "\n".join(failures[:5]))
    return results


def right(place, settings, command, reference, *options):
    run, counts = hostile(place, settings, command, *options)
    expect(run.problem() is None, run, run.problem())
    expect(run.status == 0 and run.out == reference, run, "the program did not do what it does natively")
    expect(counts.get("leaks") == 0, run, f"{counts.get('leaks')} values left the enclave that must not")
    return counts


def native(command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS).stdout


def total(results, *names):
    return ", ".join(f"{sum(r[n] for r in results)} {n}" for n in names)


# --- registers ---

def test_exit_state(place):
    command = [place.program("poison"), "3"]
    reference = native(command)
    seeds = range(1, 3 * MORE + 1)
    jobs = [f"seed={s},inspect=1,{more}" for s in seeds
            for more in ("fast=1", "fast=0", "ticks=100", "strict=0,ticks=50")]
    results = each(lambda job: right(place, job, command, reference), jobs)
    print(total(results, "exits", "exceptions", "ticks", "leaks"))


def test_hostile_entry(place):
    command = [place.program("poison"), "3"]
    reference = native(command)
    seeds = range(1, 3 * MORE + 1)
    jobs = [(f"seed={s},inspect=1,entry=1,{more}", command, reference) for s in seeds
            for more in ("fast=1", "fast=0", "ticks=100,again=300", "strict=0,ticks=50")]
    python = ["/usr/bin/python3", "-Sc", "import math; print(sum(math.sin(i) ** 2 for i in range(20000)))"]
    jobs += [(f"seed={s},inspect=1,entry=1,ticks=200", python, native(python)) for s in seeds]
    results = each(lambda job: right(place, *job), jobs)
    print(total(results, "entries", "exits", "exceptions", "ticks", "leaks"))


# --- ticks ---

ON_THE_WAY = re.compile("exception_entered|syscall_entered|tick_entered|on_fault|on_syscall|handle_fault|force_signal|"
                        "sigreturn|Scheduler|park|WaitQueue|page_map|commit_pages|xstate|sys_(read|write|poll|nanosleep)")


def step_ranges(place, seed, windows):
    """All of the entry code by turns with windows of the rest of the LibOS that is on the way, and the program itself."""
    symbols = place.symbols()
    begin = symbols["enclave_entry"]
    entry = (begin, symbols["guarded_fault"] - begin)
    generator = random.Random(seed)
    places = sorted(address for name, address in symbols.items() if ON_THE_WAY.search(name))
    ranges = []
    for _ in range(windows):
        ranges += [entry, (generator.choice(places), 2048)]
    ranges += [(symbols["phase_one"], 512), (0x401000, 0x1000), (symbols["return_to_user"], 512)]
    return ",".join(f"step={at:x}-{size:x}" for at, size in ranges)


def steps(place, mode, rounds):
    def one(seed):
        # How many instructions are ticked in a round depends on how busy the machine is.
        settings = f"seed={seed},entry={seed % 2},{step_ranges(place, seed, 6)}"
        for more in (1, 4, 16):
            command = [place.program("steps"), mode, str(more * rounds)]
            counts = right(place, settings, command, native(command), "--cpus", "1")
            if counts["steps"] >= 300:
                break
        return counts

    results = each(one, range(1, 2 * MORE + 1))
    print(total(results, "steps", "rounds", "ticks"))
    if any(r["steps"] < 300 for r in results):
        raise Failure("hardly an instruction was ticked: " + total(results, "steps"))


def test_step_syscalls(place):
    steps(place, "syscalls", 14)


def test_step_faults(place):
    steps(place, "faults", 7)


def test_random_ticks(place):
    jobs = [([place.program("steps"), mode, rounds], f"seed={s},ticks={ticks}")
            for s in range(1, 2 * MORE + 1)
            for mode, rounds in (("syscalls", "300"), ("faults", "100")) for ticks in (20, 200)]
    results = each(lambda job: right(place, job[1], job[0], native(job[0])), jobs)
    print(total(results, "ticks"))


# --- page faults ---

def test_eaug_races(place):
    """Two vCPUs touch the same page before the driver has added it; the second gets a fault."""
    command = [place.program("race"), "300"]
    reference = native(command)
    jobs = [f"seed={s},{more}" for s in range(1, 2 * MORE + 1) for more in ("fast=1", "fast=0", "ticks=200")]
    results = each(lambda job: right(place, job, command, reference, "--cpus", "2"), jobs)
    print(total(results, "eaug_races"))
    if any(r["eaug_races"] < 10 for r in results):
        raise Failure("hardly a race was lost")


def test_phase_one_faults(place):
    """Phase 1, which has no SSA frame left, takes a page fault that is reported to the host."""
    command = [place.program("steps"), "faults", "100"]
    reference = native(command)
    size = 0x4000
    close = f"close={place.symbols()['vcpu0_exception_stack_top'] - size:x}-{size:x}"
    jobs = [f"seed={s},{close},{more}" for s in range(1, 2 * MORE + 1) for more in ("fast=1", "fast=0", "ticks=100")]
    results = each(lambda job: right(place, job, command, reference, "--cpus", "1"), jobs)
    print(total(results, "phase_one_faults"))
    if sum(r["phase_one_faults"] for r in results) < 10:
        raise Failure("phase 1 hardly ever faulted")


def test_stale_faults(place):
    """The host closes the LibOS's heap for a moment; a copy from or to a program meets the fault."""
    command = [place.program("pipe"), "1000", "64"]  # 64 full pipes take up more than those 2 MiB
    reference = native(command)
    # From 2 MiB behind the page map's arena (arena_size() in mm/page_map.cpp): what a vCPU needs to be entered lies below.
    start, end, pages = 0x1F0000000000, 0x1FFFB0000000, 0x1000
    arena = (end // 0x200000 + -(-end // 0x40000000) + 64 + 64) * pages
    heap = f"close={start + arena + 0x200000:x}-4000000"
    jobs = [f"seed={s},{heap},{more}" for s in range(1, 2 * MORE + 1)
            for more in ("ticks=300", "ticks=3000", "fast=0,ticks=300")]
    results = each(lambda job: right(place, job, command, reference), jobs)
    print(total(results, "ticks", "closed_faults"))
    if sum(r["closed_faults"] for r in results) < 10 * len(results):
        raise Failure("what was closed is hardly ever used")


def test_open_pages(place):
    """Freed pages stay accessible: nobody who gets them next sees what they hold, but what it mapped there."""
    script = ("for i in 1 2 3 4 5; do /usr/bin/python3 -c 'import json; print(json.dumps([1]))'; /usr/bin/perl -le 'print 1';"
              " /usr/bin/sha256sum /usr/bin/python3.11; done")
    jobs = [(command, f"seed={s},open=1,{more}") for s in range(1, MORE + 1) for more in ("fast=1", "ticks=300")
            for command in ([str(place.build / "tests" / "guest" / "first_touch.pie")], ["/bin/sh", "-c", script])]
    results = each(lambda job: right(place, job[1], job[0], native(job[0])), jobs)
    print(total(results, "left_open"))
    if not all(r["left_open"] for r in results):
        raise Failure("no page was to be closed")


# --- what the host says ---

class Server:
    """A host process to talk to: takes a line, gives back a lot."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def serve(connection):
        try:
            connection.settimeout(10)
            connection.sendall(b"x" * 100000 + connection.recv(1000))
            connection.close()
        except OSError:
            pass


def real_programs(place, port):
    client = f"""
import socket
s = socket.create_connection(("127.0.0.1", {port}), 5)
s.send(b"hello")
n = 0
while d := s.recv(4096):
    n += len(d)
print(n)"""
    return [["/bin/ls", "-lR", "/usr/share/perl"],
            ["/bin/cat", "/etc/passwd", "/usr/share/common-licenses/GPL-3"],
            ["/usr/bin/python3", "-c", "pass"],
            ["/usr/bin/python3", "-Sc", client],
            ["/usr/bin/sqlite3", "/tmp/x.db", "create table t(a, b); insert into t values(1, 2); select * from t;"],
            [place.program("steps"), "syscalls", "20"],
            [place.program("steps"), "faults", "5"],
            [place.program("sched"), "48", "5", "1"]]


def lies(place, kinds, configurations, seeds, programs=()):
    """`programs` or all of the real ones, each under each configuration with each seed."""
    server = Server()
    mask = sum(1 << CALLS[kind] for kind in kinds)
    jobs = [(command, f"seed={s},numbers={mask:#x},{configuration}") for command in programs or real_programs(place, server.port)
            if pathlib.Path(command[0]).exists() for configuration in configurations for s in range(1, seeds + 1)]

    def one(job):
        run, counts = hostile(place, job[1], job[0])
        # A host that made no TCS cannot enter it: its own loss, said in a sentence.
        own = run.status == OWN_FAILURE and "the enclave has died (leaf 2" in run.err
        expect(own or run.problem() is None, run, run.problem())
        expect("has died" not in run.err or own, run, "the enclave died")
        return counts

    results = [r for r in each(one, jobs) if r]
    print(f"{len(jobs)} runs; of those that came to an end:",
          total(results, "replaced", "corrupted", "skipped", "pointers"))


def test_host_results(place):
    everything = ("system", "wait", "kick", "vcpu", "watch", "unwatch")
    lies(place, everything,
         ["results=5,after=40", "results=60,after=150", "results=300", "data=20,after=100",
          "results=3,data=5,flip=1,after=80", "results=5,data=5,ticks=100,entry=1,again=50,after=90"], 4 * MORE)
    # Many directories, for the times of each are compared with the clock.
    lies(place, ("system",), [f"data=300,only={call},after=80" for call in STAT_CALLS], 2 * MORE, [["/bin/ls", "-R", "/usr/share/doc"]])
    # What is never told is never known: a host that drops a watch or a kick can make a program wait for ever.
    lies(place, ("system", "wait", "vcpu"), ["skip=5,after=60"], 4 * MORE)
    lies(place, ("wait", "kick", "vcpu", "watch"), ["results=500"], 2 * MORE)


def test_memory_results(place):
    lies(place, ("protect", "types", "remove"),
         ["results=30,after=30", "results=300,after=30", "skip=20", "skip=100", "results=20,flip=1,after=60"], 4 * MORE)


BOOT_FIELDS = """magic size shared vcpus tsc_multiplier tsc_shift tsc_now realtime_now monotonic_now root_image
root_image_size log_level terminal_mask strings strings_size argc envc writable_count memory_limit cpuid_count
ignored_signals blocked_signals""".split()
# Nothing, off by one, limits and one beyond, the enclave's own addresses, the ends of the address space, wild ones.
BOOT_VALUES = """0 1 +1 -1 64 65 97 0x10000 0x1fffc0000000 0x1ffffffffff8 0x200000000000 0x7ffffffff000 0x7ffffffffff8
0x800000000000 0x8000000000000000 0xfffffffffffff000 0xffffffffffffffff 0x600000000000 +4096 -4096""".split()


def test_boot_parameters(place):
    jobs = [f"boot={field}:{value}" for field in BOOT_FIELDS for value in BOOT_VALUES]
    jobs += [f"seed={s},boot={other}" for s in range(1, 2 * MORE + 1)
             for other in ("cpuid:values", "cpuid:all", "text:zero", "text:full", "text:random")]

    def one(job):
        run, _ = hostile(place, job, ["/bin/true"])
        expect(run.problem() is None, run, run.problem())
        # 126 and 127: the host may name another program, which is not there.
        expect(run.status in (0, OWN_FAILURE, 126, 127), run, "a status of its own")
        expect(len(run.lines()) <= 1 or "trace" in job or "log_level" in job, run, "more than one sentence")
        return run.status

    results = each(one, jobs)
    print(", ".join(f"{results.count(s)} times status {s}" for s in sorted(set(results))))


# --- what the host stores ---

class Instance:
    """A small instance with a tree in it, built once for a test."""

    def __init__(self, place, directory, content=b""):
        self.place = place
        self.path = pathlib.Path(directory) / "instance"
        self.env = {"XDG_DATA_HOME": str(pathlib.Path(directory) / "data")}
        self.command("new", str(self.path), cwd=directory)
        image = self.path / "image"
        shutil.copy(place.program("walk"), image / "bin")
        (image / "tree/a/b/c").mkdir(parents=True)
        (image / "tree/many").mkdir()
        generator = random.Random(5)
        (image / "tree/a/b/big").write_bytes(generator.randbytes(300_000) + content)
        (image / "tree/a/text").write_text("word " * 5000)
        (image / "tree/a/b/link").symlink_to("../text")
        (image / "late").write_bytes(generator.randbytes(4_000_000))
        for i in range(150):
            (image / f"tree/many/a-rather-long-name-{i}").write_text(f"file {i}\n")
        self.command("build", cwd=self.path)
        self.root = self.path / "build/root.erofs"
        self.enclave = self.path / "build/instance.enclave"
        self.config = dict(re.findall(rb"(root\.[a-z_]+)=([0-9a-f]+)", self.enclave.read_bytes()))

    def command(self, *arguments, cwd):
        run = start(" ".join(arguments), [self.place.occlum, *arguments], self.env, cwd)
        expect(run.status == 0, run, "an instance cannot be made")

    def walk(self, what, path=None, *arguments):
        return start(what, [self.place.occlum, "run", "--quiet", "/bin/walk", "/tree", *arguments], self.env,
                     path or self.path)

    def copy(self, name):
        to = self.path.parent / name
        shutil.copytree(self.path, to, symlinks=True)
        return to


BLOCK = re.compile(r"the root image was changed: .* block \d+ at byte \d+ does not match its hash")


def check_damaged(run, reference):
    """Right data, or EIO for what is damaged; and the log names the block."""
    expect(run.problem() is None, run, run.problem())
    named = BLOCK.search(run.err) is not None
    if run.status == 0:
        for line in run.out.splitlines():
            expect(line in reference or line.endswith(": Input/output error"), run, f"a wrong line: {line!r}")
        expect(run.out.splitlines() == reference or named, run, "data is missing and no block is named")
    else:
        # The program or the mount itself: SIGBUS as Linux has it for its text, or a sentence.
        expect(run.status in (135, OWN_FAILURE, 126, 127), run, "a status of its own")
        expect(named, run, "the log names no block")
        expect(all(line.startswith("occlum: ") for line in run.lines()), run, "more than sentences")
    return run.status, named


def test_root_flips(place):
    with tempfile.TemporaryDirectory(prefix="occlum-flips-") as directory:
        instance = Instance(place, directory)
        reference = instance.walk("the reference").out.splitlines()
        if "end" not in reference:
            raise Failure("the tree cannot be read even when nothing is damaged")
        whole = instance.root.read_bytes()
        data = int(instance.config[b"root.size"])
        generator = random.Random(7)
        places = [generator.randrange(1024, 1152) for _ in range(15)]            # the superblock
        places += [generator.randrange(1152, 16384) for _ in range(45)]          # the root's inodes and directories
        metadata = [m.start() for m in re.finditer(rb"a-rather-long-name-\d+", whole)]
        places += [generator.choice(metadata) + generator.randrange(-64, 64) for _ in range(40)]
        places += [generator.randrange(data, len(whole)) for _ in range(40)]     # the verity superblock and the tree
        places += [generator.randrange(0, data) for _ in range(60 * MORE)]
        copies = [instance.copy(f"copy{i}") for i in range(WORKERS)]
        lock = threading.Lock()

        def one(offset):
            with lock:
                path = copies.pop()
            try:
                root = path / "build/root.erofs"
                damaged = bytearray(whole)
                damaged[offset] ^= 1 << offset % 8
                root.write_bytes(damaged)
                return check_damaged(instance.walk(f"byte {offset} of the root image flipped", path), reference)
            finally:
                with lock:
                    copies.append(path)

        results = each(one, places)
        print(f"{len(places)} bytes flipped: {sum(named for _, named in results)} times the log named the block;",
              ", ".join(f"{[s for s, _ in results].count(s)} times status {s}" for s in sorted({s for s, _ in results})))


def test_root_truncated(place):
    with tempfile.TemporaryDirectory(prefix="occlum-truncated-") as directory:
        instance = Instance(place, directory)
        whole = instance.root.read_bytes()
        # Before the start: too short for its own tree.
        for size in (0, 1, 4096, 5000, len(whole) // 2, len(whole) - 4096, len(whole) - 1):
            instance.root.write_bytes(whole[:size])
            run = instance.walk(f"the root image cut to {size} bytes")
            expect(run.problem() is None and run.status in (OWN_FAILURE, 126, 127), run, "a short root image")
            expect(len(run.lines()) in (1, 2), run, "one sentence, and the block if there is one")
        # While it is mapped, before a file is read for the first time.
        for size in (0, 4096, len(whole) // 2):
            instance.root.write_bytes(whole)
            process = subprocess.Popen([place.occlum, "run", "--quiet", "/bin/walk", "/tree", "wait"],
                                       cwd=instance.path, env={"PATH": "/usr/bin"} | instance.env,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            timer = threading.Timer(SECONDS, process.kill)
            timer.start()
            out = []
            for line in process.stdout:
                out.append(line.decode())
                if line == b"waiting\n":
                    break
            os.truncate(instance.root, size)
            rest, err = process.communicate(b"go\n")
            timer.cancel()
            run = Run(f"the mapped root image cut to {size} bytes", process.returncode, "".join(out) + rest.decode(),
                      err.decode())
            expect(run.problem() is None and run.status == 0, run, "a mapping cut short")
            expect("/late: Input/output error" in run.out and run.out.endswith("end\n"), run, "not EIO")
        print("10 truncations")


def test_root_other(place):
    """Another root image, whole in itself, is refused: MRENCLAVE names one."""
    with tempfile.TemporaryDirectory(prefix="occlum-other-") as directory:
        (pathlib.Path(directory) / "one").mkdir()
        (pathlib.Path(directory) / "two").mkdir()
        one = Instance(place, pathlib.Path(directory) / "one")
        two = Instance(place, pathlib.Path(directory) / "two", b"more")
        shutil.copy(two.root, one.root)
        run = one.walk("another instance's root image")
        expect(run.problem() is None and run.status == OWN_FAILURE, run, "it was not refused")
        expect(BLOCK.search(run.err) or "not the one of this enclave" in run.err or "shorter" in run.err, run, "no reason")
        one.root.unlink()
        run = one.walk("no root image")
        expect(run.problem() is None and run.status == OWN_FAILURE and len(run.lines()) == 1, run, "no root image")


def test_signature(place):
    """SIGSTRUCT, measured pages, the file's own header: any changed byte, and the file cut short: one sentence."""
    with tempfile.TemporaryDirectory(prefix="occlum-signature-") as directory:
        instance = Instance(place, directory)
        whole = instance.enclave.read_bytes()
        header = 136
        segments, = struct.unpack_from("<I", whole, 12)
        sigstruct, = struct.unpack_from("<Q", whole, 64)
        ignored = range(72, header)   # what `occlum print` shows; nobody trusts it
        generator = random.Random(11)
        places = [o for o in range(0, header, 3) if o not in ignored]
        places += [header + generator.randrange(segments * 40) for _ in range(20)]
        places += [sigstruct + generator.randrange(1808) for _ in range(40 * MORE)]
        places += [generator.randrange(header + segments * 40, len(whole)) for _ in range(30 * MORE)]
        accepted = []

        def judge(run):
            expect(run.problem() is None, run, run.problem())
            if run.status == 0:
                accepted.append(run.what)
                return
            expect(run.status == OWN_FAILURE, run, "a status of its own")
            expect(len(run.lines()) == 1 and run.lines()[0].startswith("occlum"), run, "not one sentence")

        for offset in places:
            damaged = bytearray(whole)
            damaged[offset] ^= 1 << offset % 8
            instance.enclave.write_bytes(damaged)
            judge(instance.walk(f"byte {offset} of the enclave file flipped"))
        for size in (0, 1, header - 1, header, header + 30, sigstruct, sigstruct + 1000, len(whole) // 2, len(whole) - 1):
            instance.enclave.write_bytes(whole[:size])
            judge(instance.walk(f"the enclave file cut to {size} bytes"))
        print(f"{len(places)} bytes flipped, 9 truncations; {len(accepted)} harmless: {accepted[:6]}")
        # Padding between the segments, and SIGSTRUCT's fields that nothing checks, may be changed.
        if len(accepted) > len(places) // 4:
            raise Failure(f"too many changed enclaves were accepted: {accepted}")


# --- the scheduler ---

def test_sched(place):
    command = [place.program("sched"), "500", "20", "3"]
    jobs = [f"seed={s},{more}" for s in range(1, 2 * MORE + 1)
            for more in ("ticks=30", "ticks=300,entry=1", "ticks=50,fast=0", "strict=0,ticks=20")]
    results = each(lambda job: right(place, job, command, "all done\n" * 4), jobs, workers=1)
    many = [place.program("sched"), "1000", "10", "12"]
    for s in range(1, MORE + 1):
        run = start("a thousand threads, twelve processes",
                    [place.occlum, "do", "--quiet", "--strict", "--strict-seed", str(s), *many])
        expect(run.problem() is None and run.status == 0 and run.out == "all done\n" * 13, run, "work was lost")
    print(total(results, "ticks"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--build-dir", type=pathlib.Path, required=True)
    options = parser.parse_args()
    try:
        globals()["test_" + options.name](Place(options.build_dir))
    except Failure as failure:
        print(f"enclave.{options.name}: {failure}")
        raise SystemExit(1) from failure


sys.dont_write_bytecode = True
main()
