"""What the test runners share: running a command with a bound on time and output, a pool of workers, a JUnit file.

A test is a name and a function that returns a Result. A command that hangs is killed with its whole session; one
that prints without end is cut; so a broken program is one failed test and never a broken run.
"""

import argparse
import concurrent.futures
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from xml.etree import ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTPUT_LIMIT = 1 << 20

# A shell starts what runs in its background with these ignored; tests begin as at a terminal, wherever they are run.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@dataclass
class Run:
    """How a command ended. `status` is as a shell shows it: 128+n for a signal, None when it was killed as hung."""

    status: int | None
    stdout: bytes
    stderr: bytes
    seconds: float
    digest: str = ""  # SHA-256 of all of stdout, of which `stdout` is the first MiB

    def ended(self) -> str:
        return "hung and was killed" if self.status is None else f"ended with status {self.status}"


@dataclass
class Result:
    name: str
    outcome: str  # passed, failed or skipped
    detail: str = ""
    seconds: float = 0.0


@dataclass
class Test:
    name: str
    function: object  # () -> Result
    alone: bool = False  # measures time or wants both cores: no other test beside it
    tags: list[str] = field(default_factory=list)


def _reader(stream, sink: list[bytes], digest):
    size = 0
    while chunk := stream.read1(65536):
        digest.update(chunk)
        if size < OUTPUT_LIMIT:
            sink.append(chunk[: OUTPUT_LIMIT - size])
        size += len(chunk)


def kill_session(process: subprocess.Popen):
    """Ends a process that run() or start() made, and what it started in its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(command, timeout: float, cwd=None, env=None, stdin: bytes | None = None) -> Run:
    """Runs `command` (a list) with a bounded time; stdin is empty unless given."""
    begin = time.monotonic()
    try:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        return Run(127, b"", f"cannot start {command[0]}: {error.strerror}\n".encode(), 0.0)
    out: list[bytes] = []
    err: list[bytes] = []
    digest = hashlib.sha256()
    readers = [threading.Thread(target=_reader, args=triple, daemon=True)
               for triple in ((process.stdout, out, digest), (process.stderr, err, hashlib.sha256()))]
    for reader in readers:
        reader.start()
    writer = threading.Thread(target=_feed, args=(process, stdin or b""), daemon=True)
    writer.start()
    status: int | None
    try:
        status = process.wait(timeout)
        if status < 0:
            status = 128 - status
    except subprocess.TimeoutExpired:
        status = None
    # What the command left behind in its session must not outlive the test, nor hold the pipes open.
    kill_session(process)
    process.wait()
    for reader in readers:
        reader.join(5)
    return Run(status, b"".join(out), b"".join(err), time.monotonic() - begin, digest.hexdigest())


def _feed(process, data: bytes):
    try:
        process.stdin.write(data)
        process.stdin.close()
    except OSError:
        pass


def show(data: bytes, lines: int = 30) -> str:
    """The first lines of an output, safe to print."""
    text = data.decode("utf-8", "replace").splitlines()
    cut = [f"... {len(text) - lines} more lines"] if len(text) > lines else []
    return "\n".join("    " + line[:300] for line in text[:lines] + cut)


def difference(native: bytes, enclave: bytes) -> str:
    """Where two outputs first differ, with what is around it."""
    left = native.decode("utf-8", "replace").splitlines()
    right = enclave.decode("utf-8", "replace").splitlines()
    at = next((i for i, pair in enumerate(zip(left, right)) if pair[0] != pair[1]), min(len(left), len(right)))
    lines = [f"  line {at + 1} differs ({len(left)} lines natively, {len(right)} in the enclave)"]
    lines += [f"    native:  {line[:200]}" for line in left[at:at + 5]] or ["    native:  (ends)"]
    lines += [f"    enclave: {line[:200]}" for line in right[at:at + 5]] or ["    enclave: (ends)"]
    return "\n".join(lines)


def same(native: Run, enclave: Run, stderr: bool = False) -> str:
    """'' if the two runs agree in status and output, else what differs, for a person."""
    said = []
    if native.status != enclave.status:
        said.append(f"  native {native.ended()}, the enclave's {enclave.ended()}")
    if native.stdout != enclave.stdout:
        said.append(difference(native.stdout, enclave.stdout))
    elif native.digest != enclave.digest:
        said.append("  the outputs differ after their first MiB")
    if stderr and native.stderr != enclave.stderr:
        said.append("  stderr:\n" + difference(native.stderr, enclave.stderr))
    if said and enclave.stderr:
        said.append("  stderr in the enclave:\n" + show(enclave.stderr))
    return "\n".join(said)


def scratch(where: str = "/tmp"):
    """A temporary directory as a context manager; unreadable leftovers do not stop the removal."""
    return tempfile.TemporaryDirectory(prefix="occlum-test-", dir=where, ignore_cleanup_errors=True)


def enclave_environment() -> dict[str, str]:
    """The environment of a test, natively and in the enclave: nothing of the caller's that changes output."""
    keep = {k: v for k, v in os.environ.items() if re.match(r"(SGX_|OCCLUM_|ASAN_|UBSAN_)", k)}
    return keep | {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp",
                   "LANG": "C.UTF-8", "TERM": "dumb", "USER": "root"}


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--junit", type=pathlib.Path, help="write the results here")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--filter", default="", help="only tests whose name contains this")
    parser.add_argument("--native-only", action="store_true", help="on Linux only")
    parser.add_argument("--long", action="store_true", help="the long tests too")
    parser.add_argument("--list", action="store_true", help="names only")
    parser.add_argument("--budget", type=float, default=1e9, help="seconds after which no further test starts")
    return parser


def run_all(suite: str, tests: list[Test], options) -> int:
    """Runs the tests, prints a line for each, writes the JUnit file. Returns the exit status."""
    tests = [t for t in tests if options.filter in t.name]
    if options.list:
        print("\n".join(t.name for t in tests))
        return 0
    begin = time.monotonic()
    results: list[Result] = []
    lock = threading.Lock()

    def one(test: Test):
        start = time.monotonic()
        if start - begin > options.budget:
            result = Result(test.name, "failed", "not started: the suite's time was used up by the tests before")
        else:
            try:
                result = test.function()
            except Exception as error:  # A runner's own bug is that test's failure.
                result = Result(test.name, "failed", f"  the test itself failed: {error!r}")
        result.seconds = time.monotonic() - start
        with lock:
            results.append(result)
            print(f"[{len(results):3}/{len(tests)}] {result.outcome:7} {result.name} ({result.seconds:.1f} s)")
            if result.detail and result.outcome != "passed":
                print(result.detail)
            sys.stdout.flush()

    with concurrent.futures.ThreadPoolExecutor(max(1, options.jobs)) as pool:
        list(pool.map(one, [t for t in tests if not t.alone]))
    for test in tests:
        if test.alone:
            one(test)
    if options.junit:
        write_junit(options.junit, suite, results)
    counts = {k: sum(r.outcome == k for r in results) for k in ("passed", "failed", "skipped")}
    print(f"suite {suite}: {counts['passed']} of {len(results)} pass, {counts['failed']} fail,"
          f" {counts['skipped']} not run, in {time.monotonic() - begin:.0f} s", flush=True)
    return 1 if counts["failed"] else 0


def write_junit(path: pathlib.Path, suite: str, results: list[Result]):
    top = ElementTree.Element("testsuite", name=suite, tests=str(len(results)))
    for r in results:
        case = ElementTree.SubElement(top, "testcase", classname=suite, name=r.name, time=f"{r.seconds:.3f}")
        if r.outcome != "passed":
            kind = "failure" if r.outcome == "failed" else "skipped"
            text = re.sub(r"[^\x09\x0a\x20-\ud7ff]", "?", r.detail)
            ElementTree.SubElement(case, kind, message=text.strip().splitlines()[0] if text.strip() else "").text = text
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(top).write(path, encoding="unicode")


def find_tool(name: str) -> str | None:
    """A program of Debian's by name, never one from a language's own tool chain that stands earlier in PATH."""
    return shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
