// POSIX threads as libc makes them: creation, joining, locks, conditions, barriers, once, keys, cancellation.
#include <semaphore.h>

#include "check.h"

static void* add(void* sum) {
  __atomic_add_fetch((long*)sum, 1, __ATOMIC_SEQ_CST);
  return sum;
}

CASE(one_after_another) {
  long sum = 0;
  for (int i = 0; i < 200 * check_scale(); i++) {
    pthread_t thread;
    void* result = NULL;
    REQUIRE(pthread_create(&thread, NULL, add, &sum) == 0);
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == &sum);
  }
  CHECK_EQ(sum, 200 * check_scale());
}

CASE(two_hundred_at_once) {
  enum { kMany = 200 };
  pthread_t threads[kMany];
  long sum = 0;
  for (int i = 0; i < kMany; i++) REQUIRE(pthread_create(&threads[i], NULL, add, &sum) == 0);
  for (int i = 0; i < kMany; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
  CHECK_EQ(sum, kMany);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static long counter;

static void* count_up(void* unused) {
  for (int i = 0; i < 20000 * check_scale(); i++) {
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_mutex_unlock(&mutex);
  }
  return unused;
}

CASE(mutex_excludes) {
  pthread_t threads[8];
  counter = 0;
  for (int i = 0; i < 8; i++) REQUIRE(pthread_create(&threads[i], NULL, count_up, NULL) == 0);
  for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(counter, 8 * 20000 * check_scale());
}

static int turn;
static void* ping(void* id) {
  int mine = (int)(intptr_t)id;
  for (int i = 0; i < 2000; i++) {
    pthread_mutex_lock(&mutex);
    while (turn != mine) pthread_cond_wait(&condition, &mutex);
    turn = !mine;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

CASE(condition_ping_pong) {
  pthread_t a, b;
  turn = 0;
  REQUIRE(pthread_create(&a, NULL, ping, (void*)0) == 0);
  REQUIRE(pthread_create(&b, NULL, ping, (void*)1) == 0);
  pthread_join(a, NULL);
  pthread_join(b, NULL);
  CHECK_EQ(turn, 0);
}

CASE(timed_waits) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 20000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  pthread_mutex_lock(&mutex);
  int64_t begin = check_now_ns();
  CHECK_EQ(pthread_cond_timedwait(&condition, &mutex, &until), ETIMEDOUT);
  CHECK(check_now_ns() - begin >= 15000000);
  pthread_mutex_unlock(&mutex);
  sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  CHECK_ERRNO(sem_timedwait(&semaphore, &until), ETIMEDOUT);
  CHECK_ERRNO(sem_trywait(&semaphore), EAGAIN);
  sem_post(&semaphore);
  CHECK_OK(sem_wait(&semaphore));
}

CASE(mutex_kinds) {
  pthread_mutexattr_t kind;
  pthread_mutex_t lock;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&lock, &kind);
  CHECK_EQ(pthread_mutex_lock(&lock) | pthread_mutex_lock(&lock), 0);
  CHECK_EQ(pthread_mutex_unlock(&lock) | pthread_mutex_unlock(&lock), 0);
  CHECK_EQ(pthread_mutex_unlock(&lock), EPERM);
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&lock, &kind);
  CHECK_EQ(pthread_mutex_lock(&lock), 0);
  CHECK_EQ(pthread_mutex_lock(&lock), EDEADLK);
  CHECK_EQ(pthread_mutex_trylock(&lock), EBUSY);
  pthread_mutex_unlock(&lock);
}

static pthread_mutex_t robust;
static void* die_holding(void* unused) {
  pthread_mutex_lock(&robust);
  return unused;
}
CASE(robust_mutex) {
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&robust, &kind);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, die_holding, NULL) == 0);
  pthread_join(thread, NULL);
  CHECK_EQ(pthread_mutex_lock(&robust), EOWNERDEAD);
  CHECK_EQ(pthread_mutex_consistent(&robust), 0);
  CHECK_EQ(pthread_mutex_unlock(&robust), 0);
  CHECK_EQ(pthread_mutex_lock(&robust), 0);
  CHECK_EQ(pthread_mutex_unlock(&robust), 0);
}

static pthread_barrier_t barrier;
static int phase_of[8], wrong_phase;
static void* in_phases(void* id) {
  int mine = (int)(intptr_t)id;
  for (int i = 0; i < 100; i++) {
    phase_of[mine] = i;
    pthread_barrier_wait(&barrier);
    for (int j = 0; j < 8; j++) {
      if (phase_of[j] != i) __atomic_add_fetch(&wrong_phase, 1, __ATOMIC_SEQ_CST);
    }
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}
CASE(barriers) {
  pthread_t threads[8];
  pthread_barrier_init(&barrier, NULL, 8);
  for (intptr_t i = 0; i < 8; i++)
    REQUIRE(pthread_create(&threads[i], NULL, in_phases, (void*)i) == 0);
  for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(wrong_phase, 0);
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static int torn;
static long halves[2];
static void* read_halves(void* unused) {
  for (int i = 0; i < 2000; i++) {
    pthread_rwlock_rdlock(&rwlock);
    if (halves[0] != halves[1]) torn++;
    pthread_rwlock_unlock(&rwlock);
  }
  return unused;
}
static void* write_halves(void* unused) {
  for (int i = 0; i < 2000; i++) {
    pthread_rwlock_wrlock(&rwlock);
    halves[0]++;
    halves[1]++;
    pthread_rwlock_unlock(&rwlock);
  }
  return unused;
}
CASE(reader_writer_lock) {
  pthread_t threads[6];
  for (int i = 0; i < 6; i++)
    REQUIRE(pthread_create(&threads[i], NULL, i < 2 ? write_halves : read_halves, NULL) == 0);
  for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(torn, 0);
  CHECK_EQ(halves[0], 4000);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_count;
static void once_only(void) { once_count++; }
static pthread_key_t key;
static int destroyed;
static void destroy(void* value) {
  __atomic_add_fetch(&destroyed, (int)(intptr_t)value, __ATOMIC_SEQ_CST);
}
static void* use_key(void* value) {
  pthread_once(&once, once_only);
  pthread_setspecific(key, value);
  return pthread_getspecific(key);
}
CASE(once_and_keys) {
  pthread_key_create(&key, destroy);
  pthread_t threads[10];
  for (intptr_t i = 0; i < 10; i++)
    REQUIRE(pthread_create(&threads[i], NULL, use_key, (void*)(i + 1)) == 0);
  for (int i = 0; i < 10; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(once_count, 1);
  CHECK_EQ(destroyed, 55);
}

static int cleaned;
static void clean(void* unused) {
  (void)unused;
  cleaned++;
}
static void* block_in_read(void* fd) {
  char byte;
  pthread_cleanup_push(clean, NULL);
  while (read((int)(intptr_t)fd, &byte, 1) != 1) {
  }
  pthread_cleanup_pop(0);
  return NULL;
}
static void* block_in_condition(void* unused) {
  pthread_cleanup_push(clean, NULL);
  pthread_mutex_lock(&robust);
  for (;;) pthread_cond_wait(&condition, &robust);
  pthread_cleanup_pop(0);
  return unused;
}
static void* never_blocks(void* unused) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  for (;;) __asm__ volatile("pause");
  return unused;
}
CASE(cancellation) {
  int ends[2];
  CHECK_OK(pipe(ends));
  pthread_mutex_init(&robust, NULL);
  void* (*bodies[])(void*) = {block_in_read, block_in_condition, never_blocks};
  for (int i = 0; i < 3; i++) {
    pthread_t thread;
    void* result = NULL;
    REQUIRE(pthread_create(&thread, NULL, bodies[i], (void*)(intptr_t)ends[0]) == 0);
    check_sleep_ms(20);
    CHECK_EQ(pthread_cancel(thread), 0);
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
  }
  CHECK_EQ(cleaned, 2);
  close(ends[0]);
  close(ends[1]);
}

static void* stack_user(void* size) {
  char* area = __builtin_alloca((size_t)size);
  memset(area, 1, (size_t)size);
  return (void*)(intptr_t)area[(size_t)size - 1];
}
CASE(stack_sizes) {
  size_t sizes[] = {64 << 10, 1 << 20, 32 << 20};
  for (int i = 0; i < 3; i++) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK_EQ(pthread_attr_setstacksize(&attributes, sizes[i]), 0);
    pthread_t thread;
    void* result = NULL;
    REQUIRE(pthread_create(&thread, &attributes, stack_user, (void*)(sizes[i] / 2)) == 0);
    pthread_join(thread, &result);
    CHECK_EQ((intptr_t)result, 1);
  }
}

static void* detached(void* sum) {
  pthread_detach(pthread_self());
  return add(sum);
}
CASE(detached_threads) {
  static long sum;
  for (int i = 0; i < 50; i++) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, detached, &sum) == 0);
  }
  for (int i = 0; i < 5000 && __atomic_load_n(&sum, __ATOMIC_SEQ_CST) < 50; i++) check_sleep_ms(1);
  CHECK_EQ(sum, 50);
}

CASE(thread_ids) {
  CHECK_EQ(gettid(), getpid());
  CHECK_OK(pthread_setname_np(pthread_self(), "named"));
  char name[16];
  CHECK_OK(pthread_getname_np(pthread_self(), name, sizeof name));
  CHECK_STR(name, "named");
}

CHECK_MAIN
