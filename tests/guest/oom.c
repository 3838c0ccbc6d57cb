// Enclave memory runs out (occlum do --memory): one process is killed and not the enclave. Not for Linux, which would
// have to be short of memory as a whole; see tests/programs/hard_times.py.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "counts.h"

#define MIB (1L << 20)

static long total_memory(void) {
  FILE* file = fopen("/proc/meminfo", "r");
  REQUIRE(file != NULL);
  long kib = 0;
  REQUIRE(fscanf(file, "MemTotal: %ld kB", &kib) == 1);
  fclose(file);
  return kib * 1024;
}

static void adjust(int score) {
  FILE* file = fopen("/proc/self/oom_score_adj", "w");
  if (file == NULL) return;
  fprintf(file, "%d", score);
  fclose(file);
}

static char* pages(long bytes) {
  char* at = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(at != MAP_FAILED);
  return at;
}

static void touch(char* at, long bytes) {
  for (long i = 0; i < bytes; i += 4096) at[i] = (char)(i >> 12) | 1;
}

static int wait_status(pid_t pid) {
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void twice(void (*body)(void)) {
  struct counts before;
  body();
  counts_read(&before);
  body();
  CHECK_COUNTS(before);
}

// Who takes it all is killed, and the parent goes on.
static void hog(void) {
  pid_t pid = fork();
  if (pid == 0) {
    touch(pages(2 * total_memory()), 2 * total_memory());
    _exit(1);
  }
  CHECK_EQ(wait_status(pid), 1000 + SIGKILL);
}
CASE(hog_is_killed) { twice(hog); }

// The largest one, not the one that happens to need a page.
static void largest(void) {
  int ready[2], go[2];
  REQUIRE(pipe(ready) == 0 && pipe(go) == 0);
  long much = total_memory() * 6 / 10;
  pid_t large = fork();
  if (large == 0) {
    touch(pages(much), much);
    if (write(ready[1], "x", 1) != 1) _exit(2);
    for (;;) pause();
  }
  char byte;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  pid_t small = fork();
  if (small == 0) {
    touch(pages(total_memory() / 2), total_memory() / 2);
    _exit(0);
  }
  CHECK_EQ(wait_status(small), 0);
  CHECK_EQ(wait_status(large), 1000 + SIGKILL);
  for (int i = 0; i < 2; i++) close(ready[i]), close(go[i]);
}
CASE(largest_is_killed) { twice(largest); }

// oom_score_adj turns it round.
static void adjusted(void) {
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  long much = total_memory() * 6 / 10;
  pid_t large = fork();
  if (large == 0) {
    adjust(-1000);
    touch(pages(much), much);
    if (write(ready[1], "x", 1) != 1) _exit(2);
    for (;;) pause();
  }
  char byte;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  pid_t small = fork();
  if (small == 0) {
    adjust(500);
    touch(pages(total_memory()), total_memory());
    _exit(0);
  }
  CHECK_EQ(wait_status(small), 1000 + SIGKILL);
  kill(large, SIGKILL);
  CHECK_EQ(wait_status(large), 1000 + SIGKILL);
  close(ready[0]), close(ready[1]);
}
CASE(adjustment) { twice(adjusted); }

// Pages of a fork family: what one changes must be held while the other is resident. That is where an exchange finds
// no memory.
static void family(void) {
  long much = total_memory() * 4 / 10;
  char* at = pages(much);
  touch(at, much);
  int killed = 0;
  pid_t children[4];
  for (int i = 0; i < 4; i++) {
    children[i] = fork();
    REQUIRE(children[i] != -1);
    if (children[i] == 0) {
      for (int round = 0; round < 3; round++) {
        for (long page = 0; page < much; page += 4096) at[page] = (char)(i + round);
        sched_yield();
        for (long page = 0; page < much; page += 4096)
          if (at[page] != (char)(i + round)) _exit(9);
      }
      _exit(0);
    }
  }
  for (int i = 0; i < 4; i++) {
    int status = wait_status(children[i]);
    CHECK(status == 0 || status == 1000 + SIGKILL);
    if (status != 0) killed++;
  }
  CHECK(killed >= 1);
  long wrong = 0;
  for (long page = 0; page < much; page += 4096) wrong += at[page] != ((char)(page >> 12) | 1);
  CHECK_EQ(wrong, 0);
  munmap(at, (size_t)much);
}
CASE(family_of_writers) {
  adjust(-900);
  family();
  adjust(0);
}

// A system call that stores into memory that is not there yet.
static void copies(void) {
  pid_t pid = fork();
  if (pid == 0) {
    long much = 2 * total_memory();
    char* at = pages(much);
    int zero = open("/dev/zero", O_RDONLY);
    for (long done = 0; done < much;) {
      ssize_t got = read(zero, at + done, MIB);
      if (got <= 0) _exit(3);
      done += got;
    }
    _exit(1);
  }
  CHECK_EQ(wait_status(pid), 1000 + SIGKILL);
}
CASE(system_call_that_stores) { twice(copies); }

// Cached pages of files go before processes do.
static void cache(void) {
  char block[65536];
  memset(block, 7, sizeof block);
  long much = total_memory() / 2;
  pid_t pid = fork();
  if (pid == 0) {
    touch(pages(much), much);
    int file = open(getenv("OOM_FILE") ? getenv("OOM_FILE") : check_program, O_RDONLY);
    if (file == -1) _exit(2);
    long sum = 0;
    for (ssize_t got; (got = read(file, block, sizeof block)) > 0;) sum += got;
    _exit(sum > 0 ? 0 : 3);
  }
  CHECK_EQ(wait_status(pid), 0);
}
CASE(cached_files_go_first) { twice(cache); }

// Files of tmpfs are nobody's: writing them fails when there is no memory.
static void files(void) {
  pid_t pid = fork();
  if (pid == 0) {
    char block[65536];
    memset(block, 7, sizeof block);
    int file = memfd_create("large", 0);
    for (long done = 0; done < 2 * total_memory(); done += (long)sizeof block)
      if (write(file, block, sizeof block) != sizeof block) _exit(0);
    _exit(1);
  }
  int status = wait_status(pid);
  CHECK(status == 0 || status == 1000 + SIGKILL);
}
CASE(memory_file) { twice(files); }

// What one gave up by MADV_FREE is there for another, in small parts as in large ones.
static void freed(void) {
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  for (int parts = 0; parts < 2; parts++) {
    long much = total_memory() * 8 / 10, part = parts ? 64 << 10 : much & -4096L;
    pid_t first = fork();
    if (first == 0) {
      char* at = pages(much);
      touch(at, much);
      for (long from = 0; from + part <= much; from += part) {
        if (madvise(at + from, (size_t)part, MADV_FREE) != 0) _exit(2);
      }
      if (write(ready[1], "x", 1) != 1) _exit(3);
      for (;;) pause();
    }
    char byte;
    REQUIRE(read(ready[0], &byte, 1) == 1);
    pid_t second = fork();
    if (second == 0) {
      touch(pages(total_memory() / 2), total_memory() / 2);
      _exit(0);
    }
    CHECK_EQ(wait_status(second), 0);
    CHECK_EQ(kill(first, SIGTERM), 0);
    CHECK_EQ(wait_status(first), 1000 + SIGTERM);
  }
  close(ready[0]), close(ready[1]);
}
CASE(freed_memory_is_free) { twice(freed); }

// What is asked for and never touched costs nothing; MAP_POPULATE brings what there is.
CASE(reserved) {
  char* at = pages(64 * total_memory());
  at[0] = 1;
  CHECK_EQ(munmap(at, (size_t)(64 * total_memory())), 0);
}

CHECK_MAIN
