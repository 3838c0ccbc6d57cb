// splice(2), tee(2), vmsplice(2), sendfile(2) to pipes; pipes as slots: packets (O_DIRECT), capacity, what fills them.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "check.h"

static int a[2], b[2];
static char block[1 << 17], back[1 << 17];

static void open_pipes(int flags) {
  REQUIRE(pipe2(a, flags) == 0);
  REQUIRE(pipe2(b, flags) == 0);
}
static void close_pipes(void) {
  for (int i = 0; i < 2; i++) close(a[i]), close(b[i]);
}
static int waiting(int fd) {
  int count = -1;
  ioctl(fd, FIONREAD, &count);
  return count;
}
static void fill_block(void) {
  for (size_t i = 0; i < sizeof block; i++) block[i] = (char)(i * 7 + (i >> 8));
}

CASE(a_pipe_is_slots) {
  open_pipes(O_NONBLOCK);
  // Writes that do not fit into the last page take a new one.
  int count = 0;
  while (write(a[1], block, 3000) == 3000) count++;
  CHECK_EQ(errno, EAGAIN);
  CHECK_EQ(count, 16);
  CHECK_EQ(waiting(a[0]), 48000);
  CHECK_EQ(write(a[1], block, 1096), 1096);  // It fits behind the last.
  CHECK_ERRNO(write(a[1], block, 1), EAGAIN);
  CHECK_EQ(read(a[0], back, 2999), 2999);
  CHECK_ERRNO(write(a[1], block, 1), EAGAIN);
  CHECK_EQ(read(a[0], back, 1), 1);
  CHECK_EQ(write(a[1], block, 4096), 4096);
  CHECK_ERRNO(write(a[1], block, 1), EAGAIN);
  // Odd parts first.
  CHECK_EQ(read(a[0], back, sizeof back), 45000 + 1096 + 4096);
  CHECK_EQ(write(a[1], block, 1000), 1000);
  CHECK_EQ(write(a[1], block, 4096 + 1000), 5096);
  CHECK_EQ(write(a[1], block, 100000), 14 * 4096);  // 1696 more would not fit behind the 2000.
  close_pipes();
}

// Bytes beyond 2^63 are refused before anybody looks whether the pipe has some, or room for some.
CASE(a_range_beyond_the_largest_position) {
  open_pipes(O_NONBLOCK);
  check_enter_scratch();
  int file = open("file", O_RDWR | O_CREAT, 0600);
  REQUIRE(file >= 0);
  loff_t at = INT64_MAX - 10;
  CHECK_ERRNO(splice(a[0], NULL, file, &at, 11, 0), EINVAL);
  CHECK_ERRNO(splice(a[0], NULL, file, &at, 10, 0), EAGAIN);
  while (write(b[1], block, 4096) == 4096) continue;
  CHECK_ERRNO(splice(file, &at, b[1], NULL, 11, 0), EINVAL);
  CHECK_ERRNO(splice(file, &at, b[1], NULL, 10, 0), EAGAIN);
  at = 0;
  CHECK_ERRNO(splice(a[0], NULL, file, &at, SIZE_MAX, 0), EINVAL);
  CHECK_ERRNO(splice(file, &at, b[1], NULL, SIZE_MAX, 0), EINVAL);
  CHECK_ERRNO(splice(a[0], NULL, b[1], NULL, SIZE_MAX, 0), EAGAIN);
  // The position of the file counts as an offset does.
  const off_t last = lseek(file, INT64_MAX, SEEK_SET);
  if (last == INT64_MAX) {
    CHECK_ERRNO(splice(a[0], NULL, file, NULL, 1, 0), EINVAL);
    CHECK_ERRNO(splice(file, NULL, b[1], NULL, 1, 0), EINVAL);
  }
  close(file);
  close_pipes();
}

CASE(capacity) {
  open_pipes(0);
  CHECK_EQ(fcntl(a[0], F_GETPIPE_SZ), 65536);
  CHECK_EQ(fcntl(a[0], F_SETPIPE_SZ, 0), 4096);
  CHECK_EQ(fcntl(a[1], F_GETPIPE_SZ), 4096);
  CHECK_EQ(fcntl(a[1], F_SETPIPE_SZ, 4097), 8192);
  CHECK_EQ(fcntl(a[1], F_SETPIPE_SZ, 100000), 131072);
  CHECK_EQ(fcntl(a[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
  CHECK_ERRNO(fcntl(a[1], F_SETPIPE_SZ, (1 << 20) + 1), EPERM);
  CHECK_ERRNO(fcntl(a[1], F_SETPIPE_SZ, 0x80000000u), EPERM);
  CHECK_ERRNO(fcntl(a[1], F_SETPIPE_SZ, 0x80000001u), EINVAL);
  CHECK_ERRNO(fcntl(a[1], F_SETPIPE_SZ, -1), EINVAL);
  CHECK_EQ(write(a[1], block, 8193), 8193);
  CHECK_ERRNO(fcntl(a[1], F_SETPIPE_SZ, 8192), EBUSY);
  CHECK_EQ(fcntl(a[1], F_SETPIPE_SZ, 12288), 16384);
  CHECK_EQ(read(a[0], back, 1), 1);  // The page is still used.
  CHECK_ERRNO(fcntl(a[1], F_SETPIPE_SZ, 8192), EBUSY);
  CHECK_EQ(read(a[0], back, 4095), 4095);
  CHECK_EQ(fcntl(a[1], F_SETPIPE_SZ, 8192), 8192);
  CHECK_EQ(read(a[0], back, sizeof back), 4097);
  int fd = eventfd(0, 0);
  CHECK_ERRNO(fcntl(fd, F_GETPIPE_SZ), EBADF);
  CHECK_ERRNO(fcntl(fd, F_SETPIPE_SZ, 4096), EBADF);
  close(fd);
  close_pipes();
}

CASE(packets) {
  open_pipes(O_DIRECT | O_NONBLOCK);
  CHECK_EQ(fcntl(a[1], F_GETFL) & O_DIRECT, O_DIRECT);
  CHECK_EQ(write(a[1], "one", 3), 3);
  CHECK_EQ(write(a[1], "second", 6), 6);
  CHECK_EQ(write(a[1], "", 0), 0);
  CHECK_EQ(waiting(a[0]), 9);
  CHECK_EQ(read(a[0], back, 100), 3);
  CHECK_EQ(read(a[0], back, 2), 2);  // The rest of the packet is gone.
  CHECK_ERRNO(read(a[0], back, 100), EAGAIN);
  CHECK_EQ(write(a[1], block, 10000), 10000);  // Packets of a page.
  CHECK_EQ(read(a[0], back, sizeof back), 4096);
  CHECK_EQ(read(a[0], back, sizeof back), 4096);
  CHECK_EQ(read(a[0], back, sizeof back), 1808);
  int count = 0;
  while (write(a[1], "x", 1) == 1) count++;
  CHECK_EQ(count, 16);
  while (read(a[0], back, 1) == 1) count--;
  CHECK_EQ(count, 0);
  // The mode can change: bytes before a packet are read together with it.
  CHECK_OK(fcntl(a[1], F_SETFL, O_NONBLOCK));
  CHECK_EQ(write(a[1], "ab", 2), 2);
  CHECK_OK(fcntl(a[1], F_SETFL, O_NONBLOCK | O_DIRECT));
  CHECK_EQ(write(a[1], block, 4096), 4096);
  CHECK_EQ(write(a[1], "cd", 2), 2);
  CHECK_OK(fcntl(a[1], F_SETFL, O_NONBLOCK));
  CHECK_EQ(write(a[1], "ef", 2), 2);
  CHECK_EQ(read(a[0], back, sizeof back), 4098);
  CHECK_EQ(read(a[0], back, sizeof back), 2);
  CHECK_EQ(read(a[0], back, sizeof back), 2);
  close_pipes();
}

CASE(splice_errors) {
  open_pipes(O_NONBLOCK);
  check_enter_scratch();
  int file = open("f", O_RDWR | O_CREAT, 0600), other = open("g", O_RDWR | O_CREAT, 0600);
  int append = open("f", O_WRONLY | O_APPEND), event = eventfd(0, 0),
      directory = open(".", O_RDONLY);
  int write_only = open("f", O_WRONLY), read_only = open("f", O_RDONLY);
  loff_t at = 0, negative = -1;
  CHECK_EQ(splice(-1, NULL, -1, NULL, 0, 0), 0);
  CHECK_EQ(splice(-1, NULL, -1, NULL, 0, 0xffff), 0);
  CHECK_ERRNO(splice(-1, NULL, a[1], NULL, 1, 0), EBADF);
  CHECK_ERRNO(splice(a[0], NULL, -1, NULL, 1, 0), EBADF);
  CHECK_ERRNO(splice(a[0], NULL, b[1], NULL, 1, 0x10), EINVAL);
  CHECK_ERRNO(splice(file, NULL, other, NULL, 1, 0), EINVAL);
  CHECK_ERRNO(splice(a[1], NULL, b[1], NULL, 1, 0), EBADF);
  CHECK_ERRNO(splice(a[0], NULL, b[0], NULL, 1, 0), EBADF);
  CHECK_ERRNO(splice(a[0], NULL, a[1], NULL, 1, 0), EINVAL);
  CHECK_ERRNO(splice(a[0], &at, b[1], NULL, 1, 0), ESPIPE);
  CHECK_ERRNO(splice(a[0], NULL, b[1], &at, 1, 0), ESPIPE);
  CHECK_ERRNO(splice(a[0], NULL, b[1], NULL, 1, 0), EAGAIN);
  CHECK_ERRNO(splice(file, (loff_t*)8, a[1], NULL, 1, 0), EFAULT);
  CHECK_ERRNO(splice(file, &negative, a[1], NULL, 1, 0), EINVAL);
  CHECK_ERRNO(splice(write_only, NULL, a[1], NULL, 1, 0), EBADF);
  CHECK_EQ(write(a[1], "x", 1), 1);
  CHECK_ERRNO(splice(a[0], NULL, read_only, NULL, 1, 0), EBADF);
  CHECK_ERRNO(splice(a[0], NULL, append, NULL, 1, 0), EINVAL);
  CHECK_ERRNO(splice(a[0], NULL, event, NULL, 1, 0), EINVAL);
  CHECK_ERRNO(splice(event, NULL, a[1], NULL, 1, 0), EINVAL);
  CHECK_ERRNO(splice(directory, NULL, a[1], NULL, 1, 0), EINVAL);
  CHECK_ERRNO(splice(a[0], NULL, file, &negative, 1, 0), EINVAL);
  CHECK_ERRNO(tee(a[0], a[1], 1, 0), EINVAL);
  CHECK_ERRNO(tee(a[0], file, 1, 0), EINVAL);
  CHECK_ERRNO(tee(a[0], b[1], 1, 0x10), EINVAL);
  CHECK_EQ(tee(-1, -1, 0, 0), 0);
  CHECK_ERRNO(tee(-1, b[1], 1, 0), EBADF);
  CHECK_ERRNO(tee(b[0], a[1], 1, 0), EAGAIN);
  struct iovec piece = {block, 10};
  CHECK_ERRNO(vmsplice(file, &piece, 1, 0), EBADF);
  CHECK_ERRNO(vmsplice(-1, &piece, 1, 0), EBADF);
  CHECK_ERRNO(vmsplice(a[1], &piece, 1, 0x10), EINVAL);
  CHECK_ERRNO(vmsplice(a[1], &piece, 1025, 0), EINVAL);
  CHECK_EQ(vmsplice(a[1], &piece, 0, 0), 0);
  CHECK_ERRNO(vmsplice(a[1], (struct iovec*)8, 1, 0), EFAULT);
  piece.iov_base = (void*)8;
  CHECK_ERRNO(vmsplice(a[1], &piece, 1, 0), EFAULT);
  CHECK_ERRNO(vmsplice(a[0], &piece, 1, 0), EFAULT);
  CHECK_EQ(waiting(a[0]), 1);
  signal(SIGPIPE, SIG_IGN);
  close(b[0]);
  CHECK_ERRNO(splice(a[0], NULL, b[1], NULL, 1, 0), EPIPE);
  CHECK_ERRNO(tee(a[0], b[1], 1, 0), EPIPE);
  CHECK_ERRNO(splice(file, NULL, b[1], NULL, 1, 0), EPIPE);
  piece.iov_base = block;
  CHECK_ERRNO(vmsplice(b[1], &piece, 1, 0), EPIPE);
  signal(SIGPIPE, SIG_DFL);
  close(file), close(other), close(append), close(event), close(directory);
  close(write_only), close(read_only);
  close_pipes();
}

CASE(from_and_to_files) {
  fill_block();
  check_enter_scratch();
  check_write_file("in", block, 100000);
  int in = open("in", O_RDONLY), out = open("out", O_RDWR | O_CREAT, 0600);
  open_pipes(0);
  CHECK_EQ(splice(in, NULL, a[1], NULL, 10, 0), 10);
  CHECK_EQ(lseek(in, 0, SEEK_CUR), 10);
  loff_t at = 100, to = 5;
  CHECK_EQ(splice(in, &at, a[1], NULL, 5000, 0), 5000);
  CHECK_EQ(at, 5100);
  CHECK_EQ(lseek(in, 0, SEEK_CUR), 10);
  CHECK_EQ(waiting(a[0]), 5010);
  CHECK_EQ(splice(a[0], NULL, out, &to, 5009, 0), 5009);
  CHECK_EQ(to, 5014);
  CHECK_EQ(lseek(out, 0, SEEK_CUR), 0);
  CHECK_EQ(splice(a[0], NULL, out, NULL, 5, 0), 1);
  CHECK_EQ(lseek(out, 0, SEEK_CUR), 1);
  CHECK_EQ(pread(out, back, sizeof back, 0), 5014);
  CHECK_EQ(memcmp(back + 5, block, 10), 0);
  CHECK_EQ(memcmp(back + 15, block + 100, 4999), 0);
  CHECK_EQ(back[0], block[5099]);
  // As much as there are slots, each a page of the file.
  CHECK_EQ(splice(in, NULL, a[1], NULL, 99000, 0), 65526);
  CHECK_EQ(lseek(in, 0, SEEK_CUR), 65536);
  CHECK_EQ(read(a[0], back, sizeof back), 65526);
  CHECK_EQ(memcmp(back, block + 10, 65526), 0);
  at = 99990;
  CHECK_EQ(splice(in, &at, a[1], NULL, 100, 0), 10);
  CHECK_EQ(splice(in, &at, a[1], NULL, 100, 0), 0);
  CHECK_EQ(waiting(a[0]), 10);
  // What was spliced is not added to.
  CHECK_OK(fcntl(a[1], F_SETFL, O_NONBLOCK));
  int count = 0;
  while (write(a[1], block, 1000) == 1000) count++;
  CHECK_EQ(count, 15 * 4);
  close(a[1]);
  long total = 0, n;
  while ((n = splice(a[0], NULL, out, NULL, 1 << 20, SPLICE_F_MOVE | SPLICE_F_MORE)) > 0)
    total += n;
  CHECK_EQ(n, 0);
  CHECK_EQ(total, 60010);
  close(in), close(out);
  close_pipes();
}

CASE(from_pipe_to_pipe) {
  open_pipes(O_NONBLOCK);
  fill_block();
  CHECK_EQ(write(a[1], block, 10000), 10000);
  CHECK_EQ(splice(a[0], NULL, b[1], NULL, 5000, 0), 5000);
  CHECK_EQ(waiting(a[0]), 5000);
  CHECK_EQ(waiting(b[0]), 5000);
  CHECK_EQ(tee(a[0], b[1], 100, 0), 100);
  CHECK_EQ(tee(a[0], b[1], 1 << 20, 0), 5000);
  CHECK_EQ(waiting(a[0]), 5000);
  CHECK_EQ(read(b[0], back, sizeof back), 10100);
  CHECK_EQ(memcmp(back, block, 5100), 0);
  CHECK_EQ(memcmp(back + 5100, block + 5000, 5000), 0);
  // A slot that moved whole can be added to, a part of one or a copy cannot.
  CHECK_EQ(splice(a[0], NULL, b[1], NULL, 1 << 20, 0), 5000);
  CHECK_EQ(read(b[0], back, sizeof back), 5000);
  CHECK_EQ(memcmp(back, block + 5000, 5000), 0);
  CHECK_EQ(write(a[1], "abcd", 4), 4);
  CHECK_EQ(splice(a[0], NULL, b[1], NULL, 2, 0), 2);
  for (int i = 0; i < 15; i++) CHECK_EQ(write(b[1], block, 4096), 4096);
  CHECK_ERRNO(write(b[1], block, 1), EAGAIN);
  CHECK_ERRNO(splice(a[0], NULL, b[1], NULL, 2, 0), EAGAIN);
  CHECK_ERRNO(tee(a[0], b[1], 2, 0), EAGAIN);
  CHECK_EQ(waiting(a[0]), 2);
  struct pollfd poller = {b[1], POLLOUT, 0};
  CHECK_EQ(poll(&poller, 1, 0), 0);
  CHECK_EQ(splice(b[0], NULL, a[1], NULL, 2, 0), 2);
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(read(a[0], back, 100), 4);
  back[4] = 0;
  CHECK_STR(back, "cdab");
  close(a[1]);
  CHECK_EQ(splice(a[0], NULL, b[1], NULL, 2, 0), 0);
  CHECK_EQ(tee(a[0], b[1], 2, 0), 0);
  close_pipes();
}

CASE(packets_spliced) {
  open_pipes(O_DIRECT | O_NONBLOCK);
  CHECK_EQ(write(a[1], "one", 3), 3);
  CHECK_EQ(write(a[1], "two", 3), 3);
  CHECK_EQ(splice(a[0], NULL, b[1], NULL, 4, 0), 4);
  CHECK_EQ(read(b[0], back, 100), 3);
  CHECK_EQ(read(b[0], back, 100), 1);
  CHECK_EQ(read(a[0], back, 100), 2);
  close_pipes();
}

CASE(user_memory) {
  open_pipes(O_NONBLOCK);
  fill_block();
  struct iovec pieces[3] = {{block, 100}, {block + 5000, 0}, {block + 100, 5000}};
  CHECK_EQ(vmsplice(a[1], pieces, 3, SPLICE_F_GIFT), 5100);
  struct iovec out[2] = {{back, 4000}, {back + 4000, 5000}};
  CHECK_EQ(vmsplice(a[0], out, 2, 0), 5100);
  CHECK_EQ(memcmp(back, block, 5100), 0);
  CHECK_ERRNO(vmsplice(a[0], out, 2, SPLICE_F_NONBLOCK), EAGAIN);
  // Each page of memory is a slot.
  char* page = (char*)(((uintptr_t)block + 4095) & ~4095ul);
  struct iovec odd = {page + 1, 100000};
  CHECK_EQ(vmsplice(a[1], &odd, 1, SPLICE_F_NONBLOCK), 65535);
  CHECK_ERRNO(vmsplice(a[1], &odd, 1, SPLICE_F_NONBLOCK), EAGAIN);
  CHECK_EQ(read(a[0], back, sizeof back), 65535);
  CHECK_EQ(memcmp(back, page + 1, 65535), 0);
  close(a[1]);
  CHECK_EQ(vmsplice(a[0], out, 2, 0), 0);
  close_pipes();
}

CASE(sockets_and_devices) {
  open_pipes(O_NONBLOCK);
  int pair[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  fill_block();
  CHECK_EQ(write(a[1], block, 6000), 6000);
  CHECK_EQ(splice(a[0], NULL, pair[0], NULL, 1 << 20, 0), 6000);
  CHECK_EQ(splice(pair[1], NULL, b[1], NULL, 6000, 0), 6000);
  CHECK_EQ(read(b[0], back, sizeof back), 6000);
  CHECK_EQ(memcmp(back, block, 6000), 0);
  CHECK_ERRNO(splice(pair[1], NULL, b[1], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN);
  loff_t at = 0;
  CHECK_ERRNO(splice(pair[1], &at, b[1], NULL, 10, SPLICE_F_NONBLOCK), EINVAL);
  CHECK_EQ(write(a[1], "x", 1), 1);
  CHECK_ERRNO(splice(a[0], NULL, pair[0], &at, 10, SPLICE_F_NONBLOCK), EINVAL);
  close(pair[0]);
  CHECK_EQ(splice(pair[1], NULL, b[1], NULL, 10, 0), 0);
  close(pair[1]);
  int zero = open("/dev/zero", O_RDWR), null = open("/dev/null", O_RDWR);
  CHECK_EQ(splice(zero, NULL, b[1], NULL, 5000, 0), 5000);
  CHECK_EQ(splice(b[0], NULL, null, NULL, 1 << 20, 0), 5000);
  CHECK_ERRNO(splice(null, NULL, b[1], NULL, 10, 0), EINVAL);
  CHECK_EQ(splice(a[0], NULL, null, NULL, 10, 0), 1);
  close(zero), close(null);
  close_pipes();
}

CASE(sendfile_to_pipe) {
  fill_block();
  check_enter_scratch();
  check_write_file("in", block, 100000);
  int in = open("in", O_RDONLY);
  open_pipes(0);
  off_t at = 50;
  CHECK_EQ(sendfile(a[1], in, &at, 100000), 65536 - 50);
  CHECK_EQ(at, 65536);
  CHECK_OK(fcntl(a[1], F_SETFL, O_NONBLOCK));
  CHECK_ERRNO(sendfile(a[1], in, &at, 100000), EAGAIN);
  CHECK_EQ(read(a[0], back, sizeof back), 65536 - 50);
  CHECK_EQ(memcmp(back, block + 50, 65536 - 50), 0);
  close(in);
  // Into a pipe goes whatever splice(2) takes, once there is room.
  int pair[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
  CHECK_ERRNO(sendfile(a[1], pair[0], NULL, 10), EAGAIN);
  CHECK_EQ(write(pair[1], "0123456789", 10), 10);
  CHECK_EQ(sendfile(a[1], pair[0], NULL, 4), 4);
  CHECK_EQ(sendfile(a[1], pair[0], NULL, 0), 0);
  CHECK_EQ(read(a[0], back, sizeof back), 4);
  int directory = open(".", O_RDONLY);
  CHECK_ERRNO(sendfile(a[1], directory, NULL, 4), EINVAL);
  while (write(a[1], block, 4096) > 0) {
  }
  CHECK_ERRNO(sendfile(a[1], directory, NULL, 4), EAGAIN);
  CHECK_ERRNO(sendfile(a[1], pair[0], NULL, 4), EAGAIN);
  close(directory);
  close(pair[0]), close(pair[1]);
  close_pipes();
}

static void* late(void* unused) {
  check_until_others_sleep();
  if (write(a[1], block, 70000) != 70000) check_leave();
  close(a[1]);
  return unused;
}
CASE(splice_waits) {
  open_pipes(0);
  fill_block();
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, late, NULL) == 0);
  long total = 0, n;
  while ((n = splice(a[0], NULL, b[1], NULL, 1 << 20, 0)) > 0) {
    for (long got = 0; got < n;) {
      long part = read(b[0], back + total + got, (size_t)(n - got));
      REQUIRE(part > 0);
      got += part;
    }
    total += n;
  }
  CHECK_EQ(total, 70000);
  CHECK_EQ(memcmp(back, block, 70000), 0);
  pthread_join(thread, NULL);
  close_pipes();
}

// Edge-triggered watchers of pipes see exactly Linux's edges.
static int edges(int epoll) {
  struct epoll_event event;
  return epoll_wait(epoll, &event, 1, 0);
}
CASE(edges_of_pipes) {
  open_pipes(O_NONBLOCK);
  int reader = epoll_create1(0), writer = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET};
  CHECK_OK(epoll_ctl(reader, EPOLL_CTL_ADD, a[0], &event));
  event.events = EPOLLOUT | EPOLLET;
  CHECK_OK(epoll_ctl(writer, EPOLL_CTL_ADD, a[1], &event));
  CHECK_EQ(edges(reader), 0);
  CHECK_EQ(edges(writer), 1);
  CHECK_EQ(edges(writer), 0);
  CHECK_EQ(write(a[1], "ab", 2), 2);
  CHECK_EQ(edges(reader), 1);
  CHECK_EQ(edges(reader), 0);
  CHECK_EQ(write(a[1], "ab", 2), 2);  // Again, although there was something.
  CHECK_EQ(edges(reader), 1);
  CHECK_EQ(edges(writer), 0);
  CHECK_EQ(read(a[0], back, 1), 1);
  CHECK_EQ(edges(reader), 0);
  CHECK_EQ(edges(writer), 0);
  while (write(a[1], block, 4096) == 4096) {
  }
  CHECK_EQ(edges(writer), 0);
  CHECK_EQ(read(a[0], back, 1), 1);
  CHECK_EQ(edges(writer), 0);
  CHECK_EQ(read(a[0], back, 8192), 8192);
  CHECK_EQ(edges(writer), 1);
  CHECK_EQ(read(a[0], back, 8192), 8192);
  CHECK_EQ(edges(writer), 0);
  close(reader), close(writer);
  close_pipes();
}

CASE(fifos) {
  check_enter_scratch();
  REQUIRE(mkfifo("fifo", 0600) == 0);
  CHECK_ERRNO(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
  int reader = open("fifo", O_RDONLY | O_NONBLOCK);
  REQUIRE(reader >= 0);
  struct pollfd poller = {reader, POLLIN, 0};
  CHECK_EQ(poll(&poller, 1, 0), 0);  // No hang-up before there was a writer.
  CHECK_EQ(read(reader, back, 1), 0);
  int writer = open("fifo", O_WRONLY | O_NONBLOCK);
  REQUIRE(writer >= 0);
  CHECK_ERRNO(read(reader, back, 1), EAGAIN);
  CHECK_EQ(write(writer, "abc", 3), 3);
  CHECK_EQ(fcntl(writer, F_SETPIPE_SZ, 8192), 8192);
  close(writer);
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(poller.revents, POLLIN | POLLHUP);
  CHECK_EQ(read(reader, back, 1), 1);
  // A second reader sees no hang-up of writers before its time.
  int second = open("fifo", O_RDONLY | O_NONBLOCK);
  poller.fd = second;
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(poller.revents, POLLIN);
  close(second);
  close(reader);
  // What nobody has open is forgotten.
  reader = open("fifo", O_RDWR | O_NONBLOCK);
  REQUIRE(reader >= 0);
  CHECK_ERRNO(read(reader, back, 1), EAGAIN);
  CHECK_EQ(fcntl(reader, F_GETPIPE_SZ), 65536);
  CHECK_EQ(write(reader, "x", 1), 1);
  CHECK_EQ(read(reader, back, 1), 1);
  CHECK_ERRNO(lseek(reader, 0, SEEK_SET), ESPIPE);
  CHECK_ERRNO(pread(reader, back, 1, 0), ESPIPE);
  CHECK_ERRNO(ftruncate(reader, 0), EINVAL);
  CHECK_OK(close(reader));
  CHECK_EQ(access("fifo", W_OK), 0);
  CHECK_ERRNO(mkfifo("fifo", 0600), EEXIST);
}

CHECK_MAIN
