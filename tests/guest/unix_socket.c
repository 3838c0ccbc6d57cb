// Unix sockets: socketpair(2), streams, datagrams, names, SCM_RIGHTS, credentials, shutdown(2). unix(7).
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check.h"

static int pair[2];
static void open_pair(int type) { REQUIRE(socketpair(AF_UNIX, type, 0, pair) == 0); }
static void close_pair(void) { close(pair[0]), close(pair[1]); }

CASE(stream_pair) {
  open_pair(SOCK_STREAM | SOCK_CLOEXEC);
  CHECK_EQ(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
  char text[32] = "";
  CHECK_EQ(write(pair[0], "one", 3), 3);
  CHECK_EQ(send(pair[0], "two", 3, 0), 3);
  CHECK_EQ(recv(pair[1], text, 3, MSG_PEEK), 3);
  CHECK_EQ(read(pair[1], text, sizeof text), 6);
  CHECK_STR(text, "onetwo");
  CHECK_ERRNO(recv(pair[1], text, 1, MSG_DONTWAIT), EAGAIN);
  CHECK_EQ(write(pair[1], "back", 4), 4);
  CHECK_EQ(read(pair[0], text, sizeof text), 4);
  int value = 0;
  socklen_t size = sizeof value;
  CHECK_OK(getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &value, &size));
  CHECK_EQ(value, SOCK_STREAM);
  close(pair[1]);
  CHECK_EQ(read(pair[0], text, 1), 0);
  CHECK_ERRNO(send(pair[0], "x", 1, MSG_NOSIGNAL), EPIPE);
  close(pair[0]);
}

CASE(datagram_pair) {
  open_pair(SOCK_DGRAM);
  char text[32] = "";
  CHECK_EQ(send(pair[0], "first", 5, 0), 5);
  CHECK_EQ(send(pair[0], "", 0, 0), 0);
  CHECK_EQ(send(pair[0], "second", 6, 0), 6);
  CHECK_EQ(recv(pair[1], text, 3, MSG_TRUNC), 5);  // The rest of the message is lost.
  CHECK_EQ(recv(pair[1], text, sizeof text, 0), 0);
  CHECK_EQ(recv(pair[1], text, sizeof text, 0), 6);
  close_pair();
}

CASE(sequenced_packets) {
  open_pair(SOCK_SEQPACKET);
  char text[32] = "";
  CHECK_EQ(send(pair[0], "abc", 3, 0), 3);
  CHECK_EQ(send(pair[0], "de", 2, 0), 2);
  CHECK_EQ(recv(pair[1], text, sizeof text, 0), 3);
  CHECK_EQ(recv(pair[1], text, sizeof text, 0), 2);
  close(pair[0]);
  CHECK_EQ(recv(pair[1], text, sizeof text, 0), 0);
  close(pair[1]);
}

CASE(half_closed) {
  open_pair(SOCK_STREAM);
  CHECK_EQ(write(pair[0], "last", 4), 4);
  CHECK_OK(shutdown(pair[0], SHUT_WR));
  char text[8] = "";
  CHECK_EQ(read(pair[1], text, 8), 4);
  CHECK_EQ(read(pair[1], text, 8), 0);
  CHECK_EQ(write(pair[1], "still", 5), 5);
  CHECK_EQ(read(pair[0], text, 8), 5);
  CHECK_ERRNO(send(pair[0], "x", 1, MSG_NOSIGNAL), EPIPE);
  CHECK_ERRNO(shutdown(pair[0], 99), EINVAL);
  close_pair();
}

static struct sockaddr_un address_of(const char* name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, name);
  return address;
}

static void* client(void* address) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  char text[16] = "";
  if (connect(fd, address, sizeof(struct sockaddr_un)) != 0) return (void*)1;
  if (write(fd, "ping", 4) != 4) return (void*)2;
  if (read(fd, text, 16) != 4 || strcmp(text, "pong") != 0) return (void*)3;
  close(fd);
  return NULL;
}

CASE(named_stream) {
  check_enter_scratch();
  struct sockaddr_un address = address_of("socket"), peer;
  int server = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_ERRNO(connect(server, (struct sockaddr*)&address, sizeof address), ENOENT);
  CHECK_OK(bind(server, (struct sockaddr*)&address, sizeof address));
  int other = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_ERRNO(bind(other, (struct sockaddr*)&address, sizeof address), EADDRINUSE);
  CHECK_ERRNO(connect(other, (struct sockaddr*)&address, sizeof address), ECONNREFUSED);
  struct stat info;
  CHECK_OK(stat("socket", &info));
  CHECK(S_ISSOCK(info.st_mode));
  CHECK_ERRNO(open("socket", O_RDWR), ENXIO);
  CHECK_ERRNO(accept(server, NULL, NULL), EINVAL);
  CHECK_OK(listen(server, 5));
  pthread_t thread;
  for (int i = 0; i < 10; i++) {
    REQUIRE(pthread_create(&thread, NULL, client, &address) == 0);
    socklen_t size = sizeof peer;
    int fd = accept4(server, (struct sockaddr*)&peer, &size, SOCK_CLOEXEC);
    REQUIRE(fd >= 0);
    CHECK_EQ(size, sizeof(sa_family_t));  // The client has no name.
    char text[16] = "";
    CHECK_EQ(read(fd, text, 16), 4);
    CHECK_EQ(write(fd, "pong", 4), 4);
    CHECK_EQ(read(fd, text, 16), 0);
    close(fd);
    void* result;
    pthread_join(thread, &result);
    CHECK(result == NULL);
  }
  socklen_t size = sizeof peer;
  CHECK_OK(getsockname(server, (struct sockaddr*)&peer, &size));
  CHECK_STR(peer.sun_path, "socket");
  close(server);
  CHECK_ERRNO(connect(other, (struct sockaddr*)&address, sizeof address), ECONNREFUSED);
  close(other);
}

CASE(abstract_name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = snprintf(address.sun_path + 1, 100, "occlum-guest-%d", getpid());
  socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + length;
  int server = socket(AF_UNIX, SOCK_DGRAM, 0), sender = socket(AF_UNIX, SOCK_DGRAM, 0);
  CHECK_OK(bind(server, (struct sockaddr*)&address, size));
  CHECK_EQ(sendto(sender, "to a name", 9, 0, (struct sockaddr*)&address, size), 9);
  char text[16] = "";
  CHECK_EQ(recv(server, text, 16, 0), 9);
  CHECK_STR(text, "to a name");
  close(server);
  CHECK_ERRNO(sendto(sender, "x", 1, 0, (struct sockaddr*)&address, size), ECONNREFUSED);
  close(sender);
}

static void send_descriptors(int socket, const int* fds, int count) {
  char control[CMSG_SPACE(sizeof(int) * 8)] = {0};
  struct iovec data = {"f", 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control};
  message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * count);
  memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
  CHECK_EQ(sendmsg(socket, &message, 0), 1);
}

static int receive_descriptors(int socket, int* fds, int room, int* flags) {
  char control[CMSG_SPACE(sizeof(int) * 8)], byte;
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control};
  message.msg_controllen = room ? CMSG_SPACE(sizeof(int) * room) : 0;
  CHECK_EQ(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), 1);
  *flags = message.msg_flags;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (!header) return 0;
  int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  memcpy(fds, CMSG_DATA(header), sizeof(int) * count);
  return count;
}

CASE(descriptors_travel) {
  open_pair(SOCK_STREAM);
  int ends[2], got[8], flags;
  CHECK_OK(pipe(ends));
  send_descriptors(pair[0], ends, 2);
  close(ends[0]), close(ends[1]);  // They live in the message.
  CHECK_EQ(receive_descriptors(pair[1], got, 2, &flags), 2);
  CHECK_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
  CHECK_EQ(write(got[1], "x", 1), 1);
  char byte;
  CHECK_EQ(read(got[0], &byte, 1), 1);
  // No room: the descriptors are dropped and the message says so.
  send_descriptors(pair[0], got, 1);
  CHECK_EQ(receive_descriptors(pair[1], got, 0, &flags), 0);
  CHECK(flags & MSG_CTRUNC);
  close(got[0]);
  CHECK_EQ(write(pair[0], "x", 1), 1);
  CHECK_EQ(receive_descriptors(pair[1], got, 2, &flags), 0);
  close(got[1]);
  close_pair();
}

CASE(credentials) {
  open_pair(SOCK_STREAM);
  struct ucred peer = {0, 0, 0};
  socklen_t size = sizeof peer;
  CHECK_OK(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size));
  CHECK_EQ(peer.pid, getpid());
  CHECK_EQ(peer.uid, geteuid());
  close_pair();
}

static void* slow_reader(void* unused) {
  static char block[5000];
  long total = 0, n;
  while ((n = read(pair[1], block, sizeof block)) > 0) total += n;
  (void)unused;
  return (void*)total;
}
CASE(much_data) {
  open_pair(SOCK_STREAM);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, slow_reader, NULL) == 0);
  static char block[100000];
  for (int i = 0; i < 50; i++) CHECK_EQ(send(pair[0], block, sizeof block, 0), sizeof block);
  close(pair[0]);
  void* total;
  pthread_join(thread, &total);
  CHECK_EQ((long)total, 50L * sizeof block);
  close(pair[1]);
}

CASE(ready) {
  open_pair(SOCK_STREAM);
  struct pollfd poller = {pair[0], POLLIN | POLLOUT, 0};
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(poller.revents, POLLOUT);
  CHECK_EQ(write(pair[1], "x", 1), 1);
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(poller.revents, POLLIN | POLLOUT);
  close(pair[1]);
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK(poller.revents & POLLHUP);
  close(pair[0]);
}

CHECK_MAIN
