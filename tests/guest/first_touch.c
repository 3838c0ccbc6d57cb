// Threads that touch the same pages for the first time, at once: each sees what must be there, and no write is lost.
// Memory that was used before is unmapped and mapped again, so that the pages are not all fresh.
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "check.h"

enum { PAGES = 1024, WORDS = 512, THREADS = 2, ROUNDS = 60 };
#define SIZE (PAGES * WORDS * sizeof(long))
#define PATTERN 0x1234567812345678

enum kind { ANONYMOUS, PRIVATE_FILE, SHARED_FILE };
static enum kind kind;
static int rounds;
static volatile long* memory;
static pthread_barrier_t barrier;
static atomic_long wrong_before, lost;

static void* touch(void* argument) {
  long self = (long)argument, expected = kind == ANONYMOUS ? 0 : PATTERN;
  for (int round = 0; round < rounds; round++) {
    pthread_barrier_wait(&barrier);
    for (int page = 0; page < PAGES; page++) {
      volatile long* words = memory + page * WORDS;
      if (words[10 + self] != expected) wrong_before++;
      if (kind != SHARED_FILE) words[10 + self] = self + 1;
    }
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}

static void run(enum kind which, int fd) {
  kind = which, rounds = ROUNDS * check_scale();
  wrong_before = lost = 0;
  pthread_barrier_init(&barrier, NULL, THREADS + 1);
  pthread_t threads[THREADS];
  for (long i = 0; i < THREADS; i++)
    REQUIRE(pthread_create(&threads[i], NULL, touch, (void*)i) == 0);
  int prot = which == SHARED_FILE ? PROT_READ : PROT_READ | PROT_WRITE;
  int flags = which == ANONYMOUS      ? MAP_PRIVATE | MAP_ANONYMOUS
              : which == PRIVATE_FILE ? MAP_PRIVATE
                                      : MAP_SHARED;
  for (int round = 0; round < rounds; round++) {
    memory = mmap(NULL, SIZE, prot, flags, fd, 0);
    REQUIRE(memory != MAP_FAILED);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (int page = 0; which != SHARED_FILE && page < PAGES; page++) {
      for (long i = 0; i < THREADS; i++)
        if (memory[page * WORDS + 10 + i] != i + 1) lost++;
    }
    // What is left there must not be seen by whoever gets the memory next.
    if (which == ANONYMOUS) memset((void*)memory, 0x55, SIZE);
    CHECK_OK(munmap((void*)memory, SIZE));
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(atomic_load(&wrong_before), 0);
  CHECK_EQ(atomic_load(&lost), 0);
}

static int fd;
CASE(enter) {
  check_enter_scratch();
  fd = open("file", O_CREAT | O_RDWR | O_TRUNC, 0600);
  REQUIRE(fd >= 0);
  long* words = malloc(SIZE);
  for (size_t i = 0; i < PAGES * WORDS; i++) words[i] = PATTERN;
  REQUIRE(write(fd, words, SIZE) == (ssize_t)SIZE);
  free(words);
}

// Files over memory that was used before, mapped when there was but one thread. The threads come to each cluster at once.
enum { VIEWS = 8, CLUSTER = 16 };
static atomic_int arrived[VIEWS * PAGES / CLUSTER];
static void* look_into_views(void* unused) {
  for (int i = 0; i < VIEWS * PAGES / CLUSTER; i++) {
    // No two that follow one another are neighbours.
    const int cluster = i * 5 % (VIEWS * PAGES / CLUSTER);
    arrived[cluster]++;
    while (arrived[cluster] < THREADS);
    if (memory[(long)cluster * CLUSTER * WORDS] != PATTERN) wrong_before++;
  }
  return unused;
}
CASE(mapped_before_there_were_threads) {
  memory = mmap(NULL, VIEWS * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  memset((void*)memory, 0x55, VIEWS * SIZE);
  CHECK_OK(munmap((void*)memory, VIEWS * SIZE));
  for (int i = 0; i < VIEWS; i++) {
    char* at = (char*)memory + i * SIZE;
    REQUIRE(mmap(at, SIZE, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0) == at);
  }
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    REQUIRE(pthread_create(&threads[i], NULL, look_into_views, NULL) == 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(atomic_load(&wrong_before), 0);
  CHECK_OK(munmap((void*)memory, VIEWS * SIZE));
}

CASE(anonymous) { run(ANONYMOUS, -1); }
CASE(private_file) { run(PRIVATE_FILE, fd); }
CASE(shared_file) { run(SHARED_FILE, fd); }

CHECK_MAIN
