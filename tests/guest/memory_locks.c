// RLIMIT_MEMLOCK and what it sums up: mlock(2), mlock2(2), mlockall(2), MAP_LOCKED, brk(2), mremap(2), SHM_LOCK; VmLck.
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

#define PAGE 4096L

static long locked_kb(void) { return check_status("VmLck"); }

// The cases run in children that are nobody: root is not limited.
static long limit_pages;
static void (*nobody_runs)(void);
static void become_nobody(void) {
  struct rlimit limit = {(rlim_t)(limit_pages * PAGE), (rlim_t)(limit_pages * PAGE)};
  CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &limit));
  if (getuid() == 0) {
    CHECK_OK(setgid(65534));
    CHECK_OK(setuid(65534));
  }
  nobody_runs();
}
static void as_nobody(long pages, void (*run)(void)) {
  limit_pages = pages;
  nobody_runs = run;
  CHECK_EQ(check_in_child(become_nobody), 0);
}

static char* room(long pages) {
  char* at = mmap(NULL, (size_t)(pages * PAGE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1, 0);
  if (at == MAP_FAILED) abort();
  return at;
}

static void sums(void) {
  char* at = room(32);
  CHECK_EQ(locked_kb(), 0);
  CHECK_OK(mlock(at, 8 * PAGE));
  CHECK_EQ(locked_kb(), 32);
  CHECK_OK(mlock(at + 10, 8 * PAGE - 10));
  CHECK_EQ(locked_kb(), 32);
  CHECK_ERRNO(mlock(at + 8 * PAGE, 9 * PAGE), ENOMEM);
  CHECK_EQ(locked_kb(), 32);
  CHECK_OK(mlock(at + 4 * PAGE, 12 * PAGE));
  CHECK_EQ(locked_kb(), 64);
  CHECK_ERRNO(mlock(at + 20 * PAGE, 1), ENOMEM);
  CHECK_OK(mlock(at, 16 * PAGE));
  CHECK_OK(munlock(at + 2 * PAGE, 1));
  CHECK_EQ(locked_kb(), 60);
  CHECK_OK(syscall(SYS_mlock2, at + 20 * PAGE, 1, 1));
  CHECK_EQ(locked_kb(), 64);
  CHECK_OK(munmap(at, 8 * PAGE));
  CHECK_EQ(locked_kb(), 36);
  CHECK_OK(munmap(at + 30 * PAGE, PAGE));
  CHECK_ERRNO(mlock(at + 28 * PAGE, 4 * PAGE), ENOMEM);
  // Up to the hole it was done.
  CHECK_EQ(locked_kb(), 44);
  CHECK_ERRNO(munlock(at + 28 * PAGE, 4 * PAGE), ENOMEM);
  CHECK_EQ(locked_kb(), 36);
  CHECK_OK(munlockall());
  CHECK_EQ(locked_kb(), 0);
  CHECK_OK(mlock(at + 8 * PAGE, 0));
  CHECK_ERRNO(mlock(at + 8 * PAGE, -2 * PAGE), ENOMEM);
  CHECK_ERRNO(munlock((void*)-PAGE, 2 * PAGE), EINVAL);
  CHECK_ERRNO(syscall(SYS_mlock2, at + 8 * PAGE, 1, 2), EINVAL);
}
CASE(one_process) { as_nobody(16, sums); }

static void mappings(void) {
  char* at = mmap(NULL, 10 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED,
                  -1, 0);
  REQUIRE(at != MAP_FAILED);
  CHECK_EQ(locked_kb(), 40);
  CHECK_ERRNO(
      (long)mmap(NULL, 7 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0),
      EAGAIN);
  unsigned char there[10];
  CHECK_OK(mincore(at, 10 * PAGE, there));
  for (int i = 0; i < 10; i++) CHECK_EQ(there[i] & 1, 1);
  char* moved = mremap(at, 10 * PAGE, 14 * PAGE, MREMAP_MAYMOVE);
  REQUIRE(moved != MAP_FAILED);
  CHECK_EQ(locked_kb(), 56);
  CHECK_ERRNO((long)mremap(moved, 14 * PAGE, 17 * PAGE, MREMAP_MAYMOVE), EAGAIN);
  CHECK_ERRNO(madvise(moved, PAGE, MADV_DONTNEED), EINVAL);
  CHECK_ERRNO(madvise(moved, PAGE, MADV_FREE), EINVAL);
  CHECK_OK(madvise(moved, PAGE, 24 /* MADV_DONTNEED_LOCKED */));
  CHECK_OK(munlock(moved, PAGE));
  CHECK_OK(madvise(moved, PAGE, MADV_DONTNEED));
  CHECK_ERRNO(msync(moved, 2 * PAGE, MS_INVALIDATE), EBUSY);
  // A child has none.
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) _exit(locked_kb() != 0);
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK_EQ(locked_kb(), 52);
}
CASE(mapped_locked) { as_nobody(16, mappings); }

static void future(void) {
  CHECK_ERRNO(mlockall(0), EINVAL);
  CHECK_ERRNO(mlockall(MCL_ONFAULT), EINVAL);
  CHECK_ERRNO(mlockall(8), EINVAL);
  CHECK_ERRNO(mlockall(MCL_CURRENT), ENOMEM);
  CHECK_OK(mlockall(MCL_FUTURE));
  CHECK_EQ(locked_kb(), 0);
  char* at = room(10);
  CHECK_EQ(locked_kb(), 40);
  CHECK_ERRNO((long)mmap(NULL, 7 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EAGAIN);
  long end = syscall(SYS_brk, 0);
  CHECK_EQ(syscall(SYS_brk, end + 20 * PAGE), end);
  CHECK_EQ(syscall(SYS_brk, end + 2 * PAGE), end + 2 * PAGE);
  CHECK_EQ(locked_kb(), 48);
  CHECK_EQ(syscall(SYS_brk, end), end);
  CHECK_EQ(locked_kb(), 40);
  // Those that go on are not told: this only takes the future back.
  CHECK_OK(munlockall());
  CHECK_EQ(locked_kb(), 0);
  CHECK(room(20) != NULL);
  CHECK_EQ(locked_kb(), 0);
  CHECK_OK(munmap(at, 10 * PAGE));
}
CASE(all_and_future) { as_nobody(16, future); }

static void nothing(void) {
  char* at = room(1);
  CHECK_ERRNO(mlock(at, 1), EPERM);
  CHECK_ERRNO(mlockall(MCL_FUTURE), EPERM);
  CHECK_ERRNO((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0),
              EPERM);
  CHECK_OK(munlock(at, 1));
  CHECK_OK(munlockall());
}
CASE(none_allowed) { as_nobody(0, nothing); }

// Root is not limited.
CASE(all_of_it) {
  CHECK_OK(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
  CHECK(locked_kb() > 100);
  CHECK_OK(munlockall());
  CHECK_EQ(locked_kb(), 0);
}

static int segments[3];
static void shared(void) {
  for (int i = 0; i < 3; i++) segments[i] = shmget(IPC_PRIVATE, 6 * PAGE, IPC_CREAT | 0600);
  CHECK_OK(shmctl(segments[0], SHM_LOCK, NULL));
  CHECK_OK(shmctl(segments[1], SHM_LOCK, NULL));
  CHECK_ERRNO(shmctl(segments[2], SHM_LOCK, NULL), ENOMEM);
  CHECK_OK(shmctl(segments[1], SHM_LOCK, NULL));
  // Not the process's own.
  CHECK_EQ(locked_kb(), 0);
  CHECK_OK(shmctl(segments[0], SHM_UNLOCK, NULL));
  CHECK_OK(shmctl(segments[2], SHM_LOCK, NULL));
  CHECK_OK(shmctl(segments[1], IPC_RMID, NULL));
  CHECK_OK(shmctl(segments[0], SHM_LOCK, NULL));
  struct shmid_ds status;
  CHECK_OK(shmctl(segments[0], IPC_STAT, &status));
  CHECK_EQ(status.shm_perm.mode, 0600 | SHM_LOCKED);
  CHECK_OK(shmctl(segments[0], IPC_RMID, NULL));
  CHECK_OK(shmctl(segments[2], IPC_RMID, NULL));
}
CASE(shared_memory_of_a_user) { as_nobody(15, shared); }

static int adjustment(void) {
  FILE* file = fopen("/proc/self/oom_score_adj", "r");
  int value = -9999;
  if (fscanf(file, "%d", &value) != 1) value = -9999;
  fclose(file);
  return value;
}
CASE(oom_score_is_inherited) {
  FILE* file = fopen("/proc/self/oom_score_adj", "w");
  REQUIRE(file != NULL);
  fprintf(file, "321");
  fclose(file);
  CHECK_EQ(adjustment(), 321);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    if (adjustment() != 321) _exit(1);
    execl("/bin/sh", "sh", "-c", "read value < /proc/self/oom_score_adj; test $value = 321", NULL);
    _exit(2);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

// Real-time signals and timers of a user's processes have one sum.
static int queue_signals(pid_t to, int most) {
  int sent = 0;
  union sigval value = {0};
  while (sent < most && sigqueue(to, SIGRTMIN + 1, value) == 0) sent++;
  return sent;
}
CASE(queued_signals_of_a_user) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    check_failures = 0;
    struct rlimit limit = {20, 20};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigaddset(&set, SIGRTMIN + 2);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    CHECK_OK(setrlimit(RLIMIT_SIGPENDING, &limit));
    if (getuid() == 0) CHECK_OK(setuid(54321));
    pid_t other = fork();
    if (other == 0) {
      for (;;) pause();
    }
    CHECK_EQ(queue_signals(getpid(), 12), 12);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
    timer_t timer;
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    CHECK_EQ(queue_signals(other, 100), 7);
    CHECK_EQ(errno, EAGAIN);
    CHECK_ERRNO(timer_create(CLOCK_MONOTONIC, &event, &timer), EAGAIN);
    CHECK_EQ(queue_signals(getpid(), 1), 0);
    // A standard signal by kill(2) comes whatever the sum is.
    CHECK_OK(kill(getpid(), SIGUSR1));
    siginfo_t info;
    CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
    CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 1);
    CHECK_EQ(queue_signals(other, 2), 1);
    CHECK_OK(timer_delete(timer));
    CHECK_EQ(queue_signals(other, 2), 1);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    CHECK_EQ(queue_signals(getpid(), 100), 9);
    fflush(stdout);
    _exit(check_failures != 0);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

CHECK_MAIN
