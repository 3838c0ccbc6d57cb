// unshare(2): a thread stops to share descriptors, directories, semaphore undo values; the rest is refused.
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/sem.h>
#include <sys/wait.h>

#include "check.h"

static long same(pid_t a, pid_t b, int type) { return syscall(SYS_kcmp, a, b, type, 0, 0) == 0; }
static pid_t tid(void) { return (pid_t)syscall(SYS_gettid); }

static int file;
static void* stop_sharing(void* unused) {
  pid_t self = tid(), leader = getpid();
  CHECK(same(self, leader, KCMP_FILES) && same(self, leader, KCMP_FS));
  CHECK_EQ(unshare(CLONE_FS), 0);
  CHECK(same(self, leader, KCMP_FILES) && !same(self, leader, KCMP_FS));
  CHECK_EQ(unshare(CLONE_FILES), 0);
  CHECK(!same(self, leader, KCMP_FILES) && same(self, leader, KCMP_VM));
  CHECK_EQ(chdir("/"), 0);
  umask(0123);
  CHECK_EQ(lseek(file, 3, SEEK_SET), 3);  // the open file stays one
  CHECK_EQ(close(file), 0);
  CHECK_ERRNO(lseek(file, 0, SEEK_CUR), EBADF);
  return unused;
}

CASE(files_and_directories) {
  check_enter_scratch();
  char before[300], after[300];
  file = open("file", O_CREAT | O_RDWR, 0600);
  REQUIRE(file >= 0 && getcwd(before, sizeof before) != NULL);
  umask(022);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, stop_sharing, NULL) == 0);
  pthread_join(thread, NULL);
  CHECK_EQ(lseek(file, 0, SEEK_CUR), 3);
  REQUIRE(getcwd(after, sizeof after) != NULL);
  CHECK_STR(after, before);
  CHECK_EQ(umask(022), 022);
}

// What nobody shares stays what it is: record locks are of the table.
CASE(alone) {
  check_enter_scratch();
  int locked = open("locked", O_CREAT | O_RDWR, 0600);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  CHECK_EQ(fcntl(locked, F_SETLK, &lock), 0);
  CHECK_EQ(unshare(0), 0);
  CHECK_EQ(unshare(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM), 0);
  pid_t child = fork();
  if (child == 0) {
    int refused = fcntl(locked, F_SETLK, &lock) == -1 && errno == EAGAIN;
    // Not in the parent: a joined thread is counted for a moment longer.
    _exit(refused && unshare(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD) == 0 ? 0 : 1);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

static void* with_another(void* unused) {
  CHECK_ERRNO(unshare(CLONE_THREAD), EINVAL);
  CHECK_ERRNO(unshare(CLONE_SIGHAND), EINVAL);
  CHECK_ERRNO(unshare(CLONE_VM), EINVAL);
  CHECK_ERRNO(unshare(CLONE_NEWUSER), EINVAL);  // implies CLONE_THREAD
  return unused;
}

CASE(what_cannot_be_parted) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, with_another, NULL) == 0);
  pthread_join(thread, NULL);
  pid_t child = vfork();
  if (child == 0) {
    int refused = unshare(CLONE_VM) == -1 && errno == EINVAL;
    _exit(refused && unshare(CLONE_SIGHAND) == 0 && unshare(CLONE_THREAD) == 0 ? 0 : 1);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

static int share_handlers(void* unused) {
  (void)unused;
  return unshare(CLONE_SIGHAND) == -1 && errno == EINVAL ? 0 : 1;
}

CASE(handlers_of_two_processes) {
  static char stack[65536] __attribute__((aligned(16)));
  pid_t child = clone(share_handlers, stack + sizeof stack, CLONE_VM | CLONE_SIGHAND | SIGCHLD, 0);
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

// Who may make a namespace gets one, or is told that the kernel knows none.
CASE(namespaces) {
  static const unsigned long flags[] = {CLONE_NEWUTS,  CLONE_NEWIPC, CLONE_NEWNET,
                                        CLONE_NEWPID,  CLONE_NEWNS,  CLONE_NEWCGROUP,
                                        CLONE_NEWUSER, 0x80 /* CLONE_NEWTIME */};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      check_failures = 0;
      if (syscall(SYS_unshare, flags[i]) != 0) {
        CHECK_EQ(errno, EINVAL);
        struct clone_args arguments = {.flags = flags[i], .exit_signal = SIGCHLD};
        CHECK_ERRNO(syscall(SYS_clone3, &arguments, sizeof arguments), EINVAL);
      }
      fflush(stdout);
      _exit(check_failures != 0);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
  }
}

// clone3(2) with a number: for CAP_CHECKPOINT_RESTORE, and one that nobody has.
CASE(chosen_number) {
  pid_t number = 0;
  for (pid_t at = 20000; number == 0; at++)
    if (syscall(SYS_kill, at, 0) != 0 && getsid(at) < 0 && getpgid(at) < 0) number = at;
  pid_t list[2] = {number, number};
  struct clone_args arguments = {
      .exit_signal = SIGCHLD, .set_tid = (uintptr_t)list, .set_tid_size = 1};
  fflush(stdout);
  pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child == 0) _exit(syscall(SYS_getpid) == number ? 7 : 8);
  CHECK_EQ(child, number);
  // Until it is reaped somebody has it.
  int status = -1;
  siginfo_t info;
  CHECK_OK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
  CHECK_ERRNO(syscall(SYS_clone3, &arguments, sizeof arguments), EEXIST);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 7 << 8);
  CHECK_ERRNO(kill(number, 0), ESRCH);
  list[0] = getpid();
  CHECK_ERRNO(syscall(SYS_clone3, &arguments, sizeof arguments), EEXIST);
  list[0] = 0;
  CHECK_ERRNO(syscall(SYS_clone3, &arguments, sizeof arguments), EINVAL);
  list[0] = -1;
  CHECK_ERRNO(syscall(SYS_clone3, &arguments, sizeof arguments), EINVAL);
  list[0] = 1 << 22;
  CHECK_ERRNO(syscall(SYS_clone3, &arguments, sizeof arguments), EINVAL);
  arguments.set_tid_size = 33;
  CHECK_ERRNO(syscall(SYS_clone3, &arguments, sizeof arguments), EINVAL);
  arguments.set_tid_size = 0;
  CHECK_ERRNO(syscall(SYS_clone3, &arguments, sizeof arguments), EINVAL);
  arguments.set_tid_size = 1, arguments.set_tid = 0;
  CHECK_ERRNO(syscall(SYS_clone3, &arguments, sizeof arguments), EINVAL);
  arguments.set_tid = 1;
  CHECK_ERRNO(syscall(SYS_clone3, &arguments, sizeof arguments), EFAULT);
  arguments.set_tid = (uintptr_t)list, list[0] = number;
  child = fork();
  if (child == 0) {
    check_failures = 0;
    if (setresuid(1, 1, 1) != 0) _exit(2);
    CHECK_ERRNO(syscall(SYS_clone3, &arguments, sizeof arguments), EPERM);
    fflush(stdout);
    _exit(check_failures != 0);
  }
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

CASE(invalid_flags) {
  CHECK_ERRNO(unshare(1), EINVAL);
  CHECK_ERRNO(unshare(CLONE_FILES | SIGCHLD), EINVAL);
  CHECK_ERRNO(unshare(CLONE_VFORK), EINVAL);
  CHECK_ERRNO(unshare(CLONE_PARENT), EINVAL);
  CHECK_ERRNO(unshare(CLONE_SETTLS), EINVAL);
  CHECK_ERRNO(unshare((int)CLONE_IO), EINVAL);
  CHECK_ERRNO(syscall(SYS_unshare, 1UL << 34), EINVAL);
  fflush(stdout);
  const int before = check_failures;
  pid_t child = fork();
  if (child == 0) {  // without privileges
    if (setresuid(1, 1, 1) != 0) _exit(2);
    CHECK_ERRNO(unshare(CLONE_NEWNS), EPERM);
    CHECK_ERRNO(unshare(CLONE_NEWUTS), EPERM);
    CHECK_ERRNO(unshare(CLONE_NEWIPC), EPERM);
    CHECK_ERRNO(unshare(CLONE_NEWNET), EPERM);
    CHECK_ERRNO(unshare(CLONE_NEWPID), EPERM);
    CHECK_ERRNO(unshare(CLONE_NEWCGROUP), EPERM);
    fflush(stdout);
    _exit(check_failures != before);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

// As if the thread had ended, for its undo values.
CASE(semaphore_undo) {
  int set = semget(IPC_PRIVATE, 1, 0600);
  REQUIRE(set >= 0);
  struct sembuf up = {0, 5, SEM_UNDO};
  CHECK_EQ(semop(set, &up, 1), 0);
  CHECK_EQ(semctl(set, 0, GETVAL), 5);
  CHECK_EQ(unshare(CLONE_FILES), 0);
  CHECK_EQ(semctl(set, 0, GETVAL), 5);
  CHECK_EQ(unshare(CLONE_SYSVSEM), 0);
  CHECK_EQ(semctl(set, 0, GETVAL), 0);
  CHECK_EQ(semop(set, &up, 1), 0);
  CHECK_EQ(semctl(set, 0, GETVAL), 5);
  CHECK_EQ(semctl(set, 0, IPC_RMID), 0);
}

CHECK_MAIN
