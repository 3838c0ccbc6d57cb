// Attributes of files: stat(2) fields, statx(2), times, modes, statfs(2), sendfile(2), copy_file_range(2).
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "check.h"

CASE(enter) { check_enter_scratch(); }

CASE(stat_fields) {
  check_write_file("f", "0123456789", 10);
  struct stat a, b;
  CHECK_OK(stat("f", &a));
  CHECK(S_ISREG(a.st_mode));
  CHECK_EQ(a.st_size, 10);
  CHECK_EQ(a.st_nlink, 1);
  CHECK_EQ(a.st_uid, geteuid());
  CHECK_EQ(a.st_gid, getegid());
  CHECK_EQ(a.st_blksize, 4096);
  CHECK_EQ(a.st_blocks, 8);
  CHECK(a.st_ino != 0);
  CHECK(llabs(a.st_mtime - time(NULL)) < 100);
  check_write_file("g", "", 0);
  CHECK_OK(stat("g", &b));
  CHECK(a.st_ino != b.st_ino);
  CHECK_EQ(a.st_dev, b.st_dev);
  CHECK_OK(stat("/dev/null", &a));
  CHECK(S_ISCHR(a.st_mode));
  CHECK_EQ(major(a.st_rdev), 1);
  CHECK_EQ(minor(a.st_rdev), 3);
}

CASE(statx_agrees) {
  struct stat a;
  struct statx x;
  CHECK_OK(stat("f", &a));
  CHECK_OK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x));
  CHECK_EQ(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
  CHECK_EQ(x.stx_size, a.st_size);
  CHECK_EQ(x.stx_ino, a.st_ino);
  CHECK_EQ(x.stx_mode, a.st_mode);
  CHECK_EQ(x.stx_mtime.tv_sec, a.st_mtim.tv_sec);
  CHECK_EQ(x.stx_mtime.tv_nsec, a.st_mtim.tv_nsec);
  CHECK_ERRNO(statx(AT_FDCWD, "missing", 0, STATX_BASIC_STATS, &x), ENOENT);
  int fd = open("f", O_RDONLY);
  CHECK_OK(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
  CHECK_EQ(x.stx_size, 10);
  close(fd);
}

CASE(times) {
  struct timespec set[2] = {{1000, 5}, {2000, 7}};
  CHECK_OK(utimensat(AT_FDCWD, "f", set, 0));
  struct stat info;
  CHECK_OK(stat("f", &info));
  CHECK_EQ(info.st_atim.tv_sec, 1000);
  CHECK_EQ(info.st_atim.tv_nsec, 5);
  CHECK_EQ(info.st_mtim.tv_sec, 2000);
  CHECK_EQ(info.st_mtim.tv_nsec, 7);
  set[0].tv_nsec = UTIME_OMIT;
  set[1].tv_nsec = UTIME_NOW;
  CHECK_OK(utimensat(AT_FDCWD, "f", set, 0));
  CHECK_OK(stat("f", &info));
  CHECK_EQ(info.st_atim.tv_sec, 1000);
  CHECK(llabs(info.st_mtime - time(NULL)) < 100);
  set[0].tv_nsec = 1000000000;
  CHECK_ERRNO(utimensat(AT_FDCWD, "f", set, 0), EINVAL);
  CHECK_ERRNO(utimensat(AT_FDCWD, "missing", NULL, 0), ENOENT);
  // A write moves mtime.
  struct timespec old[2] = {{5, 0}, {5, 0}};
  int fd = open("f", O_RDWR);
  CHECK_OK(futimens(fd, old));
  CHECK_EQ(write(fd, "x", 1), 1);
  CHECK_OK(fstat(fd, &info));
  CHECK(info.st_mtime > 5);
  close(fd);
}

CASE(modes) {
  struct stat info;
  CHECK_OK(chmod("f", 04751));
  CHECK_OK(stat("f", &info));
  CHECK_EQ(info.st_mode & 07777, 04751);
  CHECK_ERRNO(chmod("missing", 0600), ENOENT);
  CHECK_OK(chown("f", geteuid(), getegid()));
  CHECK_OK(chown("f", (uid_t)-1, (gid_t)-1));
}

CASE(file_system) {
  struct statfs fs;
  struct statvfs vfs;
  CHECK_OK(statfs(".", &fs));
  CHECK(fs.f_bsize > 0);
  CHECK(fs.f_namelen >= 255);
  CHECK_OK(statvfs(".", &vfs));
  CHECK_ERRNO(statfs("missing", &fs), ENOENT);
}

CASE(copies) {
  enum { kSize = 100000 };
  char* data = malloc(kSize);
  for (int i = 0; i < kSize; i++) data[i] = (char)(i % 251);
  check_write_file("src", data, kSize);
  int in = open("src", O_RDONLY), out = open("dst", O_CREAT | O_RDWR | O_TRUNC, 0600);
  off_t offset = 10;
  CHECK_EQ(sendfile(out, in, &offset, 50), 50);
  CHECK_EQ(offset, 60);
  CHECK_EQ(lseek(in, 0, SEEK_CUR), 0);
  CHECK_EQ(sendfile(out, in, NULL, kSize), kSize);
  CHECK_EQ(sendfile(out, in, NULL, kSize), 0);
  struct stat info;
  CHECK_OK(fstat(out, &info));
  CHECK_EQ(info.st_size, kSize + 50);
  char* back = malloc(kSize);
  CHECK_EQ(pread(out, back, kSize, 50), kSize);
  CHECK_EQ(memcmp(back, data, kSize), 0);
  CHECK_ERRNO(sendfile(out, -1, NULL, 1), EBADF);
  close(in);
  close(out);
  free(data);
  free(back);
}

CASE(nodes) {
  struct stat info;
  CHECK_OK(mkfifo("fifo", 0600));
  CHECK_OK(stat("fifo", &info));
  CHECK(S_ISFIFO(info.st_mode));
  CHECK_ERRNO(mkfifo("fifo", 0600), EEXIST);
  CHECK_ERRNO(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
  int reader = open("fifo", O_RDONLY | O_NONBLOCK), writer = open("fifo", O_WRONLY);
  CHECK(reader >= 0 && writer >= 0);
  char byte = 0;
  CHECK_ERRNO(read(reader, &byte, 1), EAGAIN);
  CHECK_EQ(write(writer, "q", 1), 1);
  CHECK_EQ(read(reader, &byte, 1), 1);
  CHECK_EQ(byte, 'q');
  close(writer);
  CHECK_EQ(read(reader, &byte, 1), 0);
  close(reader);
}

CHECK_MAIN
