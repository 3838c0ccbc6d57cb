// Unix sockets: pairs, names in the directory and abstract ones, messages with descriptors and credentials, options.
#include <sys/socket.h>
#include <sys/un.h>

#include "random.h"

#define SOCKET fd_of(kSocket)
static long socket_type(void) {
  return hex(
      SOCK_NONBLOCK |
      ONE_OF(SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM | SOCK_CLOEXEC) |
      (percent(3) ? ONE_OF(SOCK_RAW, 0x10, 7, 0x1000) : 0));
}
OP(kSockets, 10, socket) {
  long r = CALL(socket, number(percent(95) ? AF_UNIX : ONE_OF(-1, 99, 0)), socket_type(),
                number(ONE_OF(0, 0, 0, 0, 1, 5)));
  if (r >= 0) note_fd(r, kSocket);
}
OP(kSockets, 12, socketpair) {
  int fds[2] = {-1, -1};
  long r = CALL(socketpair, number(percent(95) ? AF_UNIX : ONE_OF(99, 0, AF_INET)), socket_type(),
                number(ONE_OF(0, 0, 0, 0, 3)), pointer(fds, "fds"));
  if (r == 0) {
    say(" %d %d", fds[0], fds[1]);
    note_fd(fds[0], kSocket);
    note_fd(fds[1], kSocket);
  }
}

static struct sockaddr_un address;
static socklen_t address_size;
static long any_address(void) {
  static const char* const names[] = {"s1", "s2", "d/s3", "a", "no/such"};
  memset(&address, 0, sizeof address);
  address.sun_family = (sa_family_t)(percent(97) ? AF_UNIX : ONE_OF(0, AF_INET, 99));
  unsigned roll = below(100);
  if (roll < 60) {
    const char* name = names[below(percent(80) ? 2 : 5)];
    strcpy(address.sun_path, name);
    address_size = (socklen_t)(2 + strlen(name) + 1);
    say(" %s", name);
  } else if (roll < 90) {
    int which = (int)below(2);
    address_size = (socklen_t)(2 +
                               snprintf(address.sun_path + 1, 100, "random.%s.%d",
                                        strrchr(sequence_directory, '/'), which) +
                               1);
    say(" @%d", which);
  } else {
    address_size = (socklen_t)ONE_OF(2, 1, 0, 111, 3, 110);
    if (address_size > 3) memset(address.sun_path, 'u', sizeof address.sun_path);
    say(" size %u", address_size);
  }
  if (address.sun_family != AF_UNIX) say(" family %d", address.sun_family);
  return pointer(&address, "");
}
static void say_address(const struct sockaddr_un* from, socklen_t size) {
  say(" from size %u", size);
  if (size > 2 && size <= sizeof *from) {
    if (from->sun_path[0]) {
      say(" %.20s", from->sun_path);
    } else {
      // An abstract name has the sequence in it, or is the system's choice.
      say(" @%d", size > 3 && from->sun_path[1] == 'r' ? from->sun_path[size - 3] : -1);
    }
  }
}
OP(kSockets, 10, bind) { CALL(bind, SOCKET, any_address(), number(address_size)); }
OP(kSockets, 8, listen) { CALL(listen, SOCKET, number(ONE_OF(0, 1, 5, 128, -1))); }
OP(kSockets, 12, connect) { CALL(connect, SOCKET, any_address(), number(address_size)); }
static void accepted(long r) {
  if (r < 0) return;
  fcntl((int)r, F_SETFL, O_RDWR | O_NONBLOCK);
  note_fd(r, kSocket);
}
// An accept may wait if the descriptor is blocking, which ours never are.
OP(kSockets, 6, accept) {
  struct sockaddr_un from;
  socklen_t size = (socklen_t)ONE_OF(sizeof from, sizeof from, 2, 0);
  long r = CALL(accept, SOCKET, percent(50) ? pointer(&from, "from") : 0, pointer(&size, "size"));
  accepted(r);
}
OP(kSockets, 6, accept4) {
  struct sockaddr_un from = {0};
  socklen_t size = sizeof from;
  long r = CALL(accept4, SOCKET, pointer(&from, "from"), pointer(&size, "size"),
                hex(ONE_OF(0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK, 1)));
  if (r >= 0) say_address(&from, size);
  accepted(r);
}
static void socket_name(int call) {
  struct sockaddr_un name = {0};
  socklen_t size = (socklen_t)ONE_OF(sizeof name, sizeof name, 5, 0, -1);
  say("%d ", (int)size);
  long r = quiet(call, SOCKET, pointer(&name, "name"), pointer(&size, "size"), 0, 0, 0);
  say_result(r);
  if (r == 0) say_address(&name, size);
}
OP(kSockets, 4, getsockname) { socket_name(SYS_getsockname); }
OP(kSockets, 4, getpeername) { socket_name(SYS_getpeername); }
OP(kSockets, 5, shutdown) { CALL(shutdown, SOCKET, number(ONE_OF(0, 1, 2, 3, -1))); }

static long message_flags(void) {
  return hex(MSG_DONTWAIT | some_of_list(LIST(MSG_NOSIGNAL)) |
             (percent(15) ? ONE_OF(MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_OOB, MSG_EOR,
                                   MSG_DONTROUTE, MSG_ERRQUEUE)
                          : 0));
}
// Not MSG_OOB: the LibOS is as a kernel without CONFIG_AF_UNIX_OOB.
static long send_flags(void) {
  return hex(MSG_DONTWAIT | some_of_list(LIST(MSG_NOSIGNAL)) |
             (percent(15)
                  ? ONE_OF(MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_EOR, MSG_DONTROUTE, MSG_ERRQUEUE)
                  : 0));
}
static long message_size(void) { return number(ONE_OF(0, 1, 10, 100, 1000, 4096, 10000)); }
OP(kSockets, 10, sendto) { CALL(sendto, SOCKET, input(10000), message_size(), send_flags(), 0, 0); }
OP(kSockets, 5, sendto_address) {
  CALL(sendto, SOCKET, input(1000), number(ONE_OF(0, 1, 100)), send_flags(), any_address(),
       number(address_size));
}
OP(kSockets, 10, recvfrom) {
  struct sockaddr_un from = {0};
  socklen_t size = sizeof from;
  bool with = percent(50);
  long r = CALL(recvfrom, SOCKET, output(), message_size(), message_flags(),
                with ? pointer(&from, "from") : 0, with ? pointer(&size, "size") : 0);
  if (r >= 0) {
    say_output(r < kBuffer ? r : 0);
    if (with) say_address(&from, size);
  }
}
OP(kSockets, 4, socket_write) { CALL(write, SOCKET, input(10000), message_size()); }
OP(kSockets, 4, socket_read) {
  long r = CALL(read, SOCKET, output(), message_size());
  if (r >= 0) say_output(r);
}

static struct msghdr message;
static struct iovec pieces[3];
static char control[256] __attribute__((aligned(8)));
static long out_message(void) {
  memset(&message, 0, sizeof message);
  memset(control, 0, sizeof control);
  long base = input(3000);
  for (int i = 0; i < 3; i++)
    pieces[i] = (struct iovec){(char*)base + 1000 * i, (size_t)ONE_OF(0, 1, 10, 1000)};
  message.msg_iov = pieces;
  message.msg_iovlen = below(4);
  for (size_t i = 0; i < message.msg_iovlen; i++) say(" %zu", pieces[i].iov_len);
  unsigned roll = below(10);
  struct cmsghdr* head = (struct cmsghdr*)control;
  if (roll < 4) {
    int count = 1 + (int)below(3), fds[3];
    say(" rights");
    for (int i = 0; i < count; i++) {
      // Sockets within sockets would make cycles, which only a collector ends.
      do fds[i] = (int)fd_of(kFile | kPipeEnd | kEvent);
      while (kind_of(fds[i]) & (kSocket | kEpoll));
    }
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(head), fds, (size_t)count * sizeof(int));
    message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    message.msg_control = control;
  } else if (roll < 6) {
    struct ucred sender = {getpid(), (uid_t)ONE_OF(0, 0, 1000), (gid_t)ONE_OF(0, 0, 5)};
    say(" credentials %u %u", sender.uid, sender.gid);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_CREDENTIALS;
    head->cmsg_len = CMSG_LEN(sizeof sender);
    memcpy(CMSG_DATA(head), &sender, sizeof sender);
    message.msg_controllen = CMSG_SPACE(sizeof sender);
    message.msg_control = control;
  } else if (roll < 7) {
    head->cmsg_level = (int)ONE_OF(SOL_SOCKET, 0, 99);
    head->cmsg_type = (int)ONE_OF(77, 0, 1);
    head->cmsg_len = (size_t)ONE_OF(0, 5, CMSG_LEN(4), 1000, -1);
    message.msg_controllen = (size_t)ONE_OF(16, 24, 8, 200);
    message.msg_control = control;
    say(" odd %d %d %ld %zu", head->cmsg_level, head->cmsg_type, (long)head->cmsg_len,
        message.msg_controllen);
  }
  return pointer(&message, " message");
}
static void say_message(long r) {
  say(" flags 0x%x", message.msg_flags);
  if (r >= 0) say_output(r < kBuffer ? r : 0);
  for (struct cmsghdr* head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
    say(" control %d %d %zu", head->cmsg_level, head->cmsg_type, (size_t)head->cmsg_len);
    if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
      for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= head->cmsg_len; at += sizeof(int)) {
        int fd;
        memcpy(&fd, CMSG_DATA(head) + at, sizeof fd);
        note_fd(fd, kind_by_look(fd));
        if (kind_of(fd) == kOther) note_fd(fd, kEvent);
        say(" fd %d", fd);
      }
    } else if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_CREDENTIALS) {
      struct ucred sender;
      memcpy(&sender, CMSG_DATA(head), sizeof sender);
      say_pid(sender.pid);
      say(" %d %d", (int)sender.uid, (int)sender.gid);
    }
  }
}
OP(kSockets, 12, sendmsg) {
  long fd = SOCKET;
  CALL(sendmsg, fd, out_message(), send_flags());
}
static long in_message(void) {
  memset(&message, 0, sizeof message);
  memset(control, 0, sizeof control);
  output();
  pieces[0] = (struct iovec){output_buffer, (size_t)ONE_OF(0, 1, 100, 10000)};
  message.msg_iov = pieces;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = (size_t)ONE_OF(256, 256, 256, 0, 20, 24);
  say(" %zu %zu", pieces[0].iov_len, message.msg_controllen);
  return pointer(&message, " message");
}
OP(kSockets, 12, recvmsg) {
  long fd = SOCKET;
  long r =
      CALL(recvmsg, fd, in_message(), message_flags() | (percent(30) ? hex(MSG_CMSG_CLOEXEC) : 0));
  if (r >= 0) say_message(r);
}
OP(kSockets, 3, sendmmsg) {
  long fd = SOCKET;
  out_message();
  struct mmsghdr all[2] = {{message, 7}, {message, 7}};
  all[1].msg_hdr.msg_control = NULL;
  all[1].msg_hdr.msg_controllen = 0;
  long r = CALL(sendmmsg, fd, pointer(all, "messages"), number(ONE_OF(2, 2, 1, 0)), send_flags());
  if (r >= 0) say(" %u %u", all[0].msg_len, all[1].msg_len);
}
OP(kSockets, 3, recvmmsg) {
  long fd = SOCKET;
  in_message();
  struct mmsghdr all[2] = {{message, 7}, {message, 7}};
  all[1].msg_hdr.msg_control = NULL;
  all[1].msg_hdr.msg_controllen = 0;
  static struct iovec other;
  static char second[1000];
  other = (struct iovec){second, sizeof second};
  all[1].msg_hdr.msg_iov = &other;
  long r =
      CALL(recvmmsg, fd, pointer(all, "messages"), number(ONE_OF(2, 2, 1, 0)), message_flags(), 0);
  if (r >= 0) {
    say(" %u %u", all[0].msg_len, all[1].msg_len);
    message = all[0].msg_hdr;
    if (r > 0) say_message(0);
  }
}

#define SET_OPTION(kind, option, ...)                                      \
  OP(kSockets, 2, setsockopt_##kind) {                                     \
    int value = (int)ONE_OF(__VA_ARGS__);                                  \
    say("%d ", value);                                                     \
    CALL(setsockopt, SOCKET, SOL_SOCKET, option, pointer(&value, "value"), \
         number(ONE_OF(4, 4, 4, 4, 3, 0)));                                \
  }
SET_OPTION(passcred, SO_PASSCRED, 0, 1, 1)
SET_OPTION(reuseaddr, SO_REUSEADDR, 0, 1)
SET_OPTION(keepalive, SO_KEEPALIVE, 0, 1)
SET_OPTION(broadcast, SO_BROADCAST, 0, 1)
SET_OPTION(type, SO_TYPE, 1)
SET_OPTION(unknown, 9999, 1)
#define GET_OPTION(kind, option)                                                   \
  OP(kSockets, 2, getsockopt_##kind) {                                             \
    int value[4] = {-7, -7, -7, -7};                                               \
    socklen_t size = (socklen_t)ONE_OF(4, 4, 4, 16, 2, 0, -1);                     \
    say("%d ", (int)size);                                                         \
    long r = CALL(getsockopt, SOCKET, SOL_SOCKET, option, pointer(value, "value"), \
                  pointer(&size, "size"));                                         \
    say(" %u", size);                                                              \
    if (r == 0) say(" %d", value[0]);                                              \
  }
GET_OPTION(type, SO_TYPE)
GET_OPTION(error, SO_ERROR)
GET_OPTION(domain, SO_DOMAIN)
GET_OPTION(protocol, SO_PROTOCOL)
GET_OPTION(acceptconn, SO_ACCEPTCONN)
GET_OPTION(passcred, SO_PASSCRED)
GET_OPTION(reuseaddr, SO_REUSEADDR)
GET_OPTION(keepalive, SO_KEEPALIVE)
GET_OPTION(linger, SO_LINGER)
GET_OPTION(unknown, 9999)
OP(kSockets, 3, getsockopt_peercred) {
  struct ucred peer = {-7, 7, 7};
  socklen_t size = sizeof peer;
  if (CALL(getsockopt, SOCKET, SOL_SOCKET, SO_PEERCRED, pointer(&peer, "peer"),
           pointer(&size, "size")) == 0) {
    say_pid(peer.pid);
    say(" %d %d size %u", (int)peer.uid, (int)peer.gid, size);
  }
}
OP(kSockets, 2, setsockopt_linger) {
  struct linger value = {1, (int)ONE_OF(0, 5)};
  CALL(setsockopt, SOCKET, SOL_SOCKET, SO_LINGER, pointer(&value, "linger"),
       number(ONE_OF(8, 8, 4)));
}
OP(kSockets, 2, setsockopt_level) {
  int value = 1;
  CALL(setsockopt, SOCKET, number(ONE_OF(0, 6, 99, -1)), 1, pointer(&value, "value"), 4);
}
