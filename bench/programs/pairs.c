// Two parties that talk: threads by futex and condition, processes by pipe and unix socket. Prints ns for a round trip,
// or for a MiB where the name has a block size. The second process is this program again, spawned.
#include <fcntl.h>
#include <linux/futex.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "bench.h"

extern char** environ;

static volatile int word;
static void futex_pass(int from, int to) {
  while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) != from)
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, to, NULL, NULL, 0);
  __atomic_store_n(&word, to, __ATOMIC_RELEASE);
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
static void* futex_peer(void* count) {
  for (long i = 0; i < (long)count; i++) futex_pass(1, 0);
  return NULL;
}
static void do_futex(long count) {
  pthread_t thread;
  word = 0;
  require(pthread_create(&thread, NULL, futex_peer, (void*)count) == 0, "pthread_create");
  for (long i = 0; i < count; i++) futex_pass(0, 1);
  pthread_join(thread, NULL);
}
static void run_futex(void) { measure(do_futex); }

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int turn;
static void condition_pass(int from, int to) {
  pthread_mutex_lock(&mutex);
  while (turn != from) pthread_cond_wait(&condition, &mutex);
  turn = to;
  pthread_cond_signal(&condition);
  pthread_mutex_unlock(&mutex);
}
static void* condition_peer(void* count) {
  for (long i = 0; i < (long)count; i++) condition_pass(1, 0);
  return NULL;
}
static void do_condition(long count) {
  pthread_t thread;
  turn = 0;
  require(pthread_create(&thread, NULL, condition_peer, (void*)count) == 0, "pthread_create");
  for (long i = 0; i < count; i++) condition_pass(0, 1);
  pthread_join(thread, NULL);
}
static void run_condition(void) { measure(do_condition); }

// The other process: echoes bytes from 0 to 1 (a pipe pair or a socket), or swallows everything.
static int echo(void) {
  char byte;
  while (read(0, &byte, 1) == 1) {
    if (write(1, &byte, 1) != 1) return 1;
  }
  return 0;
}
static int swallow(void) {
  static char block[1 << 20];
  while (read(0, block, sizeof block) > 0) {
  }
  return 0;
}

static int to_peer, from_peer;
static pid_t start_peer(char* mode, int in, int out) {
  static char self[512];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  require(length > 0, "/proc/self/exe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  char* argv[] = {self, mode, NULL};
  pid_t pid;
  require(posix_spawn(&pid, self, &actions, NULL, argv, environ) == 0, "posix_spawn");
  return pid;
}
static void do_ping(long count) {
  char byte = 1;
  for (long i = 0; i < count; i++)
    require(write(to_peer, &byte, 1) == 1 && read(from_peer, &byte, 1) == 1, "ping");
}
static void run_pipe(void) {
  int there[2], back[2];
  require(pipe2(there, O_CLOEXEC) == 0 && pipe2(back, O_CLOEXEC) == 0, "pipe");
  pid_t pid = start_peer("echo", there[0], back[1]);
  close(there[0]), close(back[1]);
  to_peer = there[1], from_peer = back[0];
  measure(do_ping);
  close(to_peer);
  waitpid(pid, NULL, 0);
}
static void run_unix(void) {
  int pair[2];
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
  pid_t pid = start_peer("echo", pair[1], pair[1]);
  close(pair[1]);
  to_peer = from_peer = pair[0];
  measure(do_ping);
  close(pair[0]);
  waitpid(pid, NULL, 0);
}

static long block_size;
static char block[1 << 20];
static void do_bandwidth(long count) {
  for (long i = 0; i < count; i++) {
    for (long sent = 0; sent < 1 << 20; sent += block_size)
      require(write(to_peer, block, block_size) == block_size, "write");
  }
}
static void bandwidth(long size) {
  int ends[2];
  block_size = size;
  memset(block, 1, sizeof block);
  require(pipe2(ends, O_CLOEXEC) == 0, "pipe");
  pid_t pid = start_peer("swallow", ends[0], 1);
  close(ends[0]);
  to_peer = ends[1];
  measure(do_bandwidth);
  close(ends[1]);
  waitpid(pid, NULL, 0);
}
static void run_4k(void) { bandwidth(4 << 10); }
static void run_64k(void) { bandwidth(64 << 10); }
static void run_1m(void) { bandwidth(1 << 20); }

static const struct benchmark list[] = {
    {"futex_pingpong", run_futex}, {"condvar_pingpong", run_condition},
    {"pipe_pingpong", run_pipe},   {"unix_pingpong", run_unix},
    {"pipe_bw_4k", run_4k},        {"pipe_bw_64k", run_64k},
    {"pipe_bw_1m", run_1m},
};

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "echo") == 0) return echo();
  if (argc > 1 && strcmp(argv[1], "swallow") == 0) return swallow();
  return run_named(list, sizeof list / sizeof *list, argc, argv);
}
