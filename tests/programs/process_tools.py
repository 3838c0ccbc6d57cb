"""What ps, top, pgrep, pstree, lsof, free, vmstat, uptime and w say about processes that this script starts: the same
natively and in the enclave. Prints what must be equal; numbers of processes become names.

`process_tools.py TOOL` runs the checks of one tool."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading

ENV = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "COLUMNS": "200"}


class Family:
    """A sleeper, a sleeper two generations down, a stopped process, a zombie, and a thread of our own."""

    def __init__(self):
        self.sleeper = self.start("sleep", "1000")
        self.stopped = self.start("sleep", "2000")
        self.stopped.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.stopped.pid, os.WSTOPPED)
        self.zombie = self.start("true")
        os.waitid(os.P_PID, self.zombie.pid, os.WEXITED | os.WNOWAIT)
        self.nice = self.start("nice", "-n", "7", "sleep", "3000")
        self.group = subprocess.Popen(["sleep", "4000"], env=ENV, stdin=subprocess.DEVNULL, start_new_session=True)
        self.wait_for_sleep(self.sleeper, self.nice, self.group)
        self.go_on = threading.Event()
        self.thread = threading.Thread(target=self.go_on.wait)
        self.thread.start()
        self.names = {os.getpid(): "SELF", os.getppid(): "PARENT", self.sleeper.pid: "SLEEPER",
                      self.stopped.pid: "STOPPED", self.zombie.pid: "ZOMBIE", self.nice.pid: "NICE",
                      self.group.pid: "GROUP"}

    @staticmethod
    def start(*command):
        return subprocess.Popen(command, env=ENV, stdin=subprocess.DEVNULL)

    @staticmethod
    def wait_for_sleep(*processes):
        """Until each has executed sleep and sleeps."""
        for process in processes:
            while True:
                with open(f"/proc/{process.pid}/stat") as file:
                    name, state = re.match(r"\d+ \((.*)\) (.)", file.read()).groups()
                if name == "sleep" and state == "S":
                    break
                os.sched_yield()

    def end(self):
        self.go_on.set()
        self.thread.join()
        for process in (self.sleeper, self.stopped, self.nice, self.group):
            process.kill()
        for process in (self.sleeper, self.stopped, self.zombie, self.nice, self.group):
            process.wait()


class Busy:
    """A process that has filled memory, has computed for a while when it is there, and computes again when told so."""

    SECONDS, BYTES = 1.2, 48 << 20
    PROGRAM = ("import time; memory = b'x' * int({}); t = time.process_time\nwhile t() < {}: pass\n"
               "print(flush=True); input()\nwhile True: pass")

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", self.PROGRAM.format(self.BYTES, self.SECONDS)], env=ENV,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.pid = self.process.pid
        return self

    def go_on(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def holds(self, kilobytes):
        """Whether a resident size is its memory and an interpreter's."""
        return self.BYTES < kilobytes * 1024 < self.BYTES + (24 << 20)


def output(*command, status=0):
    done = subprocess.run(command, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != status:
        print(f"{command} ended with {done.returncode}: {done.stdout[:500]}")
    return done.stdout


def rows(text):
    lines = text.splitlines()
    return [line.split() for line in lines[1:]]


def ps(family):
    listed = {int(row[0]): row for row in rows(output(
        "ps", "-e", "-o", "pid,ppid,pgid,sid,ni,nlwp,stat,user,tty,comm,args"))}
    group, session = os.getpgrp(), os.getsid(0)
    for pid, name in sorted(family.names.items(), key=lambda item: item[1]):
        if name == "PARENT":
            continue
        row = listed[pid]
        relation = [family.names.get(int(row[1]), "other"), "own group" if int(row[2]) == group else "other group",
                    "own session" if int(row[3]) == session else "other session"]
        # Whether we ourselves run, sleep or lead something is the runner's business.
        state = row[6] if name != "SELF" else "l" * ("l" in row[6])
        print("ps", name, *(relation if name != "SELF" else []), *row[4:6], state, row[7],
              *(row[9:] if name != "SELF" else []))
    # Others may run such programs beside us: ours only.
    own = {pid for pid in family.names if pid not in (os.getpid(), os.getppid())}
    tree = [line.split(None, 1) for line in output("ps", "axf", "-o", "pid,args").splitlines()[1:]]
    print("forest", [re.search(r"\\_ .*", line).group() for pid, line in tree if int(pid) in own and "000" in line])
    full = [line.split() for line in output("ps", "auxf").splitlines()[1:]]
    full = [row for row in full if int(row[1]) in own]
    print("auxf", len(full), all(len(row) >= 11 and row[0] == "root" for row in full))
    resident = {row[0]: row for row in rows(output("ps", "-o", "pid,rss,vsz,sz", "-p", str(family.sleeper.pid)))}
    _, rss, vsz, pages = resident[str(family.sleeper.pid)]
    print("sizes", 100 < int(rss) < int(vsz), int(vsz) == int(pages) * 4)
    threads = rows(output("ps", "-L", "-o", "lwp,nlwp", "-p", str(os.getpid())))
    print("threads", len(threads), {row[1] for row in threads})
    print("by user", str(family.sleeper.pid) in output("ps", "-u", "root", "-o", "pid").split())
    print("nobody", output("ps", "-p", "4000000", "-o", "pid=", status=1))
    ps_busy()


def ps_busy():
    with Busy() as busy:
        seconds, elapsed, share, resident = map(float, output(
            "ps", "-o", "cputimes=,etimes=,%cpu=,rss=", "-p", str(busy.pid)).split())
        # Seconds are whole ones.
        used = share * (elapsed + 1) / 100
        print("busy", seconds >= int(busy.SECONDS), seconds <= elapsed, 0 < share <= 100, used > 0.9 * busy.SECONDS,
              busy.holds(resident))
        print("sorted", output("ps", "--ppid", str(os.getpid()), "-o", "pid=", "--sort=-cputime").split()[0] == str(busy.pid))


def top_busy(family):
    with Busy() as busy:
        busy.go_on()
        text = output("top", "-b", "-n2", "-d1", "-w", "200", "-p", f"{busy.pid},{family.sleeper.pid}")
    second = text[text.rindex("top - "):]
    shown = {int(line.split()[0]): line.split() for line in second.splitlines() if re.match(r" *\d+ root ", line)}
    minutes, seconds = shown[busy.pid][10].split(":")
    print("busy", 1 < float(shown[busy.pid][8]) <= 110, float(minutes) * 60 + float(seconds) > busy.SECONDS,
          busy.holds(int(shown[busy.pid][5])), shown[family.sleeper.pid][8])
    user, idle = (float(re.search(rf"([\d.]+) {kind},", second).group(1)) for kind in ("us", "id"))
    print("cpu", user + float(re.search(r"([\d.]+) ni,", second).group(1)) > 1, idle < 99)


def top(family):
    text = output("top", "-b", "-n1", "-w", "200")
    tasks = re.search(r"Tasks: +(\d+) total, +(\d+) running, +(\d+) sleeping, +(\d+) stopped, +(\d+) zombie", text)
    total, running, sleeping, stopped, zombie = map(int, tasks.groups())
    print("tasks", total >= 6, running >= 1, sleeping >= 3, stopped >= 1, zombie >= 1)
    print("memory", bool(re.search(r"Mem : +[\d.]+ total, +[\d.]+ free, +[\d.]+ used", text)))
    print("cpu", bool(re.search(r"%Cpu\(s\): *[\d.]+ us, *[\d.]+ sy, *[\d.]+ ni, *[\d.]+ id,", text)))
    lines = {int(line.split()[0]): line.split() for line in text.splitlines() if re.match(r" *\d+ root ", line)}
    for pid, name in sorted(family.names.items(), key=lambda item: item[1]):
        if name in ("SLEEPER", "STOPPED", "ZOMBIE", "NICE"):
            row = lines[pid]
            print("top", name, row[1:4], row[7], row[11])
    hidden = output("top", "-b", "-n1", "-H", "-p", str(os.getpid()))
    print("threads", len([line for line in hidden.splitlines() if " root " in line]))
    top_busy(family)


def pgrep(family):
    own = str(os.getpid())
    named = lambda text: sorted(family.names[int(line.split()[0])] + line[len(line.split()[0]):] for line in text.splitlines())
    print("children", named(output("pgrep", "-a", "-P", own)))
    print("by name", named(output("pgrep", "-x", "-P", own, "sleep")))
    print("full", named(output("pgrep", "-f", "-P", own, "sleep [12]000")))
    print("newest", named(output("pgrep", "-n", "-P", own)))
    print("session", named(output("pgrep", "-s", str(family.group.pid))))
    print("none", repr(output("pgrep", "-P", own, "nothing", status=1)))
    print("pidof", str(family.sleeper.pid) in output("pidof", "sleep").split())
    output("pkill", "-P", own, "-f", "sleep 1000")
    print("pkill", family.sleeper.wait())
    print("pwdx", output("pwdx", own).split(": ")[1].strip() == os.getcwd())


def pstree(family):
    text = output("pstree", "-p", "-a", "-l", "-U", str(os.getpid()))
    for pid, name in family.names.items():
        text = text.replace(f",{pid}", f",{name}")
    print(sorted(line.strip(" |`-\u2502\u251c\u2514\u2500") for line in text.splitlines() if "sleep" in line))
    print("threads", text.count("{"))
    print("path", output("pstree", "-s", str(family.sleeper.pid)).strip().endswith("sleep"))


def lsof(family):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    server = listener.accept()[0]
    name = f"\0process-tools-{os.getpid()}"
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(name)
    file = open(os.environ.get("TMPDIR", "/tmp") + "/a file", "w+")
    file.write("words")
    file.flush()
    reader, writer = os.pipe()
    text = output("lsof", "-w", "-n", "-P", "-F", "ftn", "-p", str(os.getpid()))
    found = {}
    for part in re.split(r"^f", text, flags=re.M)[1:]:
        fields = {line[0]: line[1:] for line in ("f" + part).splitlines() if line}
        found[fields["f"]] = fields
    print("cwd", found["cwd"].get("n") == os.getcwd(), "rtd", found["rtd"].get("n"), "txt", os.path.basename(found["txt"]["n"]))
    print("file", found[str(file.fileno())]["t"], found[str(file.fileno())]["n"].endswith("/a file"))
    print("pipe", found[str(reader)]["t"], found[str(writer)]["n"])
    shown = lambda s: (found[str(s.fileno())]["t"], found[str(s.fileno())]["n"].replace(str(port), "PORT").replace(str(client.getsockname()[1]), "CLIENT"))
    print("sockets", shown(listener), shown(client), shown(server))
    print("unix", found[str(unix.fileno())]["t"], found[str(unix.fileno())]["n"].replace(str(os.getpid()), "PID"))
    by_port = output("lsof", "-w", "-n", "-P", "-t", f"-iTCP:{port}", "-sTCP:LISTEN")
    print("by port", by_port.strip() == str(os.getpid()))
    print("memory", "libc.so" in output("lsof", "-w", "-p", str(family.sleeper.pid)))


def system(family):
    text = output("free", "-b")
    total, used, free = map(int, text.splitlines()[1].split()[1:4])
    print("free", 0 < used < total, 0 < free < total)
    header, names, figures = output("vmstat").splitlines()
    print("vmstat", len(names.split()) == len(figures.split()), int(figures.split()[0]) >= 0)
    print("vmstat -s", "K total memory" in output("vmstat", "-s"))
    print("uptime", bool(re.search(r"up .*load average: [\d.]+, [\d.]+, [\d.]+", output("uptime"))))
    print("w", output("w").splitlines()[1].split())
    print("pmap", "libc.so" in output("pmap", str(family.sleeper.pid)), "total" in output("pmap", "-x", str(family.sleeper.pid)))
    print("sysctl", output("sysctl", "-n", "kernel.ostype").strip())


def main():
    family = Family()
    try:
        globals()[sys.argv[1]](family)
    finally:
        family.end()


main()
