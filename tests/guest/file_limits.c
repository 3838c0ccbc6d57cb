// Limits of descriptors, open files and process numbers: RLIMIT_NOFILE is the process's own, whoever shares its
// descriptors; /proc/sys/fs/file-max; /proc/sys/kernel/pid_max. What would change the whole machine is done in the
// enclave only; natively the same is printed.
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

static int in_enclave(void) { return access("/proc/occlum/stats", F_OK) == 0; }

static int end_of(pid_t pid) {
  int status;
  REQUIRE(pid != -1 && waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static pid_t clone_process(unsigned long flags) {
  return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static int set_descriptors(rlim_t number) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = number;
  return setrlimit(RLIMIT_NOFILE, &limit);
}

CASE(own_limit_of_descriptors) {
  struct rlimit limit;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  REQUIRE(set_descriptors(100) == 0);
  pid_t pid = clone_process(CLONE_FILES);
  if (pid == 0) {
    if (set_descriptors(20) != 0) _exit(1);
    if (dup2(0, 50) != -1 || errno != EBADF) _exit(2);
    if (fcntl(0, F_DUPFD, 50) != -1 || errno != EINVAL) _exit(3);
    while (dup(0) != -1) {
    }
    _exit(errno == EMFILE ? 0 : 4);
  }
  CHECK_EQ(end_of(pid), 0);
  // The child has left its descriptors to us, and its limit not.
  CHECK_EQ(dup2(0, 50), 50);
  CHECK_EQ(dup(0), 20);
  for (int fd = 3; fd < 100; fd++) close(fd);
  // prlimit of one that shares the table.
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  pid = clone_process(CLONE_FILES);
  if (pid == 0) {
    char byte;
    if (read(fds[0], &byte, 1) != 1) _exit(1);
    _exit(dup2(0, 30) == -1 && errno == EBADF ? 0 : 2);
  }
  struct rlimit lower = {25, limit.rlim_max};
  CHECK_OK(prlimit(pid, RLIMIT_NOFILE, &lower, NULL));
  CHECK_EQ(dup2(0, 40), 40);
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(end_of(pid), 0);
  // It is copied by fork.
  REQUIRE(set_descriptors(60) == 0);
  pid = fork();
  if (pid == 0) _exit(dup2(0, 70) == -1 ? 0 : 1);
  CHECK_EQ(end_of(pid), 0);
  close(40);
  close(fds[0]);
  close(fds[1]);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void write_limit(const char* path, const char* text, int wanted) {
  int fd = open(path, O_WRONLY);
  REQUIRE(fd != -1);
  errno = 0;
  ssize_t done = write(fd, text, strlen(text));
  CHECK_EQ(done == -1 ? errno : 0, wanted);
  close(fd);
}

static long read_number(const char* path, int field) {
  FILE* file = fopen(path, "r");
  REQUIRE(file != NULL);
  long value = -1;
  for (int i = 0; i <= field; i++) REQUIRE(fscanf(file, "%ld", &value) == 1);
  fclose(file);
  return value;
}

CASE(how_many_files) {
  const long before = read_number("/proc/sys/fs/file-nr", 0);
  CHECK(before > 0);
  CHECK_EQ(read_number("/proc/sys/fs/file-nr", 1), 0);
  CHECK_EQ(read_number("/proc/sys/fs/file-nr", 2), read_number("/proc/sys/fs/file-max", 0));
  if (!in_enclave()) return;
  int fds[20];
  for (int i = 0; i < 20; i++) REQUIRE((fds[i] = eventfd(0, 0)) != -1);
  CHECK_EQ(read_number("/proc/sys/fs/file-nr", 0), before + 20);
  for (int i = 0; i < 20; i++) close(fds[i]);
  CHECK_EQ(read_number("/proc/sys/fs/file-nr", 0), before);
}

// The limit holds for who is not privileged. Returns the number of the first thing that is wrong.
static int without_files(void) {
  int pair[2];
  if (setresuid(1000, 1000, 1000) != 0) return 1;
  if (open("/dev/null", O_RDONLY) != -1 || errno != ENFILE) return 2;
  if (pipe(pair) != -1 || errno != ENFILE) return 3;
  if (socket(AF_UNIX, SOCK_STREAM, 0) != -1 || errno != ENFILE) return 4;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != -1 || errno != ENFILE) return 5;
  if (epoll_create1(0) != -1 || errno != ENFILE) return 6;
  if (eventfd(0, 0) != -1 || errno != ENFILE) return 7;
  if (memfd_create("a", 0) != -1 || errno != ENFILE) return 8;
  if (syscall(SYS_pidfd_open, getpid(), 0) != -1 || errno != ENFILE) return 9;
  execl("/bin/true", "true", NULL);
  if (errno != ENFILE) return 10;
  // No new file.
  if (dup(0) == -1) return 11;
  return 0;
}

CASE(file_max) {
  if (in_enclave()) {
    char text[32];
    const long before = read_number("/proc/sys/fs/file-max", 0);
    snprintf(text, sizeof text, "%ld\n", read_number("/proc/sys/fs/file-nr", 0) - 1);
    write_limit("/proc/sys/fs/file-max", text, 0);
    int fd = eventfd(0, 0);  // the privileged may
    CHECK(fd != -1);
    close(fd);
    pid_t pid = fork();
    if (pid == 0) _exit(without_files());
    CHECK_EQ(end_of(pid), 0);
    snprintf(text, sizeof text, "%ld\n", before);
    write_limit("/proc/sys/fs/file-max", text, 0);
    pid = fork();
    if (pid == 0) _exit(setresuid(1000, 1000, 1000) == 0 && eventfd(0, 0) != -1 ? 0 : 1);
    CHECK_EQ(end_of(pid), 0);
  }
  if (getuid() == 0) {
    write_limit("/proc/sys/fs/file-max", "nonsense\n", EINVAL);
    pid_t pid = fork();
    if (pid == 0) {
      if (setresuid(1000, 1000, 1000) != 0) _exit(1);
      _exit(open("/proc/sys/fs/file-max", O_WRONLY) == -1 ? errno : 0);
    }
    CHECK_EQ(end_of(pid), EACCES);
  }
}

static void* no_thread(void* unused) { return unused; }

CASE(pid_max) {
  const long before = read_number("/proc/sys/kernel/pid_max", 0);
  CHECK(before > 300);
  if (getuid() == 0) {
    write_limit("/proc/sys/kernel/pid_max", "300\n", EINVAL);
    write_limit("/proc/sys/kernel/pid_max", "4194305\n", EINVAL);
    write_limit("/proc/sys/kernel/pid_max", "-1\n", EINVAL);
    CHECK_EQ(read_number("/proc/sys/kernel/pid_max", 0), before);
  }
  if (!in_enclave()) return;
  write_limit("/proc/sys/kernel/pid_max", "310\n", 0);
  // Numbers start over at 300: ten are left.
  pid_t pids[20], highest = 0, lowest = 1 << 30;
  int number = 0;
  for (int i = 0; i < 400; i++) {  // to reach the end of them
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    REQUIRE(pid != -1);
    CHECK(pid < 310);
    end_of(pid);
  }
  for (; number < 20; number++) {
    pids[number] = fork();
    if (pids[number] == 0) {
      pause();
      _exit(0);
    }
    if (pids[number] == -1) break;
    if (pids[number] > highest) highest = pids[number];
    if (pids[number] < lowest) lowest = pids[number];
  }
  CHECK_EQ(errno, EAGAIN);
  CHECK_EQ(number, 10);
  CHECK_EQ(lowest, 300);
  CHECK_EQ(highest, 309);
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, no_thread, NULL), EAGAIN);
  write_limit("/proc/sys/kernel/pid_max", "4194304\n", 0);
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  CHECK_EQ(end_of(pid), 0);
  CHECK_EQ(pid, 310);
  for (int i = 0; i < number; i++) {
    kill(pids[i], SIGKILL);
    CHECK_EQ(end_of(pids[i]), -SIGKILL);
  }
}

CHECK_MAIN
