// Signals and blocking calls: sigsuspend(2), sigwait(3), sigtimedwait(2), pause(2), EINTR and SA_RESTART.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include "check.h"

static volatile sig_atomic_t count;
static void on_signal(int number) {
  (void)number;
  count++;
}

static void install(int flags) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
  CHECK_OK(sigaction(SIGUSR1, &action, NULL));
  count = 0;
}

static sigset_t usr1(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  return set;
}

static pthread_t target;
static int write_later = -1;
static void* interrupt_soon(void* unused) {
  check_until_others_sleep();
  pthread_kill(target, SIGUSR1);
  if (write_later >= 0) {
    check_until_others_sleep();
    if (write(write_later, "x", 1) != 1) return NULL;
  }
  return unused;
}

static pthread_t helper;
static void interrupt_later(void) {
  target = pthread_self();
  count = 0;
  REQUIRE(pthread_create(&helper, NULL, interrupt_soon, NULL) == 0);
}
static void helper_done(void) {
  pthread_join(helper, NULL);
  CHECK_EQ(count, 1);
}

CASE(sigsuspend_swaps_the_mask) {
  install(0);
  sigset_t set = usr1(), old, empty, now;
  sigemptyset(&empty);
  sigprocmask(SIG_BLOCK, &set, &old);
  raise(SIGUSR1);
  CHECK_EQ(count, 0);
  CHECK_ERRNO(sigsuspend(&empty), EINTR);
  CHECK_EQ(count, 1);
  sigprocmask(SIG_BLOCK, NULL, &now);
  CHECK(sigismember(&now, SIGUSR1));
  interrupt_later();
  CHECK_ERRNO(sigsuspend(&empty), EINTR);
  helper_done();
  sigprocmask(SIG_SETMASK, &old, NULL);
}

CASE(pause_returns) {
  install(SA_RESTART);
  interrupt_later();
  CHECK_ERRNO(pause(), EINTR);
  helper_done();
}

CASE(sigwait_takes_it) {
  install(0);
  sigset_t set = usr1(), old;
  sigprocmask(SIG_BLOCK, &set, &old);
  int number = 0;
  raise(SIGUSR1);
  CHECK_EQ(sigwait(&set, &number), 0);
  CHECK_EQ(number, SIGUSR1);
  CHECK_EQ(count, 0);
  target = pthread_self();
  REQUIRE(pthread_create(&helper, NULL, interrupt_soon, NULL) == 0);
  CHECK_EQ(sigwait(&set, &number), 0);
  pthread_join(helper, NULL);
  CHECK_EQ(count, 0);
  sigprocmask(SIG_SETMASK, &old, NULL);
}

CASE(sigtimedwait_and_its_time) {
  sigset_t set = usr1(), old;
  sigprocmask(SIG_BLOCK, &set, &old);
  struct timespec time = {0, 30000000}, zero = {0, 0}, bad = {0, 1000000000};
  siginfo_t info;
  CHECK_ERRNO(sigtimedwait(&set, &info, &zero), EAGAIN);
  int64_t begin = check_now_ns();
  CHECK_ERRNO(sigtimedwait(&set, &info, &time), EAGAIN);
  CHECK(check_now_ns() - begin >= 30000000);
  CHECK_ERRNO(sigtimedwait(&set, &info, &bad), EINVAL);
  sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 33});
  CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
  CHECK_EQ(info.si_value.sival_int, 33);
  sigprocmask(SIG_SETMASK, &old, NULL);
}

CASE(read_is_interrupted) {
  int ends[2];
  char byte;
  CHECK_OK(pipe(ends));
  install(0);
  interrupt_later();
  CHECK_ERRNO(read(ends[0], &byte, 1), EINTR);
  helper_done();
  install(SA_RESTART);
  write_later = ends[1];
  interrupt_later();
  CHECK_EQ(read(ends[0], &byte, 1), 1);  // Goes on until the byte comes.
  helper_done();
  write_later = -1;
  close(ends[0]);
  close(ends[1]);
}

CASE(write_is_interrupted) {
  int ends[2];
  CHECK_OK(pipe(ends));
  static char block[1 << 20];
  install(0);
  interrupt_later();
  long wrote =
      write(ends[1], block, sizeof block);  // What fits was written, so the count and no error.
  CHECK(wrote > 0 && wrote < (long)sizeof block);
  helper_done();
  interrupt_later();
  CHECK_ERRNO(write(ends[1], block, 4096), EINTR);
  helper_done();
  close(ends[0]);
  close(ends[1]);
}

// The interruption comes at once; what Linux tells as left includes the timer's slack of 50 us.
static int nearly_ten(struct timespec left) {
  const int64_t ns = left.tv_sec * 1000000000LL + left.tv_nsec;
  return ns > 5000000000 && ns <= 10000000000 + 50000;
}
CASE(sleeps_are_interrupted) {
  // These never restart, whatever the flag says.
  struct timespec time = {10, 0}, left = {0, 0};
  install(SA_RESTART);
  interrupt_later();
  CHECK_ERRNO(nanosleep(&time, &left), EINTR);
  CHECK(nearly_ten(left));
  helper_done();
  interrupt_later();
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &left), EINTR);
  CHECK(nearly_ten(left));
  helper_done();
  interrupt_later();
  CHECK_ERRNO(poll(NULL, 0, 10000), EINTR);
  helper_done();
  interrupt_later();
  struct timeval ten = {10, 0};
  CHECK_ERRNO(select(0, NULL, NULL, NULL, &ten), EINTR);
  helper_done();
  int epoll = epoll_create1(0);
  struct epoll_event event;
  interrupt_later();
  CHECK_ERRNO(epoll_wait(epoll, &event, 1, 10000), EINTR);
  helper_done();
  close(epoll);
}

CASE(atomic_mask_in_ppoll) {
  install(0);
  sigset_t set = usr1(), old, empty;
  sigemptyset(&empty);
  sigprocmask(SIG_BLOCK, &set, &old);
  raise(SIGUSR1);
  struct timespec time = {10, 0};
  CHECK_ERRNO(ppoll(NULL, 0, &time, &empty), EINTR);
  CHECK_EQ(count, 1);
  raise(SIGUSR1);
  CHECK_ERRNO(pselect(0, NULL, NULL, NULL, &time, &empty), EINTR);
  CHECK_EQ(count, 2);
  int epoll = epoll_create1(0);
  struct epoll_event event;
  raise(SIGUSR1);
  CHECK_ERRNO(epoll_pwait(epoll, &event, 1, 10000, &empty), EINTR);
  CHECK_EQ(count, 3);
  close(epoll);
  sigprocmask(SIG_SETMASK, &old, NULL);
}

CASE(mutex_and_join_go_on) {
  // A handler runs while the thread waits for another; the wait goes on by itself.
  install(0);
  interrupt_later();
  pthread_join(helper, NULL);
  CHECK_EQ(count, 1);
}

CASE(futex_wait_restarts_or_not) {
  static int word = 0;
  install(0);
  interrupt_later();
  CHECK_ERRNO(syscall(SYS_futex, &word, 0, 0, NULL, NULL, 0), EINTR);
  helper_done();
}

CHECK_MAIN
