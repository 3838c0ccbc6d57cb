// Small calls about the system and the process: uname(2), prctl(2), getrlimit(2), sched_*(2), sysinfo(2), getcpu(2),
// getrandom(2), identities, a terminal's ioctls on what is none, sysconf(3).
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <termios.h>

#include "check.h"

CASE(system_name) {
  struct utsname name;
  CHECK_OK(uname(&name));
  CHECK_STR(name.sysname, "Linux");
  CHECK_STR(name.machine, "x86_64");
  CHECK(strlen(name.nodename) > 0 && strlen(name.release) > 2 && strlen(name.version) > 0);
  CHECK(atoi(name.release) >= 4);
}

CASE(names_and_attributes) {
  char name[16] = "";
  CHECK_OK(prctl(PR_SET_NAME, "a name that is too long"));
  CHECK_OK(prctl(PR_GET_NAME, name));
  CHECK_STR(name, "a name that is ");
  CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
  CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGTERM));
  int number = 0;
  CHECK_OK(prctl(PR_GET_PDEATHSIG, &number));
  CHECK_EQ(number, SIGTERM);
  CHECK_OK(prctl(PR_SET_PDEATHSIG, 0));
  CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
  CHECK_ERRNO(prctl(99999), EINVAL);
}

CASE(limits) {
  struct rlimit limit;
  for (int i = 0; i < RLIM_NLIMITS; i++) {
    CHECK_OK(getrlimit(i, &limit));
    CHECK(limit.rlim_cur <= limit.rlim_max);
  }
  CHECK_ERRNO(getrlimit(99, &limit), EINVAL);
  CHECK_OK(getrlimit(RLIMIT_STACK, &limit));
  CHECK(limit.rlim_cur >= 1 << 20);
  CHECK_OK(getrlimit(RLIMIT_CORE, &limit));
  limit.rlim_cur = 0;
  CHECK_OK(prlimit(0, RLIMIT_CORE, &limit, NULL));
  CHECK_OK(prlimit(getpid(), RLIMIT_CORE, NULL, &limit));
  CHECK_EQ(limit.rlim_cur, 0);
  limit.rlim_cur = 5;
  limit.rlim_max = 4;
  CHECK_ERRNO(setrlimit(RLIMIT_CORE, &limit), EINVAL);
}

CASE(scheduling) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CHECK_OK(sched_getaffinity(0, sizeof set, &set));
  CHECK(CPU_COUNT(&set) >= 1);
  CHECK_OK(sched_setaffinity(0, sizeof set, &set));
  CHECK_ERRNO(sched_getaffinity(0, 1, &set), EINVAL);
  CPU_ZERO(&set);
  CHECK_ERRNO(sched_setaffinity(0, sizeof set, &set), EINVAL);
  CHECK_OK(sched_yield());
  CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
  CHECK_EQ(sched_get_priority_max(SCHED_FIFO), 99);
  CHECK_EQ(sched_get_priority_min(SCHED_OTHER), 0);
  CHECK_ERRNO(sched_get_priority_max(99), EINVAL);
  struct sched_param parameter = {.sched_priority = 7};
  CHECK_OK(sched_getparam(0, &parameter));
  CHECK_EQ(parameter.sched_priority, 0);
  errno = 0;
  int nice_value = getpriority(PRIO_PROCESS, 0);
  CHECK(nice_value >= -20 && nice_value <= 19 && errno == 0);
  unsigned cpu = 9999, node = 9999;
  CHECK_OK(getcpu(&cpu, &node));
  CHECK((long)cpu < sysconf(_SC_NPROCESSORS_CONF));
  CHECK(sched_getcpu() >= 0);
}

CASE(totals) {
  struct sysinfo info;
  CHECK_OK(sysinfo(&info));
  CHECK(info.uptime > 0 && info.totalram > 0 && info.procs > 0 && info.mem_unit > 0);
  CHECK(info.freeram <= info.totalram);
  CHECK_EQ(sysconf(_SC_PAGESIZE), 4096);
  CHECK(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
  CHECK(sysconf(_SC_PHYS_PAGES) > 0);
  CHECK(sysconf(_SC_OPEN_MAX) > 10);
  CHECK_EQ(sysconf(_SC_CLK_TCK), 100);
}

CASE(random_numbers) {
  unsigned char a[256], b[256];
  CHECK_EQ(getrandom(a, sizeof a, 0), sizeof a);
  CHECK_EQ(getrandom(b, sizeof b, GRND_NONBLOCK), sizeof b);
  CHECK(memcmp(a, b, sizeof a) != 0);
  int seen[256] = {0}, kinds = 0;
  for (int i = 0; i < 256; i++) kinds += seen[a[i]]++ == 0;
  CHECK(kinds > 100);
  CHECK_ERRNO(getrandom(a, 1, 0x40), EINVAL);
  CHECK_EQ(getrandom(a, 0, 0), 0);
}

CASE(identity) {
  uid_t real, effective, saved;
  CHECK_OK(getresuid(&real, &effective, &saved));
  CHECK_EQ(real, getuid());
  CHECK_EQ(effective, geteuid());
  gid_t groups[64];
  CHECK(getgroups(0, NULL) >= 0);
  CHECK(getgroups(64, groups) >= 0);
  CHECK_OK(setuid(getuid()));
  CHECK_OK(setgid(getgid()));
  CHECK(getpid() > 0);
  CHECK(getppid() >= 0);
  CHECK(syscall(SYS_gettid) == getpid());
}

CASE(not_a_terminal) {
  int ends[2];
  struct termios settings;
  struct winsize size;
  CHECK_OK(pipe(ends));
  int null = open("/dev/null", O_RDWR);
  int fds[] = {ends[0], null};
  for (int i = 0; i < 2; i++) {
    CHECK(!isatty(fds[i]));
    CHECK_ERRNO(tcgetattr(fds[i], &settings), ENOTTY);
    CHECK_ERRNO(ioctl(fds[i], TIOCGWINSZ, &size), ENOTTY);
    CHECK_ERRNO(ioctl(fds[i], 0x12345678, 0), ENOTTY);
  }
  CHECK_ERRNO(ioctl(-1, TCGETS, &settings), EBADF);
  int on = 1;
  CHECK_OK(ioctl(ends[0], FIONBIO, &on));
  CHECK_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  CHECK_OK(ioctl(ends[0], FIOCLEX));
  CHECK_EQ(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
  close(ends[0]), close(ends[1]), close(null);
}

CASE(unknown_calls) {
  // Numbers that no kernel has. (335 and 336 are uretprobe and uprobe, which raise SIGILL.)
  long numbers[] = {-1, 340, 400, 999, 4096, 100000, 0x40000000, 0x7fffffff};
  for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
    CHECK_ERRNO(syscall(numbers[i]), ENOSYS);
}

CASE(memory_barrier) {
  long supported = syscall(SYS_membarrier, 0 /* MEMBARRIER_CMD_QUERY */, 0, 0);
  if (supported > 0 && (supported & 8)) {
    CHECK_OK(syscall(SYS_membarrier, 16 /* REGISTER_PRIVATE_EXPEDITED */, 0, 0));
    CHECK_OK(syscall(SYS_membarrier, 8 /* PRIVATE_EXPEDITED */, 0, 0));
  }
}

CHECK_MAIN
