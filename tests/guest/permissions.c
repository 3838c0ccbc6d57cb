// Who may do what with files: path_resolution(7), "Permissions"; chmod(2), chown(2), access(2), capabilities(7).
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>

#include "identity.h"

static int make(const char* path, mode_t mode, uid_t uid, gid_t gid) {
  int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
  REQUIRE(fd >= 0);
  REQUIRE(write(fd, "text", 4) == 4);
  REQUIRE(fchown(fd, uid, gid) == 0);
  REQUIRE(fchmod(fd, mode) == 0);
  return close(fd);
}

static void make_dir(const char* path, mode_t mode, uid_t uid, gid_t gid) {
  REQUIRE(mkdir(path, 0700) == 0);
  REQUIRE(chown(path, uid, gid) == 0);
  REQUIRE(chmod(path, mode) == 0);
}

static mode_t mode_of(const char* path) {
  struct stat stat;
  return lstat(path, &stat) == 0 ? stat.st_mode & 07777 : (mode_t)-1;
}

static void enter(void) {
  REQUIRE(geteuid() == 0);
  umask(022);
  check_enter_scratch();
  chmod(".", 0755);
}

static int try_open(const char* path, int flags) {
  int fd = open(path, flags, 0644);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

static void open_as_alice(void) {
  CHECK_EQ(try_open("mine", O_RDWR), 0);
  CHECK_EQ(try_open("mine-0077", O_RDONLY), EACCES);  // the owner's bits count, not the others'
  CHECK_EQ(try_open("theirs", O_RDONLY), EACCES);
  CHECK_EQ(try_open("theirs-r", O_RDONLY), 0);
  CHECK_EQ(try_open("theirs-r", O_WRONLY), EACCES);
  CHECK_EQ(try_open("theirs-r", O_RDWR), EACCES);
  CHECK_EQ(try_open("theirs-w", O_WRONLY), 0);
  CHECK_EQ(try_open("theirs-w", O_RDONLY), EACCES);
  CHECK_EQ(try_open("theirs-r", O_RDONLY | O_TRUNC), EACCES);
  CHECK_EQ(try_open("theirs", O_PATH), 0);
  CHECK_EQ(try_open("theirs-r", O_RDONLY | O_NOATIME), EPERM);
  CHECK_EQ(try_open("mine", O_RDONLY | O_NOATIME), 0);
  CHECK_EQ(try_open("group-rw", O_RDWR), 0);         // by the supplementary group
  CHECK_EQ(try_open("group-no", O_RDONLY), EACCES);  // the group's bits count, not the others'
  CHECK_EQ(try_open("new", O_CREAT | O_RDWR), EACCES);
  CHECK_EQ(try_open("theirs-r", O_CREAT | O_RDONLY), 0);
  CHECK_EQ(try_open("theirs-r", O_CREAT | O_EXCL | O_RDONLY), EEXIST);
  CHECK_EQ(try_open(".", O_RDONLY | O_DIRECTORY), 0);
  CHECK_EQ(try_open(".", O_TMPFILE | O_RDWR), EACCES);
  CHECK_EQ(truncate("theirs-r", 0), -1);
  CHECK_EQ(errno, EACCES);
  CHECK_ERRNO(chmod("theirs-r", 0777), EPERM);
  CHECK_ERRNO(unlink("mine"), EACCES);
  CHECK_ERRNO(rename("mine", "else"), EACCES);
  CHECK_ERRNO(mkdir("dir", 0700), EACCES);
  CHECK_ERRNO(mkdir("mine", 0700), EEXIST);
  CHECK_ERRNO(rmdir("missing"), ENOENT);
  CHECK_ERRNO(symlink("x", "link"), EACCES);
  CHECK_ERRNO(mknod("pipe", S_IFIFO | 0600, 0), EACCES);
  CHECK_ERRNO(link("mine", "mine2"), EACCES);
  CHECK_ERRNO(link("theirs", "mine2"), EPERM);  // what is not hers is found out first
  CHECK_ERRNO(link(".", "mine2"), EPERM);
  CHECK_ERRNO(link(".", "mine"), EEXIST);
}

CASE(open_and_names) {
  enter();
  make("mine", 0600, ALICE, ALICE);
  make("mine-0077", 0077, ALICE, ALICE);
  make("theirs", 0600, BOB, BOB);
  make("theirs-r", 0604, BOB, BOB);
  make("theirs-w", 0602, BOB, BOB);
  make("group-rw", 0060, BOB, 2000);
  make("group-no", 0606, BOB, 2000);
  as_user_in(ALICE, ALICE, 2000, open_as_alice);
}

static void search_as_alice(void) {
  struct stat stat_;
  CHECK_EQ(stat("open/file", &stat_), 0);
  CHECK_ERRNO(stat("closed/file", &stat_), EACCES);
  CHECK_ERRNO(stat("closed/missing", &stat_), EACCES);
  CHECK_EQ(stat("searchable/file", &stat_), 0);
  CHECK_EQ(try_open("searchable", O_RDONLY), EACCES);
  CHECK_EQ(try_open("searchable/file", O_RDONLY), 0);
  CHECK_EQ(try_open("readable", O_RDONLY), 0);
  CHECK_EQ(try_open("readable/file", O_RDONLY), EACCES);
  CHECK_ERRNO(chdir("readable"), EACCES);
  CHECK_ERRNO(chdir("closed"), EACCES);
  CHECK_ERRNO(chroot("open"), EPERM);
  CHECK_ERRNO(chroot("closed"), EACCES);
  CHECK_ERRNO(stat("to-closed", &stat_), EACCES);
  int dir = open("closed", O_PATH);
  REQUIRE(dir >= 0);
  CHECK_EQ(fstat(dir, &stat_), 0);
  CHECK_ERRNO(fstatat(dir, "file", &stat_, 0), EACCES);
  CHECK_ERRNO(fchdir(dir), EACCES);
  close(dir);
}

CASE(search) {
  enter();
  const char* names[] = {"open", "closed", "searchable", "readable"};
  mode_t modes[] = {0755, 0700, 0711, 0744};
  for (int i = 0; i < 4; i++) {
    char file[64];
    make_dir(names[i], 0700, BOB, BOB);
    snprintf(file, sizeof file, "%s/file", names[i]);
    make(file, 0644, BOB, BOB);
    chmod(names[i], modes[i]);
  }
  REQUIRE(symlink("closed/file", "to-closed") == 0);
  as_user(ALICE, search_as_alice);
}

static void sticky_as_alice(void) {
  CHECK_ERRNO(unlink("tmp/bobs"), EPERM);
  CHECK_ERRNO(rename("tmp/bobs", "tmp/x"), EPERM);
  CHECK_ERRNO(rename("tmp/alices", "tmp/bobs"), EPERM);
  CHECK_ERRNO(rmdir("tmp/bobs-dir"), EPERM);
  CHECK_EQ(rename("tmp/alices", "tmp/alices2"), 0);
  CHECK_EQ(unlink("tmp/alices2"), 0);
  CHECK_EQ(try_open("tmp/new", O_CREAT | O_WRONLY), 0);
  CHECK_EQ(unlink("own/bobs"), 0);  // the directory is hers
  CHECK_EQ(unlink("all/bobs"), 0);  // not sticky
}

CASE(sticky_directories) {
  enter();
  make_dir("tmp", 01777, 0, 0);
  make_dir("own", 01777, ALICE, ALICE);
  make_dir("all", 0777, 0, 0);
  make("tmp/bobs", 0666, BOB, BOB);
  make("tmp/alices", 0644, ALICE, ALICE);
  make_dir("tmp/bobs-dir", 0777, BOB, BOB);
  make("own/bobs", 0600, BOB, BOB);
  make("all/bobs", 0600, BOB, BOB);
  as_user(ALICE, sticky_as_alice);
}

static void chmod_as_alice(void) {
  CHECK_ERRNO(chmod("bobs", 0777), EPERM);
  CHECK_EQ(chmod("mine", 0640), 0);
  CHECK_EQ(chmod("mine", 06755), 0);
  CHECK_EQ(mode_of("mine"), 06755);
  CHECK_EQ(chmod("mine-in-2001", 02755), 0);  // not her group: the bit is dropped in silence
  CHECK_EQ(mode_of("mine-in-2001"), 0755);
  CHECK_EQ(chmod("mine-in-2000", 02755), 0);
  CHECK_EQ(mode_of("mine-in-2000"), 02755);
  CHECK_EQ(chmod("dir", 01777), 0);
  CHECK_EQ(mode_of("dir"), 01777);

  CHECK_ERRNO(chown("bobs", ALICE, -1), EPERM);
  CHECK_ERRNO(chown("bobs", -1, ALICE), EPERM);
  CHECK_ERRNO(chown("bobs", BOB, BOB), EPERM);
  CHECK_EQ(chown("bobs", -1, -1), 0);  // nothing asked for
  CHECK_ERRNO(chown("bobs-suid", -1, -1), EPERM);
  CHECK_ERRNO(chown("mine", BOB, -1), EPERM);
  CHECK_EQ(chown("mine", ALICE, -1), 0);
  CHECK_EQ(mode_of("mine"), 0755);  // set-id bits are gone
  CHECK_EQ(chown("mine", -1, 2000), 0);
  CHECK_ERRNO(chown("mine", -1, 2001), EPERM);
  CHECK_EQ(chown("mine-in-2001", -1, 2001), 0);  // it is that already
  CHECK_EQ(chmod("mine", 02644), 0);  // set-group-id without execute: mandatory locking's mark
  CHECK_EQ(chown("mine", -1, ALICE), 0);
  CHECK_EQ(mode_of("mine"), 02644);
  CHECK_ERRNO(lchown("link", ALICE, -1), EPERM);
  CHECK_ERRNO(fchmodat(AT_FDCWD, "link", 0777, 0), EPERM);

  struct timespec past[2] = {{1, 0}, {2, 0}}, now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}},
                  omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}},
                  half[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  CHECK_ERRNO(utimensat(AT_FDCWD, "bobs", past, 0), EPERM);
  CHECK_ERRNO(utimensat(AT_FDCWD, "bobs", now, 0), EACCES);
  CHECK_ERRNO(utimensat(AT_FDCWD, "bobs", NULL, 0), EACCES);
  CHECK_EQ(utimensat(AT_FDCWD, "bobs", omit, 0), 0);
  CHECK_ERRNO(utimensat(AT_FDCWD, "bobs", half, 0), EPERM);
  CHECK_EQ(utimensat(AT_FDCWD, "bobs-w", NULL, 0), 0);
  CHECK_EQ(utimensat(AT_FDCWD, "bobs-w", now, 0), 0);
  CHECK_ERRNO(utimensat(AT_FDCWD, "bobs-w", past, 0), EPERM);
  CHECK_EQ(utimensat(AT_FDCWD, "mine", past, 0), 0);
}

CASE(chmod_chown_utimes) {
  enter();
  make("bobs", 0644, BOB, BOB);
  make("bobs-w", 0646, BOB, BOB);
  make("bobs-suid", 0755, BOB, BOB);
  chmod("bobs-suid", 04755);
  make("mine", 0644, ALICE, ALICE);
  make("mine-in-2000", 0644, ALICE, 2000);
  make("mine-in-2001", 0644, ALICE, 2001);
  make_dir("dir", 0755, ALICE, ALICE);
  REQUIRE(symlink("bobs", "link") == 0);
  as_user_in(ALICE, ALICE, 2000, chmod_as_alice);
  // Root gives away: set-user-id goes, set-group-id with execute goes.
  make("roots", 0644, 0, 0);
  chmod("roots", 06755);
  CHECK_EQ(chown("roots", ALICE, ALICE), 0);
  CHECK_EQ(mode_of("roots"), 0755);
  make_dir("roots-dir", 0755, 0, 0);
  chmod("roots-dir", 06755);
  CHECK_EQ(chown("roots-dir", ALICE, ALICE), 0);
  CHECK_EQ(mode_of("roots-dir"), 06755);
}

static void write_as_alice(void) {
  int fd = open("suid", O_WRONLY);
  REQUIRE(fd >= 0);
  CHECK_EQ(mode_of("suid"), 06777);
  CHECK_EQ(write(fd, "", 0), 0);
  CHECK_EQ(mode_of("suid"), 06777);
  CHECK_EQ(write(fd, "x", 1), 1);
  CHECK_EQ(mode_of("suid"), 0777);
  close(fd);
  CHECK_EQ(truncate("suid2", 1), 0);
  CHECK_EQ(mode_of("suid2"), 0777);
  CHECK_EQ(try_open("suid3", O_WRONLY | O_TRUNC), 0);
  CHECK_EQ(mode_of("suid3"), 0777);
  fd = open("suid4", O_WRONLY);
  CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096));
  CHECK_EQ(mode_of("suid4"), 0777);
  close(fd);
}

CASE(writing_drops_set_id) {
  enter();
  const char* names[] = {"suid", "suid2", "suid3", "suid4"};
  for (int i = 0; i < 4; i++) {
    make(names[i], 0777, BOB, BOB);
    chmod(names[i], 06777);
  }
  as_user(ALICE, write_as_alice);
  make("roots", 0644, BOB, BOB);
  chmod("roots", 06777);
  int fd = open("roots", O_WRONLY);
  CHECK_EQ(write(fd, "x", 1), 1);
  CHECK_EQ(mode_of("roots"), 06777);  // CAP_FSETID
  close(fd);
}

static void new_as_alice(void) {
  struct stat stat_;
  CHECK_EQ(try_open("sgid/file", O_CREAT | O_WRONLY), 0);
  REQUIRE(stat("sgid/file", &stat_) == 0);
  CHECK_EQ(stat_.st_uid, ALICE);
  CHECK_EQ(stat_.st_gid, 2001);
  CHECK_EQ(mkdir("sgid/dir", 0755), 0);
  CHECK_EQ(mode_of("sgid/dir"), 02755);
  int fd = open("sgid/exec", O_CREAT | O_WRONLY, 02755);
  CHECK_EQ(mode_of("sgid/exec"), 0755);  // not her group
  close(fd);
  fd = open("plain/exec", O_CREAT | O_WRONLY, 02755);
  CHECK_EQ(mode_of("plain/exec"), 02755);
  close(fd);
  CHECK_EQ(mknod("plain/fifo", S_IFIFO | 0600, 0), 0);
  CHECK_ERRNO(mknod("plain/null", S_IFCHR | 0600, makedev(1, 3)), EPERM);
  CHECK_ERRNO(mknod("plain/disk", S_IFBLK | 0600, makedev(8, 0)), EPERM);
  CHECK_ERRNO(mknod("plain/fifo", S_IFCHR | 0600, makedev(1, 3)), EEXIST);
}

CASE(new_files) {
  enter();
  make_dir("sgid", 0777, BOB, 2001);
  chmod("sgid", 02777);
  make_dir("plain", 0777, BOB, BOB);
  as_user(ALICE, new_as_alice);
}

static void rename_as_alice(void) {
  CHECK_ERRNO(rename("a/bobs-dir", "b/bobs-dir"), EACCES);  // its ".." would change
  CHECK_EQ(rename("a/bobs-dir", "a/other"), 0);
  CHECK_EQ(rename("a/bobs", "b/bobs"), 0);
  CHECK_EQ(link("b/rw", "b/link"), 0);
  // Some machines allow it.
  int fd = open("/proc/sys/fs/protected_hardlinks", O_RDONLY);
  char is_protected = '0';
  CHECK_EQ(read(fd, &is_protected, 1), 1);
  close(fd);
  if (is_protected == '0') return;
  CHECK_ERRNO(link("b/bobs", "b/link2"), EPERM);
  CHECK_ERRNO(link("b/suid", "b/link3"), EPERM);
}

CASE(rename_and_link) {
  enter();
  make_dir("a", 0777, BOB, BOB);
  make_dir("b", 0777, BOB, BOB);
  make_dir("a/bobs-dir", 0755, BOB, BOB);
  make("a/bobs", 0644, BOB, BOB);
  make("b/rw", 0666, BOB, BOB);
  make("b/suid", 0777, BOB, BOB);
  chmod("b/suid", 04777);
  as_user(ALICE, rename_as_alice);
}

// A descriptor gives a file a name for who opened it, and for who may look everywhere. Linux before 6.10 asks the latter
// only: who opened it is not asked for here.
static int opened_by_root;
static void link_as_alice(void) {
  CHECK_ERRNO(linkat(opened_by_root, "", AT_FDCWD, "a/linked", AT_EMPTY_PATH), ENOENT);
  CHECK_ERRNO(linkat(opened_by_root, "x", AT_FDCWD, "a/linked", AT_EMPTY_PATH), ENOENT);
  CHECK_ERRNO(linkat(opened_by_root, "x", AT_FDCWD, "a/linked", 0), ENOTDIR);
  CHECK_ERRNO(linkat(77, "", AT_FDCWD, "a/linked", AT_EMPTY_PATH), EBADF);
}
CASE(link_by_descriptor) {
  enter();
  make_dir("a", 0777, BOB, BOB);
  make("a/alices", 0666, ALICE, ALICE);
  opened_by_root = open("a/alices", O_RDWR);
  REQUIRE(opened_by_root >= 0);
  as_user(ALICE, link_as_alice);
  CHECK_OK(linkat(opened_by_root, "", AT_FDCWD, "a/linked", AT_EMPTY_PATH));
  close(opened_by_root);
}

static void access_as_alice(void) {
  CHECK_EQ(access("mine", R_OK | W_OK), 0);
  CHECK_ERRNO(access("mine", X_OK), EACCES);
  CHECK_EQ(access("bobs", F_OK), 0);
  CHECK_EQ(access("bobs", R_OK), 0);
  CHECK_ERRNO(access("bobs", W_OK), EACCES);
  CHECK_ERRNO(access("missing", R_OK), ENOENT);
  CHECK_ERRNO(access("closed/x", F_OK), EACCES);
  CHECK_ERRNO(access("bobs", 8), EINVAL);
  CHECK_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "bobs", R_OK, 1), EINVAL);
}

static void access_with_two_ids(void) {
  // Really alice, effectively root.
  REQUIRE(syscall(SYS_setresuid, ALICE, 0, 0) == 0);
  CHECK_ERRNO(access("roots", R_OK), EACCES);
  CHECK_EQ(syscall(SYS_faccessat2, AT_FDCWD, "roots", R_OK, AT_EACCESS), 0);
  CHECK_EQ(try_open("roots", O_RDONLY), 0);
  CHECK_ERRNO(access("closed/x", F_OK), EACCES);
  // Really root, effectively alice: access(2) has root's permitted capabilities.
  REQUIRE(syscall(SYS_setresuid, 0, ALICE, 0) == 0);
  CHECK_EQ(access("roots", R_OK), 0);
  CHECK_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "roots", R_OK, AT_EACCESS), EACCES);
  CHECK_EQ(try_open("roots", O_RDONLY), EACCES);
}

CASE(access_and_real_ids) {
  enter();
  make("mine", 0600, ALICE, ALICE);
  make("bobs", 0644, BOB, BOB);
  make("roots", 0600, 0, 0);
  make_dir("closed", 0700, 0, 0);
  make("closed/x", 0644, 0, 0);
  as_user(ALICE, access_as_alice);
  as_user(0, access_with_two_ids);
  // Root may do everything but run what nobody may.
  CHECK_EQ(access("bobs", R_OK | W_OK), 0);
  CHECK_ERRNO(access("bobs", X_OK), EACCES);
  CHECK_EQ(access("closed", X_OK), 0);
  make("roots-x", 0100, BOB, BOB);
  CHECK_EQ(access("roots-x", X_OK), 0);
}

static void with_dac_override(void) {
  CHECK_EQ(try_open("roots", O_RDWR), 0);
  CHECK_EQ(try_open("closed/x", O_RDWR), 0);
  CHECK_ERRNO(chmod("roots", 0644), EPERM);
  CHECK_ERRNO(chown("roots", BOB, -1), EPERM);
  CHECK_ERRNO(utimensat(AT_FDCWD, "roots", (struct timespec[2]){{1, 0}, {1, 0}}, 0), EPERM);
  CHECK_EQ(utimensat(AT_FDCWD, "roots", NULL, 0), 0);
  CHECK_ERRNO(unlink("sticky/roots"), EPERM);
  CHECK_EQ(try_open("closed/new", O_CREAT | O_WRONLY), 0);
  CHECK_EQ(try_open("roots", O_RDONLY | O_NOATIME), EPERM);
  CHECK_EQ(faccessat(AT_FDCWD, "roots", W_OK, AT_EACCESS), 0);
  CHECK_ERRNO(access("roots", W_OK), EACCES);
}

static void with_read_search(void) {
  CHECK_EQ(try_open("roots", O_RDONLY), 0);
  CHECK_EQ(try_open("roots", O_WRONLY), EACCES);
  CHECK_EQ(try_open("closed", O_RDONLY), 0);
  CHECK_EQ(try_open("closed/x", O_RDONLY), 0);
  CHECK_EQ(try_open("closed/x", O_RDWR), EACCES);
  CHECK_EQ(try_open("closed/y", O_CREAT | O_WRONLY), EACCES);
  CHECK_ERRNO(unlink("closed/x"), EACCES);
}

static void with_fowner(void) {
  CHECK_EQ(chmod("roots", 04600), 0);
  CHECK_EQ(mode_of("roots"), 04600);
  CHECK_EQ(chmod("roots", 02600), 0);
  CHECK_EQ(mode_of("roots"), 0600);  // not in the group, no CAP_FSETID
  CHECK_EQ(utimensat(AT_FDCWD, "roots", (struct timespec[2]){{1, 0}, {1, 0}}, 0), 0);
  CHECK_EQ(utimensat(AT_FDCWD, "roots", NULL, 0), 0);
  CHECK_EQ(try_open("roots", O_RDONLY), EACCES);
  CHECK_EQ(unlink("sticky/roots"), 0);
  CHECK_ERRNO(chown("roots", BOB, -1), EPERM);
}

static void with_chown(void) {
  CHECK_EQ(chown("roots", ALICE, 2001), 0);
  CHECK_EQ(chown("roots", 0, 0), 0);
  CHECK_ERRNO(chmod("roots", 0644), EPERM);
}

static void with_mknod(void) {
  CHECK_EQ(mknod("sticky/null", S_IFCHR | 0600, makedev(1, 3)), 0);
  CHECK_ERRNO(mknod("null", S_IFCHR | 0600, makedev(1, 3)), EACCES);
  CHECK_ERRNO(chroot("sticky"), EPERM);
}

static void with_nothing(void) {
  CHECK_EQ(try_open("roots", O_RDONLY), EACCES);
  CHECK_ERRNO(sethostname("x", 1), EPERM);
  CHECK_ERRNO(mount("none", "sticky", "tmpfs", 0, NULL), EPERM);
  CHECK_ERRNO(umount2("sticky", 0), EPERM);
  CHECK_ERRNO(setxattr("roots", "trusted.x", "1", 1, 0), EPERM);
  CHECK_ERRNO(setxattr("roots", "security.x", "1", 1, 0), EPERM);
}

CASE(single_capabilities) {
  enter();
  make("roots", 0600, 0, 0);
  make_dir("closed", 0700, 0, 0);
  make("closed/x", 0600, 0, 0);
  make_dir("sticky", 0777, 0, 0);
  chmod("sticky", 01777);
  make("sticky/roots", 0600, 0, 0);
  with_caps(CAP(DAC_OVERRIDE), with_dac_override);
  with_caps(CAP(DAC_READ_SEARCH), with_read_search);
  with_caps(CAP(FOWNER), with_fowner);
  with_caps(CAP(CHOWN), with_chown);
  with_caps(CAP(MKNOD), with_mknod);
  with_caps(0, with_nothing);
}

static void fsuid_as_root(void) {
  CHECK_EQ(setfsuid(ALICE), 0);
  CHECK_EQ(setfsuid(-1), ALICE);
  CHECK_EQ(try_open("roots", O_RDONLY), EACCES);
  CHECK_EQ(try_open("mine", O_RDWR), 0);
  CHECK_ERRNO(chown("mine", BOB, -1), EPERM);
  struct identity_caps caps = get_caps();
  CHECK_EQ(caps.effective & (CAP(DAC_OVERRIDE) | CAP(CHOWN) | CAP(FOWNER) | CAP(MKNOD)), 0);
  CHECK((caps.effective & CAP(SETUID)) != 0 && (caps.effective & CAP(SYS_ADMIN)) != 0);
  CHECK_EQ(setfsuid(0), ALICE);
  CHECK_EQ(try_open("roots", O_RDONLY), 0);
  CHECK((get_caps().effective & CAP(DAC_OVERRIDE)) != 0);
  CHECK_EQ(setfsgid(2001), 0);
  CHECK_EQ(setfsgid(-1), 2001);
  CHECK_EQ(try_open("new", O_CREAT | O_WRONLY), 0);
  struct stat stat_;
  CHECK_EQ(stat("new", &stat_), 0);
  CHECK_EQ(stat_.st_gid, 2001);
}

CASE(file_system_ids) {
  enter();
  make("mine", 0600, ALICE, ALICE);
  make("roots", 0600, 0, 0);
  as_user(0, fsuid_as_root);
}

CHECK_MAIN
