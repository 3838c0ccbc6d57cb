// More threads than processors, all spinning without a system call: each must get its turn.
#include "check.h"

enum { kThreads = 8 };
static volatile long turns[kThreads];
static volatile int stop;

static void* spin(void* id) {
  volatile long* mine = &turns[(intptr_t)id];
  while (!stop) (*mine)++;
  return NULL;
}

CASE(spinning_threads_share) {
  pthread_t threads[kThreads];
  for (intptr_t i = 0; i < kThreads; i++)
    REQUIRE(pthread_create(&threads[i], NULL, spin, (void*)i) == 0);
  int64_t begin = check_now_ns();
  for (int all = 0; !all && check_now_ns() - begin < 10000000000;) {
    check_sleep_ms(10);
    all = 1;
    for (int i = 0; i < kThreads; i++) all &= turns[i] > 100000;
  }
  stop = 1;
  for (int i = 0; i < kThreads; i++) {
    pthread_join(threads[i], NULL);
    CHECK(turns[i] > 100000);
  }
}

static volatile int baton;
static void* pass(void* id) {
  // Each waits for its number, spinning: only preemption can make the next one run.
  int mine = (int)(intptr_t)id;
  for (int round = 0; round < 20; round++) {
    while (baton != mine) __asm__ volatile("pause");
    baton = (mine + 1) % 4;
  }
  return NULL;
}
CASE(baton_between_spinners) {
  pthread_t threads[4];
  for (intptr_t i = 0; i < 4; i++) REQUIRE(pthread_create(&threads[i], NULL, pass, (void*)i) == 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(baton, 0);
}

static volatile int woken;
static void* nap(void* unused) {
  for (int i = 0; i < 20; i++) check_sleep_ms(1);
  woken = 1;
  return unused;
}
CASE(sleeper_wakes_beside_spinners) {
  stop = 0;
  pthread_t threads[4], sleeper;
  for (intptr_t i = 0; i < 4; i++) REQUIRE(pthread_create(&threads[i], NULL, spin, (void*)i) == 0);
  REQUIRE(pthread_create(&sleeper, NULL, nap, NULL) == 0);
  int64_t begin = check_now_ns();
  while (!woken && check_now_ns() - begin < 10000000000) {
  }
  CHECK_EQ(woken, 1);
  stop = 1;
  pthread_join(sleeper, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

CHECK_MAIN
