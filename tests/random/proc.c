// /proc of the process itself, as far as it says what the sequence did.
#include <dirent.h>

#include "random.h"

static bool slurp(const char* name, char* text, size_t size) {
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    say(" %s", errno_name(errno));
    return false;
  }
  size_t at = 0;
  ssize_t r;
  while (at < size - 1 && (r = read(fd, text + at, size - 1 - at)) > 0) at += (size_t)r;
  text[at] = 0;
  close(fd);
  return true;
}
static char text[16384];

OP(kProc, 4, proc_fd) {
  say(")");
  DIR* directory = opendir("/proc/self/fd");
  if (!directory) return say(" %s", errno_name(errno));
  bool open_fds[kFdLimit] = {false};
  for (struct dirent* entry; (entry = readdir(directory));) {
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd < kFdLimit && fd != dirfd(directory)) open_fds[fd] = true;
  }
  closedir(directory);
  for (int fd = 0; fd < kFdLimit; fd++) {
    if (open_fds[fd]) say(" %d", fd);
  }
}
OP(kProc, 4, proc_fdinfo) {
  char name[40];
  snprintf(name, sizeof name, "/proc/self/fdinfo/%ld", fd_of(kFile | kDirectory | kPipeEnd));
  say(")");
  if (!slurp(name, text, sizeof text)) return;
  long at = -1;
  unsigned bits = 0;
  sscanf(text, "pos: %ld flags: %o", &at, &bits);
  say(" %ld %o", kind_of(0) ? at : at, bits);
}
OP(kProc, 4, proc_fd_link) {
  char name[40], target[300];
  long fd = fd_of(kFile | kDirectory | kPathFd);
  snprintf(name, sizeof name, "/proc/self/fd/%ld", fd);
  ssize_t size = readlink(name, target, sizeof target - 1);
  if (size < 0) return say(") = %s", errno_name(errno));
  target[size] = 0;
  // A file without a name is shown by its number: how many there were before is the system's affair.
  char* number = strstr(target, "/#");
  if (number) {
    char* rest = number + 2 + strspn(number + 2, "0123456789");
    memmove(number + 2, rest, strlen(rest) + 1);
  }
  size_t prefix = strlen(sequence_directory);
  say(") = %s", strncmp(target, sequence_directory, prefix) == 0 ? target + prefix
                : target[0] == '/'                               ? "another"
                                                                 : "none");
}
OP(kProc, 3, proc_fd_open) {
  char name[40];
  long fd = fd_of(kFile | kDirectory | kPathFd | kPipeEnd);
  snprintf(name, sizeof name, "/proc/self/fd/%ld", fd);
  long bits = hex(ONE_OF(O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_TRUNC) | O_NONBLOCK);
  long r = QUIET_4(openat, AT_FDCWD, name, bits, 0);
  say_result(r);
  if (r >= 0) note_fd(r, kind_of(fd) == kPathFd ? kind_by_look(r) : kind_of(fd));
}
OP(kProc, 5, proc_status) {
  say(")");
  if (!slurp("/proc/self/status", text, sizeof text)) return;
  static const char* const fields[] = {
      "Umask:",  "State:",  "Uid:",    "Gid:",    "Groups:", "Threads:",   "SigPnd:",
      "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:", "CapInh:", "NoNewPrivs:"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const char* at = strstr(text, fields[i]);
    if (!at) {
      say(" no %s", fields[i]);
      continue;
    }
    at += strlen(fields[i]);
    say(" ");
    for (; *at && *at != '\n'; at++) say("%c", *at == '\t' ? ' ' : *at);
  }
}
OP(kProc, 3, proc_stat) {
  say(")");
  if (!slurp("/proc/self/stat", text, sizeof text)) return;
  char* at = strrchr(text, ')');
  char letter = '?';
  int parent = 0, group = 0, session = 0, terminal = 0;
  if (at) sscanf(at + 1, " %c %d %d %d %d", &letter, &parent, &group, &session, &terminal);
  say(" %c", letter);
  say_pid(parent);
  say_pid(group);
  say_pid(session);
  say(" %d", terminal);
}
OP(kProc, 2, proc_comm) {
  say(")");
  if (slurp("/proc/self/comm", text, sizeof text))
    say(" %.16s", text[0] >= 'a' ? strtok(text, "\n") : "own");
}
OP(kProc, 2, proc_comm_write) {
  int fd = open("/proc/self/comm", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return say(") = %s", errno_name(errno));
  CALL(write, fd, silent("written to comm!!"), number(ONE_OF(3, 17, 0)));
  close(fd);
}
OP(kProc, 2, proc_cwd) {
  say(")");
  char target[4097];
  ssize_t size = readlink("/proc/self/cwd", target, sizeof target - 1);
  if (size < 0) return say(" %s", errno_name(errno));
  target[size] = 0;
  size_t prefix = strlen(sequence_directory);
  say(" %s", strncmp(target, sequence_directory, prefix) == 0 ? target + prefix : "another");
}
OP(kProc, 2, proc_limits) {
  say(")");
  if (!slurp("/proc/self/limits", text, sizeof text)) return;
  for (char* line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    if (strncmp(line, "Max file size", 13) == 0 || strncmp(line, "Max nice", 8) == 0)
      say(" |%s|", line);
  }
}
OP(kProc, 1, proc_self) {
  say(")");
  char target[32] = "";
  ssize_t size = readlink("/proc/self", target, sizeof target - 1);
  say(" %ld %s", (long)(size > 0), atoi(target) == getpid() ? "own" : "other");
}
OP(kProc, 2, proc_task) {
  say(")");
  int count = 0;
  // A thread that was joined may still be on its way out.
  for (int tries = 0; tries < 10000 && count != 3; tries++) {
    DIR* directory = opendir("/proc/self/task");
    if (!directory) return say(" %s", errno_name(errno));
    for (count = 0; readdir(directory);) count++;
    closedir(directory);
  }
  say(" %d", count);
}
OP(kProc, 2, proc_wrong) {
  static const char* const names[] = {"/proc/self/nothing", "/proc/0", "/proc/99999999",
                                      "/proc/self/fd/999", "/proc/self/task/1x"};
  unsigned which = below(5);
  say("%s)", names[which]);
  struct stat s;
  say(" = %s", stat(names[which], &s) == 0 ? "there" : errno_name(errno));
}
OP(kProc, 1, dev_null) {
  int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  say(") = %ld", QUIET_3(write, fd, "abc", 3));
  output();
  say(" %ld", QUIET_3(read, fd, output_buffer, 10));
  close(fd);
}
OP(kProc, 1, dev_zero) {
  int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
  output();
  say(") = %ld", QUIET_3(read, fd, output_buffer, 10));
  say_output(10);
  close(fd);
}
OP(kProc, 1, dev_full) {
  int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
  say(") = %s", errno_name(-QUIET_3(write, fd, "abc", 3)));
  close(fd);
}
