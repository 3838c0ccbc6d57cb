// MREMAP_DONTUNMAP (mremap(2)): what is mapped moves and leaves its mapping behind, without pages. Private memory is zero
// there then, a file is as it is, shared memory is at both places.
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"

#define PAGE 4096L
#define MB (1024 * 1024L)
#define RW (PROT_READ | PROT_WRITE)
#define LEAVE (MREMAP_MAYMOVE | MREMAP_DONTUNMAP)

static char* anonymous(long size, int prot) {
  char* area = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(area != MAP_FAILED);
  return area;
}

// Each page says which it is.
static void number_pages(char* area, long pages, int first) {
  for (long i = 0; i < pages; i++) area[i * PAGE + 7] = (char)(first + i);
}
static int has_numbers(const char* area, long pages, int first) {
  for (long i = 0; i < pages; i++) {
    if (area[i * PAGE + 7] != (char)(first + i)) return 0;
  }
  return 1;
}
static int is_zero(const char* area, long size) {
  for (long i = 0; i < size; i++) {
    if (area[i] != 0) return 0;
  }
  return 1;
}

static sigjmp_buf escape;
static void on_fault(int number) {
  (void)number;
  siglongjmp(escape, 1);
}
static int can_write(volatile char* where) {
  struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER}, old;
  sigaction(SIGSEGV, &action, &old);
  volatile int can = 0;
  if (sigsetjmp(escape, 1) == 0) {
    *where = 1;
    can = 1;
  }
  sigaction(SIGSEGV, &old, NULL);
  return can;
}

CASE(enter) { check_enter_scratch(); }

CASE(anonymous_memory) {
  char* area = anonymous(8 * PAGE, RW);
  number_pages(area, 6, 1);  // two pages were never touched
  char* moved = mremap(area, 8 * PAGE, 8 * PAGE, LEAVE, 0);
  REQUIRE(moved != MAP_FAILED);
  CHECK(moved != area);
  CHECK(has_numbers(moved, 6, 1));
  CHECK(is_zero(moved + 6 * PAGE, 2 * PAGE));
  CHECK(is_zero(area, 8 * PAGE));
  number_pages(area, 8, 50);
  CHECK(has_numbers(moved, 6, 1));
  // And again: each time another.
  char* second = mremap(area, 8 * PAGE, 8 * PAGE, LEAVE, 0);
  REQUIRE(second != MAP_FAILED);
  CHECK(has_numbers(second, 8, 50));
  CHECK(is_zero(area, 8 * PAGE));
  CHECK_OK(munmap(area, 8 * PAGE));
  CHECK(has_numbers(moved, 6, 1));
  CHECK_OK(munmap(moved, 8 * PAGE));
  CHECK_OK(munmap(second, 8 * PAGE));
}

CASE(to_an_address) {
  char* area = anonymous(4 * PAGE, RW);
  char* target = anonymous(6 * PAGE, RW);
  number_pages(area, 4, 1);
  number_pages(target, 6, 90);
  CHECK(mremap(area, 4 * PAGE, 4 * PAGE, LEAVE | MREMAP_FIXED, target + PAGE) == target + PAGE);
  CHECK(has_numbers(target + PAGE, 4, 1));
  CHECK(has_numbers(target, 1, 90));
  CHECK(has_numbers(target + 5 * PAGE, 1, 95));
  CHECK(is_zero(area, 4 * PAGE));
  // Without MREMAP_FIXED the address is a hint: taken when it is free.
  char* hole = anonymous(32 * PAGE, PROT_NONE);
  CHECK_OK(munmap(hole, 32 * PAGE));
  number_pages(area, 4, 20);
  CHECK(mremap(area, 4 * PAGE, 4 * PAGE, LEAVE, hole + 8 * PAGE) == hole + 8 * PAGE);
  CHECK(has_numbers(hole + 8 * PAGE, 4, 20));
  number_pages(area, 4, 30);
  char* elsewhere = mremap(area, 4 * PAGE, 4 * PAGE, LEAVE, hole + 8 * PAGE);
  REQUIRE(elsewhere != MAP_FAILED);
  CHECK(elsewhere != hole + 8 * PAGE);
  CHECK(has_numbers(elsewhere, 4, 30));
  CHECK(has_numbers(hole + 8 * PAGE, 4, 20));
  CHECK_OK(munmap(elsewhere, 4 * PAGE));
  CHECK_OK(munmap(hole + 8 * PAGE, 4 * PAGE));
  // Within its own area, beside itself.
  char* whole = anonymous(10 * PAGE, RW);
  number_pages(whole, 10, 1);
  CHECK(mremap(whole + 2 * PAGE, 3 * PAGE, 3 * PAGE, LEAVE | MREMAP_FIXED, whole + 6 * PAGE) ==
        whole + 6 * PAGE);
  CHECK(has_numbers(whole, 2, 1));
  CHECK(is_zero(whole + 2 * PAGE, 3 * PAGE));
  CHECK(has_numbers(whole + 5 * PAGE, 1, 6));
  CHECK(has_numbers(whole + 6 * PAGE, 3, 3));
  CHECK(has_numbers(whole + 9 * PAGE, 1, 10));
  CHECK_OK(munmap(whole, 10 * PAGE));
  CHECK_OK(munmap(area, 4 * PAGE));
  CHECK_OK(munmap(target, 6 * PAGE));
}

CASE(rights_stay) {
  char* area = anonymous(4 * PAGE, RW);
  number_pages(area, 4, 1);
  CHECK_OK(mprotect(area, 4 * PAGE, PROT_READ));
  char* moved = mremap(area, 4 * PAGE, 4 * PAGE, LEAVE, 0);
  REQUIRE(moved != MAP_FAILED);
  CHECK(has_numbers(moved, 4, 1));
  CHECK(is_zero(area, 4 * PAGE));
  CHECK(!can_write(moved));
  CHECK(!can_write(area));
  CHECK_OK(mprotect(area, 4 * PAGE, RW));
  CHECK(can_write(area));
  CHECK(!can_write(moved));
  // What nobody may read moves, too.
  CHECK_OK(mprotect(moved, 4 * PAGE, PROT_NONE));
  char* hidden = mremap(moved, 4 * PAGE, 4 * PAGE, LEAVE, 0);
  REQUIRE(hidden != MAP_FAILED);
  CHECK(!can_write(hidden));
  CHECK_OK(mprotect(hidden, 4 * PAGE, RW));
  CHECK_OK(mprotect(moved, 4 * PAGE, RW));
  CHECK(has_numbers(hidden, 4, 1));
  CHECK(is_zero(moved, 4 * PAGE));
  CHECK_OK(munmap(hidden, 4 * PAGE));
  CHECK_OK(munmap(moved, 4 * PAGE));
  CHECK_OK(munmap(area, 4 * PAGE));
}

CASE(much_memory) {
  long size = 24 * MB;
  char* area = anonymous(size, RW);
  memset(area, 5, size);
  char* moved = mremap(area, size, size, LEAVE, 0);
  REQUIRE(moved != MAP_FAILED);
  CHECK(is_zero(area, size));
  long wrong = 0;
  for (long i = 0; i < size; i++) wrong += moved[i] != 5;
  CHECK_EQ(wrong, 0);
  CHECK_OK(munmap(area, size));
  CHECK_OK(munmap(moved, size));
}

CASE(private_file) {
  char* text = malloc(4 * PAGE);
  for (long i = 0; i < 4 * PAGE; i++) text[i] = (char)('a' + i / PAGE);
  check_write_file("file", text, 4 * PAGE);
  int fd = open("file", O_RDWR);
  REQUIRE(fd >= 0);
  char* area = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
  REQUIRE(area != MAP_FAILED);
  area[PAGE] = 'X';
  CHECK_EQ(area[2 * PAGE], 'c');
  char* moved = mremap(area + PAGE, 3 * PAGE, 3 * PAGE, LEAVE, 0);
  REQUIRE(moved != MAP_FAILED);
  CHECK_EQ(moved[0], 'X');
  CHECK_EQ(moved[PAGE], 'c');
  CHECK_EQ(moved[2 * PAGE], 'd');
  CHECK_EQ(memcmp(area, text, 4 * PAGE), 0);
  area[PAGE] = 'Y';
  CHECK_EQ(moved[0], 'X');
  CHECK_OK(munmap(area, 4 * PAGE));
  CHECK_OK(munmap(moved, 3 * PAGE));
  close(fd);
  free(text);
}

static void share(int fd) {
  char* area = mmap(NULL, 4 * PAGE, RW, fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
  REQUIRE(area != MAP_FAILED);
  number_pages(area, 4, 1);
  char* moved = mremap(area + PAGE, 2 * PAGE, 2 * PAGE, LEAVE, 0);
  REQUIRE(moved != MAP_FAILED);
  CHECK(has_numbers(moved, 2, 2));
  CHECK(has_numbers(area, 4, 1));
  moved[0] = 'm';
  area[2 * PAGE] = 'a';
  CHECK_EQ(area[PAGE], 'm');
  CHECK_EQ(moved[PAGE], 'a');
  char* target = anonymous(2 * PAGE, RW);
  CHECK(mremap(moved, 2 * PAGE, 2 * PAGE, LEAVE | MREMAP_FIXED, target) == target);
  CHECK_EQ(target[0], 'm');
  target[1] = 't';
  CHECK_EQ(area[PAGE + 1], 't');
  CHECK_EQ(moved[1], 't');
  CHECK_OK(munmap(area, 4 * PAGE));
  CHECK_EQ(target[PAGE], 'a');
  CHECK_OK(munmap(target, 2 * PAGE));
  CHECK_EQ(moved[1], 't');
  CHECK_OK(munmap(moved, 2 * PAGE));
}

CASE(shared_memory) {
  share(-1);
  int fd = memfd_create("object", 0);
  REQUIRE(fd >= 0);
  REQUIRE(ftruncate(fd, 4 * PAGE) == 0);
  share(fd);
  close(fd);
  fd = open("shared", O_RDWR | O_CREAT, 0600);
  REQUIRE(fd >= 0);
  REQUIRE(ftruncate(fd, 4 * PAGE) == 0);
  share(fd);
  char byte = 0;
  CHECK_EQ(pread(fd, &byte, 1, PAGE), 1);
  CHECK_EQ(byte, 'm');
  close(fd);
}

CASE(after_a_fork) {
  char* area = anonymous(4 * PAGE, RW);
  number_pages(area, 4, 1);
  int from_child[2];
  REQUIRE(pipe(from_child) == 0);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    char* moved = mremap(area, 4 * PAGE, 4 * PAGE, LEAVE, 0);
    int good = moved != MAP_FAILED && has_numbers(moved, 4, 1) && is_zero(area, 4 * PAGE);
    number_pages(area, 4, 60);
    good = good && write(from_child[1], "x", 1) == 1 && has_numbers(moved, 4, 1);
    _exit(good ? 0 : 1);
  }
  char byte;
  CHECK_EQ(read(from_child[0], &byte, 1), 1);
  CHECK(has_numbers(area, 4, 1));
  // The parent, while the child has its own.
  char* moved = mremap(area, 4 * PAGE, 4 * PAGE, LEAVE, 0);
  REQUIRE(moved != MAP_FAILED);
  CHECK(is_zero(area, 4 * PAGE));
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK(has_numbers(moved, 4, 1));
  CHECK_OK(munmap(area, 4 * PAGE));
  CHECK_OK(munmap(moved, 4 * PAGE));
  close(from_child[0]);
  close(from_child[1]);
}

CASE(heap) {
  char* start = sbrk(0);
  REQUIRE(sbrk(8 * PAGE) != (void*)-1);
  char* first = (char*)(((uintptr_t)start + PAGE - 1) & -PAGE);
  number_pages(first, 4, 1);
  char* moved = mremap(first, 4 * PAGE, 4 * PAGE, LEAVE, 0);
  REQUIRE(moved != MAP_FAILED);
  CHECK(has_numbers(moved, 4, 1));
  CHECK(is_zero(first, 4 * PAGE));
  number_pages(first, 4, 9);
  CHECK_OK(brk(start));
  CHECK(has_numbers(moved, 4, 1));
  CHECK_OK(munmap(moved, 4 * PAGE));
}

CASE(locks) {
  char* area = anonymous(4 * PAGE, RW);
  REQUIRE(mlock(area, 4 * PAGE) == 0);
  CHECK_ERRNO(madvise(area, PAGE, MADV_DONTNEED), EINVAL);
  char* moved = mremap(area, 2 * PAGE, 2 * PAGE, LEAVE, 0);
  REQUIRE(moved != MAP_FAILED);
  CHECK_ERRNO(madvise(moved, PAGE, MADV_DONTNEED), EINVAL);
  CHECK_OK(madvise(area, PAGE, MADV_DONTNEED));
  // Not a part of the mapping: all of it.
  CHECK_OK(madvise(area + 3 * PAGE, PAGE, MADV_DONTNEED));
  CHECK_OK(munmap(area, 4 * PAGE));
  CHECK_OK(munmap(moved, 2 * PAGE));
}

#define CHECK_FAILS(call, wanted) CHECK_ERRNO((long)(call), wanted)

CASE(errors) {
  char* area = anonymous(8 * PAGE, RW);
  char* hole = anonymous(8 * PAGE, RW);
  number_pages(area, 8, 1);
  CHECK_OK(munmap(hole, 8 * PAGE));
  CHECK_FAILS(mremap(area, PAGE, PAGE, MREMAP_DONTUNMAP, 0), EINVAL);
  CHECK_FAILS(mremap(area, PAGE, PAGE, MREMAP_DONTUNMAP | MREMAP_FIXED, hole), EINVAL);
  CHECK_FAILS(mremap(area, PAGE, 2 * PAGE, LEAVE, 0), EINVAL);
  CHECK_FAILS(mremap(area, 2 * PAGE, PAGE, LEAVE, 0), EINVAL);
  CHECK_FAILS(mremap(area, 0, 0, LEAVE, 0), EINVAL);
  CHECK_FAILS(mremap(area, 0, PAGE, LEAVE, 0), EINVAL);
  CHECK_FAILS(mremap(area + 1, PAGE, PAGE, LEAVE, 0), EINVAL);
  CHECK_FAILS(mremap(area, PAGE, PAGE, LEAVE, hole + 1), EINVAL);
  CHECK_FAILS(mremap(area, PAGE, PAGE, LEAVE | MREMAP_FIXED, hole + 1), EINVAL);
  CHECK_FAILS(mremap(area, PAGE, PAGE, LEAVE | 8, 0), EINVAL);
  CHECK_FAILS(mremap(area, 4 * PAGE, 4 * PAGE, LEAVE, area + PAGE), EINVAL);
  CHECK_FAILS(mremap(area, 4 * PAGE, 4 * PAGE, LEAVE | MREMAP_FIXED, area + 3 * PAGE), EINVAL);
  CHECK_FAILS(mremap(area, PAGE, PAGE, LEAVE, (void*)-PAGE), EINVAL);
  CHECK_FAILS(mremap(area, 1L << 62, 1L << 62, LEAVE, 0), EINVAL);
  // The arguments come first, what is there after them.
  CHECK_FAILS(mremap(hole, PAGE, PAGE, LEAVE, 0), EFAULT);
  CHECK_FAILS(mremap(hole, PAGE, PAGE, LEAVE, hole + 1), EINVAL);
  CHECK_FAILS(mremap(hole, PAGE, 2 * PAGE, LEAVE, 0), EINVAL);
  CHECK_OK(mprotect(area + 4 * PAGE, 4 * PAGE, PROT_READ));
  CHECK_FAILS(mremap(area, 8 * PAGE, 8 * PAGE, LEAVE, 0), EFAULT);
  CHECK_OK(munmap(area + 4 * PAGE, 4 * PAGE));
  CHECK_FAILS(mremap(area, 8 * PAGE, 8 * PAGE, LEAVE, 0), EFAULT);
  CHECK(has_numbers(area, 4, 1));
  char* vdso = (char*)getauxval(AT_SYSINFO_EHDR);
  CHECK_FAILS(mremap(vdso, PAGE, PAGE, LEAVE, 0), EINVAL);
  CHECK_FAILS(mremap(vdso, PAGE, 64 * PAGE, MREMAP_MAYMOVE, 0), EFAULT);
  CHECK_OK(munmap(area, 4 * PAGE));
}

static void set_limit(int resource, long size) {
  struct rlimit limit;
  getrlimit(resource, &limit);
  limit.rlim_cur = size;
  setrlimit(resource, &limit);
}

// In a child, whose limit it is: how it ends.
static int in_a_child(int resource, void (*run)(void)) {
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    set_limit(resource, 300 * MB);
    int before = check_failures;
    run();
    _exit(check_failures != before);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  return status;
}

static void reach_limit(void) {
  char* area = anonymous(120 * MB, RW);
  char* target = anonymous(120 * MB, RW);
  area[5] = target[5] = 5;
  CHECK_FAILS(mremap(area, 120 * MB, 120 * MB, LEAVE, 0), ENOMEM);
  CHECK_FAILS(mremap(area, 120 * MB, 60 * MB, LEAVE, 0), EINVAL);
  // What is replaced does not count.
  CHECK(mremap(area, 120 * MB, 120 * MB, LEAVE | MREMAP_FIXED, target) == target);
  CHECK_EQ(target[5], 5);
  CHECK_EQ(area[5], 0);
  // It is gone when that was not enough.
  set_limit(RLIMIT_AS, 200 * MB);
  set_limit(RLIMIT_DATA, 200 * MB);
  CHECK_FAILS(mremap(area, 120 * MB, 120 * MB, LEAVE | MREMAP_FIXED, target), ENOMEM);
  CHECK(!can_write(target));
  CHECK(can_write(area));
}

CASE(limits) {
  CHECK_EQ(in_a_child(RLIMIT_AS, reach_limit), 0);
  CHECK_EQ(in_a_child(RLIMIT_DATA, reach_limit), 0);
}

CHECK_MAIN
