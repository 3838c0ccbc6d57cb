// kcmp(2), process_madvise(2), process_mrelease(2), pidfd_getfd(2).
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sem.h>
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
CASE(targets_of_epoll) {
  pid_t self = getpid();
  int set = epoll_create1(0), event = eventfd(0, 0), other = eventfd(0, 0), copy = dup(event);
  struct epoll_event wanted = {.events = EPOLLIN};
  REQUIRE(epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted) == 0);
  struct kcmp_epoll_slot slot = {(unsigned)set, (unsigned)event, 0};
  const unsigned long at = (unsigned long)&slot;
  CHECK_EQ(kcmp(self, self, KCMP_EPOLL_TFD, event, at), 0);
  CHECK_EQ(kcmp(self, self, KCMP_EPOLL_TFD, copy, at), 0);
  CHECK(kcmp(self, self, KCMP_EPOLL_TFD, other, at) > 0);
  CHECK_ERRNO(kcmp(self, self, KCMP_EPOLL_TFD, 999, at), EBADF);
  CHECK_ERRNO(kcmp(self, self, KCMP_EPOLL_TFD, event, 8), EFAULT);
  slot.tfd = (unsigned)other;
  CHECK_ERRNO(kcmp(self, self, KCMP_EPOLL_TFD, event, at), ENOENT);
  slot.efd = (unsigned)event;
  CHECK_ERRNO(kcmp(self, self, KCMP_EPOLL_TFD, event, at), EINVAL);
  slot.efd = 999;
  CHECK_ERRNO(kcmp(self, self, KCMP_EPOLL_TFD, event, at), EBADF);
  // The number stands for two files.
  CHECK_EQ(dup2(other, event), event);
  REQUIRE(epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted) == 0);
  slot = (struct kcmp_epoll_slot){(unsigned)set, (unsigned)event, 0};
  int first = kcmp(self, self, KCMP_EPOLL_TFD, copy, at) == 0;
  slot.toff = 1;
  int second = kcmp(self, self, KCMP_EPOLL_TFD, copy, at) == 0;
  CHECK_EQ(first + second, 1);
  slot.toff = 2;
  CHECK_ERRNO(kcmp(self, self, KCMP_EPOLL_TFD, copy, at), ENOENT);
  close(set);
  close(event);
  close(other);
  close(copy);
}

CASE(undo_of_semaphores) {
  pid_t self = getpid();
  int set = semget(IPC_PRIVATE, 1, 0600), fds[2];
  REQUIRE(set != -1 && pipe(fds) == 0);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    char byte;
    if (read(fds[0], &byte, 1) != 1) _exit(1);
    struct sembuf up = {0, 1, SEM_UNDO};
    if (semop(set, &up, 1) != 0) _exit(1);
    for (;;) pause();
  }
  REQUIRE(child != -1);
  CHECK(same(self, child, KCMP_SYSVSEM));  // neither has any
  CHECK_EQ(write(fds[1], "x", 1), 1);
  while (semctl(set, 0, GETVAL) != 1) sched_yield();
  CHECK(!same(self, child, KCMP_SYSVSEM));
  CHECK(same(child, child, KCMP_SYSVSEM));
  struct sembuf up = {0, 1, SEM_UNDO};
  CHECK_OK(semop(set, &up, 1));
  CHECK(!same(self, child, KCMP_SYSVSEM));
  kill(child, SIGKILL);
  CHECK_EQ(waitpid(child, NULL, 0), child);
  semctl(set, 0, IPC_RMID);
  close(fds[0]);
  close(fds[1]);
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
