// What events.c leaves out: EPOLLEXCLUSIVE, circles of epoll sets, timerfd, descriptors that are closed or duplicated,
// edges of eventfd and sockets.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "check.h"

static int add(int epoll, int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data = {.fd = fd}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
static int change(int epoll, int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data = {.fd = fd}};
  return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}
static int ready(int epoll) {
  struct epoll_event got[8];
  return epoll_wait(epoll, got, 8, 0);
}

CASE(circles) {
  int sets[7];
  for (int i = 0; i < 7; i++) sets[i] = epoll_create1(0);
  CHECK_OK(add(sets[0], sets[1], EPOLLIN));
  CHECK_OK(add(sets[1], sets[2], EPOLLIN));
  CHECK_ERRNO(add(sets[2], sets[0], EPOLLIN), ELOOP);
  CHECK_ERRNO(add(sets[1], sets[0], EPOLLIN), ELOOP);
  CHECK_OK(add(sets[2], sets[3], EPOLLIN));
  CHECK_OK(add(sets[3], sets[4], EPOLLIN));
  CHECK_ERRNO(add(sets[4], sets[5], EPOLLIN), ELOOP);  // Too deep.
  CHECK_OK(add(sets[5], sets[6], EPOLLIN));
  CHECK_ERRNO(add(sets[0], sets[0], EPOLLIN), EINVAL);
  int fd = eventfd(1, 0);
  CHECK_OK(add(sets[4], fd, EPOLLIN));
  CHECK_EQ(ready(sets[0]), 1);
  struct pollfd poller = {sets[0], POLLIN | POLLOUT, 0};
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(poller.revents, POLLIN);
  close(fd);
  for (int i = 0; i < 7; i++) close(sets[i]);
}

CASE(exclusive) {
  int epoll = epoll_create1(0), inner = epoll_create1(0), fd = eventfd(0, EFD_NONBLOCK);
  CHECK_ERRNO(add(epoll, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT), EINVAL);
  CHECK_ERRNO(add(epoll, fd, EPOLLPRI | EPOLLEXCLUSIVE), EINVAL);
  CHECK_ERRNO(add(epoll, inner, EPOLLIN | EPOLLEXCLUSIVE), EINVAL);
  CHECK_OK(add(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE));
  CHECK_ERRNO(change(epoll, fd, EPOLLIN), EINVAL);
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL));
  CHECK_OK(add(epoll, fd, EPOLLIN));
  CHECK_ERRNO(change(epoll, fd, EPOLLIN | EPOLLEXCLUSIVE), EINVAL);
  close(epoll), close(inner), close(fd);
}

CASE(closed_and_duplicated) {
  int epoll = epoll_create1(0), fd = eventfd(1, 0), copy = dup(fd);
  CHECK_OK(add(epoll, fd, EPOLLIN));
  CHECK_OK(add(epoll, copy, EPOLLIN));  // Another number of the same file.
  CHECK_EQ(ready(epoll), 2);
  close(fd);
  CHECK_EQ(ready(epoll), 2);  // It lives while the copy is open.
  CHECK_ERRNO(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL), EBADF);
  close(copy);
  CHECK_EQ(ready(epoll), 0);
  struct epoll_event event;
  CHECK_ERRNO(epoll_wait(epoll, &event, -1, 0), EINVAL);
  CHECK_ERRNO(epoll_ctl(epoll, EPOLL_CTL_ADD, 0, (void*)8), EFAULT);
  CHECK_ERRNO(read(epoll, &event, sizeof event), EINVAL);
  close(epoll);
}

CASE(timer_descriptor) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), epoll = epoll_create1(0);
  uint64_t count = 0;
  struct itimerspec setting = {.it_value = {0, 5000000}}, old;
  CHECK_ERRNO(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
  CHECK_ERRNO(timerfd_create(CLOCK_MONOTONIC, 4), EINVAL);
  CHECK_ERRNO(read(fd, &count, 8), EAGAIN);
  CHECK_ERRNO(read(fd, &count, 7), EINVAL);
  CHECK_ERRNO(write(fd, &count, 8), EINVAL);
  CHECK_OK(add(epoll, fd, EPOLLIN | EPOLLET));
  CHECK_EQ(ready(epoll), 0);
  CHECK_OK(timerfd_settime(fd, 0, &setting, &old));
  CHECK_EQ(old.it_value.tv_sec + old.it_value.tv_nsec, 0);
  struct epoll_event event;
  CHECK_EQ(epoll_wait(epoll, &event, 1, 5000), 1);
  CHECK_EQ(ready(epoll), 0);
  CHECK_EQ(read(fd, &count, 8), 8);
  CHECK_EQ(count, 1);
  CHECK_ERRNO(read(fd, &count, 8), EAGAIN);
  CHECK_OK(timerfd_gettime(fd, &old));
  CHECK_EQ(old.it_value.tv_nsec, 0);
  setting = (struct itimerspec){.it_value = {0, 1000000}, .it_interval = {0, 1000000}};
  CHECK_OK(timerfd_settime(fd, 0, &setting, NULL));
  check_sleep_ms(20);
  CHECK_EQ(read(fd, &count, 8), 8);
  CHECK(count >= 19);
  setting = (struct itimerspec){.it_value = {100, 0}, .it_interval = {7, 5}};
  CHECK_OK(timerfd_settime(fd, 0, &setting, &old));
  CHECK_EQ(old.it_interval.tv_nsec, 1000000);
  CHECK_ERRNO(read(fd, &count, 8), EAGAIN);  // Setting forgets what has expired.
  CHECK_OK(timerfd_gettime(fd, &old));
  CHECK(old.it_value.tv_sec >= 98 && old.it_value.tv_sec < 100);
  CHECK_EQ(old.it_interval.tv_sec, 7);
  setting = (struct itimerspec){.it_value = {1, 0}};  // Long past.
  CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &setting, NULL));
  struct pollfd poller = {fd, POLLIN, 0};
  CHECK_EQ(poll(&poller, 1, 5000), 1);
  CHECK_EQ(read(fd, &count, 8), 8);
  CHECK_EQ(count, 1);
  setting = (struct itimerspec){.it_value = {0, 1000000000}};
  CHECK_ERRNO(timerfd_settime(fd, 0, &setting, NULL), EINVAL);
  setting = (struct itimerspec){.it_value = {-1, 0}};
  CHECK_ERRNO(timerfd_settime(fd, 0, &setting, NULL), EINVAL);
  CHECK_ERRNO(timerfd_settime(fd, 8, &setting, NULL), EINVAL);
  CHECK_ERRNO(timerfd_settime(fd, 0, (void*)8, NULL), EFAULT);
  CHECK_ERRNO(timerfd_settime(epoll, 0, &(struct itimerspec){0}, NULL), EINVAL);
  CHECK_ERRNO(timerfd_gettime(999, &old), EBADF);
  close(fd), close(epoll);
}

CASE(edges_of_counters) {
  int epoll = epoll_create1(0), fd = eventfd(0, EFD_NONBLOCK);
  uint64_t value = 1;
  CHECK_OK(add(epoll, fd, EPOLLIN | EPOLLET));
  CHECK_EQ(ready(epoll), 0);
  CHECK_EQ(write(fd, &value, 8), 8);
  CHECK_EQ(ready(epoll), 1);
  CHECK_EQ(ready(epoll), 0);
  CHECK_EQ(write(fd, &value, 8), 8);
  CHECK_EQ(ready(epoll), 1);
  CHECK_OK(change(epoll, fd, EPOLLIN | EPOLLET));  // Looks anew.
  CHECK_EQ(ready(epoll), 1);
  CHECK_EQ(read(fd, &value, 8), 8);
  CHECK_EQ(ready(epoll), 0);
  close(epoll), close(fd);
}

CASE(edges_of_sockets) {
  int epoll = epoll_create1(0), pair[2];
  char text[8];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
  CHECK_OK(add(epoll, pair[0], EPOLLIN | EPOLLRDHUP | EPOLLET));
  CHECK_EQ(ready(epoll), 0);
  CHECK_EQ(write(pair[1], "ab", 2), 2);
  CHECK_EQ(ready(epoll), 1);
  CHECK_EQ(ready(epoll), 0);
  CHECK_EQ(write(pair[1], "c", 1), 1);
  CHECK_EQ(ready(epoll), 1);
  CHECK_EQ(read(pair[0], text, 1), 1);
  CHECK_EQ(ready(epoll), 0);
  CHECK_OK(shutdown(pair[1], SHUT_WR));
  struct epoll_event got;
  CHECK_EQ(epoll_wait(epoll, &got, 1, 0), 1);
  CHECK_EQ(got.events, EPOLLIN | EPOLLRDHUP);
  close(pair[1]);
  CHECK_EQ(epoll_wait(epoll, &got, 1, 0), 1);
  CHECK_EQ(got.events, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
  close(pair[0]), close(epoll);
}

CASE(level_goes_round) {
  // With room for one event the ready ones take turns.
  int epoll = epoll_create1(0), fds[3], seen = 0;
  for (int i = 0; i < 3; i++) {
    fds[i] = eventfd(1, 0);
    CHECK_OK(add(epoll, fds[i], EPOLLIN));
  }
  for (int i = 0; i < 3; i++) {
    struct epoll_event got;
    CHECK_EQ(epoll_wait(epoll, &got, 1, 0), 1);
    for (int j = 0; j < 3; j++) seen |= (got.data.fd == fds[j]) << j;
  }
  CHECK_EQ(seen, 7);
  for (int i = 0; i < 3; i++) close(fds[i]);
  close(epoll);
}

CHECK_MAIN
