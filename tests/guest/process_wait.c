// Waiting: wait4(2), waitid(2), their options, how a process ended, SIGCHLD, orphans, stopping and continuing.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"

extern char** environ;
static char child[512];

static pid_t start(char* mode, char* word) {
  char* argv[] = {child, mode, word, NULL};
  pid_t pid = -1;
  fflush(stdout);
  REQUIRE(posix_spawn(&pid, child, NULL, NULL, argv, environ) == 0);
  return pid;
}

CASE(find) { strcpy(child, check_sibling("child.pie")); }

CASE(exit_codes) {
  static char* codes[] = {"0", "1", "127", "128", "255", "256", "-1"};
  static const int expected[] = {0, 1, 127, 128, 255, 0, 255};
  for (int i = 0; i < 7; i++) {
    int status;
    pid_t pid = start("exit", codes[i]);
    CHECK_EQ(wait4(pid, &status, 0, NULL), pid);
    CHECK(WIFEXITED(status) && !WIFSIGNALED(status));
    CHECK_EQ(WEXITSTATUS(status), expected[i]);
  }
}

CASE(death_by_signal) {
  static char* numbers[] = {"15", "9", "6", "14", "10"};
  // A core dump or not is the machine's setting: only the signal is compared.
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  for (int i = 0; i < 5; i++) {
    int status;
    pid_t pid = start("signal", numbers[i]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && !WIFEXITED(status));
    CHECK_EQ(WTERMSIG(status), atoi(numbers[i]));
  }
  int status;
  pid_t pid = start("crash", "");
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFSIGNALED(status));
  CHECK_EQ(WTERMSIG(status), SIGSEGV);
}

CASE(no_hang) {
  int status;
  CHECK_ERRNO(waitpid(-1, &status, WNOHANG), ECHILD);
  CHECK_ERRNO(waitpid(-1, &status, 0), ECHILD);
  CHECK_ERRNO(waitpid(1 << 20, &status, 0), ECHILD);
  CHECK_ERRNO(waitpid(-1, &status, 0x40000), EINVAL);
  pid_t pid = start("sleep", "10000");
  CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
  CHECK_EQ(waitpid(-1, &status, WNOHANG), 0);
  CHECK_OK(kill(pid, SIGKILL));
  CHECK_EQ(waitpid(-1, &status, 0), pid);
  CHECK_EQ(WTERMSIG(status), SIGKILL);
  CHECK_ERRNO(kill(pid, 0), ESRCH);
}

CASE(zombie) {
  pid_t pid = start("exit", "4");
  siginfo_t info;
  memset(&info, 0, sizeof info);
  CHECK_OK(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
  CHECK_EQ(info.si_signo, SIGCHLD);
  CHECK_EQ(info.si_code, CLD_EXITED);
  CHECK_EQ(info.si_status, 4);
  CHECK_EQ(info.si_pid, pid);
  CHECK_OK(kill(pid, 0));  // A zombie is still there.
  CHECK_OK(kill(pid, SIGTERM));
  CHECK_OK(waitid(P_PID, pid, &info, WEXITED));
  CHECK_EQ(info.si_status, 4);
  CHECK_ERRNO(waitid(P_PID, pid, &info, WEXITED), ECHILD);
  CHECK_ERRNO(waitid(P_PID, pid, &info, 0), EINVAL);
}

CASE(killed_by_waitid) {
  pid_t pid = start("sleep", "10000");
  siginfo_t info;
  memset(&info, 0, sizeof info);
  CHECK_OK(waitid(P_ALL, 0, &info, WEXITED | WNOHANG));
  CHECK_EQ(info.si_pid, 0);
  CHECK_OK(kill(pid, SIGTERM));
  CHECK_OK(waitid(P_ALL, 0, &info, WEXITED));
  CHECK_EQ(info.si_code, CLD_KILLED);
  CHECK_EQ(info.si_status, SIGTERM);
}

CASE(any_child_in_any_order) {
  pid_t slow = start("sleep", "300"), fast = start("exit", "0");
  int status;
  CHECK_EQ(wait(&status), fast);
  CHECK_EQ(wait(&status), slow);
  CHECK_ERRNO(wait(&status), ECHILD);
}

static volatile sig_atomic_t children_seen;
static volatile int seen_status, seen_code, seen_pid;
static void on_child(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  seen_status = info->si_status;
  seen_code = info->si_code;
  seen_pid = info->si_pid;
  children_seen++;
}

CASE(sigchld) {
  struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO};
  CHECK_OK(sigaction(SIGCHLD, &action, NULL));
  pid_t pid = start("exit", "12");
  for (int i = 0; i < 2000 && !children_seen; i++) check_sleep_ms(5);
  CHECK_EQ(children_seen, 1);
  CHECK_EQ(seen_code, CLD_EXITED);
  CHECK_EQ(seen_status, 12);
  CHECK_EQ(seen_pid, pid);
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
  signal(SIGCHLD, SIG_DFL);
}

CASE(ignored_children_vanish) {
  signal(SIGCHLD, SIG_IGN);
  start("exit", "0");
  int status;
  CHECK_ERRNO(wait(&status), ECHILD);  // Waits for all of them, then has none.
  signal(SIGCHLD, SIG_DFL);
}

CASE(stop_and_continue) {
  pid_t pid = start("stop", "");
  int status;
  CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
  CHECK(WIFSTOPPED(status));
  CHECK_EQ(WSTOPSIG(status), SIGSTOP);
  CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
  CHECK_OK(kill(pid, SIGCONT));
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
}

CASE(orphan) {
  // The child ends at once, the grandchild later; both hold the pipe's end, so its end of file waits for both.
  int ends[2];
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  char* argv[] = {child, "orphan", "100", NULL};
  pid_t pid;
  REQUIRE(posix_spawn(&pid, child, &actions, NULL, argv, environ) == 0);
  close(ends[1]);
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
  char text[64] = "";
  CHECK_EQ(read(ends[0], text, sizeof text - 1), 19);
  CHECK_STR(text, "late with a parent\n");
  CHECK_EQ(read(ends[0], text, 1), 0);
  close(ends[0]);
  CHECK_ERRNO(wait(NULL), ECHILD);
}

CASE(groups_and_sessions) {
  CHECK(getpgrp() > 0);
  CHECK_EQ(getpgid(0), getpgrp());
  pid_t pid = start("sleep", "10000");
  CHECK_EQ(getpgid(pid), getpgrp());
  CHECK_EQ(getsid(pid), getsid(0));
  CHECK_ERRNO(getpgid(1 << 21), ESRCH);
  CHECK_OK(kill(pid, SIGKILL));
  CHECK_EQ(waitpid(-getpgrp(), NULL, 0), pid);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  char* argv[] = {child, "sleep", "10000", NULL};
  REQUIRE(posix_spawn(&pid, child, NULL, &attributes, argv, environ) == 0);
  CHECK_EQ(getpgid(pid), pid);
  CHECK_ERRNO(waitpid(0, NULL, WNOHANG), ECHILD);
  CHECK_OK(kill(-pid, SIGTERM));
  CHECK_EQ(waitpid(-pid, NULL, 0), pid);
}

CASE(usage) {
  struct rusage usage;
  pid_t pid = start("exit", "0");
  CHECK_EQ(wait4(pid, NULL, 0, &usage), pid);
  CHECK(usage.ru_utime.tv_sec >= 0 && usage.ru_utime.tv_sec < 5);
  CHECK_OK(getrusage(RUSAGE_SELF, &usage));
  CHECK_OK(getrusage(RUSAGE_CHILDREN, &usage));
  CHECK_ERRNO(getrusage(99, &usage), EINVAL);
}

CHECK_MAIN
