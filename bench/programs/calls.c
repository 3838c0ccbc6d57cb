// Single calls in one process, each in a loop. Prints ns for one.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "bench.h"

static int fd;
static char path[256];

static void do_getpid(long count) {
  for (long i = 0; i < count; i++) getpid();
}

static void do_read_zero(long count) {
  char byte;
  for (long i = 0; i < count; i++) require(read(fd, &byte, 1) == 1, "read");
}

static void do_write_null(long count) {
  for (long i = 0; i < count; i++) require(write(fd, "x", 1) == 1, "write");
}

static void do_clock(long count) {
  struct timespec time;
  for (long i = 0; i < count; i++) clock_gettime(CLOCK_MONOTONIC, &time);
}

// The number comes in a register and the code lies in writable memory, so no loader can rewrite the site.
static long (*trap_site)(long number);
static void do_trap(long count) {
  for (long i = 0; i < count; i++) trap_site(SYS_getpid);
}

static void do_stat(long count) {
  struct stat info;
  for (long i = 0; i < count; i++) require(stat(path, &info) == 0, "stat");
}

static void do_open_close(long count) {
  for (long i = 0; i < count; i++) {
    int file = open(path, O_RDONLY);
    require(file >= 0 && close(file) == 0, "open");
  }
}

static void do_pread(long count) {
  static char page[4096];
  for (long i = 0; i < count; i++) require(pread(fd, page, sizeof page, 0) == sizeof page, "pread");
}

static void do_create_unlink(long count) {
  for (long i = 0; i < count; i++) {
    int file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    require(file >= 0 && close(file) == 0 && unlink(path) == 0, "create");
  }
}

static void on_signal(int number) { (void)number; }
static void do_signal(long count) {
  for (long i = 0; i < count; i++) kill(getpid(), SIGUSR1);
}

static void do_mmap(long count) {
  for (long i = 0; i < count; i++) {
    char* area = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(area != MAP_FAILED, "mmap");
    for (int at = 0; at < 1 << 20; at += 4096) area[at] = 1;
    munmap(area, 1 << 20);
  }
}

static void* nothing(void* unused) { return unused; }
static void do_thread(long count) {
  for (long i = 0; i < count; i++) {
    pthread_t thread;
    require(pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0,
            "pthread_create");
  }
}

static int epoll, events[1000];
static void do_epoll(long count) {
  uint64_t one = 1;
  struct epoll_event got;
  for (long i = 0; i < count; i++) {
    int which = events[i * 7 % 1000];
    require(write(which, &one, 8) == 8 && epoll_wait(epoll, &got, 1, -1) == 1 &&
                read(got.data.fd, &one, 8) == 8,
            "epoll");
  }
}

static void scratch(int create) {
  const char* directory = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/bench-%d", directory ? directory : "/tmp", getpid());
  if (!create) return;
  fd = open(path, O_CREAT | O_RDWR, 0600);
  static char page[4096];
  require(fd >= 0 && write(fd, page, sizeof page) == sizeof page, path);
}
static void with_file(void (*operation)(long)) {
  scratch(1);
  measure(operation);
  unlink(path);
}

static void run_getpid(void) { measure(do_getpid); }
static void run_read_zero(void) {
  fd = open("/dev/zero", O_RDONLY);
  measure(do_read_zero);
}
static void run_write_null(void) {
  fd = open("/dev/null", O_WRONLY);
  measure(do_write_null);
}
static void run_clock(void) { measure(do_clock); }
static void run_trap(void) {
  static const unsigned char code[] = {0x89, 0xf8, 0x0f, 0x05,
                                       0xc3};  // mov %edi,%eax; syscall; ret
  void* area =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(area != MAP_FAILED, "mmap");
  memcpy(area, code, sizeof code);
  trap_site = (long (*)(long))area;
  measure(do_trap);
}
static void run_stat(void) { with_file(do_stat); }
static void run_open_close(void) { with_file(do_open_close); }
static void run_pread(void) { with_file(do_pread); }
static void run_create_unlink(void) {
  scratch(0);
  measure(do_create_unlink);
}
static void run_signal(void) {
  signal(SIGUSR1, on_signal);
  measure(do_signal);
}
static void run_mmap(void) { measure(do_mmap); }
static void run_thread(void) { measure(do_thread); }
static void run_epoll(void) {
  epoll = epoll_create1(0);
  for (int i = 0; i < 1000; i++) {
    events[i] = eventfd(0, EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = events[i]}};
    require(events[i] >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, events[i], &event) == 0, "epoll_ctl");
  }
  measure(do_epoll);
}

static const struct benchmark list[] = {
    {"getpid", run_getpid},
    {"read_zero", run_read_zero},
    {"write_null", run_write_null},
    {"clock_gettime", run_clock},
    {"syscall_trap", run_trap},
    {"stat", run_stat},
    {"open_close", run_open_close},
    {"pread_4k", run_pread},
    {"create_unlink", run_create_unlink},
    {"signal_self", run_signal},
    {"mmap_1m", run_mmap},
    {"thread_create_join", run_thread},
    {"epoll_1000", run_epoll},
};
BENCHMARKS(list)
