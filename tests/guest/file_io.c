// Opening, reading, writing and seeking in regular files: open(2), read(2), lseek(2), pread(2), readv(2), truncate(2).
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "check.h"

CASE(enter) { check_enter_scratch(); }

CASE(open_flags) {
  CHECK_ERRNO(open("missing", O_RDONLY), ENOENT);
  CHECK_ERRNO(open("", O_RDONLY), ENOENT);
  CHECK_ERRNO(open("missing/inside", O_CREAT | O_WRONLY, 0600), ENOENT);
  int fd = open("file", O_CREAT | O_EXCL | O_RDWR, 0640);
  REQUIRE(fd >= 0);
  struct stat info;
  CHECK_OK(fstat(fd, &info));
  CHECK_EQ(info.st_mode & 07777, 0640);
  CHECK_ERRNO(open("file", O_CREAT | O_EXCL | O_RDWR, 0640), EEXIST);
  CHECK_ERRNO(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
  CHECK_ERRNO(open("file/inside", O_RDONLY), ENOTDIR);
  CHECK_ERRNO(open(".", O_WRONLY), EISDIR);
  CHECK_ERRNO(open(".", O_CREAT | O_RDWR, 0600), EISDIR);
  CHECK_OK(symlink("file", "link"));
  CHECK_ERRNO(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
  CHECK_ERRNO(open("link", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
  CHECK_OK(symlink("loop", "loop"));
  CHECK_ERRNO(open("loop", O_RDONLY), ELOOP);
  char long_name[300];
  memset(long_name, 'n', sizeof long_name - 1);
  long_name[299] = 0;
  CHECK_ERRNO(open(long_name, O_RDONLY), ENAMETOOLONG);
  CHECK_EQ(write(fd, "data", 4), 4);
  close(fd);
  fd = open("file", O_WRONLY | O_TRUNC);
  CHECK_OK(fstat(fd, &info));
  CHECK_EQ(info.st_size, 0);
  close(fd);
}

CASE(access_mode_is_enforced) {
  int reader = open("file", O_RDONLY), writer = open("file", O_WRONLY);
  char byte;
  CHECK_ERRNO(write(reader, "x", 1), EBADF);
  CHECK_ERRNO(read(writer, &byte, 1), EBADF);
  CHECK_ERRNO(ftruncate(reader, 0), EINVAL);
  CHECK_EQ(fcntl(reader, F_GETFL) & O_ACCMODE, O_RDONLY);
  CHECK_EQ(fcntl(writer, F_GETFL) & O_ACCMODE, O_WRONLY);
  close(reader);
  close(writer);
  CHECK_ERRNO(read(reader, &byte, 1), EBADF);
  CHECK_ERRNO(close(reader), EBADF);
  CHECK_ERRNO(read(-1, &byte, 1), EBADF);
  CHECK_ERRNO(read(1 << 30, &byte, 1), EBADF);
}

CASE(path_descriptor) {
  int fd = open("file", O_PATH);
  char byte;
  REQUIRE(fd >= 0);
  CHECK_ERRNO(read(fd, &byte, 1), EBADF);
  struct stat info;
  CHECK_OK(fstat(fd, &info));
  close(fd);
}

CASE(append) {
  int a = open("log", O_CREAT | O_WRONLY | O_APPEND, 0600), b = open("log", O_WRONLY | O_APPEND);
  CHECK_EQ(write(a, "one ", 4), 4);
  CHECK_EQ(write(b, "two ", 4), 4);
  CHECK_EQ(lseek(a, 0, SEEK_SET), 0);
  CHECK_EQ(write(a, "three", 5), 5);
  CHECK_EQ(lseek(a, 0, SEEK_CUR), 13);
  close(a);
  close(b);
  char text[32] = "";
  int fd = open("log", O_RDONLY);
  CHECK_EQ(read(fd, text, sizeof text), 13);
  CHECK_STR(text, "one two three");
  CHECK_EQ(read(fd, text, sizeof text), 0);
  close(fd);
}

CASE(seek) {
  int fd = open("seek", O_CREAT | O_RDWR | O_TRUNC, 0600);
  CHECK_EQ(write(fd, "0123456789", 10), 10);
  CHECK_EQ(lseek(fd, -3, SEEK_END), 7);
  CHECK_EQ(lseek(fd, 2, SEEK_CUR), 9);
  CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
  CHECK_ERRNO(lseek(fd, 0, 99), EINVAL);
  CHECK_EQ(lseek(fd, 100, SEEK_SET), 100);
  char byte;
  CHECK_EQ(read(fd, &byte, 1), 0);
  CHECK_EQ(write(fd, "x", 1), 1);
  CHECK_EQ(lseek(fd, 0, SEEK_END), 101);
  CHECK_EQ(pread(fd, &byte, 1, 50), 1);
  CHECK_EQ(byte, 0);
  close(fd);
  int ends[2];
  CHECK_OK(pipe(ends));
  CHECK_ERRNO(lseek(ends[0], 0, SEEK_CUR), ESPIPE);
  close(ends[0]);
  close(ends[1]);
}

CASE(holes) {
  int fd = open("holes", O_CREAT | O_RDWR | O_TRUNC, 0600);
  CHECK_EQ(pwrite(fd, "a", 1, 0), 1);
  CHECK_EQ(pwrite(fd, "b", 1, 1 << 20), 1);
  CHECK_EQ(lseek(fd, 0, SEEK_DATA), 0);
  long hole = lseek(fd, 0, SEEK_HOLE), data = lseek(fd, 8192, SEEK_DATA);
  CHECK(hole >= 1 && hole <= (1 << 20) + 1);
  CHECK(data >= 8192 && data <= 1 << 20);
  CHECK_EQ(lseek(fd, 1 << 20, SEEK_HOLE), (1 << 20) + 1);
  CHECK_ERRNO(lseek(fd, 2 << 20, SEEK_DATA), ENXIO);
  CHECK_ERRNO(lseek(fd, 2 << 20, SEEK_HOLE), ENXIO);
  close(fd);
}

CASE(positioned_and_vectored) {
  int fd = open("vector", O_CREAT | O_RDWR | O_TRUNC, 0600);
  struct iovec out[3] = {{"alpha ", 6}, {"", 0}, {"beta", 4}};
  CHECK_EQ(writev(fd, out, 3), 10);
  CHECK_EQ(pwrite(fd, "BETA", 4, 6), 4);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
  char a[3] = {0}, b[20] = {0};
  struct iovec in[2] = {{a, 2}, {b, 19}};
  CHECK_EQ(preadv(fd, in, 2, 0), 10);
  CHECK_STR(a, "al");
  CHECK_STR(b, "pha BETA");
  CHECK_EQ(pwritev(fd, out, 3, 100), 10);
  CHECK_EQ(lseek(fd, 0, SEEK_END), 110);
  CHECK_ERRNO(pread(fd, a, 1, -1), EINVAL);
  CHECK_ERRNO(readv(fd, in, -1), EINVAL);
  CHECK_ERRNO(readv(fd, in, 1025), EINVAL);
  CHECK_EQ(readv(fd, in, 0), 0);
  in[0].iov_len = (size_t)-1;
  CHECK_ERRNO(readv(fd, in, 2), EINVAL);
  close(fd);
}

CASE(truncate) {
  int fd = open("trunc", O_CREAT | O_RDWR | O_TRUNC, 0600);
  CHECK_EQ(write(fd, "0123456789", 10), 10);
  CHECK_OK(ftruncate(fd, 4));
  CHECK_OK(ftruncate(fd, 8));
  char text[16] = "################";
  CHECK_EQ(pread(fd, text, 16, 0), 8);
  CHECK_EQ(memcmp(text, "0123\0\0\0\0##", 10), 0);
  CHECK_ERRNO(ftruncate(fd, -1), EINVAL);
  CHECK_OK(truncate("trunc", 2));
  CHECK_EQ(lseek(fd, 0, SEEK_END), 2);
  CHECK_ERRNO(truncate("missing", 2), ENOENT);
  CHECK_ERRNO(truncate(".", 2), EISDIR);
  CHECK_OK(fallocate(fd, 0, 0, 10000));
  CHECK_EQ(lseek(fd, 0, SEEK_END), 10000);
  CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000));
  CHECK_EQ(lseek(fd, 0, SEEK_END), 10000);
  CHECK_OK(fsync(fd));
  CHECK_OK(fdatasync(fd));
  close(fd);
}

// What fallocate gave counts as the file's, and is a hole until it is written, or given once more (on Linux' tmpfs).
static void preallocate(int fd) {
  struct stat now;
  CHECK_OK(fallocate(fd, 0, 5000, 10000));
  CHECK_OK(fstat(fd, &now));
  CHECK_EQ(now.st_size, 15000);
  CHECK_EQ(now.st_blocks, 3 * 8);
  CHECK_ERRNO(lseek(fd, 0, SEEK_DATA), ENXIO);
  CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 0);
  CHECK_EQ(pwrite(fd, "x", 1, 9000), 1);
  CHECK_EQ(lseek(fd, 0, SEEK_DATA), 8192);
  CHECK_EQ(lseek(fd, 9000, SEEK_HOLE), 12288);
  CHECK_OK(fstat(fd, &now));
  CHECK_EQ(now.st_blocks, 3 * 8);
  CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 12288, 20000));  // a page of these once more
  CHECK_EQ(lseek(fd, 9000, SEEK_HOLE), 15000);
  CHECK_OK(fstat(fd, &now));
  CHECK_EQ(now.st_size, 15000);
  CHECK_EQ(now.st_blocks, 7 * 8);
  CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 20000, 9000));
  CHECK_OK(fstat(fd, &now));
  CHECK_EQ(now.st_blocks, 5 * 8);
  CHECK_OK(ftruncate(fd, 15000));  // goes as far as the end
  CHECK_OK(fstat(fd, &now));
  CHECK_EQ(now.st_blocks, 3 * 8);
  CHECK_OK(ftruncate(fd, 0));
  CHECK_OK(fstat(fd, &now));
  CHECK_EQ(now.st_blocks, 0);
}
// A private mapping of a hole makes a page of the file of what is touched, and of nothing else.
CASE(mapped_hole) {
  int fd = memfd_create("hole", 0);
  REQUIRE(fd >= 0 && ftruncate(fd, 16 * 4096) == 0);
  char* area = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  REQUIRE(area != MAP_FAILED);
  area[5 * 4096] = 'x';
  CHECK_EQ(lseek(fd, 0, SEEK_DATA), 5 * 4096);
  CHECK_EQ(lseek(fd, 5 * 4096, SEEK_HOLE), 6 * 4096);
  CHECK_EQ(area[6 * 4096], 0);
  close(fd);
}
CASE(preallocated) {
  int fd = open("/dev/shm/preallocated", O_CREAT | O_RDWR | O_TRUNC, 0600);
  REQUIRE(fd >= 0);
  unlink("/dev/shm/preallocated");
  preallocate(fd);
  close(fd);
  fd = memfd_create("preallocated", MFD_ALLOW_SEALING);
  REQUIRE(fd >= 0);
  preallocate(fd);
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
  CHECK_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100), EPERM);
  close(fd);
}

CASE(large) {
  enum { kSize = 3 << 20 };
  unsigned char* data = malloc(kSize);
  REQUIRE(data != NULL);
  for (int i = 0; i < kSize; i++) data[i] = (unsigned char)(i * 2654435761u >> 24);
  int fd = open("large", O_CREAT | O_RDWR | O_TRUNC, 0600);
  CHECK_EQ(write(fd, data, kSize), kSize);
  // Reads that start and end anywhere within a page.
  unsigned char* back = malloc(kSize);
  for (int at = 0, size = 1; at < kSize; at += size, size = size * 3 % 70001 + 1) {
    int want = at + size > kSize ? kSize - at : size;
    if (pread(fd, back + at, size, at) != want) CHECK_EQ(at, -1);
  }
  CHECK_EQ(memcmp(data, back, kSize), 0);
  close(fd);
  free(data);
  free(back);
}

CHECK_MAIN
