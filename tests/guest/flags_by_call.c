// Every bit of the arguments that are flags, and every value around the valid ones of those that are commands, where
// syscall_torture.c cannot tell it from the type: the calls for memory, System V IPC, clone and clone3, and others.
// What comes back is printed, so that the run on Linux says what is right.
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "check.h"

enum { kPage = 4096, kMostValues = 320 };
#define CALL(name, ...) syscall(SYS_##name, __VA_ARGS__)

static const char* outcome(long result) { return result == -1 ? strerrorname_np(errno) : "ok"; }

// One line: each result with what gave it, a range as one.
static void print_values(const char* name, const char** results, int from, int count) {
  printf("%s:", name);
  for (int i = 0; i < count; i++) {
    int is_first = results[i] != NULL;
    for (int before = 0; is_first && before < i; before++)
      is_first = results[before] == NULL || strcmp(results[before], results[i]) != 0;
    if (!is_first) continue;
    printf(" %s", results[i]);
    for (int other = i; other < count; other++) {
      if (results[other] == NULL || strcmp(results[other], results[i]) != 0) continue;
      int last = other;
      while (last + 1 < count && results[last + 1] != NULL &&
             strcmp(results[last + 1], results[i]) == 0)
        last++;
      printf(last > other ? " %d-%d" : " %d", from + other, from + last);
      other = last;
    }
  }
  printf("\n");
}

// Makes `call` with `bit` as each of so many bits but those in `except`; with `value` as each of [from, end).
#define TRY_BITS(name, bits, except, call)                             \
  do {                                                                 \
    const char* results_[64] = {0};                                    \
    for (int i_ = 0; i_ < (bits); i_++) {                              \
      const unsigned long bit = 1UL << i_;                             \
      if ((bit & (except)) == 0) results_[i_] = outcome((long)(call)); \
    }                                                                  \
    print_values(name, results_, 0, bits);                             \
  } while (0)
#define TRY_VALUES(name, from, end, call)               \
  do {                                                  \
    const char* results_[kMostValues] = {0};            \
    for (int value = (from); value < (end); value++)    \
      results_[value - (from)] = outcome((long)(call)); \
    print_values(name, results_, from, (end) - (from)); \
  } while (0)

static void* pages(void) {
  void* area = mmap(NULL, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(area != MAP_FAILED);
  return area;
}

// What was mapped goes again.
static long map(unsigned long prot, unsigned long flags, int fd) {
  const long at = CALL(mmap, 0, kPage, prot, flags, fd, 0);
  if (at != -1) munmap((void*)at, kPage);
  return at == -1 ? -1 : 0;
}

CASE(mapping) {
  check_enter_scratch();
  const int file = open("file", O_RDWR | O_CREAT, 0600);
  REQUIRE(file >= 0 && ftruncate(file, kPage) == 0);
  // MAP_FIXED at 0, and huge pages, which the LibOS does not have.
  const unsigned long special = MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_HUGETLB;
  const unsigned long above_4g = 0x80;  // MAP_ABOVE4G, of newer kernels
  TRY_BITS("mmap prot", 32, 0, map(bit, MAP_PRIVATE | MAP_ANONYMOUS, -1));
  TRY_BITS("mmap prot of a file", 32, 0, map(bit, MAP_SHARED, file));
  TRY_BITS("mmap flags alone", 32, special, map(PROT_READ, bit, -1));
  TRY_BITS("mmap private", 32, special, map(PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | bit, -1));
  TRY_BITS("mmap shared", 32, special, map(PROT_READ, MAP_SHARED | MAP_ANONYMOUS | bit, -1));
  TRY_BITS("mmap a file", 32, special, map(PROT_READ, MAP_PRIVATE | bit, file));
  TRY_BITS("mmap a file validated", 32, special | above_4g,
           map(PROT_READ, MAP_SHARED_VALIDATE | bit, file));
  TRY_VALUES("mmap type", 0, 8, map(PROT_READ, MAP_ANONYMOUS | value, -1));
  TRY_BITS("mprotect", 32, 0, CALL(mprotect, pages(), kPage, bit));
  TRY_BITS("mremap", 32, 0, CALL(mremap, pages(), kPage, kPage, bit, pages()));
  TRY_BITS("mremap and move", 32, 0,
           CALL(mremap, pages(), kPage, kPage, MREMAP_MAYMOVE | bit, pages()));
  TRY_BITS("msync", 32, 0, CALL(msync, pages(), kPage, bit));
  TRY_VALUES("msync", 0, 8, CALL(msync, pages(), kPage, value));
  TRY_BITS("mlock2", 32, 0, CALL(mlock2, pages(), kPage, bit));
  TRY_VALUES("mlockall", 0, 17, (munlockall(), CALL(mlockall, value)));
  CHECK_OK(munlockall());
  close(file);
}

CASE(advice) {
  // Left out: what takes memory away from the machine (MADV_HWPOISON, MADV_SOFT_OFFLINE), and
  // what newer kernels have (MADV_GUARD_INSTALL).
  TRY_VALUES("madvise", -2, 30, CALL(madvise, pages(), kPage, value));
  TRY_VALUES("madvise", 104, 110, CALL(madvise, pages(), kPage, value));
  const int file = open("/proc/self/exe", O_RDONLY);
  TRY_VALUES("fadvise64", -1, 10, CALL(fadvise64, file, 0, 0, value));
  close(file);
}

static long remove_queue(long id) { return id == -1 ? -1 : msgctl((int)id, IPC_RMID, NULL); }
static long remove_set(long id) { return id == -1 ? -1 : semctl((int)id, 0, IPC_RMID); }
static long remove_segment(long id) { return id == -1 ? -1 : shmctl((int)id, IPC_RMID, NULL); }
static long attach(int segment, unsigned long flags) {
  const long at = CALL(shmat, segment, 0, flags);
  return at == -1 ? -1 : shmdt((void*)at);
}

CASE(system_v) {
  const unsigned long huge = 04000;  // SHM_HUGETLB
  TRY_BITS("shmget", 32, huge, remove_segment(CALL(shmget, IPC_PRIVATE, kPage, 0600 | bit)));
  TRY_BITS("shmget of none", 32, huge | IPC_CREAT, CALL(shmget, 0x7e57, kPage, bit));
  TRY_BITS("semget", 32, 0, remove_set(CALL(semget, IPC_PRIVATE, 1, 0600 | bit)));
  TRY_BITS("semget of none", 32, IPC_CREAT, CALL(semget, 0x7e57, 1, bit));
  TRY_BITS("msgget", 32, 0, remove_queue(CALL(msgget, IPC_PRIVATE, 0600 | bit)));
  TRY_BITS("msgget of none", 32, IPC_CREAT, CALL(msgget, 0x7e57, bit));

  const int segment = shmget(IPC_PRIVATE, kPage, 0600), set = semget(IPC_PRIVATE, 1, 0600),
            queue = msgget(IPC_PRIVATE, 0600);
  REQUIRE(segment != -1 && set != -1 && queue != -1);
  TRY_BITS("shmat", 32, 0, attach(segment, bit));
  struct sembuf operation = {0, 1, 0};
  TRY_BITS("semop", 16, 0, (operation.sem_flg = (short)bit, CALL(semop, set, &operation, 1)));
  const struct {
    long type;
    char text[8];
  } message = {1, "message"};
  char room[64];
  TRY_BITS("msgsnd", 32, 0, CALL(msgsnd, queue, &message, 8, bit));
  // A queue with something in it.
  TRY_BITS("msgrcv", 32, 0, CALL(msgrcv, queue, room, 4, 1, IPC_NOWAIT | bit));
  TRY_VALUES("shmctl", -1, 32, value == IPC_RMID ? 0 : CALL(shmctl, segment, value, 8));
  TRY_VALUES("semctl", -1, 32, value == IPC_RMID ? 0 : CALL(semctl, set, 0, value, 8));
  TRY_VALUES("msgctl", -1, 32, value == IPC_RMID ? 0 : CALL(msgctl, queue, value, 8));
  remove_segment(segment), remove_set(set), remove_queue(queue);
}

CASE(descriptors) {
  const int file = open("/dev/null", O_RDWR);
  int ends[2];
  TRY_BITS("socket", 32, 0, close((int)CALL(socket, AF_UNIX, SOCK_STREAM | bit, 0)));
  TRY_VALUES("socket type", -1, 12, close((int)CALL(socket, AF_UNIX, value, 0)));
  TRY_BITS("socketpair", 32, 0, CALL(socketpair, AF_UNIX, SOCK_STREAM | bit, 0, ends));
  TRY_VALUES("shutdown", -1, 5, CALL(shutdown, ends[0], value));
  TRY_VALUES("lseek", -1, 8, CALL(lseek, file, 0, value));
  TRY_VALUES("flock", -1, 40, CALL(flock, file, value | LOCK_NB));
  TRY_VALUES("access", -1, 10, CALL(access, "/", value));
  TRY_BITS("fallocate", 32, 0, CALL(fallocate, file, bit, 0, 1));
  TRY_BITS("F_SETFD", 32, 0, CALL(fcntl, file, F_SETFD, bit));
  TRY_BITS("F_SETFL", 32, O_DIRECT, CALL(fcntl, file, F_SETFL, bit));
  const int epoll = epoll_create1(0);
  struct epoll_event event = {0};
  TRY_VALUES("epoll_ctl", 0, 6, CALL(epoll_ctl, epoll, value, ends[0], &event));
  TRY_BITS("epoll events", 32, 0,
           (event.events = (uint32_t)bit, CALL(epoll_ctl, epoll, EPOLL_CTL_DEL, ends[0], &event),
            CALL(epoll_ctl, epoll, EPOLL_CTL_ADD, ends[0], &event)));
  struct open_how how = {0};
  TRY_BITS("openat2 flags", 64, 0,
           (how.flags = bit, close((int)CALL(openat2, AT_FDCWD, "/dev/null", &how, sizeof how))));
  how.flags = 0;
  TRY_BITS("openat2 resolve", 64, RESOLVE_CACHED,  // which the LibOS does not have
           (how.resolve = bit, close((int)CALL(openat2, AT_FDCWD, ".", &how, sizeof how))));
  close(epoll), close(file);
}

CASE(signals_and_time) {
  sigset_t none = {0};
  TRY_VALUES("rt_sigprocmask", -1, 5, CALL(rt_sigprocmask, value, &none, NULL, 8));
  TRY_VALUES("set size", 0, 18, CALL(rt_sigprocmask, SIG_BLOCK, &none, NULL, value));
  TRY_VALUES("rt_sigaction", -1, 70, CALL(rt_sigaction, value, NULL, NULL, 8));
  struct itimerval never = {0};
  TRY_VALUES("setitimer", -1, 5, CALL(setitimer, value, &never, NULL));
  TRY_VALUES("waitid type", -1, 6, CALL(waitid, value, 1, NULL, WEXITED | WNOHANG, NULL));
  TRY_VALUES("membarrier", -1, 2, CALL(membarrier, value, 0, 0));
  struct sched_param priority = {0};
  TRY_VALUES("policy", -1, 10, CALL(sched_setscheduler, 0, value, &priority));
  priority.sched_priority = 1;
  TRY_VALUES(
      "policy with a priority", -1, 6,
      value == SCHED_FIFO || value == SCHED_RR ? 0 : CALL(sched_setscheduler, 0, value, &priority));
}

static int is_requeue(int operation) {
  return operation == FUTEX_REQUEUE || operation == FUTEX_CMP_REQUEUE ||
         operation == FUTEX_CMP_REQUEUE_PI;
}

CASE(futex_operations) {
  static uint32_t word;
  struct timespec now = {0, 0};
  // Left out: those that lock, which would stay locked. To requeues the fourth argument is a count: of an address the
  // low half, which may be negative.
  TRY_VALUES("futex", 0, 32,
             value >= FUTEX_LOCK_PI && value <= FUTEX_TRYLOCK_PI
                 ? 0
                 : CALL(futex, &word, value, 1, is_requeue(value) ? (void*)1 : &now, &word, 1));
  TRY_BITS("futex flags", 32, 15, CALL(futex, &word, FUTEX_WAKE | bit, 1, &now, &word, 1));
}

CASE(ptrace_options) {
  int status;
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    _exit(0);
  }
  REQUIRE(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
  TRY_BITS("PTRACE_SETOPTIONS", 32, 1 << 21 /* PTRACE_O_SUSPEND_SECCOMP */,
           CALL(ptrace, PTRACE_SETOPTIONS, child, 0, bit));
  kill(child, SIGKILL);
  CHECK_EQ(waitpid(child, &status, 0), child);
}

// Namespaces are EPERM in the LibOS; with CLONE_PARENT the child would be somebody else's.
#define NAMESPACES                                                                              \
  (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
   CLONE_NEWNET)
#define NOT_HERE (NAMESPACES | CLONE_PARENT)
// Newer kernels have pidfds of threads.
#define NOT_A_THREADS (NOT_HERE | CLONE_PIDFD)

static uint32_t parent_tid, child_tid;
static uint64_t thread_block[64];

// The child ends before it touches its stack, which may be this one.
static long clone_and_end(long number, long first, long second) {
  register long tid asm("r10") = (long)&child_tid;
  register long tls asm("r8") = (long)thread_block;
  long result;
  asm volatile(
      "syscall\n"
      "test %%rax, %%rax\n"
      "jnz 1f\n"
      "mov %[exit], %%eax\n"
      "xor %%edi, %%edi\n"
      "syscall\n"
      "1:"
      : "=a"(result)
      : "a"(number), "D"(first), "S"(second), "d"(&parent_tid), "r"(tid),
        "r"(tls), [exit] "i"(SYS_exit)
      : "rcx", "r11", "memory");
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}

// Until it has ended; the descriptor of it is closed.
static long ended(long pid, unsigned long flags) {
  if (pid == -1) return -1;
  if (flags & CLONE_PIDFD) close((int)parent_tid);
  if (flags & CLONE_THREAD) {
    while (CALL(tgkill, getpid(), pid, 0) == 0) sched_yield();
    return 0;
  }
  return waitpid((pid_t)pid, NULL, __WALL) == pid ? 0 : -1;
}
static long clone_with(unsigned long flags) {
  return ended(clone_and_end(SYS_clone, (long)flags, 0), flags);
}

CASE(clone_flags) {
  const unsigned long thread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
  TRY_BITS("clone", 32, NOT_HERE | 0xff, clone_with(SIGCHLD | bit));
  TRY_BITS("clone VM", 32, NOT_HERE | 0xff, clone_with(SIGCHLD | CLONE_VM | bit));
  TRY_BITS("clone VM VFORK", 32, NOT_HERE | 0xff,
           clone_with(SIGCHLD | CLONE_VM | CLONE_VFORK | bit));
  TRY_BITS("clone SIGHAND", 32, NOT_HERE | 0xff, clone_with(SIGCHLD | CLONE_SIGHAND | bit));
  TRY_BITS("clone VM SIGHAND", 32, NOT_HERE | 0xff,
           clone_with(SIGCHLD | CLONE_VM | CLONE_SIGHAND | bit));
  TRY_BITS("clone a thread", 32, NOT_A_THREADS | 0xff, clone_with(thread | bit));
  TRY_BITS("clone PIDFD", 32, NOT_HERE | 0xff, clone_with(SIGCHLD | CLONE_PIDFD | bit));
  TRY_BITS("clone without a signal", 32, NOT_HERE | 0xff, clone_with(bit));
}

static long clone3_with(struct clone_args arguments, size_t size) {
  return ended(clone_and_end(SYS_clone3, (long)&arguments, (long)size), arguments.flags);
}

CASE(clone3_arguments) {
  const struct clone_args usual = {.exit_signal = SIGCHLD,
                                   .pidfd = (uint64_t)&parent_tid,
                                   .child_tid = (uint64_t)&child_tid,
                                   .parent_tid = (uint64_t)&parent_tid};
  const unsigned long new_time = 0x80, into_cgroup = 1UL << 33;
#define WITH(field, what)         \
  ({                              \
    struct clone_args a_ = usual; \
    a_.field = (what);            \
    a_;                           \
  })
  TRY_BITS("clone3", 64, NOT_HERE | new_time | into_cgroup,
           clone3_with(WITH(flags, bit), sizeof usual));
  TRY_BITS("clone3 a thread", 64, NOT_A_THREADS | new_time | into_cgroup,
           clone3_with(({
                         struct clone_args a_ = usual;
                         a_.exit_signal = 0;
                         a_.flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | bit;
                         a_;
                       }),
                       sizeof usual));
  // Those that are no signals.
  TRY_BITS("clone3 exit_signal", 64, 0x7f, clone3_with(WITH(exit_signal, bit), sizeof usual));
  TRY_VALUES("clone3 exit_signal", 65, 80, clone3_with(WITH(exit_signal, value), sizeof usual));
  TRY_VALUES("clone3 size", 0, 100, clone3_with(usual, (size_t)value));
  TRY_VALUES("clone3 stack without a size", 1, 2, clone3_with(WITH(stack, 0x1000), sizeof usual));
  TRY_VALUES("clone3 size without a stack", 1, 2,
             clone3_with(WITH(stack_size, 0x1000), sizeof usual));
  TRY_VALUES("clone3 set_tid without a list", 1, 2,
             clone3_with(WITH(set_tid_size, 1), sizeof usual));
  TRY_VALUES("clone3 set_tid without a number", 1, 2,
             clone3_with(WITH(set_tid, 0x1000), sizeof usual));
  TRY_VALUES("clone3 too many of set_tid", 33, 35,
             clone3_with(WITH(set_tid_size, (uint64_t)value), sizeof usual));
  struct {
    struct clone_args arguments;
    uint64_t more[4];
  } longer = {.arguments = usual};
  TRY_VALUES("clone3 more, zeroes", 1, 2,
             ended(clone_and_end(SYS_clone3, (long)&longer, sizeof longer), 0));
  longer.more[3] = 1;
  TRY_VALUES("clone3 more, others", 1, 2,
             ended(clone_and_end(SYS_clone3, (long)&longer, sizeof longer), 0));
  TRY_VALUES("clone3 more than a page", 1, 2,
             ended(clone_and_end(SYS_clone3, (long)&longer, kPage + 8), 0));
}

CHECK_MAIN
