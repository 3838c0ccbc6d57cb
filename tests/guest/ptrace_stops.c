// ptrace(2): stops for signals and system calls, and what a tracer may change there.
#include "tracee.h"

CASE(traceme_stops_and_goes_on) {
  pid_t pid = tracee(return_five, 0);
  siginfo_t info;
  CHECK_OK(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
  CHECK_EQ(info.si_signo, SIGSTOP);
  CHECK_EQ(info.si_code, SI_TKILL);
  CHECK_EQ(info.si_pid, pid);
  int status;
  CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);  // reported once
  go(pid, 0);
  CHECK_EQ(end_of(pid), 5 << 8);
  CHECK_ERRNO(trace(PTRACE_CONT, pid, 0, 0), ESRCH);
}

CASE(waitid_of_a_stop) {
  pid_t pid = tracee(return_five, 0);
  go(pid, SIGSTOP);  // now a real stop: group-stop
  siginfo_t info = {};
  CHECK_OK(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT));
  CHECK_EQ(info.si_code, CLD_TRAPPED);
  CHECK_EQ(info.si_status, SIGSTOP);
  CHECK_EQ(stop_of(pid), SIGSTOP);
  CHECK_ERRNO(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info), EINVAL);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 5 << 8);
}

CASE(signals_are_delivered_changed_or_dropped) {
  static const struct {
    int deliver, result;
  } ways[] = {{SIGUSR1, 1}, {SIGUSR2, 10}, {0, 0}};
  for (int i = 0; i < 3; i++) {
    pid_t pid = tracee(raise_usr1, 0);
    go(pid, 0);
    CHECK_EQ(stop_of(pid), SIGUSR1);
    go(pid, ways[i].deliver);
    CHECK_EQ(end_of(pid), ways[i].result << 8);
  }
  pid_t pid = tracee(raise_usr1, 0);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGUSR1);
  go(pid, SIGKILL);
  CHECK_EQ(end_of(pid), SIGKILL);
}

static int raise_ignored(void) {
  signal(SIGUSR1, SIG_IGN);
  raise(SIGUSR1);
  raise(SIGWINCH);
  return 3;
}

CASE(ignored_signals_are_reported) {
  pid_t pid = tracee(raise_ignored, 0);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGUSR1);
  go(pid, SIGUSR1);
  CHECK_EQ(stop_of(pid), SIGWINCH);
  go(pid, SIGWINCH);
  CHECK_EQ(end_of(pid), 3 << 8);
}

static volatile int value_seen;
static void with_value(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  value_seen = info->si_value.sival_int;
}
static int take_value(void) {
  struct sigaction action = {.sa_sigaction = with_value, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  union sigval value = {.sival_int = 3};
  sigqueue(getpid(), SIGUSR1, value);
  return value_seen;
}

CASE(siginfo_can_be_changed) {
  pid_t pid = tracee(take_value, 0);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGUSR1);
  siginfo_t info;
  CHECK_OK(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
  CHECK_EQ(info.si_code, SI_QUEUE);
  CHECK_EQ(info.si_value.sival_int, 3);
  info.si_value.sival_int = 44;
  CHECK_OK(trace(PTRACE_SETSIGINFO, pid, 0, (unsigned long)&info));
  go(pid, SIGUSR1);
  CHECK_EQ(end_of(pid), 44 << 8);
}

static int block_and_raise(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  kill(getpid(), SIGUSR1);
  kill(getpid(), SIGTERM);
  return 6;
}

CASE(the_mask_can_be_read_and_changed) {
  pid_t pid = tracee(block_and_raise, 0);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGUSR1);
  uint64_t mask = 0;
  CHECK_ERRNO(trace(PTRACE_GETSIGMASK, pid, 4, (unsigned long)&mask), EINVAL);
  CHECK_OK(trace(PTRACE_GETSIGMASK, pid, 8, (unsigned long)&mask));
  CHECK_EQ(mask, 1L << (SIGTERM - 1));
  mask = 0;
  CHECK_OK(trace(PTRACE_SETSIGMASK, pid, 8, (unsigned long)&mask));
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTERM);
  go(pid, SIGTERM);
  CHECK_EQ(end_of(pid), SIGTERM);
}

CASE(faults_are_reported_with_their_address) {
  pid_t pid = tracee(crash, 0);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGSEGV);
  siginfo_t info;
  CHECK_OK(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
  CHECK_EQ(info.si_code, SEGV_MAPERR);
  go(pid, SIGSEGV);
  CHECK_EQ(WTERMSIG(end_of(pid)), SIGSEGV);
}

CASE(sigkill_ends_any_stop) {
  pid_t pid = tracee(return_five, 0);
  kill(pid, SIGKILL);
  CHECK_EQ(end_of(pid), SIGKILL);
  pid = tracee(return_five, 0);
  CHECK_OK(trace(PTRACE_KILL, pid, 0, 0));
  CHECK_EQ(end_of(pid), SIGKILL);
}

// --- system calls ---

static int make_calls(void) {
  long group = syscall(SYS_getppid);
  long file = syscall(SYS_dup, 12345);
  return (group > 0) + 2 * (file == 33);
}

CASE(syscall_stops_come_in_pairs) {
  pid_t pid = tracee(make_calls, PTRACE_O_TRACESYSGOOD);
  int seen_dup = 0, entries = 0, exits = 0, inside = 0;
  while (1) {
    CHECK_OK(trace(PTRACE_SYSCALL, pid, 0, 0));
    int status;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status)) {
      CHECK_EQ(WEXITSTATUS(status), 1);
      break;
    }
    REQUIRE(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
    siginfo_t info;
    CHECK_OK(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
    CHECK_EQ(info.si_code, SIGTRAP | 0x80);
    struct user_regs_struct registers = registers_of(pid);
    struct {
      uint8_t op, pad[3];
      uint32_t arch;
      uint64_t ip, sp, words[7];
    } call;
    long size = trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof call, (unsigned long)&call);
    CHECK_EQ(call.arch, 0xc000003e);
    CHECK_EQ(call.ip, registers.rip);
    CHECK_EQ(call.sp, registers.rsp);
    inside = !inside;
    if (inside) {
      entries++;
      CHECK_EQ(registers.rax, -ENOSYS);
      CHECK_EQ(call.op, PTRACE_SYSCALL_INFO_ENTRY);
      CHECK_EQ(size, 80);
      CHECK_EQ(call.words[0], registers.orig_rax);
      CHECK_EQ(call.words[1], registers.rdi);
    } else {
      exits++;
      CHECK_EQ(call.op, PTRACE_SYSCALL_INFO_EXIT);
      CHECK_EQ(size, 33);
      CHECK_EQ(call.words[0], registers.rax);
      if (registers.orig_rax == SYS_dup) {
        CHECK_EQ(registers.rdi, 12345);
        CHECK_EQ(registers.rax, -EBADF);
        CHECK_EQ((uint8_t)call.words[1], 1);
        seen_dup = 1;
      }
    }
    CHECK_EQ(registers.rcx, registers.rip);
    CHECK_EQ(registers.cs, 0x33);
    CHECK_EQ(registers.ss, 0x2b);
  }
  CHECK_EQ(seen_dup, 1);
  CHECK_EQ(entries, exits + 1);  // exit_group does not come back
}

// Runs to the entry of the call with this number.
static void go_to_call(pid_t pid, unsigned long number) {
  for (int inside = 0;; inside = !inside) {
    REQUIRE(trace(PTRACE_SYSCALL, pid, 0, 0) == 0);
    REQUIRE(stop_of(pid) == (SIGTRAP | 0x80));
    if (!inside && registers_of(pid).orig_rax == number) return;
  }
}

CASE(a_call_can_be_skipped) {
  pid_t pid = tracee(make_calls, PTRACE_O_TRACESYSGOOD);
  go_to_call(pid, SYS_dup);
  CHECK_OK(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1));
  CHECK_OK(trace(PTRACE_SYSCALL, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
  struct user_regs_struct registers = registers_of(pid);
  CHECK_EQ(registers.rax, -ENOSYS);
  CHECK_EQ(registers.orig_rax, -1);
  registers.rax = 33;
  CHECK_OK(trace(PTRACE_SETREGS, pid, 0, (unsigned long)&registers));
  go(pid, 0);
  CHECK_EQ(end_of(pid), 3 << 8);
}

CASE(a_call_can_be_changed) {
  pid_t pid = tracee(make_calls, PTRACE_O_TRACESYSGOOD);
  go_to_call(pid, SYS_dup);
  struct user_regs_struct registers = registers_of(pid);
  registers.orig_rax = SYS_exit_group;
  registers.rdi = 77;
  CHECK_OK(trace(PTRACE_SETREGS, pid, 0, (unsigned long)&registers));
  go(pid, 0);
  CHECK_EQ(end_of(pid), 77 << 8);
}

CASE(stops_without_sysgood) {
  pid_t pid = tracee(make_calls, 0);
  CHECK_OK(trace(PTRACE_SYSCALL, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGTRAP);
  struct {
    uint8_t op;
    char rest[79];
  } call;
  CHECK_EQ(trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof call, (unsigned long)&call), 24);
  CHECK_EQ(call.op, 0);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 1 << 8);
}

static int sleep_a_little(void) {
  struct timespec time = {0, 200 * 1000000}, rest = {0, 0};
  int result = nanosleep(&time, &rest);
  return result == 0 ? 4 : errno;
}

CASE(an_interrupted_call_goes_on) {
  pid_t pid = tracee(sleep_a_little, PTRACE_O_TRACESYSGOOD);
  go_to_call(pid, SYS_clock_nanosleep);
  CHECK_OK(trace(PTRACE_SYSCALL, pid, 0, 0));
  CHECK_OK(kill(pid, SIGUSR1));
  CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
  CHECK_EQ(registers_of(pid).rax, -516);  // ERESTART_RESTARTBLOCK
  CHECK_OK(trace(PTRACE_SYSCALL, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGUSR1);
  CHECK_OK(trace(PTRACE_SYSCALL, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
  CHECK_EQ(registers_of(pid).orig_rax, SYS_restart_syscall);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 4 << 8);
}

CHECK_MAIN
