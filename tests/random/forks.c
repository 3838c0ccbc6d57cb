// Processes that go on in the middle of a sequence: fork, vfork and clone, what both sides see of memory, descriptors,
// locks and signals, and how the child's end is told. One of the two waits whenever the other does something, so there
// is one order.
#include <linux/sched.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "random.h"

static int free_slot(void) {
  for (int i = 0; i < kChildren; i++) {
    if (!child_pid(i)) return i;
  }
  return -1;
}

// Until it has ended; it stays to be waited for, unless SIGCHLD is ignored.
static void await_end(long pid) {
  siginfo_t info;
  while (quiet(SYS_waitid, P_PID, pid, (long)&info, WEXITED | WNOWAIT | __WALL, 0, 0) == -EINTR) {
  }
}

// Takes it away, and says how. Any way of waiting gives the same.
static void take(long pid) {
  int status = -1;
  siginfo_t info;
  memset(&info, 0, sizeof info);
  switch (below(4)) {
    case 0:
      say(" wait4 %s", QUIET_4(wait4, pid, &status, __WALL, 0) == pid ? "child" : "none");
      say(" 0x%x", (unsigned)status);
      return;
    case 1:
      say(" wait4 again %s",
          QUIET_4(wait4, pid, &status, __WALL | WNOHANG, 0) == pid ? "child" : "none");
      say(" 0x%x,", (unsigned)status);
      say(" %s", errno_name(-QUIET_4(wait4, pid, &status, __WALL | WNOHANG, 0)));
      return;
    case 2:
      quiet(SYS_waitid, P_PID, pid, (long)&info, WEXITED | WNOWAIT | __WALL, 0, 0);
      say(" waitid %d %d,", info.si_code, info.si_status);
      memset(&info, 0, sizeof info);
      quiet(SYS_waitid, P_PID, pid, (long)&info, WEXITED | __WALL, 0, 0);
      say(" %d %d uid %u", info.si_code, info.si_status, info.si_uid);
      return;
    default: {
      long fd = quiet(SYS_pidfd_open, pid, 0, 0, 0, 0, 0);
      quiet(SYS_waitid, P_PIDFD, fd, (long)&info, WEXITED | __WALL, 0, 0);
      say(" waitid pidfd %d %d", info.si_code, info.si_status);
      if (fd >= 0) close((int)fd);
      QUIET_4(wait4, pid, &status, __WALL | WNOHANG, 0);
    }
  }
}

// The child does `body` and ends with what it returns; the parent goes on when it has ended.
static void in_child(long how, int (*body)(void*), void* argument) {
  long pid = quiet(SYS_clone, how, 0, 0, 0, 0, 0);
  if (pid == 0) _exit(body(argument));
  if (pid < 0) return say(" = %s", errno_name(-pid));
  await_end(pid);
  take(pid);
}

// Some operations in the child: its descriptors, its memory, its place and its user are its own from here on, or are not.
static int some_operations(void* count) {
  run_in_child(*(unsigned*)count);
  return (int)ONE_OF(0, 1, 77, 255, 256);
}
OP(kForks, 10, fork_operations) {
  unsigned count = 1 + below(8);
  say("%u)", count);
  in_child(SIGCHLD, some_operations, &count);
}
OP(kForks, 8, clone_operations) {
  unsigned count = 1 + below(6);
  long how =
      hex(some_of_list(LIST(CLONE_FILES, CLONE_FS, CLONE_VFORK, CLONE_UNTRACED, CLONE_SYSVSEM)) |
          ONE_OF(SIGCHLD, SIGCHLD, 0, SIGURG));
  say(" %u)", count);
  in_child(how, some_operations, &count);
}
// It stays a zombie, for the operations on processes.
OP(kForks, 4, fork_zombie) {
  int slot = free_slot(), status = (int)number(ONE_OF(0, 9, 255));
  say(")");
  if (slot < 0) return;
  long pid = quiet(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
  if (pid == 0) _exit(status);
  if (pid < 0) return say(" = %s", errno_name(-pid));
  await_end(pid);
  if (kill((pid_t)pid, 0) == 0) note_child(slot, (pid_t)pid);
  say(" child %d", slot);
}
static int killed(void* signal) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigset_t none;
  sigemptyset(&none);
  sigaction(*(int*)signal, &action, NULL);
  sigprocmask(SIG_SETMASK, &none, NULL);
  raise(*(int*)signal);
  return 5;
}
OP(kForks, 4, fork_killed) {
  int signal = (int)number(ONE_OF(SIGKILL, SIGTERM, SIGABRT, SIGSEGV, SIGUSR1, SIGCHLD, 34));
  say(")");
  in_child(SIGCHLD, killed, &signal);
}

// What the other one writes: seen in shared memory, not in private memory.
static int write_both(void* pages) {
  unsigned char* shared = ((unsigned char**)pages)[0];
  unsigned char* own = ((unsigned char**)pages)[1];
  for (int i = 0; i < 3; i++) {
    shared[i * 4096] += 1;
    own[i * 4096] += 1;
  }
  return shared[0] + own[0];
}
OP(kForks, 6, fork_memory) {
  say(")");
  unsigned char* pages[2];
  const size_t size = 3 * 4096;
  for (int i = 0; i < 2; i++) {
    pages[i] = mmap(NULL, size, PROT_READ | PROT_WRITE,
                    MAP_ANONYMOUS | (i == 0 ? MAP_SHARED : MAP_PRIVATE), -1, 0);
    if (pages[i] == MAP_FAILED) return say(" no memory");
    for (unsigned page = 0; page < 3; page++) {
      if (percent(60)) pages[i][page * 4096] = (unsigned char)below(100);
    }
  }
  unsigned rounds = 1 + below(3);
  for (unsigned i = 0; i < rounds; i++) in_child(SIGCHLD, write_both, pages);
  for (int i = 0; i < 2; i++) {
    say(" %d %d %d", pages[i][0], pages[i][4096], pages[i][8192]);
    munmap(pages[i], size);
  }
}

// A description of an open file is one, its position too; a descriptor is each one's own.
static int use_file(void* fd) {
  char text[4] = "abc";
  long number = *(int*)fd;
  lseek((int)number, 2, SEEK_CUR);
  ssize_t written = write((int)number, text, 3);
  fcntl((int)number, F_SETFL, O_APPEND);
  fcntl((int)number, F_SETFD, 0);
  close((int)number);
  return written == 3 ? 0 : 1;
}
OP(kForks, 5, fork_file) {
  say(")");
  int fd = open("forked", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return say(" = %s", errno_name(errno));
  in_child(SIGCHLD, use_file, &fd);
  say(" at %ld flags %x %x", (long)lseek(fd, 0, SEEK_CUR), (unsigned)fcntl(fd, F_GETFL),
      (unsigned)fcntl(fd, F_GETFD));
  close(fd);
  unlink("forked");
}
static int echo(void* ends) {
  int* fds = ends;
  char text[64];
  close(fds[1]);
  ssize_t size, sum = 0;
  while ((size = read(fds[0], text, sizeof text)) > 0) {
    sum += size;
    if (write(fds[3], text, (size_t)size) != size) return 99;
  }
  return (int)sum;
}
OP(kForks, 5, fork_pipe) {
  int fds[4], bytes = (int)number(ONE_OF(0, 1, 20, 200));
  say(")");
  if (pipe(fds) != 0) return say(" = %s", errno_name(errno));
  if (pipe(fds + 2) != 0) {
    say(" = %s", errno_name(errno));
    close(fds[0]);
    close(fds[1]);
    return;
  }
  long pid = quiet(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
  if (pid == 0) _exit(echo(fds));
  close(fds[0]);
  close(fds[3]);
  unsigned char text[256];
  for (int i = 0; i < bytes; i++) text[i] = (unsigned char)below(256);
  ssize_t written = pid > 0 ? write(fds[1], text, (size_t)bytes) : 0, got = 0, size;
  close(fds[1]);
  while ((size = read(fds[2], text + got, sizeof text - (size_t)got)) > 0) got += size;
  close(fds[2]);
  if (pid < 0) return say(" = %s", errno_name(-pid));
  say(" %zd", written);
  say_bytes(text, (size_t)got);
  await_end(pid);
  take(pid);
}

// Locks: whose they are, and that they end with their owner.
struct lock_try {
  int fd, kind;
  short type;
};
static long lock(int fd, int kind, short type) {
  struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};
  if (kind == 0)
    return quiet(SYS_flock, fd, (type == F_WRLCK ? LOCK_EX : LOCK_SH) | LOCK_NB, 0, 0, 0, 0);
  return quiet(SYS_fcntl, fd, kind == 1 ? F_SETLK : F_OFD_SETLK, (long)&range, 0, 0, 0);
}
static int try_lock(void* argument) {
  const struct lock_try* it = argument;
  int own = open("locked", O_RDWR);
  long inherited = lock(it->fd, it->kind, it->type), other = lock(own, it->kind, it->type);
  return (inherited == 0         ? 1
          : inherited == -EAGAIN ? 2
                                 : 0) +
         (other == 0         ? 4
          : other == -EAGAIN ? 8
                             : 0);
}
OP(kForks, 5, fork_lock) {
  struct lock_try it = {.kind = (int)number(ONE_OF(0, 1, 2)),
                        .type = (short)number(ONE_OF(F_RDLCK, F_WRLCK))};
  short held = (short)number(ONE_OF(F_RDLCK, F_WRLCK));
  say(")");
  it.fd = open("locked", O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (it.fd < 0) return say(" = %s", errno_name(errno));
  long r = lock(it.fd, it.kind, held);
  say(" %s", r < 0 ? errno_name(-r) : "held");
  in_child(SIGCHLD, try_lock, &it);
  int again = open("locked", O_RDWR);
  r = lock(again, it.kind, F_WRLCK);
  say(" then %s", r < 0 ? errno_name(-r) : "free");
  close(again);
  close(it.fd);
  unlink("locked");
}

// Signals between the two, blocked until they are looked at.
static int signal_parent(void* signals) {
  const int* all = signals;
  union sigval value = {.sival_int = 17};
  for (int i = 0; i < 4; i++) {
    if (i % 2 == 0) {
      sigqueue(getppid(), all[i], value);
    } else {
      kill(getppid(), all[i]);
    }
  }
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, all[0]);
}
OP(kForks, 5, fork_signals) {
  int signals[4];
  sigset_t wanted, before;
  sigemptyset(&wanted);
  for (int i = 0; i < 4; i++) {
    signals[i] = (int)number(ONE_OF(SIGUSR1, SIGUSR2, SIGURG, 36, 37, 60));
    sigaddset(&wanted, signals[i]);
  }
  say(")");
  sigprocmask(SIG_BLOCK, &wanted, &before);
  in_child(SIGCHLD, signal_parent, signals);
  const struct timespec now = {0, 0};
  siginfo_t info;
  while (sigtimedwait(&wanted, &info, &now) > 0) {
    say(" {%d code %d", info.si_signo, info.si_code);
    if (info.si_code == SI_QUEUE) say(" value %d", info.si_value.sival_int);
    say("}");
  }
  sigprocmask(SIG_SETMASK, &before, NULL);
}

// Groups, sessions and parents, as the child finds and makes them.
static int change_group(void* what) {
  long r = 0;
  switch (*(int*)what) {
    case 0:
      r = setpgid(0, 0) == 0 && getpgrp() == getpid();
      break;
    case 1:
      r = setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid();
      break;
    case 2:
      setpgid(0, 0);
      r = setsid() == -1 && errno == EPERM;
      break;
    case 3:
      r = setpgid(0, getppid()) == -1 ? errno : 0;
      break;
    case 4:
      r = setpgid(getppid(), 0) == -1 ? errno : 0;
      break;
    case 5:
      r = kill(0, 0) == 0;
      break;
  }
  return (int)r;
}
OP(kForks, 4, fork_group) {
  int what = (int)number(below(6));
  say(")");
  in_child(SIGCHLD, change_group, &what);
}
// A child of the child's, which outlives it: it says its number and waits until its parent has been taken away, so that
// the two SIGCHLD of a subreaper never become one.
static int leave_orphan(void* ends) {
  const int *go = ends, *told = go + 2;
  long pid = quiet(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
  if (pid != 0) return pid > 0 ? 3 : 4;
  const pid_t own = getpid();
  char end;
  close(go[1]);
  if (write(told[1], &own, sizeof own) != sizeof own || read(go[0], &end, 1) != 0) return 1;
  return write(told[1], "orphan", 6) == 6 ? 0 : 1;
}
OP(kForks, 3, fork_orphan) {
  say(")");
  int fds[4];
  if (pipe(fds) != 0) return say(" = %s", errno_name(errno));
  if (pipe(fds + 2) != 0) {
    say(" = %s", errno_name(errno));
    close(fds[0]);
    close(fds[1]);
    return;
  }
  in_child(SIGCHLD, leave_orphan, fds);
  close(fds[0]);
  close(fds[3]);
  pid_t orphan = 0;
  const bool there = read(fds[2], &orphan, sizeof orphan) == sizeof orphan;
  close(fds[1]);
  char text[16];
  ssize_t size;
  while ((size = read(fds[2], text, sizeof text)) > 0) say(" %.*s", (int)size, text);
  close(fds[2]);
  // A subreaper's it is by now, and what it ends with has been told when it can be waited for.
  if (there) await_end(orphan);
}
// Another program in the child: it says what it inherited.
static int execute(void* unused) {
  (void)unused;
  char* words[] = {own_path, "--child", "look", NULL};
  execv(own_path, words);
  return 97;
}
OP(kForks, 4, fork_execve) {
  say(")");
  in_child(SIGCHLD, execute, NULL);
}
OP(kForks, 3, vfork_execve) {
  say(")");
  static char* words[] = {NULL, "--child", "21", NULL};
  words[0] = own_path;
  pid_t pid = vfork();
  if (pid == 0) {
    execv(own_path, words);
    _exit(97);
  }
  if (pid < 0) return say(" = %s", errno_name(errno));
  await_end(pid);
  take(pid);
}
