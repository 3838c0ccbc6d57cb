// What the process tests start: `child MODE [ARGUMENT...]` does one thing and ends.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;

static void print_fds(void) {
  for (int fd = 0; fd < 100; fd++) {
    if (fcntl(fd, F_GETFD) != -1) printf("fd %d\n", fd);
  }
}

static void print_signals(void) {
  sigset_t mask;
  sigprocmask(SIG_BLOCK, NULL, &mask);
  for (int i = 1; i < 32; i++) {
    struct sigaction action;
    if (sigaction(i, NULL, &action) == -1) continue;
    if (action.sa_handler == SIG_IGN) printf("signal %d ignored\n", i);
    if (action.sa_handler != SIG_IGN && action.sa_handler != SIG_DFL)
      printf("signal %d handled\n", i);
    if (sigismember(&mask, i)) printf("signal %d blocked\n", i);
  }
}

static void nap(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

// Writes two pages over the file's first ones; of the first there are some bytes, then nothing is mapped.
static int write_half_a_page(const char* path) {
  enum { PAGE = 4096 };
  char* two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int file = open(path, O_WRONLY);
  if (two == MAP_FAILED || file == -1 || munmap(two + PAGE, PAGE) != 0) return 1;
  memset(two, 'n', PAGE);
  printf("%zd\n", write(file, two + PAGE / 2, 2 * PAGE));
  return close(file);
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "";
  const char* word = argc > 2 ? argv[2] : "";
  if (strcmp(mode, "exit") == 0) _exit(atoi(word));
  if (strcmp(mode, "signal") == 0) {
    signal(atoi(word), SIG_DFL);
    raise(atoi(word));
    return 99;
  }
  if (strcmp(mode, "crash") == 0) *(volatile int*)16 = 1;
  if (strcmp(mode, "args") == 0) {
    printf("argc %d, argv[0] [%s]\n", argc, argv[0]);
    for (int i = 2; i < argc; i++) printf("[%s]\n", argv[i]);
  }
  if (strcmp(mode, "count") == 0) {
    size_t bytes = 0;
    for (int i = 0; i < argc; i++) bytes += strlen(argv[i]);
    printf("%d arguments, %zu bytes\n", argc, bytes);
  }
  if (strcmp(mode, "env") == 0) {
    for (char** e = environ; *e; e++) printf("%s\n", *e);
  }
  if (strcmp(mode, "fds") == 0) print_fds();
  if (strcmp(mode, "signals") == 0) print_signals();
  if (strcmp(mode, "sleep") == 0) nap(atol(word));
  if (strcmp(mode, "stop") == 0) raise(SIGSTOP);
  if (strcmp(mode, "ppid") == 0) return getppid() == atoi(word) ? 0 : 1;
  if (strcmp(mode, "cwd") == 0) {
    char path[512];
    printf("%s\n", getcwd(path, sizeof path) ? strrchr(path, '/') : "?");
  }
  if (strcmp(mode, "cat") == 0) {
    char buffer[65536];
    ssize_t n;
    while ((n = read(0, buffer, sizeof buffer)) > 0) {
      for (ssize_t done = 0, w; done < n; done += w) {
        if ((w = write(1, buffer + done, n - done)) < 0) return 1;
      }
    }
  }
  if (strcmp(mode, "yes") == 0) {
    for (;;) {
      if (write(1, "yes\n", 4) < 0) return 3;
    }
  }
  if (strcmp(mode, "orphan") == 0) {
    // Ends at once and leaves a child behind that says so later on the inherited pipe.
    pid_t pid = vfork();
    if (pid == 0) {
      execl(argv[0], argv[0], "late", word, NULL);
      _exit(1);
    }
  }
  if (strcmp(mode, "late") == 0) {
    nap(atol(word));
    printf("late %s\n", getppid() > 0 ? "with a parent" : "without");
  }
  if (strcmp(mode, "half") == 0) return write_half_a_page(word);
  if (strcmp(mode, "exec") == 0) {
    execv(word, argv + 2);
    return errno;
  }
  return 0;
}
