// Timers and clocks of every kind: notification, overrun, processor time, absolute times, and their errors
// (timer_create(2), setitimer(2), clock_nanosleep(2), clock_getcpuclockid(3)).
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>

#include "check.h"

#define MS 1000000LL

static const clockid_t kNobodysClock = (clockid_t)((~(uint32_t)4000000 << 3) | 2);

static volatile sig_atomic_t count, thread_of_signal;
static siginfo_t last;
static void on_signal(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  last = *info;
  thread_of_signal = (int)syscall(SYS_gettid);
  count++;
}
static void install(int number) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  CHECK_OK(sigaction(number, &action, NULL));
  count = 0;
  memset(&last, 0, sizeof last);
}
static void wait_for(int wanted) {
  for (int i = 0; i < 5000 && count < wanted; i++) check_sleep_ms(1);
  CHECK(count >= wanted);
}
static void burn(void) {
  for (volatile int i = 0; i < 100000; i++) {
  }
}
static int64_t read_clock(clockid_t clock) {
  struct timespec now = {0, 0};
  CHECK_OK(clock_gettime(clock, &now));
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}
static void block(int how, int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  CHECK_EQ(pthread_sigmask(how, &set, NULL), 0);
}
static long create(clockid_t clock, struct sigevent* event, int* id) {
  return syscall(SYS_timer_create, clock, event, id);
}
static long set(int id, int flags, struct itimerspec* time, struct itimerspec* old) {
  return syscall(SYS_timer_settime, id, flags, time, old);
}
static long overrun(int id) { return syscall(SYS_timer_getoverrun, id); }
static long destroy(int id) { return syscall(SYS_timer_delete, id); }

CASE(default_event) {
  int id = -1;
  install(SIGALRM);
  CHECK_OK(create(CLOCK_REALTIME, NULL, &id));
  struct itimerspec soon = {{0, 0}, {0, 5 * MS}};
  CHECK_OK(set(id, 0, &soon, NULL));
  wait_for(1);
  CHECK_EQ(last.si_signo, SIGALRM);
  CHECK_EQ(last.si_code, SI_TIMER);
  CHECK_EQ(last.si_timerid, id);
  CHECK_EQ(last.si_value.sival_int, id);
  CHECK_EQ(last.si_overrun, 0);
  CHECK_OK(destroy(id));
  CHECK_ERRNO(destroy(id), EINVAL);
  CHECK_ERRNO(set(id, 0, &soon, NULL), EINVAL);
  CHECK_ERRNO(overrun(id), EINVAL);
}

CASE(no_notification) {
  int id;
  struct sigevent none = {.sigev_notify = SIGEV_NONE};
  CHECK_OK(create(CLOCK_MONOTONIC, &none, &id));
  struct itimerspec time = {{0, 10 * MS}, {10, 0}}, now;
  CHECK_OK(set(id, 0, &time, NULL));
  CHECK_OK(syscall(SYS_timer_gettime, id, &now));
  CHECK(now.it_value.tv_sec == 9 || now.it_value.tv_sec == 10);
  CHECK_EQ(now.it_interval.tv_nsec, 10 * MS);
  time.it_value.tv_sec = 0;
  time.it_value.tv_nsec = 1;
  CHECK_OK(set(id, 0, &time, &now));
  CHECK(now.it_value.tv_sec >= 8);
  check_sleep_ms(30);
  CHECK_OK(syscall(SYS_timer_gettime, id, &now));
  CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_nsec <= 10 * MS && now.it_value.tv_nsec > 0);
  CHECK_EQ(overrun(id), 0);
  CHECK_OK(destroy(id));
}

static volatile int its_tid, done;
static void* receiver(void* unused) {
  its_tid = (int)syscall(SYS_gettid);
  while (!done) check_sleep_ms(1);
  return unused;
}
CASE(to_one_thread) {
  int id;
  pthread_t thread;
  install(SIGRTMIN + 1);
  its_tid = done = 0;
  REQUIRE(pthread_create(&thread, NULL, receiver, NULL) == 0);
  while (!its_tid) check_sleep_ms(1);
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
                           .sigev_signo = SIGRTMIN + 1,
                           .sigev_value = {.sival_ptr = (void*)&its_tid}};
  event._sigev_un._tid = its_tid;
  CHECK_OK(create(CLOCK_MONOTONIC, &event, &id));
  struct itimerspec time = {{0, 2 * MS}, {0, 2 * MS}};
  CHECK_OK(set(id, 0, &time, NULL));
  wait_for(3);
  CHECK_EQ(thread_of_signal, its_tid);
  CHECK(last.si_value.sival_ptr == &its_tid);
  CHECK_OK(destroy(id));
  done = 1;
  pthread_join(thread, NULL);
  event._sigev_un._tid = 1 << 29;
  CHECK_ERRNO(create(CLOCK_MONOTONIC, &event, &id), EINVAL);
}

static void on_expiry(union sigval value) {
  (void)value;
  done++;
}
CASE(a_thread_by_the_library) {
  timer_t timer;
  done = 0;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_expiry};
  CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec time = {{0, 2 * MS}, {0, 2 * MS}};
  CHECK_OK(timer_settime(timer, 0, &time, NULL));
  for (int i = 0; i < 5000 && done < 3; i++) check_sleep_ms(1);
  CHECK(done >= 3);
  CHECK_OK(timer_delete(timer));
}

CASE(overruns_are_counted) {
  int id;
  install(SIGRTMIN + 2);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
  CHECK_OK(create(CLOCK_MONOTONIC, &event, &id));
  block(SIG_BLOCK, SIGRTMIN + 2);
  struct itimerspec time = {{0, 1 * MS}, {0, 1 * MS}}, off = {{0, 0}, {0, 0}};
  CHECK_OK(set(id, 0, &time, NULL));
  check_sleep_ms(50);
  CHECK_EQ(overrun(id), 0);  // of the last one that was delivered: none
  block(SIG_UNBLOCK, SIGRTMIN + 2);
  wait_for(1);
  CHECK_OK(set(id, 0, &off, NULL));
  CHECK_OK(set(id, 0, &time, NULL));
  CHECK_OK(set(id, 0, &off, NULL));
  CHECK_OK(destroy(id));
  // One signal for all of them, which says how many they were.
  CHECK_OK(create(CLOCK_MONOTONIC, &event, &id));
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGRTMIN + 2);
  block(SIG_BLOCK, SIGRTMIN + 2);
  CHECK_OK(set(id, 0, &time, NULL));
  check_sleep_ms(50);
  siginfo_t info;
  CHECK_EQ(sigwaitinfo(&wanted, &info), SIGRTMIN + 2);
  CHECK(info.si_overrun >= 40);
  CHECK_EQ(info.si_overrun, overrun(id));
  CHECK_OK(destroy(id));
  struct timespec zero = {0, 0};
  while (sigtimedwait(&wanted, NULL, &zero) > 0) {
  }
  block(SIG_UNBLOCK, SIGRTMIN + 2);
}

CASE(a_pending_signal_goes_with_its_timer) {
  int id;
  sigset_t wanted, pending;
  install(SIGRTMIN + 3);
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGRTMIN + 3);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
  block(SIG_BLOCK, SIGRTMIN + 3);
  CHECK_OK(create(CLOCK_MONOTONIC, &event, &id));
  struct itimerspec time = {{0, 0}, {0, 1 * MS}};
  CHECK_OK(set(id, 0, &time, NULL));
  check_sleep_ms(20);
  sigpending(&pending);
  CHECK_EQ(sigismember(&pending, SIGRTMIN + 3), 1);
  CHECK_OK(destroy(id));
  block(SIG_UNBLOCK, SIGRTMIN + 3);
  CHECK_EQ(count, 0);
}

CASE(absolute_times) {
  int id;
  install(SIGRTMIN + 4);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 4};
  const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI};
  for (int i = 0; i < 4; i++) {
    CHECK_OK(create(clocks[i], &event, &id));
    int64_t goal = read_clock(clocks[i]) + 10 * MS;
    struct itimerspec time = {{0, 0}, {goal / 1000000000, goal % 1000000000}};
    CHECK_OK(set(id, TIMER_ABSTIME, &time, NULL));
    wait_for(i + 1);
    CHECK(read_clock(clocks[i]) >= goal);
    CHECK_OK(destroy(id));
  }
  // A time that has passed comes at once.
  CHECK_OK(create(CLOCK_MONOTONIC, &event, &id));
  struct itimerspec past = {{0, 0}, {0, 1}};
  CHECK_OK(set(id, TIMER_ABSTIME, &past, NULL));
  wait_for(5);
  CHECK_OK(destroy(id));
}

CASE(processor_time_timers) {
  int id;
  clockid_t mine, process;
  CHECK_EQ(clock_getcpuclockid(getpid(), &process), 0);
  CHECK_EQ(pthread_getcpuclockid(pthread_self(), &mine), 0);
  const clockid_t clocks[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, process, mine};
  for (int i = 0; i < 4; i++) {
    install(SIGRTMIN + 5);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 5};
    CHECK_OK(create(clocks[i], &event, &id));
    int64_t before = read_clock(clocks[i]);
    struct itimerspec time = {{0, 20 * MS}, {0, 20 * MS}};
    CHECK_OK(set(id, 0, &time, NULL));
    while (count < 2 && read_clock(clocks[i]) - before < 5000 * MS) burn();
    CHECK_EQ(count, 2);
    CHECK(read_clock(clocks[i]) - before >= 40 * MS);
    CHECK_OK(destroy(id));
  }
}

CASE(processor_clocks) {
  clockid_t clock;
  CHECK_EQ(clock_getcpuclockid(4000000, &clock), ESRCH);
  CHECK_EQ(clock_getcpuclockid(0, &clock), 0);
  int64_t process = read_clock(CLOCK_PROCESS_CPUTIME_ID);
  CHECK(read_clock(clock) >= process);
  struct timespec now;
  CHECK_ERRNO(syscall(SYS_clock_gettime, kNobodysClock, &now), EINVAL);
  CHECK_ERRNO(syscall(SYS_clock_gettime, -1, &now), EINVAL);
  CHECK_ERRNO(syscall(SYS_clock_gettime, 99, &now), EINVAL);
  CHECK_ERRNO(clock_gettime(10, &now), EINVAL);
  // What the clocks, getrusage and times say agrees.
  check_sleep_ms(1);
  while (read_clock(CLOCK_PROCESS_CPUTIME_ID) < 300 * MS) burn();
  struct rusage usage;
  struct tms tms;
  int64_t first = read_clock(CLOCK_PROCESS_CPUTIME_ID);
  CHECK_OK(getrusage(RUSAGE_SELF, &usage));
  CHECK(times(&tms) != -1);
  int64_t second = read_clock(CLOCK_PROCESS_CPUTIME_ID);
  int64_t used = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 * MS +
                 (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
  CHECK(used >= first - 20 * MS && used <= second + 20 * MS);
  int64_t ticks = (tms.tms_utime + tms.tms_stime) * 1000 * MS / sysconf(_SC_CLK_TCK);
  CHECK(ticks >= first - 40 * MS && ticks <= second + 40 * MS);
  CHECK(usage.ru_nvcsw > 0);
}

CASE(interval_timers_of_processor_time) {
  struct itimerval value = {{0, 10000}, {0, 10000}}, off = {{0, 0}, {0, 0}}, now;
  const int which[2] = {ITIMER_VIRTUAL, ITIMER_PROF}, signals[2] = {SIGVTALRM, SIGPROF};
  for (int i = 0; i < 2; i++) {
    install(signals[i]);
    CHECK_OK(setitimer(which[i], &value, NULL));
    int64_t begin = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    while (count < 3 && read_clock(CLOCK_PROCESS_CPUTIME_ID) - begin < 5000 * MS) burn();
    CHECK(count >= 3);
    CHECK_EQ(last.si_code, SI_KERNEL);
    CHECK_OK(getitimer(which[i], &now));
    CHECK_EQ(now.it_interval.tv_usec, 10000);
    CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_usec <= 14000);
    CHECK_OK(setitimer(which[i], &off, &now));
    CHECK_OK(getitimer(which[i], &now));
    CHECK_EQ(now.it_value.tv_usec, 0);
    CHECK_EQ(now.it_interval.tv_usec, 0);
  }
}

CASE(real_and_alarm_are_one) {
  struct itimerval now, value = {{0, 0}, {100, 0}};
  install(SIGALRM);
  CHECK_EQ(alarm(10), 0);
  CHECK_OK(getitimer(ITIMER_REAL, &now));
  CHECK(now.it_value.tv_sec >= 9 && now.it_value.tv_sec <= 10);
  CHECK_OK(setitimer(ITIMER_REAL, &value, NULL));
  CHECK_EQ(alarm(0), 100);
  CHECK_OK(getitimer(ITIMER_REAL, &now));
  CHECK_EQ(now.it_value.tv_sec, 0);
  value.it_value.tv_sec = 0;
  value.it_value.tv_usec = 1;
  CHECK_OK(setitimer(ITIMER_REAL, &value, NULL));
  wait_for(1);
  CHECK_EQ(last.si_code, SI_KERNEL);
  CHECK_ERRNO(getitimer(3, &now), EINVAL);
  CHECK_ERRNO(getitimer(-1, &now), EINVAL);
  CHECK_ERRNO(syscall(SYS_getitimer, 0, (void*)8), EFAULT);
  CHECK_ERRNO(syscall(SYS_setitimer, 0, (void*)8, NULL), EFAULT);
  value.it_value.tv_sec = -1;
  CHECK_ERRNO(setitimer(ITIMER_REAL, &value, NULL), EINVAL);
}

CASE(errors_of_timers) {
  int id;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
  CHECK_ERRNO(create(99, &event, &id), EINVAL);
  CHECK_ERRNO(create(CLOCK_MONOTONIC_RAW, &event, &id), EOPNOTSUPP);
  CHECK_ERRNO(create(CLOCK_MONOTONIC_COARSE, &event, &id), EOPNOTSUPP);
  CHECK_ERRNO(create(CLOCK_MONOTONIC, (void*)8, &id), EFAULT);
  CHECK_ERRNO(create(CLOCK_MONOTONIC, &event, (void*)8), EFAULT);
  event.sigev_signo = 65;
  CHECK_ERRNO(create(CLOCK_MONOTONIC, &event, &id), EINVAL);
  event.sigev_signo = 0;
  CHECK_ERRNO(create(CLOCK_MONOTONIC, &event, &id), EINVAL);
  event.sigev_signo = SIGRTMIN;
  event.sigev_notify = 77;
  CHECK_ERRNO(create(CLOCK_MONOTONIC, &event, &id), EINVAL);
  event.sigev_notify = SIGEV_SIGNAL;
  CHECK_ERRNO(create(kNobodysClock, &event, &id), EINVAL);
  CHECK_OK(create(CLOCK_MONOTONIC, &event, &id));
  struct itimerspec bad = {{0, 0}, {0, 1000000000}}, negative = {{0, 0}, {-1, 0}},
                    off = {{0, 0}, {0, 0}};
  CHECK_ERRNO(set(id, 0, &bad, NULL), EINVAL);
  CHECK_ERRNO(set(id, 0, &negative, NULL), EINVAL);
  bad.it_value.tv_nsec = 0;
  bad.it_interval.tv_nsec = -1;
  bad.it_value.tv_sec = 1;
  CHECK_ERRNO(set(id, 0, &bad, NULL), EINVAL);
  CHECK_ERRNO(set(id, 0, NULL, NULL), EINVAL);
  CHECK_ERRNO(set(id, 0, (void*)8, NULL), EFAULT);
  CHECK_ERRNO(set(id, 0, &off, (void*)8), EFAULT);
  CHECK_ERRNO(syscall(SYS_timer_gettime, id, (void*)8), EFAULT);
  CHECK_ERRNO(syscall(SYS_timer_gettime, -1, &off), EINVAL);
  CHECK_OK(destroy(id));
}

CASE(sleeping_by_clocks) {
  struct timespec wanted = {0, 5 * MS}, left;
  const clockid_t good[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI};
  for (int i = 0; i < 4; i++) {
    int64_t begin = read_clock(good[i]);
    CHECK_EQ(clock_nanosleep(good[i], 0, &wanted, NULL), 0);
    CHECK(read_clock(good[i]) - begin >= 5 * MS);
    struct timespec past = {1, 0};
    CHECK_EQ(clock_nanosleep(good[i], TIMER_ABSTIME, &past, NULL), 0);
  }
  CHECK_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &wanted, NULL), EINVAL);
  CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &wanted, NULL), EOPNOTSUPP);
  CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_REALTIME_COARSE, 0, &wanted, NULL), EOPNOTSUPP);
  CHECK_ERRNO(syscall(SYS_clock_nanosleep, 99, 0, &wanted, NULL), EINVAL);
  CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (void*)8, NULL), EFAULT);
  wanted.tv_nsec = 1000000000;
  CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &wanted, NULL), EINVAL);
  wanted.tv_sec = -1, wanted.tv_nsec = 0;
  CHECK_ERRNO(nanosleep(&wanted, &left), EINVAL);
  CHECK_ERRNO(syscall(SYS_nanosleep, (void*)8, NULL), EFAULT);
}

static pthread_t sleeper;
static void* interrupt_soon(void* unused) {
  check_sleep_ms(30);
  pthread_kill(sleeper, SIGUSR1);
  return unused;
}
CASE(interrupted_sleeps) {
  pthread_t helper;
  install(SIGUSR1);
  sleeper = pthread_self();
  REQUIRE(pthread_create(&helper, NULL, interrupt_soon, NULL) == 0);
  struct timespec wanted = {5, 0}, left = {99, 99};
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &wanted, &left), EINTR);
  CHECK(left.tv_sec == 4);
  pthread_join(helper, NULL);
  REQUIRE(pthread_create(&helper, NULL, interrupt_soon, NULL) == 0);
  int64_t goal = check_now_ns() + 5000 * MS;
  struct timespec until = {goal / 1000000000, goal % 1000000000};
  left.tv_sec = 99;
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, &left), EINTR);
  CHECK_EQ(left.tv_sec, 99);
  pthread_join(helper, NULL);
}

static void* compute(void* unused) {
  while (!done) burn();
  return unused;
}
CASE(sleeping_for_processor_time) {
  pthread_t thread;
  done = 0;
  REQUIRE(pthread_create(&thread, NULL, compute, NULL) == 0);
  int64_t begin = read_clock(CLOCK_PROCESS_CPUTIME_ID);
  struct timespec wanted = {0, 50 * MS};
  CHECK_EQ(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &wanted, NULL), 0);
  CHECK(read_clock(CLOCK_PROCESS_CPUTIME_ID) - begin >= 50 * MS);
  done = 1;
  pthread_join(thread, NULL);
}

CHECK_MAIN
