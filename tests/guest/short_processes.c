// Short processes, one after the other and some at a time, up to 1,000 a second, for as many seconds as are asked for:
// afterwards memory, descriptors and numbers are where they were. How many there were is said on stderr.
//
//     short_processes SECONDS
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "counts.h"

#define A_SECOND 1000

extern char** environ;

// What the LibOS uses itself, without stacks that wait for the next tasks: how many those are depends on how many tasks
// there were at a time at most, and so on what else the machine does.
static long kernel_pages(void) {
  return statistic("memory.kernel_pages") - statistic("memory.kernel_free_pages") -
         statistic("memory.kept_stack_pages");
}

static void one_process(int kind) {
  pid_t pid = -1;
  if (kind % 10 == 0) {
    char* arguments[] = {(char*)check_program, "child", NULL};
    if (posix_spawn(&pid, check_program, NULL, NULL, arguments, environ) != 0) pid = -1;
  } else if (kind % 3 == 0) {
    pid = vfork();
    if (pid == 0) _exit(7);
  } else {
    pid = fork();
    if (pid == 0) _exit(7);
  }
  REQUIRE(pid != -1);
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

// In each second 1,000 if they can be had; then the rest of it is slept.
static long run_for(double seconds) {
  int64_t start = check_now_ns(), end = start + (int64_t)(seconds * 1e9);
  long count = 0;
  for (int64_t second = start; check_now_ns() < end; second += 1000000000) {
    for (int i = 0; i < A_SECOND && check_now_ns() < end; i++, count++) one_process((int)count);
    int64_t left = second + 1000000000 - check_now_ns();
    if (left > 0 && check_now_ns() < end) check_sleep_ms(left / 1000000);
  }
  return count;
}

// Without what is kept for the next programs.
static long live_pages(void) {
  return statistic("memory.committed_pages") - statistic("memory.user_kept_pages") -
         statistic("memory.kernel_free_pages") - statistic("memory.kept_stack_pages");
}

static double seconds;

CASE(short_processes) {
  struct counts before;
  run_for(1);
  counts_read(&before);
  int descriptors = counts_descriptors();
  long heap = statistic("memory.heap_bytes"), kernel = kernel_pages();
  long present = statistic("memory.user_present_pages"),
       committed = statistic("memory.committed_pages"), live = live_pages();
  long count = run_for(seconds);
  fprintf(stderr, "short_processes: %ld in %.0f s, %.0f a second\n", count, seconds,
          (double)count / seconds);
  CHECK(count > 0);
  CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
  CHECK_EQ(counts_descriptors(), descriptors);
  CHECK_COUNTS(before);
  // Stacks and slabs are kept for the next ones, as many as there were at a time. How many that is
  // depends on what else the machine does. A leak of a byte a process would be seen, or of a page in thirty processes.
  long grown = statistic("memory.heap_bytes") - heap;
  fprintf(stderr,
          "short_processes: heap %+ld bytes, LibOS pages in use %+ld, of programs %+ld, committed "
          "%+ld\n",
          grown, kernel_pages() - kernel, statistic("memory.user_present_pages") - present,
          statistic("memory.committed_pages") - committed);
  CHECK(grown < 65536);
  CHECK(kernel_pages() - kernel < 256);
  CHECK(statistic("memory.user_present_pages") - present < 256);
  CHECK(live_pages() - live < 512);
  // What is kept for the next programs is at most 64 MiB more than the most that was in use (libos/mm/reclaim.cpp).
  CHECK(statistic("memory.committed_pages") - committed < 16384 + 8192);
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "child") == 0) return 7;
  seconds = argc > 1 ? atof(argv[1]) : 1;
  return check_main(1, argv);
}
