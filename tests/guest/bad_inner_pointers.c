// Bad pointers where syscall_torture.c has none: in what a command of fcntl, prctl, ioctl, ptrace or one of the *ctl calls
// takes, and inside of what is pointed to (vectors, messages and their control data, lists of strings, clone_args).
// What comes back is printed, so that the run on Linux says what is right.
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <termios.h>

#include "bad_places.h"

static struct neighbour spawned, forked;
static struct bad_place places[kBadPlaces];
static int left_out = -1;  // the place that is not tried
static struct timespec no_time;
static char some[256];

static const char* outcome(long result) {
  return result == -1 ? strerrorname_np(errno) : result == 0 ? "0" : "positive";
}

static void finish(const char* name, const char** results) {
  bad_places_print(name, results, places);
  REQUIRE(neighbour_unharmed(&spawned) && neighbour_unharmed(&forked));
}

// Makes `call`, in which `bad` stands for it, with each bad address.
#define TRY_BAD(name, call)                                                \
  do {                                                                     \
    const char* results_[kBadPlaces];                                      \
    for (int i_ = 0; i_ < kBadPlaces; i_++) {                              \
      const long bad = (long)places[i_].address;                           \
      bad_places_fill();                                                   \
      results_[i_] = i_ == left_out ? results_[0] : outcome((long)(call)); \
    }                                                                      \
    finish(name, results_);                                                \
  } while (0)
// In an expression: that this gives 0.
#define CHECK_EQ_0(call) ({ CHECK_EQ(call, 0); })
#define CALL(name, ...) syscall(SYS_##name, __VA_ARGS__)

CASE(prepare) {
  spawned = neighbour_spawned();
  forked = neighbour_forked();
  bad_places(places, &spawned, &forked);
  check_enter_scratch();
  check_write_file("file", "0123456789", 10);
}

CASE(fcntl_commands) {
  const int file = open("file", O_RDWR);
  static const struct {
    const char* name;
    int command;
  } commands[] = {
      {"F_GETLK", F_GETLK},         {"F_SETLK", F_SETLK},         {"F_SETLKW", F_SETLKW},
      {"F_OFD_GETLK", F_OFD_GETLK}, {"F_OFD_SETLK", F_OFD_SETLK}, {"F_OFD_SETLKW", F_OFD_SETLKW},
      {"F_GETOWN_EX", F_GETOWN_EX}, {"F_SETOWN_EX", F_SETOWN_EX},

  };
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
    TRY_BAD(commands[i].name, CALL(fcntl, file, commands[i].command, bad));
  close(file);
}

CASE(prctl_options) {
  static const struct {
    const char* name;
    int option;
  } options[] = {
      {"PR_GET_PDEATHSIG", PR_GET_PDEATHSIG},
      {"PR_SET_NAME", PR_SET_NAME},
      {"PR_GET_NAME", PR_GET_NAME},
      {"PR_GET_CHILD_SUBREAPER", PR_GET_CHILD_SUBREAPER},
      {"PR_GET_TSC", PR_GET_TSC},
      {"PR_GET_UNALIGN", PR_GET_UNALIGN},
      {"PR_GET_FPEMU", PR_GET_FPEMU},
      {"PR_GET_ENDIAN", PR_GET_ENDIAN},
  };
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    TRY_BAD(options[i].name, CALL(prctl, options[i].option, bad, 0, 0, 0));
  TRY_BAD("ARCH_GET_FS", CALL(arch_prctl, 0x1003, bad));
  TRY_BAD("ARCH_GET_GS", CALL(arch_prctl, 0x1004, bad));
}

CASE(terminal_commands) {
  const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  REQUIRE(master >= 0 && unlockpt(master) == 0);
  const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  REQUIRE(slave >= 0);
  static const struct {
    const char* name;
    unsigned request;
    int of_master;
  } requests[] = {
      {"TCGETS", TCGETS, 0},         {"TCSETS", TCSETS, 0},       {"TCSETSW", TCSETSW, 0},
      {"TCGETA", TCGETA, 0},         {"TCSETA", TCSETA, 0},       {"TIOCGWINSZ", TIOCGWINSZ, 0},
      {"TIOCSWINSZ", TIOCSWINSZ, 0}, {"TIOCGPGRP", TIOCGPGRP, 0}, {"TIOCSPGRP", TIOCSPGRP, 0},
      {"TIOCGSID", TIOCGSID, 0},     {"TIOCOUTQ", TIOCOUTQ, 0},   {"FIONREAD", FIONREAD, 0},
      {"TIOCGETD", TIOCGETD, 0},     {"TIOCGPTN", TIOCGPTN, 1},   {"TIOCSPTLCK", TIOCSPTLCK, 1},
      {"TIOCPKT", TIOCPKT, 1},       {"TIOCGPKT", TIOCGPKT, 1},   {"TIOCGPTLCK", TIOCGPTLCK, 1},
      {"FIONBIO", FIONBIO, 0},       {"FIOASYNC", FIOASYNC, 0},
  };
  for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
    TRY_BAD(requests[i].name,
            CALL(ioctl, requests[i].of_master ? master : slave, requests[i].request, bad));
  close(slave), close(master);
}

CASE(pipe_and_socket_commands) {
  int ends[2], stream[2], inet = socket(AF_INET, SOCK_STREAM, 0);
  REQUIRE(inet >= 0 && pipe(ends) == 0);
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, stream) == 0);
  TRY_BAD("pipe FIONREAD", CALL(ioctl, ends[0], FIONREAD, bad));
  TRY_BAD("pipe FIONBIO", CALL(ioctl, ends[0], FIONBIO, bad));
  TRY_BAD("unix FIONREAD", CALL(ioctl, stream[0], FIONREAD, bad));
  TRY_BAD("unix TIOCOUTQ", CALL(ioctl, stream[0], TIOCOUTQ, bad));
  TRY_BAD("SIOCGIFNAME", CALL(ioctl, inet, 0x8910, bad));
  TRY_BAD("SIOCGIFINDEX", CALL(ioctl, inet, 0x8933, bad));
  static const struct {
    const char* name;
    int option;
  } options[] = {
      {"SO_PEERCRED", SO_PEERCRED}, {"SO_LINGER", SO_LINGER},       {"SO_RCVTIMEO", SO_RCVTIMEO},
      {"SO_ERROR", SO_ERROR},       {"SO_REUSEADDR", SO_REUSEADDR}, {"SO_PASSCRED", SO_PASSCRED},
  };
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    socklen_t room = 16;
    char name[40];
    snprintf(name, sizeof name, "get %s", options[i].name);
    TRY_BAD(name,
            (room = 16, CALL(getsockopt, stream[0], SOL_SOCKET, options[i].option, bad, &room)));
  }
  TRY_BAD("set SO_LINGER", CALL(setsockopt, stream[0], SOL_SOCKET, SO_LINGER, bad, 8));
  TRY_BAD("set SO_RCVTIMEO", CALL(setsockopt, stream[0], SOL_SOCKET, SO_RCVTIMEO, bad, 16));
  TRY_BAD("set TCP_NODELAY", CALL(setsockopt, inet, 6, 1, bad, 4));
  close(inet), close(ends[0]), close(ends[1]), close(stream[0]), close(stream[1]);
}

CASE(vectors) {
  const int file = open("file", O_RDWR);
  int ends[2];
  REQUIRE(file >= 0 && pipe2(ends, O_NONBLOCK) == 0);
  struct iovec one, good = {some, 8};
#define VECTOR(...) (one = (struct iovec){(void*)bad, 8}, CALL(__VA_ARGS__))
  TRY_BAD("preadv", VECTOR(preadv, file, &one, 1, 0, 0));
  TRY_BAD("preadv2", VECTOR(preadv2, file, &one, 1, 0, 0, 0));
  TRY_BAD("pwritev", VECTOR(pwritev, file, &one, 1, 0, 0));
  TRY_BAD("writev", VECTOR(writev, ends[1], &one, 1));
  TRY_BAD("process_vm_readv here", VECTOR(process_vm_readv, getpid(), &one, 1, &good, 1, 0));
  TRY_BAD("process_vm_readv there", VECTOR(process_vm_readv, getpid(), &good, 1, &one, 1, 0));
  TRY_BAD("process_vm_writev here", VECTOR(process_vm_writev, getpid(), &one, 1, &good, 1, 0));
  TRY_BAD("process_vm_writev there", VECTOR(process_vm_writev, getpid(), &good, 1, &one, 1, 0));
  const int pidfd = (int)CALL(pidfd_open, getpid(), 0);
  TRY_BAD("process_madvise", VECTOR(process_madvise, pidfd, &one, 1, 20 /* MADV_COLD */, 0));
  close(file), close(pidfd), close(ends[0]), close(ends[1]);
}

CASE(parts_of_messages) {
  int pair[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) == 0);
  struct iovec vector;
  struct msghdr message;
  struct mmsghdr many;
#define MESSAGE(...) (message = (struct msghdr){__VA_ARGS__})
#define GOOD (vector = (struct iovec){some, 8}, &vector)
#define BAD (vector = (struct iovec){(void*)bad, 8}, &vector)
  TRY_BAD("sendmsg vector",
          (MESSAGE(.msg_iov = (void*)bad, .msg_iovlen = 1), CALL(sendmsg, pair[0], &message, 0)));
  TRY_BAD("sendmsg data",
          (MESSAGE(.msg_iov = BAD, .msg_iovlen = 1), CALL(sendmsg, pair[0], &message, 0)));
  TRY_BAD("sendmsg name",
          (MESSAGE(.msg_iov = GOOD, .msg_iovlen = 1, .msg_name = (void*)bad, .msg_namelen = 16),
           CALL(sendmsg, pair[0], &message, 0)));
  TRY_BAD("sendmsg control", (MESSAGE(.msg_iov = GOOD, .msg_iovlen = 1, .msg_control = (void*)bad,
                                      .msg_controllen = 24),
                              CALL(sendmsg, pair[0], &message, 0)));
  TRY_BAD("sendmmsg data", (many.msg_hdr = MESSAGE(.msg_iov = BAD, .msg_iovlen = 1),
                            CALL(sendmmsg, pair[0], &many, 1, 0)));
  while (recv(pair[1], some, sizeof some, 0) > 0) {
  }
  const int on = 1;
  CHECK_OK(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
#define SENT CHECK_EQ_0(send(pair[0], "12345678", 8, 0) != 8)
  TRY_BAD("recvmsg vector", (SENT, MESSAGE(.msg_iov = (void*)bad, .msg_iovlen = 1),
                             CALL(recvmsg, pair[1], &message, 0)));
  TRY_BAD("recvmsg data",
          (SENT, MESSAGE(.msg_iov = BAD, .msg_iovlen = 1), CALL(recvmsg, pair[1], &message, 0)));
  TRY_BAD("recvmsg control", (SENT,
                              MESSAGE(.msg_iov = GOOD, .msg_iovlen = 1, .msg_control = (void*)bad,
                                      .msg_controllen = 64),
                              CALL(recvmsg, pair[1], &message, 0)));
  TRY_BAD("recvmmsg data", (SENT, many.msg_hdr = MESSAGE(.msg_iov = BAD, .msg_iovlen = 1),
                            CALL(recvmmsg, pair[1], &many, 1, 0, NULL)));
  TRY_BAD("recvfrom", (SENT, CALL(recvfrom, pair[1], bad, 8, 0, NULL, NULL)));
  close(pair[0]), close(pair[1]);
}

CASE(lists_of_strings) {
  char* list[3] = {some, NULL, NULL};
  char* none[1] = {NULL};
  // All is read before it is found that this is no program.
  CHECK_OK(chmod("file", 0700));
  TRY_BAD("execve argv", CALL(execve, "file", bad, none));
  TRY_BAD("execve env", CALL(execve, "file", none, bad));
#define LIST (list[1] = (char*)bad, list)
  TRY_BAD("execve's argument", CALL(execve, "file", LIST, none));
  TRY_BAD("execve's variable", CALL(execve, "file", none, LIST));
  TRY_BAD("execveat's argument", CALL(execveat, AT_FDCWD, "file", LIST, none, 0));
  CHECK_OK(chmod("file", 0600));
}

CASE(system_v) {
  const int queue = msgget(IPC_PRIVATE, 0600), set = semget(IPC_PRIVATE, 2, 0600),
            segment = shmget(IPC_PRIVATE, 4096, 0600);
  REQUIRE(queue != -1 && set != -1 && segment != -1);
  TRY_BAD("shm IPC_STAT", CALL(shmctl, segment, IPC_STAT, bad));
  TRY_BAD("shm IPC_SET", CALL(shmctl, segment, IPC_SET, bad));
  TRY_BAD("shm IPC_INFO", CALL(shmctl, 0, IPC_INFO, bad));
  TRY_BAD("semop", CALL(semop, set, bad, 1));
  TRY_BAD("semtimedop", CALL(semtimedop, set, bad, 1, &no_time));
  TRY_BAD("sem IPC_STAT", CALL(semctl, set, 0, IPC_STAT, bad));
  TRY_BAD("sem IPC_SET", CALL(semctl, set, 0, IPC_SET, bad));
  TRY_BAD("sem GETALL", CALL(semctl, set, 0, GETALL, bad));
  TRY_BAD("sem SETALL", CALL(semctl, set, 0, SETALL, bad));
  TRY_BAD("msg IPC_STAT", CALL(msgctl, queue, IPC_STAT, bad));
  TRY_BAD("msgsnd", CALL(msgsnd, queue, bad, 8, IPC_NOWAIT));
  struct {
    long type;
    char text[8];
  } message = {1, "message"};
  TRY_BAD("msgrcv", (CHECK_EQ_0(msgsnd(queue, &message, 8, IPC_NOWAIT)),
                     CALL(msgrcv, queue, bad, 8, 0, IPC_NOWAIT)));
  TRY_BAD("msg IPC_SET", CALL(msgctl, queue, IPC_SET, bad));
  CHECK_OK(msgctl(queue, IPC_RMID, NULL));
  CHECK_OK(semctl(set, 0, IPC_RMID));
  CHECK_OK(shmctl(segment, IPC_RMID, NULL));
}

CASE(message_queues) {
  const int queue =
      (int)CALL(mq_open, "bad_inner_pointers", O_RDWR | O_CREAT | O_NONBLOCK, 0600, 0);
  REQUIRE(queue >= 0);
  CHECK_OK(CALL(mq_unlink, "bad_inner_pointers"));
  static char text[8192];
  TRY_BAD("mq_timedsend", CALL(mq_timedsend, queue, bad, 8, 0, NULL));
  TRY_BAD("mq_timedsend's time", CALL(mq_timedsend, queue, text, 8, 0, bad));
  while (CALL(mq_timedreceive, queue, text, sizeof text, NULL, NULL) >= 0) {
  }
#define QUEUED (errno = 0, CALL(mq_timedsend, queue, text, 8, 0, NULL))
  TRY_BAD("mq_timedreceive", (QUEUED, CALL(mq_timedreceive, queue, bad, sizeof text, NULL, NULL)));
  while (CALL(mq_timedreceive, queue, text, sizeof text, NULL, NULL) >= 0) {
  }
  TRY_BAD("mq_timedreceive's priority",
          (QUEUED, CALL(mq_timedreceive, queue, text, sizeof text, bad, NULL)));
  TRY_BAD("mq_notify", CALL(mq_notify, queue, bad));
  CHECK_OK(CALL(mq_notify, queue, NULL));
  TRY_BAD("mq_getsetattr", CALL(mq_getsetattr, queue, bad, NULL));
  TRY_BAD("mq_getsetattr's old", CALL(mq_getsetattr, queue, NULL, bad));
  close(queue);
}

CASE(futex_operations) {
  static uint32_t word;
  struct timespec soon = {0, 1000};
  static const struct {
    const char* name;
    int operation;
  } operations[] = {
      {"WAIT", FUTEX_WAIT},
      {"WAIT private", FUTEX_WAIT | FUTEX_PRIVATE_FLAG},
      {"WAIT_BITSET", FUTEX_WAIT_BITSET},
      {"WAKE", FUTEX_WAKE},
      {"WAKE private", FUTEX_WAKE | FUTEX_PRIVATE_FLAG},
      {"LOCK_PI", FUTEX_LOCK_PI},
      {"TRYLOCK_PI", FUTEX_TRYLOCK_PI},
      {"UNLOCK_PI", FUTEX_UNLOCK_PI},
  };
  for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
    TRY_BAD(operations[i].name, CALL(futex, bad, operations[i].operation, 1, &soon, NULL, -1));
  TRY_BAD("REQUEUE from", CALL(futex, bad, FUTEX_REQUEUE, 1, 1, &word, 0));
  TRY_BAD("REQUEUE to", CALL(futex, &word, FUTEX_REQUEUE, 1, 1, bad, 0));
  TRY_BAD("CMP_REQUEUE from", CALL(futex, bad, FUTEX_CMP_REQUEUE, 1, 1, &word, 0));
  TRY_BAD("WAKE_OP", CALL(futex, bad, FUTEX_WAKE_OP, 1, 1, &word, 0));
  TRY_BAD("WAKE_OP second", CALL(futex, &word, FUTEX_WAKE_OP, 1, 1, bad, 0));
  TRY_BAD("timeout", CALL(futex, &word, FUTEX_WAIT, 1, bad, NULL, 0));
  struct {
    uint64_t value, address;
    uint32_t flags, reserved;
  } waiter;
  struct timespec past = {0, 1};
  for (int is_private = 0; is_private < 2; is_private++)
    TRY_BAD("futex_waitv",
            (waiter.value = 1, waiter.address = (uint64_t)bad,
             waiter.flags = 2 | (is_private ? FUTEX_PRIVATE_FLAG : 0), waiter.reserved = 0,
             CALL(futex_waitv, &waiter, 1, 0, &past, CLOCK_MONOTONIC)));
}

CASE(others_that_need_something_there) {
  const int epoll = epoll_create1(0), watches = inotify_init1(IN_NONBLOCK);
  int ends[2];
  REQUIRE(epoll >= 0 && watches >= 0 && pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
  struct epoll_event event = {.events = EPOLLIN};
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
  TRY_BAD("epoll_ctl MOD", CALL(epoll_ctl, epoll, EPOLL_CTL_MOD, ends[0], bad));
  CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event));
  TRY_BAD("epoll_wait", CALL(epoll_wait, epoll, bad, 1, 0));
  TRY_BAD("inotify_add_watch", CALL(inotify_add_watch, watches, bad, IN_OPEN));
  CHECK_OK(inotify_add_watch(watches, "file", IN_OPEN));
  CHECK_OK(symlink("file", "link"));
  TRY_BAD("readlink", CALL(readlink, "link", bad, 16));
  TRY_BAD("getgroups",
          (CHECK_EQ_0(CALL(setgroups, 2, (uint32_t[]){1, 2})), CALL(getgroups, 8, bad)));
  CHECK_OK(CALL(setgroups, 0, NULL));
  TRY_BAD("setgroups", CALL(setgroups, 2, bad));
  CHECK_OK(CALL(setgroups, 0, NULL));
  TRY_BAD("openat2", CALL(openat2, AT_FDCWD, "none", bad, 24));
  int timer = -1;
  CHECK_OK(CALL(timer_create, CLOCK_MONOTONIC, NULL, &timer));
  struct itimerspec never = {0};
  TRY_BAD("timer_settime", CALL(timer_settime, timer, 0, bad, NULL));
  TRY_BAD("timer_settime's old", CALL(timer_settime, timer, 0, &never, bad));
  TRY_BAD("timer_gettime", CALL(timer_gettime, timer, bad));
  CHECK_OK(CALL(timer_delete, timer));
  sigset_t signals;
  sigemptyset(&signals), sigaddset(&signals, SIGUSR1);
  CHECK_OK(sigprocmask(SIG_BLOCK, &signals, NULL));
  TRY_BAD("rt_sigtimedwait", (raise(SIGUSR1), CALL(rt_sigtimedwait, &signals, bad, &no_time, 8)));
  TRY_BAD("sched_getattr", CALL(sched_getattr, 0, bad, 48, 0));
  TRY_BAD("rseq", CALL(rseq, bad, 32, 0, 0));
  close(epoll), close(watches), close(ends[0]), close(ends[1]);
}

// A child that has ended is waited for once, whether or not that can be told.
static pid_t a_child(void) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  REQUIRE(child > 0);
  return child;
}

CASE(status_of_a_child) {
  siginfo_t info;
  TRY_BAD("wait4", CALL(wait4, a_child(), bad, 0, NULL));
  CHECK_ERRNO(waitpid(-1, NULL, WNOHANG), ECHILD);
  TRY_BAD("wait4's usage", CALL(wait4, a_child(), NULL, 0, bad));
  TRY_BAD("waitid", (a_child(), CALL(waitid, P_ALL, 0, bad, WEXITED, NULL)));
  TRY_BAD("waitid's usage", (a_child(), CALL(waitid, P_ALL, 0, &info, WEXITED, bad)));
  CHECK_ERRNO(waitpid(-1, NULL, WNOHANG), ECHILD);
}

CASE(ptrace_requests) {
  const pid_t tracee = fork();
  if (tracee == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    _exit(0);
  }
  int status;
  REQUIRE(waitpid(tracee, &status, 0) == tracee && WIFSTOPPED(status));
  struct iovec vector;
  // The LibOS looks at nothing that its program has closed; Linux's ptrace does.
  left_out = kClosedPlace;
  TRY_BAD("PEEKDATA from", CALL(ptrace, PTRACE_PEEKDATA, tracee, bad & ~7L, some));
  left_out = -1;
  TRY_BAD("PEEKDATA to", CALL(ptrace, PTRACE_PEEKDATA, tracee, some, bad));
  TRY_BAD("PEEKUSER", CALL(ptrace, PTRACE_PEEKUSER, tracee, 0, bad));
  TRY_BAD("GETREGS", CALL(ptrace, PTRACE_GETREGS, tracee, 0, bad));
  TRY_BAD("GETFPREGS", CALL(ptrace, PTRACE_GETFPREGS, tracee, 0, bad));
  TRY_BAD("GETSIGINFO", CALL(ptrace, PTRACE_GETSIGINFO, tracee, 0, bad));
  TRY_BAD("GETSIGMASK", CALL(ptrace, PTRACE_GETSIGMASK, tracee, 8, bad));
  TRY_BAD("SETSIGMASK", CALL(ptrace, PTRACE_SETSIGMASK, tracee, 8, bad));
  TRY_BAD("GETEVENTMSG", CALL(ptrace, PTRACE_GETEVENTMSG, tracee, 0, bad));
  TRY_BAD("GETREGSET", CALL(ptrace, PTRACE_GETREGSET, tracee, 1, bad));
  TRY_BAD("GETREGSET's registers", (vector = (struct iovec){(void*)bad, 216},
                                    CALL(ptrace, PTRACE_GETREGSET, tracee, 1, &vector)));
  TRY_BAD("SETREGSET", CALL(ptrace, PTRACE_SETREGSET, tracee, 1, bad));
  TRY_BAD("SETSIGINFO", CALL(ptrace, PTRACE_SETSIGINFO, tracee, 0, bad));
  kill(tracee, SIGKILL);
  CHECK_EQ(waitpid(tracee, &status, 0), tracee);
}

// What only counts when the thread or process ends, or when a signal comes: it is not looked at before, and what is bad
// then is passed over, or kills.
struct robust_head {
  void* next;
  long offset;
  void* pending;
};
static void leave_with_robust_list(long next, long pending) {
  static struct robust_head head;
  head = (struct robust_head){(void*)next, 0, (void*)pending};
  CALL(set_robust_list, &head, sizeof head);
  CALL(exit, 0);
}
static void leave_with_robust_head(long head, long unused) {
  (void)unused;
  CALL(set_robust_list, head, sizeof(struct robust_head));
  CALL(exit, 0);
}
static void leave_with_child_tid(long word, long unused) {
  (void)unused;
  CALL(set_tid_address, word);
  CALL(exit, 0);
}
static void handle(int number) { _exit(number); }
static void signal_on_stack(long at, long unused) {
  (void)unused;
  stack_t stack = {.ss_sp = (void*)(at & ~15L), .ss_size = 1 << 16};
  struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
  if (sigaltstack(&stack, NULL) != 0) _exit(1);
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  _exit(2);
}
static void signal_to_handler(long at, long unused) {
  (void)unused;
  struct sigaction action = {.sa_handler = (void (*)(int))at};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  _exit(2);
}

// The status of a child that does so: an exit status, or a signal as a negative number, seen as a result.
static const char* end_of(void (*end)(long, long), long first, long second) {
  static char texts[kBadPlaces][16];
  static int next;
  char* text = texts[next++ % kBadPlaces];
  int status = 0;
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    end(first, second);
    _exit(99);
  }
  REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
  snprintf(text, sizeof texts[0], "%s %d", WIFSIGNALED(status) ? "signal" : "exit",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  return text;
}
static void try_ends(const char* name, void (*end)(long, long), int is_second) {
  const char* results[kBadPlaces];
  for (int i = 0; i < kBadPlaces; i++) {
    const long bad = (long)places[i].address;
    // A page that is there has no part in it: what it holds would count.
    results[i] = i == kReadOnlyPlace
                     ? results[0]
                     : end_of(end, is_second ? (long)some : bad, is_second ? bad : 0);
  }
  finish(name, results);
}

CASE(pointers_for_the_end) {
  try_ends("robust list", leave_with_robust_list, 0);
  try_ends("robust list's pending", leave_with_robust_list, 1);
  try_ends("robust head", leave_with_robust_head, 0);
  try_ends("set_tid_address", leave_with_child_tid, 0);
  try_ends("signal stack", signal_on_stack, 0);
  try_ends("signal handler", signal_to_handler, 0);
}

CASE(neighbours_end) {
  neighbour_end(&spawned);
  neighbour_end(&forked);
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "neighbour") == 0) return neighbour_main();
  return check_main(argc, argv);
}
