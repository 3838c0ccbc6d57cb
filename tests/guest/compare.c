// kcmp(2), process_madvise(2), process_mrelease(2), pidfd_getfd(2).
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "check.h"

static long kcmp(pid_t a, pid_t b, int type, unsigned long x, unsigned long y) {
  return syscall(SYS_kcmp, a, b, type, x, y);
}
// Order is the kernel's business: equal or not.
static int same(pid_t a, pid_t b, int type) { return kcmp(a, b, type, 0, 0) == 0; }

CASE(files) {
  pid_t self = getpid();
  int file = open("/dev/null", O_RDONLY), copy = dup(file), other = open("/dev/null", O_RDONLY);
  CHECK_EQ(kcmp(self, self, KCMP_FILE, file, copy), 0);
  long order = kcmp(self, self, KCMP_FILE, file, other);
  CHECK(order == 1 || order == 2);
  CHECK_EQ(kcmp(self, self, KCMP_FILE, other, file), 3 - order);
  CHECK_ERRNO(kcmp(self, self, KCMP_FILE, file, 999), EBADF);
  CHECK_ERRNO(kcmp(self, self, 99, 0, 0), EINVAL);
  CHECK_ERRNO(kcmp(self, 99999999, KCMP_FILE, file, file), ESRCH);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  CHECK_EQ(kcmp(self, child, KCMP_FILE, file, copy), 0);
  CHECK(!same(self, child, KCMP_VM) && !same(self, child, KCMP_FILES));
  CHECK(!same(self, child, KCMP_FS) && !same(self, child, KCMP_SIGHAND));
  CHECK_EQ(kcmp(self, child, KCMP_IO, 0, 0), 0);
  int pidfd = syscall(SYS_pidfd_open, child, 0);
  int taken = syscall(SYS_pidfd_getfd, pidfd, file, 0);
  CHECK(taken >= 0);
  CHECK_EQ(kcmp(self, self, KCMP_FILE, file, taken), 0);
  CHECK_ERRNO(syscall(SYS_pidfd_getfd, pidfd, 999, 0), EBADF);
  CHECK_ERRNO(syscall(SYS_pidfd_getfd, pidfd, file, 1), EINVAL);
  CHECK_ERRNO(syscall(SYS_process_mrelease, pidfd, 0), EINVAL);
  CHECK_ERRNO(syscall(SYS_process_mrelease, pidfd, 1), EINVAL);
  CHECK_ERRNO(syscall(SYS_process_mrelease, 999, 0), EBADF);
  kill(child, SIGKILL);
  CHECK_EQ(waitpid(child, NULL, 0), child);
  CHECK_ERRNO(syscall(SYS_process_mrelease, pidfd, 0), ESRCH);
}

static volatile pid_t thread_id;
static pthread_barrier_t barrier;
static void* wait_there(void* unused) {
  thread_id = (pid_t)syscall(SYS_gettid);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  return unused;
}
CASE(threads) {
  pthread_t thread;
  pthread_barrier_init(&barrier, NULL, 2);
  REQUIRE(pthread_create(&thread, NULL, wait_there, NULL) == 0);
  pthread_barrier_wait(&barrier);
  pid_t self = getpid();
  CHECK(same(self, thread_id, KCMP_VM) && same(self, thread_id, KCMP_FILES));
  CHECK(same(self, thread_id, KCMP_FS) && same(self, thread_id, KCMP_SIGHAND));
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
}

CASE(advice) {
  size_t size = 16 * 4096;
  char* room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct iovec parts[2] = {{room, 4096}, {room + 8192, 8192}};
  int self = syscall(SYS_pidfd_open, getpid(), 0);
  CHECK_EQ(syscall(SYS_process_madvise, self, parts, 2, MADV_COLD, 0), 12288);
  CHECK_EQ(syscall(SYS_process_madvise, self, parts, 0, MADV_COLD, 0), 0);
  CHECK_ERRNO(syscall(SYS_process_madvise, self, parts, 2, MADV_COLD, 1), EINVAL);
  CHECK_ERRNO(syscall(SYS_process_madvise, -1, parts, 2, MADV_COLD, 0), EBADF);
  CHECK_ERRNO(syscall(SYS_process_madvise, self, (void*)8, 2, MADV_COLD, 0), EFAULT);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  int other = syscall(SYS_pidfd_open, child, 0);
  CHECK_EQ(syscall(SYS_process_madvise, other, parts, 2, MADV_PAGEOUT, 0), 12288);
  CHECK_EQ(syscall(SYS_process_madvise, other, parts, 2, MADV_WILLNEED, 0), 12288);
  CHECK_ERRNO(syscall(SYS_process_madvise, other, parts, 2, MADV_DONTNEED, 0), EINVAL);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  CHECK_ERRNO(syscall(SYS_process_madvise, other, parts, 2, MADV_COLD, 0), ESRCH);
}

CHECK_MAIN
