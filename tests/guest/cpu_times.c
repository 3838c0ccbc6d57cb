// User time and system time: getrusage(2), times(2), clock(3), /proc/<pid>/stat, wait4(2), setitimer(2), RLIMIT_CPU.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>

#include "check.h"

struct split {
  int64_t user, system;
};

static int64_t microseconds(struct timeval time) { return time.tv_sec * 1000000LL + time.tv_usec; }
static struct split used(int who) {
  struct rusage usage;
  CHECK_OK(getrusage(who, &usage));
  return (struct split){microseconds(usage.ru_utime), microseconds(usage.ru_stime)};
}
static int64_t cpu_us(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

static volatile unsigned long sink;
static void compute(int64_t us) {
  int64_t end = cpu_us(CLOCK_THREAD_CPUTIME_ID) + us;
  while (cpu_us(CLOCK_THREAD_CPUTIME_ID) < end)
    for (int i = 0; i < 1000000; i++) sink += (unsigned long)i;
}
static void call(int64_t us) {
  int64_t end = cpu_us(CLOCK_THREAD_CPUTIME_ID) + us;
  while (cpu_us(CLOCK_THREAD_CPUTIME_ID) < end)
    for (int i = 0; i < 2000; i++) syscall(SYS_getppid);
}
// Long calls: bytes from a device that has to make them.
static void read_much(int64_t us) {
  static char buffer[1 << 20];
  int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
  int64_t end = cpu_us(CLOCK_THREAD_CPUTIME_ID) + us;
  while (cpu_us(CLOCK_THREAD_CPUTIME_ID) < end)
    for (int i = 0; i < 4; i++)
      if (read(zero, buffer, sizeof buffer) != sizeof buffer) abort();
  close(zero);
  close(null);
}

CASE(computing_is_user_time) {
  struct split before = used(RUSAGE_SELF);
  compute(120000);
  struct split after = used(RUSAGE_SELF);
  int64_t user = after.user - before.user, system = after.system - before.system;
  CHECK(user + system >= 110000);
  CHECK(user > 8 * (user + system) / 10);
}

CASE(calls_are_system_time) {
  struct split before = used(RUSAGE_SELF);
  call(120000);
  struct split after = used(RUSAGE_SELF);
  int64_t user = after.user - before.user, system = after.system - before.system;
  CHECK(user + system >= 110000);
  CHECK(system > (user + system) / 6);
}

CASE(long_calls_are_system_time) {
  // An overloaded machine that takes the processor away between two calls adds to the program's time: then once more.
  int mostly_system = 0;
  for (int i = 0; i < 4 && !mostly_system; i++) {
    struct split before = used(RUSAGE_SELF);
    read_much(120000);
    struct split after = used(RUSAGE_SELF);
    int64_t user = after.user - before.user, system = after.system - before.system;
    CHECK(user + system >= 110000);
    mostly_system = system > (user + system) / 2;
  }
  CHECK(mostly_system);
}

CASE(faults_are_system_time) {
  struct split before = used(RUSAGE_SELF);
  int64_t end = cpu_us(CLOCK_THREAD_CPUTIME_ID) + 120000;
  while (cpu_us(CLOCK_THREAD_CPUTIME_ID) < end) {
    char* room = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(room != MAP_FAILED);
    for (int i = 0; i < 4 << 20; i += 4096) room[i] = 1;
    munmap(room, 4 << 20);
  }
  struct split after = used(RUSAGE_SELF);
  CHECK(after.system - before.system > (after.user - before.user) / 4);
}

CASE(the_sum_is_the_clock) {
  compute(30000);
  call(30000);
  int64_t before = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
  struct split now = used(RUSAGE_SELF);
  int64_t after = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
  CHECK(now.user + now.system >= before - 20000);
  CHECK(now.user + now.system <= after + 20000);
  int64_t by_clock = (int64_t)clock();
  CHECK(by_clock >= after && by_clock < after + 1000000);
}

CASE(neither_goes_back) {
  struct split last = used(RUSAGE_SELF), last_thread = used(RUSAGE_THREAD);
  for (int i = 0; i < 5000; i++) {
    struct split now = used(RUSAGE_SELF), thread = used(RUSAGE_THREAD);
    CHECK(now.user >= last.user && now.system >= last.system);
    CHECK(thread.user >= last_thread.user && thread.system >= last_thread.system);
    last = now;
    last_thread = thread;
    if (i % 50 == 0) sched_yield();
    if (i % 500 == 0) compute(1000);
  }
}

static struct split thread_result[2];
static void* compute_there(void* unused) {
  compute(100000);
  thread_result[0] = used(RUSAGE_THREAD);
  return unused;
}
static void* read_there(void* unused) {
  read_much(100000);
  thread_result[1] = used(RUSAGE_THREAD);
  return unused;
}
static int are_apart(void) {
  pthread_t a, b;
  REQUIRE(pthread_create(&a, NULL, compute_there, NULL) == 0);
  REQUIRE(pthread_create(&b, NULL, read_there, NULL) == 0);
  pthread_join(a, NULL);
  pthread_join(b, NULL);
  return thread_result[0].user > 2 * thread_result[0].system &&
         thread_result[1].system > thread_result[1].user / 2;
}
CASE(threads_apart) {
  struct split before = used(RUSAGE_SELF);
  int apart = 0;
  for (int i = 0; i < 4 && !apart; i++) apart = are_apart();  // once more as above
  CHECK(apart);
  // What ended threads used stays with the process.
  struct split after = used(RUSAGE_SELF);
  CHECK(after.user - before.user > 50000);
  CHECK(after.system - before.system > 30000);
}

static void stat_times(const char* path, int64_t* user, int64_t* system) {
  char text[1024];
  int file = open(path, O_RDONLY);
  ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  REQUIRE(size > 0);
  text[size] = 0;
  char* at = strrchr(text, ')');
  long u = -1, s = -1;
  REQUIRE(sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &u, &s) == 2);
  *user = u;
  *system = s;
}
CASE(proc_and_times_agree) {
  compute(100000);
  read_much(100000);
  int64_t user, system, thread_user, thread_system;
  stat_times("/proc/self/stat", &user, &system);
  stat_times("/proc/thread-self/stat", &thread_user, &thread_system);
  struct tms tms;
  CHECK(times(&tms) != -1);
  struct split usage = used(RUSAGE_SELF);
  CHECK(tms.tms_utime >= user && tms.tms_utime <= user + 3);
  CHECK(tms.tms_stime >= system && tms.tms_stime <= system + 3);
  CHECK(usage.user / 10000 >= tms.tms_utime && usage.user / 10000 <= tms.tms_utime + 3);
  CHECK(usage.system / 10000 >= tms.tms_stime && usage.system / 10000 <= tms.tms_stime + 3);
  CHECK(thread_user <= user && thread_system <= system);
}

CASE(children) {
  struct tms before, after;
  times(&before);
  pid_t computing = fork();
  if (computing == 0) {
    compute(120000);
    _exit(0);
  }
  int status;
  struct rusage usage;
  CHECK_EQ(wait4(computing, &status, 0, &usage), computing);
  CHECK(microseconds(usage.ru_utime) > 2 * microseconds(usage.ru_stime));
  sigset_t chld;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  sigprocmask(SIG_BLOCK, &chld, NULL);
  pid_t calling = fork();
  if (calling == 0) {
    read_much(120000);
    _exit(0);
  }
  siginfo_t info;
  CHECK_EQ(sigwaitinfo(&chld, &info), SIGCHLD);
  CHECK(info.si_stime > info.si_utime / 2);
  CHECK_EQ(wait4(calling, &status, 0, &usage), calling);
  CHECK(microseconds(usage.ru_stime) > microseconds(usage.ru_utime) / 2);
  times(&after);
  CHECK(after.tms_cutime - before.tms_cutime >= 6);
  CHECK(after.tms_cstime - before.tms_cstime >= 5);
  struct split all = used(RUSAGE_CHILDREN);
  CHECK(all.user > 60000 && all.system > 30000);
}

static volatile sig_atomic_t ticks;
static void tick(int signal) {
  (void)signal;
  ticks++;
}
// A virtual timer does not see what the system does; a profiling one does.
CASE(interval_timers) {
  signal(SIGVTALRM, tick);
  signal(SIGPROF, tick);
  struct itimerval value = {{0, 20000}, {0, 20000}}, none = {{0, 0}, {0, 0}}, left;
  ticks = 0;
  CHECK_OK(setitimer(ITIMER_VIRTUAL, &value, NULL));
  for (int i = 0; i < 100 && ticks < 3; i++) compute(50000);
  CHECK(ticks >= 3);
  ticks = 0;
  CHECK_OK(setitimer(ITIMER_VIRTUAL, &value, NULL));
  read_much(120000);
  CHECK_OK(setitimer(ITIMER_VIRTUAL, &none, &left));
  CHECK(ticks <= 4);
  ticks = 0;
  CHECK_OK(setitimer(ITIMER_PROF, &value, NULL));
  for (int i = 0; i < 100 && ticks < 3; i++) read_much(50000);
  CHECK_OK(setitimer(ITIMER_PROF, &none, &left));
  CHECK(ticks >= 3);
}

CASE(cpu_limit_counts_both) {
  pid_t child = fork();
  if (child == 0) {
    struct rlimit limit = {1, 2};
    ticks = 0;
    signal(SIGXCPU, tick);
    setrlimit(RLIMIT_CPU, &limit);
    while (ticks == 0) read_much(10000);
    while (1) compute(10000);
  }
  int status;
  struct rusage usage;
  CHECK_EQ(wait4(child, &status, 0, &usage), child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  int64_t sum = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
  CHECK(sum > 900000);
  CHECK(microseconds(usage.ru_stime) > 50000);
}

CASE(bad_arguments) {
  struct rusage usage;
  CHECK_ERRNO(getrusage(5, &usage), EINVAL);
  CHECK_ERRNO(getrusage(-2, &usage), EINVAL);
  CHECK_ERRNO(syscall(SYS_getrusage, RUSAGE_SELF, (void*)8), EFAULT);
  CHECK_ERRNO(syscall(SYS_times, (void*)8), EFAULT);
  CHECK_ERRNO(setitimer(3, NULL, NULL), EINVAL);
}

CHECK_MAIN
