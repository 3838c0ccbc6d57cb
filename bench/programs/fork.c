// Families of processes: what fork costs, and what it costs to take turns. Prints ns for one.
#include <sys/wait.h>

#include "bench.h"

static void reap(pid_t pid) {
  int status;
  require(waitpid(pid, &status, 0) == pid && status == 0, "wait");
}

static void do_exit(long count) {
  for (long i = 0; i < count; i++) {
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    reap(pid);
  }
}
static void run_exit(void) { measure(do_exit); }

static void do_exec(long count) {
  for (long i = 0; i < count; i++) {
    const pid_t pid = fork();
    if (pid == 0) {
      execl("/bin/true", "true", (char*)NULL);
      _exit(1);
    }
    reap(pid);
  }
}
// From a parent with 50 MB that it has written.
static void run_exec_50mb(void) {
  enum { SIZE = 50 << 20 };
  char* memory = malloc(SIZE);
  require(memory != NULL, "malloc");
  memset(memory, 1, SIZE);
  measure(do_exec);
}

// A round trip between a parent and its forked child.
static void do_pingpong(long count) {
  int to[2], from[2];
  char byte = 0;
  require(pipe(to) == 0 && pipe(from) == 0, "pipe");
  const pid_t pid = fork();
  if (pid == 0) {
    close(to[1]);
    while (read(to[0], &byte, 1) == 1 && write(from[1], &byte, 1) == 1) {
    }
    _exit(0);
  }
  for (long i = 0; i < count; i++)
    require(write(to[1], &byte, 1) == 1 && read(from[0], &byte, 1) == 1, "pipe");
  close(to[1]);
  reap(pid);
  close(to[0]);
  close(from[0]);
  close(from[1]);
}
static void run_pingpong(void) { measure(do_pingpong); }

// Requests of about 50 us of work each, for two workers that a server has forked.
static unsigned work(unsigned seed) {
  for (int i = 0; i < 50000; i++) seed = seed * 1103515245 + 12345;
  return seed;
}
static void do_prefork(long count) {
  int requests[2], answers[2];
  unsigned seed = 1;
  pid_t workers[2];
  require(pipe(requests) == 0 && pipe(answers) == 0, "pipe");
  for (int i = 0; i < 2; i++) {
    workers[i] = fork();
    if (workers[i] != 0) continue;
    close(requests[1]);
    while (read(requests[0], &seed, sizeof seed) == sizeof seed) {
      seed = work(seed);
      if (write(answers[1], &seed, sizeof seed) != sizeof seed) _exit(1);
    }
    _exit(0);
  }
  const long ahead = count < 16 ? count : 16;  // requests that wait at most
  for (long i = 0; i < ahead; i++) require(write(requests[1], &seed, sizeof seed) > 0, "write");
  for (long i = 0; i < count; i++) {
    require(read(answers[0], &seed, sizeof seed) == sizeof seed, "read");
    if (i + ahead < count) require(write(requests[1], &seed, sizeof seed) > 0, "write");
  }
  close(requests[1]);
  for (int i = 0; i < 2; i++) reap(workers[i]);
  close(requests[0]);
  close(answers[0]);
  close(answers[1]);
}
static void run_prefork(void) { measure(do_prefork); }

int main(int argc, char** argv) {
  static const struct benchmark list[] = {{"exit", run_exit},
                                          {"exec_50mb", run_exec_50mb},
                                          {"pipe_pingpong", run_pingpong},
                                          {"prefork_2_workers", run_prefork}};
  return run_named(list, sizeof list / sizeof *list, argc, argv);
}
