// What runs out: processes, descriptors, addresses, stacks. The error is Linux's, and nothing is left behind.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "counts.h"
#include "identity.h"

static void set_limit(int resource, rlim_t soft) {
  struct rlimit limit;
  REQUIRE(getrlimit(resource, &limit) == 0);
  limit.rlim_cur = soft;
  REQUIRE(setrlimit(resource, &limit) == 0);
}

// Runs `body` in a child; its exit status, or 1000 + the signal that ended it.
static int in_child(int (*body)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) _exit(body());
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

// The same twice; the second time nothing is left that was not there before.
static void twice(int (*body)(void), int wanted) {
  struct counts before;
  CHECK_EQ(in_child(body), wanted);
  counts_read(&before);
  int descriptors = counts_descriptors();
  CHECK_EQ(in_child(body), wanted);
  CHECK_EQ(counts_descriptors(), descriptors);
  CHECK_COUNTS(before);
}

// --- a fork bomb: every process forks for as long as it can ---

static volatile int* made;

static void explode(void) {
  for (;;) {
    pid_t pid = fork();
    if (pid == -1) break;
    if (pid == 0) __atomic_add_fetch(made, 1, __ATOMIC_SEQ_CST);
  }
}

// In a group of its own, so that it can be ended at one blow.
static int bomb(void) {
  made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (made == MAP_FAILED) return 2;
  int ready[2];
  if (pipe(ready) == -1) return 3;
  pid_t leader = fork();
  if (leader == 0) {
    setpgid(0, 0);
    // As somebody who runs nothing else; root has no limit.
    if (setuid(54399) == -1) _exit(4);
    set_limit(RLIMIT_NPROC, 60);
    explode();
    close(ready[0]);
    if (write(ready[1], "x", 1) != 1) _exit(5);
    for (;;) pause();
  }
  char byte;
  close(ready[1]);
  if (read(ready[0], &byte, 1) != 1) return 6;  // one that has met the limit
  setpgid(leader, leader);
  // All that were made say so in time.
  while (__atomic_load_n(made, __ATOMIC_SEQ_CST) < 50) sched_yield();
  // Whoever goes on forking meets SIGKILL: again until nobody is left.
  while (kill(-leader, SIGKILL) == 0) waitpid(leader, NULL, 0);
  return 0;
}

CASE(fork_bomb) {
  if (getuid() != 0) return;
  twice(bomb, 0);
}

// --- descriptors ---

static int descriptors(void) {
  set_limit(RLIMIT_NOFILE, 100);
  int last = 0, count = 0;
  while ((last = open("/dev/null", O_RDONLY)) != -1) count++;
  if (errno != EMFILE || count < 90) return 2;
  int ends[2];
  if (pipe(ends) != -1 || errno != EMFILE) return 3;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != -1 || errno != EMFILE) return 4;
  if (dup(0) != -1 || errno != EMFILE) return 5;
  if (dup2(0, 100) != -1 || errno != EBADF) return 6;
  if (fcntl(0, F_DUPFD, 0) != -1 || errno != EMFILE) return 7;
  if (fcntl(0, F_DUPFD, 100) != -1 || errno != EINVAL) return 8;
  // One is free: a pipe needs two, and takes none.
  close(99);
  if (pipe(ends) != -1 || errno != EMFILE) return 9;
  if (open("/dev/null", O_RDONLY) != 99) return 10;
  if (socket(AF_UNIX, SOCK_STREAM, 0) != -1 || errno != EMFILE) return 11;
  if (memfd_create("x", 0) != -1 || errno != EMFILE) return 12;
  return 0;
}
CASE(emfile) { twice(descriptors, 0); }

// A descriptor in a message that does not fit: the message comes, shortened (MSG_CTRUNC).
static int passed(void) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1) return 2;
  char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'x';
  struct iovec part = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &pair[0], sizeof(int));
  if (sendmsg(pair[0], &message, 0) != 1) return 3;
  set_limit(RLIMIT_NOFILE, 60);
  while (open("/dev/null", O_RDONLY) != -1) {
  }
  message.msg_controllen = sizeof control;
  if (recvmsg(pair[1], &message, 0) != 1) return 4;
  return (message.msg_flags & MSG_CTRUNC) != 0 && message.msg_controllen == 0 ? 0 : 5;
}
CASE(passed_descriptor) { twice(passed, 0); }

#pragma GCC diagnostic ignored "-Winfinite-recursion"
static int recurse(int depth) {
  volatile char frame[4000];
  frame[0] = (char)depth;
  return recurse(depth + 1) + frame[0];
}

static void* deep_thread(void* unused) {
  (void)unused;
  recurse(0);
  return NULL;
}

// --- addresses ---

static int address_space(void) {
  set_limit(RLIMIT_AS, 64 << 20);
  int count = 0;
  while (mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
         MAP_FAILED)
    if (++count > 64) return 2;
  if (errno != ENOMEM || count < 20) return 3;
  // Much is refused, and little is to be had still; brk says no by not moving.
  if (sbrk(1 << 20) != (void*)-1 || errno != ENOMEM) return 4;
  if (fork() == 0) _exit(0);
  int status = 1;
  if (wait(&status) == -1 || status != 0) return 5;
  pthread_t thread;
  return pthread_create(&thread, NULL, deep_thread, NULL) == EAGAIN ? 0 : 6;
}
CASE(addresses) { twice(address_space, 0); }

static int huge(void) {
  if (mmap(NULL, 1UL << 46, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED &&
      mmap(NULL, 1UL << 46, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
    return 2;
  if (errno != ENOMEM) return 3;
  if (mmap(NULL, SIZE_MAX & ~4095UL, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED ||
      errno != ENOMEM)
    return 4;
  if (malloc(SIZE_MAX / 2) != NULL) return 5;
  return errno == ENOMEM ? 0 : 6;
}
CASE(more_than_there_is) { twice(huge, 0); }

static int data(void) {
  set_limit(RLIMIT_DATA, 16 << 20);
  if (sbrk(32 << 20) != (void*)-1 || errno != ENOMEM) return 2;
  return mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                     MAP_FAILED &&
                 errno == ENOMEM
             ? 0
             : 3;
}
CASE(data_limit) { twice(data, 0); }

// --- stacks ---

static int overflow(void) { return recurse(0); }
CASE(stack_overflow) { twice(overflow, 1000 + SIGSEGV); }

static int thread_overflow(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, deep_thread, NULL) != 0) return 2;
  pthread_join(thread, NULL);
  return 0;
}
CASE(thread_stack_overflow) { twice(thread_overflow, 1000 + SIGSEGV); }

// With a stack of its own the handler sees where: the guard below the stack.
static sigjmp_buf out;
static void on_fault(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  char here;
  uintptr_t at = (uintptr_t)info->si_addr, own = (uintptr_t)&here;
  siglongjmp(out, at != 0 && at != own ? 1 : 2);
}

static int handled_overflow(void) {
  static char stack[65536];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaltstack(&alternate, NULL);
  sigaction(SIGSEGV, &action, NULL);
  volatile int times = 0;
  int how = sigsetjmp(out, 1);
  if (how == 0 || (how == 1 && ++times < 3)) recurse(0);
  return how == 1 ? 0 : 2;
}
CASE(stack_overflow_with_handler) { twice(handled_overflow, 0); }

// A small RLIMIT_STACK holds for the next program.
static int small_stack(void) {
  set_limit(RLIMIT_STACK, 256 << 10);
  char* arguments[] = {(char*)check_program, "shallow", NULL};
  execv(check_program, arguments);
  return 2;
}
static int frames(int depth) {
  volatile char frame[4096];
  frame[0] = 1;
  return depth == 0 ? 0 : frames(depth - 1) + frame[0];
}
CASE(stack_limit) { twice(small_stack, 1000 + SIGSEGV); }

int main(int argc, char** argv) {
  // 400 KiB deep: more than the stack may have.
  if (argc > 1 && strcmp(argv[1], "shallow") == 0) return frames(100) == 100 ? 0 : 3;
  return check_main(argc, argv);
}
