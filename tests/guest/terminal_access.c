// Who may open a terminal (TIOCEXCL), keys that nobody pressed (TIOCSTI), and room to write that is told by signal.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "identity.h"

static int master, slave;
static char name[64];

static void open_raw(void) {
  int unlocked = 0, number;
  master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  REQUIRE(master >= 0);
  REQUIRE(ioctl(master, TIOCSPTLCK, &unlocked) == 0 && ioctl(master, TIOCGPTN, &number) == 0);
  snprintf(name, sizeof name, "/dev/pts/%d", number);
  slave = open(name, O_RDWR | O_NOCTTY);
  REQUIRE(slave >= 0);
  struct termios settings;
  REQUIRE(tcgetattr(slave, &settings) == 0);
  cfmakeraw(&settings);
  REQUIRE(tcsetattr(slave, TCSANOW, &settings) == 0);
}
static void close_both(void) { close(slave), close(master); }

// In another process, as the one who owns the terminal but may do nothing else.
static void as_owner(void (*run)(void)) {
  REQUIRE(chown(name, 1, 1) == 0);
  unprivileged(run);
}

static void open_exclusive(void) {
  int value = 0;
  CHECK_ERRNO(open(name, O_RDWR | O_NOCTTY), EBUSY);
  CHECK_ERRNO(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY), EBUSY);
  CHECK_OK(ioctl(slave, TIOCGEXCL, &value));
  CHECK_EQ(value, 1);
  // Whoever has it open may change it.
  CHECK_OK(ioctl(slave, TIOCNXCL));
  CHECK_OK(ioctl(slave, TIOCGEXCL, &value));
  CHECK_EQ(value, 0);
  int again = open(name, O_RDWR | O_NOCTTY);
  CHECK_OK(again);
  close(again);
  CHECK_OK(ioctl(slave, TIOCEXCL));
}

CASE(exclusive) {
  open_raw();
  int value = -1;
  CHECK_OK(ioctl(slave, TIOCGEXCL, &value));
  CHECK_EQ(value, 0);
  CHECK_OK(ioctl(slave, TIOCEXCL));
  as_owner(open_exclusive);
  int again = open(name, O_RDWR | O_NOCTTY);  // CAP_SYS_ADMIN may
  CHECK_OK(again);
  CHECK_OK(ioctl(again, TIOCGEXCL, &value));
  CHECK_EQ(value, 1);
  CHECK_ERRNO(ioctl(slave, TIOCGEXCL, NULL), EFAULT);
  CHECK_OK(ioctl(again, TIOCNXCL));
  close(again);
  close_both();
}

static int anybody_may_type;
static void type_keys(void) {
  char key = 'x';
  // Not the controlling terminal; or the machine's administrator does not want it (dev.tty.legacy_tiocsti).
  CHECK_ERRNO(ioctl(slave, TIOCSTI, &key), anybody_may_type ? EPERM : EIO);
  CHECK_EQ(setsid(), getpid());
  CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
  if (!anybody_may_type) {
    CHECK_ERRNO(ioctl(slave, TIOCSTI, &key), EIO);
    return;
  }
  CHECK_OK(ioctl(slave, TIOCSTI, &key));
  CHECK_EQ(read(slave, &key, 1), 1);
  CHECK_EQ(key, 'x');
  CHECK_ERRNO(ioctl(slave, TIOCSTI, NULL), EFAULT);
}

CASE(keys_that_nobody_pressed) {
  FILE* setting = fopen("/proc/sys/dev/tty/legacy_tiocsti", "r");
  REQUIRE(setting != NULL);
  CHECK_EQ(fscanf(setting, "%d", &anybody_may_type), 1);
  fclose(setting);
  open_raw();
  // CAP_SYS_ADMIN may, whosever terminal it is.
  char text[8];
  CHECK_OK(ioctl(slave, TIOCSTI, "a"));
  CHECK_OK(ioctl(slave, TIOCSTI, "b"));
  CHECK_EQ(read(slave, text, 1), 1);
  CHECK_EQ(read(slave, text + 1, 1), 1);
  CHECK_EQ(memcmp(text, "ab", 2), 0);
  as_owner(type_keys);
  close_both();
}

#define SIGNAL (SIGRTMIN + 3)
static sigset_t watched;
static void make_async(int fd) {
  CHECK_OK(fcntl(fd, F_SETOWN, getpid()));
  CHECK_OK(fcntl(fd, F_SETSIG, SIGNAL));
  CHECK_OK(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC));
}
// Waits until a signal says that there is room; others may come before it.
static int is_told_of_room(int fd) {
  siginfo_t info;
  struct timespec long_enough = {20, 0};
  do {
    if (sigtimedwait(&watched, &info, &long_enough) != SIGNAL) return 0;
  } while (info.si_fd != fd || info.si_code != POLL_OUT);
  return 1;
}
static int is_told_now(void) {
  struct timespec none = {0, 0};
  siginfo_t info;
  int told = 0;
  while (sigtimedwait(&watched, &info, &none) == SIGNAL) told |= info.si_code == POLL_OUT;
  return told;
}
// Writes until there is no room.
static void fill(int fd) {
  static char data[4096];
  while (write(fd, data, sizeof data) > 0) continue;
  CHECK_EQ(errno, EAGAIN);
}
static void* drain(void* fd) {
  static char data[4096];
  while (read((int)(long)fd, data, sizeof data) > 0) continue;
  return NULL;
}

CASE(room_is_told) {
  sigemptyset(&watched);
  sigaddset(&watched, SIGNAL);
  sigprocmask(SIG_BLOCK, &watched, NULL);
  for (int of_master = 0; of_master < 2; of_master++) {
    open_raw();
    int writer = of_master ? master : slave, reader = of_master ? slave : master;
    CHECK_OK(fcntl(reader, F_SETFL, O_RDWR | O_NONBLOCK));
    make_async(writer);
    // Whoever could write all is not told that he may write more.
    CHECK_EQ(write(writer, "x", 1), 1);
    struct timespec soon = {0, 1000000};
    char byte;
    while (read(reader, &byte, 1) != 1) nanosleep(&soon, NULL);
    CHECK_EQ(is_told_now(), 0);
    fill(writer);
    drain((void*)(long)reader);
    CHECK(is_told_of_room(writer));
    close_both();
    is_told_now();
  }
}

CHECK_MAIN
