// Every kind of bad pointer into many system calls: each must be refused (EFAULT nearly always), none may kill the
// process or reach what it points at. Addresses of the LibOS itself are among them; natively those are unmapped.
//
// Prints what each call returns, so that the run on Linux says what is right.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "check.h"
#include "libos_places.h"
#include "neighbour.h"

static int in_end, out_end, file, directory, pair[2], epoll;
static void* read_only;
static void* no_access;

#define P ((long)bad)
struct trial {
  const char* name;
  int number;
  long (*run)(long bad);
};

#define TRIAL(call, ...) \
  static long run_##call(long bad) { return syscall(SYS_##call, __VA_ARGS__); }

static char some_path[] = "/", file_name[] = "f";
static long no_time[2];
static struct iovec bad_vector;

TRIAL(read, file, P, 8)
TRIAL(write, out_end, P, 8)
TRIAL(pread64, file, P, 8, 0)
TRIAL(pwrite64, file, P, 8, 0)
TRIAL(readv, file, P, 1)
TRIAL(writev, out_end, P, 1)
TRIAL(open, P, O_RDONLY)
TRIAL(openat, AT_FDCWD, P, O_RDONLY, 0)
TRIAL(stat, P, &bad_vector)
TRIAL(fstat, file, P)
TRIAL(lstat, some_path, P)
TRIAL(newfstatat, AT_FDCWD, some_path, P, 0)
TRIAL(statx, AT_FDCWD, some_path, 0, 0x7ff, P)
TRIAL(access, P, 0)
TRIAL(chdir, P)
TRIAL(mkdir, P, 0700)
TRIAL(rmdir, P)
TRIAL(unlink, P)
TRIAL(rename, P, P)
TRIAL(link, P, P)
TRIAL(symlink, P, P)
TRIAL(readlink, P, P, 10)
TRIAL(getcwd, P, 4096)
TRIAL(getdents64, directory, P, 4096)
TRIAL(chmod, P, 0600)
TRIAL(truncate, P, 0)
TRIAL(statfs, some_path, P)
TRIAL(pipe, P)
TRIAL(pipe2, P, 0)
TRIAL(poll, P, 1, 0)
TRIAL(select, 10, P, 0, 0, no_time)
TRIAL(epoll_ctl, epoll, EPOLL_CTL_ADD, in_end, P)
TRIAL(socketpair, AF_UNIX, SOCK_STREAM, 0, P)
TRIAL(sendto, pair[0], P, 8, MSG_NOSIGNAL, 0, 0)
TRIAL(sendmsg, pair[0], P, MSG_NOSIGNAL)
TRIAL(recvmsg, pair[1], P, MSG_DONTWAIT)
TRIAL(bind, pair[0], P, 16)
TRIAL(connect, pair[0], P, 16)
TRIAL(getsockname, pair[0], P, P)
TRIAL(getsockopt, pair[0], SOL_SOCKET, SO_TYPE, P, P)
TRIAL(setsockopt, pair[0], SOL_SOCKET, SO_RCVBUF, P, 4)
TRIAL(clock_gettime, CLOCK_MONOTONIC, P)
TRIAL(nanosleep, P, 0)
TRIAL(getitimer, 0, P)
TRIAL(rt_sigaction, SIGUSR1, P, 0, 8)
TRIAL(rt_sigprocmask, SIG_BLOCK, P, 0, 8)
TRIAL(rt_sigpending, P, 8)
TRIAL(rt_sigtimedwait, P, 0, P, 8)
TRIAL(sigaltstack, P, 0)
TRIAL(futex, P, 1 /* WAKE, which needs the address only to find its key */, 1, 0, 0, 0)
TRIAL(wait4, -1, P, WNOHANG, P)
TRIAL(execve, P, P, P)
TRIAL(uname, P)
TRIAL(sysinfo, P)
TRIAL(getrlimit, RLIMIT_CORE, P)
TRIAL(prlimit64, 0, RLIMIT_CORE, P, 0)
TRIAL(getrusage, 0, P)
TRIAL(times, P)
TRIAL(getrandom, P, 16, 0)
TRIAL(sched_getaffinity, 0, 128, P)
TRIAL(getcpu, P, P, 0)
TRIAL(getresuid, P, P, P)
TRIAL(prctl, 16 /* PR_GET_NAME */, P)
TRIAL(utimensat, AT_FDCWD, file_name, P, 0)
TRIAL(sendfile, out_end, file, P, 0)
TRIAL(memfd_create, P, 0)
TRIAL(timerfd_settime, epoll, 0, P, 0)

#define ENTRY(call) {#call, SYS_##call, run_##call}
static const struct trial trials[] = {
    ENTRY(read),
    ENTRY(write),
    ENTRY(pread64),
    ENTRY(pwrite64),
    ENTRY(readv),
    ENTRY(writev),
    ENTRY(open),
    ENTRY(openat),
    ENTRY(stat),
    ENTRY(fstat),
    ENTRY(lstat),
    ENTRY(newfstatat),
    ENTRY(statx),
    ENTRY(access),
    ENTRY(chdir),
    ENTRY(mkdir),
    ENTRY(rmdir),
    ENTRY(unlink),
    ENTRY(rename),
    ENTRY(link),
    ENTRY(symlink),
    ENTRY(readlink),
    ENTRY(getcwd),
    ENTRY(getdents64),
    ENTRY(chmod),
    ENTRY(truncate),
    ENTRY(statfs),
    ENTRY(pipe),
    ENTRY(pipe2),
    ENTRY(poll),
    ENTRY(select),
    ENTRY(epoll_ctl),
    ENTRY(socketpair),
    ENTRY(sendto),
    ENTRY(sendmsg),
    ENTRY(recvmsg),
    ENTRY(bind),
    ENTRY(connect),
    ENTRY(getsockname),
    ENTRY(getsockopt),
    ENTRY(setsockopt),
    ENTRY(clock_gettime),
    ENTRY(nanosleep),
    ENTRY(getitimer),
    ENTRY(rt_sigaction),
    ENTRY(rt_sigprocmask),
    ENTRY(rt_sigpending),
    ENTRY(rt_sigtimedwait),
    ENTRY(sigaltstack),
    ENTRY(futex),
    ENTRY(wait4),
    ENTRY(execve),
    ENTRY(uname),
    ENTRY(sysinfo),
    ENTRY(getrlimit),
    ENTRY(prlimit64),
    ENTRY(getrusage),
    ENTRY(times),
    ENTRY(getrandom),
    ENTRY(sched_getaffinity),
    ENTRY(getcpu),
    ENTRY(getresuid),
    ENTRY(prctl),
    ENTRY(utimensat),
    ENTRY(sendfile),
    ENTRY(memfd_create),
    ENTRY(timerfd_settime),
};

static void try_all(const char* what, void* bad) {
  for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
    errno = 0;
    long result = trials[i].run((long)bad);
    if (result == -1 && errno == EFAULT) continue;
    // Something else than EFAULT: worth a line, which has to be the same in both worlds.
    printf("%s %s: %s\n", what, trials[i].name,
           result == -1  ? strerrorname_np(errno)
           : result == 0 ? "0"
                         : "positive");
  }
}

CASE(prepare) {
  int ends[2];
  CHECK_OK(pipe2(ends, O_NONBLOCK));
  in_end = ends[0], out_end = ends[1];
  CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
  epoll = epoll_create1(0);
  check_enter_scratch();
  file = open("f", O_CREAT | O_RDWR, 0600);
  directory = open(".", O_RDONLY | O_DIRECTORY);
  CHECK_EQ(write(file, "0123456789abcdef", 16), 16);
  CHECK_EQ(lseek(file, 0, SEEK_SET), 0);
  CHECK_EQ(write(pair[0], "waiting", 7), 7);
  read_only = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  no_access = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(read_only != MAP_FAILED && no_access != MAP_FAILED);
}

CASE(nothing_mapped) { try_all("unmapped", (void*)0x1000); }
CASE(null) { try_all("null", NULL); }
CASE(protected) { try_all("no access", no_access); }
CASE(kernel_half) { try_all("kernel half", (void*)0xffff800000001000); }
CASE(not_canonical) { try_all("not canonical", (void*)0x0000900000000000); }
CASE(the_last_page) { try_all("last page", (void*)~0xfffUL); }
CASE(wraps_around) { try_all("wraps", (void*)~3UL); }
CASE(libos_image) { try_all("libos image", (void*)LIBOS_IMAGE); }
CASE(libos_data) { try_all("libos data", (void*)(LIBOS_IMAGE + 0x200000)); }
CASE(libos_memory) { try_all("libos memory", (void*)LIBOS_MEMORY); }
CASE(libos_configuration) { try_all("libos configuration", (void*)LIBOS_CONFIGURATION); }
CASE(below_the_end_of_elrange) { try_all("end of the range", (void*)(ELRANGE_END - 4096)); }
CASE(beyond_elrange) { try_all("beyond the range", (void*)(ELRANGE_END + 4096)); }

// Memory of another process is as far away as any other that is not there, wherever it lies.
CASE(another_program) {
  struct neighbour n = neighbour_spawned();
  try_all("its memory", n.memory);
  CHECK(neighbour_unharmed(&n));
  try_all("its program", n.image);
  try_all("its stack", n.stack);
  CHECK(neighbour_unharmed(&n));
  neighbour_end(&n);
}

CASE(member_of_the_family) {
  struct neighbour n = neighbour_forked();
  try_all("its memory", n.memory);
  CHECK(neighbour_unharmed(&n));
  neighbour_end(&n);
}

CASE(write_into_read_only) {
  CHECK_ERRNO(pread(file, read_only, 8, 0), EFAULT);
  CHECK_ERRNO(getrandom(read_only, 8, 0), EFAULT);
  CHECK_ERRNO(uname(read_only), EFAULT);
  CHECK_ERRNO(syscall(SYS_fstat, file, read_only), EFAULT);
  CHECK_ERRNO(syscall(SYS_pipe2, read_only, 0), EFAULT);
  CHECK_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, read_only), EFAULT);
  CHECK_EQ(*(volatile char*)read_only, 0);
  // One's own code is as read-only.
  CHECK_ERRNO(pread(file, (void*)(uintptr_t)&case_write_into_read_only, 8, 0), EFAULT);
}

CASE(partly_mapped) {
  char* area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(munmap(area + 4096, 4096) == 0);
  char* edge = area + 4096 - 8;
  memset(edge, 'e', 8);
  // As far as it goes, as Linux does.
  long n = pread(file, edge, 16, 0);
  printf("read across the edge: %ld\n", n);
  CHECK_EQ(memcmp(edge, "01234567", n > 0 ? n : 0), 0);
  printf("write across the edge: %ld\n", (long)write(out_end, edge, 16));
  // A string that ends exactly at the edge is fine, one that does not end is a fault.
  memcpy(edge, "/dev/nu", 8);
  CHECK_ERRNO(access(edge, F_OK), ENOENT);
  memset(edge, '/', 8);
  CHECK_ERRNO(access(edge, F_OK), EFAULT);
  CHECK_ERRNO(syscall(SYS_fstat, file, edge), EFAULT);
  struct iovec two[2] = {{area, 10}, {area + 4096, 10}};
  printf("two buffers, the second bad: %ld\n", (long)preadv(file, two, 2, 0));
  two[0].iov_base = (void*)LIBOS_IMAGE;
  CHECK_ERRNO(preadv(file, two, 1, 0), EFAULT);
  munmap(area, 4096);
}

CASE(huge_sizes) {
  static char bytes[64];
  long huge[] = {1L << 47, 1L << 62, -1, ~0xfffL};
  for (int i = 0; i < 4; i++) {
    errno = 0;
    long n = syscall(SYS_pread64, file, bytes, huge[i], 16);  // At the end of the file.
    printf("read %d: %ld %d\n", i, n, errno);
    errno = 0;
    n = syscall(SYS_getcwd, bytes, huge[i]) > 0;
    printf("getcwd %d: %ld\n", i, n);
  }
}

CASE(descriptors_do_not_leak) {
  // pipe2 that cannot deliver its descriptors closes them again.
  int before = open("/dev/null", O_RDONLY);
  close(before);
  for (int i = 0; i < 100; i++) CHECK_ERRNO(syscall(SYS_pipe2, LIBOS_IMAGE, 0), EFAULT);
  for (int i = 0; i < 100; i++)
    CHECK_ERRNO(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 8), EFAULT);
  int after = open("/dev/null", O_RDONLY);
  CHECK_EQ(after, before);
  close(after);
}

CASE(still_alive) {
  char text[8] = "";
  CHECK_EQ(recv(pair[1], text, 7, 0), 7);
  CHECK_STR(text, "waiting");
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "neighbour") == 0) return neighbour_main();
  return check_main(argc, argv);
}
