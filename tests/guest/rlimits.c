// Resource limits: getrlimit(2), prlimit(2), and what each of them stops.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "identity.h"

#define NOBODY_ELSE 54321  // a user who runs nothing else on the machine

extern char** environ;
static char own_path[512];

static int set_soft(int resource, rlim_t soft) {
  struct rlimit limit;
  if (getrlimit(resource, &limit) == -1) return -1;
  limit.rlim_cur = soft;
  return setrlimit(resource, &limit);
}

// Runs this program again as `mode`; its wait status.
static int run_again(const char* mode, const char* word) {
  char* arguments[] = {own_path, (char*)mode, (char*)word, NULL};
  pid_t pid;
  fflush(stdout);
  int error = posix_spawn(&pid, own_path, NULL, NULL, arguments, environ), status = -1;
  if (error != 0) {
    printf("posix_spawn: error %d\n", error);
    return -1;
  }
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

static void rules_of_alice(void) {
  struct rlimit limit;
  CHECK_EQ(prlimit(0, RLIMIT_CORE, NULL, &limit), 0);
  struct rlimit less = {6, 6}, more = {6, 7};
  CHECK_EQ(setrlimit(RLIMIT_LOCKS, &less), 0);
  CHECK_ERRNO(setrlimit(RLIMIT_LOCKS, &more), EPERM);
  CHECK_ERRNO(prlimit(1, RLIMIT_CORE, NULL, &limit), EPERM);
}

CASE(prlimit_rules) {
  struct rlimit limit, wrong = {2, 1};
  for (int resource = 0; resource < 16; resource++) CHECK_EQ(getrlimit(resource, &limit), 0);
  CHECK_ERRNO(syscall(SYS_getrlimit, 16, &limit), EINVAL);
  CHECK_ERRNO(syscall(SYS_setrlimit, -1, &limit), EINVAL);
  CHECK_ERRNO(syscall(SYS_setrlimit, RLIMIT_CORE, &wrong), EINVAL);
  CHECK_ERRNO(syscall(SYS_getrlimit, RLIMIT_CORE, 8), EFAULT);
  CHECK_ERRNO(syscall(SYS_setrlimit, RLIMIT_CORE, 8), EFAULT);
  CHECK_ERRNO(prlimit(999999, RLIMIT_CORE, NULL, &limit), ESRCH);
  CHECK_ERRNO(prlimit(0, 16, NULL, NULL), EINVAL);
  CHECK_EQ(prlimit(0, RLIMIT_CORE, NULL, NULL), 0);
  CHECK_EQ(prlimit(getpid(), RLIMIT_CORE, NULL, &limit), 0);
  struct rlimit files = {10, (rlim_t)1 << 40};
  CHECK_ERRNO(setrlimit(RLIMIT_NOFILE, &files), EPERM);
  struct rlimit set = {5, 7}, old;
  CHECK_EQ(prlimit(0, RLIMIT_LOCKS, NULL, &old), 0);
  CHECK_EQ(old.rlim_cur, RLIM_INFINITY);
  CHECK_EQ(prlimit(0, RLIMIT_LOCKS, &set, &old), 0);
  CHECK_EQ(old.rlim_max, RLIM_INFINITY);
  CHECK_EQ(prlimit(0, RLIMIT_LOCKS, NULL, &old), 0);
  CHECK_EQ(old.rlim_cur, 5);
  CHECK_EQ(old.rlim_max, 7);
  as_user(ALICE, rules_of_alice);
}

CASE(descriptors) {
  struct rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  int high = fcntl(0, F_DUPFD, 100);
  REQUIRE(high == 100);
  CHECK_EQ(set_soft(RLIMIT_NOFILE, 20), 0);
  int fds[32], count = 0;
  while (count < 32 && (fds[count] = dup(0)) != -1) count++;
  CHECK_EQ(errno, EMFILE);
  CHECK_EQ(fds[count - 1], 19);
  CHECK_ERRNO(open("/dev/null", O_RDONLY), EMFILE);
  CHECK_ERRNO(dup2(0, 20), EBADF);
  CHECK_ERRNO(dup2(0, 100), EBADF);
  CHECK_ERRNO(fcntl(0, F_DUPFD, 20), EINVAL);
  CHECK_EQ(fcntl(high, F_GETFD), 0);  // those that are there stay
  close(fds[--count]);
  int pair[2];
  CHECK_ERRNO(pipe(pair), EMFILE);
  CHECK_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), EMFILE);
  CHECK_EQ(dup(0), 19);
  close(19);
  struct pollfd polled[21] = {0};
  for (int i = 0; i < 21; i++) polled[i].fd = -1;
  CHECK_EQ(poll(polled, 20, 0), 0);
  CHECK_ERRNO(poll(polled, 21, 0), EINVAL);
  while (count > 0) close(fds[--count]);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  close(high);
}

static volatile int signals_seen;
static void count_signal(int signal) {
  (void)signal;
  signals_seen++;
}

CASE(file_size) {
  check_enter_scratch();
  signal(SIGXFSZ, count_signal);
  struct rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  int fd = open("f", O_CREAT | O_RDWR, 0600), other = open("g", O_CREAT | O_RDWR, 0600);
  CHECK_EQ(ftruncate(other, 5000), 0);
  CHECK_EQ(ftruncate(fd, 2000), 0);
  CHECK_EQ(set_soft(RLIMIT_FSIZE, 1000), 0);
  char bytes[600] = {0};
  signals_seen = 0;
  CHECK_EQ(write(fd, bytes, 600), 600);
  CHECK_EQ(write(fd, bytes, 600), 400);  // up to the limit
  CHECK_EQ(signals_seen, 0);
  CHECK_ERRNO(write(fd, bytes, 600), EFBIG);
  CHECK_EQ(signals_seen, 1);
  CHECK_EQ(write(fd, bytes, 0), 0);
  CHECK_EQ(signals_seen, 1);
  CHECK_ERRNO(pwrite(fd, bytes, 1, 1000), EFBIG);
  CHECK_EQ(signals_seen, 2);
  CHECK_EQ(pwrite(fd, bytes, 600, 900), 100);
  CHECK_EQ(ftruncate(fd, 1001), 0);  // less than there was
  CHECK_EQ(ftruncate(fd, 1000), 0);
  CHECK_ERRNO(ftruncate(fd, 1001), EFBIG);
  CHECK_EQ(signals_seen, 3);
  CHECK_ERRNO(truncate("f", 1001), EFBIG);
  CHECK_EQ(signals_seen, 4);
  CHECK_ERRNO(posix_fallocate(fd, 0, 1) == 0 ? fallocate(fd, 0, 900, 101) : 0, EFBIG);
  CHECK_EQ(signals_seen, 5);
  CHECK_EQ(fallocate(fd, 0, 900, 100), 0);
  CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 900, 101), 0);
  loff_t from = 0, to = 990;
  CHECK_EQ(copy_file_range(other, &from, fd, &to, 100, 0), 10);
  CHECK_ERRNO(copy_file_range(other, &from, fd, &to, 100, 0), EFBIG);
  CHECK_EQ(signals_seen, 6);
  int appending = open("f", O_WRONLY | O_APPEND);
  CHECK_ERRNO(write(appending, bytes, 1), EFBIG);
  CHECK_EQ(signals_seen, 7);
  // Beyond all offsets is another error than beyond the limit, and no signal.
  int memory = memfd_create("far", 0);
  CHECK_EQ(lseek(memory, INT64_MAX, SEEK_SET), INT64_MAX);
  CHECK_ERRNO(write(memory, bytes, 1), EINVAL);
  CHECK_ERRNO(pwrite(memory, bytes, 2, INT64_MAX - 1), EINVAL);
  CHECK_EQ(fcntl(memory, F_SETFL, O_APPEND), 0);
  CHECK_ERRNO(write(memory, bytes, 1), EINVAL);
  CHECK_EQ(signals_seen, 7);
  CHECK_ERRNO(pwrite(fd, bytes, 1, INT64_MAX - 1), EFBIG);
  CHECK_EQ(signals_seen, 8);
  int pair[2];
  CHECK_EQ(pipe(pair), 0);
  char large[2000];
  memset(large, 1, sizeof large);
  CHECK_EQ(write(pair[1], large, sizeof large), sizeof large);  // files only
  close(pair[0]), close(pair[1]), close(appending), close(memory);
  CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  close(fd), close(other);
  signal(SIGXFSZ, SIG_DFL);
  int status = run_again("write-too-much", "");
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
}

static long mapped_pages(void) {
  char text[128];
  int fd = open("/proc/self/statm", O_RDONLY);
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  text[size > 0 ? size : 0] = 0;
  return atol(text);
}

#define MB (1ul << 20)
static void* map(size_t size, int prot, int flags) {
  return mmap(NULL, size, prot, MAP_ANONYMOUS | flags, -1, 0);
}

CASE(address_space) {
  struct rlimit before;
  getrlimit(RLIMIT_AS, &before);
  rlim_t now = (rlim_t)mapped_pages() * 4096;
  CHECK_EQ(set_soft(RLIMIT_AS, now + 64 * MB), 0);
  void* big = map(128 * MB, PROT_NONE, MAP_PRIVATE);
  CHECK(big == MAP_FAILED && errno == ENOMEM);
  void* first = map(40 * MB, PROT_NONE, MAP_PRIVATE);
  CHECK(first != MAP_FAILED);
  void* second = map(40 * MB, PROT_READ, MAP_SHARED);
  CHECK(second == MAP_FAILED && errno == ENOMEM);
  // In the place of what is there, it is no more.
  CHECK(mmap(first, 40 * MB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == first);
  CHECK(mremap(first, 40 * MB, 80 * MB, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
  munmap(first, 40 * MB);
  second = map(40 * MB, PROT_READ, MAP_SHARED);
  CHECK(second != MAP_FAILED);
  munmap(second, 40 * MB);
  void* end = sbrk(0);
  CHECK(sbrk(100 * MB) == (void*)-1);
  CHECK(sbrk(0) == end);
  CHECK_EQ(setrlimit(RLIMIT_AS, &before), 0);
}

CASE(data) {
  struct rlimit before;
  getrlimit(RLIMIT_DATA, &before);
  CHECK_EQ(set_soft(RLIMIT_DATA, 100 * MB), 0);
  CHECK(map(120 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE) == MAP_FAILED && errno == ENOMEM);
  char* reserved = map(120 * MB, PROT_NONE, MAP_PRIVATE);
  CHECK(reserved != MAP_FAILED);
  CHECK_ERRNO(mprotect(reserved, 120 * MB, PROT_READ | PROT_WRITE), ENOMEM);
  CHECK_EQ(mprotect(reserved, 4096, PROT_READ | PROT_WRITE), 0);
  munmap(reserved, 120 * MB);
  void* shared = map(120 * MB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE);
  CHECK(shared != MAP_FAILED);
  munmap(shared, 120 * MB);
  CHECK(sbrk(120 * MB) == (void*)-1);
  CHECK_EQ(setrlimit(RLIMIT_DATA, &before), 0);
}

static void* wait_for_end(void* pipe_end) {
  char byte;
  return read((int)(intptr_t)pipe_end, &byte, 1) == 0 ? NULL : pipe_end;
}

static void processes_of_nobody_else(void) {
  int pair[2];
  REQUIRE(pipe(pair) == 0);
  pthread_t threads[3];
  CHECK_EQ(set_soft(RLIMIT_NPROC, 1), 0);
  void* end = (void*)(intptr_t)pair[0];
  CHECK_EQ(pthread_create(&threads[0], NULL, wait_for_end, end), EAGAIN);
  pid_t pid;
  char* arguments[] = {own_path, "exit", NULL};
  CHECK_EQ(posix_spawn(&pid, own_path, NULL, NULL, arguments, environ), EAGAIN);
  CHECK_EQ(set_soft(RLIMIT_NPROC, 3), 0);
  CHECK_EQ(pthread_create(&threads[0], NULL, wait_for_end, end), 0);
  CHECK_EQ(pthread_create(&threads[1], NULL, wait_for_end, end), 0);
  CHECK_EQ(pthread_create(&threads[2], NULL, wait_for_end, end), EAGAIN);
  close(pair[1]);
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
  close(pair[0]);
}

// setuid(2) to a user who is beyond the limit works, the execve(2) after it does not.
static void* nobody_waits(void* ends) {
  int* pipes = ends;
  char byte = 'x';
  identity_become(NOBODY_ELSE, NOBODY_ELSE, 0);
  CHECK_EQ(write(pipes[3], &byte, 1), 1);
  return wait_for_end((void*)(intptr_t)pipes[0]);
}

static void exec_beyond_limit(void) {
  int pipes[4];
  char byte;
  REQUIRE(pipe2(pipes, O_CLOEXEC) == 0 && pipe2(pipes + 2, O_CLOEXEC) == 0);
  pthread_t other;
  REQUIRE(pthread_create(&other, NULL, nobody_waits, pipes) == 0);
  CHECK_EQ(read(pipes[2], &byte, 1), 1);
  CHECK_EQ(set_soft(RLIMIT_NPROC, 0), 0);
  CHECK_EQ(syscall(SYS_setresuid, NOBODY_ELSE, NOBODY_ELSE, NOBODY_ELSE), 0);
  char* arguments[] = {own_path, "exit", NULL};
  CHECK_ERRNO(execve(own_path, arguments, environ), EAGAIN);
  CHECK_ERRNO(execve(own_path, arguments, environ), EAGAIN);
  for (int i = 1; i < 4; i++) close(pipes[i]);
  pthread_join(other, NULL);
  close(pipes[0]);
}

CASE(processes) {
  struct rlimit before;
  getrlimit(RLIMIT_NPROC, &before);
  as_user(0, exec_beyond_limit);
  as_user(NOBODY_ELSE, processes_of_nobody_else);
  // Root is not bound by it.
  CHECK_EQ(set_soft(RLIMIT_NPROC, 0), 0);
  CHECK_EQ(run_again("exit", ""), 0);
  CHECK_EQ(setrlimit(RLIMIT_NPROC, &before), 0);
}

static void locks_of_alice(void) {
  char* pages = map(16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  CHECK_EQ(set_soft(RLIMIT_MEMLOCK, 0), 0);
  CHECK_ERRNO(mlock(pages, 4096), EPERM);
  CHECK_ERRNO(mlockall(MCL_CURRENT), EPERM);
  CHECK_EQ(set_soft(RLIMIT_MEMLOCK, 2 * 4096), 0);
  CHECK_EQ(mlock(pages, 4096), 0);
  CHECK_EQ(munlock(pages, 4096), 0);
  CHECK_ERRNO(mlock(pages, 16 * 4096), ENOMEM);
  CHECK_ERRNO(mlock(pages + 1, 2 * 4096), ENOMEM);  // three pages
  CHECK_ERRNO(mlockall(MCL_CURRENT), ENOMEM);
  munmap(pages, 16 * 4096);
}

CASE(locked_memory) {
  struct rlimit before;
  getrlimit(RLIMIT_MEMLOCK, &before);
  as_user(ALICE, locks_of_alice);
  CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

static void priorities_of_alice(void) {
  pid_t tid = gettid();
  CHECK_EQ(setpriority(PRIO_PROCESS, tid, 5), 0);
  CHECK_ERRNO(setpriority(PRIO_PROCESS, tid, 4), EACCES);
  struct sched_param parameter = {.sched_priority = 1};
  CHECK_ERRNO(sched_setscheduler(tid, SCHED_FIFO, &parameter), EPERM);
}
static void priorities_within_limits(void) {
  pid_t tid = gettid();
  CHECK_EQ(setpriority(PRIO_PROCESS, tid, -5), 0);
  CHECK_ERRNO(setpriority(PRIO_PROCESS, tid, -6), EACCES);
  struct sched_param parameter = {.sched_priority = 11};
  CHECK_ERRNO(sched_setscheduler(tid, SCHED_FIFO, &parameter), EPERM);
  parameter.sched_priority = 10;
  CHECK_EQ(sched_setscheduler(tid, SCHED_FIFO, &parameter), 0);
  parameter.sched_priority = 0;
  CHECK_EQ(sched_setscheduler(tid, SCHED_OTHER, &parameter), 0);
}

CASE(priorities) {
  struct rlimit none = {0, 0}, nice = {25, 25}, realtime = {10, 10};
  CHECK_EQ(setrlimit(RLIMIT_NICE, &none), 0);
  CHECK_EQ(setrlimit(RLIMIT_RTPRIO, &none), 0);
  as_user(ALICE, priorities_of_alice);
  // Raising them again takes CAP_SYS_RESOURCE, which not every machine's root has.
  if (setrlimit(RLIMIT_NICE, &nice) == -1) return;
  CHECK_EQ(setrlimit(RLIMIT_RTPRIO, &realtime), 0);
  as_user(ALICE, priorities_within_limits);
  CHECK_EQ(setrlimit(RLIMIT_NICE, &none), 0);
  CHECK_EQ(setrlimit(RLIMIT_RTPRIO, &none), 0);
}

static void signals_of_nobody_else(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  CHECK_EQ(set_soft(RLIMIT_SIGPENDING, 2), 0);
  siginfo_t info = {.si_code = SI_QUEUE};
  pid_t tid = gettid();
  int sent = 0;
  while (sent < 10 && syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGRTMIN, &info) == 0) sent++;
  CHECK_EQ(sent, 2);
  CHECK_EQ(errno, EAGAIN);
  CHECK_EQ(syscall(SYS_tgkill, getpid(), tid, SIGUSR1), 0);  // standard signals always
  struct timespec none = {0, 0};
  for (int i = 0; i < 2; i++)
    CHECK_EQ(sigtimedwait(&set, NULL, &none), i == 0 ? SIGUSR1 : SIGRTMIN);
  CHECK_EQ(sigtimedwait(&set, NULL, &none), SIGRTMIN);
}

CASE(pending_signals) {
  struct rlimit before;
  getrlimit(RLIMIT_SIGPENDING, &before);
  as_user(NOBODY_ELSE, signals_of_nobody_else);
  CHECK_EQ(setrlimit(RLIMIT_SIGPENDING, &before), 0);
}

CASE(stack) {
  struct rlimit before;
  getrlimit(RLIMIT_STACK, &before);
  CHECK_EQ(set_soft(RLIMIT_STACK, 1 * MB), 0);
  CHECK_EQ(run_again("recurse", "700"), 0);
  int status = run_again("recurse", "1500");
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  CHECK_EQ(set_soft(RLIMIT_STACK, 4 * MB), 0);
  CHECK_EQ(run_again("recurse", "3000"), 0);
  CHECK_EQ(setrlimit(RLIMIT_STACK, &before), 0);
}

CASE(cpu_time) {
  int status = run_again("spin", "");
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  status = run_again("spin-default", "");
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
}

CASE(inherited) {
  struct rlimit before, set = {12345, 23456};
  getrlimit(RLIMIT_CORE, &before);
  struct rlimit now = {before.rlim_max < 12345 ? 0 : 12345, before.rlim_max};
  CHECK_EQ(setrlimit(RLIMIT_CORE, &now), 0);
  CHECK_EQ(setrlimit(RLIMIT_RSS, &set), 0);
  CHECK_EQ(run_again("print", ""), 0);
  CHECK_EQ(setrlimit(RLIMIT_CORE, &before), 0);
}

static int recurse(long kilobytes) {
  volatile char frame[1024];
  frame[0] = frame[1023] = (char)kilobytes;
  return kilobytes <= 1 ? frame[0] : recurse(kilobytes - 1) + frame[1023] * 0;
}

static void say_and_go_on(int signal) {
  (void)signal;
  struct rlimit limit;
  getrlimit(RLIMIT_CPU, &limit);
  static const char text[] = "SIGXCPU\n";
  if (limit.rlim_cur == 2) (void)!write(1, text, sizeof text - 1);
}

static int again(const char* mode, const char* word) {
  if (strcmp(mode, "recurse") == 0) return recurse(atol(word)) & 0;
  if (strcmp(mode, "print") == 0) {
    struct rlimit limit;
    getrlimit(RLIMIT_RSS, &limit);
    printf("resident %ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
    return 0;
  }
  if (strcmp(mode, "write-too-much") == 0) {
    int fd = open("h", O_CREAT | O_WRONLY, 0600);
    set_soft(RLIMIT_FSIZE, 0);
    (void)!write(fd, "x", 1);
    return 1;
  }
  if (strncmp(mode, "spin", 4) == 0) {
    if (strcmp(mode, "spin") == 0) signal(SIGXCPU, say_and_go_on);
    struct rlimit limit = {1, 2};
    setrlimit(RLIMIT_CPU, &limit);
    for (volatile unsigned long i = 0;; i++) {
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc > 2) return again(argv[1], argv[2]);
  if (argc > 1 && strcmp(argv[1], "exit") == 0) return 0;
  ssize_t size = readlink("/proc/self/exe", own_path, sizeof own_path - 1);
  if (size > 0) own_path[size] = 0;
  return check_main(argc, argv);
}
