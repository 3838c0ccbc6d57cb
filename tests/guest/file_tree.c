// Names: rename(2), link(2), symlink(2), unlink(2), mkdir(2), getdents64(2), the *at calls, access(2), umask(2), cwd.
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "check.h"

static void make(const char* path, const char* text) { check_write_file(path, text, strlen(text)); }

static int links(const char* path) {
  struct stat info;
  return lstat(path, &info) == 0 ? (int)info.st_nlink : -1;
}

CASE(enter) { check_enter_scratch(); }

CASE(directories) {
  CHECK_OK(mkdir("d", 0750));
  CHECK_ERRNO(mkdir("d", 0750), EEXIST);
  CHECK_ERRNO(mkdir("missing/d", 0750), ENOENT);
  struct stat info;
  CHECK_OK(stat("d", &info));
  CHECK(S_ISDIR(info.st_mode));
  CHECK_EQ(info.st_mode & 07777, 0750);
  make("d/f", "x");
  CHECK_ERRNO(mkdir("d/f/g", 0750), ENOTDIR);
  CHECK_ERRNO(rmdir("d"), ENOTEMPTY);
  CHECK_ERRNO(rmdir("d/f"), ENOTDIR);
  CHECK_ERRNO(unlink("d"), EISDIR);
  CHECK_OK(unlink("d/f"));
  CHECK_ERRNO(rmdir("d/."), EINVAL);
  CHECK_OK(rmdir("d"));
  CHECK_ERRNO(rmdir("d"), ENOENT);
  CHECK_OK(mkdir("slash/", 0700));
  CHECK_OK(rmdir("slash/"));
}

CASE(hard_links) {
  make("a", "text");
  CHECK_OK(link("a", "b"));
  CHECK_EQ(links("a"), 2);
  CHECK_ERRNO(link("a", "b"), EEXIST);
  CHECK_ERRNO(link("missing", "c"), ENOENT);
  struct stat one, two;
  CHECK_OK(stat("a", &one));
  CHECK_OK(stat("b", &two));
  CHECK_EQ(one.st_ino, two.st_ino);
  CHECK_OK(unlink("a"));
  CHECK_EQ(links("b"), 1);
  CHECK_OK(unlink("b"));
  CHECK_OK(mkdir("ld", 0700));
  CHECK_ERRNO(link("ld", "le"), EPERM);
  CHECK_OK(rmdir("ld"));
}

CASE(symbolic_links) {
  make("target", "through a link");
  CHECK_OK(symlink("target", "s"));
  CHECK_ERRNO(symlink("target", "s"), EEXIST);
  char text[64] = "";
  CHECK_EQ(readlink("s", text, sizeof text), 6);
  CHECK_STR(text, "target");
  char part[4] = "...";
  CHECK_EQ(readlink("s", part, 2), 2);
  CHECK_STR(part, "ta.");
  CHECK_ERRNO(readlink("target", text, sizeof text), EINVAL);
  struct stat info;
  CHECK_OK(lstat("s", &info));
  CHECK(S_ISLNK(info.st_mode));
  CHECK_EQ(info.st_size, 6);
  CHECK_OK(stat("s", &info));
  CHECK(S_ISREG(info.st_mode));
  CHECK_OK(symlink("nowhere", "dangling"));
  CHECK_ERRNO(stat("dangling", &info), ENOENT);
  int fd = open("dangling", O_CREAT | O_WRONLY, 0600);
  CHECK(fd >= 0);
  close(fd);
  CHECK_OK(access("nowhere", F_OK));
  CHECK_OK(mkdir("deep", 0700));
  CHECK_OK(symlink("../target", "deep/up"));
  CHECK_OK(stat("deep/up", &info));
  CHECK_OK(symlink("deep", "dir"));
  CHECK_OK(stat("dir/up", &info));
  CHECK_OK(unlink("s"));
  CHECK_OK(access("target", F_OK));
}

CASE(renames) {
  make("from", "1");
  make("onto", "22");
  CHECK_OK(rename("from", "onto"));
  struct stat info;
  CHECK_OK(stat("onto", &info));
  CHECK_EQ(info.st_size, 1);
  CHECK_ERRNO(rename("from", "x"), ENOENT);
  CHECK_OK(mkdir("r1", 0700));
  CHECK_OK(mkdir("r2", 0700));
  make("r2/f", "");
  CHECK_ERRNO(rename("r1", "r2"), ENOTEMPTY);
  CHECK_ERRNO(rename("onto", "r1"), EISDIR);
  CHECK_ERRNO(rename("r1", "onto"), ENOTDIR);
  CHECK_ERRNO(rename("r2", "r2/below"), EINVAL);
  CHECK_OK(rename("r2", "r1"));
  CHECK_OK(access("r1/f", F_OK));
  CHECK_OK(rename("r1/f", "moved"));
  CHECK_OK(rename("moved", "moved"));
  CHECK_OK(link("moved", "same"));
  CHECK_OK(rename("moved", "same"));  // Two names of one file: nothing happens.
  CHECK_EQ(links("moved"), 2);
  CHECK_ERRNO(renameat2(AT_FDCWD, "onto", AT_FDCWD, "moved", RENAME_NOREPLACE), EEXIST);
  make("left", "left");
  make("right", "right");
  CHECK_OK(renameat2(AT_FDCWD, "left", AT_FDCWD, "right", RENAME_EXCHANGE));
  CHECK_OK(stat("left", &info));
  CHECK_EQ(info.st_size, 5);
}

CASE(unlinked_file_lives_on) {
  make("gone", "still here");
  int fd = open("gone", O_RDWR);
  CHECK_OK(unlink("gone"));
  CHECK_ERRNO(unlink("gone"), ENOENT);
  CHECK_ERRNO(access("gone", F_OK), ENOENT);
  struct stat info;
  CHECK_OK(fstat(fd, &info));
  CHECK_EQ(info.st_nlink, 0);
  char text[16] = "";
  CHECK_EQ(read(fd, text, 15), 10);
  CHECK_STR(text, "still here");
  CHECK_EQ(write(fd, "!", 1), 1);
  close(fd);
}

CASE(listing) {
  enum { kFiles = 300 };
  CHECK_OK(mkdir("list", 0700));
  char path[32];
  for (int i = 0; i < kFiles; i++) {
    snprintf(path, sizeof path, "list/f%03d", i);
    make(path, "");
  }
  CHECK_OK(mkdir("list/sub", 0700));
  CHECK_OK(symlink("f000", "list/sym"));
  int seen[kFiles] = {0}, dots = 0, others = 0;
  DIR* stream = opendir("list");
  REQUIRE(stream != NULL);
  for (struct dirent* entry; (entry = readdir(stream));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
      dots++;
    } else if (entry->d_name[0] == 'f') {
      CHECK_EQ(entry->d_type, DT_REG);
      seen[atoi(entry->d_name + 1)]++;
    } else {
      CHECK_EQ(entry->d_type, strcmp(entry->d_name, "sub") == 0 ? DT_DIR : DT_LNK);
      others++;
    }
  }
  CHECK_EQ(dots, 2);
  CHECK_EQ(others, 2);
  for (int i = 0; i < kFiles; i++) CHECK_EQ(seen[i], 1);
  rewinddir(stream);
  CHECK(readdir(stream) != NULL);
  // Removing everything while listing: each entry exactly once.
  rewinddir(stream);
  int removed = 0;
  for (struct dirent* entry; (entry = readdir(stream));) {
    if (entry->d_name[0] == 'f') removed += unlinkat(dirfd(stream), entry->d_name, 0) == 0;
  }
  CHECK_EQ(removed, kFiles);
  closedir(stream);
  CHECK_OK(unlink("list/sym"));
  CHECK_OK(rmdir("list/sub"));
  CHECK_OK(rmdir("list"));
  int fd = open("target", O_RDONLY);
  char buffer[512];
  CHECK_ERRNO(syscall(SYS_getdents64, fd, buffer, sizeof buffer), ENOTDIR);
  close(fd);
  fd = open(".", O_RDONLY | O_DIRECTORY);
  CHECK_ERRNO(syscall(SYS_getdents64, fd, buffer, 8), EINVAL);
  CHECK_ERRNO(read(fd, buffer, 8), EISDIR);
  close(fd);
}

static int count_entries(int fd) {
  char buffer[512];
  int count = 0;
  for (long size; (size = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0;) {
    for (long at = 0; at < size; count++) at += *(unsigned short*)(buffer + at + 16);
  }
  return count;
}
// Who has read a directory of a tmpfs to its end sees what is created later after going back only.
CASE(end_of_a_listing) {
  char path[] = "/dev/shm/guest-XXXXXX";
  REQUIRE(mkdtemp(path) != NULL);
  int fd = open(path, O_RDONLY | O_DIRECTORY);
  REQUIRE(fd >= 0);
  CHECK_EQ(count_entries(fd), 2);
  const off_t end = lseek(fd, 0, SEEK_CUR);
  CHECK_OK(mkdirat(fd, "later", 0700));
  CHECK_EQ(count_entries(fd), 0);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), end);
  CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
  CHECK_EQ(count_entries(fd), 3);
  CHECK_EQ(lseek(fd, end, SEEK_SET), end);
  CHECK_EQ(count_entries(fd), 0);
  CHECK_OK(unlinkat(fd, "later", AT_REMOVEDIR));
  close(fd);
  CHECK_OK(rmdir(path));
}

CASE(at_calls) {
  CHECK_OK(mkdir("at", 0700));
  int dir = open("at", O_RDONLY | O_DIRECTORY), file = open("target", O_RDONLY);
  int fd = openat(dir, "f", O_CREAT | O_RDWR, 0600);
  CHECK(fd >= 0);
  close(fd);
  CHECK_OK(mkdirat(dir, "sub", 0700));
  CHECK_OK(symlinkat("f", dir, "s"));
  CHECK_OK(linkat(dir, "f", dir, "g", 0));
  CHECK_OK(renameat(dir, "g", dir, "h"));
  CHECK_OK(faccessat(dir, "h", R_OK, 0));
  struct stat info;
  CHECK_OK(fstatat(dir, "s", &info, AT_SYMLINK_NOFOLLOW));
  CHECK(S_ISLNK(info.st_mode));
  CHECK_OK(fstatat(dir, "", &info, AT_EMPTY_PATH));
  CHECK(S_ISDIR(info.st_mode));
  CHECK_ERRNO(fstatat(dir, "", &info, 0), ENOENT);
  CHECK_ERRNO(fstatat(dir, "f", &info, 0x40000000), EINVAL);
  char text[8] = "";
  CHECK_EQ(readlinkat(dir, "s", text, 8), 1);
  CHECK_ERRNO(openat(file, "f", O_RDONLY), ENOTDIR);
  CHECK_ERRNO(openat(999, "f", O_RDONLY), EBADF);
  CHECK_OK(faccessat(999, "/", F_OK, 0));  // An absolute path needs no directory.
  CHECK_ERRNO(unlinkat(dir, "sub", 0), EISDIR);
  CHECK_ERRNO(unlinkat(dir, "f", AT_REMOVEDIR), ENOTDIR);
  CHECK_OK(unlinkat(dir, "sub", AT_REMOVEDIR));
  CHECK_OK(fchmodat(dir, "f", 0400, 0));
  CHECK_OK(fstatat(dir, "f", &info, 0));
  CHECK_EQ(info.st_mode & 07777, 0400);
  close(dir);
  close(file);
}

CASE(access_checks) {
  make("mode", "");
  CHECK_OK(access("mode", F_OK | R_OK | W_OK));
  CHECK_ERRNO(access("missing", F_OK), ENOENT);
  CHECK_ERRNO(access("mode", 99), EINVAL);
  CHECK_OK(chmod("mode", 0600));
  CHECK_ERRNO(access("mode", X_OK), EACCES);  // Not even root executes what nobody may.
  CHECK_OK(chmod("mode", 0700));
  CHECK_OK(access("mode", X_OK));
}

CASE(umask_is_applied) {
  mode_t before = umask(027);
  CHECK_EQ(umask(027), 027);
  int fd = open("masked", O_CREAT | O_WRONLY, 0777);
  struct stat info;
  CHECK_OK(fstat(fd, &info));
  CHECK_EQ(info.st_mode & 07777, 0750);
  CHECK_OK(fchmod(fd, 0777));
  CHECK_OK(fstat(fd, &info));
  CHECK_EQ(info.st_mode & 07777, 0777);
  close(fd);
  CHECK_OK(mkdir("masked_dir", 0777));
  CHECK_OK(stat("masked_dir", &info));
  CHECK_EQ(info.st_mode & 07777, 0750);
  umask(before);
}

CASE(working_directory) {
  char top[512], below[512], small[2];
  REQUIRE(getcwd(top, sizeof top) != NULL);
  CHECK_OK(mkdir("w", 0700));
  CHECK_OK(chdir("w"));
  REQUIRE(getcwd(below, sizeof below) != NULL);
  CHECK_EQ(strncmp(below, top, strlen(top)), 0);
  CHECK_STR(below + strlen(top), "/w");
  CHECK(getcwd(small, sizeof small) == NULL && errno == ERANGE);
  CHECK_OK(chdir(".."));
  int fd = open("w", O_RDONLY);
  CHECK_OK(fchdir(fd));
  close(fd);
  CHECK_OK(chdir(top));
  CHECK_ERRNO(chdir("missing"), ENOENT);
  CHECK_ERRNO(chdir("target"), ENOTDIR);
  CHECK_OK(chdir("/../.."));
  REQUIRE(getcwd(below, sizeof below) != NULL);
  CHECK_STR(below, "/");
  CHECK_OK(chdir(top));
}

CHECK_MAIN
