// What open(2) makes of /proc/<pid>/fd/N: a description of its own, with its own position and access mode, of memfds and
// pipes too. Seals (fcntl(2), "File Sealing").
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "check.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

static int open_again(int fd, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, flags, 0600);
}

static int new_memfd(size_t size) {
  int fd = memfd_create("file", MFD_ALLOW_SEALING);
  REQUIRE(fd != -1);
  CHECK_OK(ftruncate(fd, (off_t)size));
  return fd;
}

static void* map(int fd, int prot, int flags) { return mmap(NULL, 4096, prot, flags, fd, 0); }

CASE(memfds) {
  int fd = new_memfd(0);
  CHECK_EQ(write(fd, "abcdef", 6), 6);
  int reader = open_again(fd, O_RDONLY), writer = open_again(fd, O_WRONLY | O_APPEND);
  REQUIRE(reader != -1 && writer != -1);
  char text[16] = "";
  CHECK_EQ(read(reader, text, 3), 3);
  CHECK_STR(text, "abc");
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 6);
  CHECK_EQ(lseek(reader, 0, SEEK_CUR), 3);
  CHECK_ERRNO(write(reader, "x", 1), EBADF);
  CHECK_ERRNO(read(writer, text, 1), EBADF);
  CHECK_EQ(write(writer, "gh", 2), 2);
  CHECK_EQ(lseek(fd, 0, SEEK_END), 8);
  CHECK_EQ(fcntl(reader, F_GETFL) & O_ACCMODE, O_RDONLY);
  CHECK_EQ(fcntl(writer, F_GETFL) & (O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
  CHECK(map(reader, PROT_READ | PROT_WRITE, MAP_SHARED) == MAP_FAILED && errno == EACCES);
  CHECK_ERRNO(ftruncate(reader, 1), EINVAL);
  struct stat status, other;
  CHECK_OK(fstat(fd, &status));
  CHECK_OK(fstat(reader, &other));
  CHECK_EQ(status.st_ino, other.st_ino);
  CHECK_EQ(status.st_dev, other.st_dev);
  CHECK_EQ(status.st_mode, S_IFREG | 0777);
  CHECK_EQ(status.st_nlink, 0);
  struct statfs system;
  CHECK_OK(fstatfs(fd, &system));
  CHECK_EQ(system.f_type, 0x01021994);
  int truncated = open_again(fd, O_RDWR | O_TRUNC);
  REQUIRE(truncated != -1);
  CHECK_EQ(lseek(fd, 0, SEEK_END), 0);
  CHECK_ERRNO(open_again(fd, O_RDONLY | O_DIRECTORY), ENOTDIR);
  CHECK_ERRNO(open_again(fd, O_RDONLY | O_NOFOLLOW), ELOOP);
  CHECK_ERRNO(open_again(fd, O_RDWR | O_CREAT | O_EXCL), EEXIST);
  close(truncated);
  close(reader);
  close(writer);
  close(fd);
}

CASE(memfd_permissions) {
  int fd = new_memfd(1);
  CHECK_OK(fchmod(fd, 0400));
  pid_t pid = fork();
  if (pid == 0) {
    if (setresuid(1000, 1000, 1000) != 0) _exit(1);
    // Even its own /proc/self/fd is not for who has become another, unless he may be traced.
    int again = open_again(fd, O_RDONLY);
    _exit(again == -1 && errno == EACCES ? 0 : 2);
  }
  int status;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
  close(fd);
}

CASE(seals_of_writes) {
  int fd = new_memfd(8192);
  char page[8192] = "";
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
  CHECK_EQ(pwrite(fd, page, 8192, 4096), 4096);
  CHECK_ERRNO(pwrite(fd, page, 1, 8192), EPERM);
  CHECK_ERRNO(ftruncate(fd, 8193), EPERM);
  CHECK_ERRNO(fallocate(fd, 0, 0, 8193), EPERM);
  CHECK_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8193), EPERM);
  CHECK_OK(fallocate(fd, 0, 0, 8192));
  CHECK_OK(ftruncate(fd, 5000));
  CHECK_EQ(pwrite(fd, page, 8192, 0), 4096);
  CHECK_ERRNO(pwrite(fd, page, 8192, 4096), EPERM);
  CHECK_EQ(pwrite(fd, page, 100, 4900), 100);
  CHECK_ERRNO(pwrite(fd, page, 101, 4900), EPERM);
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
  CHECK_ERRNO(ftruncate(fd, 4999), EPERM);
  CHECK_ERRNO(open_again(fd, O_RDWR | O_TRUNC), EPERM);
  CHECK_OK(ftruncate(fd, 5000));
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  CHECK_ERRNO(pwrite(fd, page, 1, 0), EPERM);
  CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EPERM);
  int reader = open_again(fd, O_RDONLY);
  CHECK_ERRNO(fcntl(reader, F_ADD_SEALS, F_SEAL_SEAL), EPERM);
  CHECK_EQ(fcntl(reader, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
  CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, 64), EINVAL);
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
  CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), EPERM);
  close(reader);
  close(fd);
}

CASE(seals_and_mappings) {
  int fd = new_memfd(8192);
  char* at = map(fd, PROT_READ, MAP_SHARED);  // could become writable
  REQUIRE(at != MAP_FAILED);
  CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
  CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW), EBUSY);
  CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
  CHECK_OK(munmap(at, 4096));
  int reader = open_again(fd, O_RDONLY);
  char* seen = map(reader, PROT_READ, MAP_SHARED);
  char* copy = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  char* writable = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
  REQUIRE(seen != MAP_FAILED && copy != MAP_FAILED && writable != MAP_FAILED);
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
  writable[0] = 'w';
  CHECK_EQ(seen[0], 'w');
  CHECK_ERRNO(pwrite(fd, "x", 1, 0), EPERM);
  CHECK(map(fd, PROT_READ | PROT_WRITE, MAP_SHARED) == MAP_FAILED && errno == EPERM);
  at = map(fd, PROT_READ, MAP_SHARED);
  REQUIRE(at != MAP_FAILED);
  CHECK_ERRNO(mprotect(at, 4096, PROT_READ | PROT_WRITE), EACCES);
  CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
  pid_t pid = fork();
  if (pid == 0) {
    munmap(writable, 4096);
    _exit(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EBUSY
              ? 0
              : 1);  // the parent's is left
  }
  int status;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
  CHECK_OK(munmap(writable, 4096));
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  CHECK(map(fd, PROT_READ | PROT_WRITE, MAP_SHARED) == MAP_FAILED && errno == EPERM);
  copy[0] = 'c';
  CHECK_EQ(at[0], 'w');
  munmap(at, 4096);
  munmap(seen, 4096);
  munmap(copy, 4096);
  close(reader);
  close(fd);
}

CASE(seals_of_execution) {
  int fd = new_memfd(0);
  CHECK_OK(fchmod(fd, 0600));
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC));
  CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_EXEC);
  CHECK_ERRNO(fchmod(fd, 0700), EPERM);
  CHECK_OK(fchmod(fd, 0400));
  close(fd);
  fd = new_memfd(0);
  CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC));
  CHECK_EQ(fcntl(fd, F_GET_SEALS),
           F_SEAL_EXEC | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
  CHECK_ERRNO(fchmod(fd, 0600), EPERM);
  close(fd);
}

CASE(unsealable) {
  int fd = memfd_create("file", 0);
  CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
  CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
  close(fd);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  CHECK_ERRNO(fcntl(ends[1], F_GET_SEALS), EINVAL);
  CHECK_ERRNO(fcntl(ends[1], F_ADD_SEALS, F_SEAL_GROW), EINVAL);
  CHECK_ERRNO(fcntl(ends[0], F_ADD_SEALS, F_SEAL_GROW), EPERM);
  close(ends[0]);
  close(ends[1]);
}

CASE(pipes) {
  int ends[2];
  char byte = 0;
  REQUIRE(pipe(ends) == 0);
  int writer = open_again(ends[0], O_WRONLY), reader = open_again(ends[1], O_RDONLY | O_NONBLOCK);
  REQUIRE(writer != -1 && reader != -1);
  CHECK_ERRNO(read(reader, &byte, 1), EAGAIN);
  CHECK_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);  // O_NONBLOCK is the other's
  CHECK_EQ(write(writer, "a", 1), 1);
  CHECK_ERRNO(write(reader, "a", 1), EBADF);
  CHECK_ERRNO(read(writer, &byte, 1), EBADF);
  CHECK_EQ(read(reader, &byte, 1), 1);
  CHECK_EQ(byte, 'a');
  struct stat first, second;
  CHECK_OK(fstat(ends[0], &first));
  CHECK_OK(fstat(writer, &second));
  CHECK_EQ(first.st_ino, second.st_ino);
  // The end of file comes with the last writer.
  close(ends[1]);
  CHECK_ERRNO(read(reader, &byte, 1), EAGAIN);
  close(writer);
  CHECK_EQ(read(reader, &byte, 1), 0);
  struct pollfd poll_fd = {reader, POLLIN, 0};
  CHECK_EQ(poll(&poll_fd, 1, 0), 1);
  CHECK_EQ(poll_fd.revents, POLLHUP);
  // It may have writers again, and both at once; nobody is waited for.
  int another = open_again(reader, O_RDONLY), both = open_again(reader, O_RDWR);
  REQUIRE(another != -1 && both != -1);
  CHECK_EQ(write(both, "bc", 2), 2);
  CHECK_EQ(read(another, &byte, 1), 1);
  CHECK_EQ(byte, 'b');
  CHECK_EQ(read(both, &byte, 1), 1);
  CHECK_EQ(byte, 'c');
  close(both);
  close(another);
  close(reader);
  signal(SIGPIPE, SIG_IGN);
  writer = open_again(ends[0], O_WRONLY);
  close(ends[0]);
  CHECK_ERRNO(write(writer, "x", 1), EPIPE);
  int alone = open_again(writer, O_WRONLY | O_NONBLOCK);
  CHECK(alone != -1);
  close(alone);
  close(writer);
}

CASE(what_cannot_be_opened) {
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  CHECK_ERRNO(open_again(fds[0], O_RDWR), ENXIO);
  int event = eventfd(0, 0), set = epoll_create1(0);
  CHECK_ERRNO(open_again(event, O_RDWR), ENXIO);
  CHECK_ERRNO(open_again(set, O_RDWR), ENXIO);
  close(fds[0]);
  close(fds[1]);
  close(event);
  close(set);
}

CHECK_MAIN
