// Unix sockets (unix(7)) at their edges: control messages and their limits, credentials, names, options, errors.
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check.h"

static int pair[2];
static void open_pair(int type) { REQUIRE(socketpair(AF_UNIX, type, 0, pair) == 0); }
static void close_pair(void) { close(pair[0]), close(pair[1]); }

static char control[4096];
// Sends `size` bytes with `count` descriptors.
static long send_files(int fd, const void* data, size_t size, const int* fds, int count) {
  struct iovec piece = {(void*)data, size};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control};
  message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
  memset(control, 0, sizeof control);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
  memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof(int));
  return sendmsg(fd, &message, 0);
}
static int received_flags, received_type, received_count, received[300];
static struct ucred received_credentials;
static long receive(int fd, void* data, size_t size, size_t room, int flags) {
  struct iovec piece = {data, size};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control};
  message.msg_controllen = room;
  received_count = received_type = 0;
  long result = recvmsg(fd, &message, flags);
  received_flags = message.msg_flags;
  if (result < 0) return result;
  for (struct cmsghdr* at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET) continue;
    if (at->cmsg_type == SCM_RIGHTS) {
      received_count = (int)((at->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(received, CMSG_DATA(at), (size_t)received_count * sizeof(int));
    } else if (at->cmsg_type == SCM_CREDENTIALS) {
      received_type = SCM_CREDENTIALS;
      memcpy(&received_credentials, CMSG_DATA(at), sizeof received_credentials);
    }
  }
  return result;
}
static void close_received(void) {
  for (int i = 0; i < received_count; i++) close(received[i]);
}

CASE(rights_limits) {
  open_pair(SOCK_STREAM);
  static int many[254];
  char text[8];
  for (int i = 0; i < 254; i++) many[i] = 1;
  CHECK_ERRNO(send_files(pair[0], "x", 1, many, 254), EINVAL);
  CHECK_EQ(send_files(pair[0], "x", 1, many, 253), 1);
  CHECK_EQ(receive(pair[1], text, 1, sizeof control, MSG_CMSG_CLOEXEC), 1);
  CHECK_EQ(received_count, 253);
  CHECK_EQ(received_flags, MSG_CMSG_CLOEXEC);
  CHECK_EQ(fcntl(received[0], F_GETFD), FD_CLOEXEC);
  close_received();
  many[1] = 999;
  CHECK_ERRNO(send_files(pair[0], "x", 1, many, 2), EBADF);
  many[1] = 1;
  // Room for one of two: the other is closed.
  CHECK_EQ(send_files(pair[0], "x", 1, many, 2), 1);
  CHECK_EQ(receive(pair[1], text, 1, CMSG_LEN(sizeof(int)), 0), 1);
  CHECK_EQ(received_count, 1);
  CHECK_EQ(received_flags, MSG_CTRUNC);
  close_received();
  CHECK_EQ(send_files(pair[0], "x", 1, many, 1), 1);
  CHECK_EQ(receive(pair[1], text, 1, 0, 0), 1);
  CHECK_EQ(received_flags, MSG_CTRUNC);
  // A peek shows them too, and a read without room for control drops them.
  CHECK_EQ(send_files(pair[0], "x", 1, many, 1), 1);
  CHECK_EQ(receive(pair[1], text, 1, sizeof control, MSG_PEEK), 1);
  CHECK_EQ(received_count, 1);
  close_received();
  CHECK_EQ(read(pair[1], text, 1), 1);
  // A stream stops where the files end.
  CHECK_EQ(send(pair[0], "ab", 2, 0), 2);
  CHECK_EQ(send_files(pair[0], "cd", 2, many, 1), 2);
  CHECK_EQ(send(pair[0], "ef", 2, 0), 2);
  long first = receive(pair[1], text, 8, sizeof control, 0);
  CHECK_EQ(first, 4);
  CHECK_EQ(received_count, 1);
  close_received();
  CHECK_EQ(receive(pair[1], text, 8, sizeof control, 0), 2);
  CHECK_EQ(received_count, 0);
  close_pair();
}

CASE(sockets_in_sockets) {
  // A socket inside itself, given up: nothing to see, nothing hangs.
  for (int i = 0; i < 50; i++) {
    open_pair(SOCK_DGRAM);
    CHECK_EQ(send_files(pair[0], "x", 1, pair, 2), 1);
    close_pair();
  }
  // A long chain: each holds the one before.
  int inner = dup(1), chain[2];
  for (int i = 0; i < 2000; i++) {
    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, chain) == 0);
    CHECK_EQ(send_files(chain[0], "x", 1, &inner, 1), 1);
    close(inner);
    close(chain[0]);
    inner = chain[1];
  }
  close(inner);
  // The end of a pipe in flight keeps it open.
  int ends[2];
  char text[4];
  open_pair(SOCK_STREAM);
  REQUIRE(pipe(ends) == 0);
  CHECK_EQ(send_files(pair[0], "x", 1, &ends[1], 1), 1);
  close(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  CHECK_ERRNO(read(ends[0], text, 1), EAGAIN);
  close_pair();
  CHECK_EQ(read(ends[0], text, 1), 0);
  close(ends[0]);
}

CASE(credentials_and_options) {
  open_pair(SOCK_STREAM);
  struct ucred peer;
  socklen_t size = sizeof peer;
  int value = 7;
  char text[200];
  CHECK_OK(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size));
  CHECK_EQ(peer.pid, getpid());
  CHECK_EQ(peer.uid, getuid());
  CHECK_EQ(peer.gid, getgid());
  CHECK_ERRNO(setsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, sizeof peer), ENOPROTOOPT);
  size = sizeof text;
  CHECK_ERRNO(getsockopt(pair[0], SOL_SOCKET, SO_PEERSEC, text, &size), ENOPROTOOPT);
  size = sizeof value;
  CHECK_OK(getsockopt(pair[0], SOL_SOCKET, SO_DOMAIN, &value, &size));
  CHECK_EQ(value, AF_UNIX);
  CHECK_OK(getsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &value, &size));
  CHECK_EQ(value, 0);
  CHECK_OK(getsockopt(pair[0], SOL_SOCKET, SO_ACCEPTCONN, &value, &size));
  CHECK_EQ(value, 0);
  CHECK_OK(getsockopt(pair[0], SOL_SOCKET, SO_ERROR, &value, &size));
  CHECK_EQ(value, 0);
  CHECK_ERRNO(getsockopt(pair[0], SOL_SOCKET, 9999, &value, &size), ENOPROTOOPT);
  CHECK_ERRNO(getsockopt(pair[0], 9999, 1, &value, &size), EOPNOTSUPP);
  value = 1;
  CHECK_OK(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &value, sizeof value));
  CHECK_EQ(send(pair[0], "x", 1, 0), 1);
  CHECK_EQ(receive(pair[1], text, 1, sizeof control, 0), 1);
  CHECK_EQ(received_type, SCM_CREDENTIALS);
  CHECK_EQ(received_credentials.pid, getpid());
  int waiting = -1;
  CHECK_EQ(send(pair[0], "12345", 5, 0), 5);
  CHECK_OK(ioctl(pair[1], FIONREAD, &waiting));
  CHECK_EQ(waiting, 5);
  close_pair();
}

// FIONREAD: of datagrams the first one's, of packets all.
CASE(waiting_packets) {
  const struct {
    int type, empty, two;
  } kinds[] = {{SOCK_SEQPACKET, 3, 10}, {SOCK_DGRAM, 0, 3}};
  for (int i = 0; i < 2; i++) {
    int ends[2], waiting = -1;
    char text[8];
    REQUIRE(socketpair(AF_UNIX, kinds[i].type, 0, ends) == 0);
    CHECK_OK(ioctl(ends[1], FIONREAD, &waiting));
    CHECK_EQ(waiting, 0);
    CHECK_EQ(send(ends[0], "", 0, 0), 0);
    CHECK_EQ(send(ends[0], "abc", 3, 0), 3);
    CHECK_OK(ioctl(ends[1], FIONREAD, &waiting));
    CHECK_EQ(waiting, kinds[i].empty);
    CHECK_EQ(recv(ends[1], text, 1, 0), 0);
    CHECK_EQ(send(ends[0], "defghij", 7, 0), 7);
    CHECK_OK(ioctl(ends[1], FIONREAD, &waiting));
    CHECK_EQ(waiting, kinds[i].two);
    close(ends[0]);
    close(ends[1]);
  }
}

static struct sockaddr_un named(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path);
  return address;
}
CASE(names_and_errors) {
  check_enter_scratch();
  struct sockaddr_un address = named("s"), other = named("missing"), got;
  socklen_t size = sizeof address, got_size = sizeof got;
  int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_ERRNO(socket(AF_UNIX, SOCK_STREAM, 2), EPROTONOSUPPORT);
  CHECK_ERRNO(socket(AF_UNIX, 77, 0), EINVAL);
  CHECK_ERRNO(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
  CHECK_ERRNO(listen(listener, 5), EINVAL);
  CHECK_OK(bind(listener, (struct sockaddr*)&address, size));
  CHECK_ERRNO(bind(listener, (struct sockaddr*)&address, size), EADDRINUSE);
  CHECK_ERRNO(bind(listener, (struct sockaddr*)&other, size), EINVAL);
  CHECK_ERRNO(bind(client, (struct sockaddr*)&address, size), EADDRINUSE);
  CHECK_ERRNO(connect(client, (struct sockaddr*)&address, size), ECONNREFUSED);
  CHECK_ERRNO(connect(client, (struct sockaddr*)&other, size), ENOENT);
  CHECK_ERRNO(connect(client, (struct sockaddr*)&address, 2), EINVAL);
  CHECK_ERRNO(accept(listener, NULL, NULL), EINVAL);
  CHECK_OK(listen(listener, 0));
  fcntl(client, F_SETFL, O_NONBLOCK);
  CHECK_OK(connect(client, (struct sockaddr*)&address, size));
  int second = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK_ERRNO(connect(second, (struct sockaddr*)&address, size), EAGAIN);  // The backlog is full.
  int datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
  CHECK_ERRNO(connect(datagram, (struct sockaddr*)&address, size), EPROTOTYPE);
  CHECK_ERRNO(send(datagram, "x", 1, 0), ENOTCONN);
  CHECK_ERRNO(send(second, "x", 1, MSG_NOSIGNAL), ENOTCONN);
  CHECK_ERRNO(recv(second, &got, 1, 0), EINVAL);
  CHECK_ERRNO(getpeername(second, (struct sockaddr*)&got, &got_size), ENOTCONN);
  CHECK_ERRNO(listen(datagram, 1), EOPNOTSUPP);
  CHECK_ERRNO(accept(datagram, NULL, NULL), EOPNOTSUPP);
  CHECK_ERRNO(shutdown(client, 9), EINVAL);
  int server = accept4(listener, (struct sockaddr*)&got, &got_size, SOCK_CLOEXEC);
  CHECK(server >= 0);
  CHECK_ERRNO(connect(client, (struct sockaddr*)&address, size), EISCONN);
  CHECK_EQ(got_size, 2);  // The client has no name.
  got_size = sizeof got;
  CHECK_OK(getpeername(client, (struct sockaddr*)&got, &got_size));
  CHECK_EQ(got_size, offsetof(struct sockaddr_un, sun_path) + 2);
  CHECK_STR(got.sun_path, "s");
  struct stat info;
  CHECK_OK(stat("s", &info));
  CHECK(S_ISSOCK(info.st_mode));
  CHECK_ERRNO(open("s", O_RDWR), ENXIO);
  CHECK_OK(unlink("s"));
  CHECK_ERRNO(connect(second, (struct sockaddr*)&address, size), ENOENT);
  close(server);
  CHECK_EQ(recv(client, &got, 1, 0), 0);
  CHECK_ERRNO(send(client, "x", 1, MSG_NOSIGNAL), EPIPE);
  // Autobind: an abstract name of five hexadecimal digits.
  struct sockaddr_un empty = {.sun_family = AF_UNIX};
  CHECK_OK(bind(datagram, (struct sockaddr*)&empty, sizeof empty.sun_family));
  got_size = sizeof got;
  CHECK_OK(getsockname(datagram, (struct sockaddr*)&got, &got_size));
  CHECK_EQ(got_size, 2 + 6);
  CHECK_EQ(got.sun_path[0], 0);
  close(listener), close(client), close(second), close(datagram);
}

CASE(datagrams_and_packets) {
  open_pair(SOCK_SEQPACKET);
  char text[16];
  CHECK_EQ(send(pair[0], "123456", 6, 0), 6);
  CHECK_EQ(send(pair[0], "ab", 2, MSG_EOR), 2);
  CHECK_EQ(recv(pair[1], text, 3, MSG_PEEK), 3);
  CHECK_EQ(recv(pair[1], text, 3, MSG_TRUNC), 6);
  CHECK_EQ(receive(pair[1], text, 16, 0, 0), 2);
  CHECK_EQ(received_flags, 0);
  CHECK_EQ(send(pair[0], "", 0, 0), 0);
  CHECK_EQ(recv(pair[1], text, 3, 0), 0);
  close(pair[0]);
  CHECK_EQ(recv(pair[1], text, 3, 0), 0);
  close(pair[1]);
  open_pair(SOCK_DGRAM);
  CHECK_EQ(send(pair[0], "123456", 6, 0), 6);
  CHECK_EQ(receive(pair[1], text, 3, 0, 0), 3);
  CHECK_EQ(received_flags, MSG_TRUNC);
  CHECK_ERRNO(recv(pair[1], text, 3, MSG_DONTWAIT), EAGAIN);
  close(pair[1]);
  CHECK_ERRNO(send(pair[0], "x", 1, 0), ECONNREFUSED);
  close(pair[0]);
}

// Who asks for credentials gets a name when he sends packets.
CASE(names_for_credentials) {
  open_pair(SOCK_SEQPACKET);
  int one = 1;
  struct sockaddr_un name;
  socklen_t size = sizeof name;
  CHECK_OK(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
  CHECK_OK(getsockname(pair[0], (struct sockaddr*)&name, &size));
  CHECK_EQ(size, 2);
  CHECK_EQ(send(pair[0], "x", 1, 0), 1);
  size = sizeof name;
  CHECK_OK(getsockname(pair[0], (struct sockaddr*)&name, &size));
  CHECK_EQ(size, 8);
  CHECK_EQ(name.sun_path[0], 0);
  close(pair[0]), close(pair[1]);
}

// A peek that has all the bytes it wants looks on, and shows the files that come later.
CASE(peek_for_files) {
  open_pair(SOCK_STREAM);
  char text[8], control[64];
  struct iovec piece = {text, 4};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control};
  CHECK_EQ(send(pair[0], "123456", 6, 0), 6);
  message.msg_controllen = CMSG_SPACE(sizeof(int));
  struct cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(4);
  memcpy(CMSG_DATA(head), &pair[0], sizeof(int));
  CHECK_EQ(sendmsg(pair[0], &message, 0), 4);
  message.msg_controllen = sizeof control;
  CHECK_EQ(recvmsg(pair[1], &message, MSG_PEEK), 4);
  CHECK_EQ(message.msg_controllen, CMSG_SPACE(sizeof(int)));
  message.msg_controllen = sizeof control;
  CHECK_EQ(recvmsg(pair[1], &message, 0), 4);
  CHECK_EQ(message.msg_controllen, 0);
  close(pair[0]), close(pair[1]);
}

// At the end of a stream, whoever wants to know the sender hears of one of zeros; a listening socket has no bytes.
CASE(end_of_stream) {
  char text[8], control[64];
  int one = 1, bytes = -1;
  struct iovec piece = {text, sizeof text};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control};
  struct ucred sender = {1, 1, 1};
  for (int i = 0; i < 2; i++) {
    open_pair(i == 0 ? SOCK_STREAM : SOCK_SEQPACKET);
    CHECK_OK(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
    message.msg_controllen = sizeof control;
    CHECK_ERRNO(recvmsg(pair[1], &message, MSG_DONTWAIT), EAGAIN);
    close(pair[0]);
    message.msg_controllen = sizeof control;
    CHECK_EQ(recvmsg(pair[1], &message, 0), 0);
    CHECK_EQ(message.msg_controllen, i == 0 ? CMSG_SPACE(sizeof sender) : 0);
    if (i == 0) {
      struct cmsghdr* head = CMSG_FIRSTHDR(&message);
      CHECK_EQ(head->cmsg_type, SCM_CREDENTIALS);
      memcpy(&sender, CMSG_DATA(head), sizeof sender);
      CHECK_EQ(sender.pid, 0);
      CHECK_EQ(sender.uid, 0);
      CHECK_EQ(sender.gid, 0);
      message.msg_controllen = CMSG_LEN(4);
      CHECK_EQ(recvmsg(pair[1], &message, 0), 0);
      CHECK_EQ(message.msg_flags, MSG_CTRUNC);
    }
    close(pair[1]);
  }
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  CHECK_OK(ioctl(listener, FIONREAD, &bytes));
  CHECK_EQ(bytes, 0);
  CHECK_OK(bind(listener, (struct sockaddr*)&name, sizeof name.sun_family));
  CHECK_OK(listen(listener, 1));
  CHECK_ERRNO(ioctl(listener, FIONREAD, &bytes), EINVAL);
  CHECK_OK(ioctl(listener, TIOCOUTQ, &bytes));
  close(listener);
}

CASE(reset_and_urgent) {
  open_pair(SOCK_STREAM);
  char text[8];
  int value = -1;
  socklen_t size = sizeof value;
  CHECK_EQ(send(pair[0], "unread", 6, 0), 6);
  close(pair[1]);
  struct pollfd poller = {pair[0], POLLIN | POLLOUT, 0};
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(poller.revents, POLLIN | POLLOUT | POLLERR | POLLHUP);
  CHECK_OK(getsockopt(pair[0], SOL_SOCKET, SO_ERROR, &value, &size));
  CHECK_EQ(value, ECONNRESET);
  CHECK_EQ(recv(pair[0], text, 1, 0), 0);
  close(pair[0]);
}

// recv(2) of nothing waits for something and brings what comes with it; read(2) of nothing does not.
CASE(nothing_wanted) {
  open_pair(SOCK_STREAM);
  char text[8];
  CHECK_EQ(read(pair[1], text, 0), 0);
  CHECK_ERRNO(recv(pair[1], text, 0, MSG_DONTWAIT), EAGAIN);
  CHECK_EQ(send(pair[0], "x", 1, 0), 1);
  CHECK_EQ(recv(pair[1], text, 0, MSG_DONTWAIT), 0);
  CHECK_EQ(recv(pair[1], text, 8, MSG_DONTWAIT), 1);
  // What is queued stays readable after SHUT_RD.
  CHECK_EQ(send(pair[0], "left", 4, 0), 4);
  CHECK_OK(shutdown(pair[1], SHUT_RD));
  CHECK_EQ(recv(pair[1], text, 8, 0), 4);
  CHECK_EQ(recv(pair[1], text, 8, 0), 0);
  close(pair[0]);
  close(pair[1]);
}

// recvmmsg(2) tells of a connection reset before what is queued, and if it wants nothing at all.
CASE(reset_before_messages) {
  open_pair(SOCK_STREAM);
  char text[8];
  struct iovec piece = {text, sizeof text};
  struct mmsghdr message = {.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}};
  CHECK_EQ(send(pair[0], "unread", 6, 0), 6);
  CHECK_EQ(send(pair[1], "queued", 6, 0), 6);
  close(pair[1]);
  CHECK_ERRNO(recvmmsg(pair[0], &message, 0, 0, NULL), ECONNRESET);
  CHECK_EQ(recvmmsg(pair[0], &message, 0, 0, NULL), 0);
  CHECK_EQ(recvmmsg(pair[0], &message, 1, 0, NULL), 1);
  CHECK_EQ(message.msg_len, 6);
  close(pair[0]);
}

// One message without bytes is nothing unread; two are.
CASE(empty_messages_unread) {
  char text[8];
  for (int count = 1; count <= 2; count++) {
    open_pair(SOCK_SEQPACKET);
    for (int i = 0; i < count; i++) CHECK_EQ(send(pair[0], "", 0, 0), 0);
    close(pair[1]);
    if (count == 1) {
      CHECK_EQ(recv(pair[0], text, sizeof text, 0), 0);
    } else {
      CHECK_ERRNO(recv(pair[0], text, sizeof text, 0), ECONNRESET);
    }
    close(pair[0]);
  }
}

// An accepted socket has its listener's name, and gets no other.
CASE(accepted_is_named) {
  const struct sockaddr_un name = {AF_UNIX, "\0accepted-is-named"}, other = {AF_UNIX, "\0other"};
  const struct sockaddr_un path = {AF_UNIX, "accepted-is-named"};
  const socklen_t size = offsetof(struct sockaddr_un, sun_path) + 18;
  int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_OK(bind(listener, (const void*)&name, size));
  CHECK_OK(listen(listener, 1));
  CHECK_OK(connect(client, (const void*)&name, size));
  int accepted = accept(listener, NULL, NULL);
  REQUIRE(accepted >= 0);
  CHECK_ERRNO(bind(accepted, (const void*)&other, size), EINVAL);
  check_enter_scratch();
  CHECK_ERRNO(bind(accepted, (const void*)&path, size), EINVAL);
  CHECK_ERRNO(access(path.sun_path, F_OK), ENOENT);
  CHECK_OK(bind(accepted, (const void*)&other, sizeof(sa_family_t)));
  CHECK_OK(bind(client, (const void*)&other, size));
  close(listener), close(client), close(accepted);
}

// A socket has so many datagrams waiting and one more, but of the one that it is connected to only the bytes count.
CASE(datagrams_that_wait) {
  const struct sockaddr_un name = {AF_UNIX, "\0datagrams-that-wait"};
  const socklen_t size = offsetof(struct sockaddr_un, sun_path) + 20;
  char text[32] = {0};
  int file = open("/proc/sys/net/unix/max_dgram_qlen", O_RDONLY);
  REQUIRE(file >= 0 && read(file, text, sizeof text - 1) > 0);
  close(file);
  int limit = atoi(text), receiver = socket(AF_UNIX, SOCK_DGRAM, 0), sent = 0;
  CHECK_OK(bind(receiver, (const void*)&name, size));
  // Each from a socket of its own, as what a sender has under way is limited, too.
  for (;; sent++) {
    int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (sendto(sender, "x", 1, 0, (const void*)&name, size) != 1) {
      CHECK_EQ(errno, EAGAIN);
      close(sender);
      break;
    }
    close(sender);
  }
  CHECK_EQ(sent, limit + 1);
  struct pollfd one = {.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), .events = POLLOUT};
  CHECK_OK(connect(one.fd, (const void*)&name, size));
  CHECK_EQ(poll(&one, 1, 0), 0);
  CHECK_ERRNO(send(one.fd, "x", 1, 0), EAGAIN);
  CHECK_EQ(recv(receiver, text, sizeof text, 0), 1);
  CHECK_EQ(poll(&one, 1, 0), 1);
  CHECK_EQ(send(one.fd, "yy", 2, 0), 2);
  CHECK_EQ(poll(&one, 1, 0), 0);
  while (recv(receiver, text, sizeof text, MSG_DONTWAIT) == 1) sent--;
  CHECK_EQ(sent, 1);
  close(one.fd), close(receiver);
  open_pair(SOCK_DGRAM);
  for (sent = 0; send(pair[0], "x", 1, MSG_DONTWAIT) == 1; sent++) continue;
  CHECK_EQ(errno, EAGAIN);
  CHECK(sent > 200);
  close_pair();
}

static int descriptors_open(void) {
  int count = 0;
  DIR* list = opendir("/proc/self/fd");
  REQUIRE(list != NULL);
  while (readdir(list) != NULL) count++;
  closedir(list);
  return count;
}

// Descriptors come as far as their numbers can be told; the others are not there.
CASE(descriptors_that_cannot_be_told) {
  char* last = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(last != MAP_FAILED && munmap(last + 4096, 4096) == 0);
  const struct {
    char* control;
    int told;
  } places[] = {{(char*)16, 0},        {last + 4096 - 8, 0},  {last + 4096 - 16, 0},
                {last + 4096 - 20, 1}, {last + 4096 - 24, 2}, {last + 4096 - 28, 3},
                {last + 4096 - 40, 3}};
  const int sent[3] = {0, 1, 2};
  open_pair(SOCK_STREAM);
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    CHECK_EQ(send_files(pair[0], "x", 1, sent, 3), 1);
    char byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = places[i].control};
    message.msg_controllen = 64;
    const int before = descriptors_open();
    CHECK_EQ(recvmsg(pair[1], &message, 0), 1);
    CHECK_EQ(descriptors_open() - before, places[i].told);
    CHECK_EQ(message.msg_flags, places[i].told == 3 ? 0 : MSG_CTRUNC);
    CHECK_EQ(message.msg_controllen, places[i].told == 0 ? 0 : CMSG_SPACE(4 * places[i].told));
    for (int file = 0; file < places[i].told; file++) {
      int number;
      memcpy(&number, places[i].control + sizeof(struct cmsghdr) + 4 * file, 4);
      CHECK_EQ(close(number), 0);
    }
  }
  close_pair();
}

CHECK_MAIN
