// Readiness: eventfd(2), signalfd(2), epoll(7) in its three modes, poll(2), select(2).
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>

#include "check.h"

CASE(eventfd_counts) {
  int fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
  uint64_t value = 0;
  CHECK_EQ(read(fd, &value, 8), 8);
  CHECK_EQ(value, 3);
  CHECK_ERRNO(read(fd, &value, 8), EAGAIN);
  value = 5;
  CHECK_EQ(write(fd, &value, 8), 8);
  CHECK_EQ(write(fd, &value, 8), 8);
  CHECK_EQ(read(fd, &value, 8), 8);
  CHECK_EQ(value, 10);
  CHECK_ERRNO(read(fd, &value, 7), EINVAL);
  CHECK_ERRNO(write(fd, &value, 7), EINVAL);
  value = ~0ULL;
  CHECK_ERRNO(write(fd, &value, 8), EINVAL);
  value = ~0ULL - 1;
  CHECK_EQ(write(fd, &value, 8), 8);
  value = 1;
  CHECK_ERRNO(write(fd, &value, 8), EAGAIN);  // It would overflow.
  struct pollfd poller = {fd, POLLIN | POLLOUT, 0};
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(poller.revents, POLLIN);
  close(fd);
  CHECK_ERRNO(eventfd(0, 0x40), EINVAL);
}

CASE(eventfd_semaphore) {
  int fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  uint64_t value = 0;
  CHECK_EQ(read(fd, &value, 8), 8);
  CHECK_EQ(value, 1);
  CHECK_EQ(read(fd, &value, 8), 8);
  CHECK_ERRNO(read(fd, &value, 8), EAGAIN);
  close(fd);
}

static void* bump(void* fd) {
  uint64_t one = 1;
  check_until_others_sleep();
  return (void*)write((int)(intptr_t)fd, &one, 8);
}
static pthread_t bump_later(int fd) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, bump, (void*)(intptr_t)fd) == 0);
  return thread;
}

CASE(eventfd_blocks) {
  int fd = eventfd(0, 0);
  pthread_t thread = bump_later(fd);
  uint64_t value = 0;
  CHECK_EQ(read(fd, &value, 8), 8);
  CHECK_EQ(value, 1);
  pthread_join(thread, NULL);
  close(fd);
}

CASE(signal_descriptor) {
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, &old);
  int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  REQUIRE(fd >= 0);
  struct signalfd_siginfo info[3];
  CHECK_ERRNO(read(fd, info, sizeof info), EAGAIN);
  CHECK_ERRNO(read(fd, info, 10), EINVAL);
  CHECK_OK(kill(getpid(), SIGUSR1));
  CHECK_OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 9}));
  struct pollfd poller = {fd, POLLIN, 0};
  CHECK_EQ(poll(&poller, 1, 1000), 1);
  CHECK_EQ(read(fd, info, sizeof info), 2 * sizeof info[0]);
  CHECK_EQ(info[0].ssi_signo, SIGUSR1);
  CHECK_EQ(info[0].ssi_pid, getpid());
  CHECK_EQ(info[1].ssi_signo, SIGRTMIN);
  CHECK_EQ(info[1].ssi_int, 9);
  CHECK_ERRNO(read(fd, info, sizeof info), EAGAIN);
  close(fd);
  sigprocmask(SIG_SETMASK, &old, NULL);
}

static int watch(int epoll, int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data = {.fd = fd}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

CASE(epoll_errors) {
  int epoll = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(0, EFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN};
  CHECK_ERRNO(epoll_create1(0x40), EINVAL);
  CHECK_ERRNO(epoll_create(0), EINVAL);
  CHECK_OK(watch(epoll, fd, EPOLLIN));
  CHECK_ERRNO(watch(epoll, fd, EPOLLIN), EEXIST);
  CHECK_ERRNO(watch(epoll, 999, EPOLLIN), EBADF);
  CHECK_ERRNO(watch(epoll, epoll, EPOLLIN), EINVAL);
  CHECK_ERRNO(watch(fd, epoll, EPOLLIN), EINVAL);
  CHECK_ERRNO(epoll_ctl(epoll, 99, fd, &event), EINVAL);
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL));
  CHECK_ERRNO(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL), ENOENT);
  CHECK_ERRNO(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event), ENOENT);
  CHECK_ERRNO(epoll_wait(epoll, &event, 0, 0), EINVAL);
  CHECK_ERRNO(epoll_wait(fd, &event, 1, 0), EINVAL);
  check_enter_scratch();
  int file = open("regular", O_CREAT | O_RDWR, 0600);
  CHECK_ERRNO(watch(epoll, file, EPOLLIN), EPERM);
  close(file), close(fd), close(epoll);
}

CASE(epoll_modes) {
  int epoll = epoll_create1(0), ends[2];
  struct epoll_event got[4];
  char text[8];
  CHECK_OK(pipe2(ends, O_NONBLOCK));
  // Level triggered: as long as there is data.
  CHECK_OK(watch(epoll, ends[0], EPOLLIN));
  CHECK_EQ(epoll_wait(epoll, got, 4, 0), 0);
  CHECK_EQ(write(ends[1], "ab", 2), 2);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(epoll_wait(epoll, got, 4, 0), 1);
    CHECK_EQ(got[0].events, EPOLLIN);
    CHECK_EQ(got[0].data.fd, ends[0]);
  }
  CHECK_EQ(read(ends[0], text, 2), 2);
  CHECK_EQ(epoll_wait(epoll, got, 4, 0), 0);
  // Edge triggered: once for each arrival, data left over or not.
  struct epoll_event edge = {.events = EPOLLIN | EPOLLET, .data = {.u64 = 0x123456789abcdef}};
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &edge));
  CHECK_EQ(write(ends[1], "c", 1), 1);
  CHECK_EQ(epoll_wait(epoll, got, 4, 0), 1);
  CHECK_EQ(got[0].data.u64, 0x123456789abcdef);
  CHECK_EQ(epoll_wait(epoll, got, 4, 0), 0);
  CHECK_EQ(write(ends[1], "d", 1), 1);
  CHECK_EQ(epoll_wait(epoll, got, 4, 0), 1);
  CHECK_EQ(epoll_wait(epoll, got, 4, 0), 0);
  // One shot: disabled after the first, until it is set again, which looks at the state anew.
  struct epoll_event once = {.events = EPOLLIN | EPOLLONESHOT};
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &once));
  CHECK_EQ(epoll_wait(epoll, got, 4, 0), 1);
  CHECK_EQ(write(ends[1], "e", 1), 1);
  CHECK_EQ(epoll_wait(epoll, got, 4, 0), 0);
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &once));
  CHECK_EQ(epoll_wait(epoll, got, 4, 0), 1);
  // The other end closes: HUP is reported without being asked for.
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &edge));
  close(ends[1]);
  CHECK_EQ(epoll_wait(epoll, got, 4, 0), 1);
  CHECK(got[0].events & EPOLLHUP);
  // Closing the last descriptor removes it.
  close(ends[0]);
  CHECK_EQ(epoll_wait(epoll, got, 4, 0), 0);
  close(epoll);
}

CASE(epoll_waits_and_wakes) {
  int epoll = epoll_create1(0), fd = eventfd(0, EFD_NONBLOCK);
  struct epoll_event got;
  CHECK_OK(watch(epoll, fd, EPOLLIN));
  int64_t begin = check_now_ns();
  CHECK_EQ(epoll_wait(epoll, &got, 1, 20), 0);
  CHECK(check_now_ns() - begin >= 19000000);
  pthread_t thread = bump_later(fd);
  CHECK_EQ(epoll_wait(epoll, &got, 1, -1), 1);
  pthread_join(thread, NULL);
  // Added while it waits.
  int late = eventfd(0, EFD_NONBLOCK);
  uint64_t value;
  CHECK_EQ(read(fd, &value, 8), 8);
  CHECK_OK(watch(epoll, late, EPOLLIN | EPOLLOUT));
  CHECK_EQ(epoll_wait(epoll, &got, 1, 1000), 1);
  CHECK_EQ(got.events, EPOLLOUT);
  CHECK_EQ(got.data.fd, late);
  close(late), close(fd), close(epoll);
}

CASE(epoll_in_epoll) {
  int inner = epoll_create1(0), outer = epoll_create1(0), fd = eventfd(0, EFD_NONBLOCK);
  struct epoll_event got;
  CHECK_OK(watch(inner, fd, EPOLLIN));
  CHECK_OK(watch(outer, inner, EPOLLIN));
  CHECK_EQ(epoll_wait(outer, &got, 1, 0), 0);
  uint64_t one = 1;
  CHECK_EQ(write(fd, &one, 8), 8);
  CHECK_EQ(epoll_wait(outer, &got, 1, 1000), 1);
  CHECK_EQ(got.data.fd, inner);
  close(inner), close(outer), close(fd);
}

CASE(epoll_many) {
  enum { kMany = 500 };
  static int fds[kMany];
  int epoll = epoll_create1(0), total = 0;
  uint64_t one = 1;
  for (int i = 0; i < kMany; i++) {
    fds[i] = eventfd(0, EFD_NONBLOCK);
    CHECK_OK(watch(epoll, fds[i], EPOLLIN));
  }
  for (int i = 0; i < kMany; i += 5) CHECK_EQ(write(fds[i], &one, 8), 8);
  struct epoll_event got[32];
  for (int n; (n = epoll_wait(epoll, got, 32, 0)) > 0; total += n) {
    for (int i = 0; i < n; i++) CHECK_EQ(read(got[i].data.fd, &one, 8), 8);
  }
  CHECK_EQ(total, kMany / 5);
  for (int i = 0; i < kMany; i++) close(fds[i]);
  close(epoll);
}

CASE(poll_edges) {
  int ends[2];
  CHECK_OK(pipe(ends));
  struct pollfd set[4] = {
      {ends[0], POLLIN, 9}, {ends[1], POLLOUT, 9}, {-5, POLLIN, 9}, {888, POLLIN, 9}};
  CHECK_EQ(poll(set, 4, 1000), 2);
  CHECK_EQ(set[0].revents, 0);
  CHECK_EQ(set[1].revents, POLLOUT);
  CHECK_EQ(set[2].revents, 0);  // A negative descriptor is left out.
  CHECK_EQ(set[3].revents, POLLNVAL);
  int64_t begin = check_now_ns();
  CHECK_EQ(poll(set, 1, 20), 0);
  CHECK(check_now_ns() - begin >= 19000000);
  CHECK_EQ(poll(NULL, 0, 1), 0);
  close(ends[0]), close(ends[1]);
}

CASE(select_edges) {
  int ends[2];
  CHECK_OK(pipe(ends));
  fd_set in, out;
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(ends[0], &in);
  FD_SET(ends[1], &out);
  CHECK_EQ(select(ends[1] + 1, &in, &out, NULL, NULL), 1);
  CHECK(!FD_ISSET(ends[0], &in));
  CHECK(FD_ISSET(ends[1], &out));
  CHECK_EQ(write(ends[1], "x", 1), 1);
  FD_SET(ends[0], &in);
  CHECK_EQ(select(ends[1] + 1, &in, &out, NULL, NULL), 2);
  struct timeval time = {0, 20000}, bad = {-1, 0};
  FD_ZERO(&in);
  CHECK_EQ(select(0, NULL, NULL, NULL, &time), 0);
  CHECK_ERRNO(select(-1, NULL, NULL, NULL, &time), EINVAL);
  CHECK_ERRNO(select(0, NULL, NULL, NULL, &bad), EINVAL);
  close(ends[0]), close(ends[1]);
  FD_SET(ends[0], &in);
  CHECK_ERRNO(select(ends[0] + 1, &in, NULL, NULL, &time), EBADF);
}

CHECK_MAIN
