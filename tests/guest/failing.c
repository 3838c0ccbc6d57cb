// Runs a program of which allocations in the LibOS fail, in many ways, and looks for what is left behind.
//
//     failing ROUNDS SEED PROGRAM [ARGUMENT...]
//
// Each round starts PROGRAM marked with make-it-fail (so all its threads and children are) and takes whatever comes:
// its test may fail, it may be killed. In most rounds one allocation fails: all in turn if there are no more than
// ROUNDS, else random ones. In every fourth round many do. With FAILING_PAGES in the environment it is pages that fail, not
// allocations from the heap. Afterwards the LibOS must have as many objects as before. And allocations must really have
// failed. Natively there is nothing to do. This is no guest test: see tests/programs/hard_times.py.
#include <fcntl.h>
#include <ftw.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "counts.h"
#include "knobs.h"

struct kind {
  const char *times, *probability, *interval, *requests, *failures;
};
static const struct kind heap = {"/proc/occlum/failslab/times", "/proc/occlum/failslab/probability",
                                 "/proc/occlum/failslab/interval", "memory.heap_requests",
                                 "memory.heap_failures"};
static const struct kind pages = {
    "/proc/occlum/fail_page_alloc/times", "/proc/occlum/fail_page_alloc/probability",
    "/proc/occlum/fail_page_alloc/interval", "memory.page_requests", "memory.page_failures"};
static const struct kind* kind = &heap;

static uint64_t seed;
static int64_t patience_ns = 60000000000;

static uint64_t next_random(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

static int remove_entry(const char* path, const struct stat* status, int type, struct FTW* where) {
  (void)status, (void)type, (void)where;
  remove(path);
  return 0;
}

static void silence(void) {
  int null = open("/dev/null", O_RDWR), out = null;
  const char* path = getenv("FAILING_OUTPUT");  // for whoever looks for the reason
  if (path != NULL) out = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(null, 0);
  dup2(out, 1);
  dup2(out, 2);
  if (null > 2) close(null);
  if (out > 2) close(out);
}

// Children of the program that it left come to us.
static void kill_the_rest(void) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
  for (;;) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd == -1 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0) break;
    text[size] = '\0';
    char* rest = text;
    for (long pid; (pid = strtol(rest, &rest, 10)) > 0;) kill((pid_t)pid, SIGKILL);
    if (waitpid(-1, NULL, __WALL) == -1) break;
  }
}

static void print_file(const char* path) {
  char text[256];
  FILE* file = fopen(path, "r");
  if (file == NULL) return;
  if (fgets(text, sizeof text, file)) fprintf(stderr, "  %s: %.60s\n", path, text);
  fclose(file);
}

// Where the threads of a program that does not end wait.
static void print_places(void) {
  DIR* directory = opendir("/proc");
  REQUIRE(directory != NULL);
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;) {
    const int pid = atoi(entry->d_name);
    if (pid <= 1 || pid == getpid()) continue;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR* threads = opendir(path);
    for (struct dirent* each; threads != NULL && (each = readdir(threads)) != NULL;) {
      const int thread = atoi(each->d_name);
      if (thread == 0) continue;
      snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, thread);
      print_file(path);
      snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", pid, thread);
      print_file(path);
    }
    if (threads != NULL) closedir(threads);
  }
  closedir(directory);
}

// Starts the program, with a directory of its own. What it leaves behind is killed and removed. Returns the wait status,
// or -1 if it did not end.
static int run(char** arguments) {
  int status = 0, awaited = 0;
  char directory[] = "/tmp/failing-XXXXXX";
  REQUIRE(mkdtemp(directory) != NULL);
  setenv("TMPDIR", directory, 1);
  setenv("GUEST_WORD", "a word from the environment", 1);
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    silence();
    if (chdir(directory) == -1) _exit(124);
    if (write_number("/proc/self/make-it-fail", 1) == -1) _exit(125);
    execv(arguments[0], arguments);
    _exit(126);
  }
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  const int64_t end = check_now_ns() + patience_ns;
  while ((awaited = waitpid(pid, &status, WNOHANG)) == 0) {
    const int64_t left = end - check_now_ns();
    if (left <= 0) break;
    const struct timespec time = {left / 1000000000, left % 1000000000};
    sigtimedwait(&child, NULL, &time);
  }
  if (awaited == 0) {
    print_places();
    kill(pid, SIGKILL);
    REQUIRE(waitpid(pid, NULL, 0) == pid);
    status = -1;
  }
  kill(-pid, SIGKILL);
  kill_the_rest();
  const struct timespec none = {0, 0};
  while (sigtimedwait(&child, NULL, &none) != -1) {  // what told of them is an object, too
  }
  nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  return status;
}

static void arm(long interval, long probability, long times) {
  REQUIRE(write_number(kind->times, times) == 0);
  REQUIRE(write_number(kind->probability, probability) == 0);
  REQUIRE(write_number(kind->interval, interval) == 0);
}

// About how many allocations a whole run makes, and how long it takes.
static unsigned allocations(char** arguments) {
  arm(1, 0, 0);
  run(arguments);
  const long before = statistic(kind->requests);
  const int64_t start = check_now_ns();
  run(arguments);
  patience_ns = 3 * (check_now_ns() - start) + 4000000000;
  const long most = statistic(kind->requests) - before;
  return most > 0 ? (unsigned)most : 1;
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  check_main_thread = pthread_self();
  setvbuf(stdout, NULL, _IOLBF, 0);
  int rounds = atoi(argv[1]);
  seed = strtoull(argv[2], NULL, 0) * 2654435761u + 88172645463325252ULL;
  char** arguments = argv + 3;
  if (getenv("FAILING_PAGES") != NULL) kind = &pages;
  if (setjmp(check_escape) != 0) return 1;
  if (access("/proc/self/make-it-fail", W_OK) == -1) {
    printf("nothing fails on purpose here\n");
    return 0;
  }
  REQUIRE(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  struct counts before;
  counts_patience_ms = 3000;
  unsigned most = allocations(arguments);
  const long failed_before = statistic(kind->failures);
  counts_read(&before);
  int ended = 0, killed = 0, timed_out = 0, all = rounds >= (int)most;
  if (all) rounds = (int)most;
  for (int i = 0; i < rounds; i++) {
    // Beginnings are tried more often: of a long run most is the same.
    long number = all ? i + 1 : 1 + (long)(next_random() % (next_random() % 4 == 0 ? 200 : most));
    const int many = !all && i % 4 == 3;
    if (many) number = 2 + (long)(next_random() % 300);
    // A short run may have met none so far.
    if (i == rounds - 1 && statistic(kind->failures) == failed_before) number = 1;
    const int earlier = check_failures;
    fprintf(stderr, "failing: %s with %s %ld\n", arguments[0], many ? "each" : "allocation",
            number);
    arm(number, 100, many ? -1 : 1);
    const int status = run(arguments);
    if (status == -1) {
      timed_out++;  // the program waits for what failed; that it can be killed is what counts
    } else if (WIFSIGNALED(status)) {
      killed++;
      fprintf(stderr, "  killed by signal %d\n", WTERMSIG(status));
    } else {
      ended++;
    }
    CHECK_COUNTS(before);
    if (check_failures != earlier) {
      printf("left behind when %s %ld of %u fails\n", many ? "each" : "allocation", number, most);
      counts_read(&before);
    }
  }
  const long failed = statistic(kind->failures) - failed_before;
  CHECK(failed > 0);
  printf(
      "%u allocations; %d rounds: %d ended, %d killed, %d waited in vain; %ld allocations failed, "
      "%d failures\n",
      most, rounds, ended, killed, timed_out, failed, check_failures);
  return check_failures != 0;
}
