// Clocks and sleeping: clock_gettime(2), clock_getres(2), nanosleep(2), clock_nanosleep(2), gettimeofday(2), times(2).
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>

#include "check.h"

static int64_t now(clockid_t clock) {
  struct timespec time = {-1, -1};
  CHECK_OK(clock_gettime(clock, &time));
  CHECK(time.tv_nsec >= 0 && time.tv_nsec < 1000000000);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

CASE(every_clock) {
  clockid_t clocks[] = {CLOCK_REALTIME,          CLOCK_MONOTONIC,     CLOCK_PROCESS_CPUTIME_ID,
                        CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
                        CLOCK_MONOTONIC_COARSE,  CLOCK_BOOTTIME,      CLOCK_TAI};
  for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
    struct timespec time;
    CHECK(now(clocks[i]) >= 0);
    CHECK_OK(clock_getres(clocks[i], &time));
    CHECK(time.tv_sec == 0 && time.tv_nsec > 0);
    CHECK_OK(syscall(SYS_clock_gettime, clocks[i], &time));
  }
  struct timespec time;
  CHECK_ERRNO(clock_gettime(99, &time), EINVAL);
  CHECK_ERRNO(clock_getres(99, &time), EINVAL);
}

CASE(never_backwards) {
  int64_t last = now(CLOCK_MONOTONIC), steps = 0;
  for (int i = 0; i < 200000; i++) {
    int64_t next = now(CLOCK_MONOTONIC);
    CHECK(next >= last);
    steps += next > last;
    last = next;
  }
  CHECK(steps > 1000);
}

static int64_t shared_last;
static void* watch_clock(void* unused) {
  for (int i = 0; i < 50000; i++) {
    int64_t before = __atomic_load_n(&shared_last, __ATOMIC_ACQUIRE), mine = now(CLOCK_MONOTONIC);
    CHECK(mine >= before);
    while (mine > before && !__atomic_compare_exchange_n(&shared_last, &before, mine, 0,
                                                         __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    }
  }
  return unused;
}
CASE(never_backwards_across_threads) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) REQUIRE(pthread_create(&threads[i], NULL, watch_clock, NULL) == 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

CASE(clocks_agree) {
  struct timeval day;
  CHECK_OK(gettimeofday(&day, NULL));
  CHECK(llabs(day.tv_sec - time(NULL)) <= 1);
  CHECK(llabs(now(CLOCK_REALTIME) / 1000000000 - day.tv_sec) <= 1);
  CHECK(day.tv_sec > 1700000000);
  int64_t coarse = now(CLOCK_MONOTONIC_COARSE), fine = now(CLOCK_MONOTONIC);
  CHECK(fine >= coarse && fine - coarse < 1000000000);
  CHECK(now(CLOCK_BOOTTIME) >= now(CLOCK_MONOTONIC_COARSE));
  // The call and the vDSO give the same time.
  struct timespec time;
  int64_t before = now(CLOCK_MONOTONIC);
  CHECK_OK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time));
  int64_t middle = time.tv_sec * 1000000000LL + time.tv_nsec;
  CHECK(middle >= before && now(CLOCK_MONOTONIC) >= middle);
}

CASE(sleeping_takes_time) {
  long naps[] = {1, 1000, 100000, 5000000, 50000000};
  for (int i = 0; i < 5; i++) {
    struct timespec time = {0, naps[i]};
    int64_t begin = now(CLOCK_MONOTONIC);
    CHECK_OK(nanosleep(&time, NULL));
    CHECK(now(CLOCK_MONOTONIC) - begin >= naps[i]);
    CHECK(now(CLOCK_MONOTONIC) - begin < naps[i] + 5000000000);
  }
  struct timespec bad = {0, 1000000000}, negative = {-1, 0}, zero = {0, 0};
  CHECK_ERRNO(nanosleep(&bad, NULL), EINVAL);
  CHECK_ERRNO(nanosleep(&negative, NULL), EINVAL);
  CHECK_OK(nanosleep(&zero, NULL));
}

CASE(sleeping_until) {
  int64_t goal = now(CLOCK_MONOTONIC) + 20000000;
  struct timespec until = {goal / 1000000000, goal % 1000000000};
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
  CHECK(now(CLOCK_MONOTONIC) >= goal);
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
  CHECK_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &until, NULL), EINVAL);
}

CASE(processor_time_counts_work) {
  int64_t before = now(CLOCK_PROCESS_CPUTIME_ID), thread_before = now(CLOCK_THREAD_CPUTIME_ID);
  volatile long work = 0;
  for (long i = 0; i < 50000000; i++) work += i;
  CHECK(now(CLOCK_PROCESS_CPUTIME_ID) - before > 1000000);
  CHECK(now(CLOCK_THREAD_CPUTIME_ID) - thread_before > 1000000);
  // Sleep is not work.
  before = now(CLOCK_PROCESS_CPUTIME_ID);
  check_sleep_ms(100);
  CHECK(now(CLOCK_PROCESS_CPUTIME_ID) - before < 60000000);
  struct tms usage;
  CHECK(times(&usage) != (clock_t)-1);
  CHECK(usage.tms_utime >= 0);
}

CHECK_MAIN
