// Signals: dispositions, masks, sending to oneself, waiting for what is there. What a handler saw is printed after the
// operation in which it ran.
#include <setjmp.h>
#include <sys/signalfd.h>
#include <ucontext.h>

#include "random.h"

struct seen {
  int signal, code, value;
  pid_t pid;
  bool on_stack;
};
static struct seen seen[64];
static volatile int seen_count;
static sigjmp_buf escape;
static volatile bool guarding;
static unsigned char other_stack[64 * 1024] __attribute__((aligned(64)));

static void on_signal(int signal, siginfo_t* info, void* context) {
  (void)context;
  int at = __atomic_fetch_add(&seen_count, 1, __ATOMIC_SEQ_CST);
  unsigned char here;
  bool on_stack = &here >= other_stack && &here < other_stack + sizeof other_stack;
  if (at < 64)
    seen[at] =
        (struct seen){signal, info->si_code, info->si_value.sival_int, info->si_pid, on_stack};
}

static void on_fault(int signal, siginfo_t* info, void* context) {
  (void)context;
  if (!guarding || info->si_code <= 0) _exit(100 + signal);
  guarding = false;
  say(" fault %d code %d", signal, info->si_code);
  unsigned long page = (unsigned long)info->si_addr >> 12;
  say(" page 0x%lx", page >= 0x800000 && page < 0x800100 ? page - 0x800000 : 0xfff);
  siglongjmp(escape, 1);
}

void signals_begin(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
}

// Sequences set no handlers for these two: the faults of operations are their use.
bool guarded(void (*body)(void*), void* argument) {
  if (sigsetjmp(escape, 0)) return false;
  guarding = true;
  body(argument);
  guarding = false;
  return true;
}

void signals_flush(void) {
  int count = __atomic_exchange_n(&seen_count, 0, __ATOMIC_SEQ_CST);
  for (int i = 0; i < count && i < 64; i++) {
    say(" {%d code %d", seen[i].signal, seen[i].code);
    if (seen[i].code == SI_QUEUE || seen[i].code == -60) say(" value %d", seen[i].value);
    if (seen[i].code <= 0 || seen[i].signal == SIGCHLD) say_pid(seen[i].pid);
    say("%s}", seen[i].on_stack ? " on the other stack" : "");
  }
}

struct kernel_action {
  void* handler;
  unsigned long flags;
  void* restorer;
  uint64_t mask;
};
static long any_signal(void) {
  return number(percent(93) ? ONE_OF(SIGUSR1, SIGUSR2, SIGHUP, SIGTERM, SIGCHLD, SIGPIPE, SIGALRM,
                                     SIGURG, 34, 35, 40, 64)
                            : ONE_OF(0, -1, 65, 1000, SIGKILL, SIGSTOP, SIGWINCH, SIGCONT, 32));
}
// SIGSEGV and SIGBUS stay out.
static uint64_t any_mask(void) {
  uint64_t mask = percent(10) ? ~0ull : 0;
  for (int i = (int)below(5); i > 0; i--)
    mask |= 1ull << (ONE_OF(SIGUSR1, SIGUSR2, SIGHUP, SIGTERM, SIGCHLD, 34, 35, 64, SIGPIPE) - 1);
  mask &= ~(1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1));
  say(" %llx", (unsigned long long)mask);
  return mask;
}
static void* restorer;

static void act(int handler_kind) {
  if (!restorer) {
    // The C library's own restorer, by looking at what it installed.
    struct kernel_action installed;
    QUIET_4(rt_sigaction, SIGSEGV, 0, &installed, 8);
    restorer = installed.restorer;
  }
  long signal = any_signal();
  struct kernel_action action = {0}, old = {0};
  static const char* const names[] = {"handler", "default", "ignore"};
  void* const handlers[] = {(void*)on_signal, SIG_DFL, SIG_IGN};
  action.handler = handlers[handler_kind];
  action.flags =
      0x04000000 | SA_SIGINFO |
      (unsigned long)some_of_list(LIST(SA_RESTART, SA_NODEFER, SA_ONSTACK, SA_NOCLDSTOP)) |
      (percent(10) ? (unsigned long)ONE_OF(SA_RESETHAND, SA_NOCLDWAIT) : 0);
  action.restorer = restorer;
  say(" %s flags 0x%lx", names[handler_kind], action.flags);
  action.mask = any_mask();
  if (signal == SIGSEGV || signal == SIGBUS) return say(")");
  long r = CALL(rt_sigaction, signal, pointer(&action, " new"),
                percent(70) ? pointer(&old, "old") : 0, number(percent(97) ? 8 : 4));
  if (r == 0) {
    say(" was %s flags 0x%lx mask %llx",
        old.handler == SIG_DFL   ? "default"
        : old.handler == SIG_IGN ? "ignore"
                                 : "handler",
        old.flags, (unsigned long long)old.mask);
  }
}
OP(kSignals, 16, sigaction_handler) { act(0); }
OP(kSignals, 3, sigaction_default) { act(1); }
OP(kSignals, 4, sigaction_ignore) { act(2); }
OP(kSignals, 3, sigaction_query) {
  struct kernel_action old = {0};
  if (CALL(rt_sigaction, any_signal(), 0, pointer(&old, "old"), 8) == 0) {
    say(" flags 0x%lx mask %llx", old.flags, (unsigned long long)old.mask);
  }
}
#define PROCMASK(kind, how)                                                              \
  OP(kSignals, 5, sigprocmask_##kind) {                                                  \
    uint64_t mask = any_mask(), old = 0;                                                 \
    long r = CALL(rt_sigprocmask, how, pointer(&mask, " set"), pointer(&old, "old"), 8); \
    if (r == 0) say(" was %llx", (unsigned long long)old);                               \
  }
PROCMASK(block, SIG_BLOCK)
PROCMASK(unblock, SIG_UNBLOCK)
PROCMASK(setmask, SIG_SETMASK)
PROCMASK(unknown, number(ONE_OF(3, -1, 100)))
OP(kSignals, 4, rt_sigpending) {
  uint64_t pending = 0;
  if (CALL(rt_sigpending, pointer(&pending, "set"), number(ONE_OF(8, 8, 8, 4, 0, 9))) == 0)
    say(" %llx", (unsigned long long)pending);
}

static bool deadly(long signal) {
  // Rarely is the death of the sequence wanted.
  struct kernel_action now = {0};
  if (signal == 0 || QUIET_4(rt_sigaction, signal, 0, &now, 8) != 0 || now.handler != SIG_DFL)
    return false;
  if (signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT)
    return false;
  return signal == SIGSTOP || !percent(10);
}
OP(kSignals, 10, kill_self) {
  long signal = any_signal();
  if (deadly(signal)) return say(" deadly)");
  CALL(kill, getpid(), signal);
}
OP(kSignals, 6, tgkill_self) {
  long signal = any_signal();
  if (deadly(signal)) return say(" deadly)");
  CALL(tgkill, getpid(), gettid(), signal);
}
OP(kSignals, 4, tkill_self) {
  long signal = any_signal();
  if (deadly(signal)) return say(" deadly)");
  CALL(tkill, gettid(), signal);
}
static siginfo_t* any_info(void) {
  static siginfo_t info;
  memset(&info, 0, sizeof info);
  info.si_code = (int)ONE_OF(SI_QUEUE, SI_QUEUE, SI_QUEUE, -60, SI_TKILL, SI_USER, 1);
  info.si_pid = getpid();
  info.si_value.sival_int = (int)below(1000);
  say(" code %d value %d", info.si_code, info.si_value.sival_int);
  return &info;
}
OP(kSignals, 7, rt_sigqueueinfo) {
  long signal = any_signal();
  siginfo_t* info = any_info();
  if (deadly(signal)) return say(" deadly)");
  CALL(rt_sigqueueinfo, getpid(), signal, pointer(info, " info"));
}
OP(kSignals, 5, rt_tgsigqueueinfo) {
  long signal = any_signal();
  siginfo_t* info = any_info();
  if (deadly(signal)) return say(" deadly)");
  CALL(rt_tgsigqueueinfo, getpid(), gettid(), signal, pointer(info, " info"));
}
OP(kSignals, 2, kill_nobody) {
  CALL(kill, number(ONE_OF(0x7ffffff0, -0x7ffffff0, 4194305)), number(ONE_OF(0, 10, 65, -1)));
}
OP(kSignals, 1, tgkill_nobody) {
  CALL(tgkill, number(ONE_OF(0, -1, 0x7ffffff0)), number(ONE_OF(0, -1, 0x7ffffff0)),
       number(ONE_OF(0, 10, 65)));
}
OP(kSignals, 6, rt_sigtimedwait) {
  uint64_t mask = any_mask();
  siginfo_t info;
  memset(&info, 0, sizeof info);
  struct timespec none = {0, ONE_OF(0, 0, 0, 0, -1, 1000000000)};
  long r = CALL(rt_sigtimedwait, pointer(&mask, " set"), pointer(&info, "info"),
                pointer(&none, "timeout"), number(ONE_OF(8, 8, 8, 8, 16)));
  if (r > 0) {
    say(" signal %d code %d", info.si_signo, info.si_code);
    say_pid(info.si_pid);
    if (info.si_code == SI_QUEUE) say(" value %d", info.si_value.sival_int);
  }
}
// Waits only if a signal is there that ends it.
OP(kSignals, 3, rt_sigsuspend) {
  uint64_t mask = any_mask(), pending = 0;
  QUIET_3(rt_sigpending, &pending, 8, 0);
  struct kernel_action now;
  bool ends = false;
  for (int signal = 1; signal <= 64; signal++) {
    if ((pending & ~mask) >> (signal - 1) & 1 && QUIET_4(rt_sigaction, signal, 0, &now, 8) == 0 &&
        now.handler == (void*)on_signal)
      ends = true;
  }
  if (!ends) return say(") nothing to wait for");
  CALL(rt_sigsuspend, silent(&mask), 8);
}
OP(kSignals, 4, sigaltstack) {
  stack_t new = {other_stack, (int)ONE_OF(0, 0, 0, SS_DISABLE, SS_ONSTACK, 8, (long)(1u << 31)),
                 (size_t)ONE_OF(sizeof other_stack, sizeof other_stack, 32768, 2047, 100, 0)};
  stack_t old;
  memset(&old, 0x5a, sizeof old);
  say("flags %d size %zu ", new.ss_flags, new.ss_size);
  long r = CALL(sigaltstack, percent(80) ? pointer(&new, "new") : 0, pointer(&old, "old"));
  if (r == 0)
    say(" was %s flags 0x%x size %zu",
        old.ss_sp == other_stack ? "ours"
        : old.ss_sp              ? "another"
                                 : "none",
        (unsigned)old.ss_flags, old.ss_size);
}
OP(kSignals, 4, signalfd4) {
  uint64_t mask = any_mask();
  long r = CALL(signalfd4, percent(80) ? number(-1) : fd_of(kSignalFd), pointer(&mask, " set"),
                number(ONE_OF(8, 8, 8, 4)), hex(O_NONBLOCK | ONE_OF(0, O_CLOEXEC, 0, 1)));
  if (r >= 0) note_fd(r, kSignalFd);
}
OP(kSignals, 5, signalfd_read) {
  static struct signalfd_siginfo found[3];
  long r = CALL(read, fd_of(kSignalFd), pointer(found, "infos"),
                number(ONE_OF(sizeof found, sizeof found[0], 127, 0)));
  for (long i = 0; i * (long)sizeof found[0] < r; i++) {
    say(" signal %u code %d", found[i].ssi_signo, found[i].ssi_code);
    say_pid((long)found[i].ssi_pid);
    if (found[i].ssi_code == SI_QUEUE) say(" value %d", found[i].ssi_int);
  }
}
