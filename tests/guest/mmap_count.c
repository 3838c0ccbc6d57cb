// vm.max_map_count: how many mappings a process may have, and what ENOMEM leaves at the limit.
#include <fcntl.h>
#include <sys/mman.h>

#include "check.h"

enum { kPage = 4096 };

static long read_limit(void) {
  char text[32] = {0};
  int fd = open("/proc/sys/vm/max_map_count", O_RDONLY);
  REQUIRE(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
  close(fd);
  return atol(text);
}

static long count_mappings(void) {
  static char text[1 << 16];
  int fd = open("/proc/self/maps", O_RDONLY);
  long lines = 0, size;
  REQUIRE(fd >= 0);
  while ((size = read(fd, text, sizeof text)) > 0) {
    for (long i = 0; i < size; i++) lines += text[i] == '\n';
  }
  close(fd);
  return lines;
}

// Every second page gets other rights, which makes two more mappings of one.
CASE(limit) {
  long limit = read_limit();
  size_t size = (size_t)(limit + 64) * kPage;
  char* region = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(region != MAP_FAILED);
  long split = 0;
  while (split < limit && mprotect(region + (2 * split + 1) * kPage, kPage, PROT_READ) == 0)
    split++;
  CHECK_EQ(errno, ENOMEM);
  // What the process has besides is a few dozen, and not all of it shows.
  CHECK(split < limit / 2 && split > limit / 2 - 50);
  long count = count_mappings();
  CHECK(count <= limit + 2 && count > limit - 50);
  // A hole in a mapping is one more.
  char* rest = region + size - 16 * kPage;
  CHECK_EQ(munmap(rest, kPage) == 0 ? 0 : errno, ENOMEM);
  CHECK_EQ(madvise(rest, kPage, MADV_DONTFORK) == 0 ? 0 : errno, EAGAIN);
  CHECK_EQ(madvise(rest, kPage, MADV_DONTNEED) == 0 ? 0 : errno, 0);
  char* moved = mremap(region + kPage, kPage, 2 * kPage, MREMAP_MAYMOVE);
  CHECK(moved == MAP_FAILED && errno == ENOMEM);
  // The last that fit.
  int added = 0;
  char* last[8];
  while (added < 8 && (last[added] = mmap(NULL, kPage, added % 2 == 0 ? PROT_READ : PROT_WRITE,
                                          MAP_SHARED | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED)
    added++;
  CHECK_EQ(errno, ENOMEM);
  CHECK(added >= 1 && added <= 3);
  // Nothing is lost, and with fewer it goes on.
  for (long i = 0; i < split; i += 1000) CHECK_EQ(region[(2 * i + 1) * kPage], 0);
  while (added > 0) CHECK_EQ(munmap(last[--added], kPage), 0);
  CHECK_EQ(munmap(region, 101 * kPage), 0);
  CHECK_EQ(mprotect(rest, kPage, PROT_READ), 0);
  CHECK_EQ(munmap(rest, kPage), 0);
  CHECK_EQ(munmap(region, size), 0);
  CHECK(count_mappings() < 100);
}

int main(int argc, char** argv) { return check_main(argc, argv); }
