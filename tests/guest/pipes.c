// pipe(7): blocking, not blocking, end of file, EPIPE, atomic small writes, capacity, splice-free copies.
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "check.h"

static int ends[2];
static void open_pipe(int flags) { REQUIRE(pipe2(ends, flags) == 0); }
static void close_pipe(void) {
  close(ends[0]);
  close(ends[1]);
}

CASE(flags) {
  open_pipe(O_CLOEXEC | O_NONBLOCK);
  for (int i = 0; i < 2; i++) {
    CHECK_EQ(fcntl(ends[i], F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(ends[i], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  }
  struct stat info;
  CHECK_OK(fstat(ends[0], &info));
  CHECK(S_ISFIFO(info.st_mode));
  char byte;
  CHECK_ERRNO(write(ends[0], "x", 1), EBADF);
  CHECK_ERRNO(read(ends[1], &byte, 1), EBADF);
  close_pipe();
  CHECK_ERRNO(pipe2(ends, 0x40000000), EINVAL);
}

CASE(first_in_first_out) {
  open_pipe(0);
  CHECK_EQ(write(ends[1], "hello", 5), 5);
  CHECK_EQ(write(ends[1], " world", 6), 6);
  char text[32] = "";
  int waiting = 0;
  CHECK_OK(ioctl(ends[0], FIONREAD, &waiting));
  CHECK_EQ(waiting, 11);
  CHECK_EQ(read(ends[0], text, 3), 3);
  CHECK_EQ(read(ends[0], text + 3, sizeof text), 8);
  CHECK_STR(text, "hello world");
  CHECK_EQ(write(ends[1], text, 0), 0);
  close_pipe();
}

CASE(no_writer_is_the_end) {
  open_pipe(0);
  CHECK_EQ(write(ends[1], "x", 1), 1);
  close(ends[1]);
  char byte;
  CHECK_EQ(read(ends[0], &byte, 1), 1);
  CHECK_EQ(read(ends[0], &byte, 1), 0);
  CHECK_EQ(read(ends[0], &byte, 1), 0);
  struct pollfd poller = {ends[0], POLLIN, 0};
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(poller.revents, POLLHUP);
  close(ends[0]);
}

static volatile sig_atomic_t broken;
static void on_broken(int number) {
  (void)number;
  broken++;
}
CASE(no_reader_is_an_error) {
  open_pipe(0);
  close(ends[0]);
  signal(SIGPIPE, on_broken);
  CHECK_ERRNO(write(ends[1], "x", 1), EPIPE);
  CHECK_EQ(broken, 1);
  signal(SIGPIPE, SIG_IGN);
  CHECK_ERRNO(write(ends[1], "x", 1), EPIPE);
  struct pollfd poller = {ends[1], POLLOUT, 0};
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK(poller.revents & POLLERR);
  close(ends[1]);
  signal(SIGPIPE, SIG_DFL);
}

CASE(not_blocking) {
  open_pipe(O_NONBLOCK);
  static char block[8192];
  CHECK_ERRNO(read(ends[0], block, 1), EAGAIN);
  long total = 0, wrote;
  while ((wrote = write(ends[1], block, 4096)) > 0) total += wrote;
  CHECK_EQ(errno, EAGAIN);
  CHECK_EQ(total, 65536);
  CHECK_EQ(fcntl(ends[1], F_GETPIPE_SZ), 65536);
  struct pollfd poller = {ends[1], POLLOUT, 0};
  CHECK_EQ(poll(&poller, 1, 0), 0);
  CHECK_EQ(read(ends[0], block, 4096), 4096);
  CHECK_EQ(poll(&poller, 1, 0), 1);
  // A write of at most PIPE_BUF is all or nothing; a larger one may be partial.
  CHECK_EQ(write(ends[1], block, 8192), 4096);
  CHECK_ERRNO(write(ends[1], block, PIPE_BUF), EAGAIN);
  close_pipe();
}

CASE(capacity_can_change) {
  open_pipe(O_NONBLOCK);
  CHECK_EQ(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
  CHECK_EQ(fcntl(ends[0], F_GETPIPE_SZ), 1 << 20);
  static char block[1 << 16];
  long total = 0, wrote;
  while ((wrote = write(ends[1], block, sizeof block)) > 0) total += wrote;
  CHECK_EQ(total, 1 << 20);
  CHECK_ERRNO(fcntl(ends[1], F_SETPIPE_SZ, 4096), EBUSY);
  close_pipe();
}

static void* late_writer(void* unused) {
  check_until_others_sleep();
  if (write(ends[1], "late", 4) != 4) broken = 100;
  return unused;
}
CASE(reader_waits) {
  open_pipe(0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, late_writer, NULL) == 0);
  char text[8] = "";
  CHECK_EQ(read(ends[0], text, sizeof text), 4);
  CHECK_STR(text, "late");
  pthread_join(thread, NULL);
  close_pipe();
}

enum { kBig = 4 << 20 };
static void* big_writer(void* data) {
  long wrote = write(ends[1], data, kBig);  // One call, many times the capacity.
  close(ends[1]);
  return (void*)wrote;
}
CASE(big_write) {
  open_pipe(0);
  unsigned char *data = malloc(kBig), *back = malloc(kBig + 1);
  for (int i = 0; i < kBig; i++) data[i] = (unsigned char)(i * 31 >> 5);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, big_writer, data) == 0);
  long got = 0, n;
  while ((n = read(ends[0], back + got, got % 7000 + 1)) > 0) got += n;
  void* wrote;
  pthread_join(thread, &wrote);
  CHECK_EQ((long)wrote, kBig);
  CHECK_EQ(got, kBig);
  CHECK_EQ(memcmp(data, back, kBig), 0);
  close(ends[0]);
  free(data);
  free(back);
}

enum { kRecord = 512, kRecords = 400, kWriters = 4 };
static void* record_writer(void* id) {
  char record[kRecord];
  memset(record, 'a' + (int)(intptr_t)id, sizeof record);
  for (int i = 0; i < kRecords; i++) {
    if (write(ends[1], record, kRecord) != kRecord) broken = 200;
  }
  return NULL;
}
CASE(small_writes_are_atomic) {
  open_pipe(0);
  pthread_t threads[kWriters];
  for (intptr_t i = 0; i < kWriters; i++)
    REQUIRE(pthread_create(&threads[i], NULL, record_writer, (void*)i) == 0);
  int seen[kWriters] = {0}, mixed = 0;
  for (int i = 0; i < kWriters * kRecords; i++) {
    char record[kRecord];
    for (long got = 0, n; got < kRecord; got += n)
      REQUIRE((n = read(ends[0], record + got, kRecord - got)) > 0);
    for (int j = 1; j < kRecord; j++) mixed += record[j] != record[0];
    seen[record[0] - 'a']++;
  }
  CHECK_EQ(mixed, 0);
  for (int i = 0; i < kWriters; i++) {
    CHECK_EQ(seen[i], kRecords);
    pthread_join(threads[i], NULL);
  }
  CHECK(broken < 100);
  close_pipe();
}

CHECK_MAIN
