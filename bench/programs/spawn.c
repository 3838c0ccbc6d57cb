// posix_spawn and wait of the program named: ns for one.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "bench.h"

extern char** environ;
static char* program;

static void do_spawn(long count) {
  static posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  char* argv[] = {program, NULL};
  for (long i = 0; i < count; i++) {
    pid_t pid;
    int status;
    require(posix_spawn(&pid, program, &actions, NULL, argv, environ) == 0, program);
    require(waitpid(pid, &status, 0) == pid && status == 0, "wait");
  }
  posix_spawn_file_actions_destroy(&actions);
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  program = argv[1];
  measure(do_spawn);
  return 0;
}
