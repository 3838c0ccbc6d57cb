// The size of a terminal and its SIGWINCH (tty_ioctl(4), TIOCSWINSZ): whoever sees the new size has been sent the signal,
// and who handles the signal sees the new size.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "check.h"

enum { kRounds = 3000 };

static volatile int handled, calls;  // rows that the handler saw; how often it ran

static int rows_of(int fd) {
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_row : -1;
}

static void on_change(int unused) {
  (void)unused;
  handled = rows_of(0);
  calls++;
}

static int leader(const char* name, int ready) {
  struct sigaction action = {.sa_handler = on_change};
  sigaction(SIGWINCH, &action, NULL);
  setsid();
  int fd = open(name, O_RDWR);
  if (fd == -1 || dup2(fd, 0) != 0) return 1;
  for (int rows = 1; rows <= kRounds; rows++) {
    if (write(ready, "r", 1) != 1) return 2;
    int seen;
    while ((seen = rows_of(0)) == rows - 1) {
    }
    if (seen != rows) return 3;
    if (calls != rows) return 4;    // the new size came before its signal
    if (handled != rows) return 5;  // or the signal before its size
  }
  return 0;
}

CASE(comes_with_its_signal) {
  char name[64], byte;
  int master = posix_openpt(O_RDWR | O_NOCTTY), ready[2];
  REQUIRE(master != -1 && grantpt(master) == 0 && unlockpt(master) == 0);
  REQUIRE(ptsname_r(master, name, sizeof name) == 0 && pipe2(ready, O_CLOEXEC) == 0);
  pid_t pid = fork();
  if (pid == 0) _exit(leader(name, ready[1]));
  close(ready[1]);
  for (int rows = 1; read(ready[0], &byte, 1) == 1; rows++) {
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = 80};
    CHECK_OK(ioctl(master, TIOCSWINSZ, &size));
    CHECK_OK(ioctl(master, TIOCSWINSZ, &size));  // the same: nobody is told
  }
  int status;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
  close(master);
  close(ready[0]);
}

CHECK_MAIN
