"""An interactive bash on a pseudo-terminal, driven key by key: job control, editing, completion, the window's size.

The driver types, waits for what must appear, types on. What the terminal showed, with the numbers of processes taken out,
is compared: bash natively and bash in the enclave, on a terminal of the host's; and the driver itself run as a program,
natively and in the enclave, where the terminal is the enclave's own (`python3 interactive.py SESSION`).
"""

import fcntl
import functools
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness  # noqa: E402
from table import Spec  # noqa: E402

SECONDS = 30
PROMPT = rb"<\d+> $"  # PS1, at the end of what was seen: it holds the status of the command before

CTRL_A, CTRL_C, CTRL_D, CTRL_E, CTRL_K, CTRL_L, CTRL_R, CTRL_U, CTRL_W, CTRL_Y, CTRL_Z, CTRL_BACKSLASH = (
    b"\x01", b"\x03", b"\x04", b"\x05", b"\x0b", b"\x0c", b"\x12", b"\x15", b"\x17", b"\x19", b"\x1a", b"\x1c")
UP, LEFT = b"\x1b[A", b"\x1b[D"

# What says that the terminal is no longer the editor's: before it, keys would be echoed, or not, by chance.
# A child that says when it runs in the foreground. What is typed is echoed, so the word is not written whole in it. Not
# bash, which ignores SIGQUIT until it has executed the next program.
UP_AND_SLEEP = b"sh -c 'echo u\"\"p; exec sleep 1000'\r"
IS_UP = rb"[\r\n]up\r\n$"
UNTIL_STOPPED = b"until grep -q 'State:.T' /proc/$(jobs -p)/status; do :; done"
TELL_SIZE = b"bash -c 'trap \"kill %1; stty size; exit 5\" WINCH; sleep 1000 & echo u\"\"p; wait'\r"


class Resize(tuple):
    """A step that gives the terminal a size, (rows, columns), instead of typing."""


# Each step is what is typed and what is waited for.
JOBS = [
    (b"", PROMPT),
    (b"ulimit -c 0\r", PROMPT),
    (b"seq 20 | grep 1 | sort -rn | head -3\r", PROMPT),
    (b"echo u\"\"p; cat\r", IS_UP), (b"hello\r", rb"hello\r\nhello\r\n$"), (CTRL_Z, PROMPT),
    (b"jobs\r", PROMPT),
    (b"bg; " + UNTIL_STOPPED + b"\r", PROMPT),  # cat reads from the terminal in the background: SIGTTIN stops it again
    (b"jobs\r", PROMPT),
    (b"fg\r", rb"fg\r\n.*cat\r\n$"), (b"again\r", rb"again\r\nagain\r\n$"), (CTRL_D, PROMPT),
    (b"sleep 1000 &\r", PROMPT), (b"kill %1; wait %1\r", PROMPT),
    (UP_AND_SLEEP, IS_UP), (CTRL_C, PROMPT), (b"echo $?\r", PROMPT),
    (UP_AND_SLEEP, IS_UP), (CTRL_BACKSLASH, PROMPT),
    (UP_AND_SLEEP, IS_UP), (CTRL_Z, PROMPT),
    (b"echo u\"\"p; cat | cat\r", IS_UP), (b"two\r", rb"two\r\ntwo\r\n$"), (CTRL_Z, PROMPT), (b"jobs\r", PROMPT),
    (b"p=$(jobs -p %1); kill -9 $p; while [ -e /proc/$p ]; do :; done; fg %2\r", rb"cat \| cat\r\n$"), (b"on\r", rb"on\r\non\r\n$"), (CTRL_D, PROMPT), (b"jobs\r", PROMPT),
    (b"not run", rb"not run$"), (CTRL_U + b"\r", PROMPT),
    (b"(kill -STOP $BASHPID; echo continued)\r", PROMPT), (b"fg\r", PROMPT),
    (b"stty tostop; (sleep 0; echo x; echo $? >&2) & " + UNTIL_STOPPED + b"; stty -tostop; fg\r", PROMPT),
    (b"exit 3\r", rb"exit\r\n$"),
]
TERMINAL = [
    (b"", PROMPT),
    (b"stty -a\r", PROMPT),
    (b"stty intr ^X -echo; stty -a | grep -o 'intr = ..\\|.echo '; read -r line; stty sane; echo \"<$line>\"\r", rb"echo \r\n$"),
    (b"secret\x7fs\r", PROMPT),
    (b"read -rsn 3 -p 'three: ' keys; echo \"=$keys=\"\r", rb"three: $"), (b"a\x7fb", PROMPT),
    (TELL_SIZE, IS_UP), (Resize((40, 132)), PROMPT),
    (b"/bin/true; shopt checkwinsize; echo $LINES x $COLUMNS\r", PROMPT),
    (b"python3 -q\r", rb">>> $"), (b"6 * 7\r", rb">>> $"),
    (b"import time; print('u' 'p'); time.sleep(1000)\r", IS_UP), (CTRL_C, rb"KeyboardInterrupt\r\n>>> $"),
    (b"import getpass; getpass.getpass('word: ')\r", rb"word: $"), (b"hidden\r", rb">>> $"),
    (b"\x1a", PROMPT), (b"fg\r", rb"python3 -q\r\n$"), (b"\r", rb">>> $"), (CTRL_D, PROMPT),
    (b"script=1; python3 -c 'import pty; pty.spawn([\"sh\", \"-c\", \"tty | tr -d 0-9; stty size; read x; echo =$x=\"])'\r",
     rb"\n0 0\r\n$"), (b"typed\r", PROMPT),
    (CTRL_D, rb"exit\r\n$"),
]
EDITING = [
    (b"", PROMPT),
    (b"touch alpha_one alpha_two beta 'with space'\r", PROMPT),
    (b"echo first\r", PROMPT), (b"echo second\r", PROMPT),
    (UP, rb"echo second$"), (UP, rb"first$"), (CTRL_A, rb"."), (b": ; ", rb": ; "), (CTRL_E, rb"."), (b"!\r", PROMPT),
    (b"echo one two three", rb"three$"), (CTRL_W, rb"."), (CTRL_Y, rb"three$"), (LEFT, rb"."), (LEFT, rb"."), (CTRL_K, rb"."),
    (b"\r", PROMPT),
    (CTRL_R, rb"search\)`': "), (b"f", rb"."), (b"i", rb"."), (b"\r", PROMPT),
    (b"echo al\t", rb"pha_$"), (b"\t", rb"\x07$"), (b"\t", PROMPT[:-1] + rb"echo alpha_$"), (b"t\t", rb"two $"), (b"\r", PROMPT),
    (b"ls b\t", rb"eta $"), (b"\r", PROMPT), (b"cat < w\t", rb"space $"), (b"\r", PROMPT),
    (b"comp\t\t", PROMPT[:-1] + rb"comp$"), (CTRL_U + b"\r", PROMPT),
    (CTRL_L, PROMPT),
    (b"cat << END\r", rb"> $"), (b"line $HOME\r", rb"> $"), (b"END\r", PROMPT),
    (b"!ech:p\r", PROMPT), (b"history | tail -3\r", PROMPT),
    (b"exit 4\r", rb"exit\r\n$"),
]
SESSIONS = {"jobs": (JOBS, 3), "terminal": (TERMINAL, 0), "editing": (EDITING, 4)}


class Failure(Exception):
    pass


def environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "LANG": "C.UTF-8", "TERM": "xterm", "PS1": "<$?> ", "PS2": "> ",
            "INPUTRC": "/dev/null", "HISTFILE": "", "PYTHONDONTWRITEBYTECODE": "1"} | {
        k: v for k, v in os.environ.items() if k.startswith(("SGX_", "OCCLUM_"))}


class Shell:
    """A bash on a terminal of its own, as `prefix` runs it in `directory`."""

    def __init__(self, prefix: list[str], directory: str):
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (30, 100))
        mode = termios.tcgetattr(slave)
        mode[0] |= 0o40000  # IUTF8, which every terminal emulator sets
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        self.process = subprocess.Popen([*prefix, "/bin/bash", "--norc", "--noprofile", "-i"], stdin=slave, stdout=slave, stderr=slave,
                                        cwd=directory, env=environment(), start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.shown = b""

    def step(self, typed, wanted: bytes) -> None:
        """Types, and reads until `wanted`, a regular expression, is in what came since."""
        if isinstance(typed, Resize):
            termios.tcsetwinsize(self.master, typed)
        elif typed:
            os.write(self.master, typed)
        seen = b""
        end = time.monotonic() + SECONDS
        while not re.search(wanted, seen, re.DOTALL):
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            try:
                more = os.read(self.master, 65536) if ready else b""
            except OSError:  # EIO: nobody has the terminal open
                more = b""
            if not more:
                raise Failure(f"after {typed!r} the terminal shows {seen[-1500:]!r}, not {wanted!r}\n  before: {self.shown[-1500:]!r}")
            seen += more
        self.shown += seen

    def end(self) -> int:
        """Its status; what it still shows is read, as a terminal does."""
        end = time.monotonic() + SECONDS
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise Failure(f"it did not end\n  before: {self.shown[-1500:]!r}")
            if select.select([self.master], [], [], 0.02)[0]:
                try:
                    self.shown += os.read(self.master, 65536)
                except OSError:
                    self.process.wait(max(0, end - time.monotonic()))
        return self.process.returncode

    def close(self):
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def normal(shown: bytes) -> str:
    """What the terminal showed, with the numbers of processes taken out, a line each."""
    text = shown.decode("utf-8", "replace")
    text = re.sub(r"(\[\d\]) \d+\r\n", r"\1 N\r\n", text)
    text = re.sub(r"(\[\d\])[-+ ]  Killed", r"\1   Killed", text)  # whether another job was stopped when it was seen to be dead
    text = re.sub(r"\b\d+ (Terminated|Killed|Quit)", r"N \1", text)
    return "\n".join(repr(line)[1:-1] for line in text.split("\n"))


def session(name: str, prefix: list[str], directory: str) -> str:
    """Runs it and returns its transcript."""
    steps, status = SESSIONS[name]
    shell = Shell(prefix, directory)
    try:
        for typed, wanted in steps:
            shell.step(typed, wanted)
        ended = shell.end()
        if ended != status:
            raise Failure(f"it ended with status {ended}, not {status}")
        return normal(shell.shown)
    finally:
        shell.close()


def hangup(prefix: list[str], directory: str) -> str:
    """The terminal goes away: bash and its jobs, the stopped one too, end of SIGHUP."""
    shell = Shell(prefix, directory)
    try:
        for typed, wanted in [(b"", PROMPT), (b"sleep 1000 &\r", PROMPT), (UP_AND_SLEEP, IS_UP), (CTRL_Z, PROMPT)]:
            shell.step(typed, wanted)
        os.close(shell.master)
        shell.master = -1
        ended = shell.process.wait(SECONDS)
        return f"status {128 - ended if ended < 0 else ended}"
    finally:
        shell.close()


def htop(prefix: list[str], directory: str) -> str:
    """htop shows a process, its state and its size, kills it and ends. What it draws besides is the machine's."""
    shell = Shell(prefix, directory)
    try:
        steps = [(b"", PROMPT), (b"sleep 12345 &\r", PROMPT),
                 (b"HTOPRC=/dev/null htop -d 2 -p $!\r", rb"Load average.*PID.*sleep 12345.*F10.*Quit"),
                 (b"k", rb"Send signal:.*SIGTERM"), (b"\r", rb"."), (b"q", PROMPT), (b"jobs; wait $!; echo $?\r", PROMPT),
                 (b"exit 6\r", rb"exit\r\n$")]
        for typed, wanted in steps:
            shell.step(typed, wanted)
        drawn = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\(B", b" ", shell.shown).decode("utf-8", "replace")
        row = re.search(r"root +20 +0 +[\dM]+ +(\d+) +\d+ +(\w) +[\d.]+ +[\d.]+ +0:00.\d\d sleep 12345", " ".join(drawn.split()))
        if row is None:
            raise Failure(f"no row of the process in {drawn!r}")
        tasks = re.search(r"Tasks: +(\d+)", " ".join(drawn.split()))
        return f"{row.group(2)} {int(row.group(1)) > 100} {int(tasks.group(1)) >= 1} {'Terminated' in drawn} {'143' in drawn} {shell.end()}"
    finally:
        shell.close()


def run_session(name: str, prefix: list[str], directory: str) -> str:
    others = {"hangup": hangup, "htop": htop}
    return others[name](prefix, directory) if name in others else session(name, prefix, directory)


def on_host_terminal(name: str):
    """A test: the session on a terminal of the host's, natively and in the enclave."""
    def test(w, native_only: bool):
        run = functools.partial(run_session, name)
        native = run([], fresh(w, "native"))
        if not native_only:
            enclave = run([w.occlum, "do", "--quiet"], fresh(w, "enclave"))
            if native != enclave:
                raise Failure(harness.difference(native.encode(), enclave.encode()))
    return test


def fresh(w, name: str) -> str:
    (w.dir / name).mkdir()
    return str(w.dir / name)


def tests() -> dict:
    return {f"bash.{name}": on_host_terminal(name) for name in [*SESSIONS, "hangup", "htop"]}


def specs() -> list[Spec]:
    """The same on the enclave's own terminals."""
    script = str(pathlib.Path(__file__).resolve())
    return [Spec(f"bash.{name}_inside", ["/usr/bin/python3", "-B", script, name], seconds=2 * SECONDS) for name in [*SESSIONS, "hangup", "htop"]]


def main() -> int:
    try:
        print(run_session(sys.argv[1], [], "."))
    except Failure as failure:
        print(failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
