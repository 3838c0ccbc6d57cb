// fork(2): memory that is each process's own and memory that is not, families, threads, limits of sharing, exec.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

enum { PAGE = 4096 };

static int exit_code(pid_t pid) {
  int status = -1;
  if (waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static pid_t fork_quietly(void) {
  fflush(stdout);
  return fork();
}

static int data = 5;
static char bss[3 * PAGE];
static const char* text = "text";

CASE(each_has_its_own_memory) {
  char* heap = malloc(300000);
  char on_stack[100] = "parent";
  memset(heap, 'h', 300000);
  strcpy(bss + PAGE, "parent");
  int from[2];
  REQUIRE(pipe(from) == 0);
  const pid_t pid = fork_quietly();
  if (pid == 0) {
    if (data != 5 || heap[7] != 'h' || strcmp(bss + PAGE, "parent") || strcmp(on_stack, "parent"))
      _exit(1);
    data = 6;
    heap[7] = 'c';
    strcpy(bss + PAGE, "child");
    strcpy(on_stack, "child");
    char* more = malloc(1000000);
    memset(more, 'm', 1000000);
    if (write(from[1], "x", 1) != 1) _exit(2);
    for (int i = 0; i < 1000000; i++)
      if (more[i] != 'm') _exit(3);
    _exit(data == 6 && heap[7] == 'c' && strcmp(on_stack, "child") == 0 ? 7 : 4);
  }
  char c;
  CHECK_EQ(read(from[0], &c, 1), 1);
  CHECK_EQ(data, 5);
  CHECK_EQ(heap[7], 'h');
  CHECK_STR(bss + PAGE, "parent");
  CHECK_STR(on_stack, "parent");
  heap[7] = 'p';
  CHECK_EQ(exit_code(pid), 7);
  CHECK_EQ(heap[7], 'p');
  free(heap);
  close(from[0]);
  close(from[1]);
}

// Both go on writing, and look at all of it again and again.
CASE(both_write_all_the_time) {
  enum { SIZE = 600 * PAGE, ROUNDS = 40 };
  unsigned char* memory =
      mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  for (int i = 0; i < SIZE; i += 512) memory[i] = 1;
  const pid_t pid = fork_quietly();
  const unsigned char mine = pid == 0 ? 100 : 200;
  int bad = 0;
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = round % 7 * PAGE; i < SIZE; i += 7 * PAGE)
      memory[i] = (unsigned char)(mine + round);
    sched_yield();
    for (int i = round % 7 * PAGE; i < SIZE; i += 7 * PAGE)
      bad += memory[i] != (unsigned char)(mine + round);
    for (int i = 512; i < PAGE; i += 512) bad += memory[i] != 1;
  }
  if (pid == 0) _exit(bad != 0);
  CHECK_EQ(bad, 0);
  CHECK_EQ(exit_code(pid), 0);
  munmap(memory, SIZE);
}

static int nested(int depth, int* value) {
  *value += depth;
  if (depth == 0) return *value;
  const pid_t pid = fork();
  if (pid == 0) _exit(nested(depth - 1, value));
  const int before = *value;
  const int below = exit_code(pid);
  return *value == before ? below : 250;
}

CASE(nested_to_depth_5) {
  int value = 0;
  fflush(stdout);
  CHECK_EQ(nested(5, &value), 5 + 4 + 3 + 2 + 1);
  CHECK_EQ(value, 5);
}

CASE(many_children) {
  enum { COUNT = 200 };
  static pid_t pids[COUNT];
  int gate[2];
  REQUIRE(pipe(gate) == 0);
  int local = 0;
  for (int i = 0; i < COUNT; i++) {
    local = i;
    pids[i] = fork_quietly();
    REQUIRE(pids[i] != -1);
    if (pids[i] == 0) {
      char c;
      close(gate[1]);
      if (read(gate[0], &c, 1) != 0) _exit(255);
      _exit(local & 127);
    }
  }
  close(gate[1]);  // all live until now
  int bad = 0;
  for (int i = COUNT - 1; i >= 0; i--) bad += exit_code(pids[i]) != (i & 127);
  CHECK_EQ(bad, 0);
  close(gate[0]);
}

CASE(one_after_the_other) {
  int bad = 0;
  for (int i = 0; i < 300; i++) {
    const pid_t pid = fork_quietly();
    if (pid == 0) {
      data += i;
      _exit(data & 127);
    }
    bad += exit_code(pid) != ((5 + i) & 127);
  }
  CHECK_EQ(bad, 0);
  CHECK_EQ(data, 5);
}

struct shared {
  pthread_mutex_t mutex;
  sem_t semaphore;
  long count;
  int turn;
};

CASE(shared_memory_is_shared) {
  enum { CHILDREN = 4, ROUNDS = 500 };
  struct shared* shared =
      mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(shared != MAP_FAILED);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&shared->mutex, &attributes);
  sem_init(&shared->semaphore, 1, 0);
  pid_t pids[CHILDREN];
  for (int i = 0; i < CHILDREN; i++) {
    pids[i] = fork_quietly();
    if (pids[i] == 0) {
      for (int round = 0; round < ROUNDS; round++) {
        pthread_mutex_lock(&shared->mutex);
        shared->count++;
        if (round % 50 == 0) sched_yield();
        pthread_mutex_unlock(&shared->mutex);
      }
      sem_post(&shared->semaphore);
      _exit(0);
    }
  }
  for (int i = 0; i < CHILDREN; i++) CHECK_OK(sem_wait(&shared->semaphore));
  for (int i = 0; i < CHILDREN; i++) CHECK_EQ(exit_code(pids[i]), 0);
  CHECK_EQ(shared->count, CHILDREN * ROUNDS);
  munmap(shared, PAGE);
}

CASE(shared_file_and_private_file) {
  check_enter_scratch();
  const int fd = open("file", O_RDWR | O_CREAT, 0600);
  CHECK_EQ(write(fd, "0123456789", 10), 10);
  char* shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char* private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  private[1] = 'P';
  const pid_t pid = fork_quietly();
  if (pid == 0) {
    shared[2] = 'S';
    private[3] = 'C';
    _exit(private[1] == 'P' && private[2] == '2' ? 0 : 1);
  }
  CHECK_EQ(exit_code(pid), 0);
  CHECK_EQ(shared[2], 'S');
  CHECK_EQ(private[3], '3');
  CHECK_EQ(private[1], 'P');
  char content[11] = "";
  CHECK_EQ(pread(fd, content, 10, 0), 10);
  CHECK_STR(content, "01S3456789");
  munmap(shared, PAGE);
  munmap(private, PAGE);
  close(fd);
}

static sigjmp_buf escape;
static void on_fault(int signal) { siglongjmp(escape, signal); }

static int access_faults(volatile char* at, int write) {
  struct sigaction action = {.sa_handler = on_fault}, old;
  sigaction(SIGSEGV, &action, &old);
  const int signal = sigsetjmp(escape, 1);
  if (signal == 0) {
    if (write)
      *at = 1;
    else
      (void)*at;
  }
  sigaction(SIGSEGV, &old, NULL);
  return signal;
}

CASE(maps_change_for_one_only) {
  char* memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 8; i++) memory[i * PAGE] = (char)('a' + i);
  int to_child[2], to_parent[2];
  REQUIRE(pipe(to_child) == 0 && pipe(to_parent) == 0);
  const pid_t pid = fork_quietly();
  char c = 0;
  close(pid == 0 ? to_child[1] : to_child[0]);
  close(pid == 0 ? to_parent[0] : to_parent[1]);
  if (pid == 0) {
    if (munmap(memory, PAGE)) _exit(1);
    if (mprotect(memory + PAGE, PAGE, PROT_READ)) _exit(2);
    if (mprotect(memory + 2 * PAGE, PAGE, PROT_NONE)) _exit(3);
    if (mmap(memory + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != memory + 3 * PAGE)
      _exit(4);
    if (memory[3 * PAGE] != 0) _exit(5);
    memory[3 * PAGE] = 'X';
    if (madvise(memory + 4 * PAGE, PAGE, MADV_DONTNEED) || memory[4 * PAGE] != 0) _exit(6);
    for (int round = 0; round < 2; round++) {
      if (access_faults(memory, 0) != SIGSEGV) _exit(10);
      if (access_faults(memory + PAGE, 1) != SIGSEGV || memory[PAGE] != 'b') _exit(11);
      if (access_faults(memory + 2 * PAGE, 0) != SIGSEGV) _exit(12);
      if (memory[3 * PAGE] != 'X' || memory[4 * PAGE] != 0 || memory[5 * PAGE] != 'f') _exit(13);
      if (write(to_parent[1], "x", 1) != 1 || read(to_child[0], &c, 1) != 1) _exit(14);
    }
    if (mprotect(memory + 2 * PAGE, PAGE, PROT_READ) || memory[2 * PAGE] != 'c') _exit(15);
    if (munmap(memory, 8 * PAGE)) _exit(16);
    _exit(0);
  }
  for (int round = 0; round < 2; round++) {
    CHECK_EQ(read(to_parent[0], &c, 1), 1);
    for (int i = 0; i < 8; i++) CHECK_EQ(memory[i * PAGE], 'a' + i);
    for (int i = 0; i < 5; i++) CHECK_EQ(access_faults(memory + i * PAGE + 1, 1), 0);
    CHECK_EQ(write(to_child[1], "x", 1), 1);
  }
  CHECK_EQ(exit_code(pid), 0);
  for (int i = 0; i < 8; i++) CHECK_EQ(memory[i * PAGE], 'a' + i);
  munmap(memory, 8 * PAGE);
  close(to_child[1]);
  close(to_parent[0]);
}

CASE(heaps_grow_apart) {
  char* before = sbrk(0);
  const pid_t pid = fork_quietly();
  if (pid == 0) {
    if (sbrk(10 * PAGE) != before) _exit(1);
    memset(before, 'c', 10 * PAGE);
    if (sbrk(-5 * PAGE) != before + 10 * PAGE) _exit(2);
    if (sbrk(5 * PAGE) != before + 5 * PAGE) _exit(3);
    _exit(before[0] == 'c' && before[6 * PAGE] == 0 ? 0 : 4);
  }
  CHECK(sbrk(20 * PAGE) == before);
  int used = 0;
  for (int i = 0; i < 20 * PAGE; i++) used += before[i] != 0;
  CHECK_EQ(used, 0);
  memset(before, 'p', 20 * PAGE);
  CHECK_EQ(exit_code(pid), 0);
  for (int i = 0; i < 20 * PAGE; i++) used += before[i] != 'p';
  CHECK_EQ(used, 0);
  CHECK(sbrk(-20 * PAGE) == before + 20 * PAGE);
}

static void* count_up(void* stop) {
  volatile long* counts = malloc(2 * sizeof(long));
  counts[0] = counts[1] = 0;
  while (!__atomic_load_n((int*)stop, __ATOMIC_RELAXED)) {
    counts[0]++;
    counts[1]++;
  }
  return (void*)counts;
}

// The child has the calling thread only, and the memory of one moment.
CASE(from_a_process_with_threads) {
  int stop = 0;
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) REQUIRE(pthread_create(&threads[i], NULL, count_up, &stop) == 0);
  for (int i = 0; i < 20; i++) {
    const pid_t pid = fork_quietly();
    if (pid == 0) {
      char* memory = malloc(100000);  // malloc's locks are not held by threads that are gone
      memset(memory, 1, 100000);
      _exit(syscall(SYS_gettid) == getpid() ? 0 : 1);
    }
    CHECK_EQ(exit_code(pid), 0);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < 3; i++) {
    void* counts;
    pthread_join(threads[i], &counts);
    CHECK_EQ(((long*)counts)[0], ((long*)counts)[1]);
  }
}

static void* fork_here(void* result) {
  const pid_t pid = fork();
  if (pid == 0) _exit(9);
  *(int*)result = exit_code(pid);
  return NULL;
}

CASE(by_several_threads_at_once) {
  pthread_t threads[4];
  int results[4];
  fflush(stdout);
  for (int i = 0; i < 4; i++)
    REQUIRE(pthread_create(&threads[i], NULL, fork_here, &results[i]) == 0);
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    CHECK_EQ(results[i], 9);
  }
}

static void* twice(void* value) { return (void*)((long)value * 2); }

CASE(the_child_makes_threads) {
  const pid_t pid = fork_quietly();
  if (pid == 0) {
    pthread_t threads[4];
    long sum = 0;
    for (long i = 0; i < 4; i++)
      if (pthread_create(&threads[i], NULL, twice, (void*)i)) _exit(255);
    for (int i = 0; i < 4; i++) {
      void* result;
      pthread_join(threads[i], &result);
      sum += (long)result;
    }
    _exit((int)sum);
  }
  CHECK_EQ(exit_code(pid), 12);
}

static volatile int handled;
static void on_signal(int signal) { handled = signal; }

CASE(what_the_child_inherits) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, NULL);
  sigset_t blocked, pending;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  raise(SIGUSR2);
  alarm(100);
  const pid_t parent = getpid();
  const pid_t pid = fork_quietly();
  if (pid == 0) {
    if (getppid() != parent || alarm(0) != 0) _exit(1);  // alarms are not inherited
    sigpending(&pending);
    if (sigismember(&pending, SIGUSR2)) _exit(2);
    sigprocmask(SIG_BLOCK, NULL, &pending);
    if (!sigismember(&pending, SIGUSR2)) _exit(3);
    raise(SIGUSR1);
    _exit(handled == SIGUSR1 ? 0 : 4);
  }
  CHECK_EQ(exit_code(pid), 0);
  CHECK_EQ(handled, 0);
  CHECK(alarm(0) > 0);
  sigpending(&pending);
  CHECK(sigismember(&pending, SIGUSR2));
  signal(SIGUSR2, SIG_IGN);
  sigprocmask(SIG_UNBLOCK, &blocked, NULL);
  signal(SIGUSR2, SIG_DFL);
  signal(SIGUSR1, SIG_DFL);
}

// A child that outlives its parent: it gets another one and goes on.
CASE(a_child_outlives_its_parent) {
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
  int result[2];
  REQUIRE(pipe(result) == 0);
  char* memory = malloc(50 * PAGE);
  memset(memory, 'm', 50 * PAGE);
  const pid_t pid = fork_quietly();
  if (pid == 0) {
    const pid_t parent = getpid();
    memory[PAGE] = '1';
    if (fork() == 0) {
      while (getppid() == parent) sched_yield();
      const char seen[2] = {memory[0], memory[PAGE]};
      memory[0] = '2';
      _exit(write(result[1], seen, 2) == 2 && memory[0] == '2' ? 3 : 1);
    }
    _exit(0);
  }
  CHECK_EQ(exit_code(pid), 0);
  char seen[3] = "";
  CHECK_EQ(read(result[0], seen, 2), 2);
  CHECK_STR(seen, "m1");
  int status;
  CHECK(wait(&status) > 0);
  CHECK_EQ(WEXITSTATUS(status), 3);
  CHECK_EQ(memory[0], 'm');
  free(memory);
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 0));
}

CASE(exec_in_the_child) {
  extern char** environ;
  for (int i = 0; i < 20; i++) {
    const pid_t pid = fork_quietly();
    if (pid == 0) {
      char number[10];
      snprintf(number, sizeof number, "%d", i);
      execl(check_sibling("child.pie"), "child", "exit", number, (char*)NULL);
      _exit(255);
    }
    CHECK_EQ(exit_code(pid), i);
  }
  CHECK_STR(text, "text");
}

// vfork's and posix_spawn's children of a forked child; a program at the addresses of its own ancestors.
CASE(spawn_from_the_child) {
  extern char** environ;
  const pid_t pid = fork_quietly();
  if (pid == 0) {
    char* argv[] = {"child", "exit", "33", NULL};
    pid_t grandchild;
    if (posix_spawn(&grandchild, check_sibling("child.pie"), NULL, NULL, argv, environ)) _exit(1);
    if (exit_code(grandchild) != 33) _exit(2);
    const pid_t other = vfork();
    if (other == 0) {
      execv(check_sibling("child.pie"), argv);
      _exit(3);
    }
    _exit(exit_code(other) == 33 ? 0 : 4);
  }
  CHECK_EQ(exit_code(pid), 0);
}

CASE(this_very_program_many_times) {
  extern char** environ;
  char* argv[] = {(char*)check_program, "each_has_its_own_memory", NULL};
  pid_t pids[3];
  int null = open("/dev/null", O_WRONLY);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, null, 1);
  for (int i = 0; i < 3; i++)
    CHECK_EQ(posix_spawn(&pids[i], check_program, &actions, NULL, argv, environ), 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(exit_code(pids[i]), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(null);
}

CASE(clone_with_the_flags_of_libraries) {
  int child_tid = -1, parent_tid = -1;
  fflush(stdout);
  const long pid =
      syscall(SYS_clone, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID | SIGCHLD,
              0, &parent_tid, &child_tid, 0);
  if (pid == 0) _exit(child_tid == getpid() ? 0 : 1);
  CHECK_EQ(parent_tid, pid);
  CHECK_EQ(child_tid, -1);
  CHECK_EQ(exit_code((pid_t)pid), 0);
  int pidfd = -1;
  const long other = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0);
  if (other == 0) _exit(4);
  struct pollfd ready = {.fd = pidfd, .events = POLLIN};
  CHECK_EQ(poll(&ready, 1, -1), 1);
  CHECK_EQ(exit_code((pid_t)other), 4);
  close(pidfd);
}

CASE(descriptors_share_their_position) {
  check_enter_scratch();
  const int fd = open("file", O_RDWR | O_CREAT, 0600);
  CHECK_EQ(write(fd, "abcdef", 6), 6);
  CHECK_EQ(lseek(fd, 1, SEEK_SET), 1);
  const pid_t pid = fork_quietly();
  char c;
  if (pid == 0) {
    if (read(fd, &c, 1) != 1 || c != 'b') _exit(1);
    close(fd);
    _exit(0);
  }
  CHECK_EQ(exit_code(pid), 0);
  CHECK_EQ(read(fd, &c, 1), 1);
  CHECK_EQ(c, 'c');
  close(fd);
}

// Killed at any moment: the others go on.
CASE(killed_at_random_moments) {
  unsigned char* memory =
      mmap(NULL, 200 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(memory, 1, 200 * PAGE);
  unsigned seed = 1;
  for (int i = 0; i < 60; i++) {
    const pid_t pid = fork_quietly();
    if (pid == 0) {
      for (;;) {
        for (int page = 0; page < 200; page++) memory[page * PAGE]++;
        const pid_t other = fork();
        if (other == 0) _exit(memory[0]);
        waitpid(other, NULL, 0);
      }
    }
    seed = seed * 1103515245 + 12345;
    for (unsigned spin = 0; spin < (seed >> 16) % 300; spin++) sched_yield();
    CHECK_OK(kill(pid, SIGKILL));
    CHECK_EQ(exit_code(pid), 1000 + SIGKILL);
    int bad = 0;
    for (int at = 0; at < 200 * PAGE; at += 256) bad += memory[at] != 1;
    CHECK_EQ(bad, 0);
  }
  munmap(memory, 200 * PAGE);
}

// madvise(2): what a child does not get, and what it gets empty. A split area keeps its advice.
CASE(withheld_from_the_child) {
  char* memory = mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  memset(memory, 7, 6 * PAGE);
  CHECK_OK(madvise(memory + PAGE, 2 * PAGE, MADV_WIPEONFORK));
  CHECK_OK(madvise(memory + 4 * PAGE, 2 * PAGE, MADV_DONTFORK));
  CHECK_OK(mprotect(memory + 5 * PAGE, PAGE, PROT_READ));
  pid_t pid = fork_quietly();
  if (pid == 0) {
    unsigned char there[6];
    const int kept = memory[0] == 7 && memory[3 * PAGE] == 7;
    const int wiped = memory[PAGE] == 0 && memory[2 * PAGE] == 0;
    const int gone = mincore(memory + 4 * PAGE, PAGE, there) != 0 &&
                     mincore(memory + 5 * PAGE, PAGE, there) != 0;
    _exit(kept | wiped << 1 | gone << 2);
  }
  CHECK_EQ(exit_code(pid), 7);
  CHECK_EQ(memory[PAGE] + memory[4 * PAGE] + memory[5 * PAGE], 21);
  CHECK_OK(madvise(memory + PAGE, 5 * PAGE, MADV_KEEPONFORK));
  CHECK_OK(madvise(memory + PAGE, 5 * PAGE, MADV_DOFORK));
  pid = fork_quietly();
  if (pid == 0) _exit(memory[PAGE] + memory[4 * PAGE] + memory[5 * PAGE]);
  CHECK_EQ(exit_code(pid), 21);
  munmap(memory, 6 * PAGE);
}

CHECK_MAIN
