// Every system call that the LibOS implements, from its own list: each pointer argument in turn is a bad pointer, then
// each bit of each flags argument is set. The others are harmless and good. What comes back is printed, so that the run
// on Linux says what is right; nothing may crash, and nobody's memory may change.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "bad_places.h"
#include "check.h"

struct call {
  int number;
  const char* name;
  const char* parameters;
};
static const struct call calls[] = {
#define SYSCALL(number, name, ...) {number, #name, "" #__VA_ARGS__},
#define UNIMPLEMENTED(number, name)
#include "../../libos/syscall/table.def"
};

// Not called: what ends or copies the process (flags_by_call.c has those), or waits for ever. brk has a case of its own.
static const char* const left_out[] = {
    "clone",      "clone3",       "fork",  "vfork",           "exit",
    "exit_group", "rt_sigreturn", "pause", "restart_syscall", "brk",
};

// These would set the machine's clock or names natively, or wait for ever, if they could read what they are given.
static const char* const never_readable[] = {
    "settimeofday", "clock_settime", "sethostname", "setdomainname", "rt_sigsuspend",
};

// Flags that the LibOS does not have: huge pages, and flags of newer kernels than the one that it says it is.
static const struct {
  const char* name;
  int at;
  uint32_t bits;
} known[] = {
    {"memfd_create", 1, 0x4},       // MFD_HUGETLB
    {"execveat", 4, 0x10000},       // AT_EXECVE_CHECK
    {"pidfd_send_signal", 3, 0x7},  // PIDFD_SIGNAL_THREAD, _THREAD_GROUP, _PROCESS_GROUP
    {"pidfd_open", 1, 0x80},        // PIDFD_THREAD
};

static int file, directory, pipe_in, pair[2], listener, epoll, timer_fd;
enum { kPage = 4096, kGood = 16 };
static char* good[6];

// What an argument is when it is not the one on trial: by the call, else by the type.
struct given {
  const char* name;
  int at;
  long value;
};
static struct given special[64];
static int special_count;
static void give(const char* name, int at, long value) {
  special[special_count++] = (struct given){name, at, value};
}

static const char* parameter(const struct call* call, int at, char* buffer, size_t size) {
  const char* from = call->parameters;
  for (int i = 0; i < at && from; i++) {
    from = strchr(from, ',');
    if (from) from++;
  }
  if (!from || !*from) return NULL;
  while (*from == ' ') from++;
  snprintf(buffer, size, "%.*s", (int)strcspn(from, ","), from);
  return buffer;
}

static int is_pointer(const char* type) { return strncmp(type, "User", 4) == 0; }

static long usual(const struct call* call, int at, const char* type) {
  for (int i = 0; i < special_count; i++) {
    if (strcmp(special[i].name, call->name) == 0 && special[i].at == at) return special[i].value;
  }
  if (strncmp(type, "UserString", 10) == 0) return (long)strcpy(good[at], ".");
  if (is_pointer(type)) return (long)memset(good[at], 0, kGood * kPage);
  if (strncmp(type, "Fd", 2) == 0) return strstr(type, "directory") ? AT_FDCWD : file;
  if (strstr(type, "size") || strstr(type, "count") || strstr(type, "length")) return 8;
  return 0;
}

static void prepare(const struct call* call, long* arguments) {
  char type[64];
  for (int i = 0; i < 6; i++)
    arguments[i] = parameter(call, i, type, sizeof type) ? usual(call, i, type) : 0;
}

// Descriptors that a call made by itself are closed again.
static const char* run(const struct call* call, const long* a) {
  long r = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (r == -1) return strerrorname_np(errno);
  for (int fd = 40; fd < 60; fd++) close(fd);
  return "ok";
}

static int is_among(const struct call* call, const char* const* names, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(names[i], call->name) == 0) return 1;
  }
  return 0;
}
#define IS_AMONG(call, names) is_among(call, names, sizeof(names) / sizeof *(names))

static uint32_t known_to_differ(const struct call* call, int at) {
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (known[i].at == at && strcmp(known[i].name, call->name) == 0) return known[i].bits;
  }
  return 0;
}

static int move_up(int fd) {
  int moved = fcntl(fd, F_DUPFD, 100);
  close(fd);
  return moved;
}

// Low descriptors are taken, so that what calls make lands in 40 to 59.
static void set_up(void) {
  check_enter_scratch();
  file = move_up(open("file", O_RDWR | O_CREAT, 0600));
  REQUIRE(write(file, "0123456789", 10) == 10);
  directory = move_up(open(".", O_RDONLY));
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  pipe_in = move_up(ends[0]);
  move_up(ends[1]);
  REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) == 0);
  pair[0] = move_up(ends[0]);
  pair[1] = move_up(ends[1]);
  listener = move_up(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
  epoll = move_up(epoll_create1(0));
  timer_fd = move_up(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
  for (int fd = 3; fd < 40; fd++) {
    if (fcntl(fd, F_GETFD) == -1) dup2(directory, fd);
  }
  // Whether there was a stack for signals before is inherited from whoever started this program.
  const stack_t no_stack = {.ss_flags = SS_DISABLE};
  REQUIRE(sigaltstack(&no_stack, NULL) == 0);
  for (int i = 0; i < 6; i++) {
    good[i] = mmap(NULL, kGood * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(good[i] != MAP_FAILED);
  }
  static const char* const sockets[] = {"connect",    "sendto",     "recvfrom",    "sendmsg",
                                        "recvmsg",    "bind",       "getsockname", "getpeername",
                                        "setsockopt", "getsockopt", "recvmmsg",    "sendmmsg"};
  for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) give(sockets[i], 0, pair[0]);
  give("accept", 0, listener);
  give("accept4", 0, listener);
  static const char* const epolls[] = {"epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl"};
  for (size_t i = 0; i < sizeof epolls / sizeof *epolls; i++) give(epolls[i], 0, epoll);
  give("epoll_ctl", 1, EPOLL_CTL_ADD);
  give("epoll_ctl", 2, pipe_in);
  give("epoll_wait", 2, 4);
  give("epoll_pwait", 2, 4);
  give("epoll_pwait2", 2, 4);
  give("timerfd_settime", 0, timer_fd);
  give("timerfd_gettime", 0, timer_fd);
  give("getdents", 0, directory);
  give("getdents64", 0, directory);
  give("getdents", 2, 4096);
  give("getdents64", 2, 4096);
  give("getcwd", 1, 4096);
  give("signalfd", 0, -1);
  give("signalfd4", 0, -1);
  give("ioctl", 0, pipe_in);
  give("ioctl", 1, FIONREAD);
  give("rt_sigaction", 0, SIGUSR1);
  give("setrlimit", 0, RLIMIT_CORE);
  give("getrlimit", 0, RLIMIT_CORE);
  give("prlimit64", 1, RLIMIT_CORE);
  give("getsockopt", 1, SOL_SOCKET);
  give("getsockopt", 2, SO_TYPE);
  give("setsockopt", 1, SOL_SOCKET);
  give("setsockopt", 2, SO_RCVBUF);
  give("process_vm_readv", 0, getpid());
  give("process_vm_writev", 0, getpid());
  give("process_vm_readv", 2, 1);
  give("process_vm_readv", 4, 1);
  give("process_vm_writev", 2, 1);
  give("process_vm_writev", 4, 1);
  give("set_robust_list", 1, 24);
  give("pidfd_open", 0, getpid());
  give("sendfile", 0, file);
  give("mkdir", 1, 0700);
  give("setsockopt", 4, sizeof(int));
  give("settimeofday", 0, 0);
  give("settimeofday", 1, 0);
  give("close_range", 0, 60);
  give("close_range", 1, 60);
}

CASE(bad_pointers) {
  set_up();
  struct neighbour spawned = neighbour_spawned(), forked = neighbour_forked();
  struct bad_place bad[kBadPlaces];
  bad_places(bad, &spawned, &forked);
  for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
    const struct call* call = &calls[c];
    if (IS_AMONG(call, left_out)) continue;
    // These take addresses for what they are, and change what later trials stand on.
    if (strcmp(call->name, "munmap") == 0 || strcmp(call->name, "mmap") == 0 ||
        strcmp(call->name, "mremap") == 0 || strcmp(call->name, "mprotect") == 0 ||
        strcmp(call->name, "madvise") == 0) {
      continue;
    }
    char type[64];
    for (int at = 0; parameter(call, at, type, sizeof type); at++) {
      if (!is_pointer(type)) continue;
      const char* results[kBadPlaces];
      for (int i = 0; i < kBadPlaces; i++) {
        if (i == kReadOnlyPlace && IS_AMONG(call, never_readable)) {
          results[i] = results[0];
          continue;
        }
        long arguments[6];
        bad_places_fill();
        prepare(call, arguments);
        arguments[at] = (long)bad[i].address;
        results[i] = run(call, arguments);
      }
      char name[80];
      snprintf(name, sizeof name, "%s %d", call->name, at);
      bad_places_print(name, results, bad);
      REQUIRE(neighbour_unharmed(&spawned) && neighbour_unharmed(&forked));
    }
  }
  neighbour_end(&spawned);
  neighbour_end(&forked);
}

CASE(address_arguments) {
  // Ranges of the LibOS are none of the program's: nothing is there, and nothing can be put or taken there.
  static const unsigned long places[] = {LIBOS_MEMORY,   LIBOS_IMAGE,        LIBOS_CONFIGURATION,
                                         0x7ffffffff000, 0x8000000000000000, (unsigned long)-4096};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    void* at = (void*)places[i];
    errno = 0;
    printf("%zu: mprotect %d", i, mprotect(at, kPage, PROT_READ) ? errno : 0);
    printf(" madvise %d", madvise(at, kPage, MADV_DONTNEED) ? errno : 0);
    printf(" msync %d", msync(at, kPage, MS_SYNC) ? errno : 0);
    unsigned char vector[1];
    printf(" mincore %d", mincore(at, kPage, vector) ? errno : 0);
    printf(" mremap %d\n", mremap(at, kPage, 2 * kPage, MREMAP_MAYMOVE) == MAP_FAILED ? errno : 0);
  }
}

// What is another process's is no less out of reach, and may become one's own only where nobody's is.
CASE(address_arguments_of_another) {
  struct neighbour spawned = neighbour_spawned(), forked = neighbour_forked();
  for (int i = 0; i < 2; i++) {
    char* at = i == 0 ? spawned.memory : forked.memory;
    CHECK_ERRNO(mprotect(at, kPage, PROT_NONE), ENOMEM);
    CHECK_ERRNO(madvise(at, kPage, MADV_DONTNEED), ENOMEM);
    CHECK_ERRNO(madvise(at, kPage, MADV_REMOVE), ENOMEM);
    CHECK_ERRNO(msync(at, kPage, MS_SYNC), ENOMEM);
    CHECK_ERRNO(mlock(at, kPage), ENOMEM);
    CHECK(mremap(at, kPage, 2 * kPage, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
    CHECK_OK(munmap(at, kPage));  // there is nothing
    CHECK(neighbour_unharmed(&spawned) && neighbour_unharmed(&forked));
    // A hint is no more than that.
    char* near = mmap(at, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(near != MAP_FAILED && near[0] == 0);
    memset(near, 'x', kPage);
    CHECK(neighbour_unharmed(&spawned) && neighbour_unharmed(&forked));
    CHECK_OK(munmap(near, kPage));
    // By force: it is refused in an enclave if the two share no memory, or there are two that differ.
    char* there =
        mmap(at, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (there == MAP_FAILED) {
      CHECK(i == 0 && errno == ENOMEM);
    } else {
      CHECK_EQ(there[0], 0);
      memset(there, 'y', kPage);
      CHECK(neighbour_unharmed(&spawned) && neighbour_unharmed(&forked));
      CHECK_EQ(there[kPage - 1], 'y');
      CHECK_OK(munmap(there, kPage));
    }
    CHECK(neighbour_unharmed(&spawned) && neighbour_unharmed(&forked));
  }
  neighbour_end(&spawned);
  neighbour_end(&forked);
}

CASE(brk_of_anything) {
  static const unsigned long places[] = {
      0x10,           LIBOS_MEMORY,       LIBOS_IMAGE,      ELRANGE_END,
      0x7ffffffff000, 0x8000000000000000, (unsigned long)-1};
  const long now = syscall(SYS_brk, 0);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    CHECK_EQ(syscall(SYS_brk, places[i]), now);
}

CASE(flag_bits) {
  for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
    const struct call* call = &calls[c];
    if (IS_AMONG(call, left_out)) continue;
    char type[64];
    for (int at = 0; parameter(call, at, type, sizeof type); at++) {
      if (strncmp(type, "Flags ", 6) != 0) continue;
      const uint32_t differ = known_to_differ(call, at);
      const char* results[32];
      printf("%s %d:", call->name, at);
      for (int bit = 0; bit < 32; bit++) {
        if (differ & (1u << bit)) continue;
        long arguments[6];
        prepare(call, arguments);
        arguments[at] = 1L << bit;
        results[bit] = run(call, arguments);
      }
      for (int bit = 0; bit < 32; bit++) {
        unsigned mask = 0;
        if (differ & (1u << bit)) continue;
        for (int other = 0; other < 32; other++) {
          if (!(differ & (1u << other)) && strcmp(results[other], results[bit]) == 0)
            mask |= 1u << other;
        }
        if (mask & ((1u << bit) - 1)) continue;
        printf(" %s %x", results[bit], mask);
      }
      printf("\n");
    }
  }
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "neighbour") == 0) return neighbour_main();
  return check_main(argc, argv);
}
