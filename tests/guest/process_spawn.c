// Starting programs: vfork(2) + execve(2), posix_spawn(3) with its file actions and attributes, what is inherited.
// No fork(2) here: that is a later issue's.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "check.h"

extern char** environ;
static char child[512];

static void no_handler(int number) { (void)number; }
static void find_child(void) { strcpy(child, check_sibling("child.pie")); }

static int wait_status(pid_t pid) {
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

static pid_t spawn(char* const argv[], posix_spawn_file_actions_t* actions,
                   posix_spawnattr_t* attributes) {
  pid_t pid = -1;
  fflush(stdout);
  REQUIRE(posix_spawn(&pid, child, actions, attributes, argv, environ) == 0);
  return pid;
}

CASE(find) {
  find_child();
  CHECK_OK(access(child, X_OK));
}

CASE(vfork_exec) {
  pid_t pid = vfork();
  if (pid == 0) {
    execl(child, "child", "exit", "7", NULL);
    _exit(99);
  }
  int status = wait_status(pid);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 7);
}

CASE(vfork_shares_memory_and_stops_the_parent) {
  static volatile int value;
  value = 1;
  pid_t pid = vfork();
  if (pid == 0) {
    value = 2;
    _exit(5);
  }
  CHECK_EQ(value, 2);
  CHECK_EQ(WEXITSTATUS(wait_status(pid)), 5);
}

CASE(vfork_exec_fails) {
  pid_t pid = vfork();
  if (pid == 0) {
    execl("/no/such/program", "x", NULL);
    _exit(errno == ENOENT ? 42 : 43);
  }
  CHECK_EQ(WEXITSTATUS(wait_status(pid)), 42);
}

CASE(arguments_and_environment) {
  char* argv[] = {"any name", "args", "one", "", "with space", "\xff\x01", NULL};
  char* env[] = {"A=1", "EMPTY=", "ODD", NULL};
  pid_t pid;
  REQUIRE(posix_spawn(&pid, child, NULL, NULL, argv, environ) == 0);
  CHECK_EQ(wait_status(pid), 0);
  argv[1] = "env";
  REQUIRE(posix_spawn(&pid, child, NULL, NULL, argv, env) == 0);
  CHECK_EQ(wait_status(pid), 0);
}

CASE(many_arguments) {
  enum { kMany = 5000 };
  char** argv = calloc(kMany + 3, sizeof *argv);
  argv[0] = "child";
  argv[1] = "count";
  for (int i = 0; i < kMany; i++) argv[i + 2] = "0123456789";
  CHECK_EQ(wait_status(spawn(argv, NULL, NULL)), 0);
  free(argv);
}

CASE(file_actions) {
  check_enter_scratch();
  check_write_file("in", "from the file\n", 14);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "in", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "out", O_CREAT | O_WRONLY, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  char* argv[] = {"child", "cat", NULL};
  CHECK_EQ(wait_status(spawn(argv, &actions, NULL)), 0);
  posix_spawn_file_actions_destroy(&actions);
  char text[32] = "";
  int fd = open("out", O_RDONLY);
  CHECK_EQ(read(fd, text, sizeof text - 1), 14);
  CHECK_STR(text, "from the file\n");
  close(fd);
}

CASE(descriptors_inherited) {
  int keep = open("/dev/null", O_RDONLY), gone = open("/dev/null", O_RDONLY | O_CLOEXEC);
  CHECK_EQ(dup2(keep, 20), 20);
  CHECK_EQ(dup3(gone, 21, O_CLOEXEC), 21);
  close(keep);
  close(gone);
  char* argv[] = {"child", "fds", NULL};
  CHECK_EQ(wait_status(spawn(argv, NULL, NULL)), 0);
  CHECK_EQ(fcntl(21, F_GETFD), FD_CLOEXEC);
  close(20);
  close(21);
}

CASE(signals_inherited) {
  signal(SIGUSR1, SIG_IGN);
  signal(SIGUSR2, no_handler);
  sigset_t mask, before;
  sigemptyset(&mask);
  sigaddset(&mask, SIGTERM);
  sigprocmask(SIG_BLOCK, &mask, &before);
  char* argv[] = {"child", "signals", NULL};
  CHECK_EQ(wait_status(spawn(argv, NULL, NULL)), 0);
  printf("with attributes\n");
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGUSR1);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  sigemptyset(&mask);
  sigaddset(&mask, SIGHUP);
  posix_spawnattr_setsigmask(&attributes, &mask);
  CHECK_EQ(wait_status(spawn(argv, NULL, &attributes)), 0);
  posix_spawnattr_destroy(&attributes);
  sigprocmask(SIG_SETMASK, &before, NULL);
  signal(SIGUSR1, SIG_DFL);
  signal(SIGUSR2, SIG_DFL);
}

CASE(directory_inherited) {
  check_enter_scratch();
  CHECK_OK(mkdir("here", 0700));
  CHECK_OK(chdir("here"));
  char* argv[] = {"child", "cwd", NULL};
  CHECK_EQ(wait_status(spawn(argv, NULL, NULL)), 0);
}

CASE(parent_is_known) {
  char number[16];
  snprintf(number, sizeof number, "%d", getpid());
  char* argv[] = {"child", "ppid", number, NULL};
  CHECK_EQ(wait_status(spawn(argv, NULL, NULL)), 0);
}

CASE(spawn_errors) {
  pid_t pid;
  char* argv[] = {"x", NULL};
  CHECK_EQ(posix_spawn(&pid, "/no/such/program", NULL, NULL, argv, environ), ENOENT);
  CHECK_EQ(posix_spawn(&pid, "/", NULL, NULL, argv, environ), EACCES);
  CHECK_EQ(posix_spawnp(&pid, "no-such-program-anywhere", NULL, NULL, argv, environ), ENOENT);
}

CASE(pipeline) {
  // child cat | child cat, fed and read by us: 1 MB through two pipes and two processes.
  int a[2], b[2], c[2];
  REQUIRE(pipe2(a, O_CLOEXEC) == 0 && pipe2(b, O_CLOEXEC) == 0 && pipe2(c, O_CLOEXEC) == 0);
  char* argv[] = {"child", "cat", NULL};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, a[0], 0);
  posix_spawn_file_actions_adddup2(&actions, b[1], 1);
  pid_t first = spawn(argv, &actions, NULL);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, b[0], 0);
  posix_spawn_file_actions_adddup2(&actions, c[1], 1);
  pid_t second = spawn(argv, &actions, NULL);
  posix_spawn_file_actions_destroy(&actions);
  close(a[0]), close(b[0]), close(b[1]), close(c[1]);
  unsigned char out[4096], in[4096];
  size_t sum_out = 0, sum_in = 0;
  for (int i = 0; i < 256; i++) {
    for (int j = 0; j < 4096; j++) sum_out += out[j] = (unsigned char)(i * j);
    CHECK_EQ(write(a[1], out, sizeof out), sizeof out);
    for (ssize_t got = 0, n; got < 4096; got += n)
      REQUIRE((n = read(c[0], in + got, 4096 - got)) > 0);
    for (int j = 0; j < 4096; j++) sum_in += in[j];
  }
  CHECK_EQ(sum_in, sum_out);
  close(a[1]);
  CHECK_EQ(read(c[0], in, 1), 0);
  close(c[0]);
  CHECK_EQ(wait_status(first), 0);
  CHECK_EQ(wait_status(second), 0);
}

CASE(many_in_a_row) {
  for (int i = 0; i < 100 * check_scale(); i++) {
    char number[16];
    snprintf(number, sizeof number, "%d", i);
    char* argv[] = {"child", "exit", number, NULL};
    CHECK_EQ(WEXITSTATUS(wait_status(spawn(argv, NULL, NULL))), i & 255);
  }
}

CASE(many_at_once) {
  enum { kMany = 20 };
  pid_t pids[kMany];
  char* argv[] = {"child", "sleep", "20", NULL};
  for (int i = 0; i < kMany; i++) pids[i] = spawn(argv, NULL, NULL);
  for (int i = 0; i < kMany; i++) CHECK_EQ(wait_status(pids[i]), 0);
}

static void* spawn_from_thread(void* unused) {
  for (int i = 0; i < 10; i++) {
    char* argv[] = {"child", "exit", "3", NULL};
    CHECK_EQ(WEXITSTATUS(wait_status(spawn(argv, NULL, NULL))), 3);
  }
  return unused;
}
CASE(from_several_threads) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    REQUIRE(pthread_create(&threads[i], NULL, spawn_from_thread, NULL) == 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

CASE(system_and_popen) {
  fflush(stdout);
  CHECK_EQ(WEXITSTATUS(system("exit 9")), 9);
  FILE* stream = popen("echo from the shell", "r");
  REQUIRE(stream != NULL);
  char line[64] = "";
  CHECK(fgets(line, sizeof line, stream) != NULL);
  CHECK_STR(line, "from the shell\n");
  CHECK_EQ(pclose(stream), 0);
}

CHECK_MAIN
