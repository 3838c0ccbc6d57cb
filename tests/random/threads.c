// Threads and futexes. A worker is given one thing to do and joined: with the rendezvous in each operation the result
// does not depend on who runs when.
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "random.h"

static uint32_t words[8];
static struct timespec none = {0, 0}, soon = {0, 1000000}, wrong = {0, -1};
static long word(void) {
  unsigned at = below(4);
  char shown[16];
  snprintf(shown, sizeof shown, "word %u", at);
  return percent(96) ? pointer(&words[at], shown) : number(1) * 0 + (long)((char*)&words[at] + 1);
}
static long private_bit;
#define FUTEX(kind, weight, ...)                                 \
  OP(kThreads, weight, futex_##kind) {                           \
    private_bit = percent(50) ? FUTEX_PRIVATE_FLAG : 0;          \
    CALL(futex, __VA_ARGS__);                                    \
    say(" %x %x %x %x", words[0], words[1], words[2], words[3]); \
  }
#define COMMAND(c) hex((c) | private_bit)
static long value(void) { return number(ONE_OF(0, 1, 2, 5, 0x7fffffff)); }
// A wait with no time to wait: EAGAIN or ETIMEDOUT.
FUTEX(wait, 4, word(), COMMAND(FUTEX_WAIT), value(),
      (long)(percent(95) ? (percent(80) ? &none : &soon) : &wrong))
FUTEX(wait_bitset, 3, word(), COMMAND(FUTEX_WAIT_BITSET | (percent(50) ? FUTEX_CLOCK_REALTIME : 0)),
      value(), (long)&none, 0, hex(ONE_OF(-1, 1, 0, 0x80000000)))
FUTEX(wake, 3, word(), COMMAND(FUTEX_WAKE), value())
FUTEX(wake_bitset, 2, word(), COMMAND(FUTEX_WAKE_BITSET), value(), 0, 0, hex(ONE_OF(-1, 1, 0)))
FUTEX(requeue, 2, word(), COMMAND(FUTEX_REQUEUE), value(), value(), word(), 0)
FUTEX(cmp_requeue, 2, word(), COMMAND(FUTEX_CMP_REQUEUE), value(), value(), word(), value())
FUTEX(wake_op, 3, word(), COMMAND(FUTEX_WAKE_OP), value(), value(), word(),
      hex(FUTEX_OP(ONE_OF(0, 1, 2, 3, 4, 5, 9), ONE_OF(0, 1, 5, 31), ONE_OF(0, 1, 2, 3, 4, 5, 6),
                   ONE_OF(0, 1, 7))))
FUTEX(fd, 1, word(), COMMAND(FUTEX_FD), value())
FUTEX(unknown, 1, word(), COMMAND(ONE_OF(14, 20, 127)), value())
FUTEX(trylock_pi_own, 1, word(), COMMAND(FUTEX_UNLOCK_PI), 0)
OP(kThreads, 2, futex_store) {
  unsigned at = below(4);
  words[at] = (uint32_t)ONE_OF(0, 1, 2, 5, 0x7fffffff, 0xffffffff);
  say("%u) = %x", at, words[at]);
}
// What PI words hold is the thread's number: only whether it is ours is said.
OP(kThreads, 2, futex_pi) {
  static uint32_t pi;
  pi = 0;
  say(")");
  long r = quiet(SYS_futex, (long)&pi, FUTEX_LOCK_PI, 0, 0, 0, 0);
  say(" %ld %s", r, (pi & FUTEX_TID_MASK) == (uint32_t)gettid() ? "ours" : "other");
  r = quiet(SYS_futex, (long)&pi, FUTEX_LOCK_PI, 0, 0, 0, 0);
  say(" again %s", errno_name(-r));
  r = quiet(SYS_futex, (long)&pi, FUTEX_TRYLOCK_PI, 0, 0, 0, 0);
  say(" try %s", errno_name(-r));
  r = quiet(SYS_futex, (long)&pi, FUTEX_UNLOCK_PI, 0, 0, 0, 0);
  say(" unlock %ld word %x", r, pi);
  r = quiet(SYS_futex, (long)&pi, FUTEX_UNLOCK_PI, 0, 0, 0, 0);
  say(" again %s", errno_name(-r));
}

// Runs `body` in a thread that takes no signals, and joins it.
static long argument, result;
static pid_t worker;
static void* run_body(void* body) {
  worker = gettid();
  result = ((long (*)(void))body)();
  return NULL;
}
static pthread_t begin(long (*body)(void)) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread = 0;
  int error = pthread_create(&thread, NULL, run_body, (void*)body);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error) say(" no thread: %s", errno_name(error));
  return thread;
}
static void join(pthread_t thread) {
  if (!thread) return;
  pthread_join(thread, NULL);
  // It is joined a moment before it is no longer counted as a thread.
  while (syscall(SYS_tgkill, getpid(), worker, 0) == 0) sched_yield();
  say(result < 0 ? " worker %s" : " worker %.0s%ld", errno_name(-result), result);
}

static uint32_t turn;
static long wait_turn(void) {
  long r = 0;
  while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) == 0)
    r = quiet(SYS_futex, (long)&turn, FUTEX_WAIT | argument, 0, 0, 0, 0);
  return r == -EAGAIN || r == 0 ? 0 : r;
}
OP(kThreads, 6, thread_futex) {
  say(")");
  turn = 0;
  argument = percent(50) ? FUTEX_PRIVATE_FLAG : 0;
  pthread_t thread = begin(wait_turn);
  __atomic_store_n(&turn, 1, __ATOMIC_SEQ_CST);
  quiet(SYS_futex, (long)&turn, FUTEX_WAKE | argument, 1, 0, 0, 0);
  join(thread);
}
// The wake finds the sleeper: asked again until it says that it did.
static long sleep_on_word(void) {
  return quiet(SYS_futex, (long)&turn, FUTEX_WAIT_BITSET, 0, 0, 0, argument);
}
OP(kThreads, 4, thread_wake_bitset) {
  argument = ONE_OF(1, 2, 3);
  say("%ld)", argument);
  turn = 0;
  pthread_t thread = begin(sleep_on_word);
  long mask = argument, r = 0;
  while (thread && (r = quiet(SYS_futex, (long)&turn, FUTEX_WAKE_BITSET, 1, 0, 0, mask)) == 0)
    sched_yield();
  say(" woke %ld", r);
  join(thread);
}
static uint32_t other_turn;
OP(kThreads, 3, thread_requeue) {
  argument = -1;
  say(")");
  turn = other_turn = 0;
  pthread_t thread = begin(sleep_on_word);
  long r = 0;
  while (thread &&
         (r = quiet(SYS_futex, (long)&turn, FUTEX_CMP_REQUEUE, 0, 1, (long)&other_turn, 0)) == 0)
    sched_yield();
  say(" moved %ld", r);
  say(" on the first %ld", quiet(SYS_futex, (long)&turn, FUTEX_WAKE, 1, 0, 0, 0));
  say(" on the other %ld", quiet(SYS_futex, (long)&other_turn, FUTEX_WAKE, 1, 0, 0, 0));
  join(thread);
}
static int ends[2];
static long read_byte(void) {
  char byte = 0;
  long r = QUIET_3(read, ends[0], &byte, 1);
  return r == 1 ? byte : r;
}
OP(kThreads, 5, thread_pipe_read) {
  say(")");
  if (pipe(ends) != 0) return;
  pthread_t thread = begin(read_byte);
  if (percent(80)) {
    ssize_t r = write(ends[1], "q", 1);
    (void)r;
  } else {
    say(" closed");
    close(ends[1]);
    ends[1] = -1;
  }
  join(thread);
  close(ends[0]);
  if (ends[1] >= 0) close(ends[1]);
}
static long write_much(void) {
  static char much[100000];
  return QUIET_3(write, ends[1], much, sizeof much);
}
OP(kThreads, 4, thread_pipe_write) {
  say(")");
  if (pipe(ends) != 0) return;
  pthread_t thread = begin(write_much);
  static char buffer[8192];
  long total = 0;
  while (thread && total < 100000) {
    long r = QUIET_3(read, ends[0], buffer, sizeof buffer);
    if (r <= 0) break;
    total += r;
  }
  say(" read %ld", total);
  join(thread);
  close(ends[0]);
  close(ends[1]);
}
static long read_event(void) {
  uint64_t got = 0;
  long r = QUIET_3(read, ends[0], &got, 8);
  return r == 8 ? (long)got : r;
}
OP(kThreads, 4, thread_eventfd) {
  uint64_t add = 1 + below(9);
  say("%llu)", (unsigned long long)add);
  ends[0] = eventfd(0, percent(50) ? EFD_SEMAPHORE : 0);
  pthread_t thread = begin(read_event);
  ssize_t r = write(ends[0], &add, 8);
  (void)r;
  join(thread);
  close(ends[0]);
}
static long receive_byte(void) {
  char byte = 0;
  long r = recv(ends[0], &byte, 1, 0);
  return r == 1 ? byte : r == 0 ? 0 : -errno;
}
OP(kThreads, 4, thread_socket) {
  say(")");
  if (socketpair(AF_UNIX, (int)ONE_OF(SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET), 0, ends) != 0)
    return;
  pthread_t thread = begin(receive_byte);
  ssize_t r = send(ends[1], "s", 1, 0);
  (void)r;
  join(thread);
  close(ends[0]);
  close(ends[1]);
}
static long wait_signal(void) {
  uint64_t mask = 1ull << (argument - 1);
  return QUIET_4(rt_sigtimedwait, &mask, 0, 0, 8);
}
static pid_t worker_tid;
static long tell_tid_and_wait(void) {
  __atomic_store_n(&worker_tid, gettid(), __ATOMIC_SEQ_CST);
  return wait_signal();
}
OP(kThreads, 4, thread_sigwait) {
  argument = ONE_OF(SIGUSR1, SIGTERM, 40);
  say("%ld)", argument);
  worker_tid = 0;
  // One that is pending already the thread takes at once: whether it is still there for the other is chance.
  sigset_t pending;
  sigpending(&pending);
  const bool is_pending = sigismember(&pending, (int)argument);
  pthread_t thread = begin(tell_tid_and_wait);
  while (thread && !__atomic_load_n(&worker_tid, __ATOMIC_SEQ_CST)) sched_yield();
  const long sent = thread ? QUIET_3(tgkill, getpid(), worker_tid, argument) : 0;
  if (thread && !is_pending) say(" %ld", sent);
  join(thread);
}
// What threads share, and what they do not.
static long change_umask(void) { return (long)umask(0151) * 0 + (long)chdir("d"); }
OP(kThreads, 2, thread_shares_fs) {
  say(")");
  mode_t before = umask(022);
  join(begin(change_umask));
  say(" umask %o", umask(before));
}
static long own_mask(void) {
  uint64_t mask = 0;
  QUIET_4(rt_sigprocmask, SIG_BLOCK, 0, &mask, 8);
  stack_t stack;
  sigaltstack(NULL, &stack);
  return (long)(mask >> 40 & 0xffff) + stack.ss_flags;
}
OP(kThreads, 2, thread_own_mask) {
  say(")");
  join(begin(own_mask));
}
static long set_name(void) {
  char name[16] = "";
  prctl(PR_GET_NAME, name);
  bool inherited = name[0] != 0;
  prctl(PR_SET_NAME, "worker");
  return inherited;
}
OP(kThreads, 2, thread_name) {
  say(")");
  join(begin(set_name));
  char name[17] = "";
  prctl(PR_GET_NAME, name);
  say(" %.5s", name[0] >= 'a' ? name : "own");
}
OP(kThreads, 2, gettid) {
  say(")");
  say(" %s", gettid() == getpid() ? "the first" : "another");
}
OP(kThreads, 1, set_tid_address) {
  static int word_of_tid;
  say(")");
  say(" %s", QUIET_1(set_tid_address, &word_of_tid) == gettid() ? "own" : "other");
}
OP(kThreads, 2, sched_yield) { CALL(sched_yield, 0); }
OP(kThreads, 2, set_robust_list) {
  static void* head[3] = {head, 0, 0};
  CALL(set_robust_list, pointer(head, "head"), PICK(24, 24, 24, 16));
}
OP(kThreads, 2, get_robust_list) {
  uint64_t head = 0, size = 0;
  CALL(get_robust_list, number(ONE_OF(0, 0, 0, 0x7ffffff0)), pointer(&head, "head"),
       pointer(&size, "size"));
  say(" %d %llu", head != 0, (unsigned long long)size);
}
