// The descriptor table: dup(2), fcntl(2), close_range(2), RLIMIT_NOFILE, sharing of the file offset.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "check.h"

CASE(enter) { check_enter_scratch(); }

CASE(lowest_free) {
  int a = open("/dev/null", O_RDONLY), b = open("/dev/null", O_RDONLY),
      c = open("/dev/null", O_RDONLY);
  CHECK_EQ(b, a + 1);
  CHECK_EQ(c, a + 2);
  close(a);
  close(b);
  CHECK_EQ(dup(c), a);
  CHECK_EQ(open("/dev/null", O_RDONLY), b);
  close(a);
  close(b);
  close(c);
}

CASE(duplicates_share_the_offset) {
  check_write_file("f", "0123456789", 10);
  int a = open("f", O_RDONLY), b = dup(a), c = open("f", O_RDONLY);
  char byte;
  CHECK_EQ(read(a, &byte, 1), 1);
  CHECK_EQ(lseek(b, 0, SEEK_CUR), 1);
  CHECK_EQ(lseek(c, 0, SEEK_CUR), 0);
  CHECK_OK(fcntl(a, F_SETFL, O_APPEND));
  CHECK(fcntl(b, F_GETFL) & O_APPEND);
  close(a);
  CHECK_EQ(read(b, &byte, 1), 1);
  CHECK_EQ(byte, '1');
  close(b);
  close(c);
}

CASE(dup2_and_dup3) {
  int a = open("/dev/null", O_RDONLY), b = open("f", O_RDONLY);
  CHECK_EQ(dup2(b, a), a);
  char byte = 0;
  CHECK_EQ(read(a, &byte, 1), 1);
  CHECK_EQ(byte, '0');
  CHECK_EQ(dup2(a, a), a);
  CHECK_ERRNO(dup3(a, a, 0), EINVAL);
  CHECK_ERRNO(dup2(777, a), EBADF);
  CHECK_ERRNO(dup2(777, 777), EBADF);
  CHECK_ERRNO(dup2(a, -1), EBADF);
  CHECK_EQ(dup3(a, 50, O_CLOEXEC), 50);
  CHECK_EQ(fcntl(50, F_GETFD), FD_CLOEXEC);
  CHECK_ERRNO(dup3(a, 51, O_APPEND), EINVAL);
  close(50);
  close(a);
  close(b);
}

CASE(fcntl_commands) {
  int fd = open("f", O_RDWR);
  CHECK_EQ(fcntl(fd, F_GETFD), 0);
  CHECK_OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
  CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  int high = fcntl(fd, F_DUPFD, 100);
  CHECK_EQ(high, 100);
  CHECK_EQ(fcntl(high, F_GETFD), 0);
  CHECK_EQ(fcntl(fd, F_DUPFD_CLOEXEC, 100), 101);
  CHECK_EQ(fcntl(101, F_GETFD), FD_CLOEXEC);
  CHECK_ERRNO(fcntl(fd, F_DUPFD, -1), EINVAL);
  CHECK_ERRNO(fcntl(fd, F_DUPFD, 1 << 30), EINVAL);
  CHECK_ERRNO(fcntl(fd, 9999), EINVAL);
  CHECK_ERRNO(fcntl(-1, F_GETFD), EBADF);
  CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
  CHECK_EQ(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_NONBLOCK | O_RDWR);
  close(100);
  close(101);
  close(fd);
  fd = open("f", O_RDONLY | O_CLOEXEC);
  CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  close(fd);
}

CASE(record_locks) {
  int fd = open("f", O_RDWR);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 5};
  CHECK_OK(fcntl(fd, F_SETLK, &lock));
  CHECK_OK(fcntl(fd, F_GETLK, &lock));  // One's own lock does not stand in the way.
  CHECK_EQ(lock.l_type, F_UNLCK);
  lock.l_type = 99;
  CHECK_ERRNO(fcntl(fd, F_SETLK, &lock), EINVAL);
  int other = open("f", O_RDWR);
  CHECK_OK(flock(fd, LOCK_EX));
  CHECK_ERRNO(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  CHECK_OK(flock(fd, LOCK_UN));
  CHECK_OK(flock(other, LOCK_SH | LOCK_NB));
  CHECK_OK(flock(fd, LOCK_SH | LOCK_NB));
  close(other);
  close(fd);
}

CASE(close_ranges) {
  int a = open("/dev/null", O_RDONLY);
  CHECK_EQ(dup2(a, 60), 60);
  CHECK_EQ(dup2(a, 70), 70);
  CHECK_OK(syscall(SYS_close_range, 60, 65, 0));
  CHECK_ERRNO(fcntl(60, F_GETFD), EBADF);
  CHECK_EQ(fcntl(70, F_GETFD), 0);
  CHECK_OK(syscall(SYS_close_range, 66, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */));
  CHECK_EQ(fcntl(70, F_GETFD), FD_CLOEXEC);
  CHECK_ERRNO(syscall(SYS_close_range, 5, 4, 0), EINVAL);
  CHECK_OK(syscall(SYS_close_range, 66, ~0U, 0));
  CHECK_ERRNO(close(70), EBADF);
  close(a);
}

CASE(limit) {
  struct rlimit limit;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  rlim_t soft = limit.rlim_cur;
  limit.rlim_cur = 40;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  int opened = 0, fds[64];
  while (opened < 64 && (fds[opened] = open("/dev/null", O_RDONLY)) >= 0) opened++;
  CHECK_EQ(errno, EMFILE);
  CHECK(opened > 10 && opened < 40);
  CHECK_EQ(fds[opened - 1], 39);
  CHECK_ERRNO(dup2(0, 40), EBADF);
  CHECK_ERRNO(fcntl(0, F_DUPFD, 40), EINVAL);
  int ends[2];
  CHECK_ERRNO(pipe(ends), EMFILE);
  while (opened > 0) close(fds[--opened]);
  limit.rlim_cur = soft;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = limit.rlim_max + 1;
  if (limit.rlim_max != RLIM_INFINITY) CHECK_ERRNO(setrlimit(RLIMIT_NOFILE, &limit), EINVAL);
}

CASE(many) {
  enum { kMany = 900 };
  int fds[kMany];
  for (int i = 0; i < kMany; i++) REQUIRE((fds[i] = open("/dev/null", O_RDONLY)) >= 0);
  for (int i = 0; i < kMany; i++) CHECK_OK(close(fds[i]));
}

CHECK_MAIN
