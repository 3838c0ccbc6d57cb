// Anonymous memory: mmap(2), munmap(2), mremap(2), madvise(2), mincore(2), brk(2).
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

#define PAGE 4096L
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char* map(size_t size) {
  char* area = mmap(NULL, size, PROT_READ | PROT_WRITE, ANON, -1, 0);
  REQUIRE(area != MAP_FAILED);
  return area;
}

static int is_mapped(const void* page) {
  return access(page, F_OK) == -1 && errno != EFAULT;  // A path in unmapped memory is EFAULT.
}

CASE(zero_filled) {
  char* area = map(64 * PAGE);
  CHECK_EQ((uintptr_t)area % PAGE, 0);
  for (long i = 0; i < 64 * PAGE; i++) {
    if (area[i]) CHECK_EQ(area[i], 0);
  }
  memset(area, 1, 64 * PAGE);
  CHECK_OK(munmap(area, 64 * PAGE));
  // Memory given back and taken again is zero again.
  area = map(64 * PAGE);
  for (long i = 0; i < 64 * PAGE; i++) {
    if (area[i]) CHECK_EQ(area[i], 0);
  }
  CHECK_OK(munmap(area, 64 * PAGE));
}

CASE(errors) {
  CHECK(mmap(NULL, 0, PROT_READ, ANON, -1, 0) == MAP_FAILED && errno == EINVAL);
  CHECK(mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
  CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED && errno == EBADF);
  CHECK(mmap((void*)1, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EINVAL);
  CHECK(mmap(NULL, 1UL << 60, PROT_READ, ANON | MAP_NORESERVE, -1, 0) == MAP_FAILED &&
        errno == ENOMEM);
  CHECK(mmap(NULL, ~0UL, PROT_READ, ANON, -1, 0) == MAP_FAILED && errno == ENOMEM);
  CHECK_ERRNO(munmap((void*)1, PAGE), EINVAL);
  char* area = map(PAGE);
  CHECK_ERRNO(munmap(area, 0), EINVAL);
  CHECK_OK(munmap(area, PAGE));
  CHECK_OK(munmap(area, PAGE));  // Nothing there is not an error.
  CHECK_ERRNO(mprotect(area, PAGE, PROT_READ), ENOMEM);
  CHECK_ERRNO(mprotect((void*)1, PAGE, PROT_READ), EINVAL);
}

CASE(unmapping_splits) {
  char* area = map(5 * PAGE);
  for (int i = 0; i < 5; i++) area[i * PAGE] = (char)(i + 1);
  CHECK_OK(munmap(area + PAGE, PAGE));
  CHECK_OK(munmap(area + 3 * PAGE, 1));  // The size is rounded up to a page.
  CHECK_EQ(area[0], 1);
  CHECK_EQ(area[2 * PAGE], 3);
  CHECK_EQ(area[4 * PAGE], 5);
  CHECK(!is_mapped(area + PAGE));
  CHECK(!is_mapped(area + 3 * PAGE));
  CHECK_OK(munmap(area, 5 * PAGE));  // Across the holes.
  CHECK(!is_mapped(area));
  CHECK(!is_mapped(area + 4 * PAGE));
}

CASE(fixed) {
  char* area = map(4 * PAGE);
  memset(area, 7, 4 * PAGE);
  char* inner = mmap(area + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, ANON | MAP_FIXED, -1, 0);
  CHECK(inner == area + PAGE);
  CHECK_EQ(inner[0], 0);
  CHECK_EQ(area[0], 7);
  CHECK_EQ(area[3 * PAGE], 7);
  CHECK(mmap(area, PAGE, PROT_READ, ANON | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED &&
        errno == EEXIST);
  CHECK_OK(munmap(area, PAGE));
  CHECK(mmap(area, PAGE, PROT_READ, ANON | MAP_FIXED_NOREPLACE, -1, 0) == area);
  CHECK_OK(munmap(area, 4 * PAGE));
  // A free hint is taken, one that is in use is not.
  CHECK(mmap(area, PAGE, PROT_READ, ANON, -1, 0) == area);
  char* other = mmap(area, PAGE, PROT_READ, ANON, -1, 0);
  CHECK(other != MAP_FAILED && other != area);
  munmap(area, PAGE);
  munmap(other, PAGE);
}

CASE(reserve_then_commit) {
  size_t size = 1UL << 34;
  char* area = mmap(NULL, size, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
  REQUIRE(area != MAP_FAILED);
  CHECK_OK(mprotect(area + size / 2, PAGE, PROT_READ | PROT_WRITE));
  area[size / 2] = 9;
  CHECK_EQ(area[size / 2], 9);
  CHECK_OK(munmap(area, size));
}

// Databases, garbage collectors and WebAssembly reserve address space in terabytes, and use little of it.
CASE(reserve_terabytes) {
  enum { COUNT = 4 };
  const size_t size = 5UL << 40, step = size / 8;
  char* areas[COUNT];
  for (int i = 0; i < COUNT; i++) {
    areas[i] = mmap(NULL, size, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    REQUIRE(areas[i] != MAP_FAILED);
    for (int part = 0; part < 8; part++) {
      char* page = areas[i] + part * step;
      CHECK_OK(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
      *page = (char)(8 * i + part + 1);
    }
  }
  pid_t child = fork();
  if (child == 0) {
    int wrong = 0;
    for (int i = 0; i < COUNT; i++)
      for (int part = 0; part < 8; part++) wrong += areas[i][part * step]++ != 8 * i + part + 1;
    _exit(wrong);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  for (int i = 0; i < COUNT; i++) {
    CHECK_EQ(areas[i][7 * step], 8 * i + 8);
    CHECK_OK(madvise(areas[i], size, MADV_DONTNEED));
    CHECK_EQ(areas[i][7 * step], 0);
    CHECK_OK(mprotect(areas[i], size, PROT_READ));
    CHECK_EQ(areas[i][size - 1], 0);
    CHECK_OK(munmap(areas[i], size));
  }
}

CASE(advice) {
  char* area = map(8 * PAGE);
  memset(area, 3, 8 * PAGE);
  CHECK_OK(madvise(area + 2 * PAGE, 2 * PAGE, MADV_DONTNEED));
  CHECK_EQ(area[PAGE], 3);
  CHECK_EQ(area[2 * PAGE], 0);
  CHECK_EQ(area[4 * PAGE - 1], 0);
  CHECK_EQ(area[4 * PAGE], 3);
  CHECK_OK(madvise(area, 8 * PAGE, MADV_WILLNEED));
  CHECK_OK(madvise(area, 8 * PAGE, MADV_NORMAL));
  CHECK_ERRNO(madvise(area, PAGE, 9999), EINVAL);
  CHECK_ERRNO(madvise(area + 1, PAGE, MADV_DONTNEED), EINVAL);
  CHECK_OK(munmap(area, 8 * PAGE));
  CHECK_ERRNO(madvise(area, PAGE, MADV_DONTNEED), ENOMEM);
}

CASE(remap) {
  char* area = map(2 * PAGE);
  memset(area, 5, 2 * PAGE);
  char* grown = mremap(area, 2 * PAGE, 500 * PAGE, MREMAP_MAYMOVE);
  REQUIRE(grown != MAP_FAILED);
  CHECK_EQ(grown[0], 5);
  CHECK_EQ(grown[2 * PAGE - 1], 5);
  CHECK_EQ(grown[2 * PAGE], 0);
  grown[500 * PAGE - 1] = 1;
  CHECK(mremap(grown, 500 * PAGE, PAGE, 0) == grown);
  CHECK(!is_mapped(grown + PAGE));
  char* target = map(4 * PAGE);
  CHECK(mremap(grown, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
  CHECK_EQ(target[0], 5);
  CHECK_EQ(target[PAGE], 0);
  CHECK(!is_mapped(grown));
  // A neighbour in the way: without MAYMOVE it cannot grow.
  CHECK(mremap(target, PAGE, 2 * PAGE, 0) == MAP_FAILED && errno == ENOMEM);
  CHECK(mremap(target, PAGE, 0, 0) == MAP_FAILED && errno == EINVAL);
  CHECK(mremap((void*)(1L << 44), PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
  CHECK_OK(munmap(target, 4 * PAGE));
}

// Private memory of /dev/zero is moved alone only (others at once, too, since Linux 6.17).
CASE(remap_of_several) {
  int zero = open("/dev/zero", O_RDWR);
  for (int first = 0; first < 2; first++) {
    char* at = mmap(NULL, 20 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char* to = at + 10 * PAGE;
    REQUIRE(at != MAP_FAILED);
    REQUIRE(mmap(at, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0) == at);
    char* of_zero = first ? at : at + 3 * PAGE;
    REQUIRE(mmap(of_zero, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, zero, 0) ==
            of_zero);
    at[0] = at[2 * PAGE] = 7;
    CHECK(mremap(at, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED);
    CHECK_EQ(errno, EFAULT);
    munmap(at, 20 * PAGE);
  }
  close(zero);
}

CASE(resident) {
  char* area = map(4 * PAGE);
  area[0] = area[2 * PAGE] = 1;
  unsigned char vector[4];
  CHECK_OK(mincore(area, 4 * PAGE, vector));
  CHECK(vector[0] & 1);
  CHECK(vector[2] & 1);
  CHECK_OK(munmap(area, 4 * PAGE));
  CHECK_ERRNO(mincore(area, PAGE, vector), ENOMEM);
}

CASE(break_moves) {
  char* start = (char*)syscall(SYS_brk, 0);
  char* end = (char*)syscall(SYS_brk, start + 100 * PAGE + 5);
  CHECK(end == start + 100 * PAGE + 5);
  for (long i = 0; i < 100; i++) CHECK_EQ(start[i * PAGE], 0);
  start[100 * PAGE] = 1;
  CHECK((char*)syscall(SYS_brk, start) == start);
  CHECK((char*)syscall(SYS_brk, start + PAGE) == start + PAGE);
  CHECK((char*)syscall(SYS_brk, 1) == start + PAGE);  // Nonsense leaves it where it is.
  CHECK((char*)syscall(SYS_brk, ~0UL) == start + PAGE);
  CHECK((char*)syscall(SYS_brk, start) == start);
}

CASE(heap) {
  // malloc's own use of brk, mmap, mremap and trimming.
  enum { kBlocks = 2000 };
  char** blocks = calloc(kBlocks, sizeof *blocks);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < kBlocks; i++) {
      size_t size = (size_t)(i * 37 % 5000 + (i % 200 == 0 ? 300000 : 1));
      blocks[i] = realloc(blocks[i], size);
      REQUIRE(blocks[i] != NULL);
      memset(blocks[i], i, size);
    }
    for (int i = round; i < kBlocks; i += 2) {
      CHECK_EQ((unsigned char)blocks[i][0], i & 255);
      free(blocks[i]);
      blocks[i] = NULL;
    }
  }
  for (int i = 0; i < kBlocks; i++) free(blocks[i]);
  free(blocks);
}

CASE(many_areas) {
  enum { kAreas = 2000 };
  static char* areas[kAreas];
  for (int i = 0; i < kAreas; i++) {
    areas[i] = mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE, ANON, -1, 0);
    REQUIRE(areas[i] != MAP_FAILED);
  }
  for (int i = 0; i < kAreas; i++) CHECK_OK(munmap(areas[i], PAGE));
}

CHECK_MAIN
