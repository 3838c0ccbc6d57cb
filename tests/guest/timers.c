// Interval timers: alarm(2), setitimer(2), timer_create(2), timerfd_create(2).
#include <poll.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#include "check.h"

#define MS 1000000LL

static volatile sig_atomic_t count;
static siginfo_t last;
static void on_signal(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  last = *info;
  count++;
}

static void install(int number) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  CHECK_OK(sigaction(number, &action, NULL));
  count = 0;
}

static void wait_for(int wanted) {
  for (int i = 0; i < 5000 && count < wanted; i++) check_sleep_ms(1);
  CHECK(count >= wanted);
}

CASE(alarm_clock) {
  install(SIGALRM);
  CHECK_EQ(alarm(100), 0);
  CHECK_EQ(alarm(1), 100);
  int64_t begin = check_now_ns();
  CHECK_ERRNO(pause(), EINTR);
  CHECK(check_now_ns() - begin >= 900 * MS);
  CHECK_EQ(count, 1);
  alarm(50);
  CHECK_EQ(alarm(0), 50);
}

CASE(interval_real) {
  install(SIGALRM);
  struct itimerval every = {{0, 5000}, {0, 5000}}, off = {{0, 0}, {0, 0}}, now;
  int64_t begin = check_now_ns();
  CHECK_OK(setitimer(ITIMER_REAL, &every, NULL));
  wait_for(10);
  CHECK(check_now_ns() - begin >= 45 * MS);
  CHECK_OK(getitimer(ITIMER_REAL, &now));
  CHECK_EQ(now.it_interval.tv_usec, 5000);
  CHECK_OK(setitimer(ITIMER_REAL, &off, &now));
  check_sleep_ms(10);
  int seen = count;
  check_sleep_ms(30);
  CHECK_EQ(count, seen);
  every.it_value.tv_usec = 1000000;
  CHECK_ERRNO(setitimer(ITIMER_REAL, &every, NULL), EINVAL);
  CHECK_ERRNO(setitimer(99, &off, NULL), EINVAL);
}

CASE(interval_of_processor_time) {
  install(SIGVTALRM);
  struct itimerval once = {{0, 0}, {0, 20000}};
  CHECK_OK(setitimer(ITIMER_VIRTUAL, &once, NULL));
  int64_t begin = check_now_ns();
  while (!count && check_now_ns() - begin < 10000 * MS) {
  }
  CHECK_EQ(count, 1);
}

CASE(posix_timer) {
  install(SIGRTMIN);
  struct sigevent event = {
      .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value = {.sival_int = 77}};
  timer_t timer;
  CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec time = {{0, 3 * MS}, {0, 3 * MS}}, now;
  CHECK_OK(timer_settime(timer, 0, &time, NULL));
  wait_for(5);
  CHECK_EQ(last.si_code, SI_TIMER);
  CHECK_EQ(last.si_value.sival_int, 77);
  CHECK_OK(timer_gettime(timer, &now));
  CHECK_EQ(now.it_interval.tv_nsec, 3 * MS);
  CHECK(timer_getoverrun(timer) >= 0);
  CHECK_OK(timer_delete(timer));
  count = 0;
  check_sleep_ms(20);
  CHECK_EQ(count, 0);
  CHECK_ERRNO(timer_create(99, &event, &timer), EINVAL);
}

CASE(timer_descriptor) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  REQUIRE(fd >= 0);
  uint64_t ticks = 0;
  CHECK_ERRNO(read(fd, &ticks, 8), EAGAIN);
  struct itimerspec time = {{0, 2 * MS}, {0, 2 * MS}}, now;
  CHECK_OK(timerfd_settime(fd, 0, &time, NULL));
  CHECK_ERRNO(read(fd, &ticks, 4), EINVAL);
  struct pollfd poller = {fd, POLLIN, 0};
  CHECK_EQ(poll(&poller, 1, 5000), 1);
  CHECK_EQ(poller.revents, POLLIN);
  check_sleep_ms(20);
  CHECK_EQ(read(fd, &ticks, 8), 8);
  CHECK(ticks >= 9);
  CHECK_OK(timerfd_gettime(fd, &now));
  CHECK_EQ(now.it_interval.tv_nsec, 2 * MS);
  memset(&time, 0, sizeof time);
  CHECK_OK(timerfd_settime(fd, 0, &time, &now));
  CHECK_EQ(poll(&poller, 1, 10), 0);
  close(fd);
  CHECK_ERRNO(timerfd_create(99, 0), EINVAL);
  CHECK_ERRNO(timerfd_create(CLOCK_MONOTONIC, 0x40), EINVAL);
}

CASE(timer_descriptor_absolute) {
  int fd = timerfd_create(CLOCK_MONOTONIC, 0);
  int64_t goal = check_now_ns() + 20 * MS;
  struct itimerspec time = {{0, 0}, {goal / 1000000000, goal % 1000000000}};
  CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &time, NULL));
  uint64_t ticks;
  CHECK_EQ(read(fd, &ticks, 8), 8);
  CHECK_EQ(ticks, 1);
  CHECK(check_now_ns() >= goal);
  time.it_value.tv_nsec = 1000000000;
  CHECK_ERRNO(timerfd_settime(fd, 0, &time, NULL), EINVAL);
  close(fd);
}

// The number of a deleted timer names none that is made later.
CASE(numbers_are_not_used_again) {
  struct sigevent event = {.sigev_notify = SIGEV_NONE};
  int first = -1, second = -1;
  CHECK_OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &first));
  CHECK_OK(syscall(SYS_timer_delete, first));
  CHECK_OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &second));
  CHECK_EQ(second, first + 1);
  CHECK_ERRNO(syscall(SYS_timer_getoverrun, first), EINVAL);
  CHECK_EQ(syscall(SYS_timer_getoverrun, second), 0);
  CHECK_OK(syscall(SYS_timer_delete, second));
}

CHECK_MAIN
