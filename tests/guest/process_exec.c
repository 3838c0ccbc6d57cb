// execve(2): what it replaces and what it keeps, scripts, and every way in which it fails.
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

static char child[512];

// The errno with which execve fails in a vfork child, or minus its exit status when it does not fail.
static int exec_error(const char* path, char* const argv[], char* const envp[]) {
  static volatile int error;
  error = 0;
  fflush(stdout);
  pid_t pid = vfork();
  if (pid == 0) {
    execve(path, argv, envp);
    error = errno;
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  if (error) return error;
  return WIFEXITED(status) ? -WEXITSTATUS(status) : -1000 - WTERMSIG(status);
}

static char* none[] = {NULL};
static char* one[] = {"x", NULL};

static void script(const char* path, const char* text) {
  check_write_file(path, text, strlen(text));
  CHECK_OK(chmod(path, 0755));
}

CASE(find) {
  strcpy(child, check_sibling("child.pie"));
  check_enter_scratch();
}

CASE(not_executable) {
  check_write_file("plain", "text", 4);
  CHECK_EQ(exec_error("plain", one, none), EACCES);
  CHECK_EQ(exec_error(".", one, none), EACCES);
  CHECK_EQ(exec_error("missing", one, none), ENOENT);
  CHECK_EQ(exec_error("plain/inside", one, none), ENOTDIR);
  CHECK_EQ(exec_error("", one, none), ENOENT);
  CHECK_EQ(exec_error((const char*)8, one, none), EFAULT);
  CHECK_EQ(exec_error(child, (char**)8, none), EFAULT);
  CHECK_EQ(exec_error(child, one, (char**)8), EFAULT);
}

CASE(not_a_program) {
  script("nonsense", "neither ELF nor script");
  CHECK_EQ(exec_error("nonsense", one, none), ENOEXEC);
  script("empty", "");
  CHECK_EQ(exec_error("empty", one, none), ENOEXEC);
  script("short", "\177ELF");
  CHECK_EQ(exec_error("short", one, none), ENOEXEC);
  // A 64-byte ELF header of another machine (AArch64), and one cut off in its program headers.
  unsigned char header[64] = {0x7f,      'E',       'L',       'F',        2,
                              1,         1,         [16] = 2,  [18] = 183, [20] = 1,
                              [32] = 64, [52] = 64, [54] = 56, [56] = 1};
  check_write_file("other_machine", header, sizeof header);
  chmod("other_machine", 0755);
  CHECK_EQ(exec_error("other_machine", one, none), ENOEXEC);
}

CASE(scripts) {
  char text[600];
  snprintf(text, sizeof text, "#!%s args\nignored\n", child);
  script("script", text);
  char* argv[] = {"script's argv[0]", "first", "second", NULL};
  // The interpreter gets its path, the one argument, the script's path, then argv[1...].
  snprintf(text, sizeof text, "#! %s exit 5\n", child);
  script("exit_script", text);
  CHECK_EQ(exec_error("exit_script", argv, none),
           0);  // "exit 5" is one argument: no mode of that name.
  script("sh_script", "#!/bin/sh\nexit $#\n");
  CHECK_EQ(exec_error("sh_script", argv, none), -2);
  CHECK_EQ(exec_error("./sh_script", one, none), 0);
  script("no_interpreter", "#!/no/such/interpreter\n");
  CHECK_EQ(exec_error("no_interpreter", one, none), ENOENT);
  script("nothing_named", "#!\n");
  CHECK_EQ(exec_error("nothing_named", one, none), ENOEXEC);
  script("loop", "#!./loop\n");
  CHECK_EQ(exec_error("loop", one, none), ELOOP);
  script("nested", "#!./sh_script\n");
  CHECK_EQ(exec_error("nested", argv, none), -3);
}

CASE(too_much) {
  // One string of more than 128 KB, and more strings than a quarter of the stack limit.
  char* big = malloc(200 << 10);
  memset(big, 'x', (200 << 10) - 1);
  big[(200 << 10) - 1] = 0;
  char* argv[] = {"child", big, NULL};
  CHECK_EQ(exec_error(child, argv, none), E2BIG);
  big[100 << 10] = 0;
  enum { kMany = 200 };
  char* many[kMany + 1];
  for (int i = 0; i < kMany; i++) many[i] = big;
  many[kMany] = NULL;
  CHECK_EQ(exec_error(child, many, none), E2BIG);
  CHECK_EQ(exec_error(child, argv, none), 0);
  free(big);
}

CASE(argv_edges) {
  char* argv[] = {"", "args", NULL};
  CHECK_EQ(exec_error(child, argv, none), 0);
  // Without even argv[0] Linux supplies an empty one (since 5.18).
  CHECK_EQ(exec_error(child, none, none), 0);
  CHECK_EQ(exec_error(child, NULL, NULL), 0);
}

CASE(symbolic_link_and_relative) {
  CHECK_OK(symlink(child, "link"));
  char* argv[] = {"link", "exit", "6", NULL};
  CHECK_EQ(exec_error("link", argv, none), -6);
  CHECK_EQ(exec_error("../././../dev/../bin/true", one, none), ENOENT);
  CHECK_EQ(exec_error("/../bin/true", one, none), 0);
}

CASE(by_descriptor) {
  int fd = open(child, O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  static volatile int error;
  char* argv[] = {"child", "exit", "8", NULL};
  pid_t pid = vfork();
  if (pid == 0) {
    syscall(SYS_execveat, fd, "", argv, none, AT_EMPTY_PATH);
    error = errno;
    _exit(1);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(error, 0);
  CHECK_EQ(WEXITSTATUS(status), 8);
  close(fd);
}

CASE(exec_chain) {
  // A process that replaces itself twice keeps its process id.
  char* argv[] = {child, "exec", child, "exec", child, "exit", "11", NULL};
  CHECK_EQ(exec_error(child, argv, none), -11);
}

static void* other_thread(void* unused) {
  for (;;) check_sleep_ms(1000);
  return unused;
}

// With an argument the program replaces itself while other threads run: they end, the process goes on.
int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "threads") == 0) {
    pthread_t thread;
    for (int i = 0; i < 4; i++) {
      if (pthread_create(&thread, NULL, other_thread, NULL) != 0) return 1;
    }
    check_sleep_ms(20);
    execl(argv[2], "child", "exit", "13", NULL);
    return 2;
  }
  return check_main(argc, argv);
}

CASE(exec_ends_the_other_threads) {
  char* argv[] = {"process_exec", "threads", child, NULL};
  CHECK_EQ(exec_error(check_sibling("process_exec.pie"), argv, none), -13);
}
