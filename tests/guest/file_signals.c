// The signals of open files (fcntl(2), "Managing signals"): O_ASYNC, F_SETOWN, F_SETSIG. The signals are blocked and
// counted with sigtimedwait; what a system call causes is pending when it returns.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>

#include "check.h"

#define SIGNAL (SIGRTMIN + 5)
static sigset_t watched;

static void begin(void) {
  sigemptyset(&watched);
  sigaddset(&watched, SIGIO);
  sigaddset(&watched, SIGURG);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGNAL);
  sigprocmask(SIG_BLOCK, &watched, NULL);
  struct timespec none = {0, 0};
  while (sigtimedwait(&watched, NULL, &none) > 0) continue;
}

// The next signal that is pending, 0: none.
static int next(siginfo_t* info) {
  struct timespec none = {0, 0};
  memset(info, 0, sizeof *info);
  int signal = sigtimedwait(&watched, info, &none);
  return signal == -1 ? 0 : signal;
}

// Exactly these are pending: si_code of as many, all of one descriptor.
static void expect_signals(int line, int fd, int count, const int* codes) {
  siginfo_t info;
  for (int i = 0; i < count; i++) {
    int signal = next(&info);
    int is_right = signal == SIGNAL && info.si_code == codes[i] && info.si_fd == fd;
    static const long bands[] = {0,
                                 POLLIN | POLLRDNORM,
                                 POLLOUT | POLLWRNORM | POLLWRBAND,
                                 POLLIN | POLLRDNORM | POLLMSG,
                                 POLLERR,
                                 POLLPRI | POLLRDBAND,
                                 POLLHUP | POLLERR};
    if (is_right) is_right = info.si_band == bands[codes[i]] && info.si_errno == 0;
    if (!is_right) {
      printf("  line %d, signal %d: %s, code %d, fd %s\n", line, i,
             signal == SIGNAL ? "SIGNAL" : (signal ? strsignal(signal) : "none"), info.si_code,
             info.si_fd == fd ? "as expected" : "another");
      check_fail(__FILE__, line, "signals", signal, SIGNAL);
    }
  }
  int more = next(&info);
  if (more) {
    printf("  line %d: one more, code %d\n", line, info.si_code);
    check_fail(__FILE__, line, "no more signals", more, 0);
  }
}
#define EXPECT(fd, ...)                                                              \
  do {                                                                               \
    int codes_[] = {__VA_ARGS__};                                                    \
    expect_signals(__LINE__, (fd), (int)(sizeof codes_ / sizeof codes_[0]), codes_); \
  } while (0)
#define EXPECT_NONE() expect_signals(__LINE__, 0, 0, NULL)

// All that makes a file send SIGNAL to this process.
static void make_async(int fd) {
  CHECK_OK(fcntl(fd, F_SETOWN, getpid()));
  CHECK_OK(fcntl(fd, F_SETSIG, SIGNAL));
  CHECK_OK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
  CHECK(fcntl(fd, F_GETFL) & O_ASYNC);
}

CASE(owners) {
  begin();
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  struct f_owner_ex owner = {7, 7};
  CHECK_EQ(fcntl(fds[0], F_GETOWN), 0);
  CHECK_EQ(fcntl(fds[0], F_GETSIG), 0);
  CHECK_OK(fcntl(fds[0], F_SETOWN, getpid()));
  CHECK_EQ(fcntl(fds[0], F_GETOWN), getpid());
  CHECK_EQ(fcntl(fds[1], F_GETOWN), 0);
  CHECK_OK(fcntl(fds[0], F_GETOWN_EX, &owner));
  CHECK_EQ(owner.type, F_OWNER_PID);
  CHECK_EQ(owner.pid, getpid());
  CHECK_OK(fcntl(fds[0], F_SETOWN, -getpgrp()));
  CHECK_EQ(fcntl(fds[0], F_GETOWN), -getpgrp());
  CHECK_OK(fcntl(fds[0], F_GETOWN_EX, &owner));
  CHECK_EQ(owner.type, F_OWNER_PGRP);
  CHECK_EQ(owner.pid, getpgrp());
  owner = (struct f_owner_ex){F_OWNER_TID, syscall(SYS_gettid)};
  CHECK_OK(fcntl(fds[0], F_SETOWN_EX, &owner));
  CHECK_EQ(fcntl(fds[0], F_GETOWN), getpid());
  memset(&owner, 0, sizeof owner);
  CHECK_OK(fcntl(fds[0], F_GETOWN_EX, &owner));
  CHECK_EQ(owner.type, F_OWNER_TID);
  CHECK_EQ(owner.pid, getpid());
  owner.pid = 0;
  CHECK_OK(fcntl(fds[0], F_SETOWN_EX, &owner));
  CHECK_EQ(fcntl(fds[0], F_GETOWN), 0);
  CHECK_OK(fcntl(fds[0], F_SETOWN, 0));
  CHECK_EQ(fcntl(fds[0], F_GETOWN), 0);

  CHECK_ERRNO(fcntl(fds[0], F_SETOWN, 0x3fffffff), ESRCH);
  CHECK_ERRNO(fcntl(fds[0], F_SETOWN, -0x3fffffff), ESRCH);
  CHECK_ERRNO(fcntl(fds[0], F_SETOWN, INT32_MIN), EINVAL);
  owner = (struct f_owner_ex){3, getpid()};
  CHECK_ERRNO(fcntl(fds[0], F_SETOWN_EX, &owner), EINVAL);
  owner = (struct f_owner_ex){-1, getpid()};
  CHECK_ERRNO(fcntl(fds[0], F_SETOWN_EX, &owner), EINVAL);
  owner = (struct f_owner_ex){F_OWNER_PID, 0x3fffffff};
  CHECK_ERRNO(fcntl(fds[0], F_SETOWN_EX, &owner), ESRCH);
  owner = (struct f_owner_ex){F_OWNER_PID, -getpid()};
  CHECK_ERRNO(fcntl(fds[0], F_SETOWN_EX, &owner), ESRCH);
  CHECK_ERRNO(fcntl(fds[0], F_SETOWN_EX, (void*)8), EFAULT);
  CHECK_ERRNO(fcntl(fds[0], F_GETOWN_EX, (void*)8), EFAULT);
  CHECK_ERRNO(fcntl(fds[0], F_SETSIG, 65), EINVAL);
  CHECK_ERRNO(fcntl(fds[0], F_SETSIG, -1), EINVAL);
  CHECK_OK(fcntl(fds[0], F_SETSIG, 64));
  CHECK_EQ(fcntl(fds[0], F_GETSIG), 64);
  CHECK_OK(fcntl(fds[0], F_SETSIG, 0));
  CHECK_EQ(fcntl(fds[0], F_GETSIG), 0);
  int path = open("/", O_PATH);
  CHECK_ERRNO(fcntl(path, F_SETOWN, getpid()), EBADF);
  CHECK_ERRNO(fcntl(path, F_GETOWN), EBADF);
  CHECK_ERRNO(fcntl(path, F_SETSIG, 1), EBADF);
  close(path);

  // Duplicates have them in common; another open file has its own.
  CHECK_OK(fcntl(fds[0], F_SETOWN, getpid()));
  CHECK_OK(fcntl(fds[0], F_SETSIG, 12));
  int copy = dup(fds[0]);
  CHECK_EQ(fcntl(copy, F_GETOWN), getpid());
  CHECK_EQ(fcntl(copy, F_GETSIG), 12);
  CHECK_OK(fcntl(copy, F_SETSIG, 13));
  CHECK_EQ(fcntl(fds[0], F_GETSIG), 13);
  close(copy);
  close(fds[0]);
  close(fds[1]);
}

static int of_nobody(int fd) {
  struct f_owner_ex owner = {7, 7};
  CHECK_OK(fcntl(fd, F_GETOWN_EX, &owner));
  CHECK_EQ(owner.pid, 0);
  return owner.type;
}

CASE(owners_of_all_files) {
  begin();
  check_enter_scratch();
  int fd = open("file", O_RDWR | O_CREAT, 0600);
  CHECK_EQ(fcntl(fd, F_GETOWN), 0);
  printf("owner type before: %d\n", of_nobody(fd));
  CHECK_OK(fcntl(fd, F_SETSIG, 10));
  printf("after F_SETSIG: %d\n", of_nobody(fd));
  CHECK_OK(fcntl(fd, F_SETOWN, getpid()));
  CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
  CHECK_OK(fcntl(fd, F_SETOWN, 0));
  printf("after F_SETOWN 0: %d\n", of_nobody(fd));
  close(fd);
  fd = open(".", O_RDONLY);
  CHECK_OK(fcntl(fd, F_SETOWN, getpid()));
  CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
  close(fd);
  fd = eventfd(0, 0);
  CHECK_OK(fcntl(fd, F_SETOWN, getpid()));
  CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
  close(fd);
}

CASE(owner_that_ends) {
  begin();
  int fds[2], go[2];
  REQUIRE(pipe(fds) == 0 && pipe(go) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    char byte;
    close(go[1]);
    (void)!read(go[0], &byte, 1);
    _exit(0);
  }
  CHECK_OK(fcntl(fds[0], F_SETOWN, pid));
  CHECK_EQ(fcntl(fds[0], F_GETOWN), pid);
  CHECK_OK(fcntl(fds[0], F_SETFL, O_ASYNC));
  close(go[1]);
  siginfo_t info;
  CHECK_OK(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
  CHECK_EQ(fcntl(fds[0], F_GETOWN), pid);  // a zombie still is one
  CHECK_EQ(write(fds[1], "x", 1), 1);
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(fcntl(fds[0], F_GETOWN), 0);
  struct f_owner_ex owner = {7, 7};
  CHECK_OK(fcntl(fds[0], F_GETOWN_EX, &owner));
  CHECK_EQ(owner.type, F_OWNER_PID);
  CHECK_EQ(owner.pid, 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_ERRNO(fcntl(fds[0], F_SETOWN, pid), ESRCH);
  next(&info);  // SIGCHLD
  EXPECT_NONE();
  close(fds[0]);
  close(fds[1]);
}

static int flag_of(int fd) { return (fcntl(fd, F_GETFL) & O_ASYNC) != 0; }

// Which files O_ASYNC can be set of, and what FIONASYNC says of the others.
CASE(flags) {
  begin();
  check_enter_scratch();
  mkfifo("fifo", 0600);
  int fds[2], pair[2];
  REQUIRE(pipe(fds) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
  struct {
    const char* name;
    int fd;
  } kinds[] = {{"pipe to read", fds[0]},
               {"pipe to write", fds[1]},
               {"fifo", open("fifo", O_RDWR)},
               {"socket", pair[0]},
               {"tcp", socket(AF_INET, SOCK_STREAM, 0)},
               {"pty", posix_openpt(O_RDWR | O_NOCTTY)},
               {"inotify", inotify_init()},
               {"random", open("/dev/random", O_RDONLY)},
               {"urandom", open("/dev/urandom", O_RDONLY)},
               {"null", open("/dev/null", O_RDWR)},
               {"zero", open("/dev/zero", O_RDWR)},
               {"eventfd", eventfd(0, 0)},
               {"timerfd", timerfd_create(CLOCK_MONOTONIC, 0)},
               {"epoll", epoll_create1(0)},
               {"signalfd", signalfd(-1, &watched, 0)},
               {"memfd", memfd_create("x", 0)},
               {"regular", open("file", O_RDWR | O_CREAT, 0600)},
               {"directory", open(".", O_RDONLY)},
               {"proc", open("/proc/self/stat", O_RDONLY)}};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    int fd = kinds[i].fd, on = 1, off = 0;
    printf("%s:", kinds[i].name);
    if (fd == -1) printf(" errno %d", errno);
    int flags = fcntl(fd, F_GETFL);
    printf(" %d", fcntl(fd, F_SETFL, flags | O_ASYNC));
    printf(" %d", flag_of(fd));
    printf(" %d", fcntl(fd, F_SETFL, flags));
    printf(" %d;", flag_of(fd));
    printf(" %d", ioctl(fd, FIOASYNC, &on) == 0 ? 0 : errno);
    printf(" %d", flag_of(fd));
    printf(" %d", ioctl(fd, FIOASYNC, &on) == 0 ? 0 : errno);
    printf(" %d", ioctl(fd, FIOASYNC, &off) == 0 ? 0 : errno);
    printf(" %d\n", flag_of(fd));
    CHECK_ERRNO(ioctl(fd, FIOASYNC, (void*)8), EFAULT);
    close(fd);
  }
  close(pair[1]);
  // open(2) keeps the flag and does nothing with it.
  int fd = open("fifo", O_RDWR | O_ASYNC);
  CHECK_EQ(flag_of(fd), 1);
  CHECK_OK(fcntl(fd, F_SETOWN, getpid()));
  CHECK_OK(fcntl(fd, F_SETFL, O_RDWR | O_ASYNC));
  CHECK_EQ(write(fd, "x", 1), 1);
  EXPECT_NONE();
  CHECK_OK(fcntl(fd, F_SETFL, O_RDWR));
  printf("off: %d\n", flag_of(fd));
  close(fd);
  fd = open("file", O_RDWR | O_ASYNC);
  CHECK_EQ(flag_of(fd), 1);
  CHECK_OK(fcntl(fd, F_SETFL, O_RDWR));
  CHECK_EQ(flag_of(fd), 1);
  close(fd);
}

CASE(plain_sigio) {
  begin();
  int fds[2];
  siginfo_t info;
  REQUIRE(pipe(fds) == 0);
  CHECK_OK(fcntl(fds[0], F_SETFL, O_ASYNC));
  CHECK_EQ(write(fds[1], "x", 1), 1);
  EXPECT_NONE();  // nobody owns it
  CHECK_OK(fcntl(fds[0], F_SETOWN, getpid()));
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(next(&info), SIGIO);
  CHECK_EQ(info.si_code, SI_KERNEL);
  CHECK_EQ(info.si_pid, 0);
  EXPECT_NONE();
  // F_SETSIG with SIGIO asks for information.
  CHECK_OK(fcntl(fds[0], F_SETSIG, SIGIO));
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(next(&info), SIGIO);
  CHECK_EQ(info.si_code, POLL_IN);
  CHECK_EQ(info.si_fd, fds[0]);
  CHECK_EQ(info.si_band, POLLIN | POLLRDNORM);
  // Signals whose codes mean something else get SI_SIGIO.
  CHECK_OK(fcntl(fds[0], F_SETSIG, SIGCHLD));
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(next(&info), SIGCHLD);
  CHECK_EQ(info.si_code, SI_SIGIO);
  CHECK_EQ(info.si_fd, fds[0]);
  CHECK_OK(fcntl(fds[0], F_SETSIG, SIGURG));
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(next(&info), SIGURG);
  CHECK_EQ(info.si_code, POLL_IN);
  CHECK_OK(fcntl(fds[0], F_SETFL, 0));
  CHECK_EQ(write(fds[1], "x", 1), 1);
  EXPECT_NONE();
  close(fds[0]);
  close(fds[1]);
}

CASE(pipes) {
  begin();
  int fds[2];
  char buffer[70000] = "";
  REQUIRE(pipe2(fds, O_NONBLOCK) == 0);
  make_async(fds[0]);
  CHECK_EQ(write(fds[1], "abc", 3), 3);
  EXPECT(fds[0], POLL_IN);
  CHECK_EQ(write(fds[1], "abc", 3), 3);
  CHECK_EQ(write(fds[1], "abc", 3), 3);
  EXPECT(fds[0], POLL_IN, POLL_IN);
  CHECK_EQ(write(fds[1], "", 0), 0);
  EXPECT_NONE();
  CHECK_EQ(read(fds[0], buffer, 9), 9);
  CHECK_ERRNO(read(fds[0], buffer, 9), EAGAIN);
  EXPECT_NONE();
  CHECK_EQ(write(fds[1], buffer, 65536), 65536);
  EXPECT(fds[0], POLL_IN);
  CHECK_ERRNO(write(fds[1], buffer, 1), EAGAIN);
  EXPECT(fds[0], POLL_IN);
  make_async(fds[1]);
  CHECK_EQ(read(fds[0], buffer, 1), 1);
  EXPECT(fds[1], POLL_OUT);
  CHECK_EQ(read(fds[0], buffer, 65535), 65535);
  EXPECT(fds[1], POLL_OUT);
  CHECK_ERRNO(read(fds[0], buffer, 1), EAGAIN);
  EXPECT(fds[1], POLL_OUT);
  CHECK_EQ(read(fds[0], buffer, 0), 0);
  EXPECT_NONE();
  close(fds[1]);
  EXPECT(fds[0], POLL_IN);
  close(fds[0]);
  EXPECT_NONE();

  REQUIRE(pipe2(fds, O_NONBLOCK) == 0);
  make_async(fds[1]);
  close(fds[0]);
  EXPECT(fds[1], POLL_OUT);
  close(fds[1]);
  EXPECT_NONE();
}

CASE(fifo_for_both) {
  begin();
  check_enter_scratch();
  CHECK_OK(mkfifo("fifo", 0600));
  int fd = open("fifo", O_RDWR), second = open("fifo", O_RDWR);
  make_async(fd);
  char byte;
  CHECK_EQ(write(fd, "x", 1), 1);
  EXPECT(fd, POLL_IN);
  CHECK_EQ(read(second, &byte, 1), 1);
  EXPECT(fd, POLL_OUT);
  make_async(second);
  CHECK_EQ(write(fd, "x", 1), 1);
  siginfo_t first_info, second_info;
  CHECK_EQ(next(&first_info), SIGNAL);
  CHECK_EQ(next(&second_info), SIGNAL);
  CHECK_EQ(first_info.si_fd, second);
  CHECK_EQ(second_info.si_fd, fd);
  EXPECT_NONE();
  close(second);
  EXPECT_NONE();
  close(fd);
}

// The descriptor that O_ASYNC was set by is told, open or not.
CASE(descriptors) {
  begin();
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  make_async(fds[0]);
  int copy = fcntl(fds[0], F_DUPFD, 50);
  close(fds[0]);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  EXPECT(fds[0], POLL_IN);
  CHECK_OK(fcntl(copy, F_SETFL, O_ASYNC));
  CHECK_EQ(write(fds[1], "x", 1), 1);
  EXPECT(fds[0], POLL_IN);  // nothing has changed
  CHECK_OK(fcntl(copy, F_SETFL, 0));
  CHECK_OK(fcntl(copy, F_SETFL, O_ASYNC));
  CHECK_EQ(write(fds[1], "x", 1), 1);
  EXPECT(copy, POLL_IN);
  close(copy);
  close(fds[1]);
  EXPECT_NONE();
}

CASE(streams) {
  begin();
  int pair[2];
  char buffer[100];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
  make_async(pair[0]);
  make_async(pair[1]);
  CHECK_EQ(write(pair[1], "abc", 3), 3);
  EXPECT(pair[0], POLL_IN);
  CHECK_EQ(write(pair[1], "abc", 3), 3);
  EXPECT(pair[0], POLL_IN);
  CHECK_EQ(read(pair[0], buffer, 6), 6);
  EXPECT_NONE();  // nobody had waited for room
  CHECK_OK(shutdown(pair[1], SHUT_WR));
  EXPECT(pair[0], POLL_IN);
  CHECK_OK(shutdown(pair[1], SHUT_RD));
  EXPECT_NONE();
  close(pair[1]);
  EXPECT(pair[0], POLL_HUP);
  close(pair[0]);
  EXPECT_NONE();
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  make_async(pair[0]);
  CHECK_OK(shutdown(pair[1], SHUT_RDWR));
  EXPECT(pair[0], POLL_HUP);
  close(pair[1]);
  EXPECT(pair[0], POLL_HUP);
  close(pair[0]);
}

CASE(room_in_streams) {
  begin();
  int pair[2];
  static char buffer[1 << 20];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
  make_async(pair[1]);
  while (write(pair[1], buffer, 4096) > 0) continue;
  CHECK_EQ(errno, EAGAIN);
  EXPECT_NONE();
  while (read(pair[0], buffer, sizeof buffer) > 0) continue;
  EXPECT(pair[1], POLL_OUT);
  CHECK_EQ(write(pair[1], buffer, 4096), 4096);
  CHECK_EQ(read(pair[0], buffer, 4096), 4096);
  EXPECT_NONE();
  close(pair[0]);
  EXPECT(pair[1], POLL_HUP);
  close(pair[1]);
}

CASE(datagrams) {
  begin();
  int pair[2];
  char buffer[100];
  REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) == 0);
  make_async(pair[0]);
  CHECK_EQ(send(pair[1], "abc", 3, 0), 3);
  CHECK_EQ(send(pair[1], "abc", 3, 0), 3);
  EXPECT(pair[0], POLL_IN, POLL_IN);
  CHECK_EQ(recv(pair[0], buffer, 100, 0), 3);
  EXPECT_NONE();
  close(pair[1]);
  EXPECT_NONE();
  close(pair[0]);
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
  make_async(pair[0]);
  CHECK_EQ(send(pair[1], "abc", 3, 0), 3);
  EXPECT(pair[0], POLL_IN);
  close(pair[1]);
  EXPECT(pair[0], POLL_HUP);
  close(pair[0]);
}

CASE(listeners) {
  begin();
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  REQUIRE(bind(listener, (struct sockaddr*)&name, 2) == 0 && listen(listener, 5) == 0);
  socklen_t size = sizeof name;
  REQUIRE(getsockname(listener, (struct sockaddr*)&name, &size) == 0);
  make_async(listener);
  int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  make_async(client);
  EXPECT_NONE();
  CHECK_OK(connect(client, (struct sockaddr*)&name, size));
  EXPECT(listener, POLL_IN);
  int accepted = accept(listener, NULL, NULL);
  CHECK_EQ(flag_of(accepted), 0);
  CHECK_EQ(fcntl(accepted, F_GETOWN), 0);
  EXPECT_NONE();
  CHECK_EQ(write(client, "x", 1), 1);
  EXPECT_NONE();
  close(accepted);
  EXPECT(client, POLL_HUP);
  close(client);
  client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  make_async(client);
  CHECK_OK(connect(client, (struct sockaddr*)&name, size));
  EXPECT(listener, POLL_IN);
  close(listener);
  EXPECT(client, POLL_HUP);
  close(client);
}

CASE(socket_ioctls) {
  begin();
  int pair[2], pid = getpid(), got = 7, fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(fds) == 0);
  CHECK_OK(ioctl(pair[0], FIOSETOWN, &pid));
  CHECK_OK(ioctl(pair[0], FIOGETOWN, &got));
  CHECK_EQ(got, pid);
  CHECK_EQ(fcntl(pair[0], F_GETOWN), pid);
  got = -getpgrp();
  CHECK_OK(ioctl(pair[0], SIOCSPGRP, &got));
  CHECK_OK(ioctl(pair[0], SIOCGPGRP, &got));
  CHECK_EQ(got, -getpgrp());
  got = 0x3fffffff;
  CHECK_ERRNO(ioctl(pair[0], FIOSETOWN, &got), ESRCH);
  got = INT32_MIN;
  CHECK_ERRNO(ioctl(pair[0], FIOSETOWN, &got), EINVAL);
  CHECK_ERRNO(ioctl(pair[0], FIOSETOWN, (void*)8), EFAULT);
  CHECK_ERRNO(ioctl(pair[0], FIOGETOWN, (void*)8), EFAULT);
  CHECK_ERRNO(ioctl(fds[0], FIOSETOWN, &pid), ENOTTY);
  CHECK_ERRNO(ioctl(fds[0], FIOGETOWN, &pid), ENOTTY);
  close(pair[0]);
  close(pair[1]);
  close(fds[0]);
  close(fds[1]);
}

CASE(inotify_queues) {
  begin();
  check_enter_scratch();
  int fd = inotify_init1(IN_NONBLOCK);
  REQUIRE(inotify_add_watch(fd, ".", IN_CREATE | IN_DELETE) != -1);
  make_async(fd);
  EXPECT_NONE();
  close(open("file", O_CREAT | O_RDWR, 0600));
  EXPECT(fd, POLL_IN);
  unlink("file");
  EXPECT(fd, POLL_IN);
  close(fd);
  EXPECT_NONE();
}

static int open_pty(int* slave) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(master != -1 && grantpt(master) == 0 && unlockpt(master) == 0);
  *slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  REQUIRE(*slave != -1);
  return master;
}

// Keys and what is echoed come by way of a worker on Linux: waits.
static int await_code(int fd) {
  siginfo_t info;
  struct timespec long_enough = {20, 0};
  CHECK_EQ(sigtimedwait(&watched, &info, &long_enough), SIGNAL);
  CHECK_EQ(info.si_fd, fd);
  return info.si_code;
}

CASE(terminals) {
  begin();
  int slave, master = open_pty(&slave);
  struct termios settings;
  REQUIRE(tcgetattr(slave, &settings) == 0);
  settings.c_lflag &= ~(unsigned)(ECHO | ICANON);
  REQUIRE(tcsetattr(slave, TCSANOW, &settings) == 0);
  // The one who asks is the owner unless there is one, or a foreground group.
  CHECK_OK(fcntl(slave, F_SETFL, O_RDWR | O_ASYNC));
  CHECK_EQ(fcntl(slave, F_GETOWN), getpid());
  CHECK_OK(fcntl(slave, F_SETFL, O_RDWR));
  CHECK_EQ(fcntl(slave, F_GETOWN), getpid());
  make_async(slave);
  CHECK_EQ(write(master, "x", 1), 1);
  CHECK_EQ(await_code(slave), POLL_IN);
  char buffer[10];
  CHECK_EQ(read(slave, buffer, 10), 1);
  make_async(master);
  CHECK_EQ(write(slave, "x", 1), 1);
  CHECK_EQ(await_code(master), POLL_IN);
  close(slave);
  close(master);
}

// Over the network signals come when they come. A signal of this code, others may be before it.
static void await_network(int fd, int code) {
  siginfo_t info;
  struct timespec long_enough = {20, 0};
  do {
    int signal = sigtimedwait(&watched, &info, &long_enough);
    if (signal != SIGNAL) return check_fail(__FILE__, __LINE__, "signal", signal, SIGNAL);
    CHECK_EQ(info.si_fd, fd);
  } while (info.si_code != code);
}

static int listen_at_loopback(struct sockaddr_in* name) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof *name;
  REQUIRE(bind(listener, (struct sockaddr*)name, sizeof *name) == 0 && listen(listener, 1) == 0);
  REQUIRE(getsockname(listener, (struct sockaddr*)name, &size) == 0);
  return listener;
}

CASE(tcp) {
  begin();
  struct sockaddr_in name;
  int listener = listen_at_loopback(&name), client = socket(AF_INET, SOCK_STREAM, 0);
  make_async(listener);
  CHECK_OK(connect(client, (struct sockaddr*)&name, sizeof name));
  await_network(listener, POLL_IN);
  int server = accept(listener, NULL, NULL);
  close(listener);
  begin();
  make_async(server);
  CHECK_EQ(write(client, "x", 1), 1);
  await_network(server, POLL_IN);
  char byte;
  CHECK_EQ(read(server, &byte, 1), 1);
  // Urgent data is for the owner, whether it wants other signals or not.
  int plain = socket(AF_INET, SOCK_STREAM, 0);
  close(plain);
  CHECK_OK(fcntl(server, F_SETFL, O_RDWR));
  CHECK_OK(fcntl(server, F_SETSIG, 0));
  begin();
  CHECK_EQ(send(client, "!", 1, MSG_OOB), 1);
  siginfo_t info;
  struct timespec long_enough = {20, 0};
  CHECK_EQ(sigtimedwait(&watched, &info, &long_enough), SIGURG);
  CHECK_EQ(info.si_code, SI_KERNEL);
  CHECK_EQ(recv(server, &byte, 1, MSG_OOB), 1);
  begin();
  make_async(server);
  close(client);
  await_network(server, POLL_IN);
  close(server);
}

CASE(udp) {
  begin();
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof name;
  int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
  REQUIRE(bind(receiver, (struct sockaddr*)&name, sizeof name) == 0);
  REQUIRE(getsockname(receiver, (struct sockaddr*)&name, &size) == 0);
  make_async(receiver);
  CHECK_EQ(sendto(sender, "x", 1, 0, (struct sockaddr*)&name, size), 1);
  await_network(receiver, POLL_IN);
  char byte;
  CHECK_EQ(read(receiver, &byte, 1), 1);
  EXPECT_NONE();
  CHECK_EQ(sendto(sender, "x", 1, 0, (struct sockaddr*)&name, size), 1);
  await_network(receiver, POLL_IN);
  close(receiver);
  close(sender);
}

CASE(threads_as_owners) {
  begin();
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  struct f_owner_ex owner = {F_OWNER_TID, (pid_t)syscall(SYS_gettid)};
  make_async(fds[0]);
  CHECK_OK(fcntl(fds[0], F_SETOWN_EX, &owner));
  CHECK_EQ(write(fds[1], "x", 1), 1);
  // It is this thread's, not the process's.
  FILE* status = fopen("/proc/thread-self/status", "r");
  char line[200];
  unsigned long own = 0, shared = 0;
  while (fgets(line, sizeof line, status)) {
    sscanf(line, "SigPnd: %lx", &own);
    sscanf(line, "ShdPnd: %lx", &shared);
  }
  fclose(status);
  CHECK_EQ(own >> (SIGNAL - 1) & 1, 1);
  CHECK_EQ(shared >> (SIGNAL - 1) & 1, 0);
  EXPECT(fds[0], POLL_IN);
  close(fds[0]);
  close(fds[1]);
}

static void* thread_body(void* argument) {
  int* numbers = argument;
  numbers[0] = (int)syscall(SYS_gettid);
  // The number of a thread that is no leader: F_SETOWN takes it, F_GETOWN does not tell it.
  CHECK_OK(fcntl(numbers[1], F_SETOWN, numbers[0]));
  CHECK_EQ(fcntl(numbers[1], F_GETOWN), 0);
  CHECK_EQ(write(numbers[2], "x", 1), 1);
  EXPECT(numbers[1], POLL_IN);
  struct f_owner_ex owner = {F_OWNER_TID, numbers[0]};
  CHECK_OK(fcntl(numbers[1], F_SETOWN_EX, &owner));
  CHECK_EQ(fcntl(numbers[1], F_GETOWN), numbers[0]);
  return NULL;
}

CASE(thread_that_ends) {
  begin();
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  make_async(fds[0]);
  int numbers[] = {0, fds[0], fds[1]};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, thread_body, numbers) == 0);
  REQUIRE(pthread_join(thread, NULL) == 0);
  while (syscall(SYS_tgkill, getpid(), numbers[0], 0) == 0) check_sleep_ms(1);
  CHECK_EQ(fcntl(fds[0], F_GETOWN), 0);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  EXPECT_NONE();
  close(fds[0]);
  close(fds[1]);
}

CASE(groups) {
  begin();
  int fds[2], done[2];
  REQUIRE(pipe(fds) == 0 && pipe(done) == 0);
  pid_t group = 0, members[2];
  for (int i = 0; i < 2; i++) {
    members[i] = fork();
    if (members[i] == 0) {
      sigset_t io;
      sigemptyset(&io);
      sigaddset(&io, SIGIO);
      int signal = 0;
      sigwait(&io, &signal);
      _exit(signal == SIGIO ? 0 : 1);
    }
    if (group == 0) group = members[0];
    REQUIRE(setpgid(members[i], group) == 0);
  }
  CHECK_OK(fcntl(fds[0], F_SETOWN, -group));
  CHECK_EQ(fcntl(fds[0], F_GETOWN), -group);
  CHECK_OK(fcntl(fds[0], F_SETFL, O_ASYNC));
  CHECK_EQ(write(fds[1], "x", 1), 1);
  for (int i = 0; i < 2; i++) {
    int status = -1;
    CHECK_EQ(waitpid(members[i], &status, 0), members[i]);
    CHECK_EQ(status, 0);
  }
  CHECK_EQ(fcntl(fds[0], F_GETOWN), 0);
  begin();
  EXPECT_NONE();
}

// Whoever set the owner must be allowed to send it signals, when the event comes.
CASE(permissions) {
  begin();
  int fds[2], others[2], ready[2];
  REQUIRE(pipe(fds) == 0 && pipe(others) == 0 && pipe(ready) == 0);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    if (getuid() == 0 && setresuid(1000, 1000, 1000) != 0) _exit(1);
    if (fcntl(fds[0], F_SETOWN, parent) != 0) _exit(2);
    if (fcntl(fds[0], F_SETFL, O_ASYNC) != 0) _exit(3);
    _exit(0);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  begin();
  CHECK_EQ(fcntl(fds[0], F_GETOWN), parent);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  siginfo_t info;
  if (getuid() == 0) CHECK_EQ(next(&info), 0);
  CHECK_OK(fcntl(fds[0], F_SETOWN, parent));
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(next(&info), SIGIO);
}

// A blocked writer's signals come while it waits.
static void* write_much(void* fd) {
  static char data[100000];
  CHECK_EQ(write(*(int*)fd, data, sizeof data), (long)sizeof data);
  return NULL;
}

CASE(blocked_writers) {
  begin();
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  make_async(fds[0]);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, write_much, &fds[1]) == 0);
  CHECK_EQ(await_code(fds[0]), POLL_IN);
  static char buffer[100000];
  for (size_t total = 0; total < sizeof buffer;) {
    ssize_t n = read(fds[0], buffer, sizeof buffer);
    REQUIRE(n > 0);
    total += n;
  }
  REQUIRE(pthread_join(thread, NULL) == 0);
  CHECK_EQ(await_code(fds[0]), POLL_IN);
  close(fds[0]);
  close(fds[1]);
}

// When no more signals can be queued, SIGIO says so.
CASE(overflow) {
  begin();
  int fds[2];
  siginfo_t info;
  REQUIRE(pipe(fds) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    struct rlimit_ {
      unsigned long now, most;
    } limit = {0, 0};
    if (syscall(SYS_prlimit64, 0, 11, &limit, NULL) != 0) _exit(1);
    make_async(fds[0]);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(next(&info), SIGIO);
    CHECK_EQ(info.si_code, SI_KERNEL);
    CHECK_EQ(next(&info), 0);
    _exit(check_failures ? 2 : 0);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  begin();
  close(fds[0]);
  close(fds[1]);
}

CASE(other_processes) {
  begin();
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  make_async(fds[0]);
  pid_t pid = fork();
  if (pid == 0) {
    close(fds[1]);
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  begin();
  EXPECT_NONE();  // the writer is still open here
  pid = fork();
  if (pid == 0) _exit(write(fds[1], "x", 1) == 1 ? 0 : 1);
  close(fds[1]);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  siginfo_t info;
  int data = 0, ends = 0;
  for (int signal; (signal = next(&info)) != 0;) {
    if (signal == SIGNAL) data++;
    if (signal == SIGCHLD) ends++;
  }
  CHECK_EQ(ends, 1);
  CHECK_EQ(data, 2);  // the byte, and the end
  close(fds[0]);
}

// A lease shows as O_ASYNC.
CASE(leases) {
  begin();
  check_enter_scratch();
  close(open("file", O_RDWR | O_CREAT, 0600));
  int fd = open("file", O_RDONLY);
  CHECK_OK(fcntl(fd, F_SETOWN, -getpgrp()));
  CHECK_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
  CHECK_EQ(flag_of(fd), 1);
  CHECK_EQ(fcntl(fd, F_GETOWN), -getpgrp());
  CHECK_OK(fcntl(fd, F_SETFL, O_RDONLY));
  CHECK_EQ(flag_of(fd), 1);
  CHECK_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
  CHECK_EQ(flag_of(fd), 0);
  CHECK_EQ(fcntl(fd, F_GETOWN), 0);
  CHECK_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
  CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
  make_async(fd);
  CHECK_ERRNO(open("file", O_WRONLY | O_NONBLOCK), EAGAIN);
  EXPECT(fd, POLL_MSG);
  close(fd);
}

CHECK_MAIN
