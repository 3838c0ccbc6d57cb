// Thousands of wake-ups: threads that lock, wait, pipe, sleep, yield and end, and several processes of them at once.
// Every hand-over is counted, so a lost or doubled one is seen; a lost wake-up is a hang, which the runner bounds.
//
//   sched THREADS ROUNDS PROCESSES
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;
static int threads, rounds;
static atomic_int failures;
static atomic_long done;

static void fail(const char* what) {
  if (atomic_fetch_add(&failures, 1) < 10) printf("failed: %s (%s)\n", what, strerror(errno));
}

// --- a mutex and a condition variable: a token goes round ---
struct ring {
  pthread_mutex_t lock;
  pthread_cond_t turn_changed;
  long turn, members;
};
static struct ring rings[8];

static void go_round(int index) {
  struct ring* ring = &rings[index % 8];
  const long me = index / 8;
  for (int i = 0; i < rounds; ++i) {
    pthread_mutex_lock(&ring->lock);
    while (ring->turn % ring->members != me) pthread_cond_wait(&ring->turn_changed, &ring->lock);
    ++ring->turn;
    pthread_cond_broadcast(&ring->turn_changed);
    pthread_mutex_unlock(&ring->lock);
    atomic_fetch_add(&done, 1);
  }
}

// --- pairs over two pipes ---
static int (*pipes)[2];

static void ping_pong(int index) {
  const int first = index & ~1;
  int* mine = pipes[first + (index & 1)];
  int* other = pipes[first + !(index & 1)];
  for (int i = 0; i < rounds; ++i) {
    int value = i;
    if ((index & 1) == 0 && write(other[1], &value, sizeof value) != sizeof value)
      fail("pipe write");
    int got = -1;
    if (read(mine[0], &got, sizeof got) != sizeof got || got != i) fail("pipe read");
    if ((index & 1) == 1 && write(other[1], &got, sizeof got) != sizeof got)
      fail("pipe write back");
    atomic_fetch_add(&done, 1);
  }
}

// --- a word, by futex(2) itself: wait until it is my turn among four ---
static atomic_uint words[256];

static void futexes(int index) {
  atomic_uint* word = &words[index / 4 % 256];
  for (unsigned i = 0; i < (unsigned)rounds; ++i) {
    const unsigned mine = 4 * i + (unsigned)index % 4;
    for (unsigned now = atomic_load(word); now != mine; now = atomic_load(word)) {
      syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
    }
    atomic_store(word, mine + 1);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1000, NULL, NULL, 0);
    atomic_fetch_add(&done, 1);
  }
}

static void sleeps(int index) {
  for (int i = 0; i < rounds; ++i) {
    struct timespec before, after, moment = {0, 1000 * (1 + (index * 37 + i * 13) % 500)};
    clock_gettime(CLOCK_MONOTONIC, &before);
    if (nanosleep(&moment, NULL) != 0) fail("nanosleep");
    clock_gettime(CLOCK_MONOTONIC, &after);
    const int64_t slept =
        (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
    if (slept < moment.tv_nsec) fail("slept too short");
    atomic_fetch_add(&done, 1);
  }
}

static void yields(int index) {
  for (int i = 0; i < rounds; ++i) {
    for (int j = 0; j < index % 7; ++j) sched_yield();
    volatile double sum = 0;
    for (int j = 0; j < 200 * (index % 5); ++j)
      sum = sum * 0.5 + j;  // vector state to carry over a switch
    atomic_fetch_add(&done, 1);
  }
}

static void* nothing(void* argument) { return (char*)argument + 1; }

static void exits(int index) {
  for (int i = 0; i < rounds; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, (void*)(intptr_t)index) != 0) {
      fail("pthread_create");
      continue;
    }
    void* result = NULL;
    if (pthread_join(thread, &result) != 0 || result != (void*)(intptr_t)(index + 1))
      fail("pthread_join");
    atomic_fetch_add(&done, 1);
  }
}

struct job {
  void (*work)(int);
  int index;
};

static void* run(void* argument) {
  const struct job* job = argument;
  job->work(job->index);
  return NULL;
}

static void run_threads(void) {
  // Counts that the kinds need: rings are whole, pairs are pairs, words have four.
  const int kinds = 6, each = threads / kinds / 8 * 8;
  void (*const works[])(int) = {go_round, ping_pong, futexes, sleeps, yields, exits};
  for (int i = 0; i < 8; ++i) {
    pthread_mutex_init(&rings[i].lock, NULL);
    pthread_cond_init(&rings[i].turn_changed, NULL);
    rings[i].members = each / 8;
  }
  pipes = calloc((size_t)each, sizeof *pipes);
  for (int i = 0; i < each; ++i) {
    if (pipe(pipes[i]) != 0) fail("pipe");
  }
  const int total = kinds * each;
  struct job* jobs = calloc((size_t)total, sizeof *jobs);
  pthread_t* ids = calloc((size_t)total, sizeof *ids);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  for (int i = 0; i < total; ++i) {
    jobs[i] = (struct job){works[i % kinds], i / kinds};
    if (pthread_create(&ids[i], &attributes, run, &jobs[i]) != 0) {
      fail("pthread_create");
      exit(1);
    }
  }
  for (int i = 0; i < total; ++i) pthread_join(ids[i], NULL);
  if (done != (long)total * rounds) fail("some work was not done");
}

int main(int argc, char** argv) {
  threads = argc > 1 ? atoi(argv[1]) : 96;
  rounds = argc > 2 ? atoi(argv[2]) : 20;
  const int processes = argc > 3 ? atoi(argv[3]) : 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  pid_t children[64];
  for (int i = 0; i < processes && i < 64; ++i) {
    char* const arguments[] = {argv[0], "48", argv[2], "0", NULL};
    const int error = posix_spawn(&children[i], "/proc/self/exe", NULL, NULL, arguments, environ);
    if (error != 0) {
      errno = error;
      fail("posix_spawn");
      children[i] = 0;
    }
  }
  run_threads();
  for (int i = 0; i < processes && i < 64; ++i) {
    int status = 0;
    if (children[i] > 0 && (waitpid(children[i], &status, 0) != children[i] || status != 0)) {
      printf("status %#x\n", (unsigned)status);
      fail("a child");
    }
  }
  printf("%s\n", failures == 0 ? "all done" : "failed");
  return failures != 0;
}
