// /proc/locks and the lock lines of /proc/<pid>/fdinfo.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"

static char path[64];
static struct stat info;

static int make(void) {
  strcpy(path, "/tmp/locks-XXXXXX");
  int file = mkstemp(path);
  REQUIRE(file >= 0);
  CHECK_EQ(write(file, "0123456789", 10), 10);
  REQUIRE(fstat(file, &info) == 0);
  return file;
}

static pid_t known[4];
static int known_count;

static int by_text(const void* a, const void* b) { return strcmp(a, b); }

// A list is of one moment only in what one read gives: others have locks too, and a second read goes on by number of line.
static FILE* open_list(const char* list) {
  static char text[65536];
  int fd = open(list, O_RDONLY);
  if (fd < 0) return NULL;
  ssize_t size = read(fd, text, sizeof text);
  close(fd);
  return fmemopen(text, size > 0 ? (size_t)size : 0, "r");
}

// Prints the lines of this file, with processes by name. Where nobody waits the order says nothing.
static int show(const char* list, const char* prefix) {
  FILE* file = open_list(list);
  if (file == NULL) return -1;
  char line[256], inode[40];
  snprintf(inode, sizeof inode, ":%lu ", (unsigned long)info.st_ino);
  static char lines[16][200];
  int count = 0, waits = 0;
  while (fgets(line, sizeof line, file) != NULL && count < 16) {
    char* at = strstr(line, inode);
    if (at == NULL || strncmp(line, prefix, strlen(prefix)) != 0) continue;
    char* text = strchr(line + strlen(prefix), ':') + 1;
    // TEXT PID MAJOR:MINOR:INODE FROM TO
    char* device = at;
    while (device[-1] != ' ') device--;
    device[-1] = 0;
    char* pid = strrchr(text, ' ');
    *pid++ = 0;
    int who = -1;
    for (int i = 0; i < known_count; i++)
      if (known[i] == atoi(pid)) who = i;
    waits |= strstr(text, "->") != NULL;
    snprintf(lines[count++], sizeof lines[0], "   %s by %s%d %s", text, who < 0 ? pid : "process ",
             who, at + strlen(inode));
  }
  fclose(file);
  if (!waits) qsort(lines, (size_t)count, sizeof lines[0], by_text);
  for (int i = 0; i < count; i++) printf("%s", lines[i]);
  return count;
}
static int show_all(const char* what) {
  printf("  %s:\n", what);
  return show("/proc/locks", "");
}
static int show_descriptor(int fd) {
  char list[64];
  snprintf(list, sizeof list, "/proc/self/fdinfo/%d", fd);
  return show(list, "lock:");
}

static int set(int fd, int command, int type, long start, long length) {
  struct flock lock = {
      .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, command, &lock);
}

CASE(record_locks) {
  int file = make();
  known[0] = getpid();
  known_count = 1;
  CHECK_EQ(show_all("none"), 0);
  CHECK_OK(set(file, F_SETLK, F_WRLCK, 0, 0));
  CHECK_EQ(show_all("whole"), 1);
  CHECK_OK(set(file, F_SETLK, F_UNLCK, 3, 2));
  CHECK_EQ(show_all("a hole"), 2);
  CHECK_OK(set(file, F_SETLK, F_RDLCK, 100, 50));
  CHECK_EQ(show_all("another kind"), 4);
  CHECK_EQ(show_descriptor(file), 4);
  close(dup(file));
  CHECK_EQ(show_all("a close"), 0);
  close(file);
  unlink(path);
}

CASE(descriptions) {
  int file = make(), other = open(path, O_RDWR);
  known[0] = getpid();
  known_count = 1;
  CHECK_OK(set(file, F_OFD_SETLK, F_RDLCK, 5, 5));
  CHECK_OK(flock(other, LOCK_SH));
  CHECK_EQ(show_all("both"), 2);
  printf("  of each:\n");
  CHECK_EQ(show_descriptor(file), 1);
  CHECK_EQ(show_descriptor(other), 1);
  CHECK_OK(flock(other, LOCK_EX));
  CHECK_EQ(show_descriptor(other), 1);
  close(other);
  CHECK_EQ(show_all("one closed"), 1);
  close(file);
  CHECK_EQ(show_all("closed"), 0);
  unlink(path);
}

// How many lines of this file are of waiters.
static int waiting(void) {
  FILE* file = open_list("/proc/locks");
  char line[256], inode[40];
  snprintf(inode, sizeof inode, ":%lu ", (unsigned long)info.st_ino);
  int count = 0;
  while (fgets(line, sizeof line, file) != NULL)
    count += strstr(line, inode) != NULL && strstr(line, "->") != NULL;
  fclose(file);
  return count;
}

static pid_t wait_for_lock(int kind, int type, long start, long length) {
  int before = waiting();
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    int file = open(path, O_RDWR);
    if (kind == 0) {
      if (set(file, F_SETLKW, type, start, length) != 0) _exit(1);
    } else {
      if (flock(file, type) != 0) _exit(1);
    }
    _exit(0);
  }
  REQUIRE(child != -1);
  known[known_count++] = child;
  while (waiting() == before) sched_yield();
  return child;
}

CASE(waiters) {
  int file = make();
  known[0] = getpid();
  known_count = 1;
  CHECK_OK(set(file, F_SETLK, F_WRLCK, 0, 10));
  wait_for_lock(0, F_WRLCK, 0, 5);
  CHECK_EQ(show_all("one waits"), 2);
  wait_for_lock(0, F_RDLCK, 0, 2);
  CHECK_EQ(show_all("another waits for it as well"), 3);
  wait_for_lock(0, F_WRLCK, 8, 1);
  CHECK_EQ(show_all("one elsewhere"), 4);
  CHECK_EQ(show_descriptor(file), 1);
  CHECK_OK(set(file, F_SETLK, F_UNLCK, 0, 0));
  for (int i = 0; i < 3; i++) {
    int status = -1;
    CHECK(wait(&status) > 0);
    CHECK_EQ(status, 0);
  }
  CHECK_EQ(show_all("done"), 0);
  close(file);
  unlink(path);
}

CASE(flock_waiters) {
  int file = make();
  known[0] = getpid();
  known_count = 1;
  CHECK_OK(flock(file, LOCK_EX));
  wait_for_lock(1, LOCK_SH, 0, 0);
  wait_for_lock(1, LOCK_SH, 0, 0);
  CHECK_EQ(show_all("two wait"), 3);
  CHECK_OK(flock(file, LOCK_UN));
  for (int i = 0; i < 2; i++) {
    int status = -1;
    CHECK(wait(&status) > 0);
    CHECK_EQ(status, 0);
  }
  CHECK_EQ(show_all("done"), 0);
  close(file);
  unlink(path);
}

// Who waits for a lease has no file yet: a line of its own below the lease's.
static int breakers(int shown) {
  FILE* file = open_list("/proc/locks");
  char line[256], pid[40];
  int count = 0;
  snprintf(pid, sizeof pid, " %d <none>:0 ", known[1]);
  while (fgets(line, sizeof line, file) != NULL) {
    char* at = strstr(line, pid);
    if (at == NULL) continue;
    *at = 0;
    if (shown) printf("   %s by process 1 %s", strchr(line, ':') + 1, at + strlen(pid));
    count++;
  }
  fclose(file);
  return count;
}

CASE(leases) {
  signal(SIGIO, SIG_IGN);
  int file = make();
  close(file);
  file = open(path, O_RDONLY);
  known[0] = getpid();
  known_count = 1;
  CHECK_EQ(show_descriptor(file), 0);
  CHECK_OK(fcntl(file, F_SETLEASE, F_RDLCK));
  CHECK_EQ(show_all("to read"), 1);
  CHECK_EQ(show_descriptor(file), 1);
  CHECK_OK(set(file, F_SETLK, F_RDLCK, 3, 2));
  CHECK_OK(flock(file, LOCK_SH));
  CHECK_EQ(show_all("with locks"), 3);
  CHECK_EQ(show_descriptor(file), 3);
  CHECK_OK(set(file, F_SETLK, F_UNLCK, 0, 0));
  CHECK_OK(flock(file, LOCK_UN));
  CHECK_OK(fcntl(file, F_SETLEASE, F_WRLCK));
  CHECK_EQ(show_all("to write"), 1);
  CHECK_EQ(show_descriptor(file), 1);
  static const int flags[] = {O_RDONLY, O_WRONLY};
  for (int i = 0; i < 2; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(open(path, flags[i]) == -1);
    known[1] = pid;
    known_count = 2;
    while (breakers(0) == 0) check_sleep_ms(1);
    CHECK_EQ(show_all(i == 0 ? "for a reader" : "for a writer"), 1);
    CHECK_EQ(show_descriptor(file), 1);
    CHECK_EQ(breakers(1), 1);
    CHECK_OK(fcntl(file, F_SETLEASE, i == 0 ? F_RDLCK : F_UNLCK));
    int status = -1;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
  }
  CHECK_EQ(show_all("given up"), 0);
  CHECK_EQ(show_descriptor(file), 0);
  close(file);
  unlink(path);
}

CHECK_MAIN
