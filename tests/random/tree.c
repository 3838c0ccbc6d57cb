// Names: directories, links, renaming, special files, where one stands.
#include <dirent.h>
#include <linux/fs.h>
#include <sys/sysmacros.h>

#include "random.h"

OP(kTree, 12, mkdir) { CALL(mkdir, path(), mode()); }
OP(kTree, 8, mkdirat) { CALL(mkdirat, directory_fd(), path(), mode()); }
OP(kTree, 5, rmdir) { CALL(rmdir, path()); }
OP(kTree, 6, unlink) { CALL(unlink, path()); }
OP(kTree, 5, unlinkat) { CALL(unlinkat, directory_fd(), path(), hex(ONE_OF(0, 0, 0, 1, 0x1000))); }
OP(kTree, 4, unlinkat_dir) { CALL(unlinkat, directory_fd(), path(), hex(AT_REMOVEDIR)); }
OP(kTree, 8, rename) { CALL(rename, path(), path()); }
OP(kTree, 6, renameat) { CALL(renameat, directory_fd(), path(), directory_fd(), path()); }
OP(kTree, 3, renameat2) {
  CALL(renameat2, directory_fd(), path(), directory_fd(), path(), hex(ONE_OF(0, 8, 3)));
}
OP(kTree, 4, renameat2_noreplace) {
  CALL(renameat2, directory_fd(), path(), directory_fd(), path(), hex(RENAME_NOREPLACE));
}
OP(kTree, 5, renameat2_exchange) {
  CALL(renameat2, directory_fd(), path(), directory_fd(), path(), hex(RENAME_EXCHANGE));
}
// Whether others' files may be linked is a setting of the machine's (fs.protected_hardlinks).
OP(kTree, 6, link) {
  if (geteuid() != 0) return say("not root)");
  CALL(link, path(), path());
}
OP(kTree, 6, linkat) {
  if (geteuid() != 0) return say("not root)");
  CALL(linkat, directory_fd(), path(), directory_fd(), path(),
       FLAGS(AT_SYMLINK_FOLLOW, AT_SYMLINK_FOLLOW));
}
OP(kTree, 3, linkat_empty) {
  CALL(linkat, fd_of(kFile | kPathFd), silent(""), directory_fd(), path(), hex(AT_EMPTY_PATH));
}
OP(kTree, 8, symlink) { CALL(symlink, link_text(), path()); }
OP(kTree, 5, symlinkat) { CALL(symlinkat, link_text(), directory_fd(), path()); }
OP(kTree, 5, readlink) {
  long r = CALL(readlink, path(), output(), PICK(0, 1, 2, 10, 100, 4096));
  if (r > 0) say_output(r);
}
OP(kTree, 4, readlinkat) {
  long r = CALL(readlinkat, directory_fd(), path(), output(), PICK(0, 1, 10, 100));
  if (r > 0) say_output(r);
}
// FIFOs, files, sockets and the null device only: no other device.
static long node_mode(void) {
  return octal(ONE_OF(S_IFIFO | 0644, S_IFIFO | 0600, S_IFREG | 0644, S_IFSOCK | 0644, 0644,
                      S_IFDIR | 0755, S_IFLNK | 0777, 0170000));
}
OP(kTree, 4, mknod) { CALL(mknod, path(), node_mode(), 0); }
OP(kTree, 4, mknodat) { CALL(mknodat, directory_fd(), path(), node_mode(), 0); }
OP(kTree, 1, mknod_null) { CALL(mknod, path(), octal(S_IFCHR | 0666), number(1 << 8 | 3)); }

static void say_cwd(void) {
  static char here[4096];
  if (getcwd(here, sizeof here)) {
    size_t size = strlen(sequence_directory);
    if (strncmp(here, sequence_directory, size) == 0) {
      say(" at work%s", here + size);
    } else {
      say(" above");
    }
  } else {
    say(" getcwd %s", errno_name(errno));
  }
}
OP(kTree, 5, chdir) {
  CALL(chdir, path());
  say_cwd();
}
OP(kTree, 3, chdir_back) {
  CALL(chdir, silent(sequence_directory));
  say_cwd();
}
OP(kTree, 3, fchdir) {
  CALL(fchdir, fd_of(kDirectory | kPathFd));
  say_cwd();
}
OP(kTree, 2, getcwd) {
  output();
  static char here[4096];
  long size = ONE_OF(0, 1, 2, 4096);
  long r = CALL(getcwd, pointer(here, "buffer"), number(size));
  (void)r;
}
OP(kTree, 1, chroot) {
  CALL(chroot, path());
  say_cwd();
}

// The entries, sorted: their order is the file system's own.
struct entry {
  char name[256];
  unsigned char type;
};
static int by_name(const void* a, const void* b) {
  return strcmp(((const struct entry*)a)->name, ((const struct entry*)b)->name);
}
static struct entry found[300];
static int found_count;
static void add_entry(const char* name, unsigned char type) {
  if (found_count == 300) return;
  snprintf(found[found_count].name, sizeof found[0].name, "%s", name);
  found[found_count++].type = type;
}
static void say_entries(void) {
  qsort(found, (size_t)found_count, sizeof found[0], by_name);
  for (int i = 0; i < found_count; i++) say(" %.40s/%d", found[i].name, found[i].type);
}

// How many entries one call returns is the file system's business; whether one fits is not.
static void list_directory(int call, int head_size) {
  long fd = fd_of(kDirectory), size = number(ONE_OF(kBuffer, kBuffer, kBuffer, 400, 0, 10));
  if (kind_of(fd) == kDirectory) QUIET_3(lseek, fd, 0, SEEK_SET);
  found_count = 0;
  long buffer = output(), r = quiet(call, fd, buffer, size, 0, 0, 0);
  say_result(r > 0 ? 1 : r);
  for (int calls = 0; r > 0 && calls < 300; calls++) {
    for (long at = 0; at < r;) {
      const unsigned char* entry = output_buffer + at;
      unsigned short step;
      memcpy(&step, entry + 16, sizeof step);
      add_entry((const char*)entry + head_size, head_size == 19 ? entry[18] : entry[step - 1]);
      at += step;
    }
    r = quiet(call, fd, (long)output_buffer, size, 0, 0, 0);
  }
  say_entries();
}
OP(kTree, 8, getdents64) { list_directory(SYS_getdents64, 19); }
OP(kTree, 3, getdents) { list_directory(SYS_getdents, 18); }
OP(kTree, 2, lseek_directory) {
  CALL(lseek, fd_of(kDirectory), number(ONE_OF(0, 0, -1)), number(ONE_OF(SEEK_SET, SEEK_SET, 9)));
}
