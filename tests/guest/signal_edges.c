// Signals at their edges: every number's default, queue limits, stacks that overflow or disarm, stops, restarts,
// permissions, what is in siginfo and in the frame.
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>

#include "check.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

extern char** environ;

static pid_t start_with(const char* what, const char* argument, int flags) {
  char* argv[] = {(char*)check_program, (char*)what, (char*)argument, NULL};
  pid_t pid = -1;
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, (short)flags);
  REQUIRE(posix_spawn(&pid, check_program, NULL, &attributes, argv, environ) == 0);
  return pid;
}
static pid_t start(const char* what, const char* argument) { return start_with(what, argument, 0); }
// In a group of its own, whose stops by a terminal count: it is not orphaned.
static pid_t start_group(void) { return start_with("--pause", "", POSIX_SPAWN_SETPGROUP); }

static volatile sig_atomic_t count;
static siginfo_t infos[64];
static void on_signal(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  if (count < 64) infos[count] = *info;
  count++;
}
static void install(int number, int flags) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags};
  CHECK_OK(sigaction(number, &action, NULL));
  count = 0;
}
static sigset_t only(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  return set;
}
static void block(int how, int number) {
  sigset_t set = only(number);
  CHECK_EQ(pthread_sigmask(how, &set, NULL), 0);
}

// --- what each signal does to a process that knows nothing of it ---

static int child_raise(const char* argument) {
  int number = atoi(argument);
  raise(number);
  return 77;
}
CASE(default_of_every_signal) {
  for (int number = 1; number <= 64; number++) {
    if (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU) continue;
    if (number == 32 || number == 33) continue;  // the C library's raise refuses them
    char text[8];
    snprintf(text, sizeof text, "%d", number);
    int status = -1;
    pid_t pid = start("--raise", text);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    printf("%d: %#x\n", number, status);
  }
}
// It says that a core file was written, and none is where the limit is 0.
static int aborted(int* code) {
  int status = -1;
  siginfo_t info;
  pid_t pid = start("--raise", "6");
  CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  *code = info.si_code;
  return WCOREDUMP(status) != 0;
}
static int core_files(void) {
  int found = 0;
  DIR* here = opendir(".");
  REQUIRE(here != NULL);
  for (struct dirent* entry; (entry = readdir(here));) found += entry->d_name[0] != '.';
  closedir(here);
  return found;
}
CASE(core_dumped_bit) {
  check_enter_scratch();
  struct rlimit old, some;
  int code;
  CHECK_OK(getrlimit(RLIMIT_CORE, &old));
  some = old;
  some.rlim_cur = 0;
  CHECK_OK(setrlimit(RLIMIT_CORE, &some));
  CHECK_EQ(aborted(&code), 0);
  CHECK_EQ(code, CLD_KILLED);
  some.rlim_cur = old.rlim_max;
  CHECK_OK(setrlimit(RLIMIT_CORE, &some));
  const int dumped = aborted(&code);
  CHECK_EQ(dumped, core_files());
  CHECK_EQ(code, dumped ? CLD_DUMPED : CLD_KILLED);
  CHECK_OK(setrlimit(RLIMIT_CORE, &old));
}

// --- queues ---

CASE(queue_order_and_values) {
  install(SIGRTMIN + 1, 0);
  install(SIGRTMIN + 2, 0);
  install(SIGUSR1, 0);
  block(SIG_BLOCK, SIGRTMIN + 1);
  block(SIG_BLOCK, SIGRTMIN + 2);
  block(SIG_BLOCK, SIGUSR1);
  for (int i = 0; i < 3; i++) {
    CHECK_OK(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 20 + i}));
    CHECK_OK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 10 + i}));
    CHECK_OK(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = i}));
  }
  sigset_t all, wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGRTMIN + 1);
  sigaddset(&wanted, SIGRTMIN + 2);
  sigaddset(&wanted, SIGUSR1);
  CHECK_OK(sigpending(&all));
  CHECK_EQ(sigismember(&all, SIGUSR1), 1);
  const int values[7] = {0, 10, 11, 12, 20, 21, 22};
  for (int i = 0; i < 7; i++) {
    siginfo_t info;
    int number = sigwaitinfo(&wanted, &info);
    CHECK_EQ(number, i == 0 ? SIGUSR1 : i < 4 ? SIGRTMIN + 1 : SIGRTMIN + 2);
    CHECK_EQ(info.si_value.sival_int, values[i]);
    CHECK_EQ(info.si_code, SI_QUEUE);
    CHECK_EQ(info.si_pid, getpid());
    CHECK_EQ(info.si_uid, getuid());
  }
  struct timespec none = {0, 0};
  CHECK_ERRNO(sigtimedwait(&wanted, NULL, &none), EAGAIN);
  block(SIG_UNBLOCK, SIGRTMIN + 1);
  block(SIG_UNBLOCK, SIGRTMIN + 2);
  block(SIG_UNBLOCK, SIGUSR1);
  CHECK_EQ(count, 0);
}

CASE(queue_limit) {
  struct rlimit old, limit;
  CHECK_OK(getrlimit(RLIMIT_SIGPENDING, &old));
  install(SIGRTMIN + 1, 0);
  block(SIG_BLOCK, SIGRTMIN + 1);
  // Others of this user may have some queued: the limit is met by growing, from one at which there is room.
  int sent = 0;
  limit = old;
  for (limit.rlim_cur = 50; sent == 0 && limit.rlim_cur <= 5000; limit.rlim_cur += 50) {
    CHECK_OK(setrlimit(RLIMIT_SIGPENDING, &limit));
    while (sent < 100 && sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = sent}) == 0)
      sent++;
  }
  CHECK(sent > 0 && sent <= 50);
  CHECK_EQ(errno, EAGAIN);
  // kill and standard signals always come through.
  CHECK_OK(kill(getpid(), SIGRTMIN + 1));
  install(SIGUSR2, 0);
  CHECK_OK(kill(getpid(), SIGUSR2));
  CHECK_EQ(count, 1);
  count = 0;
  block(SIG_UNBLOCK, SIGRTMIN + 1);
  CHECK_EQ(count, sent);
  CHECK_OK(setrlimit(RLIMIT_SIGPENDING, &old));
}

// --- sigqueueinfo ---

static long queue_info(pid_t pid, int number, siginfo_t* info) {
  return syscall(SYS_rt_sigqueueinfo, pid, number, info);
}
static long queue_info_to(pid_t pid, pid_t tid, int number, siginfo_t* info) {
  return syscall(SYS_rt_tgsigqueueinfo, pid, tid, number, info);
}
CASE(made_up_siginfo) {
  install(SIGUSR1, 0);
  siginfo_t info;
  memset(&info, 0x5a, sizeof info);
  info.si_code = -7;
  CHECK_OK(queue_info(getpid(), SIGUSR1, &info));
  CHECK_EQ(count, 1);
  CHECK_EQ(infos[0].si_signo, SIGUSR1);
  CHECK_EQ(infos[0].si_code, -7);
  CHECK_EQ(infos[0].si_pid, 0x5a5a5a5a);
  CHECK_EQ(infos[0].si_errno, 0x5a5a5a5a);
  info.si_code = SI_USER;  // to itself it may say anything
  CHECK_OK(queue_info(getpid(), SIGUSR1, &info));
  CHECK_OK(queue_info_to(getpid(), getpid(), SIGUSR1, &info));
  CHECK_EQ(count, 3);
  CHECK_OK(queue_info(getpid(), 0, &info));
  pid_t pid = start("--pause", "");
  CHECK_ERRNO(queue_info(pid, SIGUSR1, &info), EPERM);
  info.si_code = SI_TKILL;
  CHECK_ERRNO(queue_info(pid, SIGUSR1, &info), EPERM);
  info.si_code = SI_QUEUE;
  CHECK_OK(queue_info(pid, 0, &info));
  CHECK_OK(queue_info_to(pid, pid, SIGTERM, &info));
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  CHECK_ERRNO(queue_info(getpid(), 65, &info), EINVAL);
  CHECK_ERRNO(queue_info(getpid(), SIGUSR1, (void*)8), EFAULT);
  CHECK_ERRNO(queue_info(1 << 29, SIGUSR1, &info), ESRCH);
  CHECK_ERRNO(queue_info_to(getpid(), 1 << 29, SIGUSR1, &info), ESRCH);
  CHECK_ERRNO(queue_info_to(0, getpid(), SIGUSR1, &info), EINVAL);
  CHECK_ERRNO(queue_info_to(getpid(), 0, SIGUSR1, &info), EINVAL);
}

// --- alternate stacks ---

static char stack_area[3][65536] __attribute__((aligned(64)));
static stack_t seen_stack;
static int changed_errno;
static void on_stack(int number, siginfo_t* info, void* context) {
  (void)number, (void)info;
  char here;
  count = &here >= stack_area[0] && &here < stack_area[0] + sizeof stack_area[0];
  sigaltstack(NULL, &seen_stack);
  stack_t other = {.ss_sp = stack_area[1], .ss_size = sizeof stack_area[1]};
  changed_errno = sigaltstack(&other, NULL) == 0 ? 0 : errno;
  stack_t saved = ((ucontext_t*)context)->uc_stack;
  CHECK_EQ(saved.ss_sp == stack_area[0], 1);
  CHECK_EQ(saved.ss_size, sizeof stack_area[0]);
}
CASE(stack_rules) {
  stack_t stack = {.ss_sp = stack_area[0], .ss_size = sizeof stack_area[0]}, old;
  struct sigaction action = {.sa_sigaction = on_stack, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  CHECK_OK(sigaction(SIGUSR1, &action, NULL));
  CHECK_OK(sigaltstack(&stack, NULL));
  raise(SIGUSR1);
  CHECK_EQ(count, 1);
  CHECK_EQ(seen_stack.ss_flags, SS_ONSTACK);
  CHECK_EQ(changed_errno, EPERM);
  // SS_AUTODISARM: inside the handler there is none, so another may be set; afterwards the first is back.
  stack.ss_flags = (int)SS_AUTODISARM;
  CHECK_OK(sigaltstack(&stack, NULL));
  raise(SIGUSR1);
  CHECK_EQ(count, 1);
  CHECK_EQ(seen_stack.ss_flags, SS_DISABLE);
  CHECK_EQ(seen_stack.ss_size, 0);
  CHECK_EQ(changed_errno, 0);
  CHECK_OK(sigaltstack(NULL, &old));
  CHECK_EQ(old.ss_sp == stack_area[0], 1);
  CHECK_EQ(old.ss_flags, (int)SS_AUTODISARM);
  stack.ss_flags = 4;
  CHECK_ERRNO(sigaltstack(&stack, NULL), EINVAL);
  stack.ss_flags = SS_ONSTACK;
  CHECK_OK(sigaltstack(&stack, NULL));
  stack.ss_size = 1000;
  CHECK_ERRNO(sigaltstack(&stack, NULL), ENOMEM);
  CHECK_ERRNO(sigaltstack((void*)8, NULL), EFAULT);
  stack.ss_flags = SS_DISABLE;
  CHECK_OK(sigaltstack(&stack, &old));
  CHECK_EQ(old.ss_flags, 0);
  CHECK_OK(sigaltstack(NULL, &old));
  CHECK_EQ(old.ss_flags, SS_DISABLE);
  CHECK_EQ(old.ss_size, 0);
}

// The handler's frame does not fit any more: SIGSEGV, which has no stack either.
static void descend(int number) {
  (void)number;
  raise(SIGUSR1);
}
static int child_overflow(const char* unused) {
  (void)unused;
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  stack_t stack = {.ss_sp = stack_area[0], .ss_size = 16384};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_handler = descend, .sa_flags = SA_ONSTACK | SA_NODEFER};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  return 1;
}
CASE(stack_overflow) {
  int status = -1;
  waitpid(start("--overflow", ""), &status, 0);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}
static sigjmp_buf escape;
static void on_overflow(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  infos[0] = *info;
  siglongjmp(escape, 1);
}
static int recurse(int depth) {
  volatile char page[4096];
  page[0] = (char)depth;
  return depth < (1 << 30) ? recurse(depth + 1) + page[0] : 0;
}
static void* overflow_own_stack(void* unused) {
  stack_t stack = {.ss_sp = stack_area[2], .ss_size = sizeof stack_area[2]};
  sigaltstack(&stack, NULL);
  if (sigsetjmp(escape, 1) == 0) recurse(0);
  count++;
  return unused;
}
CASE(handler_for_a_full_stack) {
  struct sigaction action = {.sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  CHECK_OK(sigaction(SIGSEGV, &action, NULL));
  count = 0;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, overflow_own_stack, NULL) == 0);
  pthread_join(thread, NULL);
  CHECK_EQ(count, 1);
  CHECK_EQ(infos[0].si_code, SEGV_ACCERR);  // the guard
  signal(SIGSEGV, SIG_DFL);
}

// --- sigaction ---

CASE(sigaction_details) {
  struct sigaction action = {.sa_handler = SIG_IGN}, old;
  sigfillset(&action.sa_mask);
  action.sa_flags = SA_RESTART | 0x00000400 | 0x00200000;
  CHECK_OK(sigaction(SIGUSR1, &action, NULL));
  CHECK_OK(sigaction(SIGUSR1, NULL, &old));
  CHECK_EQ(old.sa_flags & 0x00200400, 0);  // unknown bits are cleared
  CHECK_EQ(sigismember(&old.sa_mask, SIGKILL), 0);
  CHECK_EQ(sigismember(&old.sa_mask, SIGSTOP), 0);
  CHECK_EQ(sigismember(&old.sa_mask, SIGTERM), 1);
  CHECK_ERRNO(sigaction(SIGKILL, &action, NULL), EINVAL);
  CHECK_ERRNO(sigaction(SIGSTOP, &action, NULL), EINVAL);
  CHECK_OK(sigaction(SIGKILL, NULL, &old));
  CHECK_ERRNO(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8), EINVAL);
  CHECK_ERRNO(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL);
  CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
  CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, (void*)8, NULL, 8), EFAULT);
  CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, (void*)8, 8), EFAULT);
  CHECK_ERRNO(syscall(SYS_rt_sigprocmask, 7, &action.sa_mask, NULL, 8), EINVAL);
  CHECK_OK(syscall(SYS_rt_sigprocmask, 7, NULL, NULL, 8));
  // Ignoring discards what is pending.
  block(SIG_BLOCK, SIGUSR2);
  signal(SIGUSR2, SIG_DFL);
  CHECK_OK(raise(SIGUSR2));
  signal(SIGUSR2, SIG_IGN);
  sigset_t pending;
  sigpending(&pending);
  CHECK_EQ(sigismember(&pending, SIGUSR2), 0);
  block(SIG_UNBLOCK, SIGUSR2);
  signal(SIGUSR2, SIG_DFL);
  signal(SIGUSR1, SIG_DFL);
}

// --- stopping and going on ---

static int child_pause(const char* unused) {
  (void)unused;
  while (pause() == -1) {
  }
  return 1;
}
static void show(const char* when, siginfo_t* info) {
  printf("%s: signo %d code %d status %d\n", when, info->si_signo, info->si_code, info->si_status);
}
CASE(stop_and_continue) {
  install(SIGCHLD, SA_RESTART);
  pid_t pid = start_group();
  int status;
  siginfo_t info;
  for (int round = 0; round < 2; round++) {
    const int stopper = round ? SIGSTOP : SIGTTIN;
    CHECK_OK(kill(pid, stopper));
    memset(&info, 0, sizeof info);
    CHECK_OK(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT));
    show("stopped", &info);
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == stopper);
    CHECK_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
    CHECK_OK(kill(pid, SIGUSR1 + 0 * round));  // pending while it is stopped
    CHECK_EQ(waitpid(pid, &status, WNOHANG | WUNTRACED), 0);
    if (round == 1) break;
    // The signal would kill it: take that back by a second stop is not possible, so a fresh one.
    CHECK_OK(kill(pid, SIGCONT));
    CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
    if (WIFCONTINUED(status)) CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
    pid = start_group();
  }
  CHECK_OK(kill(pid, SIGKILL));  // also when stopped
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  CHECK(count >= 3);
  pid = start_group();
  CHECK_OK(kill(pid, SIGSTOP));
  CHECK_OK(waitid(P_PID, pid, &info, WSTOPPED));
  CHECK_OK(kill(pid, SIGCONT));
  memset(&info, 0, sizeof info);
  CHECK_OK(waitid(P_PID, pid, &info, WCONTINUED));
  show("continued", &info);
  CHECK_OK(kill(pid, SIGTERM));
  CHECK_OK(waitid(P_PID, pid, &info, WEXITED));
  show("ended", &info);
  signal(SIGCHLD, SIG_DFL);
}
CASE(no_signal_for_stops) {
  install(SIGCHLD, SA_NOCLDSTOP);
  pid_t pid = start("--pause", "");
  int status;
  CHECK_OK(kill(pid, SIGSTOP));
  CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
  CHECK_OK(kill(pid, SIGCONT));
  CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
  CHECK_EQ(count, 0);
  CHECK_OK(kill(pid, SIGKILL));
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(count, 1);
  CHECK_EQ(infos[0].si_code, CLD_KILLED);
  CHECK_EQ(infos[0].si_status, SIGKILL);
  CHECK_EQ(infos[0].si_pid, pid);
  signal(SIGCHLD, SIG_DFL);
}
CASE(no_zombies) {
  install(SIGCHLD, SA_NOCLDWAIT);
  pid_t pid = start("--raise", "17");
  CHECK_ERRNO(waitpid(pid, NULL, 0), ECHILD);
  CHECK_EQ(count, 1);
  signal(SIGCHLD, SIG_IGN);
  pid = start("--raise", "17");
  CHECK_ERRNO(waitpid(pid, NULL, 0), ECHILD);
  signal(SIGCHLD, SIG_DFL);
}

// --- calls that go on after a stop, and calls that do not ---

static int64_t since(int64_t begin) { return (check_now_ns() - begin) / 1000000; }
static int child_wait(const char* how) {
  int64_t begin = check_now_ns();
  struct timespec time = {0, 400000000};
  static int word;
  int pipes[2];
  if (pipe(pipes)) return 1;
  struct pollfd poller = {pipes[0], POLLIN, 0};
  struct epoll_event event;
  long result = -1;
  errno = 0;
  switch (how[0]) {
    case 'n':
      result = nanosleep(&time, &time);
      break;
    case 'p':
      result = poll(&poller, 1, 400);
      break;
    case 'f':
      result = syscall(SYS_futex, &word, 0, 0, &time, NULL, 0);
      if (result == -1 && errno == ETIMEDOUT) result = 0;
      break;
    case 'e':
      result = epoll_wait(epoll_create1(0), &event, 1, 400);
      break;
    case 's': {
      fd_set set;
      FD_ZERO(&set);
      struct timeval tv = {0, 400000};
      result = select(0, &set, NULL, NULL, &tv);
      break;
    }
    case 'u':
      usleep(400000);
      result = 0;
      break;
    case 't': {
      sigset_t set = only(SIGUSR1);
      pthread_sigmask(SIG_BLOCK, &set, NULL);
      result = sigtimedwait(&set, NULL, &time);
      if (result == -1 && errno == EAGAIN) result = 0;
      break;
    }
  }
  if (result == 0) return since(begin) >= 390 ? 10 : 11;
  return errno == EINTR ? 12 : 13;
}
CASE(stopped_calls) {
  const char* kinds[] = {"n", "p", "f", "e", "s", "u", "t"};
  for (int i = 0; i < 7; i++) {
    int status = -1;
    pid_t pid = start("--wait", kinds[i]);
    check_sleep_ms(150);
    CHECK_OK(kill(pid, SIGSTOP));
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK_OK(kill(pid, SIGCONT));
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    printf("%s after a stop: %d\n", kinds[i], WEXITSTATUS(status));
  }
}

// --- whom kill reaches ---

static int child_group(const char* what) {
  // A group of its own with a child in it; kill(0) reaches both.
  setpgid(0, 0);
  pid_t child = start("--pause", "");
  signal(SIGTERM, SIG_IGN);
  check_sleep_ms(100);
  if (kill(what[0] == '0' ? 0 : -getpid(), SIGTERM)) return 20;
  int status;
  if (waitpid(child, &status, 0) != child) return 21;
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM ? 0 : 22;
}
CASE(groups) {
  int status;
  waitpid(start("--group", "0"), &status, 0);
  CHECK_EQ(status, 0);
  waitpid(start("--group", "-"), &status, 0);
  CHECK_EQ(status, 0);
  CHECK_ERRNO(kill(-(1 << 29), SIGTERM), ESRCH);
  CHECK_ERRNO(kill(1 << 29, 0), ESRCH);
  CHECK_ERRNO(kill(getpid(), 65), EINVAL);
  CHECK_ERRNO(kill(getpid(), -1), EINVAL);
  CHECK_OK(kill(getpid(), 0));
  CHECK_OK(kill(0, 0));
  CHECK_ERRNO(kill(INT32_MIN, 0), ESRCH);
}
static int child_powerless(const char* text) {
  pid_t root = atoi(text);
  if (setresuid(12345, 12345, 12345)) return 30;
  if (kill(root, SIGUSR2) != -1 || errno != EPERM) return 31;
  if (kill(root, 0) != -1 || errno != EPERM) return 32;
  if (syscall(SYS_tgkill, root, root, SIGUSR2) != -1 || errno != EPERM) return 33;
  if (kill(root, SIGCONT) != 0) return 34;  // within the session
  if (kill(getpid(), 0) != 0) return 35;
  siginfo_t info = {.si_code = SI_QUEUE};
  if (queue_info(root, SIGUSR2, &info) != -1 || errno != EPERM) return 36;
  return 0;
}
CASE(permissions) {
  char text[16];
  int status;
  snprintf(text, sizeof text, "%d", getpid());
  waitpid(start("--powerless", text), &status, 0);
  CHECK_EQ(WEXITSTATUS(status), 0);
}

// --- waiting with another mask ---

static pthread_t target;
static void* interrupt_soon(void* number) {
  check_sleep_ms(50);
  pthread_kill(target, (int)(intptr_t)number);
  return NULL;
}
CASE(masks_of_waits) {
  install(SIGUSR1, 0);
  block(SIG_BLOCK, SIGUSR1);
  target = pthread_self();
  sigset_t none;
  sigemptyset(&none);
  struct timespec long_time = {5, 0};
  int epoll = epoll_create1(0);
  struct epoll_event event;
  for (int i = 0; i < 5; i++) {
    pthread_t helper;
    REQUIRE(pthread_create(&helper, NULL, interrupt_soon, (void*)(intptr_t)SIGUSR1) == 0);
    count = 0;
    switch (i) {
      case 0:
        CHECK_ERRNO(ppoll(NULL, 0, &long_time, &none), EINTR);
        break;
      case 1:
        CHECK_ERRNO(pselect(0, NULL, NULL, NULL, &long_time, &none), EINTR);
        break;
      case 2:
        CHECK_ERRNO(epoll_pwait(epoll, &event, 1, 5000, &none), EINTR);
        break;
      case 3:
        CHECK_ERRNO(syscall(SYS_epoll_pwait2, epoll, &event, 1, &long_time, &none, 8), EINTR);
        break;
      case 4:
        CHECK_ERRNO(sigsuspend(&none), EINTR);
        break;
    }
    CHECK_EQ(count, 1);
    pthread_join(helper, NULL);
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    CHECK_EQ(sigismember(&now, SIGUSR1), 1);
  }
  // It was pending already.
  raise(SIGUSR1);
  count = 0;
  CHECK_ERRNO(ppoll(NULL, 0, &long_time, &none), EINTR);
  CHECK_EQ(count, 1);
  // A call that does not wait does not deliver... but the signal that its mask lets in is delivered all the same.
  struct timespec zero = {0, 0};
  raise(SIGUSR1);
  count = 0;
  int result = ppoll(NULL, 0, &zero, &none);
  printf("ppoll with no time: %d, handled %d\n", result, (int)count);
  block(SIG_UNBLOCK, SIGUSR1);
  CHECK_ERRNO(syscall(SYS_ppoll, NULL, 0, &zero, &none, 4), EINVAL);
  CHECK_ERRNO(syscall(SYS_epoll_pwait2, epoll, &event, 1, &zero, &none, 4), EINVAL);
  close(epoll);
}

// --- signalfd ---

CASE(signal_descriptor) {
  sigset_t set = only(SIGUSR1);
  sigaddset(&set, SIGRTMIN + 3);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  REQUIRE(fd >= 0);
  struct signalfd_siginfo got[4];
  CHECK_ERRNO(read(fd, got, sizeof got), EAGAIN);
  CHECK_ERRNO(read(fd, got, 100), EINVAL);
  sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = 42});
  raise(SIGUSR1);
  sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = 43});
  struct pollfd poller = {fd, POLLIN, 0};
  CHECK_EQ(poll(&poller, 1, 1000), 1);
  CHECK_EQ(read(fd, got, sizeof got), 3 * 128);
  CHECK_EQ(got[0].ssi_signo, SIGUSR1);
  CHECK_EQ(got[0].ssi_code, SI_TKILL);
  CHECK_EQ(got[1].ssi_int, 42);
  CHECK_EQ(got[1].ssi_code, SI_QUEUE);
  CHECK_EQ(got[1].ssi_pid, getpid());
  CHECK_EQ(got[2].ssi_int, 43);
  CHECK_EQ(poll(&poller, 1, 0), 0);
  set = only(SIGUSR2);
  block(SIG_BLOCK, SIGUSR2);
  CHECK_EQ(signalfd(fd, &set, 0), fd);
  raise(SIGUSR1);
  CHECK_EQ(poll(&poller, 1, 0), 0);
  raise(SIGUSR2);
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(read(fd, got, 128), 128);
  CHECK_EQ(got[0].ssi_signo, SIGUSR2);
  CHECK_ERRNO(signalfd(0, &set, 0), EINVAL);
  CHECK_ERRNO(signalfd(999, &set, 0), EBADF);
  CHECK_ERRNO(signalfd(-1, &set, 1), EINVAL);
  close(fd);
  signal(SIGUSR1, SIG_IGN);
  block(SIG_UNBLOCK, SIGUSR1);
  block(SIG_UNBLOCK, SIGUSR2);
  block(SIG_UNBLOCK, SIGRTMIN + 3);
}

// A queued signal with a code of poll(2)'s is shown as one of a file, whatever its number.
CASE(signal_descriptor_of_made_up_codes) {
  block(SIG_BLOCK, SIGUSR1);
  sigset_t set = only(SIGUSR1);
  int fd = signalfd(-1, &set, SFD_NONBLOCK);
  static const int codes[] = {1, 6, 7, SI_SIGIO, SI_QUEUE};
  for (int i = 0; i < 5; i++) {
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = codes[i]};
    info.si_band = 0x1234;
    info.si_fd = 77;
    struct signalfd_siginfo got;
    CHECK_OK(queue_info(getpid(), SIGUSR1, &info));
    CHECK_EQ(read(fd, &got, sizeof got), sizeof got);
    int of_file = codes[i] != 7 && codes[i] != SI_QUEUE;
    CHECK_EQ(got.ssi_code, codes[i]);
    CHECK_EQ(got.ssi_band, of_file ? 0x1234 : 0);
    CHECK_EQ(got.ssi_fd, of_file ? 77 : 0);
    CHECK_EQ(got.ssi_pid, of_file ? 0 : 0x1234);
  }
  close(fd);
  block(SIG_UNBLOCK, SIGUSR1);
}

// --- faults: what siginfo says ---

static volatile int fault_code, fault_signal;
static void* volatile fault_address;
static volatile long fault_trap, fault_error;
static void on_fault(int number, siginfo_t* info, void* context) {
  fault_signal = number;
  fault_code = info->si_code;
  fault_address = info->si_addr;
  fault_trap = ((ucontext_t*)context)->uc_mcontext.gregs[REG_TRAPNO];
  fault_error = ((ucontext_t*)context)->uc_mcontext.gregs[REG_ERR];
  siglongjmp(escape, 1);
}
#define FAULT(what)                  \
  do {                               \
    fault_signal = 0;                \
    if (sigsetjmp(escape, 1) == 0) { \
      what;                          \
    }                                \
  } while (0)
CASE(codes_of_faults) {
  const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (int i = 0; i < 5; i++) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(numbers[i], &action, NULL));
  }
  char* page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  FAULT(page[5] = 1);
  printf("write to read-only: %d %d %d %lx %lx\n", fault_signal, fault_code,
         fault_address == page + 5, fault_trap, fault_error & 2);
  munmap(page, 4096);
  FAULT(page[7] = 1);
  printf("unmapped: %d %d %d %lx\n", fault_signal, fault_code, fault_address == page + 7,
         fault_trap);
  FAULT(*(volatile char*)0x8000000000000000ull = 1);
  printf("not canonical: %d %d %lx %lx\n", fault_signal, fault_code, (long)fault_address,
         fault_trap);
  int fd = memfd_create("short", 0);
  page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  FAULT(page[4097] = 1);
  printf("beyond the end: %d %d %d\n", fault_signal, fault_code, fault_address == page + 4097);
  FAULT(__asm__ volatile(
      "xorl %%edx, %%edx\n movl $1, %%eax\n xorl %%ecx, %%ecx\n divl %%ecx" :: : "rax", "rcx",
      "rdx"));
  printf("division: %d %d %lx\n", fault_signal, fault_code, fault_trap);
  FAULT(__asm__ volatile("ud2"));
  printf("ud2: %d %d %lx\n", fault_signal, fault_code, fault_trap);
  FAULT(__asm__ volatile("hlt"));
  printf("hlt: %d %d %lx %lx\n", fault_signal, fault_code, (long)fault_address, fault_trap);
  FAULT(__asm__ volatile("int3"));
  printf("int3: %d %d %lx %lx\n", fault_signal, fault_code, (long)fault_address, fault_trap);
  for (int i = 0; i < 5; i++) signal(numbers[i], SIG_DFL);
  close(fd);
}
static int child_blocked_fault(const char* unused) {
  (void)unused;
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  block(SIG_BLOCK, SIGSEGV);
  *(volatile int*)8 = 1;
  return 3;
}
CASE(a_blocked_fault_kills) {
  int status;
  waitpid(start("--blocked-fault", ""), &status, 0);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

// --- the frame's vector state ---

static volatile uint32_t magic1, magic2, extended_size, state_size;
static volatile uint64_t features;
static void look_at_frame(int number, siginfo_t* info, void* context) {
  (void)number, (void)info;
  char* area = (char*)((ucontext_t*)context)->uc_mcontext.fpregs;
  memcpy((void*)&magic1, area + 464, 4);
  memcpy((void*)&extended_size, area + 468, 4);
  memcpy((void*)&features, area + 472, 8);
  memcpy((void*)&state_size, area + 480, 4);
  memcpy((void*)&magic2, area + state_size, 4);
  CHECK_EQ((uintptr_t)area % 64, 0);
  CHECK(((ucontext_t*)context)->uc_flags & 1);
}
CASE(vector_state_in_the_frame) {
  struct sigaction action = {.sa_sigaction = look_at_frame, .sa_flags = SA_SIGINFO};
  CHECK_OK(sigaction(SIGUSR1, &action, NULL));
  raise(SIGUSR1);
  CHECK_EQ(magic1, 0x46505853);
  CHECK_EQ(magic2, 0x46505845);
  CHECK_EQ(extended_size, state_size + 4);
  CHECK(features & 2);
  signal(SIGUSR1, SIG_DFL);
}

int main(int argc, char** argv) {
  check_program = argv[0];
  if (argc == 3) {
    if (!strcmp(argv[1], "--raise")) return child_raise(argv[2]);
    if (!strcmp(argv[1], "--pause")) return child_pause(argv[2]);
    if (!strcmp(argv[1], "--overflow")) return child_overflow(argv[2]);
    if (!strcmp(argv[1], "--wait")) return child_wait(argv[2]);
    if (!strcmp(argv[1], "--group")) return child_group(argv[2]);
    if (!strcmp(argv[1], "--powerless")) return child_powerless(argv[2]);
    if (!strcmp(argv[1], "--blocked-fault")) return child_blocked_fault(argv[2]);
  }
  return check_main(argc, argv);
}
