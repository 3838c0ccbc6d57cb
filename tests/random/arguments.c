// What operations draw: paths, sizes, offsets, buffers, descriptors; and the names for what has no stable number.
#include <sys/mman.h>
#include <sys/uio.h>

#include "random.h"

unsigned char output_buffer[kBuffer];
static unsigned char input_buffer[kBuffer];
static unsigned kinds[kFdLimit];
static pid_t children[kChildren];

static const char* any_path(void) {
  static char long_name[300], long_path[5000];
  static const char* const pool[] = {"a",     "b",      "c",       "d",        "d/a",  "d/b", "d/e",
                                     "d/e/f", "e",      "l",       "l/a",      "d/l",  "./a", "d/.",
                                     "d/..",  "d/../b", "d///e",   "a/",       "d/",   "",    ".",
                                     "..",    "a/b",    "no/such", "e/../d/a", "d//a", "l/"};
  unsigned roll = below(100);
  if (roll < 75) return pool[below(10)];
  if (roll < 96) return pool[below(sizeof pool / sizeof *pool)];
  if (roll < 98) {
    memset(long_name, 'n', sizeof long_name);
    long_name[254 + below(3)] = 0;
    return long_name;
  }
  size_t size = 4093 + below(4);
  for (size_t i = 0; i < size; i++) long_path[i] = i % 100 == 99 ? '/' : 'p';
  long_path[size] = 0;
  return long_path;
}

long path(void) {
  const char* text = any_path();
  char shown[64];
  size_t size = strlen(text);
  if (size > 40) {
    snprintf(shown, sizeof shown, "<%zu letters>", size);
  } else {
    snprintf(shown, sizeof shown, "\"%.40s\"", text);
  }
  return pointer(text, shown);
}

long link_text(void) {
  static const char* const pool[] = {"a",       "d",   "d/a", "../a", "l", ".",
                                     "no/such", "d/e", "./",  "e",    "",  "b"};
  const char* text = pool[below(sizeof pool / sizeof *pool)];
  char shown[32];
  snprintf(shown, sizeof shown, "\"%s\"", text);
  return pointer(text, shown);
}

long mode(void) {
  return octal(ONE_OF(0644, 0600, 0755, 0777, 0, 0444, 0222, 0111, 01777, 02755, 04755, 0700, 07777,
                      0100644, 0200000));
}

long length(void) {
  unsigned roll = below(100);
  if (roll < 70)
    return number(ONE_OF(0, 1, 2, 7, 8, 15, 16, 100, 511, 4095, 4096, 4097, 5000, 8192, 10000));
  if (roll < 97) return number(below(kBuffer));
  return number(kBuffer);
}

long offset(void) {
  unsigned roll = below(100);
  if (roll < 80) return number(ONE_OF(0, 0, 0, 1, 5, 100, 4095, 4096, 4097, 8192, 10000, 12288));
  if (roll < 90) return number(below(20000));
  return number(ONE_OF(-1, -4096, 1L << 20, (1L << 31) - 1, 1L << 32, 0x7fffffffffffffff,
                       -0x7fffffffffffffff - 1));
}

long input(long size) {
  unsigned char first = (unsigned char)draw();
  for (long i = 0; i < size && i < kBuffer; i++)
    input_buffer[i] = (unsigned char)(first + i * 7 + i / 256);
  return pointer(input_buffer, "data");
}

long output(void) {
  memset(output_buffer, 0xa5, sizeof output_buffer);
  return pointer(output_buffer, "buffer");
}

void say_output(long size) {
  if (size < 0 || size > kBuffer) return;
  say_bytes(output_buffer, (size_t)size);
  for (long i = size; i < kBuffer; i++) {
    if (output_buffer[i] != 0xa5) {
      say(" and byte %ld is written", i);
      return;
    }
  }
}

// Descriptors.

void note_fd(long fd, unsigned kind) {
  if (fd >= 0 && fd < kFdLimit) kinds[fd] = kind;
}
void forget_fd(long fd) { note_fd(fd, 0); }
unsigned kind_of(long fd) { return fd >= 0 && fd < kFdLimit ? kinds[fd] : 0; }

unsigned kind_by_look(long fd) {
  struct stat what;
  if (fd < 0 || fstat((int)fd, &what) != 0) return 0;
  switch (what.st_mode & S_IFMT) {
    case S_IFREG:
      return kRegular;
    case S_IFDIR:
      return kDirectory;
    case S_IFIFO:
      return kPipeEnd;
    case S_IFSOCK:
      return kSocket;
    default:
      return kOther;
  }
}

static long choose_fd(unsigned wanted) {
  long found[kFdLimit];
  unsigned count = 0;
  // Rarely another kind. Descriptors without an inode of their own have the kinds of call that are for them.
  if (percent(7)) wanted = kRegular | kDirectory | kPipeEnd | kSocket | kPathFd;
  for (long fd = 0; fd < kFdLimit; fd++) {
    if (kinds[fd] & wanted) found[count++] = fd;
  }
  if (count && percent(97)) return found[below(count)];
  return ONE_OF(0, -1, 50, -77, 0x7fffffff);
}

long fd_of(unsigned wanted) { return number(choose_fd(wanted)); }

long directory_fd(void) {
  if (percent(70)) return number(AT_FDCWD);
  return number(choose_fd(kDirectory));
}

// Names.

enum { kCopyFd = 899 };

long file_for_splice(long from, long to) {
  struct stat source, target;
  if (fstat((int)from, &source) != 0 || fstat((int)to, &target) != 0) return from;
  if (!S_ISREG(source.st_mode) || (!S_ISFIFO(target.st_mode) && !S_ISSOCK(target.st_mode)))
    return from;
  int mode = fcntl((int)from, F_GETFL);
  off_t at = lseek((int)from, 0, SEEK_CUR);
  if (at < 0 || mode & O_PATH || (mode & O_ACCMODE) == O_WRONLY || (mode & O_ACCMODE) == 3)
    return from;
  int made = memfd_create("copy", MFD_CLOEXEC);
  if (made < 0 || dup3(made, kCopyFd, O_CLOEXEC) < 0) {
    if (made >= 0) close(made);
    return from;
  }
  close(made);
  static char bytes[65536];
  ssize_t size = pread((int)from, bytes, sizeof bytes, 0);
  if (size > 0) pwrite(kCopyFd, bytes, (size_t)size, 0);
  lseek(kCopyFd, at, SEEK_SET);
  return kCopyFd;
}

void end_splice(long from, long copy, long moved) {
  if (copy == from) return;
  if (moved > 0) lseek((int)from, moved, SEEK_CUR);
  close((int)copy);
}

void say_ino(uint64_t device, uint64_t inode) {
  static struct {
    uint64_t device, inode;
  } known[256];
  static int count;
  int at = 0;
  while (at < count && (known[at].device != device || known[at].inode != inode)) at++;
  if (at == count && count < 256) {
    known[count].device = device;
    known[count++].inode = inode;
  }
  say(" ino %d", at);
}

void note_child(int slot, pid_t pid) { children[slot] = pid; }
pid_t child_pid(int slot) { return children[slot]; }

void say_pid(long pid) {
  for (int i = 0; i < kChildren; i++) {
    if (pid > 0 && children[i] == pid) {
      say(" child %d", i);
      return;
    }
  }
  if (pid == getpid()) {
    say(" self");
  } else if (pid == getppid()) {
    say(" parent");
  } else if (pid <= 0) {
    say(" pid %ld", pid);
  } else {
    say(" another");
  }
}

void say_time(int64_t seconds) {
  if (seconds < 100000000) {
    say(" %lld", (long long)seconds);
  } else {
    say(" now");
  }
}
