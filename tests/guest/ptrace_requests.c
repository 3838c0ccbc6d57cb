// ptrace(2): system calls that are not made, steps to the next branch, and what a tracer can ask for besides.
#include <asm/prctl.h>
#include <linux/rseq.h>

#include "tracee.h"

#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#define PTRACE_SYSEMU_SINGLESTEP 32
#endif
#define ARCH_PRCTL 30
#define GET_RSEQ_CONFIGURATION 0x420f

// --- PTRACE_SYSEMU ---

static int ask_for_ids(void) {
  const long first = syscall(SYS_getppid, 1, 2, 3), second = syscall(SYS_getuid);
  return first == 1234 && second == -1 && errno == ENOSYS ? 5 : 6;
}

CASE(calls_are_not_made) {
  pid_t pid = tracee(ask_for_ids, PTRACE_O_TRACESYSGOOD);
  CHECK_OK(trace(PTRACE_SYSEMU, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
  struct user_regs_struct registers = registers_of(pid);
  CHECK_EQ(registers.orig_rax, SYS_getppid);
  CHECK_EQ((long)registers.rax, -ENOSYS);
  CHECK_EQ(registers.rdx, 3);
  unsigned long message = 0;
  CHECK_OK(trace(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&message));
  CHECK_EQ(message, 1);  // PTRACE_EVENTMSG_SYSCALL_ENTRY
  CHECK_OK(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), 1234));
  CHECK_OK(trace(PTRACE_SYSEMU, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);  // no stop when the call ends
  CHECK_EQ(registers_of(pid).orig_rax, SYS_getuid);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 5 << 8);
}

CASE(calls_that_are_not_made_end) {
  pid_t pid = tracee(ask_for_ids, PTRACE_O_TRACESYSGOOD);
  CHECK_OK(trace(PTRACE_SYSEMU, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
  CHECK_OK(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), 1234));
  CHECK_OK(trace(PTRACE_SYSCALL, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
  CHECK_EQ(registers_of(pid).orig_rax, SYS_getppid);
  CHECK_EQ(registers_of(pid).rax, 1234);
  CHECK_OK(trace(PTRACE_SYSCALL, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
  CHECK_EQ(registers_of(pid).orig_rax, SYS_getuid);
  CHECK_OK(trace(PTRACE_KILL, pid, 0, 0));
  CHECK_EQ(WTERMSIG(end_of(pid)), SIGKILL);
}

extern char call_start[];
__asm__(
    ".text\ncall_start:\n int3\n mov $39, %eax\n nop\n syscall\n nop\n nop\n mov $39, %eax\n "
    "syscall\n nop\n ret\n");
static int make_calls(void) {
  ((void (*)(void))call_start)();
  return 9;
}

// Where it is after each step, and what the stop was.
static void show_steps(long request, int steps, int options) {
  pid_t pid = tracee(make_calls, options);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP);
  for (int i = 0; i < steps; i++) {
    CHECK_OK(trace(request, pid, 0, 0));
    const int what = stop_of(pid);
    siginfo_t info;
    CHECK_OK(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
    const struct user_regs_struct registers = registers_of(pid);
    printf("  +%lx: %x %x rax %lld\n", (unsigned long)registers.rip - (unsigned long)call_start,
           what, info.si_code, (long long)registers.rax == pid ? 1 : (long long)registers.rax);
  }
  go(pid, 0);
  CHECK_EQ(end_of(pid), 9 << 8);
}

CASE(steps_to_calls_that_are_not_made) {
  show_steps(PTRACE_SYSEMU_SINGLESTEP, 8, PTRACE_O_TRACESYSGOOD);
}
CASE(steps_over_calls) { show_steps(PTRACE_SINGLESTEP, 8, PTRACE_O_TRACESYSGOOD); }

// --- PTRACE_SINGLEBLOCK ---

extern char blocks_start[], blocks_end[];
__asm__(
    ".text\nblocks_start:\n int3\n nop\n mov $2, %ecx\n1: nop\n dec %ecx\n jnz 1b\n nop\n call "
    "2f\n nop\n jmp 3f\n2: nop\n ret\n3: nop\n lea 4f(%rip), %rax\n jmp *%rax\n4: nop\n ret\n"
    "blocks_end:\n");
static int run_blocks(void) {
  ((void (*)(void))blocks_start)();
  return 9;
}

// A processor without that steps over one instruction.
CASE(steps_to_the_next_branch) {
  pid_t pid = tracee(run_blocks, 0);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP);
  int steps = 0;
  unsigned long at = registers_of(pid).rip;
  while (at >= (unsigned long)blocks_start && at < (unsigned long)blocks_end && steps < 50) {
    CHECK_OK(trace(PTRACE_SINGLEBLOCK, pid, 0, 0));
    REQUIRE(stop_of(pid) == SIGTRAP);
    at = registers_of(pid).rip;
    steps++;
    if (getenv("PTRACE_SHOW")) printf("  +%lx\n", at - (unsigned long)blocks_start);
  }
  CHECK(steps == 6 || steps == 19);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 9 << 8);
}

// --- PTRACE_PEEKSIGINFO ---

static int wait_with_signals(void) {
  sigset_t set;
  sigfillset(&set);
  sigprocmask(SIG_SETMASK, &set, NULL);
  for (int i = 0; i < 3; i++) sigqueue(getpid(), SIGRTMIN + 3 - i, (union sigval){.sival_int = i});
  syscall(SYS_tkill, syscall(SYS_gettid), SIGUSR1);
  __asm__ volatile("int3");
  return 4;
}

struct peek_arguments {
  unsigned long offset;
  unsigned flags;
  int count;
};

CASE(pending_signals) {
  pid_t pid = tracee(wait_with_signals, 0);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP);
  siginfo_t infos[8];
  struct peek_arguments arguments = {0, 1, 8};
  const unsigned long from = (unsigned long)&arguments, to = (unsigned long)infos;
  CHECK_EQ(trace(PTRACE_PEEKSIGINFO, pid, from, to), 3);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(infos[i].si_signo, SIGRTMIN + 3 - i);
    CHECK_EQ(infos[i].si_code, SI_QUEUE);
    CHECK_EQ(infos[i].si_value.sival_int, i);
    CHECK_EQ(infos[i].si_pid, pid);
  }
  arguments = (struct peek_arguments){1, 1, 1};
  CHECK_EQ(trace(PTRACE_PEEKSIGINFO, pid, from, to), 1);
  CHECK_EQ(infos[0].si_value.sival_int, 1);
  arguments = (struct peek_arguments){3, 1, 1};
  CHECK_EQ(trace(PTRACE_PEEKSIGINFO, pid, from, to), 0);
  arguments = (struct peek_arguments){-1ul, 1, 1};
  CHECK_EQ(trace(PTRACE_PEEKSIGINFO, pid, from, to), 0);
  arguments = (struct peek_arguments){0, 0, 8};
  CHECK_EQ(trace(PTRACE_PEEKSIGINFO, pid, from, to), 1);
  CHECK_EQ(infos[0].si_signo, SIGUSR1);
  CHECK_EQ(infos[0].si_code, SI_TKILL);
  CHECK_ERRNO(trace(PTRACE_PEEKSIGINFO, pid, from, 8), EFAULT);
  CHECK_ERRNO(trace(PTRACE_PEEKSIGINFO, pid, 8, to), EFAULT);
  arguments = (struct peek_arguments){0, 0, -1};
  CHECK_ERRNO(trace(PTRACE_PEEKSIGINFO, pid, from, to), EINVAL);
  arguments = (struct peek_arguments){0, 2, 1};
  CHECK_ERRNO(trace(PTRACE_PEEKSIGINFO, pid, from, to), EINVAL);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 4 << 8);
}

// --- what the thread has registered ---

static struct rseq own __attribute__((aligned(64)));
static int register_own(void) {
  const long result = syscall(SYS_rseq, &own, 32, 0, 0x53053053);
  __asm__ volatile("int3");
  return result == 0 ? 2 : 3;
}

CASE(rseq) {
  struct {
    uint64_t address;
    uint32_t size, signature, flags, padding;
  } found = {};
  pid_t pid = tracee(register_own, 0);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP);
  CHECK_EQ(trace(GET_RSEQ_CONFIGURATION, pid, sizeof found, (unsigned long)&found), sizeof found);
  CHECK_EQ(found.signature, 0x53053053);
  CHECK(found.address != 0 && found.size >= 20);
  CHECK_EQ(found.flags, 0);
  found.signature = 7;
  CHECK_EQ(trace(GET_RSEQ_CONFIGURATION, pid, 12, (unsigned long)&found), sizeof found);
  CHECK_EQ(found.signature, 7);
  CHECK_ERRNO(trace(GET_RSEQ_CONFIGURATION, pid, sizeof found, 8), EFAULT);
  CHECK_OK(trace(PTRACE_KILL, pid, 0, 0));
  CHECK_EQ(WTERMSIG(end_of(pid)), SIGKILL);
}

CASE(arch_prctl_of_a_tracee) {
  pid_t pid = tracee(return_five, 0);
  unsigned long base = 0;
  CHECK_OK(trace(ARCH_PRCTL, pid, (unsigned long)&base, ARCH_GET_FS));
  CHECK_EQ(base, registers_of(pid).fs_base);
  CHECK_ERRNO(trace(ARCH_PRCTL, pid, 0x7ffffffff000, ARCH_SET_FS), EPERM);
  CHECK_OK(trace(ARCH_PRCTL, pid, 0x12345000, ARCH_SET_FS));
  CHECK_EQ(registers_of(pid).fs_base, 0x12345000);
  CHECK_OK(trace(ARCH_PRCTL, pid, base, ARCH_SET_FS));
  CHECK_OK(trace(ARCH_PRCTL, pid, (unsigned long)&base, ARCH_GET_GS));
  CHECK_EQ(base, 0);
  CHECK_ERRNO(trace(ARCH_PRCTL, pid, 8, ARCH_GET_FS), EFAULT);
  CHECK_ERRNO(trace(ARCH_PRCTL, pid, 0, 12345), EINVAL);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 5 << 8);
}

CHECK_MAIN
