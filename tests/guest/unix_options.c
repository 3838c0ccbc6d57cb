// Options of unix sockets (socket(7), unix(7)), what they do to messages, and questions about interfaces (netdevice(7)).
#include <ifaddrs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "identity.h"

static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
static int pair[2];
static char big[1 << 20];

static void open_pair(int type) {
  REQUIRE(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, pair) == 0);
}
static void close_pair(void) { close(pair[0]), close(pair[1]); }

static int set(int fd, int name, int value) {
  return setsockopt(fd, SOL_SOCKET, name, &value, sizeof value);
}
static int get(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  CHECK_OK(getsockopt(fd, SOL_SOCKET, name, &value, &size));
  return value;
}

CASE(interfaces) {
  unsigned index = if_nametoindex("lo");
  char name[IF_NAMESIZE];
  CHECK(index != 0);
  CHECK_STR(if_indextoname(index, name), "lo");
  CHECK_EQ(if_nametoindex("no-such-one"), 0);
  CHECK_EQ(errno, ENODEV);
  CHECK(if_indextoname(1 << 20, name) == NULL);
  int has_loopback = 0;
  struct if_nameindex* all = if_nameindex();
  REQUIRE(all != NULL);
  for (struct if_nameindex* at = all; at->if_index != 0; at++)
    has_loopback |= strcmp(at->if_name, "lo") == 0 && at->if_index == index;
  if_freenameindex(all);
  CHECK(has_loopback);
  struct ifaddrs *addresses, *at;
  REQUIRE(getifaddrs(&addresses) == 0);
  for (at = addresses; at != NULL && strcmp(at->ifa_name, "lo") != 0;) at = at->ifa_next;
  CHECK(at != NULL && (at->ifa_flags & IFF_LOOPBACK) != 0);
  freeifaddrs(addresses);

  open_pair(SOCK_STREAM);
  struct ifreq request = {.ifr_name = "lo"};
  CHECK_OK(ioctl(pair[0], SIOCGIFFLAGS, &request));
  CHECK((request.ifr_flags & IFF_LOOPBACK) != 0);
  CHECK_OK(ioctl(pair[0], SIOCGIFMTU, &request));
  CHECK_EQ(request.ifr_mtu, 65536);
  CHECK_ERRNO(ioctl(pair[0], SIOCGIFADDR, &request), ENOTTY);  // an address of another family
  CHECK_ERRNO(ioctl(pair[0], SIOCGIFINDEX, NULL), EFAULT);
  CHECK_ERRNO(ioctl(pair[0], 0x8999, &request), ENOTTY);
  struct ifconf list = {.ifc_len = 0, .ifc_req = NULL};
  CHECK_OK(ioctl(pair[0], SIOCGIFCONF, &list));
  CHECK(list.ifc_len % (int)sizeof(struct ifreq) == 0);
  close_pair();
}

CASE(buffer_sizes) {
  for (int i = 0; i < 3; i++) {
    open_pair(types[i]);
    CHECK_EQ(get(pair[0], SO_SNDBUF), 212992);
    CHECK_EQ(get(pair[0], SO_RCVBUF), 212992);
    CHECK_OK(set(pair[0], SO_SNDBUF, 1));
    CHECK_OK(set(pair[0], SO_RCVBUF, 1));
    CHECK_EQ(get(pair[0], SO_SNDBUF), 4608);
    CHECK_EQ(get(pair[0], SO_RCVBUF), 2304);
    CHECK_OK(set(pair[0], SO_SNDBUF, 10000));
    CHECK_EQ(get(pair[0], SO_SNDBUF), 20000);
    CHECK_OK(set(pair[0], SO_SNDBUFFORCE, -1));
    CHECK_EQ(get(pair[0], SO_SNDBUF), 4608);
    CHECK_OK(set(pair[0], SO_SNDBUFFORCE, INT32_MAX));
    CHECK_EQ(get(pair[0], SO_SNDBUF), INT32_MAX - 1);
    CHECK_OK(set(pair[0], SO_RCVBUFFORCE, 1 << 24));
    CHECK_EQ(get(pair[0], SO_RCVBUF), 1 << 25);
    CHECK_EQ(get(pair[1], SO_SNDBUF), 212992);
    int value;
    socklen_t size = sizeof value;
    CHECK_ERRNO(getsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &value, &size), ENOPROTOOPT);
    CHECK_ERRNO(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &value, 3), EINVAL);
    close_pair();
  }
}

static long fill(int fd, size_t size) {
  long count = 0;
  while (send(fd, big, size, MSG_NOSIGNAL) == (ssize_t)size) count++;
  return count;
}
static void drain(int fd) {
  while (recv(fd, big, sizeof big, 0) > 0) continue;
}

// How many messages of a size are taken, and how large one may be.
CASE(limits) {
  static const int limits[] = {4608, 20000, 106496, 1 << 20};
  static const size_t sizes[] = {1, 100, 1000, 2000};
  for (int i = 0; i < 3; i++) {
    open_pair(types[i]);
    for (int j = 0; j < 4; j++) {
      CHECK_OK(set(pair[0], SO_SNDBUFFORCE, limits[j] / 2));
      printf("%d bytes of type %d:", limits[j], types[i]);
      for (int k = 0; k < 4; k++) {
        printf(" %ld", fill(pair[0], sizes[k]));
        drain(pair[1]);
      }
      printf("\n");
      struct pollfd poller = {pair[0], POLLOUT, 0};
      CHECK_EQ(poll(&poller, 1, 0), 1);
      if (types[i] == SOCK_STREAM) continue;
      CHECK_ERRNO(send(pair[0], big, (size_t)limits[j] - 31, 0), EMSGSIZE);
      CHECK_EQ(send(pair[0], big, (size_t)limits[j] - 32, 0), limits[j] - 32);
      // Of one that fills it all, nothing more goes before it is read.
      CHECK_EQ(poll(&poller, 1, 0), 0);
      CHECK_ERRNO(send(pair[0], "x", 1, 0), EAGAIN);
      CHECK_EQ(recv(pair[1], big, sizeof big, 0), limits[j] - 32);
      CHECK_EQ(poll(&poller, 1, 0), 1);
    }
    close_pair();
  }
}

// What is not read counts with its overhead, and for the sender; half a message counts whole.
CASE(unread) {
  int bytes = -1;
  for (int i = 0; i < 3; i++) {
    open_pair(types[i]);
    CHECK_EQ(send(pair[0], big, 100, 0), 100);
    CHECK_OK(ioctl(pair[0], SIOCOUTQ, &bytes));
    CHECK_EQ(bytes, 768);
    CHECK_EQ(recv(pair[1], big, 50, 0), 50);
    CHECK_OK(ioctl(pair[0], SIOCOUTQ, &bytes));
    CHECK_EQ(bytes, types[i] == SOCK_STREAM ? 768 : 0);
    drain(pair[1]);
    CHECK_OK(ioctl(pair[0], SIOCOUTQ, &bytes));
    CHECK_EQ(bytes, 0);
    // Whoever reads no more gives it back.
    CHECK_EQ(send(pair[0], big, 5000, 0), 5000);
    CHECK_OK(ioctl(pair[0], SIOCOUTQ, &bytes));
    CHECK(bytes > 5000);
    close(pair[1]);
    CHECK_OK(ioctl(pair[0], SIOCOUTQ, &bytes));
    CHECK_EQ(bytes, 0);
    close(pair[0]);
  }
  // One that many receivers have not read.
  open_pair(SOCK_DGRAM);
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  CHECK_OK(set(pair[0], SO_SNDBUF, 0));
  int receivers[2], sent = 0;
  for (int i = 0; i < 2; i++) {
    receivers[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    snprintf(name.sun_path, sizeof name.sun_path, "%cunix_options.%d.%d", 0, getpid(), i);
    REQUIRE(bind(receivers[i], (struct sockaddr*)&name, sizeof name) == 0);
    for (int j = 0; j < 4; j++)
      sent += sendto(pair[0], big, 1, 0, (struct sockaddr*)&name, sizeof name) == 1;
  }
  CHECK_EQ(sent, 6);
  CHECK_EQ(recv(receivers[0], big, 1, 0), 1);
  CHECK_EQ(sendto(pair[0], big, 1, 0, (struct sockaddr*)&name, sizeof name), 1);
  for (int i = 0; i < 2; i++) close(receivers[i]);
  close_pair();
}

static void* read_later(void* fd) {
  check_until_others_sleep();
  long count = 0;
  for (long got; (got = recv((int)(long)fd, big, 4096, 0)) > 0;) count += got;
  return (void*)count;
}

CASE(waiting_sender) {
  static char data[300000];
  for (int i = 0; i < 3; i += 2) {
    REQUIRE(socketpair(AF_UNIX, types[i], 0, pair) == 0);
    CHECK_OK(set(pair[0], SO_SNDBUF, 3000));
    pthread_t reader;
    REQUIRE(pthread_create(&reader, NULL, read_later, (void*)(long)pair[1]) == 0);
    long sent = 0, step = types[i] == SOCK_STREAM ? (long)sizeof data : 3000;
    while (sent < (long)sizeof data) {
      long now = send(pair[0], data, (size_t)step, 0);
      CHECK_EQ(now, step);
      if (now <= 0) break;
      sent += now;
    }
    shutdown(pair[0], SHUT_WR);
    void* count;
    pthread_join(reader, &count);
    CHECK_EQ((long)count, sizeof data);
    close_pair();
  }
  // A larger limit lets the sender go on.
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK_OK(set(pair[0], SO_SNDBUF, 0));
  struct timeval soon = {0, 1000};
  CHECK_OK(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon));
  CHECK_EQ(send(pair[0], data, 10000, 0), 4480);
  CHECK_ERRNO(send(pair[0], data, 1, 0), EAGAIN);
  CHECK_OK(set(pair[0], SO_SNDBUF, 10000));
  CHECK_EQ(send(pair[0], data, 1, 0), 1);
  close_pair();
}

CASE(peer_groups) {
  gid_t groups[] = {7, 3, 100}, told[8];
  socklen_t size = sizeof told;
  REQUIRE(setgroups(3, groups) == 0);
  open_pair(SOCK_STREAM);
  REQUIRE(setgroups(0, NULL) == 0);
  CHECK_OK(getsockopt(pair[0], SOL_SOCKET, SO_PEERGROUPS, told, &size));
  CHECK_EQ(size, 3 * sizeof(gid_t));
  CHECK_EQ(told[0] * 10000 + told[1] * 1000 + told[2], 3 * 10000 + 7 * 1000 + 100);
  size = 4;
  CHECK_ERRNO(getsockopt(pair[0], SOL_SOCKET, SO_PEERGROUPS, told, &size), ERANGE);
  CHECK_EQ(size, 3 * sizeof(gid_t));
  CHECK_ERRNO(setsockopt(pair[0], SOL_SOCKET, SO_PEERGROUPS, told, sizeof told), ENOPROTOOPT);
  close_pair();
  open_pair(SOCK_DGRAM);
  size = sizeof told;
  CHECK_OK(getsockopt(pair[1], SOL_SOCKET, SO_PEERGROUPS, told, &size));
  CHECK_EQ(size, 0);
  close_pair();
  int alone = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_ERRNO(getsockopt(alone, SOL_SOCKET, SO_PEERGROUPS, told, &size), ENODATA);
  close(alone);
}

static int cookie_of(int fd, uint64_t* cookie) {
  socklen_t size = sizeof *cookie;
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, &size);
}

CASE(kept_options) {
  static const int flags[] = {SO_PASSSEC, SO_NO_CHECK, SO_RXQ_OVFL, SO_SELECT_ERR_QUEUE,
                              SO_OOBINLINE};
  open_pair(SOCK_STREAM);
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    CHECK_EQ(get(pair[0], flags[i]), 0);
    CHECK_OK(set(pair[0], flags[i], 5));
    CHECK_EQ(get(pair[0], flags[i]), 1);
    CHECK_EQ(get(pair[1], flags[i]), 0);
    CHECK_OK(set(pair[0], flags[i], 0));
    CHECK_EQ(get(pair[0], flags[i]), 0);
  }
  CHECK_OK(set(pair[0], SO_MARK, 77));
  CHECK_EQ(get(pair[0], SO_MARK), 77);
  uint64_t first = 0, second = 0, again = 0;
  CHECK_OK(cookie_of(pair[0], &first));
  CHECK_OK(cookie_of(pair[1], &second));
  CHECK_OK(cookie_of(pair[0], &again));
  CHECK(first != 0 && second != 0 && first != second && first == again);
  socklen_t size = 4;
  CHECK_ERRNO(getsockopt(pair[0], SOL_SOCKET, SO_COOKIE, &first, &size), EINVAL);
  CHECK_ERRNO(set(pair[0], SO_COOKIE, 1), ENOPROTOOPT);
  close_pair();
}

static void try_privileged(void) {
  open_pair(SOCK_STREAM);
  CHECK_ERRNO(set(pair[0], SO_SNDBUFFORCE, 5000), EPERM);
  CHECK_ERRNO(set(pair[0], SO_RCVBUFFORCE, 5000), EPERM);
  CHECK_ERRNO(set(pair[0], SO_MARK, 1), EPERM);
  CHECK_OK(set(pair[0], SO_SNDBUF, 5000));
  CHECK_EQ(get(pair[0], SO_SNDBUF), 10000);
  close_pair();
}
CASE(privileges) { unprivileged(try_privileged); }

// The time that came with a message, or -1; `type` is how.
static int time_type, other_type;
static int64_t receive_time(int fd, int flags) {
  char text[8], control[200];
  struct iovec piece = {text, sizeof text};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control};
  message.msg_controllen = sizeof control;
  CHECK_EQ(recvmsg(fd, &message, flags), 1);
  time_type = other_type = 0;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == NULL) return -1;
  time_type = header->cmsg_type;
  CHECK_EQ(header->cmsg_len, CMSG_LEN(sizeof(struct timespec)));
  struct timespec time;
  memcpy(&time, CMSG_DATA(header), sizeof time);
  header = CMSG_NXTHDR(&message, header);
  if (header != NULL) other_type = header->cmsg_type;
  int is_short = time_type == SO_TIMESTAMP || time_type == SO_TIMESTAMP_NEW;
  return time.tv_sec * 1000000000L + time.tv_nsec * (is_short ? 1000 : 1);
}
static int64_t wall_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000000000L + now.tv_nsec;
}

CASE(times) {
  static const int names[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW};
  for (int i = 1; i < 3; i++) {
    open_pair(types[i]);
    for (int j = 0; j < 4; j++) {
      CHECK_OK(set(pair[1], names[j], 1));
      // The last one tells of the one before it, too.
      for (int k = 0; k < 4; k++) CHECK_EQ(get(pair[1], names[k]), j == k || (j == 3 && k == 2));
      int64_t before = wall_clock();
      CHECK_EQ(send(pair[0], "x", 1, 0), 1);
      int64_t after = wall_clock();
      int64_t time = receive_time(pair[1], MSG_PEEK);
      CHECK_EQ(time_type, names[j]);
      CHECK(time >= before - 1000 && time <= after);
      CHECK_EQ(receive_time(pair[1], 0), time);
    }
    // Before the identity; and with any of the names it ends.
    CHECK_OK(set(pair[1], SO_PASSCRED, 1));
    CHECK_EQ(send(pair[0], "x", 1, 0), 1);
    CHECK(receive_time(pair[1], 0) > 0);
    CHECK_EQ(other_type, SCM_CREDENTIALS);
    CHECK_OK(set(pair[1], SO_PASSCRED, 0));
    CHECK_OK(set(pair[1], SO_TIMESTAMP, 0));
    CHECK_EQ(get(pair[1], SO_TIMESTAMPNS_NEW), 0);
    CHECK_EQ(send(pair[0], "x", 1, 0), 1);
    CHECK_EQ(receive_time(pair[1], 0), -1);
    // What was sent before has the time when it is received.
    CHECK_EQ(send(pair[0], "x", 1, 0), 1);
    CHECK_OK(set(pair[1], SO_TIMESTAMPNS, 1));
    int64_t asked = wall_clock();
    CHECK(receive_time(pair[1], 0) >= asked);
    close_pair();
  }
  open_pair(SOCK_STREAM);
  CHECK_OK(set(pair[1], SO_TIMESTAMP, 1));
  CHECK_EQ(get(pair[1], SO_TIMESTAMP), 1);
  CHECK_EQ(send(pair[0], "x", 1, 0), 1);
  CHECK_EQ(receive_time(pair[1], 0), -1);
  close_pair();
}

static const char* peek(size_t size, int flags) {
  static char text[16];
  memset(text, 0, sizeof text);
  long got = recv(pair[1], text, size, flags);
  if (got < 0) snprintf(text, sizeof text, "error %d", errno);
  return text;
}

CASE(peek_offset) {
  open_pair(SOCK_STREAM);
  CHECK_EQ(get(pair[1], SO_PEEK_OFF), -1);
  CHECK_OK(set(pair[1], SO_PEEK_OFF, 1));
  CHECK_EQ(send(pair[0], "abcd", 4, 0), 4);
  CHECK_EQ(send(pair[0], "efgh", 4, 0), 4);
  CHECK_STR(peek(2, MSG_PEEK), "bc");
  CHECK_EQ(get(pair[1], SO_PEEK_OFF), 3);
  CHECK_STR(peek(3, MSG_PEEK), "def");
  CHECK_STR(peek(2, 0), "ab");
  CHECK_EQ(get(pair[1], SO_PEEK_OFF), 4);
  CHECK_STR(peek(9, MSG_PEEK), "gh");
  CHECK_STR(peek(9, MSG_PEEK), "error 11");
  CHECK_EQ(send(pair[0], "i", 1, 0), 1);
  CHECK_STR(peek(9, MSG_PEEK), "i");
  CHECK_STR(peek(9, 0), "cdefghi");
  CHECK_EQ(get(pair[1], SO_PEEK_OFF), 0);
  CHECK_OK(set(pair[1], SO_PEEK_OFF, -5));
  CHECK_EQ(get(pair[1], SO_PEEK_OFF), -5);
  CHECK_EQ(send(pair[0], "xy", 2, 0), 2);
  CHECK_STR(peek(9, MSG_PEEK), "xy");
  CHECK_STR(peek(9, MSG_PEEK), "xy");
  CHECK_EQ(get(pair[1], SO_PEEK_OFF), -5);
  close_pair();
  for (int i = 1; i < 3; i++) {
    open_pair(types[i]);
    CHECK_OK(set(pair[1], SO_PEEK_OFF, 0));
    CHECK_EQ(send(pair[0], "abcd", 4, 0), 4);
    CHECK_EQ(send(pair[0], "", 0, 0), 0);
    CHECK_EQ(send(pair[0], "ef", 2, 0), 2);
    CHECK_STR(peek(3, MSG_PEEK), "abc");
    CHECK_EQ(get(pair[1], SO_PEEK_OFF), 3);
    CHECK_STR(peek(3, MSG_PEEK), "d");
    CHECK_STR(peek(3, MSG_PEEK), "");
    CHECK_STR(peek(3, MSG_PEEK), "ef");
    CHECK_STR(peek(3, MSG_PEEK), "error 11");
    CHECK_STR(peek(9, 0), "abcd");
    CHECK_EQ(get(pair[1], SO_PEEK_OFF), 2);
    CHECK_EQ(recv(pair[1], big, 9, 0), 0);
    CHECK_STR(peek(9, 0), "ef");
    CHECK_EQ(get(pair[1], SO_PEEK_OFF), 0);
    CHECK_OK(set(pair[1], SO_PEEK_OFF, -1));
    CHECK_EQ(send(pair[0], "", 0, 0), 0);
    for (int j = 0; j < 3; j++) CHECK_EQ(recv(pair[1], big, 9, j < 2 ? MSG_PEEK : 0), 0);
    close_pair();
  }
}

// recvmmsg(2) keeps what failed after the first message for the next call, but not that there was nothing more.
CASE(kept_error) {
  char text[8];
  struct iovec pieces[2] = {{text, sizeof text}, {(void*)1, sizeof text}};
  struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &pieces[0], .msg_iovlen = 1}},
                                {.msg_hdr = {.msg_iov = &pieces[1], .msg_iovlen = 1}}};
  for (int round = 0; round < 3; round++) {
    open_pair(SOCK_DGRAM);
    CHECK_EQ(send(pair[0], "one", 3, 0), 3);
    CHECK_EQ(send(pair[0], "two", 3, 0), 3);
    CHECK_EQ(send(pair[0], "three", 5, 0), 5);
    CHECK_EQ(recvmmsg(pair[1], messages, 2, 0, NULL), 1);
    struct pollfd poller = {pair[1], POLLIN, 0};
    CHECK_EQ(poll(&poller, 1, 0), 1);
    CHECK_EQ(poller.revents, POLLIN | POLLERR);
    if (round == 0) CHECK_ERRNO(recv(pair[1], text, sizeof text, 0), EFAULT);
    if (round == 1) CHECK_EQ(get(pair[1], SO_ERROR), EFAULT);
    if (round == 2) CHECK_ERRNO(recvmmsg(pair[1], messages, 1, 0, NULL), EFAULT);
    CHECK_EQ(get(pair[1], SO_ERROR), 0);
    CHECK_EQ(recv(pair[1], text, sizeof text, 0), 5);
    CHECK_EQ(send(pair[0], "four", 4, 0), 4);
    CHECK_EQ(recvmmsg(pair[1], messages, 2, 0, NULL), 1);
    CHECK_EQ(get(pair[1], SO_ERROR), 0);
    CHECK_ERRNO(recvmmsg(pair[1], messages, 2, 0, NULL), EAGAIN);
    close_pair();
  }
}

CHECK_MAIN
