// Children are those of a thread: __WNOTHREAD of wait4(2) and waitid(2), and PR_SET_PDEATHSIG, which a child gets when
// the thread that made it ends (prctl(2)).
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "check.h"

static void* run_thread(void* (*body)(void*), void* argument) {
  pthread_t thread;
  void* result = NULL;
  REQUIRE(pthread_create(&thread, NULL, body, argument) == 0);
  REQUIRE(pthread_join(thread, &result) == 0);
  return result;
}

static pid_t exiting_child(int code) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) _exit(code);
  return pid;
}

static void* wait_as_stranger(void* argument) {
  pid_t pid = *(pid_t*)argument;
  int status;
  siginfo_t info;
  CHECK_ERRNO(waitpid(pid, &status, __WNOTHREAD), ECHILD);
  CHECK_ERRNO(waitpid(-1, &status, __WNOTHREAD | WNOHANG), ECHILD);
  CHECK_ERRNO(waitpid(0, &status, __WNOTHREAD | __WALL), ECHILD);
  CHECK_ERRNO(waitid(P_PID, pid, &info, WEXITED | __WNOTHREAD), ECHILD);
  CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
  CHECK_EQ(info.si_pid, pid);
  pid_t own = exiting_child(7);
  CHECK_EQ(waitpid(-1, &status, __WNOTHREAD), own);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  return NULL;
}

CASE(other_threads_children) {
  pid_t pid = exiting_child(3);
  run_thread(wait_as_stranger, &pid);
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, __WNOTHREAD), pid);
  CHECK_EQ(WEXITSTATUS(status), 3);
  CHECK_ERRNO(waitpid(-1, &status, __WNOTHREAD), ECHILD);
}

static int held[2];  // children live until this is closed

static void* leave_child(void* argument) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    char byte;
    close(held[1]);
    _exit(read(held[0], &byte, 1) == 0 ? 5 : 6);
  }
  *(pid_t*)argument = pid;
  return NULL;
}

// A thread that ends leaves its children to the first of those that live on.
CASE(children_of_an_ended_thread) {
  CHECK_OK(pipe(held));
  pid_t pid = -1;
  run_thread(leave_child, &pid);
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, __WNOTHREAD | WNOHANG), 0);
  close(held[1]);
  CHECK_EQ(waitpid(pid, &status, __WNOTHREAD), pid);
  CHECK_EQ(WEXITSTATUS(status), 5);
  close(held[0]);
}

// A sibling's parent is the caller's, and so is the thread whose child it is.
static int sibling(void* unused) {
  (void)unused;
  return 9;
}
static char sibling_stack[65536] __attribute__((aligned(16)));
CASE(clone_parent) {
  int report[2];
  CHECK_OK(pipe(report));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    pid_t made = clone(sibling, sibling_stack + sizeof sibling_stack, CLONE_PARENT | SIGCHLD, NULL);
    _exit(write(report[1], &made, sizeof made) == sizeof made ? 0 : 1);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, __WNOTHREAD), pid);
  CHECK_EQ(status, 0);
  CHECK_EQ(read(report[0], &pid, sizeof pid), sizeof pid);
  CHECK_EQ(waitpid(pid, &status, __WNOTHREAD), pid);
  CHECK_EQ(WEXITSTATUS(status), 9);
  close(report[0]);
  close(report[1]);
}

// What an orphan's new parent has is its first thread's.
static void* wait_for_orphan(void* unused) {
  (void)unused;
  int status;
  CHECK_ERRNO(waitpid(-1, &status, __WNOTHREAD), ECHILD);
  return NULL;
}
CASE(orphans_of_a_subreaper) {
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
  CHECK_OK(pipe(held));
  fflush(stdout);
  pid_t pid = fork(), orphan;
  if (pid == 0) {
    leave_child(&orphan);
    _exit(0);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  run_thread(wait_for_orphan, NULL);
  close(held[1]);
  CHECK(waitpid(-1, &status, __WNOTHREAD) > 0);
  CHECK_EQ(WEXITSTATUS(status), 5);
  close(held[0]);
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 0));
}

static void* wait_for_others_tracee(void* argument) {
  int status;
  CHECK_ERRNO(waitpid(*(pid_t*)argument, &status, __WNOTHREAD | __WALL), ECHILD);
  return NULL;
}
CASE(tracees) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    _exit(4);
  }
  run_thread(wait_for_others_tracee, &pid);
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, __WNOTHREAD), pid);
  CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  CHECK_OK(ptrace(PTRACE_CONT, pid, 0, 0));
  CHECK_EQ(waitpid(pid, &status, __WNOTHREAD), pid);
  CHECK_EQ(WEXITSTATUS(status), 4);
}

// --- PR_SET_PDEATHSIG ---

struct mourner {
  int ready[2], leave[2];
  pid_t pid;
};

// Tells by its exit code how often the signal came, and from whom, before the pipe `leave` is closed.
static int mourn(struct mourner* mourner, pid_t parent) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  if (prctl(PR_SET_PDEATHSIG, SIGUSR1) != 0) return 100;
  close(mourner->leave[1]);
  if (write(mourner->ready[1], "x", 1) != 1) return 101;
  char byte;
  if (read(mourner->leave[0], &byte, 1) != 0) return 102;
  siginfo_t info;
  struct timespec now = {0, 0};
  if (sigtimedwait(&signals, &info, &now) != SIGUSR1) return 0;
  return info.si_code == SI_USER && info.si_pid == parent ? 1 : 2;
}

static void* make_mourner(void* argument) {
  struct mourner* mourner = argument;
  CHECK_OK(pipe(mourner->ready));
  CHECK_OK(pipe(mourner->leave));
  fflush(stdout);
  pid_t parent = getpid();
  mourner->pid = fork();
  if (mourner->pid == 0) _exit(mourn(mourner, parent));
  char byte;
  CHECK_EQ(read(mourner->ready[0], &byte, 1), 1);
  return NULL;
}

static int mourned(struct mourner* mourner) {
  int status = -1;
  close(mourner->leave[1]);
  CHECK_EQ(waitpid(mourner->pid, &status, 0), mourner->pid);
  close(mourner->leave[0]);
  close(mourner->ready[0]);
  close(mourner->ready[1]);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void* do_nothing(void* unused) { return unused; }

CASE(death_of_the_thread_that_forked) {
  struct mourner mourner;
  run_thread(make_mourner, &mourner);
  CHECK_EQ(mourned(&mourner), 1);
}

CASE(death_of_another_thread) {
  struct mourner mourner;
  make_mourner(&mourner);
  run_thread(do_nothing, NULL);
  CHECK_EQ(mourned(&mourner), 0);
}

CHECK_MAIN
