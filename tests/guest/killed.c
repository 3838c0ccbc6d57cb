// Processes that are killed at random points of fork, exec and exit: nothing is left of them.
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "counts.h"

static uint64_t seed = 88172645463325252ULL;

static uint64_t next_random(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

static void spin(uint64_t rounds) {
  for (volatile uint64_t i = 0; i < rounds; i++) {
  }
}

// A child does `work` until it is killed, at a random moment within `longest` ns.
static void kill_while(void (*work)(void), int rounds, uint64_t longest) {
  for (int i = 0; i < rounds; i++) {
    pid_t pid = fork();
    REQUIRE(pid != -1);
    if (pid == 0) {
      setpgid(0, 0);
      work();
      _exit(0);
    }
    setpgid(pid, pid);
    // It gets on only while this process waits, where both have the same addresses and take turns.
    struct timespec moment = {0, (long)(next_random() % longest)};
    if (next_random() % 4 != 0) nanosleep(&moment, NULL);
    if (next_random() % 4 == 0) spin(next_random() % 10000);
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    int status = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
  }
}

static void forks(void) {
  for (;;) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    waitpid(pid, NULL, 0);
  }
}

static void vforks(void) {
  for (;;) {
    pid_t pid = vfork();
    if (pid == 0) _exit(0);
    waitpid(pid, NULL, 0);
  }
}

static void executes(void) {
  char* arguments[] = {(char*)check_program, "again", NULL};
  char* environment[] = {NULL};
  execve(check_program, arguments, environment);
}

static void spawns(void) {
  char* arguments[] = {(char*)check_sibling("child.pie"), "exit", "0", NULL};
  for (;;) {
    pid_t pid;
    if (posix_spawn(&pid, arguments[0], NULL, NULL, arguments, NULL) == 0) waitpid(pid, NULL, 0);
  }
}

static void* thread_body(void* unused) { return unused; }

static void threads(void) {
  for (;;) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, thread_body, NULL) == 0) pthread_join(thread, NULL);
  }
}

static void memory(void) {
  for (;;) {
    char* at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) continue;
    at[4096] = 1;
    char* shared = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared != MAP_FAILED) {
      shared[0] = 1;
      munmap(shared, 1 << 16);
    }
    munmap(at, 1 << 20);
  }
}

static void pipes(void) {
  for (;;) {
    int ends[2];
    char byte = 1;
    if (pipe(ends) == -1) continue;
    if (write(ends[1], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1) {
    }
    close(ends[0]);
    close(ends[1]);
  }
}

static void ends(void) {}

static void killed(void (*work)(void), int rounds, uint64_t longest) {
  struct counts before;
  kill_while(work, 20, longest);  // what is made once
  counts_read(&before);
  int descriptors = counts_descriptors();
  kill_while(work, rounds * check_scale(), longest);
  CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
  CHECK_EQ(errno, ECHILD);
  CHECK_EQ(counts_descriptors(), descriptors);
  CHECK_COUNTS(before);
}

CASE(in_fork) { killed(forks, 200, 2000000); }
CASE(in_vfork) { killed(vforks, 200, 2000000); }
CASE(in_exec) { killed(executes, 150, 4000000); }
CASE(in_spawn) { killed(spawns, 100, 4000000); }
CASE(in_clone) { killed(threads, 200, 2000000); }
CASE(in_mmap) { killed(memory, 150, 1000000); }
CASE(in_pipe) { killed(pipes, 150, 1000000); }
CASE(in_exit) { killed(ends, 200, 300000); }

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "again") == 0) {
    check_program = argv[0];
    executes();
    return 3;
  }
  return check_main(argc, argv);
}
