"""Hard times: memory that runs out, allocations that fail, short processes for minutes, and an enclave that has nothing to do.

What they look for is that one process suffers and not the enclave, and that nothing is left behind: the guest programs
compare the LibOS's own counts of its objects (tests/guest/counts.h).
"""

import pathlib
import random
import re
import select
import subprocess
import time

import harness
import run_guest

MEMORY = "192MB"
# Guest programs that are run with allocations that fail: all of programs.txt but these.
NOT_FAILING = {"oom": "fills the memory itself", "failures": "makes allocations fail itself",
               "exhaustion": "has its own limits for minutes",
               "short_processes": "runs for a time that is set", "many_threads": "its ten thousand threads take too long",
               "killed": "kills at random for minutes", "preempt": "computes and makes no system calls",
               "vector_state": "computes and makes no system calls", "vdso": "computes and makes no system calls",
               "schedule": "measures shares of time",
               "fork_family": "its members wait for one another, whoever could not be made"}
# Only with --long, and no more rounds then: seconds for a run without failures.
SLOW = {"core_dump", "cpu_times", "fork", "futex_pi", "leases", "process_spawn", "realtime_limit", "rlimits", "signal_context",
        "signal_edges", "terminal_size", "timer_kinds", "first_touch", "threads", "rewrite", "clocks", "syscall_torture"}
FAILING_AT_ONCE = 4  # programs in the default run
FAILING_ROUNDS = 12
LONG_ROUNDS = 120  # about an hour, when five that are slow had as many


def fail(text: str):
    import do_tests
    raise do_tests.Failure("  " + text)


def guest(w, name: str):
    return w.guest / f"{name}.pie"


def all_cases(run, least: int):
    text = run.stdout.decode("utf-8", "replace")
    if run.status != 0 or "FAILED" in text or len(re.findall(r"^ok ", text, re.M)) < least:
        fail(f"it {run.ended()}\n{harness.show(run.stdout)}\n{harness.show(run.stderr)}")


def limited_memory(w):
    """--memory is what /proc/meminfo shows, and no number is needed."""
    for size in (MEMORY, "192m", "192M"):
        run = w.do("/bin/grep", "MemTotal", "/proc/meminfo", flags=("--quiet", "--memory", size))
        if run.stdout.split()[1:2] != [b"196608"]:
            fail(f"MemTotal with --memory {size}: {run.stdout!r} {run.stderr[:200]!r}")
    for wrong in ("1", "few", "5MB", "-1GB", "99999999TB"):
        run = w.do("/bin/true", flags=("--quiet", "--memory", wrong))
        if run.status != 125 or len(run.stderr.splitlines()) != 1:
            fail(f"--memory {wrong}: {run.ended()}: {run.stderr[:300]!r}")


def limited_threads(w):
    """No more threads than /proc/sys/kernel/threads-max, for root as well; then they can be had again."""
    script = ("echo 40 > /proc/sys/kernel/threads-max && /usr/bin/perl -e 'my $n = 0; while (defined(my $pid = fork)) {"
              " if (!$pid) { sleep 60; exit } push @all, $pid; $n++ } print $n, \" \", $!{EAGAIN} ? 1 : 0, \"\\n\";"
              " kill 9, @all; wait for @all; exit !defined fork' && cat /proc/sys/kernel/threads-max")
    run = w.do("/bin/sh", "-c", script, seconds=60)
    words = run.stdout.split()
    if run.status != 0 or len(words) < 3 or not 30 <= int(words[0]) <= 39 or words[1] != b"1" or words[-1] != b"40":
        fail(f"{run.ended()}: {run.stdout[:300]!r} {run.stderr[:300]!r}")


def out_of_memory(w):
    large = w.dir / "large"
    with open(large, "wb") as file:
        file.truncate(300 << 20)
    env = w.env | {"OCCLUM_LOG_LEVEL": "error", "OOM_FILE": str(large)}
    run = w.do(guest(w, "oom"), flags=("--quiet", "--memory", MEMORY), env=env, seconds=180)
    all_cases(run, 8)
    lines = [line for line in run.stderr.decode("utf-8", "replace").splitlines() if "out of memory" in line]
    if not lines or not all(re.search(r"process \d+ \(.+\) is killed: it holds \d+ KiB", line) for line in lines):
        fail(f"a line for each process that is killed was expected: {run.stderr[:1000]!r}")


def processor_times():
    """Of all processors so far: idle or waiting for a disk, and all (proc_stat(5))."""
    times = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return times[3] + times[4], sum(times)


def short_processes(w):
    """1,000 a second if the machine had time left for them; a tenth of that even if it had none."""
    seconds = 3600 if w.long else 120
    idle, total = processor_times()
    run = w.do(guest(w, "short_processes"), seconds, seconds=seconds * 1.5 + 60)
    idle, total = (now - before for now, before in zip(processor_times(), (idle, total)))
    all_cases(run, 1)
    print("      " + run.stderr.decode("utf-8", "replace").strip().replace("\n", "\n      "))
    rate = int(re.search(rb"short_processes: (\d+) in", run.stderr)[1]) / seconds
    least = 990 if idle > total / 10 else 100
    if rate < least:
        fail(f"{rate:.0f} a second, of a machine that was idle for {idle / total:.0%} of the time")


def failing_programs():
    return sorted({p.name for p in run_guest.read_table()} - NOT_FAILING.keys())


def failing(w, env: dict[str, str]):
    """Each system call's test with allocations that fail: the LibOS goes on, and nothing is left behind."""
    seed = int(time.time())
    names = failing_programs()
    if not w.long:
        names = random.Random(seed).sample([n for n in names if n not in SLOW], FAILING_AT_ONCE)
    wrong = []
    for name in names:
        rounds = LONG_ROUNDS if w.long and name not in SLOW else FAILING_ROUNDS
        run = w.do(guest(w, "failing"), rounds, seed, guest(w, name), seconds=60 + 30 * rounds,
                   env=w.env | {"OCCLUM_LOG_LEVEL": "error"} | env)
        text = run.stdout.decode("utf-8", "replace")
        if run.status != 0 or " rounds: " not in text:
            wrong.append(f"{name}, seed {seed}: {run.ended()}\n{harness.show(run.stdout)}\n"
                         + harness.show(b"\n".join(run.stderr.splitlines()[-10:])))
    if wrong:
        fail("\n  ".join(wrong))


def failing_allocations(w):
    failing(w, {})


def failing_pages(w):
    failing(w, {"FAILING_PAGES": "1"})


# --- nothing to do ---

def processor_ticks(pid: int) -> int:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])  # of 10 ms: utime, stime


def idle_window(w, script: str):
    """Ticks that the enclave's host process used while nothing happened: the program says when it begins to sleep."""
    process = subprocess.Popen([w.occlum, "do", "--quiet", "/usr/bin/perl", "-e", script], env=w.env, cwd=w.dir,
                               stdout=subprocess.PIPE, start_new_session=True)
    try:
        if not select.select([process.stdout], [], [], 60)[0] or process.stdout.read(1) != b"R":
            fail("the program did not begin")
        window = select.poll()
        window.register(process.stdout, select.POLLIN)
        window.poll(1000)  # what it does behind its word: start to sleep, free ranges given back
        before = processor_ticks(process.pid)
        if window.poll(2000):
            fail("the program ended early")
        return processor_ticks(process.pid) - before
    finally:
        harness.kill_session(process)
        process.wait()


SLEEPERS = {
    "pause": "$|=1; print 'R'; select(undef,undef,undef,undef) while 1;",
    "fifty processes": "$|=1; for (1..50) { if (!fork) { select(undef,undef,undef,undef) while 1 } } "
                       "select(undef,undef,undef,0.5); print 'R'; select(undef,undef,undef,undef) while 1;",
    "a timer": "$|=1; alarm 10; print 'R'; select(undef,undef,undef,undef) while 1;",
}


def idle(w):
    for name, script in SLEEPERS.items():
        ticks = idle_window(w, script)
        if ticks > 2:
            fail(f"{name}: a sleeping enclave used {ticks} ticks of 10 ms in 2 s")


TESTS = {"hard.memory_option": limited_memory, "hard.threads_max": limited_threads, "hard.out_of_memory": out_of_memory,
         "hard.short_processes": short_processes, "hard.failing_allocations": failing_allocations,
         "hard.failing_pages": failing_pages, "hard.idle": idle}
ALONE = {"hard.idle"}
HOURS = {"hard.short_processes", "hard.failing_allocations", "hard.failing_pages"}  # with --long
