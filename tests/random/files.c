// Open files: opening, reading, writing, sizes.
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/uio.h>

#include "random.h"

#define OPEN_BITS O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC, O_PATH
// O_NONBLOCK always: the name may be a FIFO.
static long open_flags(void) {
  long bits = one_of_list(LIST(O_RDONLY, O_WRONLY, O_RDWR, O_RDWR)) | O_NONBLOCK;
  if (percent(50)) bits |= O_CREAT;
  if (percent(40)) bits |= one_of_list(LIST(OPEN_BITS));
  if (percent(10)) bits |= one_of_list(LIST(OPEN_BITS, O_SYNC, O_NOATIME, O_NOCTTY, O_LARGEFILE));
  if (percent(5)) bits |= O_TMPFILE, bits &= ~O_NOFOLLOW;
  return hex(bits);
}

static void opened(long fd, long bits) {
  if (fd < 0) return;
  note_fd(fd, bits & O_PATH ? kPathFd : kind_by_look(fd));
}

OP(kFiles, 20, openat) {
  long bits;
  long fd = CALL(openat, directory_fd(), path(), bits = open_flags(), mode());
  opened(fd, bits);
}

OP(kFiles, 20, open) {
  long bits;
  long fd = CALL(open, path(), bits = open_flags(), mode());
  opened(fd, bits);
}

OP(kFiles, 4, open_absolute) {
  static char name[600];
  static const char* const last[] = {"a", "b", "d", "d/a"};
  snprintf(name, sizeof name, "%s/%s", sequence_directory, last[below(4)]);
  long bits;
  say("%s, ", strrchr(name, '/'));
  long fd = CALL(open, silent(name), bits = open_flags(), mode());
  opened(fd, bits);
}

OP(kFiles, 4, creat) {
  struct stat what;
  const char* name = ((const char* const[]){"a", "b", "c", "d/a"})[below(4)];
  if (stat(name, &what) == 0 && S_ISFIFO(what.st_mode)) return say("a FIFO)");
  say("\"%s\", ", name);
  opened(CALL(creat, silent(name), mode()), 0);
}

OP(kFiles, 6, openat2) {
  struct open_how how = {0};
  how.flags =
      (uint64_t)(ONE_OF(O_RDONLY, O_RDWR, O_RDWR | O_CREAT, O_RDONLY | O_DIRECTORY, O_PATH) |
                 O_NONBLOCK);
  if (percent(20)) how.flags |= (uint64_t)1 << below(40);
  if (how.flags & O_CREAT || percent(5)) how.mode = (uint64_t)ONE_OF(0644, 0600, 07777, 010000);
  how.resolve = (uint64_t)some_of_list(
      LIST(RESOLVE_NO_XDEV, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS));
  if (percent(10)) how.resolve |= (uint64_t)ONE_OF(RESOLVE_IN_ROOT, 0x40, 0x80000000L);
  how.flags &= ~(uint64_t)O_PATH | (percent(50) ? O_PATH : 0);
  long at = directory_fd();
  long name = path();
  say(", flags 0x%llx mode 0%llo resolve 0x%llx", (unsigned long long)how.flags,
      (unsigned long long)how.mode, (unsigned long long)how.resolve);
  long fd = CALL(openat2, at, name, pointer(&how, "how"),
                 PICK(sizeof how, sizeof how, sizeof how, sizeof how - 8, 4096));
  opened(fd, (long)how.flags);
}

#define FILE_FD fd_of(kFile)

OP(kFiles, 12, read) {
  long r = CALL(read, FILE_FD, output(), length());
  if (r >= 0) say_output(r);
}
OP(kFiles, 14, write) {
  long size = below(10) ? (long)below(6000) : ONE_OF(0, 1, kBuffer);
  CALL(write, FILE_FD, input(size), number(size));
}
OP(kFiles, 8, pread64) {
  long r = CALL(pread64, FILE_FD, output(), length(), offset());
  if (r >= 0) say_output(r);
}
OP(kFiles, 8, pwrite64) {
  long size = (long)below(9000);
  CALL(pwrite64, FILE_FD, input(size), number(size), offset());
}

static struct iovec vector[8];
// A write whose data cannot be read may leave the file longer all the same, on tmpfs: so only reads get bad addresses.
static int vector_of(long base, bool bad) {
  int count = (int)ONE_OF(0, 1, 2, 3, 4, 5);
  size_t at = 0;
  for (int i = 0; i < count; i++) {
    size_t size = (size_t)ONE_OF(0, 1, 3, 10, 100, 1000, 3000);
    vector[i] = (struct iovec){(char*)base + at, size};
    at += size;
  }
  if (count && percent(4)) vector[below((unsigned)count)].iov_len = (size_t)-1;
  if (bad && count && percent(4))
    vector[below((unsigned)count)].iov_base = (void*)ONE_OF(0, LIBOS_IMAGE, -4096);
  for (int i = 0; i < count; i++) say(" %zu", vector[i].iov_len);
  return count;
}
static long vector_in(void) {
  static int count;
  long base = input(kBuffer);
  count = vector_of(base, false);
  return count;
}
#define VECTOR silent(vector)
static long vector_count(int count) {
  return number(percent(3) ? ONE_OF(-1, 1025, 0x7fffffff) : count);
}

OP(kFiles, 5, readv) {
  int count = vector_of(output(), true);
  long r = CALL(readv, FILE_FD, VECTOR, vector_count(count));
  if (r >= 0) say_output(r);
}
OP(kFiles, 5, writev) {
  int count = (int)vector_in();
  CALL(writev, FILE_FD, VECTOR, vector_count(count));
}
OP(kFiles, 4, preadv) {
  int count = vector_of(output(), true);
  long r = CALL(preadv, FILE_FD, VECTOR, vector_count(count), offset());
  if (r >= 0) say_output(r);
}
OP(kFiles, 4, pwritev) {
  int count = (int)vector_in();
  CALL(pwritev, FILE_FD, VECTOR, vector_count(count), offset());
}
OP(kFiles, 4, preadv2) {
  int count = vector_of(output(), true);
  long r = CALL(preadv2, FILE_FD, VECTOR, vector_count(count), offset(), 0,
                number(ONE_OF(0, 0, RWF_HIPRI, 0x100000)));
  if (r >= 0) say_output(r);
}
OP(kFiles, 4, pwritev2) {
  int count = (int)vector_in();
  CALL(pwritev2, FILE_FD, VECTOR, vector_count(count), offset(), 0,
       number(ONE_OF(0, 0, RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_APPEND, 0x100000)));
}

OP(kFiles, 5, lseek_set) { CALL(lseek, FILE_FD, offset(), SEEK_SET); }
OP(kFiles, 3, lseek_cur) { CALL(lseek, FILE_FD, offset(), SEEK_CUR); }
OP(kFiles, 3, lseek_end) {
  CALL(lseek, FILE_FD, number(ONE_OF(0, -1, 1, -4096, 100, -100000)), SEEK_END);
}
OP(kFiles, 3, lseek_data) { CALL(lseek, FILE_FD, offset(), SEEK_DATA); }
OP(kFiles, 3, lseek_hole) { CALL(lseek, FILE_FD, offset(), SEEK_HOLE); }
OP(kFiles, 1, lseek_unknown) { CALL(lseek, FILE_FD, offset(), number(ONE_OF(5, -1, 99))); }

static long any_size(void) {
  return number(percent(95) ? (long)below(20000) : ONE_OF(-1, 0, 1L << 32));
}
OP(kFiles, 5, ftruncate) { CALL(ftruncate, FILE_FD, any_size()); }
OP(kFiles, 5, truncate) { CALL(truncate, path(), any_size()); }
OP(kFiles, 1, ftruncate_largest) { CALL(ftruncate, FILE_FD, number(0x7fffffffffffffff)); }
// Sizes here stay small: what is allocated is there.
static long small_offset(void) {
  return number(percent(95) ? (long)below(20000) : ONE_OF(-1, 0, 4096, 8192));
}
#define FALLOCATE(kind, bits)                                            \
  OP(kFiles, 2, fallocate_##kind) {                                      \
    CALL(fallocate, FILE_FD, hex(bits), small_offset(), small_offset()); \
  }
FALLOCATE(plain, 0)
FALLOCATE(keep, FALLOC_FL_KEEP_SIZE)
FALLOCATE(punch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
FALLOCATE(zero, FALLOC_FL_ZERO_RANGE)
FALLOCATE(collapse, FALLOC_FL_COLLAPSE_RANGE)
FALLOCATE(wrong, ONE_OF(FALLOC_FL_PUNCH_HOLE, 0x40, 0x80, -1, FALLOC_FL_INSERT_RANGE))
OP(kFiles, 2, fsync) { CALL(fsync, fd_of(kAny)); }
OP(kFiles, 2, fdatasync) { CALL(fdatasync, fd_of(kAny)); }
OP(kFiles, 1, syncfs) { CALL(syncfs, FILE_FD); }
OP(kFiles, 2, sync_file_range) {
  CALL(sync_file_range, fd_of(kAny), offset(), offset(), FLAGS(1, 2, 4));
}
OP(kFiles, 2, readahead) { CALL(readahead, fd_of(kAny), offset(), length()); }
OP(kFiles, 2, fadvise64) {
  CALL(fadvise64, fd_of(kAny), offset(), offset(), PICK(0, 1, 2, 3, 4, 5, 6));
}

OP(kFiles, 5, copy_file_range) {
  int64_t in_offset = (int64_t)below(9000), out_offset = (int64_t)below(9000);
  bool with_in = percent(50), with_out = percent(50);
  say("%lld %lld", (long long)in_offset, (long long)out_offset);
  long r = CALL(copy_file_range, FILE_FD, with_in ? pointer(&in_offset, "at") : 0, FILE_FD,
                with_out ? pointer(&out_offset, "at") : 0, length(), percent(3) ? number(1) : 0);
  if (r >= 0) say(" %lld %lld", (long long)in_offset, (long long)out_offset);
}
OP(kFiles, 4, sendfile) {
  int64_t at = ONE_OF(0, 1, 100, 5000, -1);
  say("%lld", (long long)at);
  long to = fd_of(kFile | kPipeEnd | kSocket), from = FILE_FD;
  struct stat a, b;
  // Linux moves the pages themselves: what it reads of a file that it writes to is its own business.
  if (fstat((int)to, &a) == 0 && fstat((int)from, &b) == 0 && a.st_ino == b.st_ino &&
      a.st_dev == b.st_dev) {
    return say(" same file)");
  }
  long copy = file_for_splice(from, to), where = percent(60) ? pointer(&at, "at") : 0;
  long r = CALL(sendfile, to, copy, where, length());
  end_splice(from, copy, where ? 0 : r);
  if (r >= 0) say(" %lld", (long long)at);
}
OP(kFiles, 4, flock) {
  CALL(flock, FILE_FD, hex(ONE_OF(LOCK_SH, LOCK_EX, LOCK_UN, 0, 3, 32) | LOCK_NB));
}

// The whole of a file, by another open file.
OP(kFiles, 6, content) {
  long name = path();
  long fd = CALL(openat, AT_FDCWD, name, O_RDONLY | O_NONBLOCK);
  if (fd < 0) return;
  output();
  long got = QUIET_3(read, fd, output_buffer, kBuffer);
  if (got >= 0) {
    say_output(got);
  } else {
    say(" read %s", errno_name(-got));
  }
  close((int)fd);
}
