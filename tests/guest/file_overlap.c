// Files that are used by two at once, and by processes that are killed meanwhile.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "check.h"

enum { kSize = 10000, kRounds = 5 };

static const char* path_of(const char* name, char path[512]) {
  const char* directory = getenv("TMPDIR");
  snprintf(path, 512, "%s/%s", directory != NULL ? directory : "/tmp", name);
  return path;
}

static void fill(unsigned char* data, int thread, int round) {
  for (int i = 0; i < kSize; i++) data[i] = (unsigned char)(i * 7 + thread * 31 + round * 13);
}

static void* use_file(void* id) {
  const int thread = (int)(intptr_t)id;
  char path[512];
  path_of(thread == 0 ? "overlap-0" : "overlap-1", path);
  static unsigned char wrote[2][kSize], read_back[2][kSize];
  for (int round = 0; round < kRounds; round++) {
    fill(wrote[thread], thread, round);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    REQUIRE(fd >= 0);
    CHECK_EQ(pwrite(fd, wrote[thread], kSize, 0), kSize);
    CHECK_EQ(fsync(fd), 0);
    CHECK_EQ(pread(fd, read_back[thread], kSize, 0), kSize);
    CHECK(memcmp(wrote[thread], read_back[thread], kSize) == 0);
    CHECK_EQ(fdatasync(fd), 0);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(close(fd), 0);
  }
  return NULL;
}

// Two threads that each write, sync and read a file of their own. Nothing here makes one wait for the other's call; where
// the host carries out no request before there are two (tests/programs/do_tests.py), both must be on their way at once,
// even with one processor.
CASE(two_files_at_once) {
  pthread_t threads[2];
  for (intptr_t i = 0; i < 2; i++)
    REQUIRE(pthread_create(&threads[i], NULL, use_file, (void*)i) == 0);
  for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

// A process that dies while a request of its is on its way takes nothing of others with it.
static void write_for_ever(const char* path, int begun, int number) {
  static unsigned char data[65536];
  memset(data, number, sizeof data);
  int fd = open(path, O_RDWR);
  for (int i = 0;; i++) {
    if (pwrite(fd, data, sizeof data, 0) != sizeof data || fdatasync(fd) != 0 ||
        pread(fd, data, sizeof data, 0) != sizeof data)
      _exit(1);
    if (i == 0 && write(begun, "x", 1) != 1) _exit(1);
  }
}

CASE(killed_while_writing) {
  static unsigned char data[65536];
  char path[512];
  int fd = open(path_of("killed", path), O_RDWR | O_CREAT | O_EXCL, 0600);
  REQUIRE(fd >= 0);
  unsigned random = 1;
  for (int round = 1; round <= 30; round++) {
    int begun[2];
    char byte;
    REQUIRE(pipe(begun) == 0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) write_for_ever(path, begun[1], round);
    CHECK_EQ(read(begun[0], &byte, 1), 1);
    for (unsigned spins = random >> 16 & 0xf; spins > 0; spins--) sched_yield();
    random = random * 1103515245 + 12345;
    int status = 0;
    CHECK_EQ(kill(child, SIGKILL), 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(begun[0]);
    close(begun[1]);
    // All that a child wrote is its number.
    CHECK_EQ(pread(fd, data, sizeof data, 0), sizeof data);
    CHECK(data[0] == round && memcmp(data, data + 1, sizeof data - 1) == 0);
  }
  CHECK_EQ(unlink(path), 0);
  close(fd);
}

CHECK_MAIN
