// Ids and capabilities: credentials(7), capabilities(7), setresuid(2), prctl(2), capget(2), and what execve(2) makes of
// them.
#include <fcntl.h>
#include <grp.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "identity.h"

extern char** environ;

static void check_ids(uid_t real, uid_t effective, uid_t saved) {
  uid_t r, e, s;
  CHECK_EQ(getresuid(&r, &e, &s), 0);
  CHECK_EQ(r, real);
  CHECK_EQ(e, effective);
  CHECK_EQ(s, saved);
}

static void check_gids(gid_t real, gid_t effective, gid_t saved) {
  gid_t r, e, s;
  CHECK_EQ(getresgid(&r, &e, &s), 0);
  CHECK_EQ(r, real);
  CHECK_EQ(e, effective);
  CHECK_EQ(s, saved);
}

#define setuid_(a) syscall(SYS_setuid, a)
#define setreuid_(a, b) syscall(SYS_setreuid, a, b)
#define setresuid_(a, b, c) syscall(SYS_setresuid, a, b, c)
#define setgid_(a) syscall(SYS_setgid, a)
#define setregid_(a, b) syscall(SYS_setregid, a, b)
#define setresgid_(a, b, c) syscall(SYS_setresgid, a, b, c)

static void ids_of_alice(void) {
  check_ids(ALICE, ALICE, ALICE);
  CHECK_ERRNO(setuid_(0), EPERM);
  CHECK_ERRNO(setuid_(-1), EINVAL);
  CHECK_ERRNO(setgid_(-1), EINVAL);
  CHECK_EQ(setuid_(ALICE), 0);
  CHECK_ERRNO(setreuid_(BOB, -1), EPERM);
  CHECK_ERRNO(setreuid_(-1, BOB), EPERM);
  CHECK_EQ(setreuid_(-1, -1), 0);
  CHECK_ERRNO(setresuid_(-1, -1, BOB), EPERM);
  CHECK_ERRNO(setresgid_(-1, -1, BOB), EPERM);
  CHECK_ERRNO(setregid_(-1, BOB), EPERM);
  CHECK_ERRNO(setgid_(BOB), EPERM);
  CHECK_EQ(setresuid_(-1, -1, -1), 0);
  gid_t groups[] = {1, 2};
  CHECK_ERRNO(syscall(SYS_setgroups, 2, groups), EPERM);
  CHECK_ERRNO(syscall(SYS_setgroups, -1, groups), EPERM);
  CHECK_EQ(setfsuid(0), ALICE);
  CHECK_EQ(setfsuid(-1), ALICE);
}

static void ids_with_a_saved_one(void) {
  REQUIRE(setresuid_(ALICE, BOB, 1002) == 0);
  check_ids(ALICE, BOB, 1002);
  CHECK_EQ(setfsuid(-1), BOB);
  CHECK_EQ(setfsuid(1002), BOB);
  CHECK_EQ(setfsuid(ALICE), 1002);
  CHECK_EQ(setfsuid(0), ALICE);
  CHECK_EQ(setfsuid(-1), ALICE);
  CHECK_EQ(setuid_(1002), 0);  // the effective one only
  check_ids(ALICE, 1002, 1002);
  CHECK_EQ(setfsuid(-1), 1002);
  CHECK_EQ(setreuid_(1002, ALICE), 0);
  check_ids(1002, ALICE, ALICE);  // the real one was set: the saved one follows
  CHECK_EQ(setresuid_(ALICE, -1, 1002), 0);
  check_ids(ALICE, ALICE, 1002);
  CHECK_ERRNO(setuid_(0), EPERM);
}

static void ids_of_root(void) {
  CHECK_EQ(setreuid_(-1, ALICE), 0);
  check_ids(0, ALICE, ALICE);
  struct identity_caps caps = get_caps();
  CHECK_EQ(caps.effective, 0);
  CHECK(caps.permitted != 0);
  CHECK_EQ(setreuid_(-1, 0), 0);
  check_ids(0, 0, ALICE);
  CHECK(get_caps().effective == caps.permitted);
  CHECK_EQ(setresuid_(-1, ALICE, 0), 0);
  check_ids(0, ALICE, 0);
  CHECK_EQ(setuid_(0), 0);
  check_ids(0, 0, 0);
  CHECK_EQ(setregid_(5, 6), 0);
  check_gids(5, 6, 6);
  CHECK_EQ(setgid_(7), 0);
  check_gids(7, 7, 7);
  CHECK_EQ(setuid_(ALICE), 0);
  check_ids(ALICE, ALICE, ALICE);
  CHECK_EQ(get_caps().permitted, 0);
  CHECK_ERRNO(setuid_(0), EPERM);
}

CASE(ids) {
  REQUIRE(geteuid() == 0);
  as_user(ALICE, ids_of_alice);
  as_user(0, ids_with_a_saved_one);
  as_user(0, ids_of_root);
  check_ids(0, 0, 0);
}

static void groups_of_root(void) {
  gid_t groups[] = {30, 10, 20, 10}, got[8];
  CHECK_EQ(syscall(SYS_setgroups, 4, groups), 0);
  CHECK_EQ(getgroups(0, NULL), 4);
  CHECK_EQ(getgroups(8, got), 4);
  CHECK_EQ(got[0], 10);
  CHECK_EQ(got[3], 30);
  CHECK_ERRNO(getgroups(3, got), EINVAL);
  CHECK_ERRNO(getgroups(-1, got), EINVAL);
  CHECK_ERRNO(syscall(SYS_setgroups, 65537, groups), EINVAL);
  CHECK_ERRNO(syscall(SYS_setgroups, 2, (void*)8), EFAULT);
  CHECK_EQ(syscall(SYS_setgroups, 0, NULL), 0);
  CHECK_EQ(getgroups(0, NULL), 0);
}

CASE(groups) { as_user(0, groups_of_root); }

static void capset_rules(void) {
  uint64_t all = get_caps().permitted;
  CHECK_EQ(set_caps(all, all, CAP(KILL) | CAP(CHOWN)), 0);
  CHECK_EQ(get_caps().inheritable, CAP(KILL) | CAP(CHOWN));
  CHECK_ERRNO(set_caps(CAP(KILL), 0, 0), EPERM);  // effective without permitted
  CHECK_EQ(set_caps(CAP(KILL), CAP(KILL) | CAP(SETPCAP), CAP(KILL)), 0);
  CHECK_ERRNO(set_caps(CAP(KILL), all, 0), EPERM);
  CHECK_ERRNO(set_caps(CAP(KILL), CAP(KILL), CAP(CHOWN)), EPERM);  // without CAP_SETPCAP in effect
  CHECK_EQ(set_caps(CAP(SETPCAP), CAP(KILL) | CAP(SETPCAP), 0), 0);
  CHECK_EQ(set_caps(CAP(SETPCAP), CAP(KILL) | CAP(SETPCAP), CAP(CHOWN)), 0);
  // Out of the bounding set: it can no longer be made inheritable.
  CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_TIME), 1);
  CHECK_EQ(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME), 0);
  CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_TIME), 0);
  CHECK_ERRNO(set_caps(CAP(SETPCAP), CAP(SETPCAP), CAP(SYS_TIME)), EPERM);
  CHECK_ERRNO(prctl(PR_CAPBSET_READ, 63), EINVAL);
  CHECK_ERRNO(prctl(PR_CAPBSET_DROP, 63), EINVAL);
  CHECK_EQ(set_caps(0, 0, 0), 0);
  CHECK_ERRNO(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME), EPERM);
  CHECK_ERRNO(prctl(PR_CAPBSET_DROP, 63), EPERM);
  struct __user_cap_header_struct header = {0x12345678, 0};
  struct __user_cap_data_struct data[2];
  CHECK_ERRNO(syscall(SYS_capget, &header, data), EINVAL);
  CHECK_EQ(header.version, _LINUX_CAPABILITY_VERSION_3);
  header = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, -1};
  CHECK_ERRNO(syscall(SYS_capget, &header, data), EINVAL);
  header.pid = 999999;
  CHECK_ERRNO(syscall(SYS_capget, &header, data), ESRCH);
  header.pid = getpid();
  CHECK_EQ(syscall(SYS_capget, &header, data), 0);
  CHECK_ERRNO(syscall(SYS_capset, &header, data), EPERM);  // another thread: the leader
  CHECK_ERRNO(syscall(SYS_capget, NULL, data), EFAULT);
}

CASE(capability_sets) { as_user(0, capset_rules); }

static void ambient_rules(void) {
  CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
  CHECK_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0),
              EPERM);  // not inheritable
  CHECK_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 63, 0, 0), EINVAL);
  CHECK_ERRNO(prctl(PR_CAP_AMBIENT, 9, CAP_KILL, 0, 0), EINVAL);
  CHECK_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 1, 0), EINVAL);
  CHECK_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0), EINVAL);
  uint64_t all = get_caps().permitted;
  REQUIRE(set_caps(all, all, CAP(KILL) | CAP(CHOWN)) == 0);
  CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), 0);
  CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0), 0);
  CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 1);
  CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_CHOWN, 0, 0), 0);
  CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 0);
  // What is no longer inheritable is no longer ambient.
  REQUIRE(set_caps(all, all, CAP(CHOWN)) == 0);
  CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
  CHECK_EQ(prctl(PR_SET_SECUREBITS, 64), 0);  // SECBIT_NO_CAP_AMBIENT_RAISE
  CHECK_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0), EPERM);
  CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 0);
}

static void secure_bits(void) {
  CHECK_EQ(prctl(PR_GET_SECUREBITS), 0);
  CHECK_EQ(prctl(PR_SET_KEEPCAPS, 1), 0);
  CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
  CHECK_EQ(prctl(PR_GET_SECUREBITS), 16);
  CHECK_ERRNO(prctl(PR_SET_KEEPCAPS, 2), EINVAL);
  CHECK_ERRNO(prctl(PR_SET_SECUREBITS, 1u << 20), EPERM);
  CHECK_EQ(prctl(PR_SET_SECUREBITS, 32), 0);  // keep-caps off, and locked
  CHECK_ERRNO(prctl(PR_SET_KEEPCAPS, 1), EPERM);
  CHECK_ERRNO(prctl(PR_SET_SECUREBITS, 32 | 16), EPERM);
  CHECK_ERRNO(prctl(PR_SET_SECUREBITS, 0), EPERM);
  CHECK_EQ(prctl(PR_SET_SECUREBITS, 32 | 4), 0);  // no fixup of capabilities by ids
  REQUIRE(setresuid_(ALICE, ALICE, ALICE) == 0);
  CHECK(get_caps().effective != 0);
  CHECK_EQ(prctl(PR_GET_SECUREBITS), 32 | 4);
}

static void keep_caps(void) {
  REQUIRE(prctl(PR_SET_KEEPCAPS, 1) == 0);
  REQUIRE(setresuid_(ALICE, ALICE, ALICE) == 0);
  struct identity_caps caps = get_caps();
  CHECK(caps.permitted != 0);
  CHECK_EQ(caps.effective, 0);
  CHECK_ERRNO(setuid_(BOB), EPERM);
  CHECK_EQ(set_caps(CAP(SETUID), caps.permitted, 0), 0);
  CHECK_EQ(setuid_(BOB), 0);
  check_ids(BOB, BOB, BOB);
  CHECK_ERRNO(prctl(PR_SET_SECUREBITS, 1), EPERM);
}

CASE(ambient_and_secure_bits) {
  as_user(0, ambient_rules);
  as_user(0, secure_bits);
  as_user(0, keep_caps);
}

static void undumpable(void) { CHECK_EQ(prctl(PR_GET_DUMPABLE), 0); }

CASE(prctl_options) {
  int value;
  CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
  CHECK_ERRNO(prctl(PR_SET_DUMPABLE, 2), EINVAL);
  CHECK_EQ(prctl(PR_SET_DUMPABLE, 0), 0);
  CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
  CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
  as_user(ALICE, undumpable);
  CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
  CHECK_EQ(prctl(PR_GET_PDEATHSIG, &value), 0);
  CHECK_EQ(value, SIGUSR1);
  CHECK_ERRNO(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
  CHECK_ERRNO(prctl(PR_SET_PDEATHSIG, 1ul << 32), EINVAL);
  CHECK_ERRNO(prctl(PR_GET_PDEATHSIG, 8), EFAULT);
  CHECK_EQ(prctl(PR_SET_PDEATHSIG, 0), 0);
  char name[17] = {0};
  CHECK_EQ(prctl(PR_SET_NAME, "a name longer than 15 bytes"), 0);
  CHECK_EQ(prctl(PR_GET_NAME, name), 0);
  CHECK_STR(name, "a name longer t");
  CHECK_ERRNO(prctl(PR_SET_NAME, 8), EFAULT);
  CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  CHECK_EQ(prctl(PR_GET_CHILD_SUBREAPER, &value), 0);
  CHECK_EQ(value, 1);
  CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
  CHECK_EQ(prctl(PR_GET_TIMERSLACK), 50000);
  CHECK_EQ(prctl(PR_SET_TIMERSLACK, 1234), 0);
  CHECK_EQ(prctl(PR_GET_TIMERSLACK), 1234);
  CHECK_EQ(prctl(PR_SET_TIMERSLACK, 0), 0);
  CHECK_EQ(prctl(PR_GET_TIMERSLACK), 50000);
  CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
  CHECK_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
  CHECK_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
  CHECK_ERRNO(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0), EINVAL);
  CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
  CHECK_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
  CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
  CHECK_EQ(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
  CHECK_ERRNO(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL);
  CHECK_EQ(prctl(PR_GET_TIMING), 0);
  CHECK_EQ(prctl(PR_SET_TIMING, 0), 0);
  CHECK_ERRNO(prctl(PR_SET_TIMING, 1), EINVAL);
  CHECK_EQ(prctl(PR_TASK_PERF_EVENTS_DISABLE), 0);
  CHECK_EQ(prctl(PR_TASK_PERF_EVENTS_ENABLE), 0);
  CHECK_EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT);
  CHECK_EQ(prctl(PR_GET_TSC, &value), 0);
  CHECK_EQ(value, PR_TSC_ENABLE);
  CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
  CHECK_ERRNO(prctl(PR_GET_FPEXC, &value), EINVAL);
  CHECK_ERRNO(prctl(PR_GET_ENDIAN, &value), EINVAL);
  CHECK_ERRNO(prctl(12345, 0, 0, 0, 0), EINVAL);
  CHECK_ERRNO(prctl(-1, 0, 0, 0, 0), EINVAL);
  CHECK_EQ(prctl(PR_SET_NAME, "credentials"), 0);
}

// What a child of these credentials is: this program again, as `print`.
static void print_identity(const char* path, int no_new_privileges) {
  int pipes[2];
  REQUIRE(pipe(pipes) == 0);
  if (no_new_privileges) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  pid_t pid;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
  char* arguments[] = {(char*)path, "print", NULL};
  int error = posix_spawn(&pid, path, &actions, NULL, arguments, environ);
  close(pipes[1]);
  if (error == 0) {
    char text[1024];
    ssize_t size;
    while ((size = read(pipes[0], text, sizeof text)) > 0) fwrite(text, 1, size, stdout);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
  } else {
    printf("posix_spawn: error %d\n", error);
  }
  close(pipes[0]);
}

static char own_path[512];
static char test_dir[512];

static void exec_as_alice(void) { print_identity(own_path, 0); }
static void exec_with_ambient(void) {
  prctl(PR_SET_KEEPCAPS, 1);
  setresuid_(ALICE, ALICE, ALICE);
  REQUIRE(set_caps(CAP(KILL) | CAP(CHOWN), CAP(KILL) | CAP(CHOWN), CAP(KILL) | CAP(CHOWN)) == 0);
  REQUIRE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) == 0);
  print_identity(own_path, 0);
}
static void exec_as_root_with_real_alice(void) {
  setresuid_(ALICE, 0, 0);
  print_identity(own_path, 0);
}
static void exec_as_alice_with_real_root(void) {
  setresuid_(0, ALICE, ALICE);
  print_identity(own_path, 0);
}
static void exec_with_no_root(void) {
  REQUIRE(prctl(PR_SET_SECUREBITS, 1) == 0);
  print_identity(own_path, 0);
}
static void exec_with_less_bounding(void) {
  for (int cap = 0; cap <= 40; cap++) {
    if (cap != CAP_KILL && cap != CAP_SETPCAP) prctl(PR_CAPBSET_DROP, cap);
  }
  print_identity(own_path, 0);
}

CASE(exec_keeps) {
  as_user(ALICE, exec_as_alice);
  as_user(0, exec_with_ambient);
  as_user(0, exec_as_root_with_real_alice);
  as_user(0, exec_as_alice_with_real_root);
  as_user(0, exec_with_no_root);
  as_user(0, exec_with_less_bounding);
}

static char* in_dir(const char* name) {
  static char path[640];
  snprintf(path, sizeof path, "%s/%s", test_dir, name);
  return path;
}

static void copy_self(const char* name, mode_t mode, uid_t uid, gid_t gid) {
  static char buffer[1 << 16];
  int from = open("/proc/self/exe", O_RDONLY), to = open(in_dir(name), O_CREAT | O_WRONLY, 0755);
  REQUIRE(from >= 0 && to >= 0);
  ssize_t size;
  while ((size = read(from, buffer, sizeof buffer)) > 0) REQUIRE(write(to, buffer, size) == size);
  CHECK_EQ(fchown(to, uid, gid), 0);
  CHECK_EQ(fchmod(to, mode), 0);
  close(from), close(to);
}

static void exec_set_id(void) {
  print_identity(in_dir("suid-bob"), 0);
  print_identity(in_dir("sgid-bob"), 0);
  print_identity(in_dir("sgid-noexec"), 0);
  print_identity(in_dir("suid-root"), 0);
  print_identity(in_dir("not-for-alice"), 0);
  print_identity(in_dir("suid-root"), 1);
}

static void exec_set_id_nosuid(void) { print_identity(in_dir("suid-root"), 0); }

CASE(exec_set_id) {
  check_enter_scratch();
  chmod(".", 0755);
  REQUIRE(getcwd(test_dir, sizeof test_dir) != NULL);
  // A file system that obeys set-id bits; who may not mount one has nothing to test.
  REQUIRE(mount("tmpfs", test_dir, "tmpfs", 0, "mode=0755") == 0);
  copy_self("suid-bob", 04755, BOB, BOB);
  copy_self("sgid-bob", 02755, BOB, BOB);
  copy_self("sgid-noexec", 02745, ALICE, BOB);
  copy_self("suid-root", 06755, 0, 0);
  copy_self("not-for-alice", 04754, BOB, BOB);
  as_user(ALICE, exec_set_id);
  CHECK_EQ(mount("tmpfs", test_dir, NULL, MS_REMOUNT | MS_NOSUID, NULL), 0);
  as_user(ALICE, exec_set_id_nosuid);
  CHECK_EQ(umount2(test_dir, MNT_DETACH), 0);
}

static pid_t victim;
static void kill_as_alice(void) {
  CHECK_ERRNO(kill(victim, 0), EPERM);
  CHECK_ERRNO(kill(victim, SIGTERM), EPERM);
  CHECK_ERRNO(kill(-victim, SIGTERM), EPERM);
  CHECK_EQ(kill(victim, SIGCONT), 0);  // of the same session
  CHECK_EQ(kill(getpid(), 0), 0);
  CHECK_ERRNO(syscall(SYS_tgkill, victim, victim, SIGTERM), EPERM);
  siginfo_t info = {.si_code = SI_QUEUE};
  CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, victim, SIGTERM, &info), EPERM);
  int fd = syscall(SYS_pidfd_open, victim, 0);
  CHECK(fd >= 0);
  CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), EPERM);
  CHECK_ERRNO(syscall(SYS_pidfd_getfd, fd, 0, 0), EPERM);
  close(fd);
  CHECK_ERRNO(kill(victim, 65), EINVAL);
  CHECK_ERRNO(kill(1, SIGCONT), EPERM);   // of another session
  CHECK_EQ(syscall(SYS_kill, -1, 0), 0);  // who may not be sent to is passed over
}
static void kill_as_real_root(void) {
  setresuid_(0, ALICE, ALICE);
  CHECK_EQ(kill(victim, 0), 0);  // by the real id
}
static void kill_by_capability(void) { CHECK_EQ(kill(victim, 0), 0); }

CASE(kill_permissions) {
  char* arguments[] = {own_path, "wait", NULL};
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  REQUIRE(posix_spawn(&victim, own_path, NULL, &attributes, arguments, environ) == 0);
  as_user(ALICE, kill_as_alice);
  as_user(0, kill_as_real_root);
  with_caps(CAP(KILL), kill_by_capability);
  CHECK_EQ(kill(victim, SIGKILL), 0);
  int status;
  CHECK_EQ(waitpid(victim, &status, 0), victim);
  CHECK_EQ(status, SIGKILL);
}

static int print(void) {
  uid_t r, e, s;
  gid_t g, h, i;
  getresuid(&r, &e, &s);
  getresgid(&g, &h, &i);
  struct identity_caps caps = get_caps();
  uint64_t bounding = 0, ambient = 0;
  for (int cap = 0; cap <= 40; cap++) {
    if (prctl(PR_CAPBSET_READ, cap) == 1) bounding |= 1ull << cap;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1) ambient |= 1ull << cap;
  }
  // What a machine's root lacks is not ours to say: only whether it is all there.
  printf(
      "uid %d %d %d gid %d %d %d eff %s%llx prm %s%llx inh %llx amb %llx secure %d dumpable %d\n",
      r, e, s, g, h, i, caps.effective == bounding ? "all:" : "",
      caps.effective == bounding && bounding > CAP(SYSLOG) ? 0 : (long long)caps.effective,
      caps.permitted == bounding ? "all:" : "",
      caps.permitted == bounding && bounding > CAP(SYSLOG) ? 0 : (long long)caps.permitted,
      (long long)caps.inheritable, (long long)ambient, (int)prctl(PR_GET_SECUREBITS),
      (int)prctl(PR_GET_DUMPABLE));
  return 0;
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "print") == 0) return print();
  if (argc > 1 && strcmp(argv[1], "wait") == 0) {
    pause();
    return 0;
  }
  ssize_t size = readlink("/proc/self/exe", own_path, sizeof own_path - 1);
  if (size > 0) own_path[size] = 0;
  return check_main(argc, argv);
}
