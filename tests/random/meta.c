// What is known about a file: stat and its kin, modes, owners, times, extended attributes.
#include <linux/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "random.h"

static void say_stat(const struct stat* s) {
  // Blocks, and a directory's size, are the file system's own affair.
  say(" mode 0%o links %lu owner %u:%u size %ld unit %ld", s->st_mode, (unsigned long)s->st_nlink,
      s->st_uid, s->st_gid, S_ISDIR(s->st_mode) ? -1L : (long)s->st_size, (long)s->st_blksize);
  if (S_ISCHR(s->st_mode)) say(" device %u:%u", major(s->st_rdev), minor(s->st_rdev));
  say_ino(s->st_dev, s->st_ino);
  if (!S_ISREG(s->st_mode) && !S_ISDIR(s->st_mode)) return;
  say_time(s->st_atim.tv_sec);
  say_time(s->st_mtim.tv_sec);
}
static struct stat found;
#define STAT pointer(&found, "stat")

OP(kMeta, 8, stat) {
  if (CALL(stat, path(), STAT) == 0) say_stat(&found);
}
OP(kMeta, 6, lstat) {
  if (CALL(lstat, path(), STAT) == 0) say_stat(&found);
}
OP(kMeta, 8, fstat) {
  if (CALL(fstat, fd_of(kFile | kDirectory | kPathFd), STAT) == 0) say_stat(&found);
}
OP(kMeta, 2, fstat_other) {
  long fd = fd_of(kPipeEnd | kSocket | kEvent | kEpoll | kSignalFd | kTimerFd);
  if (CALL(fstat, fd, STAT) == 0) {
    say(" mode 0%o links %lu owner %u size %ld blocks %ld unit %ld", found.st_mode,
        (unsigned long)found.st_nlink, found.st_uid, (long)found.st_size, (long)found.st_blocks,
        (long)found.st_blksize);
  }
}
OP(kMeta, 6, newfstatat) {
  if (CALL(newfstatat, directory_fd(), path(), STAT,
           FLAGS(AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT)) == 0) {
    say_stat(&found);
  }
}
OP(kMeta, 6, statx) {
  static struct statx x;
  memset(&x, 0, sizeof x);
  if (CALL(statx, directory_fd(), path(),
           FLAGS(AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_STATX_DONT_SYNC),
           hex(ONE_OF(0x7ff, 0x7ff, 0x7ff, 0xfff, 0x80000000)), pointer(&x, "statx")) != 0) {
    return;
  }
  say(" mask 0x%x mode 0%o links %u owner %u:%u size %lld", x.stx_mask & 0x7ff, x.stx_mode,
      x.stx_nlink, x.stx_uid, x.stx_gid, S_ISDIR(x.stx_mode) ? -1LL : (long long)x.stx_size);
  say_time(x.stx_mtime.tv_sec);
}
OP(kMeta, 3, statfs) {
  static struct statfs f;
  if (CALL(statfs, path(), pointer(&f, "statfs")) == 0) {
    say(" type 0x%lx block %ld name %ld flags 0x%lx", (long)f.f_type, (long)f.f_bsize,
        (long)f.f_namelen, (long)f.f_flags);
  }
}
OP(kMeta, 3, fstatfs) {
  static struct statfs f;
  if (CALL(fstatfs, fd_of(kAny), pointer(&f, "statfs")) == 0) {
    say(" type 0x%lx block %ld name %ld", (long)f.f_type, (long)f.f_bsize, (long)f.f_namelen);
  }
}

OP(kMeta, 4, access) { CALL(access, path(), number(ONE_OF(0, 1, 2, 4, 7, 8, -1))); }
OP(kMeta, 3, faccessat) { CALL(faccessat, directory_fd(), path(), number(ONE_OF(0, 1, 2, 4, 6))); }
OP(kMeta, 4, faccessat2) {
  CALL(faccessat2, directory_fd(), path(), number(ONE_OF(0, 1, 2, 4, 7)),
       FLAGS(AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH));
}
OP(kMeta, 5, chmod) { CALL(chmod, path(), mode()); }
OP(kMeta, 4, fchmod) { CALL(fchmod, fd_of(kFile | kDirectory | kPathFd), mode()); }
OP(kMeta, 4, fchmodat) { CALL(fchmodat, directory_fd(), path(), mode()); }
OP(kMeta, 4, fchmodat2) {
  CALL(fchmodat2, directory_fd(), path(), mode(), FLAGS(AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH));
}
static long owner(void) { return number(ONE_OF(0, 1, 1000, 65534, -1, 0x7ffffffe)); }
OP(kMeta, 4, chown) { CALL(chown, path(), owner(), owner()); }
OP(kMeta, 3, lchown) { CALL(lchown, path(), owner(), owner()); }
OP(kMeta, 3, fchown) { CALL(fchown, fd_of(kFile | kDirectory | kPathFd), owner(), owner()); }
OP(kMeta, 3, fchownat) {
  CALL(fchownat, directory_fd(), path(), owner(), owner(),
       FLAGS(AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH));
}
OP(kMeta, 3, umask) { CALL(umask, octal(ONE_OF(0, 022, 077, 0777, 01000, 0177777))); }

// Times that are set are small numbers, so that "now" can be told from them.
static struct timespec times[2];
static long two_times(void) {
  for (int i = 0; i < 2; i++) {
    times[i].tv_sec = ONE_OF(0, 1, 1000, 99999, 5);
    times[i].tv_nsec = percent(70) ? (long)below(1000000000)
                                   : ONE_OF(UTIME_NOW, UTIME_OMIT, UTIME_OMIT, 1000000000, -1);
    say(" %ld.%ld", (long)times[i].tv_sec, times[i].tv_nsec);
  }
  return percent(15) ? number(0) : pointer(times, " times");
}
OP(kMeta, 4, utimensat) {
  long set = two_times();
  CALL(utimensat, directory_fd(), path(), set, FLAGS(AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH));
}
OP(kMeta, 3, futimens) {
  long set = two_times();
  CALL(utimensat, fd_of(kRegular | kDirectory), 0, set, hex(ONE_OF(0, 0, 0, AT_SYMLINK_NOFOLLOW)));
}
OP(kMeta, 2, utimes) {
  struct timeval set[2] = {{ONE_OF(0, 7, 5000), ONE_OF(0, 999999, 1000000, -1)}, {ONE_OF(3, 8), 0}};
  say("%ld.%ld %ld ", (long)set[0].tv_sec, (long)set[0].tv_usec, (long)set[1].tv_sec);
  CALL(utimes, path(), pointer(set, "times"));
}
OP(kMeta, 2, futimesat) {
  struct timeval set[2] = {{ONE_OF(0, 7, 5000), ONE_OF(0, 999999, 1000000)}, {ONE_OF(3, 8), 0}};
  say("%ld.%ld %ld ", (long)set[0].tv_sec, (long)set[0].tv_usec, (long)set[1].tv_sec);
  CALL(futimesat, directory_fd(), path(), pointer(set, "times"));
}
OP(kMeta, 2, utime) {
  struct {
    long actime, modtime;
  } set = {ONE_OF(0, 7, 5000), ONE_OF(3, 8)};
  say("%ld %ld ", (long)set.actime, (long)set.modtime);
  CALL(utime, path(), pointer(&set, "times"));
}

// user.* and trusted.*: names of other kinds depend on the kernel's configuration.
static long attribute(void) {
  static char long_name[300];
  static const char* const names[] = {"user.a", "user.b", "user.c", "trusted.a", "user.",
                                      "a",      "",       ".a",     "user"};
  if (percent(3)) {
    memset(long_name, 'x', sizeof long_name);
    memcpy(long_name, "user.", 5);
    long_name[254 + below(3)] = 0;
    return pointer(long_name, "<long>");
  }
  const char* name = names[percent(80) ? below(4) : below(9)];
  char shown[32];
  snprintf(shown, sizeof shown, "\"%s\"", name);
  return pointer(name, shown);
}
static long value_size(void) { return number(ONE_OF(0, 1, 5, 20, 100, 1000)); }
#define XATTR_FLAGS hex(ONE_OF(0, 0, 1, 2, 3, 4))
#define SET_ATTRIBUTE(name, target)                                                 \
  OP(kMeta, 3, name) {                                                              \
    long size;                                                                      \
    CALL(name, target, attribute(), input(1000), size = value_size(), XATTR_FLAGS); \
  }
SET_ATTRIBUTE(setxattr, path())
SET_ATTRIBUTE(lsetxattr, path())
SET_ATTRIBUTE(fsetxattr, fd_of(kRegular | kDirectory))
#define GET_ATTRIBUTE(name, target)                                                         \
  OP(kMeta, 3, name) {                                                                      \
    long r = CALL(name, target, attribute(), output(), number(ONE_OF(0, 1, 5, 100, 4096))); \
    (void)r;                                                                                \
    say_output_touched();                                                                   \
  }
static void say_output_touched(void) {
  long size = kBuffer;
  while (size && output_buffer[size - 1] == 0xa5) size--;
  say_output(size);
}
GET_ATTRIBUTE(getxattr, path())
GET_ATTRIBUTE(lgetxattr, path())
GET_ATTRIBUTE(fgetxattr, fd_of(kRegular | kDirectory))
static int by_text(const void* a, const void* b) {
  return strcmp(*(const char* const*)a, *(const char* const*)b);
}
static void say_names(long size) {
  const char* names[64];
  int count = 0;
  for (long at = 0; at < size && count < 64; at += (long)strlen(names[count - 1]) + 1) {
    names[count++] = (const char*)output_buffer + at;
  }
  qsort(names, (size_t)count, sizeof *names, by_text);
  for (int i = 0; i < count; i++) say(" %.20s", names[i]);
}
#define LIST_ATTRIBUTES(name, target)                                         \
  OP(kMeta, 2, name) {                                                        \
    long size;                                                                \
    long r = CALL(name, target, output(), size = number(ONE_OF(0, 1, 4096))); \
    if (size) say_names(r);                                                   \
  }
LIST_ATTRIBUTES(listxattr, path())
LIST_ATTRIBUTES(llistxattr, path())
LIST_ATTRIBUTES(flistxattr, fd_of(kRegular | kDirectory))
OP(kMeta, 2, removexattr) { CALL(removexattr, path(), attribute()); }
OP(kMeta, 2, lremovexattr) { CALL(lremovexattr, path(), attribute()); }
OP(kMeta, 2, fremovexattr) { CALL(fremovexattr, fd_of(kRegular | kDirectory), attribute()); }
