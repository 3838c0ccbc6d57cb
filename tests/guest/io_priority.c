// ioprio_get(2) and ioprio_set(2): what is kept, inherited and told, and who may.
#include <linux/ioprio.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"

static long get(int which, int who) { return syscall(SYS_ioprio_get, which, who); }
static long set(int which, int who, int priority) {
  return syscall(SYS_ioprio_set, which, who, priority);
}
static int best_effort(int level) { return IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, level); }

static int ended_well(pid_t child) {
  int status = -1;
  return waitpid(child, &status, 0) == child && status == 0;
}

CASE(kept) {
  CHECK_EQ(get(IOPRIO_WHO_PROCESS, 0), 0);
  for (int level = 0; level < 8; level++) {
    CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, best_effort(level)), 0);
    CHECK_EQ(get(IOPRIO_WHO_PROCESS, getpid()), best_effort(level));
  }
  CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)), 0);
  CHECK_EQ(get(IOPRIO_WHO_PROCESS, 0), IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
  CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 2)), 0);
  CHECK_EQ(get(IOPRIO_WHO_PROCESS, 0), IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 2));
  CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, 0), 0);
  CHECK_EQ(get(IOPRIO_WHO_PROCESS, 0), 0);
}

// Of a group without any, it follows from nice values and policies; the highest counts.
CASE(of_a_group) {
  fflush(stdout);
  pid_t leader = fork();
  if (leader == 0) {
    setpgid(0, 0);
    CHECK_EQ(get(IOPRIO_WHO_PGRP, 0), best_effort(4));
    CHECK_EQ(nice(10), 10);
    CHECK_EQ(get(IOPRIO_WHO_PGRP, 0), best_effort(6));
    CHECK_EQ(get(IOPRIO_WHO_PROCESS, 0), 0);
    int pipe_ends[2];
    CHECK_EQ(pipe(pipe_ends), 0);
    pid_t member = fork();
    char byte;
    if (member == 0) {
      close(pipe_ends[1]);
      _exit((int)read(pipe_ends[0], &byte, 1));
    }
    CHECK_EQ(set(IOPRIO_WHO_PROCESS, member, best_effort(1)), 0);
    CHECK_EQ(get(IOPRIO_WHO_PGRP, 0), best_effort(1));
    CHECK_EQ(get(IOPRIO_WHO_PROCESS, 0), 0);
    CHECK_EQ(set(IOPRIO_WHO_PGRP, getpid(), best_effort(3)), 0);
    CHECK_EQ(get(IOPRIO_WHO_PROCESS, member), best_effort(3));
    CHECK_EQ(get(IOPRIO_WHO_PROCESS, 0), best_effort(3));
    close(pipe_ends[1]);
    CHECK(ended_well(member));
    CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, 0), 0);
    struct sched_param none = {0};
    CHECK_EQ(sched_setscheduler(0, SCHED_IDLE, &none), 0);
    CHECK_EQ(get(IOPRIO_WHO_PGRP, 0), IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 6));
    fflush(stdout);
    _exit(check_failures != 0);
  }
  CHECK(ended_well(leader));
}

static void* other_thread(void* unused) {
  CHECK_EQ(get(IOPRIO_WHO_PROCESS, 0), best_effort(5));  // its maker's
  CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, best_effort(6)), 0);
  CHECK_EQ(get(IOPRIO_WHO_PROCESS, getpid()), best_effort(5));
  return unused;
}

CASE(inherited) {
  CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, best_effort(5)), 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, other_thread, NULL) == 0);
  pthread_join(thread, NULL);
  pid_t child = fork();
  if (child == 0) _exit(get(IOPRIO_WHO_PROCESS, 0) != best_effort(5));
  CHECK(ended_well(child));
  CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, 0), 0);
}

// CLONE_IO: one context of two processes.
CASE(shared) {
  CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, best_effort(5)), 0);
  fflush(stdout);
  pid_t child = (pid_t)syscall(SYS_clone, CLONE_IO | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) {
    CHECK_EQ(syscall(SYS_kcmp, getpid(), getppid(), KCMP_IO, 0, 0), 0);
    CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, best_effort(2)), 0);
    fflush(stdout);
    _exit(check_failures != 0);
  }
  CHECK(ended_well(child));
  CHECK_EQ(get(IOPRIO_WHO_PROCESS, 0), best_effort(2));
  CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, 0), 0);
}

CASE(invalid) {
  CHECK_ERRNO(get(0, 0), EINVAL);
  CHECK_ERRNO(get(4, 0), EINVAL);
  CHECK_ERRNO(get(-1, 0), EINVAL);
  CHECK_ERRNO(get(IOPRIO_WHO_PROCESS, 99999999), ESRCH);
  CHECK_ERRNO(get(IOPRIO_WHO_PROCESS, -1), ESRCH);
  CHECK_ERRNO(get(IOPRIO_WHO_PGRP, 99999999), ESRCH);
  CHECK_ERRNO(get(IOPRIO_WHO_USER, 77777), ESRCH);
  CHECK_ERRNO(set(0, 0, best_effort(1)), EINVAL);
  CHECK_ERRNO(set(4, 0, best_effort(1)), EINVAL);
  CHECK_ERRNO(set(IOPRIO_WHO_PROCESS, 99999999, best_effort(1)), ESRCH);
  CHECK_ERRNO(set(IOPRIO_WHO_PROCESS, 0, 1), EINVAL);  // a level without a class
  CHECK_ERRNO(set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(4, 0)), EINVAL);
  CHECK_ERRNO(set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(7, 0)), EINVAL);
  CHECK_ERRNO(set(IOPRIO_WHO_PROCESS, 99999999, -1), EINVAL);
}

CASE(privileges) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    if (setresuid(65533, 65533, 65533) != 0) _exit(2);
    CHECK_ERRNO(set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 0)), EPERM);
    CHECK_ERRNO(set(99, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 0)), EPERM);
    CHECK_EQ(set(IOPRIO_WHO_PROCESS, 0, best_effort(0)), 0);
    CHECK_EQ(set(IOPRIO_WHO_USER, 65533, best_effort(7)), 0);
    CHECK_ERRNO(set(IOPRIO_WHO_USER, 0, best_effort(7)), EPERM);  // root's, not its own
    CHECK_EQ(get(IOPRIO_WHO_USER, 65533), best_effort(7));
    CHECK_EQ(get(IOPRIO_WHO_PROCESS, getppid()), 0);  // anybody may ask
    CHECK_ERRNO(set(IOPRIO_WHO_PROCESS, getppid(), best_effort(7)), EPERM);
    fflush(stdout);
    _exit(check_failures != 0);
  }
  CHECK(ended_well(child));
}

CHECK_MAIN
