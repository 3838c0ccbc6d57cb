// Sessions, process groups, terminals and waiting: credentials(7), setpgid(2), tty_ioctl(4), wait(2), pidfd_open(2).
//
// A leader and its jobs are this program again. What they do is told over a pipe (descriptor 3), word by word, and the
// test types at the master of a pty: nothing depends on time.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "check.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

extern char** environ;
static char own_path[512];

// --- in the children ---

static void tell(const char* format, int value) {
  char line[64];
  int size = snprintf(line, sizeof line, format, value);
  (void)!write(3, line, size);
}

static void spawn_job(const char* mode, pid_t* pid, short flags) {
  char* arguments[] = {own_path, (char*)mode, NULL};
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigfillset(&defaults);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | flags);
  posix_spawnattr_setpgroup(&attributes, 0);
  if (posix_spawn(pid, own_path, NULL, &attributes, arguments, environ) != 0) _exit(90);
}

static void wait_for_terminal(void) {
  while (tcgetpgrp(0) != getpgrp()) sched_yield();
}

// What a shell does with one job after another.
static int shell(void) {
  signal(SIGTTOU, SIG_IGN);
  tell("leader %d\n", tcgetsid(0) == getpid() && tcgetpgrp(0) == getpid());
  pid_t job;
  int status;
  spawn_job("reader", &job, POSIX_SPAWN_SETPGROUP);
  setpgid(job, job);  // as shells do on both sides: EACCES by now, or done
  const int given = tcsetpgrp(0, job), has_it = tcgetpgrp(0) == job;
  // Ctrl-Z is typed. The job tells of itself as soon as the terminal is its own: only then we do.
  waitpid(job, &status, WUNTRACED);
  tell("foreground %d\n", given);
  tell("job has it %d\n", has_it);
  tell("stopped by %d\n", WIFSTOPPED(status) ? WSTOPSIG(status) : -1);
  tcsetpgrp(0, getpid());
  // bg: it reads, and stops again.
  kill(-job, SIGCONT);
  waitpid(job, &status, WCONTINUED);
  tell("continued %d\n", WIFCONTINUED(status) != 0);
  waitpid(job, &status, WUNTRACED);
  tell("background read: %d\n", WIFSTOPPED(status) ? WSTOPSIG(status) : -1);
  // fg: it gets its line.
  tcsetpgrp(0, job);
  kill(-job, SIGCONT);
  tell("type a line %d\n", 0);
  waitpid(job, &status, WUNTRACED);
  tell("job ended %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  tcsetpgrp(0, getpid());
  // Ctrl-C reaches the job and not the shell.
  spawn_job("sleeper", &job, POSIX_SPAWN_SETPGROUP);
  tcsetpgrp(0, job);
  waitpid(job, &status, WUNTRACED);
  tell("killed by %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
  tcsetpgrp(0, getpid());
  // A background job that writes: allowed, until TOSTOP is set.
  struct termios termios;
  tcgetattr(0, &termios);
  termios.c_lflag |= TOSTOP;
  tcsetattr(0, TCSANOW, &termios);
  spawn_job("writer", &job, POSIX_SPAWN_SETPGROUP);
  waitpid(job, &status, WUNTRACED);
  tell("background write: %d\n", WIFSTOPPED(status) ? WSTOPSIG(status) : -1);
  termios.c_lflag &= ~TOSTOP;
  tcsetattr(0, TCSANOW, &termios);
  kill(-job, SIGCONT);
  waitpid(job, &status, 0);
  tell("writer ended %d\n", status);
  // Taking the terminal from the background stops, too.
  spawn_job("grabber", &job, POSIX_SPAWN_SETPGROUP);
  waitpid(job, &status, WUNTRACED);
  tell("grabber: %d\n", WIFSTOPPED(status) ? WSTOPSIG(status) : -1);
  kill(-job, SIGKILL);
  waitpid(job, &status, 0);
  // Who may have the terminal.
  tell("tcsetpgrp(-1) %d\n", tcsetpgrp(0, -1) == -1 ? errno : 0);
  tell("tcsetpgrp(nobody) %d\n", tcsetpgrp(0, 999999) == -1 ? errno : 0);
  tell("tcsetpgrp(other session) %d\n", tcsetpgrp(0, getpgid(getppid())) == -1 ? errno : 0);
  return 7;
}

static void on_signal(int signal) { tell(signal == SIGHUP ? "hup %d\n" : "cont %d\n", 0); }

static int leave_stopped_job(int in_foreground) {
  signal(SIGTTOU, SIG_IGN);
  pid_t job;
  int status;
  spawn_job(in_foreground ? "waits-for-hup" : "stops", &job, POSIX_SPAWN_SETPGROUP);
  if (in_foreground) tcsetpgrp(0, job);
  if (!in_foreground) waitpid(job, &status, WUNTRACED);
  tell("leaving %d\n", in_foreground);
  if (in_foreground) {
    // Until the job is ready for it.
    int sig;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigwait(&set, &sig);
  }
  return 0;
}

static int child_main(const char* mode, const char* word) {
  char line[64];
  if (strcmp(mode, "session") == 0) {  // a leader: word is its terminal, and what it is to do
    char what[32], terminal[64];
    if (sscanf(word, "%31[^:]:%63s", what, terminal) != 2) return 91;
    if (getsid(0) != getpid()) return 92;
    int fd = open(terminal, O_RDWR);
    if (fd < 0) return 93;
    dup2(fd, 0), dup2(fd, 1), dup2(fd, 2);
    if (fd > 3) close(fd);
    if (strcmp(what, "shell") == 0) return shell();
    if (strcmp(what, "orphan") == 0) return leave_stopped_job(0);
    if (strcmp(what, "hangup") == 0) return leave_stopped_job(1);
    if (strcmp(what, "lose") == 0) {
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, SIGHUP);
      sigprocmask(SIG_BLOCK, &set, NULL);
      tell("ready %d\n", 0);
      int sig;
      sigwait(&set, &sig);
      tell("got %d\n", sig);
      tell("read %d\n", (int)read(0, line, 1));
      tell("write %d\n", write(0, "x", 1) == -1 ? errno : 0);
      tell("tcgetpgrp %d\n", tcgetpgrp(0) == -1 ? errno : 0);
      tell("/dev/tty %d\n", open("/dev/tty", O_RDWR) == -1 ? errno : 0);
      return 0;
    }
    if (strcmp(what, "notty") == 0) {
      signal(SIGHUP, SIG_IGN);
      tell("sid %d\n", tcgetsid(0) == getpid());
      tell("again %d\n", ioctl(0, TIOCSCTTY, 0));
      int tty = open("/dev/tty", O_RDWR);
      tell("/dev/tty %d\n", tty >= 0);
      tell("notty %d\n", ioctl(0, TIOCNOTTY));
      tell("sid %d\n", tcgetsid(0) == -1 ? errno : 0);
      tell("tcgetpgrp %d\n", tcgetpgrp(0) == -1 ? errno : 0);
      tell("/dev/tty %d\n", open("/dev/tty", O_RDWR) == -1 ? errno : 0);
      tell("back %d\n", ioctl(0, TIOCSCTTY, 0));
      tell("sid %d\n", tcgetsid(0) == getpid());
      return 0;
    }
    return 94;
  }
  sigset_t set;
  sigemptyset(&set);
  int sig;
  if (strcmp(mode, "reader") == 0) {
    wait_for_terminal();
    tell("type ^Z %d\n", 0);
    ssize_t size = read(0, line, sizeof line);
    tell("read %d bytes\n", (int)size);
    return 5;
  }
  if (strcmp(mode, "sleeper") == 0) {
    wait_for_terminal();
    tell("type ^C %d\n", 0);
    for (;;) pause();
  }
  if (strcmp(mode, "writer") == 0) return write(1, "hello\n", 6) == 6 ? 0 : errno;
  if (strcmp(mode, "grabber") == 0) return tcsetpgrp(0, getpid()) == 0 ? 0 : errno;
  if (strcmp(mode, "stops") == 0) {
    signal(SIGHUP, on_signal);
    signal(SIGCONT, on_signal);
    raise(SIGSTOP);
    // Both have come once we are back; which is handled first is the system's choice.
    return 0;
  }
  if (strcmp(mode, "waits-for-hup") == 0) {
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getppid(), SIGUSR2);
    sigwait(&set, &sig);
    tell("job got %d\n", sig);
    return 0;
  }
  if (strcmp(mode, "pause") == 0) {
    for (;;) pause();
  }
  if (strcmp(mode, "read") == 0) return read(0, line, 1) == 0 ? 3 : 4;
  if (strcmp(mode, "tstp") == 0) {
    tell("tstp %d\n", raise(SIGTSTP));
    return 0;
  }
  if (strcmp(mode, "grandchild") == 0) {
    pid_t pid;
    spawn_job("read", &pid, 0);
    tell("%d\n", pid);
    return 0;
  }
  return 95;
}

// --- the test ---

static FILE* said;

static pid_t start(const char* mode, const char* word, short flags) {
  int pipes[2];
  REQUIRE(pipe2(pipes, O_CLOEXEC) == 0);
  char* arguments[] = {own_path, (char*)mode, (char*)word, NULL};
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, flags);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[1], 3);
  pid_t pid;
  REQUIRE(posix_spawn(&pid, own_path, &actions, &attributes, arguments, environ) == 0);
  close(pipes[1]);
  said = fdopen(pipes[0], "r");
  return pid;
}

// Prints what is said; stops after a line that begins with `until`, at the end if that is null.
static void listen_until(const char* until) {
  char line[128];
  while (fgets(line, sizeof line, said) != NULL) {
    fputs(line, stdout);
    if (until && strncmp(line, until, strlen(until)) == 0) return;
  }
}

static int open_master(char* name, size_t size) {
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(master >= 0);
  REQUIRE(grantpt(master) == 0 && unlockpt(master) == 0);
  REQUIRE(ptsname_r(master, name, size) == 0);
  return master;
}

static pid_t start_session(const char* what, int* master) {
  char name[64], word[128];
  *master = open_master(name, sizeof name);
  snprintf(word, sizeof word, "%s:%s", what, name);
  return start("session", word, POSIX_SPAWN_SETSID);
}

static int status_of(pid_t pid) {
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

CASE(shell) {
  int master;
  pid_t leader = start_session("shell", &master);
  listen_until("type ^Z");
  CHECK_EQ(write(master, "\x1a", 1), 1);
  listen_until("type a line");
  CHECK_EQ(write(master, "word\n", 5), 5);
  listen_until("type ^C");
  CHECK_EQ(write(master, "\x03", 1), 1);
  listen_until(NULL);
  CHECK_EQ(WEXITSTATUS(status_of(leader)), 7);
  fclose(said), close(master);
}

CASE(orphaned_stopped_job) {
  int master;
  pid_t leader = start_session("orphan", &master);
  CHECK_EQ(status_of(leader), 0);
  int hup = 0, cont = 0, leaving = 0;
  char line[64];
  while (fgets(line, sizeof line, said) != NULL) {
    hup += strncmp(line, "hup", 3) == 0;
    cont += strncmp(line, "cont", 4) == 0;
    leaving += strncmp(line, "leaving", 7) == 0;
  }
  CHECK_EQ(leaving, 1);
  CHECK_EQ(hup, 1);
  CHECK_EQ(cont, 1);
  fclose(said), close(master);
}

CASE(hangup_at_leaders_end) {
  int master;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);  // inherited blocked: the leader waits for it
  sigprocmask(SIG_BLOCK, &set, NULL);
  pid_t leader = start_session("hangup", &master);
  CHECK_EQ(status_of(leader), 0);
  listen_until(NULL);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  fclose(said), close(master);
}

CASE(master_closes) {
  int master;
  pid_t leader = start_session("lose", &master);
  listen_until("ready");
  close(master);
  listen_until(NULL);
  CHECK_EQ(status_of(leader), 0);
  fclose(said);
}

CASE(giving_the_terminal_up) {
  int master;
  pid_t leader = start_session("notty", &master);
  listen_until(NULL);
  CHECK_EQ(status_of(leader), 0);
  fclose(said), close(master);
}

CASE(terminal_of_another) {
  char name[64];
  int master = open_master(name, sizeof name);
  int slave = open(name, O_RDWR | O_NOCTTY);
  REQUIRE(slave >= 0);
  CHECK_ERRNO(tcgetpgrp(slave), ENOTTY);
  CHECK_ERRNO(tcsetpgrp(slave, getpgrp()), ENOTTY);
  CHECK_ERRNO(tcgetsid(slave), ENOTTY);
  CHECK_ERRNO(ioctl(slave, TIOCNOTTY), ENOTTY);
  CHECK_ERRNO(tcgetsid(master), ENOTTY);
  CHECK_EQ(tcgetpgrp(master), 0);
  close(slave), close(master);
}

CASE(groups) {
  CHECK_ERRNO(setpgid(-1, 0), EINVAL);
  CHECK_ERRNO(setpgid(0, -1), EINVAL);
  CHECK_ERRNO(setpgid(999999, 0), ESRCH);
  CHECK_ERRNO(setpgid(1, 0), ESRCH);
  CHECK_ERRNO(getpgid(999999), ESRCH);
  CHECK_ERRNO(getsid(999999), ESRCH);
  CHECK_ERRNO(getpgid(-1), ESRCH);
  CHECK_EQ(getpgid(0), getpgrp());
  pid_t a = start("pause", "", POSIX_SPAWN_SETPGROUP);
  fclose(said);
  CHECK_EQ(getpgid(a), a);
  CHECK_EQ(getsid(a), getsid(0));
  CHECK_ERRNO(setpgid(a, 0), EACCES);  // it has executed a program
  pid_t b = start("pause", "", 0);
  fclose(said);
  CHECK_EQ(getpgid(b), getpgrp());
  CHECK_ERRNO(setpgid(0, 999999), EPERM);
  CHECK_ERRNO(waitpid(-999999, NULL, WNOHANG), ECHILD);
  CHECK_EQ(waitpid(-a, NULL, WNOHANG), 0);
  CHECK_EQ(waitpid(0, NULL, WNOHANG), 0);
  CHECK_EQ(kill(-a, SIGTERM), 0);
  int status;
  CHECK_EQ(waitpid(-a, &status, 0), a);
  CHECK_EQ(status, SIGTERM);
  CHECK_ERRNO(kill(-a, 0), ESRCH);
  CHECK_ERRNO(waitpid(-a, NULL, 0), ECHILD);
  CHECK_EQ(kill(b, SIGKILL), 0);
  CHECK_EQ(waitpid(0, &status, 0), b);
  pid_t c = start("pause", "", POSIX_SPAWN_SETSID);
  fclose(said);
  CHECK_EQ(getsid(c), c);
  CHECK_EQ(getpgid(c), c);
  CHECK_ERRNO(setpgid(c, 0), EPERM);  // another session
  CHECK_ERRNO(setpgid(0, c), EPERM);
  CHECK_EQ(kill(c, SIGKILL), 0);
  CHECK_EQ(waitpid(c, &status, 0), c);
}

CASE(no_hangup_for_nothing) {
  // A group with a stopped member, of which another ends that did not connect it with its session.
  pid_t stopped = start("pause", "", 0);
  fclose(said);
  CHECK_EQ(kill(stopped, SIGSTOP), 0);
  CHECK_EQ(waitpid(stopped, NULL, WUNTRACED), stopped);
  pid_t child = start("tstp", "", POSIX_SPAWN_SETSID);
  fclose(said);
  status_of(child);
  child = start("pause", "", 0);
  fclose(said);
  kill(child, SIGKILL);
  CHECK_EQ(status_of(child), SIGKILL);
  CHECK_EQ(waitpid(stopped, NULL, WNOHANG | WCONTINUED), 0);
  kill(stopped, SIGKILL);
  CHECK_EQ(status_of(stopped), SIGKILL);
}

CASE(stop_in_an_orphaned_group) {
  // A leader of a session of its own: nobody there could continue it, so SIGTSTP does nothing.
  pid_t pid = start("tstp", "", POSIX_SPAWN_SETSID);
  listen_until(NULL);
  CHECK_EQ(status_of(pid), 0);
  fclose(said);
}

CASE(waitid_options) {
  siginfo_t info;
  CHECK_ERRNO(waitid(P_ALL, 0, &info, 0), EINVAL);
  CHECK_ERRNO(waitid(P_ALL, 0, &info, WEXITED | 0x100), EINVAL);
  CHECK_ERRNO(waitid(77, 0, &info, WEXITED), EINVAL);
  CHECK_ERRNO(waitid(P_PID, 0, &info, WEXITED), EINVAL);
  CHECK_ERRNO(waitid(P_PIDFD, 999, &info, WEXITED), EBADF);
  CHECK_ERRNO(waitid(P_PIDFD, 0, &info, WEXITED), EBADF);
  CHECK_ERRNO(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
  CHECK_ERRNO(wait4(-1, NULL, 0x100, NULL), EINVAL);
  CHECK_ERRNO(wait4(INT32_MIN, NULL, 0, NULL), ESRCH);
  int pair[2];
  REQUIRE(pipe2(pair, O_CLOEXEC) == 0);
  int saved = dup(0);
  dup2(pair[0], 0);
  pid_t pid = start("read", "", 0);
  fclose(said);
  dup2(saved, 0);
  close(saved), close(pair[0]);
  memset(&info, 1, sizeof info);
  CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOHANG), 0);
  CHECK_EQ(info.si_pid, 0);
  CHECK_EQ(info.si_signo, 0);
  CHECK_EQ(waitid(P_PID, pid, NULL, WEXITED | WNOHANG), 0);
  CHECK_ERRNO(waitid(P_PID, pid, &info, WEXITED | WNOHANG | __WCLONE), ECHILD);
  CHECK_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL), 0);
  CHECK_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WNOTHREAD), 0);
  CHECK_EQ(kill(pid, SIGSTOP), 0);
  CHECK_EQ(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT), 0);
  CHECK_EQ(info.si_code, CLD_STOPPED);
  CHECK_EQ(info.si_status, SIGSTOP);
  CHECK_EQ(info.si_signo, SIGCHLD);
  CHECK_EQ(waitid(P_PID, pid, &info, WSTOPPED), 0);
  CHECK_EQ(waitid(P_PID, pid, &info, WSTOPPED | WNOHANG), 0);
  CHECK_EQ(info.si_pid, 0);  // told once
  CHECK_EQ(kill(pid, SIGCONT), 0);
  CHECK_EQ(waitid(P_PGID, getpgrp(), &info, WCONTINUED), 0);
  CHECK_EQ(info.si_code, CLD_CONTINUED);
  CHECK_EQ(info.si_status, SIGCONT);
  int fd = syscall(SYS_pidfd_open, pid, O_NONBLOCK);
  REQUIRE(fd >= 0);
  CHECK_ERRNO(waitid(P_PIDFD, fd, &info, WEXITED), EAGAIN);
  struct pollfd polled = {fd, POLLIN, 0};
  CHECK_EQ(poll(&polled, 1, 0), 0);
  close(pair[1]);
  CHECK_EQ(poll(&polled, 1, -1), 1);
  CHECK_EQ(polled.revents, POLLIN);
  CHECK_EQ(waitid(P_PIDFD, fd, &info, WEXITED | WNOWAIT), 0);
  CHECK_EQ(info.si_pid, pid);
  CHECK_EQ(info.si_code, CLD_EXITED);
  CHECK_EQ(info.si_status, 3);
  CHECK_EQ(info.si_uid, getuid());
  struct rusage usage;
  memset(&usage, 1, sizeof usage);
  CHECK_EQ(syscall(SYS_waitid, P_PID, pid, &info, WEXITED, &usage), 0);
  CHECK(usage.ru_maxrss > 0);
  CHECK_ERRNO(waitid(P_PID, pid, &info, WEXITED), ECHILD);
  CHECK_ERRNO(waitid(P_PIDFD, fd, &info, WEXITED), ECHILD);
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
  close(fd);
}

CASE(pidfds) {
  CHECK_ERRNO(syscall(SYS_pidfd_open, 0, 0), EINVAL);
  CHECK_ERRNO(syscall(SYS_pidfd_open, -1, 0), EINVAL);
  CHECK_ERRNO(syscall(SYS_pidfd_open, 999999, 0), ESRCH);
  CHECK_ERRNO(syscall(SYS_pidfd_open, getpid(), 0x100), EINVAL);
  pid_t pid = start("pause", "", 0);
  fclose(said);
  int fd = syscall(SYS_pidfd_open, pid, 0);
  REQUIRE(fd >= 0);
  CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  CHECK_EQ(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), 0);
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0x100), EINVAL);
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, 65, NULL, 0), EINVAL);
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0), EBADF);
  // For sending alone, its directory in /proc will do.
  char name[64];
  snprintf(name, sizeof name, "/proc/%d", pid);
  int directory = open(name, O_RDONLY | O_DIRECTORY);
  REQUIRE(directory >= 0);
  CHECK_EQ(syscall(SYS_pidfd_send_signal, directory, 0, NULL, 0), 0);
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, directory, 65, NULL, 0), EINVAL);
  CHECK_ERRNO(syscall(SYS_pidfd_getfd, directory, 1, 0), EBADF);
  CHECK_ERRNO(waitid(P_PIDFD, directory, &(siginfo_t){}, WEXITED | WNOHANG), EBADF);
  const struct {
    const char* below;
    int flags;
  } others[] = {{"/task", O_RDONLY}, {"/fd", O_RDONLY}, {"/stat", O_RDONLY}, {"", O_PATH}};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    snprintf(name, sizeof name, "/proc/%d%s", pid, others[i].below);
    int other = open(name, others[i].flags);
    REQUIRE(other >= 0);
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, other, 0, NULL, 0), EBADF);
    close(other);
  }
  snprintf(name, sizeof name, "/proc/%d/task/%d", pid, pid);
  int leader = open(name, O_RDONLY | O_DIRECTORY);
  REQUIRE(leader >= 0);
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, leader, 0, NULL, 0), EBADF);
  close(leader);
  siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, SIGUSR2, &info, 0), EINVAL);
  info.si_code = SI_USER;
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, &info, 0), EPERM);
  // Its standard output is ours.
  int theirs = syscall(SYS_pidfd_getfd, fd, 1, 0);
  CHECK(theirs >= 0);
  CHECK_EQ(fcntl(theirs, F_GETFD), FD_CLOEXEC);
  struct stat a, b;
  CHECK_EQ(fstat(1, &a), 0);
  CHECK_EQ(fstat(theirs, &b), 0);
  CHECK_EQ(a.st_ino, b.st_ino);
  close(theirs);
  CHECK_ERRNO(syscall(SYS_pidfd_getfd, fd, 999, 0), EBADF);
  CHECK_ERRNO(syscall(SYS_pidfd_getfd, fd, 0, 1), EINVAL);
  CHECK_ERRNO(syscall(SYS_pidfd_getfd, 0, 0, 0), EBADF);
  CHECK_EQ(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0), 0);
  CHECK_EQ(status_of(pid), SIGKILL);
  CHECK_ERRNO(syscall(SYS_pidfd_getfd, fd, 0, 0), ESRCH);
  CHECK_ERRNO(syscall(SYS_pidfd_open, pid, 0), ESRCH);
  close(fd);
}

CASE(subreaper) {
  int pair[2];
  REQUIRE(pipe2(pair, O_CLOEXEC) == 0);
  CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  int saved = dup(0);
  dup2(pair[0], 0);
  pid_t child = start("grandchild", "", 0);
  dup2(saved, 0);
  close(saved), close(pair[0]);
  CHECK_EQ(status_of(child), 0);
  char line[32];
  REQUIRE(fgets(line, sizeof line, said) != NULL);
  pid_t grandchild = atoi(line);
  CHECK_EQ(waitpid(grandchild, NULL, WNOHANG), 0);  // ours now
  close(pair[1]);
  CHECK_EQ(WEXITSTATUS(status_of(grandchild)), 3);
  CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
  fclose(said);
}

// A child that is no ordinary one: another signal than SIGCHLD, or none.
static int clone_body(void* unused) {
  (void)unused;
  return 6;
}

CASE(clone_children) {
  static char stack[64 * 1024] __attribute__((aligned(16)));
  int status;
  pid_t pid = clone(clone_body, stack + sizeof stack, CLONE_VM | CLONE_VFORK, NULL);
  REQUIRE(pid > 0);
  CHECK_ERRNO(waitpid(pid, &status, 0), ECHILD);
  CHECK_ERRNO(waitpid(pid, &status, __WCLONE | 0x100), EINVAL);
  CHECK_EQ(waitpid(pid, &status, __WCLONE), pid);
  CHECK_EQ(WEXITSTATUS(status), 6);
  pid = clone(clone_body, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGUSR2, NULL);
  REQUIRE(pid > 0);
  CHECK_EQ(waitpid(-1, &status, __WALL), pid);
  CHECK_EQ(WEXITSTATUS(status), 6);
}

int main(int argc, char** argv) {
  ssize_t size = readlink("/proc/self/exe", own_path, sizeof own_path - 1);
  if (size > 0) own_path[size] = 0;
  if (argc > 2 || (argc == 2 && strchr("rswgtp", argv[1][0]) && getenv("JOB_CHILD")))
    return child_main(argv[1], argc > 2 ? argv[2] : "");
  setenv("JOB_CHILD", "1", 1);
  signal(SIGUSR2, SIG_IGN);
  return check_main(argc, argv);
}
