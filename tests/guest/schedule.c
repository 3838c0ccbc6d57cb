// Who runs when: fair shares, nice values, policies, affinity; and what the calls about them answer (sched(7)).
#include <linux/sched.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "check.h"

// Inside, threads share as the LibOS lets them, whatever else the machine does. Natively other programs take part.
static int is_inside(void) { return access("/proc/occlum/stats", F_OK) == 0; }

struct attributes {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t utilization_min, utilization_max;
};
static long set_attributes(pid_t pid, void* attributes, unsigned flags) {
  return syscall(SYS_sched_setattr, pid, attributes, flags);
}
static long get_attributes(pid_t pid, void* attributes, unsigned size, unsigned flags) {
  return syscall(SYS_sched_getattr, pid, attributes, size, flags);
}

enum { kMost = 16 };
static volatile int go, stop;
static volatile long turns[kMost];
static int64_t used[kMost];
static int nice_of[kMost];

static int64_t thread_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}
static int64_t process_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  REQUIRE(sched_setaffinity(0, sizeof set, &set) == 0);
}
static void pin_to_all(void) {
  cpu_set_t set;
  memset(&set, 0xff, sizeof set);
  REQUIRE(sched_setaffinity(0, sizeof set, &set) == 0);
}

static void* spin(void* id) {
  int me = (int)(intptr_t)id;
  if (nice_of[me]) setpriority(PRIO_PROCESS, syscall(SYS_gettid), nice_of[me]);
  while (!go) sched_yield();
  int64_t begin = thread_time();
  while (!stop) turns[me]++;
  used[me] = thread_time() - begin;
  return NULL;
}

// `count` spinning threads use `ms` of processor time for each of them.
static void spin_together(int count, int ms) {
  pthread_t threads[kMost];
  go = stop = 0;
  for (intptr_t i = 0; i < count; i++)
    REQUIRE(pthread_create(&threads[i], NULL, spin, (void*)i) == 0);
  int64_t begin = process_time();
  go = 1;
  while (process_time() - begin < (int64_t)count * ms * 1000000) check_sleep_ms(5);
  stop = 1;
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

static int shares_are_equal(void) {
  spin_together(10, is_inside() ? 1000 : 100);
  int64_t least = used[0], most = used[0];
  for (int i = 1; i < 10; i++) {
    if (used[i] < least) least = used[i];
    if (used[i] > most) most = used[i];
  }
  CHECK(least > 0);
  return most - least <= most / 10;
}
CASE(spinners_get_equal_shares) {
  memset(nice_of, 0, sizeof nice_of);
  // A machine that is overloaded may take a processor away for a long time, which the thread that ran there is charged
  // for, at the end without time to make up for it: then once more.
  int equal = 0;
  for (int i = 0; i < (is_inside() ? 4 : 1) && !equal; i++) equal = shares_are_equal();
  if (is_inside()) CHECK(equal);
}

CASE(nice_values_weigh) {
  // 5 steps of nice are a factor of 3 (1024 to 335).
  pin_to(0);
  nice_of[0] = 0;
  nice_of[1] = 5;
  // Once more as above.
  int64_t percent = 0;
  for (int i = 0; i < (is_inside() ? 4 : 1) && !(percent > 240 && percent < 370); i++) {
    spin_together(2, 300);
    percent = used[0] * 100 / (used[1] ? used[1] : 1);
  }
  pin_to_all();
  if (is_inside()) CHECK(percent > 240 && percent < 370);
  CHECK(percent > 120);
  memset(nice_of, 0, sizeof nice_of);
}

enum { kWakes = 100, kFirst = 10 /* those that warm up */, kLate = 2000000 };
static int late;
static int64_t lateness[kWakes - kFirst];

static long switches(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}
static void* wake_often(void* unused) {
  // How many turns the others took from its going to sleep to its waking, whatever time the machine gave them: in 2 ms
  // there is about one on each processor. Who queues behind six that compute sees at least six more.
  for (int i = 0; i < kWakes; i++) {
    const long before = switches();
    const int64_t end = check_now_ns() + 2000000;
    check_sleep_ms(2);
    if (i < kFirst) continue;
    lateness[i - kFirst] = check_now_ns() - end;
    if (switches() - before > 6) late++;
  }
  return unused;
}

static int by_time(const void* left, const void* right) {
  const int64_t a = *(const int64_t*)left, b = *(const int64_t*)right;
  return (a > b) - (a < b);
}

// How late half of the wakes of a thread are at most, while six others compute.
static int64_t usual_lateness(void) {
  pthread_t threads[6], interactive;
  go = 1, stop = 0, late = 0;
  for (intptr_t i = 0; i < 6; i++) REQUIRE(pthread_create(&threads[i], NULL, spin, (void*)i) == 0);
  REQUIRE(pthread_create(&interactive, NULL, wake_often, NULL) == 0);
  pthread_join(interactive, NULL);
  stop = 1;
  for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
  qsort(lateness, kWakes - kFirst, sizeof lateness[0], by_time);
  return lateness[(kWakes - kFirst) / 2];
}

// A thread that has its processor for itself looks at the clock all the time: where it jumps, the machine was elsewhere.
static void* watch_clock(void* argument) {
  const int64_t begin = check_now_ns();
  int64_t lost = 0;
  pin_to((int)(intptr_t)argument);
  for (int64_t now = begin, next; now - begin < 50000000; now = next) {
    next = check_now_ns();
    if (next - now > 500000) lost += next - now;
  }
  return (void*)(intptr_t)lost;
}
static int machine_is_quiet(void) {
  pthread_t threads[2];
  void* lost[2];
  for (intptr_t i = 0; i < 2; i++)
    REQUIRE(pthread_create(&threads[i], NULL, watch_clock, (void*)i) == 0);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], &lost[i]);
  return (intptr_t)lost[0] + (intptr_t)lost[1] < 2000000;  // of 100 ms
}

CASE(interactive_thread_wakes_beside_spinners) {
  if (!is_inside()) return;
  // Within 2 ms of the time, if the machine leaves the processors to the LibOS: it must have done so before and after
  // for the time to count. What it cannot spoil is the number of turns: who queues is late every time, and a machine
  // whose timer comes late itself makes it so once or twice.
  int is_counted = 0;
  for (int i = 0; i < 5 && !is_counted; i++) {
    const int was_quiet = machine_is_quiet();
    const int64_t usual = usual_lateness();
    CHECK(late <= 5);
    if (usual > kLate && !(was_quiet && machine_is_quiet())) continue;
    is_counted = 1;
    CHECK(usual <= kLate);
  }
  fprintf(stderr, "schedule: half of the wakes %ld us late at most, 9 of 10 %ld us%s\n",
          (long)lateness[(kWakes - kFirst) / 2] / 1000,
          (long)lateness[(kWakes - kFirst) * 9 / 10] / 1000,
          is_counted ? "" : ", on a machine too busy for that to count");
}

static volatile int order[64], order_count;
static void note(int who) { order[__atomic_fetch_add(&order_count, 1, __ATOMIC_SEQ_CST)] = who; }

static void set_fifo(int priority) {
  struct sched_param parameter = {priority};
  REQUIRE(sched_setscheduler(0, SCHED_FIFO, &parameter) == 0);
}
static void* fifo_worker(void* argument) {
  note((int)(intptr_t)argument);
  return NULL;
}
CASE(fifo_runs_to_its_end_by_priority) {
  // All on one processor, the creator with the highest priority: nobody runs until it sleeps, then by priority. A new
  // thread has its creator's priority first: one that is lowered comes before its equals.
  pin_to(0);
  set_fifo(50);
  order_count = 0;
  pthread_t threads[5];
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
  pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
  const int numbers[5] = {10, 30, 21, 20, 11};
  for (int i = 0; i < 5; i++) {
    struct sched_param parameter = {10 + numbers[i] / 10};
    pthread_attr_setschedparam(&attributes, &parameter);
    REQUIRE(pthread_create(&threads[i], &attributes, fifo_worker, (void*)(intptr_t)numbers[i]) ==
            0);
  }
  CHECK_EQ(order_count, 0);
  for (int i = 0; i < 5; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(order_count, 5);
  const int wanted[5] = {30, 20, 21, 11, 10};
  for (int i = 0; i < 5; i++) CHECK_EQ(order[i], wanted[i]);
  struct sched_param none = {0};
  CHECK_OK(sched_setscheduler(0, SCHED_OTHER, &none));
  pin_to_all();
}

static volatile int woken_first;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static volatile int is_open;
static void* fifo_sleeper(void* unused) {
  pin_to(0);
  set_fifo(20);
  pthread_mutex_lock(&gate);
  while (!is_open) pthread_cond_wait(&opened, &gate);
  pthread_mutex_unlock(&gate);
  woken_first = 1;
  return unused;
}
CASE(fifo_preempts_who_wakes_it) {
  pin_to(0);
  is_open = woken_first = 0;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, fifo_sleeper, NULL) == 0);
  check_sleep_ms(50);
  pthread_mutex_lock(&gate);
  is_open = 1;
  pthread_mutex_unlock(&gate);
  pthread_cond_signal(&opened);
  // It has priority on this processor: it has run before the call came back.
  CHECK_EQ(woken_first, 1);
  pthread_join(thread, NULL);
  pin_to_all();
}

static void* round_robin(void* argument) {
  pin_to(0);
  struct sched_param parameter = {5};
  REQUIRE(sched_setscheduler(0, SCHED_RR, &parameter) == 0);
  volatile long* mine = &turns[(intptr_t)argument];
  while (!stop) (*mine)++;
  return NULL;
}
CASE(round_robin_takes_turns) {
  pin_to(0);
  set_fifo(30);
  stop = 0;
  turns[0] = turns[1] = 0;
  pthread_t threads[2];
  for (intptr_t i = 0; i < 2; i++)
    REQUIRE(pthread_create(&threads[i], NULL, round_robin, (void*)i) == 0);
  int64_t begin = check_now_ns();
  while ((turns[0] == 0 || turns[1] == 0) && check_now_ns() - begin < 10000000000)
    check_sleep_ms(20);
  CHECK(turns[0] > 0 && turns[1] > 0);
  stop = 1;
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  struct sched_param none = {0};
  CHECK_OK(sched_setscheduler(0, SCHED_OTHER, &none));
  pin_to_all();
}

static void* idle_spinner(void* unused) {
  struct sched_param none = {0};
  pin_to(0);
  REQUIRE(sched_setscheduler(0, SCHED_IDLE, &none) == 0);
  note(1);
  int64_t begin = thread_time();
  while (!stop) turns[0]++;
  used[0] = thread_time() - begin;
  return unused;
}
CASE(idle_policy_yields_to_others) {
  pin_to(0);
  stop = order_count = 0;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, idle_spinner, NULL) == 0);
  while (!order_count) check_sleep_ms(1);
  int64_t begin = thread_time();
  while (thread_time() - begin < 300000000) {
  }
  stop = 1;
  pthread_join(thread, NULL);
  if (is_inside()) CHECK(used[0] < 60000000);
  pin_to_all();
}

CASE(affinity_moves_at_once) {
  cpu_set_t old, set;
  CHECK_OK(sched_getaffinity(0, sizeof old, &old));
  int cpus = CPU_COUNT(&old);
  CHECK(cpus >= 1);
  for (int round = 0; round < 20; round++) {
    for (int cpu = 0; cpu < cpus && cpu < 2; cpu++) {
      pin_to(cpu);
      unsigned now = 99, node = 99;
      CHECK_EQ(syscall(SYS_getcpu, &now, &node, NULL), 0);
      CHECK_EQ(now, cpu);
      CHECK_EQ(sched_getcpu(), cpu);
      CHECK_OK(sched_getaffinity(0, sizeof set, &set));
      CHECK_EQ(CPU_COUNT(&set), 1);
    }
  }
  pin_to_all();
  CHECK_OK(sched_getaffinity(0, sizeof set, &set));
  CHECK(CPU_EQUAL(&set, &old));
  CPU_ZERO(&set);
  CHECK_ERRNO(sched_setaffinity(0, sizeof set, &set), EINVAL);
  CPU_SET(700, &set);
  CHECK_ERRNO(sched_setaffinity(0, sizeof set, &set), EINVAL);
  CHECK_ERRNO(syscall(SYS_sched_setaffinity, 0, 8, (void*)8), EFAULT);
  CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, 0, &set), EINVAL);
  CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, 9, &set), EINVAL);
  CHECK_ERRNO(syscall(SYS_sched_getaffinity, 1 << 29, 128, &set), ESRCH);
  CHECK_ERRNO(syscall(SYS_sched_setaffinity, 1 << 29, 128, &old), ESRCH);
}

static volatile int seen_cpu;
static void* show_cpu(void* unused) {
  while (!stop) seen_cpu = sched_getcpu();
  return unused;
}
CASE(affinity_of_another_thread) {
  cpu_set_t set;
  CHECK_OK(sched_getaffinity(0, sizeof set, &set));
  int cpus = CPU_COUNT(&set) < 2 ? 1 : 2;
  stop = 0;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, show_cpu, NULL) == 0);
  for (int round = 0; round < 6; round++) {
    int cpu = round % cpus;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    CHECK_EQ(pthread_setaffinity_np(thread, sizeof set, &set), 0);
    int64_t begin = check_now_ns();
    while (seen_cpu != cpu && check_now_ns() - begin < 5000000000) check_sleep_ms(1);
    check_sleep_ms(5);
    CHECK_EQ(seen_cpu, cpu);
  }
  stop = 1;
  pthread_join(thread, NULL);
}

// Process 1, whoever it is, can be asked as any other.
CASE(init_is_a_process) {
  struct sched_param parameter;
  struct timespec slice;
  errno = 0;
  CHECK(sched_getscheduler(1) >= 0);
  CHECK_EQ(sched_getparam(1, &parameter), 0);
  CHECK_EQ(sched_rr_get_interval(1, &slice), 0);
  CHECK_EQ(getpriority(PRIO_PROCESS, 1), 0);
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CHECK_EQ(sched_getaffinity(1, sizeof cpus, &cpus), 0);
  CHECK(CPU_COUNT(&cpus) > 0);
  CHECK_EQ(errno, 0);
}

CASE(policies_are_kept) {
  struct sched_param parameter = {0};
  CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
  for (int policy = SCHED_FIFO; policy <= SCHED_RR; policy++) {
    parameter.sched_priority = 7;
    CHECK_OK(sched_setscheduler(0, policy, &parameter));
    CHECK_EQ(sched_getscheduler(0), policy);
    parameter.sched_priority = 99;
    CHECK_OK(sched_setparam(0, &parameter));
    parameter.sched_priority = 0;
    CHECK_OK(sched_getparam(0, &parameter));
    CHECK_EQ(parameter.sched_priority, 99);
    struct timespec interval = {9, 9};
    CHECK_OK(sched_rr_get_interval(0, &interval));
    CHECK_EQ(interval.tv_sec, 0);
    CHECK_EQ(interval.tv_nsec, policy == SCHED_RR ? 100000000 : 0);
    parameter.sched_priority = 0;
    CHECK_ERRNO(sched_setparam(0, &parameter), EINVAL);
    parameter.sched_priority = 100;
    CHECK_ERRNO(sched_setparam(0, &parameter), EINVAL);
  }
  parameter.sched_priority = 0;
  const int others[3] = {SCHED_BATCH, SCHED_IDLE, SCHED_OTHER};
  for (int i = 0; i < 3; i++) {
    CHECK_OK(sched_setscheduler(0, others[i], &parameter));
    CHECK_EQ(sched_getscheduler(0), others[i]);
  }
  CHECK_OK(sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &parameter));
  CHECK_EQ(sched_getscheduler(0), SCHED_OTHER | SCHED_RESET_ON_FORK);
  CHECK_OK(sched_setscheduler(0, SCHED_OTHER, &parameter));
  CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
}

CASE(policy_errors) {
  struct sched_param parameter = {1};
  CHECK_ERRNO(sched_setscheduler(0, SCHED_OTHER, &parameter), EINVAL);
  CHECK_ERRNO(sched_setscheduler(0, 4, &parameter), EINVAL);
  CHECK_ERRNO(sched_setscheduler(0, -1, &parameter), EINVAL);
  CHECK_ERRNO(sched_setscheduler(-1, SCHED_OTHER, &parameter), EINVAL);
  CHECK_ERRNO(sched_setscheduler(1 << 29, SCHED_FIFO, &parameter), ESRCH);
  CHECK_ERRNO(sched_setscheduler(0, SCHED_FIFO, NULL), EINVAL);
  CHECK_ERRNO(sched_setscheduler(0, SCHED_FIFO, (void*)8), EFAULT);
  CHECK_ERRNO(sched_setparam(0, NULL), EINVAL);
  CHECK_ERRNO(sched_setparam(-1, &parameter), EINVAL);
  CHECK_ERRNO(sched_getparam(0, NULL), EINVAL);
  CHECK_ERRNO(sched_getparam(-1, &parameter), EINVAL);
  CHECK_ERRNO(sched_getparam(1 << 29, &parameter), ESRCH);
  CHECK_ERRNO(sched_getscheduler(-1), EINVAL);
  CHECK_ERRNO(sched_getscheduler(1 << 29), ESRCH);
  CHECK_ERRNO(sched_rr_get_interval(-1, NULL), EINVAL);
  CHECK_ERRNO(sched_rr_get_interval(1 << 29, NULL), ESRCH);
  CHECK_ERRNO(sched_rr_get_interval(0, (void*)8), EFAULT);
  for (int policy = 0; policy < 8; policy++) {
    if (policy == 4 || policy == 7) continue;
    CHECK_EQ(sched_get_priority_max(policy), policy == 1 || policy == 2 ? 99 : 0);
    CHECK_EQ(sched_get_priority_min(policy), policy == 1 || policy == 2 ? 1 : 0);
  }
  CHECK_ERRNO(sched_get_priority_max(4), EINVAL);
  CHECK_ERRNO(sched_get_priority_min(-1), EINVAL);
  CHECK_ERRNO(sched_get_priority_max(99), EINVAL);
}

CASE(attributes) {
  struct attributes all;
  memset(&all, 0xee, sizeof all);
  CHECK_OK(get_attributes(0, &all, sizeof all, 0));
  CHECK_EQ(all.size, 56);
  CHECK_EQ(all.policy, SCHED_OTHER);
  CHECK_EQ(all.nice, 0);
  CHECK_EQ(all.priority, 0);
  memset(&all, 0xee, sizeof all);
  CHECK_OK(get_attributes(0, &all, 48, 0));
  CHECK_EQ(all.size, 48);
  CHECK_EQ(all.utilization_max, 0xeeeeeeee);
  struct {
    struct attributes known;
    uint64_t more[2];
  } longer;
  memset(&longer, 0, sizeof longer);
  longer.known.size = sizeof longer;
  longer.known.policy = SCHED_BATCH;
  longer.known.nice = 3;
  CHECK_OK(set_attributes(0, &longer, 0));
  CHECK_OK(get_attributes(0, &all, sizeof all, 0));
  CHECK_EQ(all.policy, SCHED_BATCH);
  CHECK_EQ(all.nice, 3);
  CHECK_EQ(getpriority(PRIO_PROCESS, 0), 3);
  longer.more[1] = 1;
  CHECK_ERRNO(set_attributes(0, &longer, 0), E2BIG);
  CHECK_EQ(longer.known.size, 56);
  memset(&all, 0, sizeof all);
  all.size = 40;
  CHECK_ERRNO(set_attributes(0, &all, 0), E2BIG);
  CHECK_EQ(all.size, 56);
  all.size = 0;
  all.policy = SCHED_OTHER;
  all.nice = -100;
  CHECK_OK(set_attributes(0, &all, 0));
  CHECK_EQ(getpriority(PRIO_PROCESS, 0), -20);
  all.flags = SCHED_FLAG_KEEP_PARAMS | SCHED_FLAG_RESET_ON_FORK;
  all.nice = 5;
  CHECK_OK(set_attributes(0, &all, 0));
  CHECK_EQ(getpriority(PRIO_PROCESS, 0), -20);
  CHECK_EQ(sched_getscheduler(0), SCHED_OTHER | SCHED_RESET_ON_FORK);
  all.flags = 0;
  all.nice = 0;
  CHECK_OK(set_attributes(0, &all, 0));
  all.flags = 1 << 10;
  CHECK_ERRNO(set_attributes(0, &all, 0), EINVAL);
  all.flags = 0;
  all.policy = SCHED_FIFO;
  CHECK_ERRNO(set_attributes(0, &all, 0), EINVAL);
  all.priority = 100;
  CHECK_ERRNO(set_attributes(0, &all, 0), EINVAL);
  all.priority = 1;
  CHECK_ERRNO(set_attributes(0, &all, 1), EINVAL);
  CHECK_ERRNO(set_attributes(-1, &all, 0), EINVAL);
  CHECK_ERRNO(set_attributes(0, NULL, 0), EINVAL);
  CHECK_ERRNO(set_attributes(0, (void*)8, 0), EFAULT);
  CHECK_ERRNO(set_attributes(1 << 29, &all, 0), ESRCH);
  all.policy = -1;
  CHECK_ERRNO(set_attributes(0, &all, 0), EINVAL);
  CHECK_ERRNO(get_attributes(0, &all, 47, 0), EINVAL);
  CHECK_ERRNO(get_attributes(0, &all, 5000, 0), EINVAL);
  CHECK_ERRNO(get_attributes(0, &all, 56, 1), EINVAL);
  CHECK_ERRNO(get_attributes(0, NULL, 56, 0), EINVAL);
  CHECK_ERRNO(get_attributes(-1, &all, 56, 0), EINVAL);
  CHECK_ERRNO(get_attributes(1 << 29, &all, 56, 0), ESRCH);
}

static void* show_inherited(void* out) {
  ((int*)out)[0] = sched_getscheduler(0);
  errno = 0;
  ((int*)out)[1] = getpriority(PRIO_PROCESS, syscall(SYS_gettid));
  return NULL;
}
CASE(inheritance) {
  struct sched_param parameter = {3};
  int seen[2];
  pthread_t thread;
  CHECK_OK(sched_setscheduler(0, SCHED_RR, &parameter));
  REQUIRE(pthread_create(&thread, NULL, show_inherited, seen) == 0);
  pthread_join(thread, NULL);
  CHECK_EQ(seen[0], SCHED_RR);
  CHECK_OK(sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &parameter));
  REQUIRE(pthread_create(&thread, NULL, show_inherited, seen) == 0);
  pthread_join(thread, NULL);
  CHECK_EQ(seen[0], SCHED_OTHER);
  parameter.sched_priority = 0;
  CHECK_OK(sched_setscheduler(0, SCHED_OTHER, &parameter));
  CHECK_OK(setpriority(PRIO_PROCESS, 0, 4));
  REQUIRE(pthread_create(&thread, NULL, show_inherited, seen) == 0);
  pthread_join(thread, NULL);
  CHECK_EQ(seen[1], 4);
  CHECK_OK(setpriority(PRIO_PROCESS, 0, 0));
}

CASE(priorities_of_processes) {
  CHECK_OK(setpriority(PRIO_PROCESS, 0, 100));
  CHECK_EQ(getpriority(PRIO_PROCESS, 0), 19);
  CHECK_OK(setpriority(PRIO_PROCESS, 0, -100));
  CHECK_EQ(getpriority(PRIO_PROCESS, getpid()), -20);
  CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 40);
  CHECK_OK(setpriority(PRIO_PROCESS, 0, 0));
  CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 20);
  CHECK_ERRNO(getpriority(3, 0), EINVAL);
  CHECK_ERRNO(setpriority(-1, 0, 0), EINVAL);
  CHECK_ERRNO(getpriority(PRIO_PROCESS, 1 << 29), ESRCH);
  CHECK_ERRNO(getpriority(PRIO_PROCESS, -5), ESRCH);
  CHECK_ERRNO(setpriority(PRIO_PGRP, 1 << 29, 0), ESRCH);
  CHECK_ERRNO(setpriority(PRIO_USER, 54321, 0), ESRCH);
}

CHECK_MAIN
