// Runs a program whose N-th allocation in the LibOS fails, for many N, and looks for what is left behind.
//
//     failing ROUNDS SEED PROGRAM [ARGUMENT...]
//
// Each round starts PROGRAM with a random N, or all N in turn if there are no more than ROUNDS (proc(5), fail-nth: of
// the thread that executes it and is its first one), and takes whatever comes: its test may fail, it may be killed. Afterwards the LibOS must have as many objects as
// before. Without fail-nth (natively) there is nothing to do. This is no guest test: see tests/programs/hard_times.py.
#include <fcntl.h>
#include <ftw.h>
#include <sys/wait.h>

#include "counts.h"

static uint64_t seed;

static uint64_t next_random(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

static int write_fail_nth(unsigned number) {
  char text[16];
  int fd = open("/proc/thread-self/fail-nth", O_WRONLY | O_CLOEXEC);
  if (fd == -1) return -1;
  int size = snprintf(text, sizeof text, "%u\n", number);
  int written = (int)write(fd, text, (size_t)size);
  close(fd);
  return written == size ? 0 : -1;
}

static long heap_requests(void) {
  FILE* file = fopen("/proc/occlum/stats", "r");
  if (file == NULL) return 0;
  char name[64];
  long value = 0, found = 0;
  while (fscanf(file, "%63s %ld", name, &value) == 2)
    if (strcmp(name, "memory.heap_requests") == 0) found = value;
  fclose(file);
  return found;
}

static int remove_entry(const char* path, const struct stat* status, int type, struct FTW* where) {
  (void)status, (void)type, (void)where;
  remove(path);
  return 0;
}

static void silence(void) {
  int null = open("/dev/null", O_RDWR);
  dup2(null, 0);
  dup2(null, 1);
  dup2(null, 2);
  if (null > 2) close(null);
}

// Starts the program, with a directory of its own. What it leaves behind is killed and removed.
static int run(char** arguments, unsigned number) {
  int status = 0;
  char directory[] = "/tmp/failing-XXXXXX";
  REQUIRE(mkdtemp(directory) != NULL);
  setenv("TMPDIR", directory, 1);
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    setsid();
    silence();
    if (chdir(directory) == -1) _exit(124);
    alarm(10);
    if (write_fail_nth(number) == -1) _exit(125);
    execv(arguments[0], arguments);
    _exit(126);
  }
  REQUIRE(waitpid(pid, &status, 0) == pid);
  kill(-pid, SIGKILL);
  nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  return status;
}

// About how many allocations a whole run makes.
static unsigned allocations(char** arguments) {
  run(arguments, 1 << 30);
  long before = heap_requests();
  run(arguments, 1 << 30);
  long most = heap_requests() - before;
  return most > 0 ? (unsigned)most : 1;
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  check_main_thread = pthread_self();
  setvbuf(stdout, NULL, _IOLBF, 0);
  int rounds = atoi(argv[1]);
  seed = strtoull(argv[2], NULL, 0) * 2654435761u + 88172645463325252ULL;
  char** arguments = argv + 3;
  if (setjmp(check_escape) != 0) return 1;
  if (access("/proc/thread-self/fail-nth", W_OK) == -1) {
    printf("no fail-nth here\n");
    return 0;
  }
  struct counts before;
  counts_patience_ms = 3000;
  unsigned most = allocations(arguments);
  counts_read(&before);
  int ended = 0, killed = 0, timed_out = 0, all = rounds >= (int)most;
  if (all) rounds = (int)most;
  for (int i = 0; i < rounds; i++) {
    // Beginnings are tried more often: of a long run most is the same.
    unsigned number = all ? (unsigned)i + 1
                          : 1 + (unsigned)(next_random() % (next_random() % 4 == 0 ? 200 : most));
    int earlier = check_failures;
    fprintf(stderr, "failing: %s with %u\n", arguments[0], number);
    int status = run(arguments, number);
    if (WIFSIGNALED(status)) {
      killed++;
      // The program itself waits for what failed; that it can be killed is what counts.
      if (WTERMSIG(status) == SIGALRM) timed_out++;
    } else {
      ended++;
    }
    CHECK_COUNTS(before);
    if (check_failures != earlier) {
      printf("left behind when allocation %u of %u fails\n", number, most);
      counts_read(&before);
    }
  }
  printf("%u allocations; %d rounds: %d ended, %d killed (%d waited in vain), %d failures\n", most,
         rounds, ended, killed, timed_out, check_failures);
  return check_failures != 0;
}
