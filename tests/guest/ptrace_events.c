// ptrace(2): events, attaching, tracers that are no parents, errors.
#include "tracee.h"

static unsigned long message_of(pid_t pid) {
  unsigned long message = 0;
  CHECK_OK(trace(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&message));
  return message;
}

static int fork_a_child(void) {
  pid_t pid = fork();
  if (pid == 0) _exit(2);
  int status;
  waitpid(pid, &status, 0);
  return 10 + WEXITSTATUS(status);
}

CASE(fork_event) {
  pid_t pid = tracee(fork_a_child, PTRACE_O_TRACEFORK);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_FORK << 8);
  pid_t child = (pid_t)message_of(pid);
  siginfo_t info;
  CHECK_OK(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
  CHECK_EQ(info.si_code, SIGTRAP | PTRACE_EVENT_FORK << 8);
  CHECK_EQ(stop_of(child), SIGSTOP);
  go(child, 0);
  CHECK_EQ(end_of(child), 2 << 8);  // the tracer hears of it, and then the parent
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGCHLD);
  go(pid, SIGCHLD);
  CHECK_EQ(end_of(pid), 12 << 8);
}

static int vfork_a_child(void) {
  pid_t pid = vfork();
  if (pid == 0) _exit(3);
  int status;
  waitpid(pid, &status, 0);
  return 10 + WEXITSTATUS(status);
}

CASE(vfork_and_its_end) {
  pid_t pid = tracee(vfork_a_child, PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_VFORK << 8);
  pid_t child = (pid_t)message_of(pid);
  CHECK_EQ(stop_of(child), SIGSTOP);
  go(pid, 0);
  go(child, 0);
  CHECK_EQ(end_of(child), 3 << 8);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_VFORK_DONE << 8);
  CHECK_EQ((pid_t)message_of(pid), child);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGCHLD);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 13 << 8);
}

static int exec_true(void) {
  execl("/bin/true", "true", NULL);
  return 1;
}

CASE(exec_traps) {
  pid_t pid = tracee(exec_true, 0);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP);
  siginfo_t info;
  CHECK_OK(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
  CHECK_EQ(info.si_code, SI_USER);
  CHECK_EQ(registers_of(pid).rax, 0);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 0);
  pid = tracee(exec_true, PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_EXEC << 8);
  CHECK_EQ((pid_t)message_of(pid), pid);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_EXIT << 8);
  CHECK_EQ(message_of(pid), 0);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 0);
}

CASE(exit_event) {
  pid_t pid = tracee(return_five, PTRACE_O_TRACEEXIT);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_EXIT << 8);
  CHECK_EQ(message_of(pid), 5 << 8);
  CHECK(registers_of(pid).rip != 0);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 5 << 8);
  pid = tracee(crash, PTRACE_O_TRACEEXIT);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGSEGV);
  go(pid, SIGTERM);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_EXIT << 8);
  CHECK_EQ(message_of(pid), SIGTERM);
  go(pid, 0);
  CHECK_EQ(end_of(pid), SIGTERM);
}

static void* end_thread(void* unused) { return unused; }
static int make_a_thread(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, end_thread, NULL);
  pthread_join(thread, NULL);
  raise(SIGUSR1);  // join may return before the thread is a zombie
  return 14;
}

CASE(threads_are_traced_and_waited_for) {
  pid_t pid = tracee(make_a_thread, PTRACE_O_TRACECLONE);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_CLONE << 8);
  pid_t thread = (pid_t)message_of(pid);
  CHECK_EQ(stop_of(thread), SIGSTOP);
  go(pid, 0);
  go(thread, 0);
  CHECK_EQ(end_of(thread), 0);
  CHECK_EQ(stop_of(pid), SIGUSR1);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 14 << 8);
}

static void* sleep_for_ever(void* unused) {
  while (1) pause();
  return unused;
}
static int exit_with_threads(void) {
  pthread_t thread;
  for (int i = 0; i < 2; i++) pthread_create(&thread, NULL, sleep_for_ever, NULL);
  return 15;
}

CASE(the_leader_ends_last) {
  pid_t pid = tracee(exit_with_threads, PTRACE_O_TRACECLONE);
  for (int i = 0; i < 2; i++) {
    go(pid, 0);
    CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_CLONE << 8);
    pid_t thread = (pid_t)message_of(pid);
    CHECK_EQ(stop_of(thread), SIGSTOP);
    go(thread, 0);
  }
  go(pid, 0);
  for (int i = 0; i < 3; i++) {
    int status;
    pid_t ended = waitpid(-1, &status, __WALL);
    CHECK_EQ(status, 15 << 8);
    CHECK_EQ(ended == pid, i == 2);
  }
}

static void* exec_from_thread(void* unused) {
  execl("/bin/true", "true", NULL);
  return unused;
}
static int exec_in_a_thread(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, exec_from_thread, NULL);
  while (1) pause();
  return 0;
}

CASE(exec_by_another_thread) {
  pid_t pid = tracee(exec_in_a_thread, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_CLONE << 8);
  pid_t thread = (pid_t)message_of(pid);
  CHECK_EQ(stop_of(thread), SIGSTOP);
  go(pid, 0);
  go(thread, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_EXEC << 8);
  CHECK_EQ((pid_t)message_of(pid), thread);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 0);
  CHECK_ERRNO(waitpid(-1, NULL, __WALL), ECHILD);
}

// --- attach, seize, detach ---

CASE(attach_and_detach) {
  pid_t pid = free_process(wait_to_be_told);
  CHECK_OK(trace(PTRACE_ATTACH, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGSTOP);
  CHECK_ERRNO(trace(PTRACE_ATTACH, pid, 0, 0), EPERM);
  go(pid, 0);
  CHECK_ERRNO(trace(PTRACE_GETEVENTMSG, pid, 0, 8), ESRCH);  // it runs
  CHECK_ERRNO(trace(PTRACE_DETACH, pid, 0, 0), ESRCH);
  kill(pid, SIGUSR1);
  CHECK_EQ(stop_of(pid), SIGUSR1);
  CHECK_ERRNO(trace(PTRACE_DETACH, pid, 0, 65), EIO);
  CHECK_OK(trace(PTRACE_DETACH, pid, 0, 0));
  CHECK_ERRNO(trace(PTRACE_CONT, pid, 0, 0), ESRCH);
  tell();
  CHECK_EQ(end_of(pid), 7 << 8);
  pid = free_process(wait_to_be_told);
  CHECK_OK(trace(PTRACE_ATTACH, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGSTOP);
  CHECK_OK(trace(PTRACE_DETACH, pid, 0, SIGTERM));
  CHECK_EQ(end_of(pid), SIGTERM);
  tell();
}

static volatile long counter;
static int spinning[2];
static int spin(void) {
  if (write(spinning[1], "x", 1) != 1) return 1;
  while (1) counter++;
  return 0;
}

CASE(attach_to_one_that_computes) {
  char byte;
  REQUIRE(pipe(spinning) == 0);
  pid_t pid = free_process(spin);
  CHECK_EQ(read(spinning[0], &byte, 1), 1);
  CHECK_OK(trace(PTRACE_ATTACH, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGSTOP);
  long first, second;
  CHECK_OK(trace(PTRACE_PEEKDATA, pid, (unsigned long)&counter, (unsigned long)&first));
  CHECK_OK(trace(PTRACE_PEEKDATA, pid, (unsigned long)&counter, (unsigned long)&second));
  CHECK_EQ(first, second);
  for (int i = 0; i < 20; i++) {
    CHECK_OK(trace(PTRACE_SINGLESTEP, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP);
  }
  CHECK_OK(trace(PTRACE_PEEKDATA, pid, (unsigned long)&counter, (unsigned long)&second));
  CHECK(second > first && second <= first + 20);
  CHECK_OK(trace(PTRACE_DETACH, pid, 0, SIGKILL));
  CHECK_EQ(end_of(pid), SIGKILL);
  tell();
}

CASE(attach_to_a_stopped_process) {
  pid_t pid = free_process(wait_to_be_told);
  int status;
  kill(pid, SIGSTOP);
  REQUIRE(waitpid(pid, &status, WUNTRACED) == pid);
  CHECK_OK(trace(PTRACE_ATTACH, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGSTOP);
  CHECK_OK(trace(PTRACE_DETACH, pid, 0, 0));
  CHECK_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);  // it was reported before
  kill(pid, SIGCONT);
  CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
  CHECK(WIFCONTINUED(status));
  tell();
  CHECK_EQ(end_of(pid), 7 << 8);
}

CASE(seize_interrupt_and_listen) {
  pid_t pid = free_process(wait_to_be_told);
  CHECK_ERRNO(trace(PTRACE_SEIZE, pid, 8, 0), EIO);
  CHECK_ERRNO(trace(PTRACE_SEIZE, pid, 0, 0x40000000), EIO);
  CHECK_OK(trace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
  int status;
  CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
  CHECK_OK(trace(PTRACE_INTERRUPT, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
  go(pid, 0);
  kill(pid, SIGTSTP);
  CHECK_EQ(stop_of(pid), SIGTSTP);
  go(pid, SIGSTOP);
  CHECK_EQ(stop_of(pid), SIGSTOP | PTRACE_EVENT_STOP << 8);
  CHECK_OK(trace(PTRACE_LISTEN, pid, 0, 0));
  CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
  CHECK_ERRNO(trace(PTRACE_CONT, pid, 0, 0), ESRCH);
  kill(pid, SIGCONT);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGCONT);
  CHECK_ERRNO(trace(PTRACE_LISTEN, pid, 0, 0), EIO);
  CHECK_OK(trace(PTRACE_DETACH, pid, 0, 0));
  tell();
  CHECK_EQ(end_of(pid), 7 << 8);
  pid = free_process(wait_to_be_told);
  CHECK_OK(trace(PTRACE_ATTACH, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGSTOP);
  CHECK_ERRNO(trace(PTRACE_INTERRUPT, pid, 0, 0), EIO);
  CHECK_ERRNO(trace(PTRACE_LISTEN, pid, 0, 0), EIO);
  CHECK_OK(trace(PTRACE_DETACH, pid, 0, 0));
  tell();
  CHECK_EQ(end_of(pid), 7 << 8);
}

static int fork_when_told(void) {
  (void)wait_to_be_told();
  return fork_a_child();
}

CASE(a_new_child_of_a_seized_process) {
  pid_t pid = free_process(fork_when_told);
  CHECK_OK(trace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEFORK));
  tell();
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_FORK << 8);
  pid_t child = (pid_t)message_of(pid);
  CHECK_EQ(stop_of(child), SIGTRAP | PTRACE_EVENT_STOP << 8);
  go(child, 0);
  CHECK_EQ(end_of(child), 2 << 8);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGCHLD);
  go(pid, SIGCHLD);
  CHECK_EQ(end_of(pid), 12 << 8);
}

CASE(group_stop) {
  pid_t pid = tracee(wait_to_be_told, 0);
  go(pid, SIGSTOP);
  CHECK_EQ(stop_of(pid), SIGSTOP);  // it stops: a group-stop
  siginfo_t info;
  CHECK_ERRNO(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info), EINVAL);
  kill(pid, SIGKILL);
  CHECK_EQ(end_of(pid), SIGKILL);
}

// --- tracers that are not the parent, and that end ---

static void tracer_that_ends(pid_t target, long options, int report) {
  if (trace(PTRACE_SEIZE, target, 0, options) != 0) _exit(1);
  if (trace(PTRACE_INTERRUPT, target, 0, 0) != 0) _exit(2);
  int status;
  if (waitpid(target, &status, __WALL) != target) _exit(3);
  if (write(report, "x", 1) != 1) _exit(4);
  _exit(0);
}

CASE(a_tracer_that_ends_lets_go) {
  for (int kills = 0; kills < 2; kills++) {
    pid_t pid = free_process(wait_to_be_told);
    int report[2];
    REQUIRE(pipe(report) == 0);
    fflush(stdout);
    pid_t tracer = fork();
    if (tracer == 0) tracer_that_ends(pid, kills ? PTRACE_O_EXITKILL : 0, report[1]);
    char byte;
    CHECK_EQ(read(report[0], &byte, 1), 1);
    CHECK_EQ(end_of(tracer), 0);
    if (!kills) tell();
    CHECK_EQ(end_of(pid), kills ? SIGKILL : 7 << 8);
    if (kills) tell();
    close(report[0]);
    close(report[1]);
  }
}

CASE(the_tracer_hears_of_the_end_before_the_parent) {
  pid_t pid = free_process(wait_to_be_told);
  int report[2], answer[2];
  REQUIRE(pipe(report) == 0 && pipe(answer) == 0);
  fflush(stdout);
  pid_t tracer = fork();
  if (tracer == 0) {
    char byte;
    close(told[1]);
    if (trace(PTRACE_SEIZE, pid, 0, 0) != 0 || write(report[1], "a", 1) != 1) _exit(1);
    siginfo_t info;
    if (waitid(P_PID, pid, &info, WEXITED | WNOWAIT | __WALL) != 0) _exit(2);
    if (info.si_code != CLD_EXITED || info.si_status != 7) _exit(3);
    if (write(report[1], "b", 1) != 1 || read(answer[0], &byte, 1) != 1) _exit(4);
    int status;
    if (waitpid(pid, &status, __WALL) != pid || status != 7 << 8) _exit(5);
    _exit(0);
  }
  char byte;
  int status;
  CHECK_EQ(read(report[0], &byte, 1), 1);
  tell();
  CHECK_EQ(read(report[0], &byte, 1), 1);
  CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);  // a zombie, and not yet ours
  CHECK_EQ(write(answer[1], "x", 1), 1);
  CHECK_EQ(end_of(pid), 7 << 8);
  CHECK_EQ(end_of(tracer), 0);
}

// --- errors ---

CASE(errors) {
  CHECK_ERRNO(trace(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
  CHECK_ERRNO(trace(PTRACE_ATTACH, 999999, 0, 0), ESRCH);
  CHECK_ERRNO(trace(PTRACE_ATTACH, -1, 0, 0), ESRCH);
  CHECK_ERRNO(trace(PTRACE_CONT, getppid(), 0, 0), ESRCH);
  CHECK_ERRNO(trace(12345, getpid(), 0, 0), ESRCH);
  pid_t pid = tracee(return_five, 0);
  CHECK_ERRNO(trace(12345, pid, 0, 0), EIO);
  CHECK_ERRNO(trace(PTRACE_CONT, pid, 0, 65), EIO);
  CHECK_ERRNO(trace(PTRACE_CONT, pid, 0, -1), EIO);
  CHECK_ERRNO(trace(PTRACE_SETOPTIONS, pid, 0, 0x40000000), EINVAL);
  CHECK_ERRNO(trace(PTRACE_GETEVENTMSG, pid, 0, 8), EFAULT);
  CHECK_ERRNO(trace(PTRACE_SETREGS, pid, 0, 8), EFAULT);
  CHECK_ERRNO(trace(PTRACE_GETSIGINFO, pid, 0, 8), EFAULT);
  CHECK_ERRNO(trace(PTRACE_LISTEN, pid, 0, 0), EIO);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 5 << 8);
}

static int trace_me_twice(void) {
  errno = 0;
  return trace(PTRACE_TRACEME, 0, 0, 0) == -1 && errno == EPERM ? 16 : 17;
}

CASE(traceme_once) {
  pid_t pid = tracee(trace_me_twice, 0);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 16 << 8);
}

CASE(permission) {
  if (geteuid() != 0) return;
  pid_t pid = free_process(wait_to_be_told);
  fflush(stdout);
  pid_t tracer = fork();
  if (tracer == 0) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    if (setgid(12345) != 0 || setuid(12345) != 0) _exit(1);
    if (trace(PTRACE_ATTACH, pid, 0, 0) != -1 || errno != EPERM) _exit(2);
    if (trace(PTRACE_SEIZE, pid, 0, 0) != -1 || errno != EPERM) _exit(3);
    if (open(path, O_RDONLY) != -1 || errno != EACCES) _exit(4);
    long word;
    struct iovec here = {&word, 8}, there = {(void*)&counter, 8};
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) != -1 || errno != EPERM) _exit(5);
    _exit(0);
  }
  CHECK_EQ(end_of(tracer), 0);
  tell();
  CHECK_EQ(end_of(pid), 7 << 8);
}

CHECK_MAIN
