// remap_file_pages(2): the pages of a shared mapping in another order.
#include <fcntl.h>
#include <sys/mman.h>

#include "check.h"

#define PAGE 4096L
#define PAGES 8
#define RW (PROT_READ | PROT_WRITE)

// Each page says which one it is.
static char* map_numbered(int fd) {
  char* at =
      mmap(NULL, PAGES * PAGE, RW, fd == -1 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
  REQUIRE(at != MAP_FAILED);
  for (int i = 0; i < PAGES; i++) at[i * PAGE] = (char)i;
  return at;
}

static int numbered_file(void) {
  int fd = memfd_create("pages", 0);
  REQUIRE(fd != -1 && ftruncate(fd, PAGES * PAGE) == 0);
  return fd;
}

CASE(reversed) {
  int fd = numbered_file();
  char* at = map_numbered(fd);
  for (int i = 0; i < PAGES; i++)
    CHECK_OK(remap_file_pages(at + i * PAGE, PAGE, 0, (size_t)(PAGES - 1 - i), 0));
  for (int i = 0; i < PAGES; i++) CHECK_EQ(at[i * PAGE], PAGES - 1 - i);
  at[0] = 70;
  char byte;
  CHECK_EQ(pread(fd, &byte, 1, (PAGES - 1) * PAGE), 1);
  CHECK_EQ(byte, 70);
  byte = 71;
  CHECK_EQ(pwrite(fd, &byte, 1, 0), 1);
  CHECK_EQ(at[(PAGES - 1) * PAGE], 71);
  CHECK_OK(munmap(at, PAGES * PAGE));
  close(fd);
}

CASE(window) {
  int fd = numbered_file();
  char* all = map_numbered(fd);
  char* window = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
  close(fd);
  for (size_t i = 0; i + 1 < PAGES; i++) {
    // The start and the length lose what is less than a page.
    CHECK_OK(remap_file_pages(window + 5, 2 * PAGE + 7, 0, i, MAP_NONBLOCK));
    CHECK_EQ(window[0], i);
    CHECK_EQ(window[PAGE], i + 1);
    window[1] = (char)(i + 1);
  }
  for (int i = 0; i + 1 < PAGES; i++) CHECK_EQ(all[i * PAGE + 1], i + 1);
  CHECK_OK(munmap(window, 2 * PAGE));
  CHECK_OK(munmap(all, PAGES * PAGE));
}

CASE(anonymous) {
  char* at = map_numbered(-1);
  CHECK_OK(remap_file_pages(at, 2 * PAGE, 0, 4, 0));
  CHECK_EQ(at[0], 4);
  CHECK_EQ(at[PAGE], 5);
  at[0] = 44;
  CHECK_EQ(at[4 * PAGE], 44);
  // The rights stay.
  CHECK_OK(mprotect(at, PAGES * PAGE, PROT_READ));
  CHECK_OK(remap_file_pages(at, 4 * PAGE, 0, 1, 0));  // two mappings by now, of one object
  CHECK_EQ(at[0], 1);
  CHECK_EQ(at[3 * PAGE], 44);
  CHECK_OK(mprotect(at, PAGE, RW));
  CHECK_ERRNO(remap_file_pages(at, 4 * PAGE, 0, 0, 0), EINVAL);  // and not of one kind
  CHECK_OK(munmap(at, PAGES * PAGE));
}

CASE(what_is_wrong) {
  int fd = numbered_file();
  char* at = map_numbered(fd);
  CHECK_ERRNO(remap_file_pages(at, PAGE, PROT_READ, 0, 0), EINVAL);
  CHECK_ERRNO(remap_file_pages(at, 0, 0, 0, 0), EINVAL);
  CHECK_ERRNO(remap_file_pages(at, PAGE - 1, 0, 0, 0), EINVAL);
  CHECK_ERRNO(remap_file_pages(at, (size_t)-PAGE, 0, 0, 0), EINVAL);
  CHECK_ERRNO(remap_file_pages(at, PAGE, 0, (size_t)-1, 0), EINVAL);
  CHECK_ERRNO(remap_file_pages(at, PAGE, 0, (size_t)1 << 52, 0), EOVERFLOW);
  CHECK_ERRNO(remap_file_pages(at, (PAGES + 1) * PAGE, 0, 0, 0), EINVAL);
  CHECK_OK(munmap(at + PAGE, PAGE));
  CHECK_ERRNO(remap_file_pages(at, 3 * PAGE, 0, 0, 0), EINVAL);
  CHECK_ERRNO(remap_file_pages(at + PAGE, PAGE, 0, 0, 0), EINVAL);
  CHECK_EQ(at[0], 0);
  CHECK_EQ(at[2 * PAGE], 2);
  char* private = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
  CHECK_ERRNO(remap_file_pages(private, PAGE, 0, 0, 0), EINVAL);
  CHECK_OK(munmap(private, PAGE));
  CHECK_OK(munmap(at, PAGES * PAGE));
  close(fd);
}

CHECK_MAIN
