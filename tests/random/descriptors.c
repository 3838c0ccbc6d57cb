// The descriptor table: dup, fcntl, locks, ioctl, epoll, poll and select.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <termios.h>

#include "random.h"

OP(kFds, 10, close) {
  long fd = fd_of(kAny);
  CALL(close, fd);
  forget_fd(fd);
}
OP(kFds, 8, dup) {
  long fd = fd_of(kAny), r = CALL(dup, fd);
  note_fd(r, kind_of(fd));
}
static long target_fd(void) {
  return number(percent(80) ? (long)below(20) : ONE_OF(-1, 63, 1 << 20, 0x7fffffff));
}
OP(kFds, 6, dup2) {
  long fd = fd_of(kAny), to = target_fd(), r = CALL(dup2, fd, to);
  if (r >= 0) note_fd(r, kind_of(fd));
}
OP(kFds, 6, dup3) {
  long fd = fd_of(kAny), to = target_fd(),
       r = CALL(dup3, fd, to, hex(ONE_OF(0, O_CLOEXEC, O_CLOEXEC, 1, O_NONBLOCK)));
  if (r >= 0) note_fd(r, kind_of(fd));
}
OP(kFds, 3, close_range) {
  long first = number(below(20)), last = number(first + (long)below(8) - 1),
       bits = hex(ONE_OF(0, 0, 2, 4, 6, 1));
  if (CALL(close_range, first, last, bits) == 0 && !(bits & 4)) {
    for (long fd = first; fd <= last; fd++) forget_fd(fd);
  }
}

#define FCNTL(kind, command, argument) \
  OP(kFds, 3, fcntl_##kind) { CALL(fcntl, fd_of(kAny), command, argument); }
FCNTL(getfd, F_GETFD, 0)
FCNTL(setfd, F_SETFD, hex(ONE_OF(0, 1, 2, 3)))
FCNTL(getfl, F_GETFL, 0)
OP(kFds, 3, fcntl_setfl) {
  CALL(fcntl, fd_of(kFile | kPipeEnd), F_SETFL,
       hex(O_NONBLOCK | some_of_list(LIST(O_APPEND, O_NOATIME, O_RDWR, O_CREAT, O_SYNC))));
}
FCNTL(getown, F_GETOWN, 0)
FCNTL(getsig, F_GETSIG, 0)
FCNTL(setsig, F_SETSIG, number(ONE_OF(0, 10, 64, 65, -1)))
FCNTL(getpipe_sz, F_GETPIPE_SZ, 0)
FCNTL(setpipe_sz, F_SETPIPE_SZ,
      number(ONE_OF(0, 1, 4096, 5000, 65536, 131072, 1 << 20, 1L << 31, -1)))
FCNTL(get_seals, F_GET_SEALS, 0)
FCNTL(getlease, F_GETLEASE, 0)
FCNTL(unknown, number(ONE_OF(50, 99, 1100, -1)), 0)
OP(kFds, 3, fcntl_add_seals) { CALL(fcntl, fd_of(kMemFd), F_ADD_SEALS, FLAGS(1, 2, 4, 8, 16)); }
OP(kFds, 4, fcntl_dupfd) {
  long fd = fd_of(kAny), r = CALL(fcntl, fd, F_DUPFD, number(ONE_OF(0, 3, 10, 20, -1, 1 << 20)));
  note_fd(r, kind_of(fd));
}
OP(kFds, 4, fcntl_dupfd_cloexec) {
  long fd = fd_of(kAny),
       r = CALL(fcntl, fd, F_DUPFD_CLOEXEC, number(ONE_OF(0, 3, 10, 20, -1, 1 << 20)));
  note_fd(r, kind_of(fd));
}
static struct flock lock;
static long any_lock(void) {
  lock = (struct flock){.l_type = (short)ONE_OF(F_RDLCK, F_WRLCK, F_UNLCK, F_RDLCK, F_WRLCK, 5),
                        .l_whence = (short)ONE_OF(SEEK_SET, SEEK_SET, SEEK_CUR, SEEK_END, 4),
                        .l_start = ONE_OF(0, 1, 10, 50, 100, -5, -1000000),
                        .l_len = ONE_OF(0, 1, 10, 50, 100, -3),
                        .l_pid = (pid_t)ONE_OF(0, 0, 0, 0, 0, 0, 5)};
  say(" type %d whence %d start %ld length %ld pid %d", lock.l_type, lock.l_whence,
      (long)lock.l_start, (long)lock.l_len, lock.l_pid);
  return pointer(&lock, "lock");
}
static void say_lock(void) {
  say(" type %d whence %d start %ld length %ld", lock.l_type, lock.l_whence, (long)lock.l_start,
      (long)lock.l_len);
  if (lock.l_type != F_UNLCK) say_pid(lock.l_pid);
}
OP(kFds, 4, fcntl_setlk) { CALL(fcntl, fd_of(kFile), F_SETLK, any_lock()); }
OP(kFds, 3, fcntl_getlk) {
  if (CALL(fcntl, fd_of(kFile), F_GETLK, any_lock()) == 0) say_lock();
}
OP(kFds, 4, fcntl_ofd_setlk) { CALL(fcntl, fd_of(kFile), F_OFD_SETLK, any_lock()); }
OP(kFds, 3, fcntl_ofd_getlk) {
  if (CALL(fcntl, fd_of(kFile), F_OFD_GETLK, any_lock()) == 0) say_lock();
}

OP(kFds, 3, ioctl_fionread) {
  int value = -7;
  CALL(ioctl, fd_of(kFile | kPipeEnd | kSocket | kEvent), FIONREAD, pointer(&value, "int"));
  say(" %d", value);
}
OP(kFds, 2, ioctl_fionbio) {
  int value = 1;
  CALL(ioctl, fd_of(kAny), FIONBIO, pointer(&value, "1"));
}
OP(kFds, 2, ioctl_fioclex) { CALL(ioctl, fd_of(kAny), FIOCLEX, 0); }
OP(kFds, 2, ioctl_fionclex) { CALL(ioctl, fd_of(kAny), FIONCLEX, 0); }
OP(kFds, 2, ioctl_tcgets) {
  struct termios t;
  CALL(ioctl, fd_of(kAny), TCGETS, pointer(&t, "termios"));
}
OP(kFds, 1, ioctl_tiocoutq) {
  int value = -7;
  CALL(ioctl, fd_of(kSocket), TIOCOUTQ, pointer(&value, "int"));
}
OP(kFds, 1, ioctl_unknown) {
  CALL(ioctl, fd_of(kAny), hex(ONE_OF(0, 0x1234, 0xffffffff, 0x40045432)), 0);
}

// epoll and its kin.
OP(kFds, 4, epoll_create1) {
  note_fd(CALL(epoll_create1, hex(ONE_OF(0, O_CLOEXEC, O_CLOEXEC, 1))), kEpoll);
}
OP(kFds, 1, epoll_create) { note_fd(CALL(epoll_create, number(ONE_OF(1, 10, 0, -1))), kEpoll); }
static struct epoll_event event;
static long any_event(void) {
  event.events =
      (uint32_t)(some_of_list(LIST(EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLET)) |
                 (percent(10) ? ONE_OF(EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLERR, 1 << 27) : 0));
  event.data.u64 = below(1000);
  say(" events 0x%x data %llu", event.events, (unsigned long long)event.data.u64);
  return pointer(&event, "");
}
#define WAITABLE \
  fd_of(kPipeEnd | kSocket | kEvent | kEpoll | kSignalFd | kTimerFd | kPidFd | kQueue)
OP(kFds, 6, epoll_ctl_add) { CALL(epoll_ctl, fd_of(kEpoll), EPOLL_CTL_ADD, WAITABLE, any_event()); }
OP(kFds, 3, epoll_ctl_mod) { CALL(epoll_ctl, fd_of(kEpoll), EPOLL_CTL_MOD, WAITABLE, any_event()); }
OP(kFds, 3, epoll_ctl_del) { CALL(epoll_ctl, fd_of(kEpoll), EPOLL_CTL_DEL, WAITABLE, any_event()); }
OP(kFds, 1, epoll_ctl_unknown) {
  CALL(epoll_ctl, fd_of(kEpoll), number(ONE_OF(0, 4, -1)), WAITABLE, any_event());
}
static struct epoll_event events[16];
static int by_event(const void* a, const void* b) {
  return memcmp(a, b, sizeof(struct epoll_event));
}
static void say_events(long count) {
  if (count < 0) return;
  qsort(events, (size_t)count, sizeof *events, by_event);
  for (long i = 0; i < count; i++)
    say(" %llu:0x%x", (unsigned long long)events[i].data.u64, events[i].events);
}
#define EVENTS pointer(events, "events")
static long event_count(void) { return number(percent(90) ? 16 : ONE_OF(0, -1, 0x7fffffff)); }
OP(kFds, 5, epoll_wait) { say_events(CALL(epoll_wait, fd_of(kEpoll), EVENTS, event_count(), 0)); }
OP(kFds, 3, epoll_pwait) {
  uint64_t mask = 0;
  say_events(CALL(epoll_pwait, fd_of(kEpoll), EVENTS, event_count(), 0,
                  percent(50) ? pointer(&mask, "mask") : 0, number(ONE_OF(8, 8, 8, 4))));
}
OP(kFds, 3, epoll_pwait2) {
  struct timespec none = {0, ONE_OF(0, 0, 0, 1000000000, -1)};
  say("%ld ", none.tv_nsec);
  say_events(
      CALL(epoll_pwait2, fd_of(kEpoll), EVENTS, event_count(), pointer(&none, "timeout"), 0, 8));
}

static struct pollfd polled[6];
static int any_poll(void) {
  int count = (int)below(5);
  for (int i = 0; i < count; i++) {
    polled[i] = (struct pollfd){
        (int)fd_of(kAny), (short)some_of_list(LIST(POLLIN, POLLOUT, POLLPRI, POLLRDHUP)), 0x55};
    say(":0x%x", polled[i].events);
  }
  return count;
}
static void say_poll(long r, int count) {
  for (int i = 0; r >= 0 && i < count; i++) say(" 0x%x", polled[i].revents);
}
OP(kFds, 5, poll) {
  int count = any_poll();
  say_poll(CALL(poll, pointer(polled, "fds"), number(percent(97) ? count : 1 << 30), 0), count);
}
OP(kFds, 4, ppoll) {
  int count = any_poll();
  struct timespec none = {0, ONE_OF(0, 0, 0, 1000000000)};
  say(" %ld", none.tv_nsec);
  uint64_t mask = 0;
  long r = CALL(ppoll, pointer(polled, "fds"), number(count), pointer(&none, "timeout"),
                percent(40) ? pointer(&mask, "mask") : 0, number(ONE_OF(8, 8, 8, 16)));
  say_poll(r, count);
}
static fd_set sets[3];
static int any_sets(void) {
  memset(sets, 0, sizeof sets);
  int highest = 0;
  for (int i = (int)below(5); i > 0; i--) {
    int fd = (int)fd_of(kAny), which = (int)below(3);
    if (fd < 0 || fd > 63) continue;
    say("/%d", which);
    FD_SET(fd, &sets[which]);
    if (fd >= highest) highest = fd + 1;
  }
  return percent(95) ? highest : (int)ONE_OF(-1, 0, 5, 64, 100000);
}
static void say_sets(void) {
  for (int i = 0; i < 3; i++) say(" %lx", (unsigned long)sets[i].fds_bits[0]);
}
OP(kFds, 4, select) {
  int count = any_sets();
  struct timeval none = {ONE_OF(0, 0, 0, 0, -1), 0};
  say(" %ld", (long)none.tv_sec);
  CALL(select, number(count), pointer(&sets[0], "in"), pointer(&sets[1], "out"),
       pointer(&sets[2], "except"), pointer(&none, "timeout"));
  say_sets();
}
OP(kFds, 3, pselect6) {
  int count = any_sets();
  struct timespec none = {0, ONE_OF(0, 0, 0, 0, -1)};
  say(" %ld", none.tv_nsec);
  CALL(pselect6, number(count), pointer(&sets[0], "in"), pointer(&sets[1], "out"),
       pointer(&sets[2], "except"), pointer(&none, "timeout"), 0);
  say_sets();
}
