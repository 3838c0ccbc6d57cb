// Two threads that each write, sync and read a file of their own. Nothing here makes one wait for the other's call; where
// the host carries out no request before there are two (tests/programs/do_tests.py), both must be on their way at once,
// even with one processor.
#include <fcntl.h>

#include "check.h"

enum { kSize = 10000, kRounds = 5 };

static void fill(unsigned char* data, int thread, int round) {
  for (int i = 0; i < kSize; i++) data[i] = (unsigned char)(i * 7 + thread * 31 + round * 13);
}

static void* use_file(void* id) {
  const int thread = (int)(intptr_t)id;
  const char* directory = getenv("TMPDIR");
  char path[512];
  snprintf(path, sizeof path, "%s/overlap-%d", directory != NULL ? directory : "/tmp", thread);
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

CASE(two_files_at_once) {
  pthread_t threads[2];
  for (intptr_t i = 0; i < 2; i++)
    REQUIRE(pthread_create(&threads[i], NULL, use_file, (void*)i) == 0);
  for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

CHECK_MAIN
