// measure N COMMAND...: runs the command N times, its output discarded, and prints a line `NS KIB STATUS` for each: time
// of the whole process and its largest resident memory. A small program, because a child's largest memory is at
// least that of the process that started it.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bench.h"

extern char** environ;

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  for (int i = 0; i < atoi(argv[1]); i++) {
    pid_t pid;
    int status;
    struct rusage usage;
    int64_t begin = now_ns();
    require((errno = posix_spawnp(&pid, argv[2], &actions, NULL, argv + 2, environ)) == 0, argv[2]);
    require(wait4(pid, &status, 0, &usage) == pid, "wait");
    printf("%ld %ld %d\n", (long)(now_ns() - begin), usage.ru_maxrss,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  return 0;
}
