// futex(2) itself: wait, wake, requeue, bitsets, times, errors; set_robust_list(2), set_tid_address(2).
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "check.h"

static long futex(volatile int* word, int op, int value, const void* time, volatile int* other,
                  int bits) {
  return syscall(SYS_futex, word, op, value, time, other, bits);
}

static volatile int word, word2, awake;

static void* sleeper(void* operation) {
  int op = (int)(intptr_t)operation;
  futex(&word, op, 0, NULL, NULL, 1 << 3);
  __atomic_add_fetch(&awake, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

static void start(pthread_t* threads, int count, int op) {
  word = word2 = awake = 0;
  for (int i = 0; i < count; i++)
    REQUIRE(pthread_create(&threads[i], NULL, sleeper, (void*)(intptr_t)op) == 0);
  check_until_others_sleep();
  CHECK_EQ(awake, 0);
}

static void wait_for(int wanted) {
  for (int i = 0; i < 5000 && awake < wanted; i++) check_sleep_ms(1);
  CHECK_EQ(awake, wanted);
}

CASE(errors) {
  word = 5;
  CHECK_ERRNO(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
  struct timespec bad = {0, 1000000000}, negative = {-1, 0}, soon = {0, 10000000};
  CHECK_ERRNO(futex(&word, FUTEX_WAIT, 5, &bad, NULL, 0), EINVAL);
  CHECK_ERRNO(futex(&word, FUTEX_WAIT, 5, &negative, NULL, 0), EINVAL);
  CHECK_ERRNO(futex((int*)((char*)&word + 1), FUTEX_WAIT, 5, NULL, NULL, 0), EINVAL);
  CHECK_ERRNO(futex(NULL, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
  CHECK_ERRNO(futex((int*)0x1000, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
  CHECK_ERRNO(futex(&word, 99, 0, NULL, NULL, 0), ENOSYS);
  CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0), EINVAL);
  int64_t begin = check_now_ns();
  CHECK_ERRNO(futex(&word, FUTEX_WAIT_PRIVATE, 5, &soon, NULL, 0), ETIMEDOUT);
  CHECK(check_now_ns() - begin >= 10000000);
  CHECK_EQ(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
}

CASE(wake_some_then_all) {
  pthread_t threads[5];
  start(threads, 5, FUTEX_WAIT_PRIVATE);
  CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 2);
  wait_for(2);
  CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 3);
  wait_for(5);
  for (int i = 0; i < 5; i++) pthread_join(threads[i], NULL);
}

CASE(bitset) {
  pthread_t thread;
  start(&thread, 1, FUTEX_WAIT_BITSET_PRIVATE);
  CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 1 << 4), 0);
  CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 1 << 3), 1);
  pthread_join(thread, NULL);
  // The bitset's time is absolute.
  int64_t goal = check_now_ns() + 20000000;
  struct timespec until = {goal / 1000000000, goal % 1000000000};
  CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL, ~0), ETIMEDOUT);
  CHECK(check_now_ns() >= goal);
}

CASE(requeue) {
  pthread_t threads[4];
  start(threads, 4, FUTEX_WAIT_PRIVATE);
  CHECK_ERRNO(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void*)10, &word2, 7), EAGAIN);
  CHECK_EQ(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void*)10, &word2, 0), 4);
  wait_for(1);
  CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 0);
  CHECK_EQ(futex(&word2, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 3);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

CASE(wake_op) {
  pthread_t threads[2];
  start(threads, 2, FUTEX_WAIT_PRIVATE);
  word2 = 5;
  // *word2 = 9, wake one on word, and one on word2 if it was above 100: it was not.
  int op = FUTEX_OP(FUTEX_OP_SET, 9, FUTEX_OP_CMP_GT, 100);
  CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void*)1, &word2, op), 1);
  CHECK_EQ(word2, 9);
  CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

static volatile int* shared_two;
static void* shared_sleeper(void* unused) {
  futex(shared_two, FUTEX_WAIT, 0, NULL, NULL, 0);
  awake = 1;
  return unused;
}
CASE(shared_by_object) {
  // One page of one object at two addresses is one futex, unless the operation is private.
  int fd = memfd_create("futex", 0);
  CHECK_OK(ftruncate(fd, 4096));
  volatile int* one = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  shared_two = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(one != MAP_FAILED && shared_two != MAP_FAILED);
  awake = 0;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, shared_sleeper, NULL) == 0);
  check_until_others_sleep();
  CHECK_EQ(futex(one, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
  CHECK_EQ(futex(one, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
  pthread_join(thread, NULL);
  CHECK_EQ(awake, 1);
  close(fd);
}

static void* ping(void* unused) {
  for (int i = 0; i < 5000 * check_scale(); i++) {
    while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) != 1)
      futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    __atomic_store_n(&word, 0, __ATOMIC_SEQ_CST);
    futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  }
  return unused;
}
CASE(ping_pong) {
  word = 0;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, ping, NULL) == 0);
  for (int i = 0; i < 5000 * check_scale(); i++) {
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
    futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) != 0)
      futex(&word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
  }
  pthread_join(thread, NULL);
}

static volatile int robust_word;
static void* leave_robust(void* unused) {
  static struct robust_list entry;
  static struct robust_list_head head;
  entry.next = &head.list;
  head.list.next = &entry;
  head.futex_offset = (char*)&robust_word - (char*)&entry;
  robust_word = (int)(syscall(SYS_gettid) | FUTEX_WAITERS);
  if (syscall(SYS_set_robust_list, &head, sizeof head) != 0) robust_word = -1;
  syscall(SYS_exit, 0);
  return unused;
}
CASE(robust_list) {
  CHECK_ERRNO(syscall(SYS_set_robust_list, &word, 1), EINVAL);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, leave_robust, NULL) == 0);
  for (int i = 0; i < 5000 && !(robust_word & FUTEX_OWNER_DIED); i++) check_sleep_ms(1);
  CHECK(robust_word & FUTEX_OWNER_DIED);
  CHECK_EQ(robust_word & FUTEX_TID_MASK, 0);
}

CHECK_MAIN
