// Which of several errors a call gives, and other edges that random sequences found.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "check.h"

CASE(names) {
  check_enter_scratch();
  CHECK_ERRNO(mknod("", 0170000, 0), EINVAL);
  CHECK_ERRNO(mknodat(77, "x", S_IFDIR, 0), EPERM);
  CHECK_ERRNO(syscall(SYS_renameat2, 77, "a", 78, "b", 3), EINVAL);
  CHECK_ERRNO(renameat(AT_FDCWD, "none/a", AT_FDCWD, (const char*)1), ENOENT);
  CHECK_ERRNO(renameat(77, "", AT_FDCWD, "b"), ENOENT);
  CHECK_ERRNO(symlink("", (const char*)1), ENOENT);
  CHECK_ERRNO(open("none", O_DIRECTORY | O_CREAT, 0600), EINVAL);
  CHECK_ERRNO(open((const char*)1, O_TMPFILE | O_RDONLY, 0600), EINVAL);
  CHECK_ERRNO(faccessat(77, "", R_OK, 0), ENOENT);
  struct timespec times[2] = {{0, 2000000000}, {0, 0}};
  CHECK_ERRNO(utimensat(AT_FDCWD, "none", times, 0), ENOENT);
  times[0].tv_nsec = times[1].tv_nsec = UTIME_OMIT;
  CHECK_OK(utimensat(AT_FDCWD, "none", times, 0));
  CHECK_ERRNO(setxattr("none", "user.a", "v", 1, 8), EINVAL);
  CHECK_ERRNO(getxattr("none", (const char*)1, NULL, 0), EFAULT);
  CHECK_OK(mkdir("gone", 0700));
  int fd = open("gone", O_RDONLY | O_DIRECTORY);
  CHECK_OK(rmdir("gone"));
  char entries[256];
  CHECK_ERRNO(syscall(SYS_getdents64, fd, entries, sizeof entries), ENOENT);
  close(fd);
}

CASE(data) {
  check_enter_scratch();
  int fd = open("file", O_RDWR | O_CREAT, 0600), ends[2];
  REQUIRE(fd >= 0 && pipe(ends) == 0);
  char byte = 0;
  struct iovec bad = {(void*)0x8000000000000000, 3}, none = {NULL, 0};
  CHECK_ERRNO(readv(fd, &bad, 1), EFAULT);
  CHECK_ERRNO(pread(fd, &byte, 1, INT64_MAX), EINVAL);
  CHECK_EQ(preadv2(fd, &none, 1, 0, 1 << 20), 0);
  CHECK_ERRNO(pwrite(ends[0], &byte, 1, 0), ESPIPE);
  CHECK_EQ(writev(ends[1], &none, 1), 0);
  CHECK_ERRNO(sync_file_range(ends[0], 0, 0, 0), ESPIPE);
  CHECK_ERRNO(fallocate(ends[1], 0, 0, 10), ESPIPE);
  CHECK_ERRNO(syscall(SYS_getdents64, ends[0], &byte, 1), ENOTDIR);
  // Behind the end there is nothing to copy, and nothing that overlaps.
  CHECK_EQ(write(fd, "0123456789", 10), 10);
  loff_t from = 2, to = 10;
  CHECK_EQ(copy_file_range(fd, &from, fd, &to, 100, 0), 8);
  CHECK_EQ(lseek(fd, 0, SEEK_END), 18);
  // RWF_APPEND moves the position where there is one.
  struct iovec one = {"x", 1};
  CHECK_EQ(lseek(fd, 3, SEEK_SET), 3);
  CHECK_EQ(pwritev2(fd, &one, 1, -1, RWF_APPEND), 1);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 19);
  CHECK_EQ(lseek(fd, INT64_MAX, SEEK_SET), INT64_MAX);
  CHECK_ERRNO(read(fd, &byte, 1), EINVAL);
  CHECK_ERRNO(lseek(fd, 1, SEEK_CUR), EINVAL);
}

CASE(descriptors) {
  check_enter_scratch();
  int fd = open("file", O_RDWR | O_CREAT, 0600), path = open(".", O_PATH), ends[2];
  REQUIRE(fd >= 0 && path >= 0 && pipe(ends) == 0);
  CHECK_ERRNO(fcntl(fd, F_GETPIPE_SZ), EBADF);
  CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
  CHECK_ERRNO(fcntl(fd, F_SETSIG, 65), EINVAL);
  CHECK_OK(fcntl(fd, F_SETSIG, 40));
  CHECK_EQ(fcntl(fd, F_GETSIG), 40);
  CHECK_ERRNO(flock(77, 64), EINVAL);
  CHECK_ERRNO(accept4(77, NULL, NULL, 1), EBADF);
  CHECK_ERRNO(accept4(fd, NULL, NULL, 1), EINVAL);
  CHECK_ERRNO(getsockname(path, NULL, NULL), EBADF);
  fd_set in;
  FD_ZERO(&in);
  FD_SET(path, &in);
  struct timeval now = {0, 0};
  CHECK_EQ(select(path + 1, &in, NULL, NULL, &now), 1);
  FD_ZERO(&in);
  FD_SET(ends[1], &in);
  CHECK_EQ(select(ends[1], &in, NULL, NULL, &now), 0);
  CHECK_ERRNO(syncfs(path), EBADF);
  CHECK_ERRNO(open(".", O_RDONLY | O_DIRECT), EINVAL);
  CHECK_ERRNO(fcntl(memfd_create("memory", 0), F_SETFL, O_DIRECT), EINVAL);
  CHECK_OK(fcntl(ends[0], F_SETFL, O_DIRECT));
  struct iovec one = {"x", 1};
  CHECK_EQ(pwritev2(memfd_create("memory", 0), &one, 1, -1, RWF_DSYNC), 1);
  CHECK_EQ(pwritev2(ends[1], &one, 1, -1, RWF_DSYNC), 1);
  char byte;
  int neither = open("file", O_ACCMODE);
  CHECK_ERRNO(read(neither, &byte, 1), EBADF);
  CHECK_ERRNO(write(neither, &byte, 1), EBADF);
  CHECK(!FD_ISSET(ends[1], &in));
}

CASE(descriptors_of_names) {
  // What O_PATH opens is no descriptor to these.
  int path = open(".", O_PATH), set = epoll_create1(0), ends[2];
  REQUIRE(path >= 0 && set >= 0 && pipe(ends) == 0);
  struct epoll_event event = {.events = EPOLLIN};
  CHECK_ERRNO(epoll_ctl(path, EPOLL_CTL_ADD, path, &event), EBADF);
  CHECK_ERRNO(epoll_ctl(set, EPOLL_CTL_ADD, path, &event), EBADF);
  CHECK_ERRNO(epoll_ctl(path, EPOLL_CTL_ADD, ends[0], &event), EBADF);
  CHECK_ERRNO(epoll_wait(path, &event, 1, 0), EBADF);
  struct itimerspec never = {0};
  CHECK_ERRNO(timerfd_settime(path, 0, &never, NULL), EBADF);
  CHECK_ERRNO(timerfd_gettime(path, &never), EBADF);
  sigset_t none;
  sigemptyset(&none);
  CHECK_ERRNO(signalfd(path, &none, 0), EBADF);
}

CASE(set_ids) {
  check_enter_scratch();
  int fd = open("file", O_RDWR | O_CREAT, 0600);
  REQUIRE(fd >= 0);
  CHECK_OK(fchmod(fd, 06777));
  CHECK_OK(fcntl(fd, F_SETFL, O_NOATIME));
  CHECK_OK(syscall(SYS_setresuid, -1l, 1000l, -1l));
  CHECK_OK(fcntl(fd, F_SETFL, 0));  // anybody may take it away
  CHECK_ERRNO(fcntl(fd, F_SETFL, O_NOATIME), EPERM);
  CHECK_EQ(write(fd, "x", 1), 1);
  struct stat now;
  CHECK_OK(fstat(fd, &now));
  CHECK_EQ(now.st_mode & 07777, 0777);
  CHECK_OK(syscall(SYS_setresuid, -1l, 0l, -1l));
  // Nothing changes, the file system's ids neither.
  setfsuid(1001), setfsgid(1002);
  CHECK_OK(syscall(SYS_setresuid, 0l, -1l, 0l));
  CHECK_OK(syscall(SYS_setresgid, -1l, -1l, -1l));
  CHECK_EQ(setfsuid(-1), 1001);
  CHECK_EQ(setfsgid(-1), 1002);
  CHECK_OK(syscall(SYS_setresuid, -1l, 0l, -1l));
  CHECK_OK(syscall(SYS_setresgid, -1l, 0l, -1l));
  CHECK_EQ(setfsuid(-1), 0);
  CHECK_EQ(setfsgid(-1), 0);
  // A read of nothing is no access.
  struct timespec times[2] = {{5, 0}, {6, 0}};
  CHECK_OK(futimens(fd, times));
  struct iovec none = {&now, 0};
  CHECK_EQ(preadv(fd, &none, 1, 0), 0);
  CHECK_OK(fstat(fd, &now));
  CHECK_EQ(now.st_atime, 5);
}

// What has no read(2) or write(2) says so before it looks for buffers, of which there may be none.
CASE(nothing_of_what_cannot_be_read) {
  struct iovec none = {NULL, 0}, bad = {(void*)8, 8};
  sigset_t set;
  sigemptyset(&set);
  const struct {
    int fd;
    int is_read;
  } kinds[] = {{epoll_create1(0), 0},
               {(int)syscall(SYS_pidfd_open, getpid(), 0), 0},
               {timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 1},
               {signalfd(-1, &set, SFD_NONBLOCK), 1},
               {eventfd(0, EFD_NONBLOCK), 1}};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    const int fd = kinds[i].fd;
    REQUIRE(fd >= 0);
    if (kinds[i].is_read) {
      CHECK_EQ(readv(fd, &none, 0), 0);
      CHECK_EQ(readv(fd, &none, 1), 0);
    } else {
      CHECK_ERRNO(readv(fd, &none, 0), EINVAL);
      CHECK_ERRNO(readv(fd, &bad, 1), EINVAL);
      CHECK_ERRNO(read(fd, NULL, 0), EINVAL);
    }
    if (i == 4) {
      CHECK_EQ(writev(fd, &none, 1), 0);
    } else {
      CHECK_ERRNO(writev(fd, &none, 1), EINVAL);
      CHECK_ERRNO(writev(fd, &bad, 1), EINVAL);
      CHECK_ERRNO(write(fd, NULL, 0), EINVAL);
    }
    close(fd);
  }
}

CASE(memory) {
  size_t page = 4096;
  char* area = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(area != MAP_FAILED);
  CHECK_OK(munmap(area + 2 * page, page));
  // What is cut off may reach over a hole.
  CHECK(mremap(area, 4 * page, page, 0) == area);
  CHECK_ERRNO((long)mremap(area, 1l << 47, page, 0), EINVAL);
  CHECK_ERRNO((long)mmap(NULL, page, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0),
              EINVAL);
  CHECK_ERRNO((long)mmap(area + 1, 0, PROT_READ, MAP_PRIVATE | MAP_FIXED, 77, 0), EBADF);
  CHECK_ERRNO(syscall(SYS_mprotect, area, page, PROT_READ | PROT_GROWSDOWN), EINVAL);
  CHECK_OK(syscall(SYS_msync, area, -1l, MS_SYNC));
  // Areas that differ in MAP_NORESERVE are two.
  area = mmap(NULL, 4 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(mmap(area + page, page, PROT_READ,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == area + page);
  CHECK_ERRNO((long)mremap(area, 2 * page, 3 * page, MREMAP_MAYMOVE), EFAULT);
  area = mmap(NULL, 4 * page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK_ERRNO((long)mremap(area, 0, page, 0), ENOMEM);
}

// A pidfd is a regular file that nothing can be done with; other nameless files have no positions.
CASE(files_without_data) {
  char byte = 0;
  int process = (int)syscall(SYS_pidfd_open, getpid(), 0), event = eventfd(0, EFD_NONBLOCK);
  REQUIRE(process >= 0 && event >= 0);
  CHECK_ERRNO(pread(process, &byte, 1, 5), EINVAL);
  CHECK_ERRNO(pwrite(process, &byte, 1, 5), EINVAL);
  CHECK_ERRNO(fallocate(process, 0, 0, 10), EOPNOTSUPP);
  CHECK_ERRNO(ftruncate(process, 0), EOPNOTSUPP);
  CHECK_OK(sync_file_range(process, 0, 0, 0));
  CHECK_ERRNO(pread(event, &byte, 1, INT64_MAX), ESPIPE);
  CHECK_ERRNO(pwrite(event, &byte, 1, INT64_MAX), ESPIPE);
  CHECK_ERRNO(fallocate(event, 0, 0, 10), ENODEV);
  off_t at = 0;
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  CHECK_ERRNO(sendfile(ends[0], event, &at, 1), ESPIPE);
  int null = open("/dev/null", O_RDONLY);
  CHECK_ERRNO(sendfile(ends[0], null, NULL, 1), EINVAL);
}

CASE(attributes_of_sockets) {
  struct {
    int domain, type;
    const char* name;
  } const kinds[] = {{AF_UNIX, SOCK_STREAM, "UNIX-STREAM"},
                     {AF_UNIX, SOCK_SEQPACKET, "UNIX"},
                     {AF_INET, SOCK_DGRAM, "UDP"},
                     {AF_INET, SOCK_STREAM, "TCP"}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char text[64] = {0};
    int fd = socket(kinds[i].domain, kinds[i].type, 0);
    REQUIRE(fd >= 0);
    CHECK_EQ(flistxattr(fd, NULL, 0), 21);
    CHECK_ERRNO(flistxattr(fd, text, 20), ERANGE);
    CHECK_EQ(flistxattr(fd, text, sizeof text), 21);
    CHECK_STR(text, "system.sockprotoname");
    long size = (long)strlen(kinds[i].name) + 1;
    CHECK_EQ(fgetxattr(fd, "system.sockprotoname", text, sizeof text), size);
    CHECK_STR(text, kinds[i].name);
    CHECK_ERRNO(fsetxattr(fd, "system.sockprotoname", "x", 1, 0), EOPNOTSUPP);
    close(fd);
  }
}

// What a file may not be written to at, is said though there is nothing to copy.
static int copy_beyond_limit(void) {
  int fd = open("limited", O_RDWR | O_CREAT, 0600);
  struct rlimit limit = {100, 100};
  loff_t from = 0, to = 100, beyond = -5;
  signal(SIGXFSZ, SIG_IGN);
  if (fd < 0 || setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
  if (copy_file_range(fd, &from, fd, &to, 10, 0) != -1 || errno != EFBIG) return 2;
  to = 99;
  if (copy_file_range(fd, &from, fd, &to, 10, 0) != 0) return 3;
  if (copy_file_range(fd, &beyond, fd, &to, 10, 0) != -1 || errno != EOVERFLOW) return 4;
  if (copy_file_range(fd, &beyond, fd, &to, 1, 0) != -1 || errno != EINVAL) return 5;
  return 0;
}
CASE(nothing_copied_beyond_the_limit) {
  check_enter_scratch();
  pid_t pid = fork();
  if (pid == 0) _exit(copy_beyond_limit());
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

// What has no place in the tree of names cannot be executed, which counts before that it cannot be mapped.
CASE(code_of_nameless_files) {
  int ends[2], event = eventfd(0, 0), directory = open("/", O_RDONLY | O_DIRECTORY);
  REQUIRE(pipe(ends) == 0 && event >= 0 && directory >= 0);
  for (int type = MAP_SHARED; type <= MAP_PRIVATE; type++) {
    CHECK_ERRNO(mmap(NULL, 1, PROT_READ | PROT_EXEC, type, event, 0), EPERM);
    CHECK_ERRNO(mmap(NULL, 1, PROT_READ | PROT_EXEC, type, ends[0], 0), EPERM);
    CHECK_ERRNO(mmap(NULL, 1, PROT_READ, type, event, 0), ENODEV);
    CHECK_ERRNO(mmap(NULL, 1, PROT_READ | PROT_EXEC, type, directory, 0), ENODEV);
  }
  close(ends[0]), close(ends[1]), close(event), close(directory);
}

// RWF_APPEND of nothing leaves the position.
CASE(nothing_appended) {
  check_enter_scratch();
  int fd = open("file", O_RDWR | O_CREAT, 0600);
  char byte = 'x';
  struct iovec none = {&byte, 0}, one = {&byte, 1}, bad = {(void*)1, 1};
  REQUIRE(fd >= 0 && write(fd, "0123456789", 10) == 10 && lseek(fd, 3, SEEK_SET) == 3);
  CHECK_EQ(pwritev2(fd, &none, 1, -1, RWF_APPEND), 0);
  CHECK_EQ(pwritev2(fd, &none, 0, -1, RWF_APPEND), 0);
  CHECK_ERRNO(pwritev2(fd, &bad, 1, -1, RWF_APPEND), EFAULT);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
  CHECK_EQ(pwritev2(fd, &one, 1, -1, RWF_APPEND), 1);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), 11);
  close(fd);
}

CHECK_MAIN
