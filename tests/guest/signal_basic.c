// Delivery: sigaction(2) flags, masks, nesting, alternate stacks, sending with kill(2), tgkill(2), sigqueue(3).
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

static volatile sig_atomic_t count, depth, max_depth, last_number;
static siginfo_t last_info;

static void on_signal(int number) {
  last_number = number;
  count++;
}

static void on_info(int number, siginfo_t* info, void* context) {
  (void)context;
  last_number = number;
  last_info = *info;
  count++;
}

static void install(int number, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  CHECK_OK(sigaction(number, &action, NULL));
  count = 0;
}

static void install_info(int number, int flags) {
  struct sigaction action = {.sa_sigaction = on_info, .sa_flags = flags | SA_SIGINFO};
  CHECK_OK(sigaction(number, &action, NULL));
  count = 0;
  memset(&last_info, 0, sizeof last_info);
}

static sigset_t set_of(int a, int b) {
  sigset_t set;
  sigemptyset(&set);
  if (a) sigaddset(&set, a);
  if (b) sigaddset(&set, b);
  return set;
}

CASE(install_and_raise) {
  install(SIGUSR1, on_signal, 0);
  for (int i = 0; i < 100; i++) CHECK_OK(raise(SIGUSR1));
  CHECK_EQ(count, 100);
  CHECK_OK(kill(getpid(), SIGUSR1));
  CHECK_EQ(count, 101);
  struct sigaction now;
  CHECK_OK(sigaction(SIGUSR1, NULL, &now));
  CHECK(now.sa_handler == on_signal);
}

CASE(errors) {
  struct sigaction action = {.sa_handler = on_signal};
  CHECK_ERRNO(sigaction(SIGKILL, &action, NULL), EINVAL);
  CHECK_ERRNO(sigaction(SIGSTOP, &action, NULL), EINVAL);
  CHECK_ERRNO(sigaction(0, &action, NULL), EINVAL);
  CHECK_ERRNO(sigaction(65, &action, NULL), EINVAL);
  CHECK_ERRNO(kill(getpid(), 65), EINVAL);
  CHECK_ERRNO(kill(getpid(), -1), EINVAL);
  CHECK_ERRNO(kill(1 << 21, SIGTERM), ESRCH);
  CHECK_ERRNO(syscall(SYS_tgkill, getpid(), 1 << 21, SIGUSR1), ESRCH);
  CHECK_ERRNO(syscall(SYS_tgkill, -1, getpid(), SIGUSR1), EINVAL);
  CHECK_OK(kill(getpid(), 0));
}

CASE(ignored_and_default) {
  install(SIGUSR1, SIG_IGN, 0);
  CHECK_OK(raise(SIGUSR1));
  CHECK_EQ(count, 0);
  CHECK_OK(raise(SIGCHLD));  // Default action: nothing.
  CHECK_OK(raise(SIGURG));
  CHECK_OK(raise(SIGWINCH));
}

CASE(blocked_then_delivered_once) {
  install(SIGUSR1, on_signal, 0);
  sigset_t set = set_of(SIGUSR1, 0), old, pending;
  CHECK_OK(sigprocmask(SIG_BLOCK, &set, &old));
  raise(SIGUSR1), raise(SIGUSR1), raise(SIGUSR1);
  CHECK_EQ(count, 0);
  CHECK_OK(sigpending(&pending));
  CHECK(sigismember(&pending, SIGUSR1));
  CHECK(!sigismember(&pending, SIGUSR2));
  CHECK_OK(sigprocmask(SIG_SETMASK, &old, NULL));
  CHECK_EQ(count, 1);
  CHECK_OK(sigpending(&pending));
  CHECK(!sigismember(&pending, SIGUSR1));
  // Ignoring discards what is pending.
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGUSR1);
  signal(SIGUSR1, SIG_IGN);
  install(SIGUSR1, on_signal, 0);
  sigprocmask(SIG_SETMASK, &old, NULL);
  CHECK_EQ(count, 0);
  CHECK_ERRNO(sigprocmask(99, &set, NULL), EINVAL);
  sigfillset(&set);
  CHECK_OK(sigprocmask(SIG_SETMASK, &set, NULL));
  CHECK_OK(sigprocmask(SIG_SETMASK, &old, &set));
  CHECK(!sigismember(&set, SIGKILL));  // KILL and STOP cannot be blocked, silently.
  CHECK(!sigismember(&set, SIGSTOP));
}

CASE(real_time_signals_queue) {
  install_info(SIGRTMIN + 1, 0);
  sigset_t set = set_of(SIGRTMIN + 1, 0), old;
  sigprocmask(SIG_BLOCK, &set, &old);
  for (int i = 0; i < 10; i++)
    CHECK_OK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i}));
  sigprocmask(SIG_SETMASK, &old, NULL);
  CHECK_EQ(count, 10);
  CHECK_EQ(last_info.si_value.sival_int, 9);
  CHECK_EQ(last_info.si_code, SI_QUEUE);
  CHECK_EQ(last_info.si_pid, getpid());
  CHECK_EQ(last_info.si_uid, getuid());
}

static int delivered[8], delivered_count;
static void on_order(int number) { delivered[delivered_count++] = number; }
CASE(order_of_delivery) {
  // All pending at once: the handlers run nested, so each is entered from the lowest number on.
  int numbers[] = {SIGRTMIN + 3, SIGUSR2, SIGRTMIN + 2, SIGUSR1};
  sigset_t all, old;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &old);
  for (int i = 0; i < 4; i++) {
    struct sigaction action = {.sa_handler = on_order, .sa_mask = all};
    sigaction(numbers[i], &action, NULL);
    raise(numbers[i]);
  }
  sigprocmask(SIG_SETMASK, &old, NULL);
  CHECK_EQ(delivered_count, 4);
  for (int i = 0; i < 4; i++) printf("%d\n", delivered[i]);
}

CASE(siginfo_of_kill) {
  install_info(SIGUSR2, 0);
  CHECK_OK(kill(getpid(), SIGUSR2));
  CHECK_EQ(last_info.si_signo, SIGUSR2);
  CHECK_EQ(last_info.si_code, SI_USER);
  CHECK_EQ(last_info.si_pid, getpid());
  CHECK_EQ(last_info.si_uid, getuid());
  CHECK_OK(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR2));
  CHECK_EQ(last_info.si_code, SI_TKILL);
}

CASE(one_shot) {
  install(SIGUSR1, on_signal, SA_RESETHAND);
  raise(SIGUSR1);
  struct sigaction now;
  sigaction(SIGUSR1, NULL, &now);
  CHECK(now.sa_handler == SIG_DFL);
  CHECK_EQ(count, 1);
}

static void on_nested(int number) {
  depth++;
  if (depth > max_depth) max_depth = depth;
  count++;
  if (count < 5) raise(number);
  depth--;
}

CASE(nesting) {
  max_depth = 0;
  install(SIGUSR1, on_nested, 0);
  raise(SIGUSR1);
  CHECK_EQ(max_depth, 1);  // Blocked while its handler runs.
  CHECK_EQ(count, 5);
  max_depth = 0;
  install(SIGUSR1, on_nested, SA_NODEFER);
  raise(SIGUSR1);
  CHECK_EQ(max_depth, 5);
}

static sigset_t mask_inside;
static void on_mask(int number) {
  (void)number;
  sigprocmask(SIG_BLOCK, NULL, &mask_inside);
}
CASE(mask_of_the_handler) {
  struct sigaction action = {.sa_handler = on_mask, .sa_mask = set_of(SIGHUP, SIGALRM)};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  CHECK(sigismember(&mask_inside, SIGUSR1));
  CHECK(sigismember(&mask_inside, SIGHUP));
  CHECK(sigismember(&mask_inside, SIGALRM));
  CHECK(!sigismember(&mask_inside, SIGTERM));
  sigset_t now;
  sigprocmask(SIG_BLOCK, NULL, &now);
  CHECK(!sigismember(&now, SIGHUP));
}

static char* alternate;
static volatile int was_on_alternate, flags_inside;
static void on_stack(int number) {
  (void)number;
  char here;
  stack_t now;
  was_on_alternate = &here >= alternate && &here < alternate + (64 << 10);
  sigaltstack(NULL, &now);
  flags_inside = now.ss_flags;
  stack_t other = {.ss_sp = alternate, .ss_size = 64 << 10};
  if (was_on_alternate) CHECK_ERRNO(sigaltstack(&other, NULL), EPERM);
}
CASE(alternate_stack) {
  alternate = malloc(64 << 10);
  stack_t stack = {.ss_sp = alternate, .ss_size = 64 << 10}, now;
  CHECK_OK(sigaltstack(NULL, &now));
  CHECK_EQ(now.ss_flags, SS_DISABLE);
  CHECK_OK(sigaltstack(&stack, NULL));
  install(SIGUSR1, on_stack, SA_ONSTACK);
  raise(SIGUSR1);
  CHECK_EQ(was_on_alternate, 1);
  CHECK_EQ(flags_inside, SS_ONSTACK);
  install(SIGUSR1, on_stack, 0);
  raise(SIGUSR1);
  CHECK_EQ(was_on_alternate, 0);
  stack.ss_size = 100;
  CHECK_ERRNO(sigaltstack(&stack, NULL), ENOMEM);
  stack.ss_size = 64 << 10;
  stack.ss_flags = 0x40;
  CHECK_ERRNO(sigaltstack(&stack, NULL), EINVAL);
  stack.ss_flags = SS_DISABLE;
  CHECK_OK(sigaltstack(&stack, NULL));
  CHECK_OK(sigaltstack(NULL, &now));
  CHECK_EQ(now.ss_flags, SS_DISABLE);
}

static sigjmp_buf escape;
static void on_jump(int number) {
  (void)number;
  siglongjmp(escape, 7);
}
CASE(jump_out_of_a_handler) {
  install(SIGUSR1, on_jump, 0);
  for (volatile int i = 0; i < 10; i++) {
    if (sigsetjmp(escape, 1) == 0) {
      raise(SIGUSR1);
      CHECK(!"raise returned");
    }
  }
  sigset_t now;
  sigprocmask(SIG_BLOCK, NULL, &now);
  CHECK(!sigismember(&now, SIGUSR1));
}

static pthread_t target;
static volatile int ran_on_target;
static void on_thread(int number) {
  (void)number;
  ran_on_target = pthread_equal(pthread_self(), target);
  count++;
}
static void* wait_for_signal(void* unused) {
  for (int i = 0; i < 4000 && !count; i++) check_sleep_ms(1);
  return unused;
}
CASE(to_one_thread) {
  install(SIGUSR1, on_thread, 0);
  REQUIRE(pthread_create(&target, NULL, wait_for_signal, NULL) == 0);
  CHECK_EQ(pthread_kill(target, SIGUSR1), 0);
  pthread_join(target, NULL);
  CHECK_EQ(count, 1);
  CHECK_EQ(ran_on_target, 1);
}

static void* spin(void* unused) {
  // No system call at all: the signal has to interrupt a loop.
  while (!count) __asm__ volatile("pause");
  return unused;
}
CASE(to_a_spinning_thread) {
  install(SIGUSR1, on_thread, 0);
  REQUIRE(pthread_create(&target, NULL, spin, NULL) == 0);
  check_sleep_ms(20);
  CHECK_EQ(pthread_kill(target, SIGUSR1), 0);
  pthread_join(target, NULL);
  CHECK_EQ(ran_on_target, 1);
}

CASE(process_signal_takes_a_thread_that_wants_it) {
  // The main thread blocks it; the other one does not.
  install(SIGUSR1, on_thread, 0);
  REQUIRE(pthread_create(&target, NULL, wait_for_signal, NULL) == 0);
  sigset_t set = set_of(SIGUSR1, 0), old;
  pthread_sigmask(SIG_BLOCK, &set, &old);
  CHECK_OK(kill(getpid(), SIGUSR1));
  pthread_join(target, NULL);
  CHECK_EQ(count, 1);
  CHECK_EQ(ran_on_target, 1);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
}

CASE(errno_survives) {
  install(SIGUSR1, on_signal, 0);
  errno = 1234;
  raise(SIGUSR1);
  CHECK_EQ(errno, 1234);
}

CHECK_MAIN
