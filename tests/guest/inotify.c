// inotify(7): every event of what a program does with files, names and cookies, and the rules of the queue.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "check.h"

static char place[128];
static int queue = -1;

static const char* at(const char* name) {
  static char paths[4][256];
  static int next;
  char* path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", place, name);
  return path;
}

static void begin(void) {
  const char* base = getenv("TMPDIR");
  snprintf(place, sizeof place, "%s/inotify-XXXXXX", base ? base : "/tmp");
  REQUIRE(mkdtemp(place) != NULL);
  queue = inotify_init1(IN_NONBLOCK);
  REQUIRE(queue >= 0);
}
static void end(void) {
  close(queue);
  char command[160];
  snprintf(command, sizeof command, "rm -rf %s", place);
  CHECK_EQ(system(command), 0);
}
static void make(const char* path, const char* text) {
  int file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
  REQUIRE(file >= 0);
  CHECK_EQ(write(file, text, strlen(text)), strlen(text));
  close(file);
}

static const char* bits_of(uint32_t mask, char* text) {
  static const struct {
    uint32_t bit;
    const char* name;
  } names[] = {{IN_ACCESS, "ACCESS"},
               {IN_MODIFY, "MODIFY"},
               {IN_ATTRIB, "ATTRIB"},
               {IN_CLOSE_WRITE, "CLOSE_WRITE"},
               {IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"},
               {IN_OPEN, "OPEN"},
               {IN_MOVED_FROM, "MOVED_FROM"},
               {IN_MOVED_TO, "MOVED_TO"},
               {IN_CREATE, "CREATE"},
               {IN_DELETE, "DELETE"},
               {IN_DELETE_SELF, "DELETE_SELF"},
               {IN_MOVE_SELF, "MOVE_SELF"},
               {IN_UNMOUNT, "UNMOUNT"},
               {IN_Q_OVERFLOW, "Q_OVERFLOW"},
               {IN_IGNORED, "IGNORED"},
               {IN_ISDIR, "ISDIR"}};
  *text = 0;
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
    if ((mask & names[i].bit) == 0) continue;
    if (*text) strcat(text, "|");
    strcat(text, names[i].name);
    mask &= ~names[i].bit;
  }
  if (mask != 0) sprintf(text + strlen(text), "|%x", mask);
  return text;
}

// Prints what is queued. Cookies are numbered in order of appearance.
static void show(const char* what) {
  static char buffer[65536] __attribute__((aligned(8)));
  uint32_t cookies[16];
  unsigned known = 0;
  printf("  %s:\n", what);
  for (;;) {
    ssize_t size = read(queue, buffer, sizeof buffer);
    if (size <= 0) break;
    for (char* next = buffer; next < buffer + size;) {
      struct inotify_event* event = (struct inotify_event*)next;
      unsigned cookie = 0;
      if (event->cookie != 0) {
        while (cookie < known && cookies[cookie] != event->cookie) cookie++;
        if (cookie == known) cookies[known++] = event->cookie;
        cookie++;
      }
      char text[200];
      printf("    wd %d %s cookie %u", event->wd, bits_of(event->mask, text), cookie);
      if (event->len != 0) printf(" \"%s\" (%u)", event->name, event->len);
      printf("\n");
      next += sizeof *event + event->len;
    }
  }
}

CASE(files_in_a_directory) {
  begin();
  CHECK_EQ(inotify_add_watch(queue, place, IN_ALL_EVENTS), 1);
  make(at("a"), "text");
  show("create and write");
  int file = open(at("a"), O_RDWR);
  char byte;
  CHECK_EQ(read(file, &byte, 1), 1);
  CHECK_EQ(pread(file, &byte, 1, 0), 1);
  CHECK_EQ(pwrite(file, "x", 1, 2), 1);
  CHECK_EQ(pread(file, &byte, 1, 100), 0);
  CHECK_OK(ftruncate(file, 10));
  CHECK_OK(fchmod(file, 0600));
  close(file);
  show("an open file");
  CHECK_OK(truncate(at("a"), 3));
  CHECK_OK(chmod(at("a"), 0644));
  CHECK_OK(chown(at("a"), getuid(), getgid()));
  struct timespec both[2] = {{1, 0}, {2, 0}}, one[2] = {{1, 0}, {0, UTIME_OMIT}},
                  other[2] = {{0, UTIME_OMIT}, {1, 0}},
                  none[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
  CHECK_OK(utimensat(AT_FDCWD, at("a"), both, 0));
  CHECK_OK(utimensat(AT_FDCWD, at("a"), one, 0));
  CHECK_OK(utimensat(AT_FDCWD, at("a"), other, 0));
  CHECK_OK(utimensat(AT_FDCWD, at("a"), none, 0));
  show("attributes");
  file = open(at("a"), O_WRONLY | O_TRUNC);
  close(file);
  show("truncated by open");
  file = open(at("a"), O_PATH);
  close(file);
  show("only a path");
  struct stat info;
  CHECK_OK(stat(at("a"), &info));
  CHECK_OK(access(at("a"), R_OK));
  show("looked at");
  CHECK_OK(unlink(at("a")));
  show("removed");
  end();
}

CASE(kinds_of_files) {
  begin();
  CHECK_EQ(inotify_add_watch(queue, place, IN_ALL_EVENTS), 1);
  CHECK_OK(mkdir(at("d"), 0755));
  CHECK_OK(symlink("nowhere", at("l")));
  CHECK_OK(mkfifo(at("f"), 0644));
  make(at("a"), "1");
  CHECK_OK(link(at("a"), at("b")));
  show("made");
  DIR* directory = opendir(at("d"));
  while (readdir(directory) != NULL) {
  }
  closedir(directory);
  show("a directory read");
  CHECK_OK(unlink(at("a")));
  CHECK_OK(unlink(at("b")));
  CHECK_OK(unlink(at("l")));
  CHECK_OK(unlink(at("f")));
  CHECK_OK(rmdir(at("d")));
  show("removed");
  end();
}

CASE(one_file) {
  begin();
  make(at("a"), "1");
  CHECK_EQ(inotify_add_watch(queue, at("a"), IN_ALL_EVENTS), 1);
  make(at("a"), "22");
  show("written");
  CHECK_OK(link(at("a"), at("b")));
  show("linked");
  int file = open(at("b"), O_RDONLY);
  close(file);
  show("by its other name");
  CHECK_OK(rename(at("a"), at("c")));
  show("renamed");
  CHECK_OK(unlink(at("c")));
  show("one name gone");
  CHECK_OK(unlink(at("b")));
  show("gone");
  make(at("a"), "1");
  show("another of that name");
  CHECK_ERRNO(inotify_rm_watch(queue, 1), EINVAL);
  end();
}

CASE(removed_while_open) {
  begin();
  make(at("a"), "1");
  CHECK_EQ(inotify_add_watch(queue, at("a"), IN_ALL_EVENTS), 1);
  CHECK_EQ(inotify_add_watch(queue, place, IN_ALL_EVENTS), 2);
  int file = open(at("a"), O_RDWR);
  CHECK_OK(unlink(at("a")));
  show("removed");
  CHECK_EQ(write(file, "x", 1), 1);
  show("written");
  close(file);
  show("closed");
  end();
}

CASE(unlinked_are_excluded) {
  begin();
  make(at("a"), "1");
  CHECK_EQ(inotify_add_watch(queue, place, IN_ALL_EVENTS | IN_EXCL_UNLINK), 1);
  int file = open(at("a"), O_RDWR);
  CHECK_OK(unlink(at("a")));
  CHECK_EQ(write(file, "x", 1), 1);
  close(file);
  show("no more");
  end();
}

CASE(moves) {
  begin();
  CHECK_OK(mkdir(at("from"), 0755));
  CHECK_OK(mkdir(at("to"), 0755));
  CHECK_OK(mkdir(at("from/sub"), 0755));
  make(at("from/a"), "1");
  make(at("to/b"), "1");
  CHECK_EQ(inotify_add_watch(queue, at("from"), IN_ALL_EVENTS), 1);
  CHECK_EQ(inotify_add_watch(queue, at("to"), IN_ALL_EVENTS), 2);
  CHECK_EQ(inotify_add_watch(queue, at("from/a"), IN_ALL_EVENTS), 3);
  CHECK_EQ(inotify_add_watch(queue, at("to/b"), IN_ALL_EVENTS), 4);
  CHECK_EQ(inotify_add_watch(queue, at("from/sub"), IN_ALL_EVENTS), 5);
  CHECK_OK(rename(at("from/a"), at("from/c")));
  show("within");
  CHECK_OK(rename(at("from/c"), at("to/a")));
  show("across");
  CHECK_OK(renameat2(AT_FDCWD, at("to/a"), AT_FDCWD, at("to/b"), RENAME_EXCHANGE));
  show("exchanged");
  CHECK_OK(rename(at("to/a"), at("to/b")));
  show("over another");
  CHECK_OK(rename(at("from/sub"), at("to/sub")));
  show("a directory");
  CHECK_OK(rename(at("to/sub"), at("to/sub")));
  show("to itself");
  CHECK_ERRNO(rename(at("to/none"), at("to/x")), ENOENT);
  show("failed");
  end();
}

CASE(a_directory_goes) {
  begin();
  CHECK_OK(mkdir(at("d"), 0755));
  CHECK_EQ(inotify_add_watch(queue, place, IN_ALL_EVENTS), 1);
  CHECK_EQ(inotify_add_watch(queue, at("d"), IN_ALL_EVENTS), 2);
  CHECK_OK(chmod(at("d"), 0700));
  show("changed");
  CHECK_OK(rmdir(at("d")));
  show("removed");
  end();
}

CASE(masks) {
  begin();
  make(at("a"), "1");
  CHECK_EQ(inotify_add_watch(queue, at("a"), IN_OPEN), 1);
  CHECK_EQ(inotify_add_watch(queue, at("a"), IN_CLOSE), 1);
  close(open(at("a"), O_RDONLY));
  show("replaced");
  CHECK_EQ(inotify_add_watch(queue, at("a"), IN_OPEN | IN_MASK_ADD), 1);
  close(open(at("a"), O_RDONLY));
  show("added");
  CHECK_ERRNO(inotify_add_watch(queue, at("a"), IN_OPEN | IN_MASK_CREATE), EEXIST);
  CHECK_ERRNO(inotify_add_watch(queue, at("a"), IN_OPEN | IN_MASK_CREATE | IN_MASK_ADD), EINVAL);
  CHECK_EQ(inotify_add_watch(queue, place, IN_OPEN | IN_MASK_CREATE), 2);
  CHECK_OK(inotify_rm_watch(queue, 2));
  show("removed");
  CHECK_EQ(inotify_add_watch(queue, place, IN_CREATE | IN_ONESHOT), 3);
  make(at("b"), "1");
  make(at("c"), "1");
  show("once");
  CHECK_ERRNO(inotify_rm_watch(queue, 3), EINVAL);
  CHECK_OK(symlink("a", at("l")));
  CHECK_EQ(inotify_add_watch(queue, at("l"), IN_OPEN), 1);
  CHECK_EQ(inotify_add_watch(queue, at("l"), IN_ALL_EVENTS | IN_DONT_FOLLOW), 4);
  CHECK_OK(unlink(at("l")));
  show("the link itself");
  CHECK_ERRNO(inotify_add_watch(queue, at("a"), IN_OPEN | IN_ONLYDIR), ENOTDIR);
  CHECK_EQ(inotify_add_watch(queue, place, IN_OPEN | IN_ONLYDIR), 5);
  end();
}

CASE(queue_rules) {
  begin();
  make(at("a"), "1");
  CHECK_EQ(inotify_add_watch(queue, at("a"), IN_MODIFY | IN_ATTRIB), 1);
  CHECK_EQ(inotify_add_watch(queue, place, IN_CREATE), 2);
  int file = open(at("a"), O_WRONLY), waiting = -1;
  char bytes[64];
  CHECK_ERRNO(read(queue, bytes, sizeof bytes), EAGAIN);
  CHECK_OK(ioctl(queue, FIONREAD, &waiting));
  CHECK_EQ(waiting, 0);
  struct pollfd poller = {queue, POLLIN | POLLOUT, 0};
  CHECK_EQ(poll(&poller, 1, 0), 0);
  int set = epoll_create1(0);
  struct epoll_event event = {EPOLLIN, {.u32 = 7}};
  CHECK_OK(epoll_ctl(set, EPOLL_CTL_ADD, queue, &event));
  for (int i = 0; i < 5; i++) CHECK_EQ(write(file, "x", 1), 1);
  CHECK_OK(ioctl(queue, FIONREAD, &waiting));
  CHECK_EQ(waiting, 16);
  CHECK_EQ(poll(&poller, 1, 0), 1);
  CHECK_EQ(poller.revents, POLLIN);
  CHECK_EQ(epoll_wait(set, &event, 1, 0), 1);
  CHECK_OK(fchmod(file, 0600));
  CHECK_EQ(write(file, "x", 1), 1);
  make(at("a-name-of-24-characters-"), "1");
  CHECK_OK(ioctl(queue, FIONREAD, &waiting));
  CHECK_EQ(waiting, 3 * 16 + 16 + 32);
  CHECK_ERRNO(read(queue, bytes, 15), EINVAL);
  CHECK_EQ(read(queue, bytes, 40), 32);
  CHECK_EQ(read(queue, bytes, 17), 16);
  CHECK_ERRNO(read(queue, bytes, 47), EINVAL);
  CHECK_EQ(read(queue, bytes, 48), 48);
  CHECK_ERRNO(write(queue, bytes, 16), EBADF);
  CHECK_ERRNO(read(queue, (void*)8, 64), EAGAIN);
  close(set);
  close(file);
  end();
}

static void* write_later(void* path) {
  make(path, "1");
  return NULL;
}
CASE(blocking) {
  begin();
  int other = inotify_init();
  CHECK_EQ(inotify_add_watch(other, place, IN_CREATE), 1);
  pthread_t thread;
  char path[128];
  strcpy(path, at("a"));
  REQUIRE(pthread_create(&thread, NULL, write_later, path) == 0);
  char bytes[256] __attribute__((aligned(8)));
  CHECK_EQ(read(other, bytes, sizeof bytes), 32);
  CHECK_EQ(((struct inotify_event*)bytes)->mask, IN_CREATE);
  pthread_join(thread, NULL);
  // A child's doings are seen as well.
  pid_t child = fork();
  if (child == 0) {
    make(at("b"), "1");
    _exit(0);
  }
  CHECK_EQ(read(other, bytes, sizeof bytes), 32);
  CHECK_STR(((struct inotify_event*)bytes)->name, "b");
  CHECK_EQ(waitpid(child, NULL, 0), child);
  close(other);
  end();
}

CASE(overflow) {
  begin();
  FILE* limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
  int most = 0;
  REQUIRE(limit != NULL && fscanf(limit, "%d", &most) == 1);
  fclose(limit);
  CHECK_EQ(most, 16384);
  make(at("a"), "1");
  CHECK_EQ(inotify_add_watch(queue, at("a"), IN_OPEN | IN_CLOSE), 1);
  for (int i = 0; i < most; i++) close(open(at("a"), O_RDONLY));
  int waiting = 0;
  CHECK_OK(ioctl(queue, FIONREAD, &waiting));
  CHECK_EQ(waiting, (most + 1) * 16);
  struct inotify_event event;
  for (int i = 0; i < most; i++) CHECK_EQ(read(queue, &event, sizeof event), 16);
  CHECK_EQ(event.wd, 1);
  CHECK_EQ(read(queue, &event, sizeof event), 16);
  CHECK_EQ(event.wd, -1);
  CHECK_EQ(event.mask, IN_Q_OVERFLOW);
  CHECK_ERRNO(read(queue, &event, sizeof event), EAGAIN);
  end();
}

CASE(extended_attributes) {
  begin();
  make(at("a"), "1");
  CHECK_EQ(inotify_add_watch(queue, at("a"), IN_ALL_EVENTS), 1);
  if (setxattr(at("a"), "user.x", "1", 1, 0) == 0) {
    CHECK_OK(removexattr(at("a"), "user.x"));
    char text[200];
    struct inotify_event event;
    CHECK_EQ(read(queue, &event, sizeof event), 16);
    CHECK_STR(bits_of(event.mask, text), "ATTRIB");
  }
  end();
}

CASE(descriptor) {
  begin();
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/self/fd/%d", queue);
  ssize_t size = readlink(path, text, sizeof text);
  REQUIRE(size > 0);
  text[size] = 0;
  CHECK_STR(text, "anon_inode:inotify");
  CHECK_EQ(inotify_add_watch(queue, place, IN_CREATE | IN_EXCL_UNLINK), 1);
  struct stat info;
  stat(place, &info);
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", queue);
  FILE* file = fopen(path, "r");
  int found = 0, wd;
  unsigned long inode;
  unsigned device, mask;
  while (fgets(text, sizeof text, file) != NULL) {
    if (sscanf(text, "inotify wd:%x ino:%lx sdev:%x mask:%x", &wd, &inode, &device, &mask) != 4)
      continue;
    found++;
    CHECK_EQ(wd, 1);
    CHECK(inode == info.st_ino);
    CHECK_EQ(mask, IN_CREATE | IN_EXCL_UNLINK);
  }
  fclose(file);
  CHECK_EQ(found, 1);
  CHECK_EQ(fcntl(queue, F_GETFL), O_NONBLOCK);
  CHECK_EQ(lseek(queue, 5, SEEK_SET), 0);
  end();
}

static int execute(const char* path) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    execl(path, path, NULL);
    _exit(errno);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

CASE(executing) {
  begin();
  char command[320];
  snprintf(command, sizeof command, "cp /bin/true %s/program && cp /bin/cat %s/reader", place,
           place);
  CHECK_EQ(system(command), 0);
  char line[128];
  snprintf(line, sizeof line, "#!%s\n", at("program"));
  make(at("script"), line);
  make(at("junk"), "junk");
  CHECK_OK(chmod(at("script"), 0755));
  CHECK_OK(chmod(at("junk"), 0755));
  CHECK_EQ(inotify_add_watch(queue, place, IN_ALL_EVENTS), 1);
  CHECK_EQ(execute(at("program")), 0);
  show("a program");
  CHECK_EQ(execute(at("script")), 0);
  show("a script");
  CHECK_EQ(execute(at("junk")), ENOEXEC);
  show("no program");
  CHECK_OK(chmod(at("junk"), 0644));
  CHECK_EQ(execute(at("junk")), EACCES);
  show("not executable");
  // It is closed when the last process that executes it ends.
  int fds[2], out[2];
  REQUIRE(pipe(fds) == 0 && pipe(out) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    dup2(fds[0], 0);
    dup2(out[1], 1);
    close(fds[1]);
    execl(at("reader"), "reader", NULL);
    _exit(1);
  }
  char byte;
  CHECK_EQ(write(fds[1], "x", 1), 1);
  CHECK_EQ(read(out[0], &byte, 1), 1);
  show("while it runs");
  close(fds[0]);
  close(fds[1]);
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
  show("at its end");
  close(out[0]);
  close(out[1]);
  end();
}

CASE(fifos) {
  begin();
  CHECK_EQ(mkfifo(at("fifo"), 0600), 0);
  CHECK_EQ(inotify_add_watch(queue, place, IN_ALL_EVENTS), 1);
  CHECK_EQ(inotify_add_watch(queue, at("fifo"), IN_ALL_EVENTS), 2);
  char bytes[4];
  CHECK_ERRNO(open(at("fifo"), O_WRONLY | O_NONBLOCK), ENXIO);
  show("nobody reads");
  int reader = open(at("fifo"), O_RDONLY | O_NONBLOCK);
  show("the reader");
  int writer = open(at("fifo"), O_WRONLY);
  show("the writer");
  CHECK_EQ(write(writer, "abc", 3), 3);
  CHECK_EQ(read(reader, bytes, 4), 3);
  show("written and read");
  close(writer);
  show("the writer goes");
  close(reader);
  show("the reader goes");
  int both = open(at("fifo"), O_RDWR);
  close(both);
  show("both at once");
  end();
}

CASE(unmounted) {
  begin();
  CHECK_OK(mkdir(at("a"), 0755));
  CHECK_OK(mkdir(at("b"), 0755));
  if (mount("none", at("a"), "tmpfs", 0, NULL) == -1) {
    end();
    return;
  }
  CHECK_EQ(inotify_add_watch(queue, at("a"), IN_ALL_EVENTS), 1);
  CHECK_OK(umount(at("a")));
  show("a directory");
  REQUIRE(mount("none", at("a"), "tmpfs", 0, NULL) == 0);
  make(at("a/file"), "x");
  CHECK_EQ(inotify_add_watch(queue, at("a/file"), IN_MODIFY), 2);
  CHECK_EQ(inotify_add_watch(queue, place, IN_ALL_EVENTS & ~IN_ISDIR), 3);
  CHECK_OK(umount(at("a")));
  show("a file");
  REQUIRE(mount("none", at("a"), "tmpfs", 0, NULL) == 0);
  REQUIRE(mount(at("a"), at("b"), NULL, MS_BIND, NULL) == 0);
  CHECK_EQ(inotify_add_watch(queue, at("a"), IN_ALL_EVENTS), 4);
  CHECK_OK(umount(at("a")));
  show("it is still mounted");
  CHECK_OK(umount2(at("b"), MNT_DETACH));
  show("and no more");
  CHECK_ERRNO(inotify_rm_watch(queue, 4), EINVAL);
  end();
}

CASE(errors) {
  begin();
  CHECK_ERRNO(inotify_init1(1), EINVAL);
  CHECK_ERRNO(inotify_add_watch(-1, place, IN_OPEN), EBADF);
  CHECK_ERRNO(inotify_add_watch(0, place, IN_OPEN), EINVAL);
  CHECK_ERRNO(inotify_add_watch(queue, place, 0), EINVAL);
  CHECK_ERRNO(inotify_add_watch(-1, place, 0), EINVAL);
  CHECK_ERRNO(inotify_add_watch(queue, at("none"), IN_OPEN), ENOENT);
  CHECK_ERRNO(inotify_add_watch(queue, "", IN_OPEN), ENOENT);
  CHECK_ERRNO(inotify_add_watch(queue, (char*)8, IN_OPEN), EFAULT);
  CHECK_ERRNO(inotify_rm_watch(queue, 1), EINVAL);
  CHECK_ERRNO(inotify_rm_watch(0, 1), EINVAL);
  CHECK_ERRNO(inotify_rm_watch(-1, 1), EBADF);
  int many[200], count = 0;
  while (count < 200 && (many[count] = inotify_init()) >= 0) count++;
  CHECK_EQ(errno, EMFILE);
  CHECK(count < 128);
  while (count-- > 0) close(many[count]);
  end();
}

CHECK_MAIN
