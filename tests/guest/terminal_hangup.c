// vhangup(2): all who have the session's terminal open lose it, and it can be opened again.
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "check.h"

static int end_of(pid_t pid) {
  int status;
  REQUIRE(pid != -1 && waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int open_master(char* name, size_t size) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(master != -1 && grantpt(master) == 0 && unlockpt(master) == 0);
  REQUIRE(ptsname_r(master, name, size) == 0);
  return master;
}

CASE(without_a_terminal) {
  pid_t pid = fork();
  if (pid == 0) {
    setsid();
    if (vhangup() != 0) _exit(1);
    if (setresuid(1000, 1000, 1000) != 0) _exit(2);
    _exit(vhangup() == -1 && errno == EPERM ? 0 : 3);
  }
  CHECK_EQ(end_of(pid), 0);
}

static volatile int hups, conts;
static void on_signal(int signal) {
  if (signal == SIGHUP) hups++;
  if (signal == SIGCONT) conts++;
}

// Lines are numbered by what has gone wrong.
static void leader(const char* name, int tell) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGHUP, &action, NULL);
  sigaction(SIGCONT, &action, NULL);
  setsid();
  int fd = open(name, O_RDWR), twin = open(name, O_RDWR | O_NOCTTY);
  if (fd == -1 || twin == -1 || tcgetsid(fd) != getpid()) _exit(1);
  struct termios raw;
  if (tcgetattr(fd, &raw) != 0) _exit(2);
  cfmakeraw(&raw);
  if (tcsetattr(fd, TCSANOW, &raw) != 0) _exit(3);
  pid_t reader = fork();
  if (reader == 0) {
    char byte;
    signal(SIGHUP, SIG_IGN);
    (void)!write(tell, "r", 1);
    _exit(read(twin, &byte, 1) == 0 ? 0 : 1);
  }
  int tty = open("/dev/tty", O_RDWR);
  if (tty == -1) _exit(4);
  if (vhangup() != 0) _exit(5);
  if (hups != 1 || conts != 1) _exit(6);
  if (end_of(reader) != 0) _exit(7);
  const int all[] = {fd, twin, tty};
  for (int i = 0; i < 3; i++) {
    char byte;
    if (read(all[i], &byte, 1) != 0) _exit(10 + i);
    if (write(all[i], "x", 1) != -1 || errno != EIO) _exit(20 + i);
    if (ioctl(all[i], TIOCGWINSZ, &byte) != -1 || errno != EIO) _exit(30 + i);
    if (tcsetpgrp(all[i], getpid()) != -1 || errno != ENOTTY) _exit(40 + i);
    struct pollfd poll_fd = {all[i], POLLIN | POLLOUT, 0};
    if (poll(&poll_fd, 1, 0) != 1 || poll_fd.revents != (POLLIN | POLLOUT | POLLERR | POLLHUP))
      _exit(50 + i);
    struct stat status;
    if (fstat(all[i], &status) != 0 || !S_ISCHR(status.st_mode)) _exit(60 + i);
  }
  if (open("/dev/tty", O_RDWR) != -1 || errno != ENXIO) _exit(70);
  if (vhangup() != 0) _exit(71);  // there is none any more
  // It can be had again, with its first settings.
  int again = open(name, O_RDWR);
  if (again == -1 || tcgetsid(again) != getpid() || tcgetpgrp(again) != getpid()) _exit(72);
  struct termios settings;
  if (tcgetattr(again, &settings) != 0 || !(settings.c_lflag & ICANON)) _exit(73);
  if (write(fd, "x", 1) != -1 || errno != EIO) _exit(74);
  if (write(again, "again\n", 6) != 6) _exit(75);
  (void)!write(tell, "w", 1);
  char line[16];
  if (read(again, line, sizeof line) != 5 || memcmp(line, "line\n", 5) != 0) _exit(76);
  close(fd);
  close(twin);
  close(tty);
  if (write(again, "more\n", 5) != 5) _exit(77);
  _exit(0);
}

static void expect(int fd, const char* text) {
  char got[32] = "";
  size_t size = 0;
  while (size < strlen(text)) {
    ssize_t some = read(fd, got + size, strlen(text) - size);
    if (some <= 0) break;
    size += (size_t)some;
  }
  CHECK_STR(got, text);
}

CASE(opened_again) {
  char name[64], byte;
  int fds[2], master = open_master(name, sizeof name);
  REQUIRE(pipe(fds) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    close(master);
    leader(name, fds[1]);
  }
  close(fds[1]);
  CHECK(read(fds[0], &byte, 1) == 1 && byte == 'r');
  if (read(fds[0], &byte, 1) == 1) {
    expect(master, "again\r\n");
    CHECK_EQ(write(master, "line\n", 5), 5);
    expect(master, "line\r\n");
    expect(master, "more\r\n");
  }
  CHECK_EQ(end_of(pid), 0);
  CHECK_ERRNO(read(master, &byte, 1), EIO);  // all have closed it
  close(master);
  close(fds[0]);
}

// The foreground group hears of it when the leader ends.
CASE(foreground_group) {
  char name[64], byte;
  int fds[2], master = open_master(name, sizeof name);
  REQUIRE(pipe(fds) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    signal(SIGHUP, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    setsid();
    int fd = open(name, O_RDWR);
    pid_t job = fork();
    if (job == 0) {
      signal(SIGHUP, SIG_DFL);
      setpgid(0, 0);
      tcsetpgrp(fd, getpid());
      (void)!write(fds[1], "j", 1);
      for (;;) pause();
    }
    while (tcgetpgrp(fd) != job) {
    }
    _exit(vhangup() == 0 && kill(job, 0) == 0 ? 0 : 1);
  }
  close(fds[1]);
  CHECK_EQ(read(fds[0], &byte, 1), 1);
  CHECK_EQ(end_of(pid), 0);
  CHECK_EQ(read(fds[0], &byte, 1), 0);  // the job has ended
  close(master);
  close(fds[0]);
}

CHECK_MAIN
