// TCP and UDP over loopback: ip(7), tcp(7), socket(7). Server and client are threads of this program.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "check.h"

static struct sockaddr_in any_port(void) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static int listener(struct sockaddr_in* address) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  REQUIRE(fd >= 0);
  *address = any_port();
  CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
  REQUIRE(bind(fd, (struct sockaddr*)address, sizeof *address) == 0);
  socklen_t size = sizeof *address;
  REQUIRE(getsockname(fd, (struct sockaddr*)address, &size) == 0);
  CHECK(address->sin_port != 0);
  REQUIRE(listen(fd, 16) == 0);
  return fd;
}

// Whoever waits for a server that cannot go on must hear of it.
static int accept_one(int server) {
  int peer = accept(server, NULL, NULL);
  if (peer == -1) shutdown(server, SHUT_RDWR);
  return peer;
}

static void* echo(void* fd) {
  int peer = accept_one((int)(intptr_t)fd);
  char block[8192];
  long n;
  while ((n = read(peer, block, sizeof block)) > 0) {
    for (long done = 0, w; done < n; done += w) {
      if ((w = write(peer, block + done, n - done)) < 0) {
        close(peer);
        return (void*)1;
      }
    }
  }
  close(peer);
  return NULL;
}

CASE(errors) {
  CHECK_ERRNO(socket(AF_INET, 99, 0), EINVAL);
  CHECK_ERRNO(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  char byte;
  CHECK_ERRNO(recv(fd, &byte, 1, 0), ENOTCONN);
  CHECK_ERRNO(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
  CHECK_ERRNO(accept(fd, NULL, NULL), EINVAL);
  struct sockaddr_in address = any_port();
  address.sin_port = htons(1);
  CHECK_ERRNO(connect(fd, (struct sockaddr*)&address, sizeof address), ECONNREFUSED);
  CHECK_ERRNO(connect(fd, (struct sockaddr*)&address, 3), EINVAL);
  CHECK_ERRNO(getpeername(fd, (struct sockaddr*)&address, &(socklen_t){sizeof address}), ENOTCONN);
  close(fd);
  CHECK_ERRNO(bind(0, (struct sockaddr*)&address, sizeof address), ENOTSOCK);
}

CASE(echo_through_tcp) {
  struct sockaddr_in address, peer;
  int server = listener(&address);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, echo, (void*)(intptr_t)server) == 0);
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  REQUIRE(connect(fd, (struct sockaddr*)&address, sizeof address) == 0);
  CHECK_OK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
  socklen_t size = sizeof peer;
  CHECK_OK(getpeername(fd, (struct sockaddr*)&peer, &size));
  CHECK_EQ(peer.sin_port, address.sin_port);
  char text[64];
  for (int i = 0; i < 200; i++) {
    int length = snprintf(text, sizeof text, "message %d", i);
    REQUIRE(send(fd, text, length, MSG_NOSIGNAL) == length);
    char back[64] = "";
    REQUIRE(recv(fd, back, length, MSG_WAITALL) == length);
    CHECK_STR(back, text);
  }
  REQUIRE(shutdown(fd, SHUT_WR) == 0);
  CHECK_EQ(recv(fd, text, 1, 0), 0);
  void* result;
  pthread_join(thread, &result);
  CHECK(result == NULL);
  close(fd);
  close(server);
}

static void* drain(void* fd) {
  static char block[65536];
  int peer = accept_one((int)(intptr_t)fd);
  long total = 0, n;
  while ((n = recv(peer, block, sizeof block, 0)) > 0) total += n;
  close(peer);
  return (void*)total;
}
CASE(much_data) {
  struct sockaddr_in address;
  int server = listener(&address);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, drain, (void*)(intptr_t)server) == 0);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  REQUIRE(connect(fd, (struct sockaddr*)&address, sizeof address) == 0);
  static char block[300000];
  struct iovec parts[2] = {{block, 100000}, {block + 100000, 200000}};
  long sent = 0;
  for (int i = 0; i < 50; i++) {
    long n = writev(fd, parts, 2);
    REQUIRE(n > 0);
    sent += n;
  }
  close(fd);
  void* total;
  pthread_join(thread, &total);
  CHECK_EQ((long)total, sent);
  close(server);
}

CASE(not_blocking) {
  struct sockaddr_in address;
  int server = listener(&address);
  CHECK_OK(fcntl(server, F_SETFL, O_NONBLOCK));
  CHECK_ERRNO(accept(server, NULL, NULL), EAGAIN);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int connected = connect(fd, (struct sockaddr*)&address, sizeof address);
  CHECK(connected == 0 || errno == EINPROGRESS);
  struct pollfd poller = {fd, POLLOUT, 0};
  CHECK_EQ(poll(&poller, 1, 5000), 1);
  int error = 99;
  socklen_t size = sizeof error;
  CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
  CHECK_EQ(error, 0);
  poller.fd = server;
  poller.events = POLLIN;
  CHECK_EQ(poll(&poller, 1, 5000), 1);
  int peer = accept4(server, NULL, NULL, SOCK_NONBLOCK);
  REQUIRE(peer >= 0);
  char byte;
  CHECK_ERRNO(read(peer, &byte, 1), EAGAIN);
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &event));
  CHECK_EQ(epoll_wait(epoll, &event, 1, 0), 0);
  CHECK_EQ(write(fd, "x", 1), 1);
  CHECK_EQ(epoll_wait(epoll, &event, 1, 5000), 1);
  CHECK_EQ(event.events, EPOLLIN);
  CHECK_EQ(read(peer, &byte, 1), 1);
  close(fd);
  CHECK_EQ(epoll_wait(epoll, &event, 1, 5000), 1);
  CHECK(event.events & EPOLLRDHUP);
  CHECK_EQ(read(peer, &byte, 1), 0);
  close(epoll), close(peer), close(server);
}

CASE(datagrams) {
  int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address = any_port(), from;
  CHECK_OK(bind(a, (struct sockaddr*)&address, sizeof address));
  socklen_t size = sizeof address;
  CHECK_OK(getsockname(a, (struct sockaddr*)&address, &size));
  REQUIRE(sendto(b, "datagram", 8, 0, (struct sockaddr*)&address, sizeof address) == 8);
  char text[32] = "";
  size = sizeof from;
  REQUIRE(recvfrom(a, text, sizeof text, 0, (struct sockaddr*)&from, &size) == 8);
  CHECK_STR(text, "datagram");
  CHECK_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  REQUIRE(sendto(a, "reply", 5, 0, (struct sockaddr*)&from, size) == 5);
  CHECK_OK(connect(b, (struct sockaddr*)&address, sizeof address));
  memset(text, 0, sizeof text);
  CHECK_EQ(recv(b, text, sizeof text, 0), 5);
  CHECK_STR(text, "reply");
  REQUIRE(send(b, "connected", 9, 0) == 9);
  CHECK_EQ(recv(a, text, sizeof text, 0), 9);
  CHECK_ERRNO(recv(a, text, 1, MSG_DONTWAIT), EAGAIN);
  struct timeval time = {0, 20000};
  CHECK_OK(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
  CHECK_ERRNO(recv(a, text, 1, 0), EAGAIN);
  close(a), close(b);
}

CASE(options) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), value = 0;
  socklen_t size = sizeof value;
  CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size));
  CHECK_EQ(value, SOCK_STREAM);
  CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size));
  CHECK_EQ(value, AF_INET);
  value = 1;
  CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
  value = 0;
  CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &size));
  CHECK_EQ(value, 1);
  CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, 9999, &value, sizeof value), ENOPROTOOPT);
  CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1), EINVAL);
  close(fd);
}

CHECK_MAIN
