"""How `occlum do` and `occlum run` behave around a program: what they pass through, and bad input in one sentence."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time

import harness

PROMPT_SECONDS = 20


class Failure(Exception):
    pass


def expect(condition, text: str):
    if not condition:
        raise Failure("  " + text)


class World:
    """One build and a scratch directory: what the tests below take."""

    def __init__(self, options, directory: str):
        self.occlum = str(options.build_dir / "bin" / "occlum")
        self.guest = options.build_dir / "tests" / "guest"
        self.long = options.long
        self.dir = pathlib.Path(directory)
        self.env = harness.enclave_environment() | {"TMPDIR": "/tmp"}

    def do(self, *command, seconds=PROMPT_SECONDS, flags=("--quiet",), **rest) -> harness.Run:
        rest.setdefault("env", self.env)
        rest.setdefault("cwd", self.dir)
        return harness.run([self.occlum, "do", *flags, *map(str, command)], seconds, **rest)

    def call(self, *command, seconds=60, cwd=None, env=None) -> harness.Run:
        return harness.run([self.occlum, *map(str, command)], seconds, cwd=cwd or self.dir, env=env or self.env)


def one_sentence(run: harness.Run, *words: str):
    """A failure as the issue wants it: a non-zero status and one clear sentence on stderr."""
    text = run.stderr.decode("utf-8", "replace")
    expect(run.status not in (0, None), f"it {run.ended()}; it should fail")
    expect(run.status < 128, f"it died of a signal or crash: status {run.status}\n{text}")
    lines = [line for line in text.splitlines() if line.strip()]
    expect(1 <= len(lines) <= 2, f"{len(lines)} lines on stderr instead of one sentence:\n{text}")
    expect(not re.search(r"(?i)panic|assert|abort|terminate called|backtrace|Traceback|#0 ", text), f"it crashed: {text}")
    for word in words:
        expect(word.lower() in text.lower(), f"the sentence does not say '{word}': {text}")


# What passes through.

def stdin_and_stdout(w: World):
    data = os.urandom(300_000)
    run = w.do("/bin/cat", stdin=data)
    expect(run.status == 0 and run.stdout == data, f"cat {run.ended()} with {len(run.stdout)} bytes: {run.stderr[:300]!r}")


def stderr_apart(w: World):
    run = w.do("/bin/bash", "-c", "echo out; echo err >&2")
    expect((run.stdout, run.stderr) == (b"out\n", b"err\n"), f"stdout {run.stdout!r}, stderr {run.stderr!r}")


def the_one_line(w: World):
    run = w.do("/bin/true", flags=())
    lines = run.stderr.decode().splitlines()
    expect(run.status == 0 and run.stdout == b"", f"true {run.ended()}, stdout {run.stdout!r}")
    expect(len(lines) == 1, f"one line on stderr was expected, not: {run.stderr!r}")
    expect(w.do("/bin/true").stderr == b"", "--quiet did not drop it")


def exit_statuses(w: World):
    for status in (0, 1, 42, 127, 128, 200, 255):
        run = w.do("/bin/bash", "-c", f"exit {status}")
        expect(run.status == status, f"exit {status} became {run.status}: {run.stderr[:300]!r}")


def deaths(w: World):
    for name in ("TERM", "KILL", "ABRT", "SEGV"):
        number = getattr(signal, "SIG" + name)
        run = w.do("/bin/bash", "-c", f"kill -{name} $$")
        expect(run.status == 128 + number, f"death by SIG{name} gave status {run.status}: {run.stderr[:300]!r}")


def environment_and_directory(w: World):
    env = w.env | {"GREETING": "an odd = value\twith\ttabs"}
    run = w.do("/usr/bin/printenv", "GREETING", env=env)
    expect(run.stdout.decode() == env["GREETING"] + "\n", f"GREETING is {run.stdout!r}")
    run = w.do("/bin/pwd")
    expect(run.stdout.decode().strip() == str(w.dir), f"the directory is {run.stdout!r}, not {w.dir}")
    run = w.do("env", "-i", env=w.env)
    expect(run.status == 0, f"a program found by PATH {run.ended()}: {run.stderr[:300]!r}")


def writes_are_discarded(w: World):
    (w.dir / "kept").write_text("as it was\n")
    run = w.do("/bin/bash", "-c", "echo changed > kept; echo new > fresh; read l < kept; echo $l; [ -e fresh ] && echo there")
    expect(run.stdout == b"changed\nthere\n", f"inside: {run.stdout!r} {run.stderr[:300]!r}")
    expect((w.dir / "kept").read_text() == "as it was\n", "a write reached the host")
    expect(not (w.dir / "fresh").exists(), "a new file reached the host")


def writable_directory(w: World):
    (w.dir / "out").mkdir()
    run = w.do("/bin/bash", "-c", "echo result > out/file; echo outside > beside", flags=("--quiet", "--rw", str(w.dir / "out")))
    expect(run.status == 0, f"bash {run.ended()}: {run.stderr[:300]!r}")
    expect((w.dir / "out" / "file").read_text() == "result\n", "the file is not on the host")
    expect(not (w.dir / "beside").exists(), "a write outside --rw reached the host")
    # Programs of the enclave meet at FIFOs there, made inside or by the host; nobody of the host does.
    os.mkfifo(w.dir / "out" / "of_host")
    run = w.do("/bin/bash", "-c", "mkfifo out/made; for f in out/made out/of_host; do (read l < $f; echo got $l) & echo $f > $f; wait; done",
               flags=("--quiet", "--rw", str(w.dir / "out")))
    expect(run.stdout == b"got out/made\ngot out/of_host\n", f"through FIFOs: {run.stdout!r} {run.stderr[:300]!r}")
    expect((w.dir / "out" / "made").is_fifo(), "the FIFO is not on the host")


def write_with_a_bad_buffer(w: World):
    """What a write does not come to is as it was, though the page was to be written whole and nobody had read it."""
    (w.dir / "out").mkdir()
    file, child = w.dir / "out" / "file", w.guest / "child.pie"
    file.write_bytes(b"o" * 10000)
    native = harness.run([str(child), "half", str(file)], 20, cwd=w.dir, env=w.env)
    wanted = file.read_bytes()
    file.write_bytes(b"o" * 10000)
    run = w.do(child, "half", file, flags=("--quiet", "--rw", str(w.dir / "out")))
    expect(run.status == 0 and run.stdout == native.stdout, f"{run.ended()}: {run.stdout!r}, natively {native.stdout!r}")
    expect(file.read_bytes() == wanted, "the file is not what it is natively")


def setuid_is_ignored(w: World):
    shutil.copy("/usr/bin/id", w.dir / "id")
    os.chown(w.dir / "id", 1, 1)
    os.chmod(w.dir / "id", 0o6755)
    expect(w.do(w.dir / "id", "-u").stdout == w.do("/usr/bin/id", "-u").stdout, "a set-user-ID bit took effect")


def own_proc_dev_sys(w: World):
    run = w.do("/bin/cat", "/proc/self/comm")
    expect(run.stdout == b"cat\n", f"/proc/self/comm is {run.stdout!r}")
    run = w.do("/bin/ls", "/proc")
    pids = [n for n in run.stdout.decode().split() if n.isdigit()]
    expect(0 < len(pids) < 5, f"/proc lists {len(pids)} processes: the host's?")
    expect(w.do("/bin/ls", "/run").stdout == b"", "/run is not the LibOS's own")


def trace_log(w: World):
    run = w.do("/bin/echo", "x", env=w.env | {"OCCLUM_LOG_LEVEL": "trace"})
    text = run.stderr.decode("utf-8", "replace")
    expect(run.stdout == b"x\n", f"stdout is {run.stdout!r}")
    for call in ("openat(", "write(1", "exit_group"):
        expect(call in text, f"the trace has no {call}:\n{text[-1500:]}")


# Terminals and signals from outside.

class Terminal:
    """A program on a pseudo-terminal of its own."""

    def __init__(self, command, w: World, rows=30, columns=100):
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (rows, columns))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=w.env, cwd=w.dir,
                                        start_new_session=True, preexec_fn=lambda: __import__("fcntl").ioctl(
                                            slave, termios.TIOCSCTTY, 0))
        self.seen = b""

    def read_until(self, text: bytes, seconds=PROMPT_SECONDS):
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            expect(ready, f"waited in vain for {text!r} on the terminal, which shows {self.seen[-500:]!r}")
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:
                break
        expect(text in self.seen, f"the terminal closed without {text!r}: {self.seen[-500:]!r}")

    def type(self, text: bytes):
        os.write(self.master, text)

    def wait(self, seconds=PROMPT_SECONDS) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise Failure("  it did not end") from error

    def close(self):
        harness.kill_session(self.process)
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def on_terminal(w: World, command, body):
    terminal = Terminal([w.occlum, "do", "--quiet", *command], w)
    try:
        body(terminal)
        restored = termios.tcgetattr(terminal.slave)
        expect(restored[:4] == terminal.before[:4], f"the terminal's settings were not restored: {restored[:4]}")
    finally:
        terminal.close()


def terminal_line_discipline(w: World):
    def body(t: Terminal):
        t.read_until(b"ready")
        t.type(b"abX\x7fc\n")  # Erase works, and what is typed is echoed.
        t.read_until(b"<abc>")
        t.type(b"\x04")
        t.read_until(b"end of file")
        expect(t.wait() == 0, "it did not end well")
        expect(t.seen.count(b"ab") >= 2, f"no echo: {t.seen!r}")
    on_terminal(w, ["/bin/bash", "-c", "echo ready; read x; echo \"<$x>\"; read y || echo end of file"], body)


TELL_SIZE = """
import os, signal, time
def tell(*_):
    os.write(1, b'%d %d\\n' % os.get_terminal_size(0)[::-1])
signal.signal(signal.SIGWINCH, tell)
tell()
while os.get_terminal_size(0).lines != 40:
    time.sleep(0.05)
"""


def terminal_size(w: World):
    def body(t: Terminal):
        t.read_until(b"30 100")
        termios.tcsetwinsize(t.slave, (40, 120))  # The host's kernel tells the foreground group: `occlum`.
        t.read_until(b"40 120")
        t.wait()
    on_terminal(w, ["/usr/bin/python3", "-c", TELL_SIZE], body)


def terminal_interrupt(w: World):
    def body(t: Terminal):
        t.read_until(b"ready")
        t.type(b"\x03")
        expect(t.wait() == 130, f"Ctrl-C gave status {t.process.returncode}: {t.seen!r}")
    on_terminal(w, ["/usr/bin/python3", "-c", "import signal, time; signal.signal(signal.SIGINT, signal.SIG_DFL);"
                    " print('ready', flush=True); time.sleep(100)"], body)


def terminal_interrupt_handled(w: World):
    def body(t: Terminal):
        t.read_until(b"ready")
        t.type(b"\x03")
        t.read_until(b"handled")
        expect(t.wait() == 7, f"status {t.process.returncode}")
    on_terminal(w, ["/bin/bash", "-c", "trap 'echo handled; exit 7' INT; echo ready; while :; do :; done"], body)


def signal_from_outside(w: World):
    """SIGTERM to `occlum` reaches the program; SIGKILL leaves nothing behind."""
    command = [w.occlum, "do", "--quiet", "/bin/bash", "-c", "trap 'echo caught; exit 3' TERM; echo ready; while :; do :; done"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=w.env, cwd=w.dir,
                               start_new_session=True)
    try:
        ready, _, _ = select.select([process.stdout], [], [], PROMPT_SECONDS)
        expect(ready and process.stdout.readline() == b"ready\n", "the program did not start")
        process.send_signal(signal.SIGTERM)
        status = process.wait(PROMPT_SECONDS)
        expect(status == 3 and process.stdout.read() == b"caught\n", f"status {status}")
    finally:
        harness.kill_session(process)
        process.wait()


# Becomes a command, with signals ignored and blocked; the numbers are the first two arguments.
STARTER = """import os, signal, sys
ignored, blocked = ([int(number) for number in word.split(",") if number] for word in sys.argv[1:3])
for number in range(1, 65):
    if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
os.execv(sys.argv[3], sys.argv[3:])"""
CATCHABLE = sorted(set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33})
MASKS = ["/bin/busybox", "grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]


def starting(command, ignored=(), blocked=()) -> list[str]:
    numbers = [",".join(str(int(number)) for number in numbers) for numbers in (ignored, blocked)]
    return ["/usr/bin/python3", "-ISc", STARTER, *numbers, *map(str, command)]


def signals_from_the_start(w: World):
    """Ignored and blocked signals are inherited as over execve(2), by `do` and by `run`."""
    instance = new_instance(w, "ignoring", ["/bin/busybox"])
    hup, pipe, segv = signal.SIGHUP, signal.SIGPIPE, signal.SIGSEGV
    for ignored, blocked in ([(), ()], [(hup,), ()], [(signal.SIGINT, signal.SIGQUIT), ()], [(pipe, 64), (hup, 34)],
                             [(), (segv, signal.SIGTRAP, signal.SIGILL)], [CATCHABLE, ()], [CATCHABLE, CATCHABLE]):
        native = harness.run(starting(MASKS, ignored, blocked), PROMPT_SECONDS, env=w.env, cwd=w.dir)
        expect(native.status == 0 and len(native.stdout.splitlines()) == 2, f"natively it {native.ended()}: {native.stderr!r}")
        for verb, place in (("do", w.dir), ("run", instance)):
            run = harness.run(starting([w.occlum, verb, "--quiet", *MASKS], ignored, blocked), PROMPT_SECONDS, env=w.env,
                              cwd=place)
            expect((run.status, run.stdout) == (0, native.stdout),
                   f"ignored {ignored}, blocked {blocked}: {verb} {run.ended()}: {run.stdout!r} {run.stderr[:300]!r}; "
                   f"natively {native.stdout!r}")
    # The runtime's own threads can work, whatever was blocked: programs fault, wait, and have threads.
    work = "import subprocess, threading; t = threading.Thread(target=print, args=('a thread',)); t.start(); t.join(); " \
           "print(subprocess.run(['/bin/busybox', 'echo', 'a child'], capture_output=True).stdout)"
    run = harness.run(starting([w.occlum, "do", "--quiet", "/usr/bin/python3", "-ISc", work], (), CATCHABLE), PROMPT_SECONDS,
                      env=w.env, cwd=w.dir)
    expect((run.status, run.stdout) == (0, b"a thread\nb'a child\\n'\n"), f"all blocked: {run.ended()}: {run.stdout!r} "
           f"{run.stderr[:300]!r}")


def after_signals(w: World, program, sent, ignored=(), blocked=()) -> tuple[int, bytes]:
    """How `do` of a program ended that says `ready` and is then sent the signals; and what it said afterwards."""
    command = starting([w.occlum, "do", "--quiet", *program], ignored, blocked)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=w.env,
                               cwd=w.dir, start_new_session=True)
    try:
        ready, _, _ = select.select([process.stdout], [], [], PROMPT_SECONDS)
        expect(ready and process.stdout.readline() == b"ready\n", "the program did not start")
        for number in sent:
            process.send_signal(number)
        out, _ = process.communicate(timeout=PROMPT_SECONDS)
        return process.returncode, out
    finally:
        harness.kill_session(process)
        process.wait()


def ignored_from_the_start(w: World):
    """As with nohup(1): SIGHUP does nothing, SIGTERM ends the program; a program's own handler gets it all the same."""
    hup, term = signal.SIGHUP, signal.SIGTERM
    shell = ["/bin/bash", "-c", "echo ready; while :; do :; done"]
    # Of two that are pending the lower number comes first.
    for numbers, ignored, status in (((hup, term), (hup,), 128 + term), ((signal.SIGINT, signal.SIGQUIT, term),
                                     (signal.SIGINT, signal.SIGQUIT), 128 + term), ((hup,), (), 128 + hup)):
        found = after_signals(w, shell, numbers, ignored)
        expect(found == (status, b""), f"ignored {ignored}, sent {numbers}: {found}")
    caught = after_signals(w, ["/usr/bin/python3", "-c", "import os, signal\n"
                               "signal.signal(signal.SIGHUP, lambda *_: (os.write(1, b'caught\\n'), os._exit(7)))\n"
                               "os.write(1, b'ready\\n')\nwhile True: signal.pause()"], [hup], [hup])
    expect(caught == (7, b"caught\n"), f"its own handler: {caught}")
    taken = after_signals(w, ["/usr/bin/python3", "-c", "import os, signal\nos.write(1, b'ready\\n')\n"
                              "print(signal.sigwait([signal.SIGTERM]))"], [term], (), [term])
    expect(taken == (0, b"15\n") or taken == (0, b"Signals.SIGTERM\n"), f"blocked and waited for: {taken}")


# Servers.

def redis(w: World, native: bool = False):
    """redis-server in the enclave answers the host's redis-cli on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [] if native else [w.occlum, "do", "--quiet"]
    command += [harness.find_tool("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp",
                "--daemonize", "no"]
    log = open(w.dir / "redis.log", "wb")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=w.env, cwd=w.dir,
                               start_new_session=True)

    def cli(*words, data=b"") -> str:
        run = harness.run(["redis-cli", "-p", port, *words], 30, stdin=data)
        return (run.stdout + run.stderr).decode().strip()

    try:
        end = time.monotonic() + 30
        while cli("ping") != "PONG":
            expect(process.poll() is None and time.monotonic() < end,
                   "redis-server does not answer: " + (w.dir / "redis.log").read_text("utf-8", "replace")[-1500:])
            time.sleep(0.1)
        expect(cli("set", "key", "value") == "OK" and cli("get", "key") == "value", "SET and GET do not work")
        commands = "".join(f"SET k{i} {i}\nINCR n\n" for i in range(2000)).encode()
        cli(data=commands)
        expect(cli("get", "n") == "2000" and cli("get", "k1999") == "1999", "4,000 commands went astray")
        big = "x" * 300_000
        expect(cli("-x", "set", "big", data=big.encode()) == "OK" and cli("strlen", "big") == "300000", "300 KB went astray")
        expect("redis_version" in cli("info"), "INFO does not work")
        cli("shutdown", "nosave")
        expect(process.wait(20) == 0, f"it ended with {process.returncode}")
    finally:
        harness.kill_session(process)
        process.wait()
        log.close()


# Instances.

def new_instance(w: World, name: str, programs, mounts=()) -> pathlib.Path:
    instance = w.dir / name
    run = w.call("new", instance)
    expect(run.status == 0, f"occlum new {run.ended()}: {run.stderr[:500]!r}")
    for program in programs:
        target = instance / "image" / "bin" / pathlib.Path(program).name
        shutil.copy(program, target)
        # A dynamic program needs its loader and libraries at the same places.
        listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            place = instance / "image" / library.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                shutil.copy(library, place)
    if mounts:
        config = json.loads((instance / "Occlum.json").read_text())
        config.setdefault("mount", []).extend(mounts)
        (instance / "Occlum.json").write_text(json.dumps(config))
    run = w.call("build", cwd=instance)
    expect(run.status == 0, f"occlum build {run.ended()}: {run.stderr[:800]!r}")
    return instance


def instance_runs(w: World):
    names = [f"hello.{b}" for b in ("static", "static-pie", "pie", "nopie", "musl-static")]
    instance = new_instance(w, "instance", [w.guest / n for n in names] + ["/bin/busybox"])
    for name in names:
        run = w.call("run", f"/bin/{name}", "one", "two words", cwd=instance)
        expect(run.status == 42 and b"argument 2: [two words]\n" in run.stdout,
               f"{name} {run.ended()}: {run.stdout[:300]!r} {run.stderr[:500]!r}")
    run = w.call("run", "/bin/busybox", "ls", "/bin", cwd=instance)
    expect(set(run.stdout.decode().split()) >= set(names) | {"busybox"}, f"ls /bin: {run.stdout!r} {run.stderr[:300]!r}")
    run = w.call("print", "mrenclave", cwd=instance)
    expect(re.fullmatch(rb"[0-9a-f]{64}\n", run.stdout), f"mrenclave: {run.stdout!r} {run.stderr[:300]!r}")
    expect(w.call("status", cwd=instance).status == 0, "occlum status fails")


def files_do_not_block_a_vcpu(w: World):
    """With one vCPU two threads have requests at the host at once: it carries out none before there are two."""
    shared = w.dir / "shared"
    shared.mkdir()
    instance = new_instance(w, "overlap", [w.guest / "file_overlap.static"],
                            mounts=[{"type": "hostfs", "source": str(shared), "target": "/shared"}])
    for how in ("pairs", "pairs,threads", "always", "always,threads", "auto", "never"):
        case = ["two_files_at_once"] if how.startswith("pairs") else []
        run = w.call("run", "--cpus", "1", "/bin/file_overlap.static", *case, cwd=instance,
                     env=w.env | {"OCCLUM_ASYNC_IO": how, "TMPDIR": "/shared"})
        expect(run.status == 0, f"{how}: it {run.ended()}: {run.stdout[:500]!r} {run.stderr[:500]!r}")


def files_asynchronously(w: World):
    """What a program reads and writes is the same when every request goes through the host's engine."""
    source, target = w.dir / "source", w.dir / "target"
    for i in range(40):
        file = source / f"directory{i % 7}" / f"file{i}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(i * i * 1000))
    target.mkdir()
    for how in ("always", "always,threads"):
        shutil.rmtree(target)
        target.mkdir()
        run = w.do("/bin/bash", "-c", f"cp -r {source}/. {target} && sync {target}/directory1/* && diff -r {source} {target}",
                   flags=("--quiet", "--rw", str(target)), seconds=60, env=w.env | {"OCCLUM_ASYNC_IO": how})
        expect(run.status == 0, f"{how}: cp {run.ended()}: {run.stderr[:500]!r}")
        for file in filter(pathlib.Path.is_file, source.rglob("*")):
            expect((target / file.relative_to(source)).read_bytes() == file.read_bytes(), f"{how}: {file} differs")


def instance_is_reproducible(w: World):
    values = []
    for name in ("one", "two"):
        values.append(w.call("print", "mrenclave", cwd=new_instance(w, name, [w.guest / "hello.static"])).stdout)
    expect(len(values[0]) == 65 and values[0] == values[1], f"two builds of the same image differ: {values}")


def instance_is_verified(w: World):
    """A flipped byte of the image is EIO for that file, or a refusal to start; never the changed content."""
    marker = b"find this marker in the image " * 300
    (w.dir / "data").write_bytes(marker)
    instance = new_instance(w, "instance", [w.guest / "hello.static", "/bin/busybox", w.dir / "data"])
    files = [p for p in instance.rglob("*") if p.is_file() and p.parts[len(instance.parts)] == "build"]
    image = next(p for p in files if marker[:60] in p.read_bytes())
    content = bytearray(image.read_bytes())
    content[content.find(marker[:60], 4096) + 5] ^= 1  # not the tail: that lies in the first block, with the superblock
    image.write_bytes(content)
    run = w.call("run", "/bin/busybox", "cat", "/bin/data", cwd=instance)
    expect(run.status != 0 and not run.stdout, f"cat of a corrupt file {run.ended()}, {len(run.stdout)} bytes")
    expect(b"I/O error" in run.stderr or b"Input/output error" in run.stderr, f"it says {run.stderr[:500]!r}")
    run = w.call("run", "/bin/hello.static", cwd=instance)
    expect(run.status == 42, f"another file of the image is affected: {run.stderr[:500]!r}")


# Bad input.

def bad_programs(w: World):
    (w.dir / "text").write_text("not a program")
    (w.dir / "empty").write_bytes(b"")
    elf = pathlib.Path("/bin/true").read_bytes()
    (w.dir / "truncated").write_bytes(elf[:2000])
    (w.dir / "cut").write_bytes(elf[:40])
    (w.dir / "arm").write_bytes(elf[:18] + struct.pack("<H", 183) + elf[20:])
    (w.dir / "small").write_bytes(elf[:4] + b"\x01" + elf[5:])
    for name in ("text", "empty", "truncated", "cut", "arm", "small"):
        (w.dir / name).chmod(0o755)
        one_sentence(w.do(w.dir / name), name)
    one_sentence(w.do("/no/such/program"), "/no/such/program")
    one_sentence(w.do("no-such-program"), "no-such-program")
    one_sentence(w.do("/tmp"), "/tmp")
    (w.dir / "unexecutable").write_bytes(elf)
    (w.dir / "unexecutable").chmod(0o644)
    one_sentence(w.do(w.dir / "unexecutable"), "unexecutable")


def forced_hardware(w: World):
    if os.path.exists("/dev/sgx_enclave"):
        return
    one_sentence(w.do("/bin/true", env=w.env | {"SGX_MODE": "HW"}), "sgx")
    one_sentence(w.do("/bin/true", env=w.env | {"SGX_MODE": "SOMETHING"}), "SGX_MODE")


def bad_instances(w: World):
    empty = w.dir / "empty"
    empty.mkdir()
    one_sentence(w.call("build", cwd=empty))
    one_sentence(w.call("run", "/bin/hello", cwd=empty))
    instance = new_instance(w, "instance", [w.guest / "hello.static"])
    one_sentence(w.call("new", instance))
    config = instance / "Occlum.json"
    good = config.read_text()
    config.write_text(good.replace("{", "{\n  \"no_such_key\": 1,", 1))
    one_sentence(w.call("build", cwd=instance), "no_such_key")
    config.write_text(good[: len(good) // 2])
    one_sentence(w.call("build", cwd=instance), "Occlum.json")
    config.write_text(good)
    one_sentence(w.call("run", "/bin/missing", cwd=instance), "/bin/missing")


def idle_uses_no_processor(w: World):
    process = subprocess.Popen([w.occlum, "do", "--quiet", "/bin/sleep", "30"], env=w.env, cwd=w.dir, start_new_session=True)
    try:
        def ticks():
            fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        time.sleep(2)
        expect(process.poll() is None, "sleep ended early")
        before = ticks()
        time.sleep(3)
        expect(ticks() - before <= 3, f"a sleeping program used {ticks() - before} ticks of 10 ms in 3 s")
    finally:
        harness.kill_session(process)
        process.wait()


TESTS = {
    "do.stdin_and_stdout": stdin_and_stdout, "do.stderr": stderr_apart, "do.one_line": the_one_line,
    "do.exit_status": exit_statuses, "do.signal_status": deaths, "do.environment": environment_and_directory,
    "do.writes_discarded": writes_are_discarded, "do.rw": writable_directory,
    "do.bad_buffer": write_with_a_bad_buffer, "do.setuid": setuid_is_ignored,
    "do.proc": own_proc_dev_sys, "do.trace": trace_log, "do.signal": signal_from_outside,
    "do.start_signals": signals_from_the_start, "do.ignored_signals": ignored_from_the_start,
    "do.idle": idle_uses_no_processor, "terminal.line_discipline": terminal_line_discipline,
    "terminal.size": terminal_size, "terminal.interrupt": terminal_interrupt,
    "terminal.interrupt_handled": terminal_interrupt_handled, "redis.server": redis, "instance.run": instance_runs,
    "instance.file_overlap": files_do_not_block_a_vcpu, "do.files_async": files_asynchronously,
    "instance.reproducible": instance_is_reproducible, "instance.verified": instance_is_verified,
    "bad.programs": bad_programs, "bad.forced_hardware": forced_hardware, "bad.instances": bad_instances,
}
ALONE = {"do.idle"}
