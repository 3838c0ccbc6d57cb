// PI futexes, requeueing to them, robust lists, and waiting on several futexes at once.
#include <linux/futex.h>
#include <sched.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

static long futex(volatile uint32_t* word, int op, uint32_t value, const void* time,
                  volatile uint32_t* other, uint32_t last) {
  return syscall(SYS_futex, word, op, value, time, other, last);
}
static uint32_t my_tid(void) { return (uint32_t)syscall(SYS_gettid); }

static volatile uint32_t word, lock, other_tid, step;
static volatile long outcome, outcome_errno;

static void wait_for(volatile uint32_t* what, uint32_t value) {
  int64_t begin = check_now_ns();
  while (*what != value && check_now_ns() - begin < 10000000000) check_sleep_ms(1);
  CHECK_EQ(*what, value);
}
static void in_time(struct timespec* time, clockid_t clock, long ms) {
  clock_gettime(clock, time);
  time->tv_nsec += ms * 1000000;
  time->tv_sec += time->tv_nsec / 1000000000;
  time->tv_nsec %= 1000000000;
}

CASE(lock_without_contention) {
  lock = 0;
  CHECK_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  CHECK_EQ(lock, my_tid());
  CHECK_ERRNO(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
  CHECK_ERRNO(futex(&lock, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
  CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  CHECK_EQ(lock, 0);
  CHECK_ERRNO(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EPERM);
  lock = 1 << 29;  // nobody
  CHECK_ERRNO(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), ESRCH);
  CHECK_EQ(lock, (1u << 29) | FUTEX_WAITERS);
  CHECK_ERRNO(futex(&lock, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), ESRCH);
  lock = FUTEX_OWNER_DIED;
  CHECK_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  CHECK_EQ(lock, my_tid() | FUTEX_OWNER_DIED);
  CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  CHECK_EQ(lock, 0);
  CHECK_ERRNO(futex((uint32_t*)((char*)&lock + 2), FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0),
              EINVAL);
  CHECK_ERRNO(futex(NULL, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EFAULT);
  struct timespec bad = {0, -1};
  CHECK_ERRNO(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, &bad, NULL, 0), EINVAL);
  CHECK_ERRNO(futex(&lock, FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), ENOSYS);
  CHECK_EQ(futex(&lock, 13 | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), 0);
  CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
}

static void* take_lock(void* unused) {
  other_tid = my_tid();
  outcome = futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  outcome_errno = errno;
  step = 1;
  wait_for(&step, 2);
  futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  step = 3;
  return unused;
}
CASE(handed_over) {
  pthread_t thread;
  lock = step = other_tid = 0;
  CHECK_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  REQUIRE(pthread_create(&thread, NULL, take_lock, NULL) == 0);
  wait_for(&lock, my_tid() | FUTEX_WAITERS);
  CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  CHECK_EQ(lock & FUTEX_TID_MASK, other_tid);
  wait_for(&step, 1);
  CHECK_EQ(outcome, 0);
  CHECK_ERRNO(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EPERM);
  CHECK_ERRNO(futex(&lock, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EAGAIN);
  struct timespec soon;
  in_time(&soon, CLOCK_REALTIME, 20);
  CHECK_ERRNO(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, &soon, NULL, 0), ETIMEDOUT);
  in_time(&soon, CLOCK_MONOTONIC, 20);
  CHECK_ERRNO(futex(&lock, 13 | FUTEX_PRIVATE_FLAG, 0, &soon, NULL, 0), ETIMEDOUT);
  step = 2;
  wait_for(&step, 3);
  pthread_join(thread, NULL);
  CHECK_EQ(lock, 0);
}

// Two threads that each want what the other has.
static volatile uint32_t lock_a, lock_b;
static void* lock_b_then_a(void* unused) {
  futex(&lock_b, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  step = 1;
  outcome = futex(&lock_a, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  futex(&lock_a, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  futex(&lock_b, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  return unused;
}
CASE(deadlock_is_noticed) {
  pthread_t thread;
  lock_a = lock_b = step = 0;
  CHECK_EQ(futex(&lock_a, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  REQUIRE(pthread_create(&thread, NULL, lock_b_then_a, NULL) == 0);
  wait_for(&step, 1);
  wait_for(&lock_a, my_tid() | FUTEX_WAITERS);
  check_until_others_sleep();
  CHECK_ERRNO(futex(&lock_b, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
  CHECK_EQ(futex(&lock_a, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  pthread_join(thread, NULL);
  CHECK_EQ(outcome, 0);
  CHECK_EQ(lock_a, 0);
  CHECK_EQ(lock_b, 0);
}

static void* die_with_lock(void* unused) {
  futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  step = 1;
  wait_for(&step, 2);
  check_until_others_sleep();
  syscall(SYS_exit, 0);
  return unused;
}
CASE(owner_dies) {
  pthread_t thread;
  lock = step = 0;
  REQUIRE(pthread_create(&thread, NULL, die_with_lock, NULL) == 0);
  wait_for(&step, 1);
  step = 2;
  CHECK_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  CHECK_EQ(lock, my_tid() | FUTEX_WAITERS | FUTEX_OWNER_DIED);
  CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  CHECK_EQ(lock, 0);
}

static volatile uint32_t started;
static volatile int order[8], order_count;
static void* take_in_order(void* argument) {
  struct sched_param parameter = {(int)(intptr_t)argument};
  if (parameter.sched_priority)
    REQUIRE(pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameter) == 0);
  __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
  futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  order[order_count++] = parameter.sched_priority;
  futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  return NULL;
}
CASE(waiters_in_order_of_priority) {
  pthread_t threads[4];
  const intptr_t priorities[4] = {0, 5, 20, 10};
  lock = started = order_count = 0;
  CHECK_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  for (int i = 0; i < 4; i++) {
    REQUIRE(pthread_create(&threads[i], NULL, take_in_order, (void*)priorities[i]) == 0);
    wait_for(&started, i + 1);
    check_until_others_sleep();
  }
  CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(order[0], 20);
  CHECK_EQ(order[1], 10);
  CHECK_EQ(order[2], 5);
  CHECK_EQ(order[3], 0);
}

// The classic: a low thread has the lock, a high one wants it, one between them computes without end on the same cpu.
static volatile uint32_t low_has_it, middle_runs, stop;
static pthread_mutex_t inheriting;
static void on_one_cpu(int priority) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  struct sched_param parameter = {priority};
  REQUIRE(sched_setscheduler(0, SCHED_FIFO, &parameter) == 0);
}
static void* low(void* unused) {
  on_one_cpu(5);
  pthread_mutex_lock(&inheriting);
  low_has_it = 1;
  wait_for(&middle_runs, 1);
  // Only with the high thread's priority does it come to compute this.
  for (volatile int i = 0; i < 3000000; i++) {
  }
  pthread_mutex_unlock(&inheriting);
  return unused;
}
static void* middle(void* unused) {
  on_one_cpu(10);
  middle_runs = 1;
  while (!stop) {
  }
  return unused;
}
static void* high(void* unused) {
  on_one_cpu(20);
  pthread_mutex_lock(&inheriting);
  stop = 1;
  pthread_mutex_unlock(&inheriting);
  return unused;
}
CASE(priority_is_inherited) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  CHECK_EQ(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT), 0);
  CHECK_EQ(pthread_mutex_init(&inheriting, &attributes), 0);
  low_has_it = middle_runs = stop = 0;
  // The first thread watches with the highest priority of all.
  struct sched_param watcher = {40}, none = {0};
  REQUIRE(sched_setscheduler(0, SCHED_FIFO, &watcher) == 0);
  pthread_t l, m, h;
  REQUIRE(pthread_create(&l, NULL, low, NULL) == 0);
  wait_for(&low_has_it, 1);
  REQUIRE(pthread_create(&h, NULL, high, NULL) == 0);
  check_sleep_ms(20);
  int64_t begin = check_now_ns();
  REQUIRE(pthread_create(&m, NULL, middle, NULL) == 0);
  pthread_join(h, NULL);
  CHECK(check_now_ns() - begin < 900000000);  // well before the middle one would be throttled
  pthread_join(m, NULL);
  pthread_join(l, NULL);
  CHECK_OK(sched_setscheduler(0, SCHED_OTHER, &none));
  pthread_mutex_destroy(&inheriting);
}

static void* wait_then_own(void* unused) {
  other_tid = my_tid();
  step = 1;
  outcome = futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, &lock, 0);
  outcome_errno = errno;
  __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
  if (outcome == 0) futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  return unused;
}
CASE(requeue_to_a_free_lock) {
  pthread_t thread;
  word = lock = step = started = 0;
  REQUIRE(pthread_create(&thread, NULL, wait_then_own, NULL) == 0);
  wait_for(&step, 1);
  check_until_others_sleep();
  CHECK_ERRNO(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EINVAL);
  CHECK_ERRNO(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 2, (void*)1, &lock, 0), EINVAL);
  CHECK_ERRNO(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void*)1, &lock, 9), EAGAIN);
  CHECK_ERRNO(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void*)1, &word, 0), EINVAL);
  CHECK_ERRNO(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void*)1, &lock_a, 0), EINVAL);
  CHECK_EQ(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void*)0, &lock, 0), 1);
  wait_for(&started, 1);
  CHECK_EQ(outcome, 0);
  pthread_join(thread, NULL);
  CHECK_EQ(lock, 0);
}
CASE(requeue_to_a_held_lock) {
  pthread_t threads[3];
  word = lock = started = 0;
  CHECK_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  for (int i = 0; i < 3; i++) {
    step = 0;
    REQUIRE(pthread_create(&threads[i], NULL, wait_then_own, NULL) == 0);
    wait_for(&step, 1);
  }
  check_until_others_sleep();
  CHECK_EQ(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void*)10, &lock, 0), 3);
  CHECK_EQ(lock, my_tid() | FUTEX_WAITERS);
  check_sleep_ms(20);
  CHECK_EQ(started, 0);
  CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(started, 3);
  CHECK_EQ(lock, 0);
}
CASE(requeue_wait_errors) {
  struct timespec soon;
  word = lock = 0;
  in_time(&soon, CLOCK_MONOTONIC, 20);
  CHECK_ERRNO(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, &soon, &lock, 0), ETIMEDOUT);
  CHECK_ERRNO(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 1, &soon, &lock, 0), EAGAIN);
  CHECK_ERRNO(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, &soon, &word, 0), EINVAL);
  CHECK_ERRNO(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, &soon, (void*)3, 0), EINVAL);
}

// --- robust lists ---

struct entry {
  struct robust_list link;
  volatile uint32_t word;
};
static struct entry entries[3];
static volatile uint32_t pending_word;
static void* die_with_list(void* argument) {
  static struct robust_list_head head;
  uint32_t tid = my_tid();
  head.futex_offset = offsetof(struct entry, word);
  head.list.next = &entries[0].link;
  for (int i = 0; i < 3; i++) {
    entries[i].link.next = i < 2 ? &entries[i + 1].link : &head.list;
    entries[i].word = tid | (i == 1 ? FUTEX_WAITERS : 0);
  }
  entries[2].word = 12345;  // another's
  head.list_op_pending = argument ? &entries[2].link : NULL;
  if (syscall(SYS_set_robust_list, &head, sizeof head)) _exit(3);
  syscall(SYS_exit, 0);
  return NULL;
}
static void* wait_on_entry(void* unused) {
  other_tid = 1;
  while (!(entries[1].word & FUTEX_OWNER_DIED)) {
    uint32_t seen = entries[1].word;
    if (seen & FUTEX_OWNER_DIED) break;
    struct timespec second = {1, 0};
    futex(&entries[1].word, FUTEX_WAIT, seen, &second, NULL, 0);
  }
  return unused;
}
CASE(robust_list_of_several) {
  pthread_t dying, waiter;
  other_tid = 0;
  REQUIRE(pthread_create(&waiter, NULL, wait_on_entry, NULL) == 0);
  wait_for(&other_tid, 1);
  REQUIRE(pthread_create(&dying, NULL, die_with_list, NULL) == 0);
  wait_for(&entries[0].word, FUTEX_OWNER_DIED);
  wait_for(&entries[1].word, FUTEX_OWNER_DIED | FUTEX_WAITERS);
  CHECK_EQ(entries[2].word, 12345);
  pthread_join(waiter, NULL);
}

CASE(get_robust_list) {
  void* head = NULL;
  size_t size = 0;
  CHECK_OK(syscall(SYS_get_robust_list, 0, &head, &size));
  CHECK_EQ(size, 24);
  CHECK(head != NULL);
  CHECK_ERRNO(syscall(SYS_get_robust_list, 1 << 29, &head, &size), ESRCH);
  CHECK_ERRNO(syscall(SYS_get_robust_list, 0, (void*)8, &size), EFAULT);
}

// A process that dies with robust mutexes, ordinary and PI, in shared memory.
struct shared {
  pthread_mutex_t plain, inheriting;
  volatile uint32_t ready;
};
extern char** environ;
static int child(const char* path) {
  int fd = atoi(path);
  struct shared* shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (shared == MAP_FAILED) return 4;
  if (pthread_mutex_lock(&shared->plain) || pthread_mutex_lock(&shared->inheriting)) return 5;
  shared->ready = 1;
  while (1) pause();
}
CASE(process_dies_with_robust_mutexes) {
  int fd = memfd_create("robust", 0);
  CHECK_OK(ftruncate(fd, sizeof(struct shared)));
  struct shared* shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(shared != MAP_FAILED);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  CHECK_EQ(pthread_mutex_init(&shared->plain, &attributes), 0);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  CHECK_EQ(pthread_mutex_init(&shared->inheriting, &attributes), 0);
  char number[16];
  snprintf(number, sizeof number, "%d", fd);
  char* argv[] = {(char*)check_program, (char*)"--child", number, NULL};
  pid_t pid;
  REQUIRE(posix_spawn(&pid, check_program, NULL, NULL, argv, environ) == 0);
  wait_for(&shared->ready, 1);
  struct timespec soon;
  in_time(&soon, CLOCK_REALTIME, 20);
  CHECK_EQ(pthread_mutex_timedlock(&shared->plain, &soon), ETIMEDOUT);
  CHECK_EQ(pthread_mutex_timedlock(&shared->inheriting, &soon), ETIMEDOUT);
  CHECK_OK(kill(pid, SIGKILL));
  CHECK_EQ(pthread_mutex_lock(&shared->plain), EOWNERDEAD);
  CHECK_EQ(pthread_mutex_lock(&shared->inheriting), EOWNERDEAD);
  CHECK_EQ(pthread_mutex_consistent(&shared->plain), 0);
  CHECK_EQ(pthread_mutex_consistent(&shared->inheriting), 0);
  CHECK_EQ(pthread_mutex_unlock(&shared->plain), 0);
  CHECK_EQ(pthread_mutex_unlock(&shared->inheriting), 0);
  CHECK_EQ(pthread_mutex_lock(&shared->inheriting), 0);
  CHECK_EQ(pthread_mutex_unlock(&shared->inheriting), 0);
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

// --- futex_waitv and the split calls ---

struct waitv {
  uint64_t value, address;
  uint32_t flags, reserved;
};
static long waitv(struct waitv* waiters, unsigned count, unsigned flags, void* time, int clock) {
  return syscall(449, waiters, count, flags, time, clock);
}
static volatile uint32_t many[128], has_waited;
static struct waitv list[130];
static void fill(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    if (i < 128) many[i] = i;
    list[i] = (struct waitv){i, (uint64_t)(uintptr_t)&many[i % 128], 2 | 128, 0};
  }
}
static void* wake_number(void* number) {
  check_until_others_sleep();
  while (futex(&many[(intptr_t)number], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) != 1 && !has_waited)
    check_sleep_ms(1);
  return NULL;
}
CASE(wait_for_one_of_many) {
  for (intptr_t number = 0; number < 128; number += 63) {
    pthread_t thread;
    fill(128);
    has_waited = 0;
    REQUIRE(pthread_create(&thread, NULL, wake_number, (void*)number) == 0);
    CHECK_EQ(waitv(list, 128, 0, NULL, 0), number);
    has_waited = 1;
    pthread_join(thread, NULL);
  }
  struct timespec soon;
  in_time(&soon, CLOCK_MONOTONIC, 20);
  CHECK_ERRNO(waitv(list, 3, 0, &soon, CLOCK_MONOTONIC), ETIMEDOUT);
  in_time(&soon, CLOCK_REALTIME, 20);
  CHECK_ERRNO(waitv(list, 3, 0, &soon, CLOCK_REALTIME), ETIMEDOUT);
  many[2] = 77;
  CHECK_ERRNO(waitv(list, 3, 0, NULL, 0), EAGAIN);
}
CASE(waitv_errors) {
  struct timespec soon = {1, 0}, bad = {0, -1};
  fill(130);
  CHECK_ERRNO(waitv(list, 0, 0, NULL, 0), EINVAL);
  CHECK_ERRNO(waitv(list, 129, 0, NULL, 0), EINVAL);
  CHECK_ERRNO(waitv(NULL, 1, 0, NULL, 0), EINVAL);
  CHECK_ERRNO(waitv((void*)8, 1, 0, NULL, 0), EFAULT);
  CHECK_ERRNO(waitv(list, 1, 1, NULL, 0), EINVAL);
  CHECK_ERRNO(waitv(list, 1, 0, &soon, CLOCK_BOOTTIME), EINVAL);
  CHECK_ERRNO(waitv(list, 1, 0, &bad, CLOCK_MONOTONIC), EINVAL);
  CHECK_ERRNO(waitv(list, 1, 0, (void*)8, CLOCK_MONOTONIC), EFAULT);
  list[0].flags = 128;  // no size
  CHECK_ERRNO(waitv(list, 1, 0, NULL, 0), EINVAL);
  list[0].flags = 2 | 1 << 20;
  CHECK_ERRNO(waitv(list, 1, 0, NULL, 0), EINVAL);
  list[0].flags = 2;
  list[0].reserved = 1;
  CHECK_ERRNO(waitv(list, 1, 0, NULL, 0), EINVAL);
  list[0].reserved = 0;
  list[0].value = 1ull << 32;
  CHECK_ERRNO(waitv(list, 1, 0, NULL, 0), EINVAL);
  list[0].value = 0;
  list[0].address += 2;
  CHECK_ERRNO(waitv(list, 1, 0, NULL, 0), EINVAL);
  list[0].address = 64;
  CHECK_ERRNO(waitv(list, 1, 0, NULL, 0), EFAULT);
}
static void* split_wait(void* unused) {
  outcome = syscall(455, &word, 0ul, 4ul, 2 | 128, NULL, 0);
  step = 5;
  return unused;
}
CASE(split_calls) {
  pthread_t thread;
  word = step = 0;
  REQUIRE(pthread_create(&thread, NULL, split_wait, NULL) == 0);
  check_until_others_sleep();
  CHECK_EQ(syscall(454, &word, 3ul, 1, 2 | 128), 0);
  CHECK_EQ(syscall(454, &word, 4ul, 0, 2 | 128), 0);
  struct waitv two[2] = {{0, (uint64_t)(uintptr_t)&word, 2 | 128, 0},
                         {0, (uint64_t)(uintptr_t)&lock, 2 | 128, 0}};
  CHECK_EQ(syscall(456, two, 0, 0, 1), 1);
  CHECK_EQ(syscall(454, &word, 4ul, 1, 2 | 128), 0);
  REQUIRE(syscall(454, &lock, 4ul, 1, 2 | 128) == 1);
  wait_for(&step, 5);
  CHECK_EQ(outcome, 0);
  pthread_join(thread, NULL);
  CHECK_ERRNO(syscall(454, &word, 0ul, 1, 2), EINVAL);
  CHECK_ERRNO(syscall(454, &word, 1ul << 32, 1, 2), EINVAL);
  CHECK_ERRNO(syscall(454, &word, 1ul, 1, 1), EINVAL);
  CHECK_ERRNO(syscall(455, &word, 1ul, 1ul, 2, NULL, 0), EAGAIN);
  CHECK_ERRNO(syscall(456, two, 1, 0, 1), EINVAL);
  CHECK_ERRNO(syscall(456, NULL, 0, 0, 1), EINVAL);
  CHECK_ERRNO(syscall(456, two, 0, -1, 1), EINVAL);
}

CASE(realtime_clock_flag) {
  struct timespec soon = {0, 1000000};
  word = 0;
  CHECK_ERRNO(futex(&word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, &soon, NULL, 0), ENOSYS);
  CHECK_ERRNO(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), ENOSYS);
  CHECK_ERRNO(futex(&word, FUTEX_REQUEUE, -1, NULL, &lock, 0), EINVAL);
  CHECK_ERRNO(futex(&word, FUTEX_FD, 0, NULL, NULL, 0), ENOSYS);
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "--child") == 0) return child(argv[2]);
  return check_main(argc, argv);
}
