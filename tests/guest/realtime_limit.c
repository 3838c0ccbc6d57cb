// RLIMIT_RTTIME: how long a real-time thread may run without sleeping (getrlimit(2)).
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"

#define MS 1000  // the limit is in microseconds

static volatile int signals;
static void count(int signal) {
  (void)signal;
  signals++;
}

static void become_realtime(int policy) {
  struct sched_param first = {.sched_priority = 1};
  CHECK_OK(sched_setscheduler(0, policy, &first));
}

static void limit(rlim_t soft, rlim_t hard) {
  struct rlimit limit = {soft, hard};
  CHECK_OK(setrlimit(RLIMIT_RTTIME, &limit));
}

static int64_t own_time_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void spin_ms(long ms) {
  int64_t end = own_time_ns() + ms * 1000000;
  while (own_time_ns() < end) {
  }
}

// Wait status of a child that runs `body`; 10 s of its time is for ever.
static int in_child(void (*body)(void)) {
  struct rlimit core = {0, 0};
  CHECK_OK(setrlimit(RLIMIT_CORE, &core));
  return check_in_child(body);
}

static void first_signal(void) {
  become_realtime(SCHED_FIFO);
  limit(100 * MS, RLIM_INFINITY);
  spin_ms(10000);
}
static void first_signal_of_rr(void) {
  limit(100 * MS, RLIM_INFINITY);
  become_realtime(SCHED_RR);
  spin_ms(10000);
}
CASE(soft_limit) {
  CHECK_EQ(in_child(first_signal), SIGXCPU);
  CHECK_EQ(in_child(first_signal_of_rr), SIGXCPU);
}

// The soft limit goes up by a second each time.
static void handled(void) {
  signal(SIGXCPU, count);
  become_realtime(SCHED_FIFO);
  limit(100 * MS, RLIM_INFINITY);
  while (signals == 0) spin_ms(1);
  struct rlimit now;
  getrlimit(RLIMIT_RTTIME, &now);
  CHECK_EQ(now.rlim_cur, 1100 * MS);
  CHECK(own_time_ns() >= 90 * 1000000);
  spin_ms(300);
  CHECK_EQ(signals, 1);
}
CASE(handler) { CHECK_EQ(in_child(handled), 0); }

static void killed(void) {
  signal(SIGXCPU, SIG_IGN);
  become_realtime(SCHED_FIFO);
  limit(100 * MS, 400 * MS);
  spin_ms(10000);
}
CASE(hard_limit) { CHECK_EQ(in_child(killed), SIGKILL); }

static void sleeping(void) {
  become_realtime(SCHED_FIFO);
  limit(500 * MS, 600 * MS);
  for (int i = 0; i < 7; i++) {
    spin_ms(100);
    check_sleep_ms(1);
  }
}
CASE(sleep_starts_anew) { CHECK_EQ(in_child(sleeping), 0); }

// Nor does a time before it became one count.
static void ordinary(void) {
  limit(500 * MS, 600 * MS);
  spin_ms(700);
  become_realtime(SCHED_FIFO);
  spin_ms(50);
}
CASE(ordinary_threads) { CHECK_EQ(in_child(ordinary), 0); }

static void* spin(void* unused) {
  spin_ms(10000);
  return unused;
}
static void other_thread(void) {
  become_realtime(SCHED_FIFO);
  limit(100 * MS, RLIM_INFINITY);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, spin, NULL) == 0);
  pthread_join(thread, NULL);
}
CASE(threads) { CHECK_EQ(in_child(other_thread), SIGXCPU); }

// After all have slept for longer than the limit.
static void woken(void) {
  become_realtime(SCHED_FIFO);
  limit(50 * MS, RLIM_INFINITY);
  check_sleep_ms(200);
  spin_ms(10000);
}
CASE(after_sleep) { CHECK_EQ(in_child(woken), SIGXCPU); }

static void of_parent(void) {
  become_realtime(SCHED_FIFO);
  limit(100 * MS, RLIM_INFINITY);
  CHECK_EQ(in_child(woken), SIGXCPU);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) spin_ms(10000);
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, SIGXCPU);
}
CASE(inherited) { CHECK_EQ(in_child(of_parent), 0); }

CHECK_MAIN
