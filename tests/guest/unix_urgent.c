// Urgent data of unix streams (unix(7), MSG_OOB): one byte, a mark in the stream, SIGURG and POLLPRI.
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "check.h"

static int pair[2];
static void open_pair(void) {
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
}
static void close_pair(void) { close(pair[0]), close(pair[1]); }
static void give(const char* text, int flags) {
  CHECK_EQ(send(pair[0], text, strlen(text), flags), strlen(text));
}
static const char* take(size_t size, int flags) {
  static char text[32];
  memset(text, 0, sizeof text);
  if (recv(pair[1], text, size, flags) < 0) snprintf(text, sizeof text, "error %d", errno);
  return text;
}
static int number_of(unsigned long request) {
  int value = -1;
  CHECK_OK(ioctl(pair[1], request, &value));
  return value;
}
static int is_at_mark(void) { return number_of(SIOCATMARK); }
static int events(void) {
  struct pollfd poller = {pair[1], POLLIN | POLLPRI, 0};
  poll(&poller, 1, 0);
  return poller.revents;
}
static void set_inline(int on) {
  CHECK_OK(setsockopt(pair[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
}

CASE(byte_beside_the_stream) {
  open_pair();
  CHECK_STR(take(1, MSG_OOB), "error 22");
  CHECK_EQ(is_at_mark(), 0);
  give("abc", MSG_OOB);  // only the last byte is urgent
  CHECK_EQ(number_of(FIONREAD), 3);
  CHECK_EQ(events(), POLLIN | POLLPRI);
  CHECK_EQ(is_at_mark(), 0);
  CHECK_STR(take(1, MSG_OOB | MSG_PEEK), "c");
  CHECK_STR(take(9, MSG_OOB), "c");
  CHECK_STR(take(1, MSG_OOB), "error 22");
  CHECK_EQ(events(), POLLIN);
  CHECK_EQ(number_of(FIONREAD), 2);
  give("de", 0);
  // The mark stops a read, though its byte has gone.
  CHECK_STR(take(9, 0), "ab");
  CHECK_EQ(is_at_mark(), 1);
  CHECK_STR(take(9, 0), "de");
  CHECK_EQ(is_at_mark(), 0);
  CHECK_STR(take(9, 0), "error 11");
  close_pair();
}

CASE(byte_passed_by) {
  open_pair();
  give("ab", 0);
  give("c", MSG_OOB);
  give("de", 0);
  CHECK_STR(take(9, MSG_PEEK), "ab");
  CHECK_STR(take(1, 0), "a");
  CHECK_STR(take(9, 0), "b");
  CHECK_EQ(is_at_mark(), 1);
  CHECK_EQ(events(), POLLIN | POLLPRI);
  CHECK_STR(take(9, MSG_PEEK), "de");
  CHECK_STR(take(9, MSG_OOB | MSG_PEEK), "c");
  CHECK_STR(take(9, 0), "de");
  CHECK_STR(take(9, MSG_OOB), "error 22");
  CHECK_EQ(events(), 0);
  // Alone, it is nothing to read; and who tries to has missed it.
  give("x", MSG_OOB);
  CHECK_STR(take(9, MSG_PEEK), "error 11");
  CHECK_EQ(events(), POLLIN | POLLPRI);
  CHECK_STR(take(9, 0), "error 11");
  CHECK_STR(take(9, MSG_OOB), "error 22");
  close_pair();
}

CASE(one_replaces_another) {
  open_pair();
  give("a", MSG_OOB);
  give("b", MSG_OOB);
  give("c", 0);
  CHECK_EQ(is_at_mark(), 0);
  CHECK_STR(take(9, 0), "a");  // an ordinary byte now
  CHECK_EQ(is_at_mark(), 1);
  CHECK_STR(take(1, MSG_OOB), "b");
  CHECK_EQ(is_at_mark(), 1);
  CHECK_STR(take(9, 0), "c");
  // Read ones leave marks; two of them side by side are one.
  give("d", MSG_OOB);
  CHECK_STR(take(1, MSG_OOB), "d");
  give("e", MSG_OOB);
  CHECK_EQ(is_at_mark(), 1);
  CHECK_STR(take(1, MSG_OOB), "e");
  give("f", 0);
  CHECK_EQ(is_at_mark(), 1);
  CHECK_STR(take(9, 0), "f");
  close_pair();
}

CASE(in_line) {
  open_pair();
  set_inline(1);
  give("ab", 0);
  give("c", MSG_OOB);
  give("de", 0);
  CHECK_STR(take(1, MSG_OOB), "error 22");
  CHECK_EQ(events(), POLLIN | POLLPRI);
  CHECK_STR(take(9, 0), "ab");
  CHECK_EQ(is_at_mark(), 1);
  CHECK_STR(take(9, MSG_PEEK), "cde");
  CHECK_STR(take(9, 0), "cde");
  CHECK_EQ(is_at_mark(), 0);
  CHECK_EQ(events(), 0);
  give("f", MSG_OOB);
  set_inline(0);
  CHECK_STR(take(1, MSG_OOB), "f");
  close_pair();
}

CASE(what_it_is_not_for) {
  open_pair();
  CHECK_ERRNO(send(pair[0], "", 0, MSG_OOB), EOPNOTSUPP);
  shutdown(pair[1], SHUT_RD);
  CHECK_ERRNO(send(pair[0], "x", 1, MSG_OOB | MSG_NOSIGNAL), EPIPE);
  close_pair();
  for (int type = SOCK_DGRAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_DGRAM) {
    REQUIRE(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, pair) == 0);
    CHECK_ERRNO(send(pair[0], "x", 1, MSG_OOB), EOPNOTSUPP);
    CHECK_ERRNO(recv(pair[0], "x", 1, MSG_OOB), EOPNOTSUPP);
    int mark;
    CHECK_ERRNO(ioctl(pair[1], SIOCATMARK, &mark), EOPNOTSUPP);
    close_pair();
  }
  int alone = socket(AF_UNIX, SOCK_STREAM, 0);
  char byte;
  CHECK_ERRNO(recv(alone, &byte, 1, MSG_OOB), EINVAL);
  CHECK_ERRNO(send(alone, "x", 1, MSG_OOB), ENOTCONN);
  close(alone);
}

// Closed with nothing but a mark unread is no reset; with the byte it is.
CASE(closing) {
  for (int is_read = 0; is_read < 2; is_read++) {
    open_pair();
    char byte;
    give("x", MSG_OOB);
    if (is_read) CHECK_STR(take(1, MSG_OOB), "x");
    close(pair[1]);
    if (is_read) {
      CHECK_EQ(recv(pair[0], &byte, 1, 0), 0);
    } else {
      CHECK_ERRNO(recv(pair[0], &byte, 1, 0), ECONNRESET);
    }
    close(pair[0]);
  }
}

CASE(signal_and_events) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGURG);
  sigprocmask(SIG_BLOCK, &set, NULL);
  struct timespec none = {0, 0}, long_enough = {20, 0};
  siginfo_t info;
  open_pair();
  signal(SIGURG, SIG_DFL);
  give("a", MSG_OOB);
  CHECK_ERRNO(sigtimedwait(&set, &info, &none), EAGAIN);  // nobody owns it
  CHECK_OK(fcntl(pair[1], F_SETOWN, getpid()));
  give("b", MSG_OOB);
  CHECK_EQ(sigtimedwait(&set, &info, &long_enough), SIGURG);
  give("c", 0);
  CHECK_ERRNO(sigtimedwait(&set, &info, &none), EAGAIN);
  int watcher = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLPRI | EPOLLET};
  CHECK_OK(epoll_ctl(watcher, EPOLL_CTL_ADD, pair[1], &event));
  CHECK_EQ(epoll_wait(watcher, &event, 1, 0), 1);
  CHECK_EQ(event.events, EPOLLPRI);
  CHECK_EQ(epoll_wait(watcher, &event, 1, 0), 0);
  give("d", MSG_OOB);
  CHECK_EQ(epoll_wait(watcher, &event, 1, 20000), 1);
  CHECK_EQ(sigtimedwait(&set, &info, &long_enough), SIGURG);
  CHECK_STR(take(1, MSG_OOB), "d");
  CHECK_STR(take(9, 0), "abc");
  close(watcher);
  close_pair();
}

// A reader that waits for all of it gets what is before the mark.
CASE(mark_ends_waiting) {
  open_pair();
  CHECK_OK(fcntl(pair[1], F_SETFL, 0));
  give("ab", 0);
  give("c", MSG_OOB);
  give("de", 0);
  CHECK_STR(take(5, MSG_WAITALL), "ab");
  CHECK_STR(take(2, MSG_WAITALL), "de");
  close_pair();
}

CHECK_MAIN
