"""gdb and strace inside, on programs inside. What differs from run to run (addresses, numbers of processes) is taken out."""

import pathlib
import subprocess

from table import Spec

PROGRAM = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct point { int x, y; };
static int total;
static volatile int answer = 1;
static volatile long spins;

static int twice(int n) { total += n; return 2 * n; }
static int walk(struct point *p, int depth) {
  if (depth == 0) return twice(p->x) + p->y;
  p->x++;
  return walk(p, depth - 1);
}
static volatile int is_spinning;
static void *spin(void *stop) { is_spinning = 1; while (!*(volatile int *)stop) spins++; return 0; }
static int in_child(int n) { return n + 3; }
static __thread int own = 7;
static void *die(void *place) {
  char state = 'R';
  while (state != 'S') {  // until main() waits for this thread
    char path[60];
    sprintf(path, "/proc/self/task/%d/stat", getpid());
    FILE *file = fopen(path, "r");
    if (fscanf(file, "%*d %*s %c", &state) != 1) return 0;
    fclose(file);
  }
  own += *(int *)place;
  abort();
}

int main(int argc, char **argv) {
  struct point p = {argc, 5};
  int r = walk(&p, 3);
  for (int i = 0; i < 3; i++) r += twice(i);
  printf("result %d total %d\n", r, total);
  fflush(stdout);
  if (argc > 1 && argv[1][0] == 'w') {
    char byte;
    while (read(0, &byte, 1) == 1) r += answer;
    printf("read to the end, answer %d\n", answer);
  }
  if (argc > 1 && argv[1][0] == 't') {
    int stop = 0;
    pthread_t thread;
    pthread_create(&thread, 0, spin, &stop);
    while (!is_spinning) continue;
    for (int i = 0; i < 5; i++) r += twice(i);
    stop = 1;
    pthread_join(thread, 0);
  }
  if (argc > 1 && argv[1][0] == 'd') {
    pthread_t thread;
    pthread_create(&thread, 0, die, &p.y);
    pthread_join(thread, 0);
  }
  pid_t child = fork();
  if (child == 0) {
    if (write(1, "child\n", 6) != 6) _exit(1);
    _exit(in_child(argc));
  }
  int status;
  waitpid(child, &status, 0);
  printf("child ended with %d\n", WEXITSTATUS(status));
  return r & 7;
}
"""

STEPS = """
break main
break twice
run
bt
print argc
continue
bt
print n
print total
finish
stepi
stepi
stepi
x/2i $pc
next
next
delete
call twice(100)
print total
watch total
continue
continue
delete
step
step
catch syscall write
continue
continue
print $_siginfo.si_signo
print $rip == $rcx
info registers cs ss orig_rax
delete
set var $xmm3.uint128 = 5
print $xmm3.uint128
set follow-fork-mode child
break in_child
continue
bt 1
finish
continue
"""

# What a processor has debug registers for.
WATCHES = """
break main
run
hbreak twice
continue
bt 1
awatch total
continue
continue
continue
delete
watch total
watch answer if answer > 5
rwatch spins
continue
continue
info watchpoints
delete
continue
"""

THREADS = """
break twice if n == 4
run
bt
info threads
thread apply all bt 1
next
next
continue
"""

# Processes are named in the order in which they appear, each with its own lines: how they interleave is chance.
NORMAL = (r"sed -E 's/0x[0-9a-f]+/ADDR/g; s/process [0-9]+/process PID/g; s/LWP [0-9]+/LWP N/g; s/ +/ /g; s/child_tidptr=ADDR\) = [0-9]+/child_tidptr=ADDR) = PID/;"
          r" s/si_pid=[0-9]+/si_pid=PID/; s/si_[us]time=[0-9]+/si_time=T/g; s/^\[New Thread.*//'")
BY_PROCESS = "awk '{ if (!($1 in seen)) seen[$1] = ++n; $1 = seen[$1]; print }' | sort -s -n -k1,1"
GDB = "gdb -nx -batch -ex 'set confirm off' -ex 'set pagination off'"


def program(directory: pathlib.Path):
    (directory / "program.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-O0", "-g", "-pthread", "-o", "program", "program.c"], cwd=directory, check=True)
    (directory / "steps.gdb").write_text(STEPS)
    (directory / "watches.gdb").write_text(WATCHES)
    (directory / "threads.gdb").write_text(THREADS)


def bash(name: str, script: str, **more) -> Spec:
    return Spec(name, ["/bin/bash", "-c", script], prepare=program, **{"seconds": 30, **more})


def specs() -> list[Spec]:
    return [
        bash("strace.calls", f"strace -f -o log -e trace=execve,openat,write,clone,exit_group,read,close {{dir}}/program; echo $?; cat log | {BY_PROCESS} | {NORMAL}"),
        bash("strace.injects", "strace -o log -e trace=write -e inject=write:error=ENOSPC:when=2 bash -c 'echo one; echo two; echo three'; cat log"),
        bash("strace.counts", "strace -c -f -o log {dir}/program; awk '/write|clone|wait4|exit_group/ { print $4, $NF }' log | sort"),
        bash("strace.attaches", "mkfifo f; {dir}/program wait < f & p=$!; exec 9> f; echo -n ab >&9; strace -f -e trace=read,write,exit_group -o log -p $p 2> err 9>&- & s=$!;"
             " until grep -q 'TracerPid:.[1-9]' /proc/$p/status; do :; done; echo -n c >&9; exec 9>&-; wait $p; echo $?; wait $s; echo $?;"
             f" grep -v 'read(0' log | {BY_PROCESS} | {NORMAL}; sed -E 's/[0-9]+/N/' err | sort"),
        bash("strace.signals", "strace -o log -e trace=none bash -c 'trap \"echo usr\" USR1; kill -USR1 $$; (exit 3); kill -9 $$'; echo $?;" f" {NORMAL} log"),
        bash("gdb.steps", f"{GDB} -x {{dir}}/steps.gdb {{dir}}/program 2>&1 | {NORMAL} | sort | uniq -c"),
        bash("gdb.watches", f"{GDB} -x {{dir}}/watches.gdb {{dir}}/program 2>&1 | {NORMAL} | sort | uniq -c"),
        bash("gdb.threads", f"{GDB} -x {{dir}}/threads.gdb --args {{dir}}/program threads 2>&1 | {NORMAL} | grep -v 'exited\\]\\|^.Detaching after fork'"),  # its line and the child's come in any order
        bash("gdb.attaches", "mkfifo f; {dir}/program wait < f & p=$!; exec 9> f; until grep -q 'State:.S' /proc/$p/status; do :; done;"
             f" {GDB} -ex 'break twice' -ex 'bt -2' -ex 'print total' -ex 'set var answer = 42' -ex detach -p $p 2>&1 | {NORMAL} | grep -v '^ *[0-9]*.*sysdeps'; exec 9>&-; wait $p; echo $?"),
        bash("gdb.core", "mkdir d; cd d; ulimit -c unlimited; {dir}/program die; echo $?;"
             f" {GDB} -ex 'info threads' -ex 'thread apply all bt' -ex 'print own' -ex 'print total' -ex 'print answer'"
             " -ex 'thread 2' -ex 'info proc exe' {dir}/program core 2> /dev/null"
             f" | {NORMAL} | sed -E 's/(expected|threadid)=[0-9]+/\\1=N/g'"),
        bash("gdb.crash", "echo 'int main(void) { int *p = 0; return *p; }' > c.c; gcc -g -o c c.c;"
             f" {GDB} -ex run -ex bt -ex 'print $_siginfo._sifields._sigfault.si_addr' -ex 'print p' ./c 2>&1 | {NORMAL}"),
    ]
