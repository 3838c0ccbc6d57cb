// Leases (fcntl(2), F_SETLEASE): who may take one, who is told and waits, and what ends one. Nothing depends on time: the
// breaker is a child that tells over a pipe when it is through.
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

static sigset_t io_signals;

static void begin(void) {
  check_enter_scratch();
  check_write_file("file", "content", 7);
  sigemptyset(&io_signals);
  sigaddset(&io_signals, SIGIO);
  sigaddset(&io_signals, SIGRTMIN + 3);
  sigprocmask(SIG_BLOCK, &io_signals, NULL);
}

static int open_file(int flags) {
  int fd = open("file", flags | O_CLOEXEC, 0600);
  REQUIRE(fd != -1);
  return fd;
}

CASE(taking) {
  begin();
  int reader = open_file(O_RDONLY);
  CHECK_EQ(fcntl(reader, F_GETLEASE), F_UNLCK);
  CHECK_ERRNO(fcntl(reader, F_SETLEASE, F_UNLCK), EAGAIN);
  CHECK_ERRNO(fcntl(reader, F_SETLEASE, 7), EINVAL);
  CHECK_OK(fcntl(reader, F_SETLEASE, F_RDLCK));
  CHECK_EQ(fcntl(reader, F_GETLEASE), F_RDLCK);
  CHECK_EQ(fcntl(reader, F_GETOWN), getpid());
  int second = open_file(O_RDONLY);
  CHECK_EQ(fcntl(second, F_GETLEASE), F_UNLCK);
  CHECK_OK(fcntl(second, F_SETLEASE, F_RDLCK));
  CHECK_ERRNO(fcntl(reader, F_SETLEASE, F_WRLCK), EAGAIN);
  CHECK_OK(fcntl(second, F_SETLEASE, F_UNLCK));
  CHECK_ERRNO(fcntl(reader, F_SETLEASE, F_WRLCK), EAGAIN);
  CHECK_OK(close(second));
  CHECK_OK(fcntl(reader, F_SETLEASE, F_WRLCK));
  CHECK_EQ(fcntl(reader, F_GETLEASE), F_WRLCK);
  int copy = dup(reader);
  CHECK_EQ(fcntl(copy, F_GETLEASE), F_WRLCK);
  CHECK_OK(fcntl(copy, F_SETLEASE, F_RDLCK));
  CHECK_EQ(fcntl(reader, F_GETLEASE), F_RDLCK);
  CHECK_OK(fcntl(reader, F_SETLEASE, F_UNLCK));
  CHECK_EQ(fcntl(reader, F_GETLEASE), F_UNLCK);
  CHECK_EQ(fcntl(reader, F_GETOWN), 0);
  close(copy);
  close(reader);
}

CASE(writers) {
  begin();
  int writer = open_file(O_RDWR);
  CHECK_ERRNO(fcntl(writer, F_SETLEASE, F_RDLCK), EAGAIN);
  CHECK_OK(fcntl(writer, F_SETLEASE, F_WRLCK));
  CHECK_OK(fcntl(writer, F_SETLEASE, F_UNLCK));
  int reader = open_file(O_RDONLY);
  CHECK_ERRNO(fcntl(reader, F_SETLEASE, F_RDLCK), EAGAIN);
  CHECK_ERRNO(fcntl(writer, F_SETLEASE, F_WRLCK), EAGAIN);
  close(writer);
  CHECK_OK(fcntl(reader, F_SETLEASE, F_RDLCK));
  close(reader);
}

CASE(what_has_none) {
  begin();
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  CHECK_ERRNO(fcntl(fds[0], F_SETLEASE, F_RDLCK), EINVAL);
  CHECK_EQ(fcntl(fds[0], F_GETLEASE), F_UNLCK);
  close(fds[0]);
  close(fds[1]);
  int directory = open(".", O_RDONLY);
  CHECK_ERRNO(fcntl(directory, F_SETLEASE, F_RDLCK), EINVAL);
  close(directory);
  int path = open("file", O_PATH);
  CHECK_ERRNO(fcntl(path, F_SETLEASE, F_RDLCK), EBADF);
  CHECK_ERRNO(fcntl(path, F_GETLEASE), EBADF);
  close(path);
  CHECK_ERRNO(fcntl(999, F_GETLEASE), EBADF);
}

CASE(of_another_user) {
  begin();
  REQUIRE(chmod("file", 0644) == 0 && chmod(".", 0755) == 0);
  int reader = open_file(O_RDONLY);
  pid_t pid = fork();
  if (pid == 0) {
    if (getuid() == 0 && setresuid(1000, 1000, 1000) != 0) _exit(9);
    if (getuid() != 1000) _exit(EACCES);
    _exit(fcntl(reader, F_SETLEASE, F_RDLCK) == 0 ? 0 : errno);
  }
  int status;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(WEXITSTATUS(status), EACCES);
  close(reader);
}

// The child opens the file and tells with what result; the caller gets the pipe.
static pid_t opener(int flags, int* from) {
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    int fd = open("file", flags);
    char result = fd == -1 ? (char)errno : 0;
    (void)!write(fds[1], &result, 1);
    _exit(0);
  }
  close(fds[1]);
  *from = fds[0];
  return pid;
}

static int result_of(pid_t pid, int from) {
  char result = -1;
  CHECK_EQ(read(from, &result, 1), 1);
  close(from);
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return result;
}

static int is_waiting(int from) {
  struct pollfd poll_fd = {from, POLLIN, 0};
  return poll(&poll_fd, 1, 0) == 0;
}

CASE(broken_by_a_writer) {
  begin();
  int reader = open_file(O_RDONLY), from;
  REQUIRE(fcntl(reader, F_SETLEASE, F_RDLCK) == 0);
  CHECK_OK(close(open_file(O_RDONLY)));  // is no conflict
  CHECK_EQ(fcntl(reader, F_GETLEASE), F_RDLCK);
  pid_t pid = opener(O_WRONLY, &from);
  siginfo_t info;
  CHECK_EQ(sigwaitinfo(&io_signals, &info), SIGIO);
  CHECK_EQ(info.si_code, SI_KERNEL);
  CHECK_EQ(fcntl(reader, F_GETLEASE), F_UNLCK);
  CHECK(is_waiting(from));
  int second = open_file(O_RDONLY);
  CHECK_ERRNO(fcntl(second, F_SETLEASE, F_RDLCK), EAGAIN);
  close(second);
  CHECK_ERRNO(open("file", O_WRONLY | O_NONBLOCK), EAGAIN);
  CHECK_OK(fcntl(reader, F_SETLEASE, F_UNLCK));
  CHECK_EQ(result_of(pid, from), 0);
  CHECK_ERRNO(fcntl(reader, F_SETLEASE, F_UNLCK), EAGAIN);
  close(reader);
}

CASE(downgraded_for_a_reader) {
  begin();
  int writer = open_file(O_RDWR), from;
  REQUIRE(fcntl(writer, F_SETLEASE, F_WRLCK) == 0);
  CHECK_OK(fcntl(writer, F_SETSIG, SIGRTMIN + 3));
  pid_t pid = opener(O_RDONLY, &from);
  siginfo_t info;
  CHECK_EQ(sigwaitinfo(&io_signals, &info), SIGRTMIN + 3);
  CHECK_EQ(info.si_code, POLL_MSG);
  CHECK_EQ(info.si_fd, writer);
  CHECK_EQ(info.si_band, POLLIN | POLLRDNORM | POLLMSG);
  CHECK_EQ(fcntl(writer, F_GETLEASE), F_RDLCK);
  CHECK(is_waiting(from));
  CHECK_OK(fcntl(writer, F_SETLEASE, F_UNLCK));
  CHECK_EQ(fcntl(writer, F_GETSIG), 0);
  CHECK_EQ(result_of(pid, from), 0);
  close(writer);
}

CASE(closing_ends_it) {
  begin();
  int writer = open_file(O_RDONLY), copy = dup(writer), from;
  REQUIRE(fcntl(writer, F_SETLEASE, F_WRLCK) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    close(writer);
    close(copy);
    pause();
  }
  int status;
  kill(pid, SIGKILL);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  close(copy);
  CHECK_EQ(fcntl(writer, F_GETLEASE), F_WRLCK);
  // The opener has a copy of the descriptor as well, so it opens in another process than its parent forks.
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  pid = fork();
  if (pid == 0) {
    close(writer);
    int fd = open("file", O_RDONLY);
    char result = fd == -1 ? (char)errno : 0;
    (void)!write(fds[1], &result, 1);
    _exit(0);
  }
  siginfo_t info;
  CHECK_EQ(sigwaitinfo(&io_signals, &info), SIGIO);
  close(writer);
  from = fds[0];
  CHECK_EQ(result_of(pid, from), 0);
  close(fds[1]);
}

static void on_alarm(int signal) { (void)signal; }

CASE(interrupted) {
  begin();
  int reader = open_file(O_RDONLY);
  REQUIRE(fcntl(reader, F_SETLEASE, F_RDLCK) == 0);
  // Its own opening breaks it as well; the signal that tells interrupts it when it is caught.
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGIO, &action, NULL);
  sigprocmask(SIG_UNBLOCK, &io_signals, NULL);
  CHECK_ERRNO(open("file", O_RDWR), EINTR);
  CHECK_EQ(fcntl(reader, F_GETLEASE), F_UNLCK);
  CHECK_ERRNO(open("file", O_RDWR | O_NONBLOCK), EAGAIN);
  close(reader);
  CHECK_OK(close(open_file(O_RDWR)));
  signal(SIGIO, SIG_DFL);
}

CASE(truncated) {
  begin();
  int reader = open_file(O_RDONLY);
  REQUIRE(fcntl(reader, F_SETLEASE, F_RDLCK) == 0);
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGIO, &action, NULL);
  sigprocmask(SIG_UNBLOCK, &io_signals, NULL);
  CHECK_ERRNO(truncate("file", 3), EINTR);
  CHECK_EQ(fcntl(reader, F_GETLEASE), F_UNLCK);
  CHECK_OK(chmod("file", 0600));
  CHECK_OK(rename("file", "other"));
  CHECK_OK(unlink("other"));
  CHECK_OK(fcntl(reader, F_SETLEASE, F_UNLCK));
  close(reader);
  signal(SIGIO, SIG_DFL);
}

CASE(owners) {
  begin();
  int reader = open_file(O_RDONLY), from;
  CHECK_EQ(fcntl(reader, F_GETOWN), 0);
  CHECK_ERRNO(fcntl(reader, F_SETOWN, 999999), ESRCH);
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    siginfo_t info;
    _exit(sigwaitinfo(&io_signals, &info) == SIGIO ? 5 : 6);
  }
  CHECK_OK(fcntl(reader, F_SETOWN, pid));
  CHECK_EQ(fcntl(reader, F_GETOWN), pid);
  REQUIRE(fcntl(reader, F_SETLEASE, F_RDLCK) == 0);
  CHECK_EQ(fcntl(reader, F_GETOWN), pid);
  pid_t breaker = opener(O_WRONLY, &from);
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(WEXITSTATUS(status), 5);
  CHECK_OK(fcntl(reader, F_SETLEASE, F_UNLCK));
  CHECK_EQ(result_of(breaker, from), 0);
  // A group.
  CHECK_OK(fcntl(reader, F_SETOWN, -getpgrp()));
  REQUIRE(fcntl(reader, F_SETLEASE, F_RDLCK) == 0);
  CHECK_ERRNO(open("file", O_WRONLY | O_NONBLOCK), EAGAIN);
  signal(SIGIO, SIG_IGN);  // drops what is pending
  close(reader);
}

// Natively that would take 45 seconds, or a change of the whole machine.
CASE(taken_away) {
  begin();
  if (access("/proc/occlum/stats", F_OK) == -1) return;
  FILE* file = fopen("/proc/sys/fs/lease-break-time", "w");
  REQUIRE(file != NULL);
  CHECK(fprintf(file, "1\n") == 2 && fclose(file) == 0);
  int writer = open_file(O_RDONLY);
  REQUIRE(fcntl(writer, F_SETLEASE, F_WRLCK) == 0);
  CHECK_OK(close(open_file(O_RDONLY)));
  CHECK_EQ(fcntl(writer, F_GETLEASE), F_RDLCK);
  CHECK_OK(close(open_file(O_WRONLY)));
  CHECK_EQ(fcntl(writer, F_GETLEASE), F_UNLCK);
  close(writer);
}

CHECK_MAIN
