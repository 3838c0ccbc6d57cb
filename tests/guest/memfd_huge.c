// memfd_create(2) with huge pages where none are set aside: a file with a size and without contents.
#include <fcntl.h>
#include <sys/mman.h>

#include "check.h"

#define MEGABYTE (1L << 20)

CASE(names_and_sizes) {
  static const struct {
    unsigned flags;
    long size;
  } all[] = {{MFD_HUGETLB, 2 * MEGABYTE},
             {MFD_HUGETLB | MFD_ALLOW_SEALING, 2 * MEGABYTE},
             {MFD_HUGETLB | (21u << 26), 2 * MEGABYTE},
             {MFD_HUGETLB | MFD_CLOEXEC | (30u << 26), 1024 * MEGABYTE}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    int fd = memfd_create("pages", all[i].flags);
    REQUIRE(fd >= 0);
    struct stat status;
    CHECK_OK(fstat(fd, &status));
    CHECK_EQ(status.st_blksize, all[i].size);
    CHECK_EQ(status.st_mode, S_IFREG | 0777);
    CHECK_EQ(status.st_size, 0);
    CHECK_EQ(fcntl(fd, F_GETFD), all[i].flags & MFD_CLOEXEC ? FD_CLOEXEC : 0);
    CHECK_EQ(fcntl(fd, F_GET_SEALS), all[i].flags & MFD_ALLOW_SEALING ? 0 : F_SEAL_SEAL);
    char path[32], name[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK(readlink(path, name, sizeof name - 1) > 0);
    CHECK_STR(name, "/memfd:pages (deleted)");
    close(fd);
  }
  CHECK_ERRNO(memfd_create("pages", MFD_HUGETLB | (16u << 26)), ENODEV);
  CHECK_ERRNO(memfd_create("pages", 21u << 26), EINVAL);
  CHECK_ERRNO(memfd_create("pages", MFD_HUGETLB | 0x20), EINVAL);
}

CASE(without_pages) {
  int fd = memfd_create("pages", MFD_HUGETLB);
  char text[16] = "xxxx";
  REQUIRE(fd >= 0);
  CHECK_ERRNO(ftruncate(fd, 1000), EINVAL);
  CHECK_OK(ftruncate(fd, 4 * MEGABYTE));
  CHECK_EQ(lseek(fd, 0, SEEK_END), 4 * MEGABYTE);
  CHECK_ERRNO(write(fd, "x", 1), EINVAL);
  CHECK_ERRNO(pwrite(fd, "x", 1, 0), EINVAL);
  CHECK_EQ(pread(fd, text, 4, 0), 4);
  CHECK_EQ(memcmp(text, "\0\0\0\0", 4), 0);
  CHECK_EQ(pread(fd, text, 4, 4 * MEGABYTE), 0);
  CHECK_ERRNO(mmap(NULL, 2 * MEGABYTE, PROT_READ, MAP_SHARED, fd, 0), ENOMEM);
  CHECK_ERRNO(mmap(NULL, 2 * MEGABYTE, PROT_READ, MAP_PRIVATE, fd, 0), ENOMEM);
  CHECK_ERRNO(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), ENOMEM);
  CHECK_ERRNO(mmap(NULL, 2 * MEGABYTE, PROT_READ, MAP_SHARED, fd, 4096), EINVAL);
  CHECK_ERRNO(fallocate(fd, 0, 0, 2 * MEGABYTE), ENOSPC);
  CHECK_ERRNO(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 2 * MEGABYTE), EOPNOTSUPP);
  CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * MEGABYTE));
  CHECK_OK(ftruncate(fd, 0));
  CHECK_EQ(read(fd, text, 4), 0);
  close(fd);
}

CHECK_MAIN
