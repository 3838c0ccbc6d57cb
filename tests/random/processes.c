// Processes: starting the program again in many ways, what it inherits, waiting, groups and sessions.
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "random.h"

extern char** environ;

// The child: `--child STATUS`, `--child wait` (until it is killed), `--child look` (says what it inherited).
int child_main(int argc, char** argv) {
  if (argc < 3) return 99;
  close(kStartFd);
  if (strcmp(argv[2], "wait") == 0) {
    // To the end of the sequence: PR_SET_PDEATHSIG would want a permission that its parent may have given away.
    char byte;
    while (read(kEndFd, &byte, 1) == -1) {
      struct pollfd end = {kEndFd, POLLIN, 0};
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        poll(&end, 1, -1);
        continue;
      }
      // Out of reach: then for longer than any sequence takes (kSeconds of main.c), and little more: the batch waits.
      poll(NULL, 0, 22000);
      break;
    }
    return 98;
  }
  if (strcmp(argv[2], "look") != 0) return atoi(argv[2]);
  static char text[4000];
  int size = 0;
#define TELL(...) size += snprintf(text + size, sizeof text - (size_t)size, __VA_ARGS__)
  TELL("   child: descriptors");
  for (int fd = 0; fd < 64; fd++) {
    int bits = fcntl(fd, F_GETFL);
    // The C library of a program that changed its user opens what is missing of 0 to 2, and how is its affair.
    if (bits >= 0) TELL(" %d:%x", fd, (unsigned)bits & ~0x28000u);
  }
  uint64_t mask = 0, pending = 0, ignored = 0;
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
  syscall(SYS_rt_sigpending, &pending, 8);
  for (int signal = 1; signal < 65; signal++) {
    struct sigaction action;
    if (sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
      ignored |= 1ull << (signal - 1);
  }
  stack_t stack;
  sigaltstack(NULL, &stack);
  char here[4096] = "?", name[17] = "";
  struct stat root;
  if (stat("/", &root) != 0) root.st_mode = 0;
  const char* last = getcwd(here, sizeof here) ? strrchr(here, '/') : here;
  prctl(PR_GET_NAME, name);
  mode_t creation = umask(0);
  uid_t u[3];
  getresuid(&u[0], &u[1], &u[2]);
  gid_t g[3];
  getresgid(&g[0], &g[1], &g[2]);
  struct rlimit files, core;
  getrlimit(RLIMIT_NOFILE, &files);
  getrlimit(RLIMIT_CORE, &core);
  TELL(" mask %llx pending %llx ignored %llx stack %d at %s umask %o", (unsigned long long)mask,
       (unsigned long long)pending, (unsigned long long)ignored, stack.ss_flags & 3,
       last ? last : here, creation);
  TELL(" uid %u %u %u gid %u %u %u groups %d nice %d policy %d", u[0], u[1], u[2], g[0], g[1], g[2],
       getgroups(0, NULL), getpriority(PRIO_PROCESS, 0), sched_getscheduler(0));
  TELL(" group %s session %s name %.5s limits %lld %lld nnp %d keepcaps %d args %d\n",
       getpgrp() == getpid() ? "own" : "other", getsid(0) == getpid() ? "own" : "other",
       name[0] >= 'a' ? name : "digit", (long long)files.rlim_cur, (long long)core.rlim_cur,
       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_KEEPCAPS), argc);
  ssize_t written = write(kLogFd, text, (size_t)size);
  return written != size;
}

// Returns when the child runs: until then it may still have what is closed on exec, although vfork(2) has returned.
long start_self(int slot, char** words, unsigned bits) {
  int running[2] = {-1, -1};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  struct rlimit files;
  // The child closes what it gets under this number; where there is no room for it, nobody waits.
  const bool tells = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > kStartFd &&
                     pipe2(running, O_CLOEXEC) == 0;
  if (tells) posix_spawn_file_actions_adddup2(&actions, running[1], kStartFd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, (short)bits);
  pid_t pid = -1;
  int error = posix_spawn(&pid, own_path, &actions, &attributes, words, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (tells) {
    char byte;
    close(running[1]);
    while (read(running[0], &byte, 1) == -1 && errno == EINTR) {
    }
    close(running[0]);
  }
  if (error) return -error;
  note_child(slot, pid);
  return pid;
}

static int free_slot(void) {
  for (int i = 0; i < kChildren; i++) {
    if (!child_pid(i)) return i;
  }
  return -1;
}
static long start(const char* word, unsigned bits) {
  int slot = free_slot();
  if (slot < 0) {
    say(") no more");
    return -EAGAIN;
  }
  char* words[] = {own_path, "--child", (char*)word, NULL};
  long r = start_self(slot, words, bits);
  if (r < 0) {
    say(") = %s", errno_name(-r));
  } else {
    say(") = child %d", slot);
  }
  return r;
}
// Waits until a child has ended, and leaves it to be waited for.
static void settle(long pid) {
  if (pid <= 0) return;
  siginfo_t info;
  while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == -1 && errno == EINTR) {
  }
}
// With SIGCHLD ignored a child is gone at its end, and its number may come again.
static void forget_gone(void) {
  for (int i = 0; i < kChildren; i++) {
    if (child_pid(i) && kill(child_pid(i), 0) == -1 && errno == ESRCH) note_child(i, 0);
  }
}

OP(kProcesses, 8, spawn_exit) {
  char status[8];
  snprintf(status, sizeof status, "%d", (int)ONE_OF(0, 1, 42, 255, 256, 300));
  say("%s", status);
  settle(start(status, 0));
  forget_gone();
}
OP(kProcesses, 5, spawn_wait) { start("wait", 0); }
OP(kProcesses, 2, spawn_group) { start("wait", POSIX_SPAWN_SETPGROUP); }
OP(kProcesses, 2, spawn_session) { start("wait", POSIX_SPAWN_SETSID); }
OP(kProcesses, 8, spawn_look) {
  say(")");

  settle(start("look", 0));
  forget_gone();
}

static long any_child(void) {
  long found[kChildren];
  unsigned count = 0;
  for (int i = 0; i < kChildren; i++) {
    if (child_pid(i)) found[count++] = i;
  }
  if (!count || percent(5)) {
    number(0x7ffffff0);
    return 0x7ffffff0;
  }
  long slot = found[below(count)];
  say(" child %ld", slot);
  return child_pid((int)slot);
}
static void waited(long r) {
  if (r <= 0) return;
  for (int i = 0; i < kChildren; i++) {
    if (child_pid(i) == r) note_child(i, 0);
  }
}
static void say_waited(long r, int status) {
  if (r < 0) {
    say(") = %s", errno_name(-r));
  } else {
    say(") =");
    say_pid(r);
    if (r > 0) say(" status 0x%x", (unsigned)status);
  }
}
// The children that have ended, of which wait4(-1) may take any.
static int ended_children(void) {
  int count = 0;
  for (int i = 0; i < kChildren; i++) {
    siginfo_t info = {0};
    if (child_pid(i) &&
        waitid(P_PID, (id_t)child_pid(i), &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid)
      count++;
  }
  return count;
}
OP(kProcesses, 6, wait4_pid) {
  int status = -1;
  long pid = any_child(), bits = hex(WNOHANG | some_of_list(LIST(WUNTRACED, WCONTINUED, __WALL)) |
                                     (percent(4) ? 0x100 : 0));
  long r = QUIET_4(wait4, pid, &status, bits, 0);
  say_waited(r, status);
  if (r > 0 && (WIFEXITED(status) || WIFSIGNALED(status))) waited(r);
}
OP(kProcesses, 4, wait4_any) {
  if (ended_children() > 1) return say(") several");
  int status = -1;
  long r = QUIET_4(wait4, ONE_OF(-1, -1, 0), &status, WNOHANG, 0);
  say_waited(r, status);
  waited(r);
}
OP(kProcesses, 1, wait4_group) {
  int status = -1;
  say_waited(QUIET_4(wait4, number(ONE_OF(-0x7ffffff0, -0x7fffffffL - 1)), &status, WNOHANG, 0),
             status);
}
static void say_waitid(long r, const siginfo_t* info) {
  say_result(r);
  if (r == 0) {
    say_pid(info->si_pid);
    if (info->si_pid)
      say(" signal %d code %d status %d uid %d", info->si_signo, info->si_code, info->si_status,
          info->si_uid);
  }
}
static void any_waitid(long extra) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  long type = ONE_OF(P_PID, P_PID, P_PID, P_PGID, 9), id;
  if (type == P_PID) {
    id = any_child();
  } else {
    id = number(ONE_OF(0x7ffffff0, -1));
  }
  number(type);
  long bits =
      hex(WNOHANG | extra |
          ONE_OF(WEXITED, WEXITED, WEXITED | WSTOPPED | WCONTINUED, WSTOPPED, WCONTINUED, 0, 0x10));
  long r = quiet(SYS_waitid, type, id, (long)&info, bits, 0, 0);
  say_waitid(r, &info);
  if (r == 0 && !(extra & WNOWAIT) && info.si_pid && info.si_code <= CLD_DUMPED)
    waited(info.si_pid);
}
OP(kProcesses, 4, waitid) { any_waitid(0); }
OP(kProcesses, 3, waitid_nowait) { any_waitid(WNOWAIT); }

// Ends a waiting child, and waits until it has.
OP(kProcesses, 6, kill_child) {
  long pid = any_child(), signal = number(ONE_OF(SIGKILL, SIGTERM, SIGUSR1, 34, 0));
  if (CALL(kill, pid, signal) < 0) return;
  if (pid != 0x7ffffff0 && signal == SIGKILL) {
    settle(pid);
    forget_gone();
  } else if (pid != 0x7ffffff0 && signal != 0) {
    // It may inherit a mask or SIG_IGN: what its signal does is not known, SIGKILL's is.
    kill((pid_t)pid, SIGKILL);
    settle(pid);
    siginfo_t info = {0};
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    say(" ended");
    waitpid((pid_t)pid, NULL, 0);
    waited(pid);
    forget_gone();
  }
}
// Stops a child, continues it, each seen by waitid, and ends it; without the signals, whose moment is not fixed, from
// here on: that of SIGCONT is sent when the child next runs.
OP(kProcesses, 4, stop_child) {
  long pid = any_child();
  if (pid == 0x7ffffff0) return say(")");
  siginfo_t info = {0};
  long r = quiet(SYS_waitid, P_PID, pid, (long)&info, WEXITED | WNOWAIT | WNOHANG, 0, 0);
  if (r != 0 || info.si_pid) return say(") ended");
  struct sigaction with, without;
  sigaction(SIGCHLD, NULL, &with);
  without = with;
  without.sa_flags |= SA_NOCLDSTOP;
  sigaction(SIGCHLD, &without, NULL);
  if (CALL(kill, pid, SIGSTOP) < 0) return;
  memset(&info, 0, sizeof info);
  while ((r = quiet(SYS_waitid, P_PID, pid, (long)&info, WSTOPPED, 0, 0)) == -EINTR) {
  }
  say_waitid(r, &info);
  kill((pid_t)pid, SIGCONT);
  while ((r = quiet(SYS_waitid, P_PID, pid, (long)&info, WCONTINUED, 0, 0)) == -EINTR) {
  }
  say_waitid(r, &info);
  kill((pid_t)pid, SIGKILL);
  settle(pid);
  waitpid((pid_t)pid, NULL, 0);
  waited(pid);
  forget_gone();
}
OP(kProcesses, 4, pidfd_open) {
  long fd =
      CALL(pidfd_open, percent(80) ? any_child() : getpid(), hex(ONE_OF(0, O_NONBLOCK, 0, 1)));
  if (fd >= 0) note_fd(fd, kPidFd);
}
OP(kProcesses, 3, pidfd_send_signal) {
  CALL(pidfd_send_signal, fd_of(kPidFd), number(0), 0, hex(ONE_OF(0, 0, 0x100)));
}
OP(kProcesses, 2, waitid_pidfd) {
  siginfo_t info = {0};
  long r = quiet(SYS_waitid, P_PIDFD, fd_of(kPidFd), (long)&info, WNOHANG | WEXITED, 0, 0);
  say_waitid(r, &info);
  if (r == 0) waited(info.si_pid);
}

static long some_process(void) {
  unsigned roll = below(10);
  if (roll < 4) return number(0);
  if (roll < 6) {
    say(" self");
    return getpid();
  }
  if (roll < 9) return any_child();
  return number(ONE_OF(-1, 0x7ffffff0));
}
static void say_group(long r) {
  if (r < 0) {
    say(") = %s", errno_name(-r));
    return;
  }
  say(") =");
  say_pid(r);
}
OP(kProcesses, 4, setpgid) {
  long pid = some_process();
  CALL(setpgid, pid, some_process());
}
OP(kProcesses, 3, getpgid) { say_group(QUIET_1(getpgid, some_process())); }
OP(kProcesses, 2, getpgrp) { say_group(QUIET_1(getpgrp, 0)); }
OP(kProcesses, 3, getsid) { say_group(QUIET_1(getsid, some_process())); }
OP(kProcesses, 2, setsid) { say_group(QUIET_1(setsid, 0)); }
OP(kProcesses, 1, getpid) { say_group(QUIET_1(getpid, 0)); }
OP(kProcesses, 1, getppid) { say_group(QUIET_1(getppid, 0)); }

// Programs that cannot be started, and what says so.
OP(kProcesses, 5, execve_fails) {
  static const char* const texts[] = {"",        "#!",     "#! \n", "#!/no/such\n",
                                      "\177ELF", "text\n", "#!a\n"};
  const char* text = texts[below(7)];
  say("\"%.3s\", ", text[0] == '\177' ? "ELF" : text);
  int fd = open("x", O_WRONLY | O_CREAT | O_TRUNC, 0700);
  if (fd >= 0) {
    ssize_t r = write(fd, text, strlen(text));
    (void)r;
    close(fd);
  }
  char* words[] = {"x", NULL};
  CALL(execve, percent(70) ? (long)"x" : path(), pointer(words, "words"), 0);
  unlink("x");
}
OP(kProcesses, 2, execveat_fails) {
  char* words[] = {"x", NULL};
  CALL(execveat, directory_fd(), silent("no/such"), pointer(words, "words"), 0,
       hex(ONE_OF(0, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, 1)));
}
// vfork, by hand: the child is in our memory until it ends.
OP(kProcesses, 4, vfork_exit) {
  int status = (int)ONE_OF(0, 3, 200);
  say("%d)", status);
  int slot = free_slot();
  if (slot < 0) return;
  pid_t pid = vfork();
  if (pid == 0) _exit(status);
  if (pid < 0) return say(" = %s", errno_name(errno));
  int got = -1;
  long r = QUIET_4(wait4, pid, &got, 0, 0);
  say(" = %s status 0x%x", r == pid ? "child" : errno_name(-r), (unsigned)got);
}
// Flags that cannot be.
OP(kProcesses, 3, clone_fails) {
  long bits = hex(ONE_OF(CLONE_SIGHAND, CLONE_THREAD, CLONE_THREAD | CLONE_SIGHAND,
                         CLONE_FS | CLONE_NEWNS, CLONE_NEWIPC | CLONE_SYSVSEM,
                         CLONE_NEWUSER | CLONE_FS, CLONE_PIDFD | CLONE_DETACHED,
                         CLONE_NEWPID | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM));
  CALL(clone, bits, 0, 0, 0, 0);
}
OP(kProcesses, 3, clone3_fails) {
  struct clone_args arguments = {0};
  arguments.flags = (uint64_t)ONE_OF(CLONE_SIGHAND, CLONE_THREAD, 1L << 40, CLONE_DETACHED,
                                     0x1ff & 0x10, CLONE_PIDFD | CLONE_THREAD);
  arguments.exit_signal = (uint64_t)ONE_OF(0, 17, 65, 0x1000);
  if (arguments.flags == 0x10 || arguments.exit_signal == 0 || arguments.exit_signal == 17)
    arguments.stack_size = 4096;
  say("flags 0x%llx signal %llu ", (unsigned long long)arguments.flags,
      (unsigned long long)arguments.exit_signal);
  CALL(clone3, pointer(&arguments, "arguments"), number(ONE_OF(sizeof arguments, 64, 63, 0, 8192)));
}
