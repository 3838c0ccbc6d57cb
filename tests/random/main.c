// The driver: `random SEED COUNT DIRECTORY` runs the sequences SEED to SEED+COUNT-1, each in a process of its own.
//
//   random [--length N] [--skip I,I...] [--only FAMILY] [--without NAME,NAME...] SEED COUNT DIRECTORY
//   random --kinds                  the kinds of call
//   random --one SEED PATH ...      one sequence, in the current directory (what the driver starts)
//
// A sequence writes its lines to descriptor 900, which is no descriptor that an operation would pick, so that the lines
// before a crash are there. The driver bounds its time.
#include <dirent.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "engine.h"
#include "random.h"

extern char** environ;
enum { kSeconds = 20 };

static void remove_tree(int parent, const char* name) {
  if (unlinkat(parent, name, 0) == 0) return;
  fchmodat(parent, name, 0700, 0);
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  DIR* directory = fdopendir(fd);
  for (struct dirent* entry; directory && (entry = readdir(directory));) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      remove_tree(fd, entry->d_name);
    }
  }
  if (directory) closedir(directory);
  unlinkat(parent, name, AT_REMOVEDIR);
}

// Waits for the sequence, at most kSeconds; then for whatever it left behind, which this process has inherited.
static void reap(pid_t pid, char* said, size_t size) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  struct timespec patience = {kSeconds, 0};
  bool hung = false;
  for (;;) {
    int status;
    pid_t ended = waitpid(pid, &status, WNOHANG);
    if (ended == pid) {
      if (hung) {
        snprintf(said, size, "end: hung");
      } else if (WIFSIGNALED(status)) {
        snprintf(said, size, "end: signal %d", WTERMSIG(status));
      } else {
        snprintf(said, size, "end: status %d", WEXITSTATUS(status));
      }
      break;
    }
    if (sigtimedwait(&wanted, NULL, &patience) < 0 && errno == EAGAIN) {
      hung = true;
      kill(pid, SIGKILL);
    }
  }
  // The pids of orphans are unknown here, but they notice the end of the sequence and end by themselves.
  while (waitpid(-1, NULL, 0) > 0) {
  }
}

static void run_one(uint64_t seed, const struct options* options, const char* directory) {
  char name[32], seed_text[32], work[512], limit[16];
  snprintf(name, sizeof name, "s%llu", (unsigned long long)seed);
  snprintf(seed_text, sizeof seed_text, "%llu", (unsigned long long)seed);
  snprintf(work, sizeof work, "%s/%s/1/2/work", directory, name);
  snprintf(limit, sizeof limit, "%d", options->length);
  static const char* const levels[] = {"", "/1", "/1/2", "/1/2/work"};
  for (int i = 0; i < 4; i++) {
    char level[600];
    snprintf(level, sizeof level, "%s/%s%s", directory, name, levels[i]);
    if (mkdir(level, 0755) != 0) perror(level);
  }
  char log_name[600];
  snprintf(log_name, sizeof log_name, "%s/log", directory);
  int log = open(log_name, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0 || chdir(work) != 0) {
    perror("the sequence's directory");
    exit(2);
  }

  char* words[] = {own_path,
                   "--one",
                   seed_text,
                   limit,
                   options->skip ? (char*)options->skip : "-",
                   options->only ? (char*)options->only : "-",
                   options->without ? (char*)options->without : "-",
                   work,
                   NULL};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, log, kLogFd);
  for (int fd = 0; fd < 3; fd++) {
    // Files of the sequence's own: what it does to them (fchmod) must not stay.
    posix_spawn_file_actions_addopen(&actions, fd, "../standard", O_RDWR | O_CREAT, 0644);
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  // Who starts this in a shell's background has it ignore some.
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  pid_t pid;
  int error = posix_spawn(&pid, own_path, &actions, &attributes, words, environ);
  char said[64] = "end: not started";
  if (error == 0) reap(pid, said, sizeof said);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);

  printf("== %llu\n", (unsigned long long)seed);
  fflush(stdout);
  static char text[1 << 16];
  ssize_t got;
  for (off_t at = 0; (got = pread(log, text, sizeof text, at)) > 0; at += got) {
    fwrite(text, 1, (size_t)got, stdout);
  }
  printf("%s\n", said);
  fflush(stdout);
  close(log);
  if (chdir("/") != 0) perror("chdir");
  int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  remove_tree(parent, name);
  close(parent);
}

int main(int argc, char** argv) {
  own_path = argv[0];
  if (argc > 1 && strcmp(argv[1], "--child") == 0) return child_main(argc, argv);
  if (argc > 1 && strcmp(argv[1], "--one") == 0) return sequence_main(argc, argv);
  struct options options = {.length = 40};
  int at = 1;
  for (; at < argc && argv[at][0] == '-'; at++) {
    if (strcmp(argv[at], "--kinds") == 0) return print_kinds();
    if (at + 1 >= argc) break;
    if (strcmp(argv[at], "--without") == 0)
      options.without = argv[++at];
    else if (strcmp(argv[at], "--length") == 0)
      options.length = atoi(argv[++at]);
    else if (strcmp(argv[at], "--skip") == 0)
      options.skip = argv[++at];
    else if (strcmp(argv[at], "--only") == 0)
      options.only = argv[++at];
  }
  if (argc - at != 3) {
    fprintf(stderr,
            "usage: random [--length N] [--skip I,I...] [--only FAMILY] [--without NAME,NAME...] "
            "SEED COUNT DIRECTORY\n");
    return 2;
  }
  uint64_t seed = strtoull(argv[at], NULL, 0);
  long count = atol(argv[at + 1]);
  const char* directory = argv[at + 2];
  // On a machine's own system what a sequence does would stay: run_random.py gives it a system of its own.
  if (getpid() > 2) {
    fprintf(stderr,
            "random: only as the first process of a namespace or an enclave: see "
            "tests/run_random.py\n");
    return 2;
  }
  umask(022);
  setsid();
  mkdir(directory, 0755);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (long i = 0; i < count; i++) run_one(seed + (uint64_t)i, &options, directory);
  fflush(stdout);
  return 0;
}
