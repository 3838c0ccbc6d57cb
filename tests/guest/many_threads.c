// 10,000 threads in one process, all alive at once.
#include <sys/resource.h>

#include "check.h"

enum { kThreads = 10000 };
static pthread_t threads[kThreads];
static volatile int alive, go;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t everybody = PTHREAD_COND_INITIALIZER, may_go = PTHREAD_COND_INITIALIZER;
static long sum;

static void* live(void* number) {
  pthread_mutex_lock(&mutex);
  if (++alive == kThreads) pthread_cond_signal(&everybody);
  while (!go) pthread_cond_wait(&may_go, &mutex);
  sum += (intptr_t)number;
  alive--;
  pthread_mutex_unlock(&mutex);
  return number;
}

static int started(void) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  for (intptr_t i = 0; i < kThreads; i++) {
    int error = pthread_create(&threads[i], &attributes, live, (void*)i);
    if (error) {
      printf("  thread %ld: %s\n", (long)i, strerror(error));
      return 0;
    }
  }
  return 1;
}

CASE(ten_thousand) {
  for (int round = 0; round < 2; round++) {
    go = sum = 0;
    REQUIRE(started());
    pthread_mutex_lock(&mutex);
    while (alive != kThreads) pthread_cond_wait(&everybody, &mutex);
    go = 1;
    pthread_mutex_unlock(&mutex);
    pthread_cond_broadcast(&may_go);
    for (intptr_t i = 0; i < kThreads; i++) {
      void* result = NULL;
      CHECK_EQ(pthread_join(threads[i], &result), 0);
      CHECK_EQ(result, i);
    }
    CHECK_EQ(sum, (long)kThreads * (kThreads - 1) / 2);
    CHECK_EQ(alive, 0);
  }
}

CASE(exit_while_they_wait) {
  go = 0;
  REQUIRE(started());
  pthread_mutex_lock(&mutex);
  while (alive != kThreads) pthread_cond_wait(&everybody, &mutex);
  pthread_mutex_unlock(&mutex);
  printf("all there\n");
  fflush(stdout);
  exit(check_failures != 0);
}

CHECK_MAIN
