// What the benchmark programs share: a clock, and running an operation in batches until the time is stable.
#pragma once

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

__attribute__((unused)) static void require(int condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

__attribute__((unused)) static int compare_doubles(const void* a, const void* b) {
  double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

// Runs operation(count) in 9 batches of about 30 ms each and prints the median time of one operation in ns.
__attribute__((unused)) static void measure(void (*operation)(long count)) {
  long count = 1;
  int64_t took = 0;
  while (took < 10000000) {  // Also warms up.
    int64_t begin = now_ns();
    operation(count);
    took = now_ns() - begin;
    if (took < 10000000) count *= took < 1000000 ? 8 : 2;
  }
  count = count * 30000000 / took + 1;
  double batches[9];
  for (int i = 0; i < 9; i++) {
    int64_t begin = now_ns();
    operation(count);
    batches[i] = (double)(now_ns() - begin) / (double)count;
  }
  qsort(batches, 9, sizeof *batches, compare_doubles);
  printf("%.2f\n", batches[4]);
}

struct benchmark {
  const char* name;
  void (*run)(void);
};

__attribute__((unused)) static int run_named(const struct benchmark* list, size_t count, int argc,
                                             char** argv) {
  for (size_t i = 0; argc > 1 && i < count; i++) {
    if (strcmp(list[i].name, argv[1]) == 0) {
      list[i].run();
      return 0;
    }
  }
  fprintf(stderr, "name one of:");
  for (size_t i = 0; i < count; i++) fprintf(stderr, " %s", list[i].name);
  fprintf(stderr, "\n");
  return 2;
}
#define BENCHMARKS(list)                                                \
  int main(int argc, char** argv) {                                     \
    return run_named(list, sizeof(list) / sizeof(*(list)), argc, argv); \
  }
