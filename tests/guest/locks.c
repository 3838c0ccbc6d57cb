// File locks: flock(2), record locks of processes and of open file descriptions (fcntl(2)); conflicts, splitting,
// deadlocks.
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "check.h"

extern char** environ;

static int a, b;  // two descriptions of one file
static void open_file(void) {
  check_enter_scratch();
  check_write_file("locked", "0123456789", 10);
  a = open("locked", O_RDWR);
  b = open("locked", O_RDWR);
  REQUIRE(a >= 0 && b >= 0);
}
static void close_file(void) { close(a), close(b); }

static struct flock range(short type, off_t start, off_t length) {
  return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}
static int lock(int fd, int command, short type, off_t start, off_t length) {
  struct flock it = range(type, start, length);
  return fcntl(fd, command, &it);
}

// This program again: `locks ROLE [ARGUMENT]`, with descriptor 3 on the file.
static pid_t spawn_role(const char* role, int out) {
  char* arguments[] = {(char*)check_program, (char*)role, "child", NULL};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 50, "locked", O_RDWR, 0);
  if (out >= 0) posix_spawn_file_actions_adddup2(&actions, out, 51);
  pid_t child;
  REQUIRE(posix_spawn(&child, check_program, &actions, NULL, arguments, environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  return child;
}
static int status_of(pid_t child) {
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}
static int play_role(const char* role) {
  if (strcmp(role, "probe") == 0) {
    struct flock it = range(F_WRLCK, 0, 0);
    if (fcntl(50, F_GETLK, &it) != 0) return 1;
    if (it.l_type != F_RDLCK || it.l_start != 2 || it.l_len != 3 || it.l_whence != SEEK_SET)
      return 2;
    if (it.l_pid != getppid()) return 3;
    if (lock(50, F_SETLK, F_WRLCK, 4, 1) == 0 || (errno != EAGAIN && errno != EACCES)) return 4;
    if (lock(50, F_SETLK, F_RDLCK, 0, 0) != 0) return 5;
    if (lock(50, F_SETLK, F_WRLCK, 5, 10) != 0) return 6;
    return 0;
  }
  if (strcmp(role, "flock") == 0) {
    if (flock(50, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) return 1;
    return 0;
  }
  if (strcmp(role, "deadlock") == 0) {
    // Holds byte 1, then wants byte 0, which the parent has.
    if (lock(50, F_SETLK, F_WRLCK, 1, 1) != 0) return 1;
    if (write(51, "x", 1) != 1) return 2;
    if (lock(50, F_SETLKW, F_WRLCK, 0, 1) != 0) return errno == EDEADLK ? 42 : 3;
    return 0;
  }
  return 99;
}

CASE(record_locks) {
  open_file();
  CHECK_OK(lock(a, F_SETLK, F_WRLCK, 2, 6));
  CHECK_OK(lock(b, F_SETLK, F_WRLCK, 0, 0));  // The process's own never conflict.
  CHECK_OK(lock(a, F_SETLK, F_UNLCK, 0, 0));
  CHECK_OK(lock(a, F_SETLK, F_RDLCK, 2, 3));
  CHECK_EQ(status_of(spawn_role("probe", -1)), 0);
  struct flock it = range(F_WRLCK, 0, 0);
  CHECK_OK(fcntl(a, F_GETLK, &it));
  CHECK_EQ(it.l_type, F_UNLCK);
  close(b);  // Closing any descriptor of the file drops them all.
  b = open("locked", O_RDWR);
  it = range(F_WRLCK, 0, 0);
  CHECK_OK(fcntl(b, F_OFD_GETLK, &it));
  CHECK_EQ(it.l_type, F_UNLCK);
  // Errors.
  CHECK_ERRNO(lock(a, F_SETLK, 99, 0, 1), EINVAL);
  CHECK_ERRNO(lock(a, F_SETLK, F_WRLCK, -1, 1), EINVAL);
  CHECK_ERRNO(lock(a, F_SETLK, F_WRLCK, 5, -6), EINVAL);
  CHECK_OK(lock(a, F_SETLK, F_WRLCK, 5, -5));
  CHECK_ERRNO(lock(a, F_SETLK, F_WRLCK, 0x7fffffffffffffff, 2), EOVERFLOW);
  CHECK_ERRNO(fcntl(a, F_SETLK, (void*)8), EFAULT);
  int read_only = open("locked", O_RDONLY), write_only = open("locked", O_WRONLY);
  CHECK_ERRNO(lock(read_only, F_SETLK, F_WRLCK, 0, 1), EBADF);
  CHECK_ERRNO(lock(write_only, F_SETLK, F_RDLCK, 0, 1), EBADF);
  it = range(F_WRLCK, 0, 0);
  CHECK_OK(fcntl(read_only, F_GETLK, &it));
  close(read_only), close(write_only);
  close_file();
}

CASE(description_locks) {
  open_file();
  CHECK_OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 5));
  CHECK_ERRNO(lock(b, F_OFD_SETLK, F_RDLCK, 4, 5), EAGAIN);
  CHECK_OK(lock(b, F_OFD_SETLK, F_RDLCK, 5, 5));
  CHECK_ERRNO(lock(b, F_SETLK, F_RDLCK, 0, 1), EAGAIN);  // They conflict with the process's.
  struct flock it = range(F_WRLCK, 0, 0);
  CHECK_OK(fcntl(b, F_OFD_GETLK, &it));
  CHECK_EQ(it.l_type, F_WRLCK);
  CHECK_EQ(it.l_pid, -1);
  CHECK_EQ(it.l_len, 5);
  it = range(F_WRLCK, 0, 0);
  it.l_pid = 1;
  CHECK_ERRNO(fcntl(b, F_OFD_SETLK, &it), EINVAL);
  CHECK_ERRNO(fcntl(b, F_OFD_GETLK, &it), EINVAL);
  // Of the description: a duplicate has it too, closing one of two changes nothing.
  int copy = dup(a);
  close(copy);
  CHECK_ERRNO(lock(b, F_OFD_SETLK, F_WRLCK, 0, 1), EAGAIN);
  CHECK_OK(lock(a, F_OFD_SETLK, F_UNLCK, 1, 1));  // Split.
  CHECK_OK(lock(b, F_OFD_SETLK, F_WRLCK, 1, 1));
  CHECK_ERRNO(lock(b, F_OFD_SETLK, F_WRLCK, 2, 1), EAGAIN);
  close(a);
  CHECK_OK(lock(b, F_OFD_SETLK, F_WRLCK, 0, 0));
  close(b);
}

CASE(whole_file_locks) {
  open_file();
  CHECK_ERRNO(flock(a, 0), EINVAL);
  CHECK_ERRNO(flock(a, LOCK_SH | LOCK_EX), EINVAL);
  CHECK_ERRNO(flock(-1, LOCK_SH), EBADF);
  CHECK_OK(flock(a, LOCK_SH));
  CHECK_OK(flock(b, LOCK_SH | LOCK_NB));
  CHECK_ERRNO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  CHECK_OK(flock(a, LOCK_UN));
  CHECK_OK(flock(b, LOCK_EX | LOCK_NB));
  CHECK_EQ(status_of(spawn_role("flock", -1)), 0);
  CHECK_OK(lock(a, F_SETLK, F_WRLCK, 0, 0));  // Another kind of lock.
  int copy = dup(b);
  close(b);
  CHECK_ERRNO(flock(a, LOCK_SH | LOCK_NB), EWOULDBLOCK);
  CHECK_OK(flock(copy, LOCK_UN));
  CHECK_OK(flock(a, LOCK_EX | LOCK_NB));
  close(copy), close(a);
}

// To unshare descriptors that nobody shares costs no locks.
CASE(unshared_descriptors) {
  open_file();
  CHECK_OK(lock(a, F_SETLK, F_WRLCK, 0, 10));
  CHECK_OK(close_range(500, 600, 2 /* CLOSE_RANGE_UNSHARE */));
  CHECK_ERRNO(lock(b, F_OFD_SETLK, F_RDLCK, 0, 5), EAGAIN);
  close_file();
}

// Processes that share their descriptors own their locks together: one's lock is there when it is gone, but nobody's by
// number. (As in a namespace of pids: in the machine's own Linux says the number that it was.)
CASE(a_lock_outlives_its_process) {
  open_file();
  pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(lock(a, F_SETLK, F_WRLCK, 2, 3) != 0);
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  struct flock it = range(F_RDLCK, 0, 0);
  CHECK_OK(fcntl(b, F_OFD_GETLK, &it));
  CHECK_EQ(it.l_type, F_WRLCK);
  char name[64] = "";
  CHECK(readlink("/proc/self/ns/pid", name, sizeof name - 1) > 0);
  const int is_enclave = access("/proc/occlum/stats", F_OK) == 0;
  const int is_machine = !is_enclave && strcmp(name, "pid:[4026531836]") == 0;
  CHECK_EQ(it.l_pid, is_machine ? pid : 0);
  close_file();
}

// A conversion that is refused has cost the old lock.
CASE(refused_conversion) {
  open_file();
  int c = open("locked", O_RDWR);
  CHECK_OK(flock(a, LOCK_SH));
  CHECK_OK(flock(b, LOCK_SH));
  CHECK_ERRNO(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  CHECK_OK(flock(b, LOCK_UN));
  CHECK_OK(flock(c, LOCK_EX | LOCK_NB));
  close(c);
  close_file();
}

// F_GETLK tells of the first: owner by owner as they came, each one's by their ranges.
CASE(the_first_in_the_way) {
  open_file();
  CHECK_OK(lock(a, F_OFD_SETLK, F_WRLCK, 50, 10));
  CHECK_OK(lock(b, F_OFD_SETLK, F_WRLCK, 5, 2));
  CHECK_OK(lock(a, F_OFD_SETLK, F_WRLCK, 20, 10));
  CHECK_OK(lock(a, F_OFD_SETLK, F_RDLCK, 22, 2));
  struct flock it = range(F_WRLCK, 0, 0);
  CHECK_OK(fcntl(a, F_GETLK, &it));
  CHECK_EQ(it.l_start, 20);
  CHECK_EQ(it.l_len, 2);
  CHECK_OK(lock(a, F_OFD_SETLK, F_UNLCK, 0, 0));
  it = range(F_WRLCK, 0, 0);
  CHECK_OK(fcntl(a, F_GETLK, &it));
  CHECK_EQ(it.l_start, 5);
  // Which of several errors.
  int read_only = open("locked", O_RDONLY);
  it = range(F_WRLCK, 0, 0);
  it.l_pid = 1;
  CHECK_ERRNO(fcntl(read_only, F_OFD_SETLK, &it), EBADF);
  close(read_only);
  close_file();
}

// Files without a name have locks, too: each pipe, socket and memfd its own, and all eventfds, epolls, ... have one
// file in common.
CASE(nameless_files) {
  int ends[2], other[2];
  REQUIRE(pipe(ends) == 0 && pipe(other) == 0);
  CHECK_OK(flock(ends[0], LOCK_EX | LOCK_NB));
  CHECK_ERRNO(flock(ends[1], LOCK_SH | LOCK_NB), EWOULDBLOCK);
  CHECK_OK(flock(other[1], LOCK_EX | LOCK_NB));
  close(ends[0]);
  CHECK_OK(flock(ends[1], LOCK_SH | LOCK_NB));
  CHECK_ERRNO(lock(ends[1], F_OFD_SETLK, F_RDLCK, 0, 1), EBADF);
  struct flock it = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 3, .l_len = 4};
  CHECK_OK(fcntl(ends[1], F_OFD_SETLK, &it));
  CHECK_OK(fcntl(other[0], F_GETLK, &it));
  it = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -1, .l_len = 4};
  CHECK_ERRNO(fcntl(ends[1], F_OFD_SETLK, &it), EINVAL);
  close(ends[1]), close(other[0]), close(other[1]);

  int memory = memfd_create("locked", 0);
  REQUIRE(memory >= 0 && ftruncate(memory, 100) == 0);
  it = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = 0};
  CHECK_OK(fcntl(memory, F_SETLK, &it));
  it = range(F_RDLCK, 0, 0);
  CHECK_OK(fcntl(memory, F_OFD_GETLK, &it));
  CHECK_EQ(it.l_type, F_WRLCK);
  CHECK_EQ(it.l_start, 90);
  CHECK_EQ(it.l_pid, getpid());
  close(dup(memory));  // they go with any descriptor
  it = range(F_RDLCK, 0, 0);
  CHECK_OK(fcntl(memory, F_OFD_GETLK, &it));
  CHECK_EQ(it.l_type, F_UNLCK);
  close(memory);

  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  CHECK_OK(flock(ends[0], LOCK_EX | LOCK_NB));
  CHECK_OK(flock(ends[1], LOCK_EX | LOCK_NB));
  close(ends[0]), close(ends[1]);

  int event = eventfd(0, 0), epoll = epoll_create1(0);
  REQUIRE(event >= 0 && epoll >= 0);
  CHECK_OK(lock(event, F_OFD_SETLK, F_WRLCK, 1000, 10));
  CHECK_ERRNO(lock(epoll, F_OFD_SETLK, F_RDLCK, 1005, 10), EAGAIN);
  close(event);
  CHECK_OK(lock(epoll, F_OFD_SETLK, F_RDLCK, 1005, 10));
  close(epoll);

  // Open for neither reading nor writing.
  check_enter_scratch();
  int nothing = open("file", O_CREAT | 3, 0600);
  REQUIRE(nothing >= 0);
  CHECK_ERRNO(flock(nothing, LOCK_SH | LOCK_NB), EBADF);
  CHECK_OK(flock(nothing, LOCK_UN));
  // What a file that is closed had, others get: a FIFO's, a device's.
  REQUIRE(mkfifo("fifo", 0600) == 0);
  for (int round = 0; round < 2; round++) {
    int fifo = open("fifo", O_RDWR);
    CHECK_OK(flock(fifo, LOCK_EX | LOCK_NB));
    close(fifo);
  }
}

static void* unlock_later(void* fd) {
  check_until_others_sleep();
  flock((int)(intptr_t)fd, LOCK_UN);
  lock((int)(intptr_t)fd, F_OFD_SETLK, F_UNLCK, 0, 0);
  return NULL;
}
static void on_alarm(int number) { (void)number; }
CASE(waiting) {
  open_file();
  CHECK_OK(flock(a, LOCK_EX));
  CHECK_OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 0));
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, unlock_later, (void*)(intptr_t)a) == 0);
  CHECK_OK(flock(b, LOCK_EX));
  CHECK_OK(lock(b, F_OFD_SETLKW, F_WRLCK, 3, 4));
  pthread_join(thread, NULL);
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  ualarm(30000, 0);
  CHECK_ERRNO(flock(a, LOCK_SH), EINTR);
  ualarm(30000, 0);
  CHECK_ERRNO(lock(a, F_OFD_SETLKW, F_RDLCK, 3, 4), EINTR);
  close_file();
}

CASE(deadlock) {
  open_file();
  int ends[2];
  char byte;
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  CHECK_OK(lock(a, F_SETLK, F_WRLCK, 0, 1));
  pid_t child = spawn_role("deadlock", ends[1]);
  CHECK_EQ(read(ends[0], &byte, 1), 1);
  // One of the two is refused: whoever comes second.
  int result = lock(a, F_SETLKW, F_WRLCK, 1, 1), error = errno;
  if (result != 0) CHECK_EQ(error, EDEADLK);
  CHECK_OK(lock(a, F_SETLK, F_UNLCK, 0, 0));
  int status = status_of(child);
  CHECK(result != 0 ? status == 0 : status == 42 << 8);
  close(ends[0]), close(ends[1]);
  close_file();
}

int main(int argc, char** argv) {
  check_program = argv[0];
  if (argc == 3) return play_role(argv[1]);
  return check_main(argc, argv);
}
