// Runs a program whose N-th allocation in the LibOS fails, for many N, and looks for what is left behind.
//
//     failing ROUNDS SEED PROGRAM [ARGUMENT...]
//
// Each round starts PROGRAM with a random N (proc(5), fail-nth: of the thread that executes it and is its first one),
// and takes whatever comes: its test may fail, it may be killed. Afterwards the LibOS must have as many objects as
// before. Without fail-nth (natively) there is nothing to do. This is no guest test: see tests/programs/hard_times.py.
#include <fcntl.h>
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

// What is left of the number: how many allocations there were.
static unsigned read_fail_nth(pid_t pid) {
  char path[64];
  unsigned number = 0;
  snprintf(path, sizeof path, "/proc/%d/fail-nth", (int)pid);
  FILE* file = fopen(path, "r");
  if (file == NULL) return 0;
  if (fscanf(file, "%u", &number) != 1) number = 0;
  fclose(file);
  return number;
}

static void silence(void) {
  int null = open("/dev/null", O_RDWR);
  dup2(null, 0);
  dup2(null, 1);
  dup2(null, 2);
  if (null > 2) close(null);
}

// Starts the program; everything it leaves behind is killed, it being the reaper's.
static int run(char** arguments, unsigned number) {
  int status = 0;
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    setsid();
    silence();
    alarm(60);
    if (write_fail_nth(number) == -1) _exit(125);
    execv(arguments[0], arguments);
    _exit(126);
  }
  REQUIRE(waitpid(pid, &status, 0) == pid);
  kill(-pid, SIGKILL);
  return status;
}

// How many allocations a whole run makes: the number that is left when it is at its end.
static unsigned allocations(char** arguments) {
  unsigned low = 1, number = 1 << 20, left = number;
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    setsid();
    silence();
    if (write_fail_nth(number) == -1) _exit(125);
    execv(arguments[0], arguments);
    _exit(126);
  }
  siginfo_t info;
  for (;;) {
    info.si_pid = 0;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == -1 || info.si_pid != 0) break;
    unsigned now = read_fail_nth(pid);
    if (now != 0 && now < left) left = now;
    check_sleep_ms(1);
  }
  waitpid(pid, NULL, 0);
  kill(-pid, SIGKILL);
  return left < number ? number - left : low;
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
  unsigned most = allocations(arguments);
  run(arguments, 1 << 30);
  check_sleep_ms(100);
  counts_read(&before);
  int ended = 0, killed = 0, timed_out = 0;
  for (int i = 0; i < rounds; i++) {
    // Beginnings are tried more often: of a long run most is the same.
    unsigned number = 1 + (unsigned)(next_random() % (next_random() % 4 == 0 ? 200 : most));
    int earlier = check_failures;
    fprintf(stderr, "failing: %s with %u\n", arguments[0], number);
    int status = run(arguments, number);
    if (WIFSIGNALED(status)) {
      killed++;
      if (WTERMSIG(status) == SIGALRM) {
        timed_out++;
        printf("hangs when allocation %u of %u fails\n", number, most);
      }
    } else {
      ended++;
    }
    CHECK_COUNTS(before);
    if (check_failures != earlier) {
      printf("left behind when allocation %u of %u fails\n", number, most);
      counts_read(&before);
    }
  }
  printf("%u allocations; %d rounds: %d ended, %d killed, %d hung, %d failures\n", most, rounds, ended, killed, timed_out,
         check_failures);
  return check_failures != 0 || timed_out != 0;
}
