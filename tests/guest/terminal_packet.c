// Packet mode of a pty's master (TIOCPKT, tty_ioctl(4)): what happens to the terminal is told in the stream, as screen(1)
// and remote logins read it. And TIOCSIG.
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <termios.h>

#include "check.h"

enum { kLimit = 10000 };  // milliseconds: the kernel passes some things on later

static int master, slave;

static void start(void) {
  char name[64];
  master = posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(master != -1 && grantpt(master) == 0 && unlockpt(master) == 0);
  REQUIRE(ptsname_r(master, name, sizeof name) == 0);
  slave = open(name, O_RDWR | O_NOCTTY);
  REQUIRE(slave != -1);
}

static void end(void) {
  close(slave);
  close(master);
}

static void set_mode(int on) { CHECK_OK(ioctl(master, TIOCPKT, &on)); }

static void change(tcflag_t input_off, tcflag_t input_on, tcflag_t local_off, tcflag_t local_on) {
  struct termios termios;
  CHECK_OK(tcgetattr(slave, &termios));
  termios.c_iflag = (termios.c_iflag & ~input_off) | input_on;
  termios.c_lflag = (termios.c_lflag & ~local_off) | local_on;
  CHECK_OK(tcsetattr(slave, TCSANOW, &termios));
}

static int is_urgent(void) {
  struct pollfd poll_master = {.fd = master, .events = POLLPRI};
  return poll(&poll_master, 1, 0) == 1 && poll_master.revents == POLLPRI;
}

static ssize_t next(char* buffer, size_t size) {
  struct pollfd poll_master = {.fd = master, .events = POLLIN};
  return poll(&poll_master, 1, kLimit) == 1 ? read(master, buffer, size) : -1;
}

// All that is told until `wanted` is.
static int told(int wanted) {
  int all = 0;
  while ((all & wanted) != wanted) {
    char buffer[64];
    const ssize_t count = next(buffer, sizeof buffer);
    if (count != 1) return -1;
    all |= buffer[0];
  }
  return all;
}

CASE(is_a_mode_of_the_master) {
  start();
  int on = 7;
  CHECK_OK(ioctl(master, TIOCGPKT, &on));
  CHECK_EQ(on, 0);
  on = 5;
  CHECK_OK(ioctl(master, TIOCPKT, &on));
  CHECK_OK(ioctl(master, TIOCGPKT, &on));
  CHECK_EQ(on, 1);
  CHECK_ERRNO(ioctl(slave, TIOCPKT, &on), ENOTTY);
  CHECK_ERRNO(ioctl(slave, TIOCGPKT, &on), ENOTTY);
  CHECK_ERRNO(ioctl(master, TIOCPKT, NULL), EFAULT);
  CHECK_ERRNO(ioctl(master, TIOCGPKT, NULL), EFAULT);
  end();
}

CASE(data_comes_behind_a_zero) {
  start();
  set_mode(1);
  char buffer[16];
  CHECK_EQ(write(slave, "abc", 3), 3);
  CHECK_EQ(next(buffer, sizeof buffer), 4);
  CHECK(memcmp(buffer, "\0abc", 4) == 0);
  CHECK_EQ(write(slave, "abc", 3), 3);
  CHECK_EQ(next(buffer, 3), 3);
  CHECK(memcmp(buffer, "\0ab", 3) == 0);
  CHECK_EQ(next(buffer, 3), 2);
  CHECK(memcmp(buffer, "\0c", 2) == 0);
  set_mode(0);
  CHECK_EQ(write(slave, "abc", 3), 3);
  CHECK_EQ(next(buffer, sizeof buffer), 3);
  CHECK(memcmp(buffer, "abc", 3) == 0);
  close(slave);
  CHECK_ERRNO(read(master, buffer, sizeof buffer), EIO);
  set_mode(1);
  CHECK_ERRNO(read(master, buffer, sizeof buffer), EIO);
  close(master);
}

CASE(flushing_is_told) {
  start();
  set_mode(1);
  CHECK_EQ(is_urgent(), 0);
  CHECK_OK(tcflush(slave, TCIFLUSH));
  CHECK_EQ(is_urgent(), 1);
  fd_set urgent;
  FD_ZERO(&urgent);
  FD_SET(master, &urgent);
  struct timeval at_once = {0};
  CHECK_EQ(select(master + 1, NULL, NULL, &urgent, &at_once), 1);
  CHECK_EQ(told(TIOCPKT_FLUSHREAD), TIOCPKT_FLUSHREAD);
  CHECK_EQ(is_urgent(), 0);
  CHECK_OK(tcflush(slave, TCOFLUSH));
  CHECK_EQ(told(TIOCPKT_FLUSHWRITE), TIOCPKT_FLUSHWRITE);
  CHECK_OK(tcflush(slave, TCIOFLUSH));
  char buffer[4];
  CHECK_EQ(read(master, buffer, sizeof buffer), 1);
  CHECK_EQ(buffer[0], TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE);
  // What happened before is not told.
  set_mode(0);
  CHECK_OK(tcflush(slave, TCIOFLUSH));
  set_mode(1);
  CHECK_EQ(is_urgent(), 0);
  end();
}

CASE(stopping_is_told) {
  start();
  set_mode(1);
  CHECK_OK(tcflow(slave, TCOOFF));
  CHECK_EQ(told(TIOCPKT_STOP), TIOCPKT_STOP);
  CHECK_OK(tcflow(slave, TCOOFF));
  CHECK_EQ(is_urgent(), 0);
  CHECK_OK(tcflow(slave, TCOON));
  CHECK_EQ(told(TIOCPKT_START), TIOCPKT_START);
  CHECK_OK(tcflow(slave, TCOOFF));
  CHECK_OK(tcflow(slave, TCOON));
  CHECK_EQ(told(TIOCPKT_START), TIOCPKT_START);
  CHECK_EQ(write(master, "\023", 1), 1);
  CHECK_EQ(told(TIOCPKT_STOP), TIOCPKT_STOP);
  CHECK_EQ(write(master, "\021", 1), 1);
  CHECK_EQ(told(TIOCPKT_START), TIOCPKT_START);
  end();
}

CASE(flow_control_is_told) {
  start();
  set_mode(1);
  change(IXON, 0, 0, 0);
  CHECK_EQ(told(TIOCPKT_NOSTOP), TIOCPKT_NOSTOP);
  change(0, 0, ECHO, 0);
  CHECK_EQ(is_urgent(), 0);
  change(0, IXON, 0, 0);
  CHECK_EQ(told(TIOCPKT_DOSTOP), TIOCPKT_DOSTOP);
  struct termios termios;
  CHECK_OK(tcgetattr(slave, &termios));
  termios.c_cc[VSTOP] = 'x';
  CHECK_OK(tcsetattr(slave, TCSADRAIN, &termios));
  CHECK_EQ(told(TIOCPKT_NOSTOP), TIOCPKT_NOSTOP);
  change(0, 0, 0, EXTPROC);
  CHECK_EQ(told(TIOCPKT_IOCTL), TIOCPKT_IOCTL);
  change(0, 0, EXTPROC, 0);
  CHECK_EQ(told(TIOCPKT_IOCTL), TIOCPKT_IOCTL);
  // Stopped, and then nothing that starts it: it starts.
  termios.c_cc[VSTOP] = 023;
  CHECK_OK(tcsetattr(slave, TCSANOW, &termios));
  CHECK_EQ(told(TIOCPKT_DOSTOP), TIOCPKT_DOSTOP);
  CHECK_EQ(write(master, "\023", 1), 1);
  CHECK_EQ(told(TIOCPKT_STOP), TIOCPKT_STOP);
  change(IXON, 0, 0, 0);
  CHECK_EQ(told(TIOCPKT_NOSTOP | TIOCPKT_START), TIOCPKT_NOSTOP | TIOCPKT_START);
  end();
}

CASE(a_signal_flushes) {
  start();
  set_mode(1);
  change(0, 0, ECHO, 0);
  CHECK_EQ(write(master, "\003", 1), 1);
  CHECK_EQ(told(TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE), TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE);
  change(0, 0, 0, NOFLSH);
  CHECK_EQ(write(master, "\003x\n", 3), 3);
  char line[8];
  CHECK_EQ(read(slave, line, sizeof line), 2);
  CHECK_EQ(is_urgent(), 0);
  end();
}

static void on_signal(int signal) { _exit(signal); }

CASE(the_master_sends_signals) {
  start();
  int ready[2];
  char byte;
  REQUIRE(pipe(ready) == 0);
  CHECK_OK(ioctl(master, TIOCSIG, SIGINT));  // to nobody
  CHECK_ERRNO(ioctl(master, TIOCSIG, SIGTERM), EINVAL);
  CHECK_ERRNO(ioctl(master, TIOCSIG, 0), EINVAL);
  CHECK_ERRNO(ioctl(slave, TIOCSIG, SIGINT), ENOTTY);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGQUIT, on_signal);
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    write(ready[1], "r", 1);
    while (1) pause();
  }
  REQUIRE(read(ready[0], &byte, 1) == 1);
  CHECK_OK(ioctl(master, TIOCSIG, SIGQUIT));
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == SIGQUIT);
  close(ready[0]);
  close(ready[1]);
  end();
}

CHECK_MAIN
