// A small test frame for guest programs: plain C, one header, deterministic output.
//
// A program is a list of CASE(name) { ... } bodies and check_main(). Each case prints `ok name`, or what failed and
// `FAILED name`; the exit status says whether all passed. The same binary runs on Linux and in the enclave and the
// runner compares the outputs, so a case prints what it observed only if it is the same on every run.
// `program CASE` runs one case.
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct check_case {
  const char* name;
  void (*run)(void);
};

// When fork() fails a test must not go on to kill everybody. (No test means to.)
__attribute__((unused)) static int check_kill(pid_t pid, int signal) {
  if (pid != -1) return kill(pid, signal);
  errno = ESRCH;
  return -1;
}
#define kill(pid, signal) check_kill(pid, signal)

static struct check_case check_cases[128];
static int check_count;
static int check_failures;
static jmp_buf check_escape;
static pthread_t check_main_thread;
static const char* check_program;

#define CASE(name)                                                        \
  static void case_##name(void);                                          \
  __attribute__((constructor)) static void check_register_##name(void) {  \
    check_cases[check_count++] = (struct check_case){#name, case_##name}; \
  }                                                                       \
  static void case_##name(void)

__attribute__((unused)) static void check_fail(const char* file, int line, const char* what,
                                               long got, long wanted) {
  int error = errno;
  const char* slash = strrchr(file, '/');
  printf("  %s:%d: %s (%ld, %ld; errno %d)\n", slash ? slash + 1 : file, line, what, got, wanted,
         error);
  __atomic_add_fetch(&check_failures, 1, __ATOMIC_SEQ_CST);
}

// After a REQUIRE the rest of the case makes no sense: leave it. Another thread than the first cannot, and ends all.
__attribute__((unused, noreturn)) static void check_leave(void) {
  if (pthread_equal(pthread_self(), check_main_thread)) longjmp(check_escape, 1);
  fflush(stdout);
  _exit(2);
}

#define CHECK(condition)                                                \
  do {                                                                  \
    if (!(condition)) check_fail(__FILE__, __LINE__, #condition, 0, 1); \
  } while (0)

#define CHECK_EQ(expression, value)                                                                \
  do {                                                                                             \
    long got_ = (long)(expression), wanted_ = (long)(value);                                       \
    if (got_ != wanted_) check_fail(__FILE__, __LINE__, #expression " == " #value, got_, wanted_); \
  } while (0)

#define CHECK_STR(expression, value)                                   \
  do {                                                                 \
    const char *got_ = (expression), *wanted_ = (value);               \
    if (strcmp(got_, wanted_) != 0) {                                  \
      check_fail(__FILE__, __LINE__, #expression " is " #value, 0, 0); \
      printf("  it is \"%s\"\n", got_);                                \
    }                                                                  \
  } while (0)

// The call fails (-1) with exactly this errno.
#define CHECK_ERRNO(call, wanted_errno)                                                          \
  do {                                                                                           \
    errno = 0;                                                                                   \
    long result_ = (long)(call);                                                                 \
    if (result_ != -1 || errno != (wanted_errno))                                                \
      check_fail(__FILE__, __LINE__, #call " fails with " #wanted_errno, result_, wanted_errno); \
  } while (0)

// The call does not return -1.
#define CHECK_OK(call)                                                                \
  do {                                                                                \
    if ((long)(call) == -1) check_fail(__FILE__, __LINE__, #call " succeeds", -1, 0); \
  } while (0)

#define REQUIRE(condition)                              \
  do {                                                  \
    if (!(condition)) {                                 \
      check_fail(__FILE__, __LINE__, #condition, 0, 1); \
      check_leave();                                    \
    }                                                   \
  } while (0)

// How many times the usual rounds a stress run asks for.
__attribute__((unused)) static int check_scale(void) {
  const char* scale = getenv("GUEST_SCALE");
  return scale && atoi(scale) > 0 ? atoi(scale) : 1;
}

// A fresh directory on the scratch file system becomes the working directory.
__attribute__((unused)) static void check_enter_scratch(void) {
  const char* base = getenv("TMPDIR");
  char path[256];
  snprintf(path, sizeof path, "%s/guest-XXXXXX", base ? base : "/tmp");
  REQUIRE(mkdtemp(path) != NULL);
  REQUIRE(chdir(path) == 0);
}

// A file beside this program: `check_sibling("child.pie")`. The result is valid until the next call.
__attribute__((unused)) static const char* check_sibling(const char* name) {
  static char path[512];
  const char* slash = strrchr(check_program, '/');
  snprintf(path, sizeof path, "%.*s%s", slash ? (int)(slash + 1 - check_program) : 0, check_program,
           name);
  return path;
}

__attribute__((unused)) static void check_write_file(const char* path, const void* data,
                                                     size_t size) {
  FILE* file = fopen(path, "w");
  REQUIRE(file != NULL);
  REQUIRE(fwrite(data, 1, size, file) == size);
  REQUIRE(fclose(file) == 0);
}

// All of a file that does not tell its size, as a string: its length, or a negative errno.
__attribute__((unused)) static long check_read_text(const char* path, char* text, size_t room) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return -errno;
  size_t size = 0;
  for (ssize_t n; size < room - 1 && (n = read(fd, text + size, room - 1 - size)) > 0;)
    size += (size_t)n;
  text[size] = 0;
  close(fd);
  return (long)size;
}

// The number in a line of /proc/self/status, such as VmRSS (kB); -1: there is none.
__attribute__((unused)) static long check_status(const char* name) {
  FILE* file = fopen("/proc/self/status", "r");
  REQUIRE(file != NULL);
  char line[256];
  long value = -1;
  const size_t length = strlen(name);
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, name, length) == 0 && line[length] == ':') value = atol(line + length + 1);
  }
  fclose(file);
  return value;
}

// Runs it in a child; the wait status, 0 when nothing was found wrong.
__attribute__((unused)) static int check_in_child(void (*run)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    check_failures = 0;
    run();
    fflush(stdout);
    _exit(check_failures != 0);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

__attribute__((unused)) static int64_t check_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

__attribute__((unused)) static void check_sleep_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&time, &time) == -1 && errno == EINTR) {
  }
}

// Waits until all other threads of this process sleep (proc_pid_stat(5)): until those that were on their way into a call
// that blocks are there.
__attribute__((unused)) static void check_until_others_sleep(void) {
  for (int awake = 1; awake != 0;) {
    DIR* tasks = opendir("/proc/self/task");
    if (tasks == NULL) check_fail(__FILE__, __LINE__, "/proc/self/task opens", 0, 1);
    if (tasks == NULL) return;
    awake = 0;
    for (struct dirent* task; (task = readdir(tasks)) != NULL;) {
      char path[300], text[200] = "";
      if (task->d_name[0] == '.' || atol(task->d_name) == syscall(SYS_gettid)) continue;
      snprintf(path, sizeof path, "/proc/self/task/%s/stat", task->d_name);
      FILE* file = fopen(path, "r");
      if (file == NULL) continue;  // it has ended
      if (fgets(text, sizeof text, file) == NULL) text[0] = 0;
      fclose(file);
      const char* name_end = strrchr(text, ')');
      if (name_end != NULL && strchr("SZX", name_end[2]) == NULL) awake = 1;
    }
    closedir(tasks);
    if (awake) check_sleep_ms(1);
  }
}

// In a function of its own, so that longjmp finds no changed local variable.
__attribute__((unused, noinline)) static void check_run_case(void (*run)(void)) {
  if (setjmp(check_escape) == 0) run();
}

__attribute__((unused)) static int check_main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  check_main_thread = pthread_self();
  check_program = argv[0];
  int ran = 0;
  for (int i = 0; i < check_count; i++) {
    if (argc > 1 && strcmp(argv[1], check_cases[i].name) != 0) continue;
    int before = check_failures;
    check_run_case(check_cases[i].run);
    printf("%s %s\n", check_failures == before ? "ok" : "FAILED", check_cases[i].name);
    ran++;
  }
  printf("%d cases\n", ran);
  return check_failures || ran == 0;
}

// Most programs are nothing but cases.
#define CHECK_MAIN \
  int main(int argc, char** argv) { return check_main(argc, argv); }
