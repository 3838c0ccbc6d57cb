// /proc/<pid> as ps, top, lsof and the JVM read it (proc(5)): of this process, of others, of zombies, and what of it is
// for whom.
#include <dirent.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "identity.h"

extern char** environ;
static char own_path[512];
static char text[1 << 18];

static long slurp(const char* path) { return check_read_text(path, text, sizeof text); }

static long slurp_of(pid_t pid, const char* name) {
  char path[128];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  return slurp(path);
}

// A line "Name:<blanks>VALUE" of what was read; empty when there is none.
static const char* value_of(const char* name) {
  static char value[256];
  size_t length = strlen(name);
  value[0] = 0;
  for (const char* line = text; line && *line;
       line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    if (strncmp(line, name, length) != 0 || line[length] != ':') continue;
    line += length + 1;
    line += strspn(line, " \t");
    snprintf(value, sizeof value, "%.*s", (int)strcspn(line, "\n"), line);
    break;
  }
  return value;
}

// Field number `index` of stat as proc(5) counts them (from 1); the second is in parentheses.
static long stat_field(int index) {
  const char* at = strrchr(text, ')');
  if (!at) return -1;
  at += 2;
  for (int i = 3; i < index; i++) {
    at = strchr(at, ' ');
    if (!at) return -1;
    at++;
  }
  return index == 3 ? *at : strtol(at, NULL, 10);
}

static pid_t start(const char* mode, int* to_child) {
  int pair[2];
  REQUIRE(pipe2(pair, O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pair[0], 0);
  char* arguments[] = {own_path, (char*)mode, "two words", "", NULL};
  char* environment[] = {"A=1", "LAST=x y", NULL};
  pid_t pid;
  REQUIRE(posix_spawn(&pid, own_path, &actions, NULL, arguments, environment) == 0);
  close(pair[0]);
  *to_child = pair[1];
  return pid;
}

CASE(stat_and_statm) {
  REQUIRE(slurp("/proc/self/stat") > 0);
  CHECK_EQ(atoi(text), getpid());
  CHECK(strstr(text, "(proc_process") != NULL);
  CHECK_EQ(stat_field(3), 'R');
  CHECK_EQ(stat_field(4), getppid());
  CHECK_EQ(stat_field(5), getpgrp());
  CHECK_EQ(stat_field(6), getsid(0));
  CHECK_EQ(stat_field(18), 20);
  CHECK_EQ(stat_field(19), 0);
  CHECK_EQ(stat_field(20), 1);
  CHECK(stat_field(22) > 0);
  CHECK(stat_field(23) > 100000);
  CHECK(stat_field(24) > 20);
  CHECK(stat_field(26) < stat_field(27));
  CHECK(stat_field(26) <= (long)&stat_field && (long)&stat_field < stat_field(27));
  CHECK(stat_field(45) < stat_field(46) && stat_field(46) < stat_field(47));
  CHECK_EQ(stat_field(38), SIGCHLD);
  CHECK(stat_field(48) < stat_field(49));
  CHECK_EQ(stat_field(49), stat_field(50));
  CHECK(stat_field(50) < stat_field(51));
  CHECK_EQ(stat_field(52), 0);
  long size = stat_field(23);
  REQUIRE(slurp("/proc/self/statm") > 0);
  long total, resident, shared, code, library, data, dirty;
  CHECK_EQ(sscanf(text, "%ld %ld %ld %ld %ld %ld %ld", &total, &resident, &shared, &code, &library,
                  &data, &dirty),
           7);
  CHECK(total * 4096 >= size - (1 << 20) && total * 4096 <= size + (1 << 20));
  CHECK(shared > 0 && shared < resident && resident < total);
  CHECK(code > 0 && code < 100);
  CHECK(data > 10 && data < total);
  CHECK_EQ(library, 0);
  CHECK_EQ(dirty, 0);
  // Touched memory shows.
  size_t bytes = 8 << 20;
  char* pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(pages, 1, bytes);
  long after, total_after;
  REQUIRE(slurp("/proc/self/statm") > 0);
  CHECK_EQ(sscanf(text, "%ld %ld", &total_after, &after), 2);
  CHECK(after >= resident + 2000 && after < resident + 2600);
  CHECK_EQ(total_after, total + 2048);
  munmap(pages, bytes);
}

CASE(status) {
  REQUIRE(slurp("/proc/self/status") > 0);
  char line[64];
  CHECK_STR(value_of("Name"), "proc_process.pi");
  snprintf(line, sizeof line, "%d", getpid());
  CHECK_STR(value_of("Tgid"), line);
  CHECK_STR(value_of("Pid"), line);
  CHECK_STR(value_of("NSpid"), line);
  CHECK_STR(value_of("TracerPid"), "0");
  CHECK_STR(value_of("State"), "R (running)");
  CHECK_STR(value_of("Threads"), "1");
  CHECK_STR(value_of("Uid"), "0\t0\t0\t0");
  CHECK_STR(value_of("SigIgn"), "0000000000000000");
  CHECK_STR(value_of("NoNewPrivs"), "0");
  CHECK_STR(value_of("Seccomp"), "0");
  CHECK(strncmp(value_of("SigQ"), "0/", 2) == 0 || strchr(value_of("SigQ"), '/'));
  long rss = atol(value_of("VmRSS")), anon = atol(value_of("RssAnon")),
       file = atol(value_of("RssFile")), shmem = atol(value_of("RssShmem"));
  CHECK_EQ(rss, anon + file + shmem);
  CHECK(anon > 0 && file > 0);
  CHECK(atol(value_of("VmHWM")) >= rss && atol(value_of("VmPeak")) >= atol(value_of("VmSize")));
  CHECK(atol(value_of("VmStk")) >= 4 && atol(value_of("VmExe")) > 0 && atol(value_of("VmLib")) > 0);
  // Each line that ps, top, htop, pgrep or the JVM looks for.
  const char* names[] = {"Umask",
                         "Ngid",
                         "PPid",
                         "Gid",
                         "FDSize",
                         "Groups",
                         "NStgid",
                         "NSpgid",
                         "NSsid",
                         "Kthread",
                         "VmLck",
                         "VmPin",
                         "VmData",
                         "VmPTE",
                         "VmSwap",
                         "HugetlbPages",
                         "CoreDumping",
                         "THP_enabled",
                         "SigPnd",
                         "ShdPnd",
                         "SigBlk",
                         "SigCgt",
                         "CapInh",
                         "CapPrm",
                         "CapEff",
                         "CapBnd",
                         "CapAmb",
                         "Seccomp_filters",
                         "Speculation_Store_Bypass",
                         "Cpus_allowed",
                         "Cpus_allowed_list",
                         "Mems_allowed",
                         "Mems_allowed_list",
                         "voluntary_ctxt_switches",
                         "nonvoluntary_ctxt_switches"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (!strstr(text, names[i])) printf("  no line %s\n", names[i]);
  }
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGUSR1);
  kill(getpid(), SIGUSR1);
  signal(SIGUSR2, SIG_IGN);
  REQUIRE(slurp("/proc/self/status") > 0);
  CHECK_STR(value_of("SigPnd"), "0000000000000200");
  CHECK_STR(value_of("ShdPnd"), "0000000000000200");
  CHECK_STR(value_of("SigBlk"), "0000000000000200");
  CHECK_STR(value_of("SigIgn"), "0000000000000800");
  signal(SIGUSR1, SIG_IGN);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  signal(SIGUSR1, SIG_DFL), signal(SIGUSR2, SIG_DFL);
}

CASE(another_process) {
  int to_child;
  pid_t pid = start("wait", &to_child);
  // Until it sleeps in read(2): its name is the program's by then.
  do {
    REQUIRE(slurp_of(pid, "stat") > 0);
  } while (stat_field(3) != 'S' || !strstr(text, "(proc_process"));
  CHECK_EQ(stat_field(4), getpid());
  long size = slurp_of(pid, "cmdline");
  CHECK_EQ(size, (long)strlen(own_path) + 1 + 5 + 10 + 1);
  CHECK_STR(text + strlen(own_path) + 1, "wait");
  CHECK_STR(text + strlen(own_path) + 6, "two words");
  size = slurp_of(pid, "environ");
  CHECK_EQ(size, 4 + 9);
  CHECK_STR(text, "A=1");
  CHECK_STR(text + 4, "LAST=x y");
  char path[64], target[512] = {0}, cwd[512];
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  CHECK(readlink(path, target, sizeof target - 1) > 0);
  CHECK_STR(target, own_path);
  memset(target, 0, sizeof target);
  snprintf(path, sizeof path, "/proc/%d/cwd", pid);
  CHECK(readlink(path, target, sizeof target - 1) > 0);
  CHECK_STR(target, getcwd(cwd, sizeof cwd));
  memset(target, 0, sizeof target);
  snprintf(path, sizeof path, "/proc/%d/root", pid);
  CHECK(readlink(path, target, sizeof target - 1) > 0);
  CHECK_STR(target, "/");
  memset(target, 0, sizeof target);
  snprintf(path, sizeof path, "/proc/%d/fd/0", pid);
  CHECK(readlink(path, target, sizeof target - 1) > 0);
  CHECK(strncmp(target, "pipe:[", 6) == 0);
  REQUIRE(slurp_of(pid, "maps") > 0);
  CHECK(strstr(text, own_path) != NULL);
  CHECK(strstr(text, "[stack]") != NULL && strstr(text, "[vdso]") != NULL);
  REQUIRE(slurp_of(pid, "smaps_rollup") > 0);
  CHECK(atol(value_of("Rss")) > 0 && strstr(text, "[rollup]"));
  REQUIRE(slurp_of(pid, "comm") > 0);
  CHECK_STR(text, "proc_process.pi\n");
  CHECK_EQ(slurp_of(pid, "wchan") > 0, 1);
  // Stopped, continued, and a zombie.
  kill(pid, SIGSTOP);
  CHECK_EQ(waitpid(pid, NULL, WUNTRACED), pid);
  REQUIRE(slurp_of(pid, "stat") > 0);
  CHECK_EQ(stat_field(3), 'T');
  REQUIRE(slurp_of(pid, "status") > 0);
  CHECK_STR(value_of("State"), "T (stopped)");
  kill(pid, SIGCONT);
  close(to_child);
  siginfo_t info;
  CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
  REQUIRE(slurp_of(pid, "stat") > 0);
  CHECK_EQ(stat_field(3), 'Z');
  CHECK_EQ(stat_field(23), 0);
  CHECK_EQ(stat_field(52), 9 << 8);
  REQUIRE(slurp_of(pid, "status") > 0);
  CHECK_STR(value_of("State"), "Z (zombie)");
  CHECK_STR(value_of("VmRSS"), "");
  CHECK_EQ(slurp_of(pid, "cmdline"), 0);
  CHECK_EQ(slurp_of(pid, "maps"), 0);
  CHECK_EQ(slurp_of(pid, "statm"), 14);
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  CHECK_ERRNO(readlink(path, target, sizeof target), ENOENT);
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
  CHECK_EQ(slurp_of(pid, "stat"), -ENOENT);
}

static void* in_thread(void* pipe_end) {
  char byte;
  prctl(PR_SET_NAME, "second (x) y");
  return (void*)(intptr_t)read((int)(intptr_t)pipe_end, &byte, 1);
}

CASE(threads) {
  int pair[2];
  REQUIRE(pipe(pair) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, in_thread, (void*)(intptr_t)pair[0]) == 0);
  DIR* dir = opendir("/proc/self/task");
  REQUIRE(dir != NULL);
  int count = 0, tid = 0;
  for (struct dirent* entry; (entry = readdir(dir));) {
    if (entry->d_name[0] == '.') continue;
    count++;
    if (atoi(entry->d_name) != getpid()) tid = atoi(entry->d_name);
  }
  closedir(dir);
  CHECK_EQ(count, 2);
  char name[64];
  snprintf(name, sizeof name, "task/%d/stat", tid);
  do {
    REQUIRE(slurp_of(getpid(), name) > 0);
  } while (stat_field(3) != 'S');
  CHECK_EQ(atoi(text), tid);
  CHECK(strstr(text, "(second (x) y) S") != NULL);
  CHECK_EQ(stat_field(20), 2);
  snprintf(name, sizeof name, "task/%d/comm", tid);
  CHECK(slurp_of(getpid(), name) > 0);
  CHECK_STR(text, "second (x) y\n");
  snprintf(name, sizeof name, "task/%d/status", tid);
  CHECK(slurp_of(getpid(), name) > 0);
  char line[64];
  snprintf(line, sizeof line, "%d", getpid());
  CHECK_STR(value_of("Tgid"), line);
  CHECK_STR(value_of("Threads"), "2");
  // A thread's number names its process, too.
  CHECK(slurp_of(tid, "status") > 0);
  CHECK_EQ(slurp_of(getpid(), "task/999999/stat"), -ENOENT);
  close(pair[1]);
  pthread_join(thread, NULL);
  close(pair[0]);
}

CASE(descriptors) {
  int event = eventfd(5, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  int signals = signalfd(-1, &set, 0), pid_fd = syscall(SYS_pidfd_open, getpid(), 0);
  char name[64], line[64];
  snprintf(name, sizeof name, "fdinfo/%d", event);
  REQUIRE(slurp_of(getpid(), name) > 0);
  CHECK_STR(value_of("flags"), "02");
  CHECK_STR(value_of("eventfd-count"), "5");
  snprintf(name, sizeof name, "fdinfo/%d", signals);
  REQUIRE(slurp_of(getpid(), name) > 0);
  CHECK_STR(value_of("sigmask"), "0000000000000200");
  snprintf(name, sizeof name, "fdinfo/%d", timer);
  REQUIRE(slurp_of(getpid(), name) > 0);
  CHECK_STR(value_of("clockid"), "1");
  CHECK_STR(value_of("ticks"), "0");
  CHECK_STR(value_of("it_value"), "(0, 0)");
  snprintf(name, sizeof name, "fdinfo/%d", pid_fd);
  REQUIRE(slurp_of(getpid(), name) > 0);
  snprintf(line, sizeof line, "%d", getpid());
  CHECK_STR(value_of("Pid"), line);
  int file = open("/dev/null", O_RDONLY | O_CLOEXEC | O_APPEND);
  snprintf(name, sizeof name, "fdinfo/%d", file);
  REQUIRE(slurp_of(getpid(), name) > 0);
  CHECK_STR(value_of("flags"), "02102000");
  CHECK_STR(value_of("pos"), "0");
  struct stat stat_;
  snprintf(name, sizeof name, "/proc/self/fd/%d", file);
  CHECK_EQ(lstat(name, &stat_), 0);
  CHECK_EQ(stat_.st_mode, S_IFLNK | 0500);
  CHECK_EQ(slurp_of(getpid(), "fdinfo/999"), -ENOENT);
  close(event), close(timer), close(signals), close(pid_fd), close(file);
}

static pid_t victim;
static void look_as_alice(void) {
  char path[64], target[64];
  const char* hidden[] = {"environ", "maps", "smaps",       "smaps_rollup", "auxv",
                          "io",      "mem",  "personality", "syscall"};
  for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
    CHECK_EQ(slurp_of(victim, hidden[i]), -EACCES);
  const char* shown[] = {"stat",          "statm",     "status",   "cmdline",   "comm",
                         "limits",        "cgroup",    "mounts",   "mountinfo", "oom_score",
                         "oom_score_adj", "schedstat", "loginuid", "task"};
  for (size_t i = 0; i + 1 < sizeof shown / sizeof *shown; i++)
    CHECK(slurp_of(victim, shown[i]) > 0);
  const char* links[] = {"exe", "cwd", "root"};
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "/proc/%d/%s", victim, links[i]);
    CHECK_ERRNO(readlink(path, target, sizeof target), EACCES);
  }
  snprintf(path, sizeof path, "/proc/%d/fd", victim);
  CHECK(opendir(path) == NULL && errno == EACCES);
  snprintf(path, sizeof path, "/proc/%d/fd/0", victim);
  CHECK_ERRNO(readlink(path, target, sizeof target), EACCES);
  CHECK(slurp_of(victim, "stat") > 0);
  CHECK_EQ(stat_field(26), 1);
  CHECK_EQ(stat_field(28), 0);
  CHECK_EQ(stat_field(48), 0);
  struct stat stat_;
  snprintf(path, sizeof path, "/proc/%d", victim);
  CHECK_EQ(stat(path, &stat_), 0);
  CHECK_EQ(stat_.st_uid, 0);
}

static void start_as_alice(void) {
  int to_child;
  pid_t pid = start("wait", &to_child);
  struct stat stat_;
  char path[64];
  // Its own user may look, once it has executed the program.
  do {
    CHECK(slurp_of(pid, "comm") > 0);
  } while (!strstr(text, "proc_process"));
  // Linux sets comm, and then the places of the arguments and the environment: before that it reads empty.
  while (slurp_of(pid, "environ") <= 0) sched_yield();
  snprintf(path, sizeof path, "/proc/%d/environ", pid);
  CHECK_EQ(stat(path, &stat_), 0);
  CHECK_EQ(stat_.st_uid, ALICE);
  CHECK_EQ(stat_.st_gid, ALICE);
  CHECK_EQ(slurp_of(pid, "environ"), 13);
  CHECK(slurp_of(pid, "maps") > 0);
  close(to_child);
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

CASE(whose_it_is) {
  int to_child;
  victim = start("wait", &to_child);
  while (slurp_of(victim, "cmdline") <= 0 || strcmp(text + strlen(own_path) + 1, "wait") != 0) {
  }
  as_user(ALICE, look_as_alice);
  close(to_child);
  CHECK_EQ(waitpid(victim, NULL, 0), victim);
  as_user(ALICE, start_as_alice);
}

static void lower_as_alice(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  if (fd < 0) return;
  CHECK_ERRNO(write(fd, "-500", 4), EACCES);
  close(fd);
}

CASE(settings) {
  int fd = open("/proc/self/oom_score_adj", O_RDWR);
  REQUIRE(fd >= 0);
  CHECK_EQ(write(fd, "300\n", 4), 4);
  CHECK(slurp("/proc/self/oom_score_adj") > 0);
  CHECK_STR(text, "300\n");
  CHECK(slurp("/proc/self/oom_adj") > 0);
  CHECK_STR(text, "5\n");
  CHECK_ERRNO(write(fd, "1001", 4), EINVAL);
  CHECK_ERRNO(write(fd, "word", 4), EINVAL);
  CHECK(slurp("/proc/self/oom_score") > 0);
  CHECK(atoi(text) >= 866 && atoi(text) < 900);
  as_user(ALICE, lower_as_alice);
  close(fd);
  fd = open("/proc/self/comm", O_WRONLY);
  CHECK_EQ(write(fd, "another name\n", 13), 13);
  close(fd);
  CHECK(slurp("/proc/self/comm") > 0);
  CHECK_STR(text, "another name\n\n");
  CHECK(slurp("/proc/self/timerslack_ns") > 0);
  CHECK_STR(text, "50000\n");
  // Reading and writing count.
  REQUIRE(slurp("/proc/self/io") > 0);
  long read_before = atol(value_of("rchar")), calls_before = atol(value_of("syscr")),
       written_before = atol(value_of("wchar"));
  int null = open("/dev/null", O_WRONLY), zero = open("/dev/zero", O_RDONLY);
  char bytes[1000];
  for (int i = 0; i < 10; i++) CHECK_EQ(read(zero, bytes, sizeof bytes), 1000);
  CHECK_EQ(write(null, bytes, 500), 500);
  close(null), close(zero);
  REQUIRE(slurp("/proc/self/io") > 0);
  CHECK(atol(value_of("rchar")) >= read_before + 10000 &&
        atol(value_of("rchar")) < read_before + 11000);
  CHECK(atol(value_of("syscr")) >= calls_before + 10 &&
        atol(value_of("syscr")) < calls_before + 16);
  CHECK_EQ(atol(value_of("wchar")), written_before + 500);
}

CASE(memory_file) {
  static char data[64] = "what is there", more[64];
  int fd = open("/proc/self/mem", O_RDWR);
  REQUIRE(fd >= 0);
  CHECK_EQ(pread(fd, more, sizeof more, (off_t)(intptr_t)data), 64);
  CHECK_STR(more, "what is there");
  CHECK_EQ(pwrite(fd, "THIS", 4, (off_t)(intptr_t)(data + 5)), 4);
  CHECK_STR(data, "what THIShere");
  CHECK_ERRNO(pread(fd, more, 8, 0), EIO);
  char* pages = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK_EQ(pwrite(fd, "x", 1, (off_t)(intptr_t)pages), 1);  // rights of private pages do not count
  CHECK_EQ(pages[0], 'x');
  munmap(pages + 4096, 4096);
  CHECK_EQ(pread(fd, more, 64, (off_t)(intptr_t)(pages + 4096 - 32)), 32);
  munmap(pages, 4096);
  CHECK_EQ(lseek(fd, (off_t)(intptr_t)data, SEEK_SET), (off_t)(intptr_t)data);
  CHECK_EQ(read(fd, more, 4), 4);
  CHECK_EQ(memcmp(more, "what", 4), 0);
  CHECK_ERRNO(lseek(fd, 0, SEEK_END), EINVAL);
  close(fd);
}

// The call that a thread is in, its arguments, stack pointer and program counter.
CASE(system_call) {
  char local = 0;
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) _exit((int)syscall(SYS_ppoll, 0L, 0L, 0L, 0L, 8L, 0x1234567890L));
  do {
    check_sleep_ms(1);
    REQUIRE(slurp_of(pid, "stat") > 0);
  } while (strrchr(text, ')')[2] != 'S');
  REQUIRE(slurp_of(pid, "syscall") > 0);
  unsigned long sp = 0, pc = 0;
  static const char call[] = "271 0x0 0x0 0x0 0x0 0x8 0x1234567890 ";
  CHECK(strncmp(text, call, sizeof call - 1) == 0);
  CHECK_EQ(sscanf(text + sizeof call - 1, "0x%lx 0x%lx\n", &sp, &pc), 2);
  CHECK((uintptr_t)&local - sp < 65536);
  CHECK(pc - (uintptr_t)&syscall < 64);
  kill(pid, SIGKILL);
  siginfo_t info;
  CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
  // It can be waited for before it is off its processor.
  CHECK(slurp_of(pid, "syscall") > 0);
  for (int i = 0; i < 5000 && strcmp(text, "-1 0x0 0x0\n") != 0; i++) {
    check_sleep_ms(1);
    CHECK(slurp_of(pid, "syscall") > 0);
  }
  CHECK_STR(text, "-1 0x0 0x0\n");
  CHECK_EQ(waitpid(pid, NULL, 0), pid);

  // One that computes is in none.
  pid = fork();
  if (pid == 0) {
    for (;;) __asm__ volatile("");
  }
  check_sleep_ms(5);
  REQUIRE(slurp_of(pid, "syscall") > 0);
  CHECK(strcmp(text, "running\n") == 0 || strncmp(text, "-1 ", 3) == 0);
  kill(pid, SIGKILL);
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

CASE(limits) {
  struct rlimit limit = {100, 200};
  setrlimit(RLIMIT_RSS, &limit);
  REQUIRE(slurp("/proc/self/limits") > 0);
  CHECK(strstr(text, "Max resident set          100                  200                  bytes") !=
        NULL);
  CHECK(strncmp(text, "Limit                     Soft Limit           Hard Limit           Units",
                73) == 0);
}

CASE(sockets) {
  struct sockaddr_un address = {AF_UNIX, "\0guest-proc-process"};
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(bind(listener, (struct sockaddr*)&address, sizeof(sa_family_t) + 19) == 0);
  REQUIRE(listen(listener, 1) == 0);
  struct stat stat_;
  fstat(listener, &stat_);
  REQUIRE(slurp("/proc/net/unix") > 0);
  char* name = strstr(text, "@guest-proc-process");
  REQUIRE(name != NULL);
  while (name > text && name[-1] != '\n') name--;
  unsigned references, protocol, flags, type, state;
  unsigned long inode;
  CHECK_EQ(sscanf(name, "%*x: %x %x %x %x %x %lu", &references, &protocol, &flags, &type, &state,
                  &inode),
           6);
  CHECK_EQ(flags, 0x10000);
  CHECK_EQ(type, 1);
  CHECK_EQ(state, 1);
  CHECK_EQ(inode, stat_.st_ino);
  close(listener);
  CHECK(slurp("/proc/net/unix") > 0);
  CHECK(strstr(text, "@guest-proc-process") == NULL);
  CHECK(slurp("/proc/self/net/tcp") > 0);
  CHECK(strstr(text, "local_address") != NULL);
}

CASE(system_files) {
  const char* names[] = {"loadavg",
                         "uptime",
                         "stat",
                         "meminfo",
                         "vmstat",
                         "version",
                         "filesystems",
                         "cpuinfo",
                         "partitions",
                         "swaps",
                         "devices",
                         "interrupts",
                         "mounts",
                         "self/mountinfo",
                         "self/mountstats",
                         "self/sched",
                         "self/schedstat",
                         "self/cpuset",
                         "self/cgroup",
                         "self/personality",
                         "tty/drivers",
                         "net/dev",
                         "net/tcp",
                         "net/udp",
                         "net/unix",
                         "net/sockstat",
                         "sys/kernel/pid_max",
                         "sys/kernel/threads-max",
                         "sys/kernel/core_pattern",
                         "sys/kernel/osrelease",
                         "sys/kernel/ngroups_max",
                         "sys/kernel/cap_last_cap",
                         "sys/kernel/random/uuid",
                         "sys/kernel/sem",
                         "sys/kernel/pty/nr",
                         "sys/vm/max_map_count",
                         "sys/vm/overcommit_memory",
                         "sys/vm/swappiness",
                         "sys/vm/min_free_kbytes",
                         "sys/fs/file-max",
                         "sys/fs/file-nr",
                         "sys/fs/nr_open",
                         "sys/fs/pipe-max-size",
                         "sys/fs/inotify/max_user_watches",
                         "sys/fs/protected_hardlinks",
                         "sys/net/core/somaxconn"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[128];
    snprintf(path, sizeof path, "/proc/%s", names[i]);
    if (slurp(path) <= 0) printf("  nothing in %s\n", path);
  }
  REQUIRE(slurp("/proc/loadavg") > 0);
  double a, b, c;
  int running, all, last;
  CHECK_EQ(sscanf(text, "%lf %lf %lf %d/%d %d", &a, &b, &c, &running, &all, &last), 6);
  CHECK(running >= 1 && running <= all && last >= 1);
  REQUIRE(slurp("/proc/uptime") > 0);
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  CHECK(atof(text) <= now.tv_sec + 1 && atof(text) > now.tv_sec - 60);
  char line[128] = {0};
  CHECK_EQ(readlink("/proc/self/ns/pid", line, sizeof line - 1), 16);
  CHECK_STR(line, "pid:[4026531836]");
  struct stat own, parents;
  CHECK_OK(stat("/proc/self/ns/pid", &own));
  snprintf(line, sizeof line, "/proc/%d/ns/pid", getppid());
  CHECK_OK(stat(line, &parents));
  CHECK_EQ(own.st_mode, S_IFREG | 0444);
  CHECK_EQ(own.st_ino, 4026531836);
  CHECK(own.st_ino == parents.st_ino && own.st_dev == parents.st_dev);
  int fd = open("/proc/self/ns/pid", O_RDONLY);
  CHECK_OK(fstat(fd, &parents));
  CHECK(own.st_ino == parents.st_ino && own.st_dev == parents.st_dev);
  CHECK_EQ(ioctl(fd, NS_GET_NSTYPE), CLONE_NEWPID);
  CHECK_ERRNO(ioctl(fd, NS_GET_PARENT), EPERM);
  uid_t owner = 7;
  CHECK_ERRNO(ioctl(fd, NS_GET_OWNER_UID, &owner), EINVAL);
  int user = ioctl(fd, NS_GET_USERNS);
  CHECK_EQ(fcntl(user, F_GETFD), FD_CLOEXEC);
  CHECK_EQ(ioctl(user, NS_GET_NSTYPE), CLONE_NEWUSER);
  CHECK_ERRNO(ioctl(user, NS_GET_USERNS), EPERM);
  CHECK_ERRNO(ioctl(user, NS_GET_OWNER_UID, 8), EFAULT);
  CHECK_OK(ioctl(user, NS_GET_OWNER_UID, &owner));
  CHECK_EQ(owner, 0);
  CHECK_OK(close(user));
  CHECK_ERRNO(read(fd, line, 1), EINVAL);
  CHECK_OK(close(fd));
  memset(line, 0, sizeof line);
  CHECK(readlink("/proc/net", line, sizeof line - 1) > 0);
  CHECK_STR(line, "self/net");
}

int main(int argc, char** argv) {
  if (argc > 2 && strcmp(argv[1], "wait") == 0) {
    char byte;
    return read(0, &byte, 1) == 0 ? 9 : 1;
  }
  ssize_t size = readlink("/proc/self/exe", own_path, sizeof own_path - 1);
  if (size > 0) own_path[size] = 0;
  return check_main(argc, argv);
}
