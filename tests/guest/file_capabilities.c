// File capabilities (capabilities(7)): the extended attribute, and what execve(2) makes of it.
#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "check.h"

#define NAME "security.capability"
#define NOBODY 65534
#define BIT(cap) (1u << (cap))

struct sets {
  unsigned effective, permitted, inheritable, ambient;
};

static char program[128];

static struct sets own_sets(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  CHECK_OK(syscall(SYS_capget, &header, data));
  struct sets sets = {data[0].effective, data[0].permitted, data[0].inheritable, 0};
  for (int i = 0; i < 32; i++)
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) sets.ambient |= BIT(i);
  return sets;
}

static void tell(void) {
  // Which of the rarer ones root has here is the host's business.
  const unsigned shown = 0xffff;
  struct sets sets = own_sets();
  printf(
      "    effective %x permitted %x inheritable %x ambient %x, secure %lu dumpable %d uid %d %d\n",
      sets.effective & shown, sets.permitted & shown, sets.inheritable & shown,
      sets.ambient & shown, getauxval(AT_SECURE), prctl(PR_GET_DUMPABLE), getuid(), geteuid());
  fflush(stdout);
}

// A copy of this program that tells its sets.
static void make_program(const char* directory) {
  snprintf(program, sizeof program, "%s/capable-XXXXXX", directory);
  int out = mkstemp(program), in = open("/proc/self/exe", O_RDONLY);
  REQUIRE(in >= 0 && out >= 0);
  char buffer[65536];
  ssize_t size;
  while ((size = read(in, buffer, sizeof buffer)) > 0) CHECK_EQ(write(out, buffer, size), size);
  CHECK_OK(fchmod(out, 0755));
  close(in);
  close(out);
}

static int give(unsigned permitted, unsigned inheritable, int effective, int revision) {
  struct vfs_ns_cap_data data = {0};
  data.magic_etc = (revision == 2 ? VFS_CAP_REVISION_2 : VFS_CAP_REVISION_3) |
                   (effective ? VFS_CAP_FLAGS_EFFECTIVE : 0);
  data.data[0].permitted = permitted;
  data.data[0].inheritable = inheritable;
  return setxattr(program, NAME, &data, revision == 2 ? 20 : 24, 0);
}

static void set_own(unsigned permitted, unsigned inheritable) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{permitted, permitted, inheritable}, {0, 0, 0}};
  CHECK_OK(syscall(SYS_capset, &header, data));
}

enum { NO_NEW_PRIVS = 1, BOUNDED = 2, INHERIT = 4, AMBIENT = 8, AS_ROOT = 16, NOROOT = 32 };

static void run(const char* what, int how) {
  printf("  %s:\n", what);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    const unsigned kept = BIT(CAP_NET_RAW) | BIT(CAP_CHOWN);
    if (how & BOUNDED) CHECK_OK(prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0));
    if (how & NOROOT) CHECK_OK(prctl(PR_SET_SECUREBITS, 1));
    if (!(how & AS_ROOT)) {
      prctl(PR_SET_KEEPCAPS, 1);
      CHECK_OK(setgid(NOBODY));
      CHECK_OK(setuid(NOBODY));
    }
    set_own(how & (INHERIT | AMBIENT) ? kept : 0, how & (INHERIT | AMBIENT) ? kept : 0);
    if (how & AMBIENT) CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    if (how & NO_NEW_PRIVS) CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    fflush(stdout);
    execl(program, program, "--tell", NULL);
    printf("    exec: %s\n", strerror(errno));
    fflush(stdout);
    _exit(0);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

CASE(attribute) {
  make_program("/tmp");
  char value[64];
  memset(value, 0, sizeof value);
  CHECK_ERRNO(setxattr(program, NAME, value, 20, 0), EINVAL);
  // Nothing at all is kept, and is no capability.
  CHECK_OK(setxattr(program, NAME, value, 0, 0));
  CHECK_ERRNO(getxattr(program, NAME, value, sizeof value), EINVAL);
  CHECK_OK(removexattr(program, NAME));
  CHECK_ERRNO(getxattr(program, NAME, value, sizeof value), ENODATA);
  CHECK_OK(give(BIT(CAP_NET_RAW), 0, 1, 2));
  CHECK_EQ(getxattr(program, NAME, NULL, 0), 20);
  CHECK_EQ(getxattr(program, NAME, value, sizeof value), 20);
  CHECK_EQ(((struct vfs_cap_data*)value)->data[0].permitted, BIT(CAP_NET_RAW));
  CHECK_ERRNO(setxattr(program, NAME, value, 19, 0), EINVAL);
  CHECK_ERRNO(setxattr(program, NAME, value, 24, 0), EINVAL);
  CHECK_ERRNO(getxattr(program, NAME, value, 10), ERANGE);
  CHECK_OK(removexattr(program, NAME));
  CHECK_ERRNO(removexattr(program, NAME), ENODATA);
  // What writes takes them away, and chown(2).
  CHECK_OK(give(BIT(CAP_NET_RAW), 0, 1, 2));
  int file = open(program, O_WRONLY | O_APPEND);
  CHECK_EQ(write(file, "x", 1), 1);
  CHECK_ERRNO(getxattr(program, NAME, value, sizeof value), ENODATA);
  CHECK_OK(give(BIT(CAP_NET_RAW), 0, 1, 2));
  CHECK_OK(ftruncate(file, 100));
  CHECK_ERRNO(getxattr(program, NAME, value, sizeof value), ENODATA);
  close(file);
  CHECK_OK(give(BIT(CAP_NET_RAW), 0, 1, 2));
  CHECK_OK(chmod(program, 0700));
  CHECK_EQ(getxattr(program, NAME, value, sizeof value), 20);
  CHECK_OK(chown(program, 0, 0));
  CHECK_ERRNO(getxattr(program, NAME, value, sizeof value), ENODATA);
  pid_t child = fork();
  if (child == 0) {
    check_failures = 0;
    CHECK_OK(chown(program, NOBODY, NOBODY));
    CHECK_OK(setuid(NOBODY));
    CHECK_ERRNO(give(BIT(CAP_NET_RAW), 0, 1, 2), EPERM);
    CHECK_ERRNO(removexattr(program, NAME), EPERM);
    fflush(stdout);
    _exit(check_failures != 0);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  unlink(program);
}

CASE(execution) {
  make_program("/tmp");
  run("none", 0);
  CHECK_OK(give(BIT(CAP_NET_RAW), 0, 1, 2));
  run("permitted and effective", 0);
  run("no new privileges", NO_NEW_PRIVS);
  run("outside of the bounding set", BOUNDED);
  run("by root", AS_ROOT);
  run("by root who is nobody", AS_ROOT | NOROOT);
  CHECK_OK(give(BIT(CAP_NET_RAW), 0, 0, 2));
  run("permitted only", 0);
  run("permitted only, outside of the bounding set", BOUNDED);
  CHECK_OK(give(0, BIT(CAP_CHOWN) | BIT(CAP_KILL), 1, 2));
  run("inheritable, not inherited", 0);
  run("inheritable", INHERIT);
  run("inheritable, no new privileges", INHERIT | NO_NEW_PRIVS);
  CHECK_OK(give(BIT(CAP_KILL), 0, 1, 2));
  run("over ambient ones", AMBIENT);
  CHECK_OK(give(0, 0, 0, 2));
  run("of nothing, over ambient ones", AMBIENT);
  CHECK_OK(removexattr(program, NAME));
  run("ambient ones alone", AMBIENT);
  CHECK_OK(chmod(program, 04755));
  run("set-user-id root", 0);
  CHECK_OK(give(BIT(CAP_NET_RAW), 0, 1, 2));
  run("set-user-id root with its own", 0);
  unlink(program);
}

CASE(scripts) {
  make_program("/tmp");
  char script[64] = "/tmp/script-XXXXXX", kept[128];
  int file = mkstemp(script);
  dprintf(file, "#!%s --tell\n", program);
  fchmod(file, 0755);
  close(file);
  strcpy(kept, program);
  // A script's own count for nothing, its interpreter's do.
  strcpy(program, script);
  CHECK_OK(give(BIT(CAP_CHOWN), 0, 1, 2));
  run("a script's", 0);
  strcpy(program, kept);
  CHECK_OK(give(BIT(CAP_NET_RAW), 0, 1, 2));
  strcpy(program, script);
  run("its interpreter's", 0);
  unlink(script);
  unlink(kept);
}

CASE(mounts) {
  const char* directory = "/tmp/nosuid-here";
  CHECK_OK(mkdir(directory, 0755));
  if (mount("none", directory, "tmpfs", MS_NOSUID, NULL) == 0) {
    make_program(directory);
    CHECK_OK(give(BIT(CAP_NET_RAW), 0, 1, 2));
    run("on a nosuid mount", 0);
    CHECK_OK(mount("none", directory, "tmpfs", MS_REMOUNT, NULL));
    run("on another", 0);
    CHECK_OK(umount(directory));
  }
  CHECK_OK(rmdir(directory));
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "--tell") == 0) {
    tell();
    return 0;
  }
  return check_main(argc, argv);
}
