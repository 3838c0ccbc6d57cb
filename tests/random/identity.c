// Who the process is: users and groups, capabilities, limits, priorities, prctl, names of the system, clocks' shapes.
#include <linux/capability.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <time.h>

#include "random.h"

static void say_ids(void) {
  uid_t u[3];
  gid_t g[3];
  getresuid(&u[0], &u[1], &u[2]);
  getresgid(&g[0], &g[1], &g[2]);
  say(" %d %d %d/%d %d %d", (int)u[0], (int)u[1], (int)u[2], (int)g[0], (int)g[1], (int)g[2]);
}
static long id(void) { return number(ONE_OF(0, 0, 1, 1000, 1001, -1, 65534)); }
// A family of its own weight: what follows a change of user is a different test.
#define IDENTITY(call, ...)  \
  OP(kIdentity, 2, call) {   \
    CALL(call, __VA_ARGS__); \
    say_ids();               \
  }
IDENTITY(setuid, id())
IDENTITY(setgid, id())
IDENTITY(setreuid, id(), id())
IDENTITY(setregid, id(), id())
IDENTITY(setresuid, id(), id(), id())
IDENTITY(setresgid, id(), id(), id())
IDENTITY(setfsuid, id())
IDENTITY(setfsgid, id())
#define WHO(call) \
  OP(kIdentity, 1, call) { CALL(call, 0); }
WHO(getuid)
WHO(geteuid)
WHO(getgid)
WHO(getegid)
OP(kIdentity, 2, getresuid) {
  uid_t u[3] = {7, 7, 7};
  CALL(getresuid, pointer(&u[0], "r"), pointer(&u[1], "e"), pointer(&u[2], "s"));
  say(" %d %d %d", (int)u[0], (int)u[1], (int)u[2]);
}
OP(kIdentity, 2, getresgid) {
  gid_t g[3] = {7, 7, 7};
  CALL(getresgid, pointer(&g[0], "r"), pointer(&g[1], "e"), pointer(&g[2], "s"));
  say(" %d %d %d", (int)g[0], (int)g[1], (int)g[2]);
}
OP(kIdentity, 3, setgroups) {
  gid_t list[4] = {(gid_t)ONE_OF(0, 5), 1000, (gid_t)ONE_OF(7, -1, 3), 20};
  CALL(setgroups, number(ONE_OF(0, 1, 2, 4, 65537, -1)), pointer(list, "groups"));
}
OP(kIdentity, 3, getgroups) {
  gid_t list[70] = {0};
  long r = CALL(getgroups, number(ONE_OF(0, 1, 64, -1)), pointer(list, "groups"));
  for (long i = 0; i < r && i < 5; i++) say(" %d", (int)list[i]);
}
static long version(void) {
  return ONE_OF(_LINUX_CAPABILITY_VERSION_3, _LINUX_CAPABILITY_VERSION_3,
                _LINUX_CAPABILITY_VERSION_1, 0, 99);
}
OP(kIdentity, 3, capget) {
  struct __user_cap_header_struct head = {(uint32_t)version(),
                                          (int)ONE_OF(0, 0, 0, -1, 0x7ffffff0)};
  struct __user_cap_data_struct data[2];
  memset(data, 0, sizeof data);
  say("%x %d ", head.version, head.pid);
  CALL(capget, pointer(&head, "head"), percent(90) ? pointer(data, "data") : 0);
  say(" %x: %x %x %x, %x", head.version, data[0].effective, data[0].permitted, data[0].inheritable,
      data[1].permitted & 0xff);
}
OP(kIdentity, 3, capset) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  syscall(SYS_capget, &head, data);
  uint32_t drop = (uint32_t)ONE_OF(1 << CAP_CHOWN, 1 << CAP_DAC_OVERRIDE, 1 << CAP_SETUID, -1, 0,
                                   1 << CAP_KILL, 1 << CAP_FOWNER);
  data[0].effective &= ~drop;
  if (percent(50)) data[0].permitted &= ~drop;
  if (percent(20)) data[0].inheritable |= 1;
  say("drop %x permitted %x ", drop, data[0].permitted);
  CALL(capset, pointer(&head, "head"), pointer(data, "data"));
}

static long resource(void) {
  return number(percent(95) ? ONE_OF(RLIMIT_CORE, RLIMIT_STACK, RLIMIT_DATA, RLIMIT_FSIZE,
                                     RLIMIT_NICE, RLIMIT_RTPRIO, RLIMIT_CPU)
                            : ONE_OF(16, 99, -1));
}
OP(kIdentity, 4, setrlimit) {
  long what = resource();
  struct rlimit limit = {(rlim_t)ONE_OF(-1, 100000, 1 << 30, 1 << 20),
                         (rlim_t)ONE_OF(-1, 1 << 30, 1 << 20)};
  say(" %ld %ld ", (long)limit.rlim_cur, (long)limit.rlim_max);
  if (what == RLIMIT_STACK || what == RLIMIT_DATA || what == RLIMIT_CPU)
    limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
  CALL(setrlimit, what, pointer(&limit, "limit"));
}
OP(kIdentity, 2, setrlimit_nofile) {
  struct rlimit limit = {(rlim_t)ONE_OF(12, 1000, 950, 30, 5), (rlim_t)ONE_OF(1024, 1000, 20, -1)};
  say("%ld %ld ", (long)limit.rlim_cur, (long)limit.rlim_max);
  CALL(setrlimit, RLIMIT_NOFILE, pointer(&limit, "limit"));
}
OP(kIdentity, 3, getrlimit) {
  struct rlimit limit = {7, 7};
  long what = number(ONE_OF(RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_NICE, 16, -1));
  CALL(getrlimit, what, pointer(&limit, "limit"));
  if (what == RLIMIT_FSIZE || what == RLIMIT_NICE)
    say(" %ld %ld", (long)limit.rlim_cur, (long)limit.rlim_max);
}
OP(kIdentity, 3, prlimit64) {
  struct rlimit new = {1000000, (rlim_t)-1}, old = {7, 7};
  CALL(prlimit64, number(ONE_OF(0, 0, 0, 0x7ffffff0)), number(ONE_OF(RLIMIT_FSIZE, 16)),
       percent(50) ? pointer(&new, "new") : 0, percent(80) ? pointer(&old, "old") : 0);
  say(" %ld %ld", (long)old.rlim_cur, (long)old.rlim_max);
}
OP(kIdentity, 2, getpriority) {
  CALL(getpriority, number(ONE_OF(0, 3, -1)), number(ONE_OF(0, 0, 0x7ffffff0)));
}
OP(kIdentity, 2, setpriority) {
  CALL(setpriority, number(ONE_OF(0, 0, 3)), number(ONE_OF(0, 0, 0x7ffffff0)),
       number(ONE_OF(0, 5, 19, 20, -5, 100)));
  say(" nice %ld", 20 - QUIET_3(getpriority, 0, 0, 0));
}
static struct sched_param priority;
OP(kIdentity, 2, sched_setscheduler) {
  priority.sched_priority = (int)ONE_OF(0, 0, 0, 1, -1, 100);
  say("%d ", priority.sched_priority);
  CALL(sched_setscheduler, number(ONE_OF(0, 0, 0, -1, 0x7ffffff0)),
       number(ONE_OF(SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, 9, -1, SCHED_OTHER)),
       pointer(&priority, "priority"));
}
OP(kIdentity, 2, sched_getscheduler) {
  CALL(sched_getscheduler, number(ONE_OF(0, 0, -1, 0x7ffffff0)));
}
OP(kIdentity, 2, sched_getparam) {
  CALL(sched_getparam, number(ONE_OF(0, 0, -1, 0x7ffffff0)), pointer(&priority, "priority"));
  say(" %d", priority.sched_priority);
}
OP(kIdentity, 1, sched_setparam) {
  priority.sched_priority = (int)ONE_OF(0, 0, 1);
  CALL(sched_setparam, number(ONE_OF(0, 0, -1, 0x7ffffff0)), pointer(&priority, "priority"));
}
OP(kIdentity, 1, sched_get_priority_max) { CALL(sched_get_priority_max, PICK(0, 1, 2, 3, 5, 6)); }
OP(kIdentity, 1, sched_get_priority_min) { CALL(sched_get_priority_min, PICK(0, 1, 2, 3, 5, 6)); }
OP(kIdentity, 1, sched_getattr) {
  static unsigned char attributes[128];
  memset(attributes, 0, sizeof attributes);
  long r = CALL(sched_getattr, number(ONE_OF(0, 0, -1)), pointer(attributes, "attributes"),
                number(ONE_OF(48, 56, 47, 128)), number(ONE_OF(0, 0, 1)));
  if (r == 0) say(" policy %u nice %d", attributes[4], (int)(signed char)attributes[16]);
}
OP(kIdentity, 1, sched_setaffinity) {
  uint64_t mask[16] = {(uint64_t)ONE_OF(1, 1, 0)};
  CALL(sched_setaffinity, number(ONE_OF(0, 0, 0x7ffffff0)), number(ONE_OF(8, 128, 0)),
       pointer(mask, "mask"));
}
OP(kIdentity, 1, sched_getaffinity) {
  uint64_t mask[16] = {0};
  CALL(sched_getaffinity, number(ONE_OF(0, 0, 0x7ffffff0)), number(ONE_OF(0, 1, 7)),
       pointer(mask, "mask"));
}

#define PRCTL(kind, option, ...) \
  OP(kIdentity, 2, prctl_##kind) { CALL(prctl, option, __VA_ARGS__); }
PRCTL(set_name, PR_SET_NAME, pointer((percent(50) ? "short" : "a name that is too long"), "name"),
      0, 0, 0)
OP(kIdentity, 2, prctl_get_name) {
  char name[17] = "";
  if (CALL(prctl, PR_GET_NAME, pointer(name, "name"), 0, 0, 0) == 0)
    say(" %s", name[0] >= 'a' ? name : "own");
}
PRCTL(set_dumpable, PR_SET_DUMPABLE, number(ONE_OF(0, 1, 2, -1)), 0, 0, 0)
PRCTL(get_dumpable, PR_GET_DUMPABLE, 0, 0, 0, 0)
PRCTL(set_keepcaps, PR_SET_KEEPCAPS, number(ONE_OF(0, 1, 2)), 0, 0, 0)
PRCTL(get_keepcaps, PR_GET_KEEPCAPS, 0, 0, 0, 0)
PRCTL(set_no_new_privs, PR_SET_NO_NEW_PRIVS, number(ONE_OF(1, 1, 0, 2)), 0, 0,
      number(ONE_OF(0, 0, 0, 1)))
PRCTL(get_no_new_privs, PR_GET_NO_NEW_PRIVS, number(ONE_OF(0, 0, 1)), 0, 0, 0)
PRCTL(set_pdeathsig, PR_SET_PDEATHSIG, number(ONE_OF(9, 9, 65, -1)), 0, 0, 0)
OP(kIdentity, 2, prctl_get_pdeathsig) {
  int signal = -7;
  CALL(prctl, PR_GET_PDEATHSIG, pointer(&signal, "signal"), 0, 0, 0);
  say(" %d", signal);
}
PRCTL(set_child_subreaper, PR_SET_CHILD_SUBREAPER, number(ONE_OF(0, 0, 1)), 0, 0, 0)
OP(kIdentity, 1, prctl_get_child_subreaper) {
  int value = -7;
  CALL(prctl, PR_GET_CHILD_SUBREAPER, pointer(&value, "value"), 0, 0, 0);
  say(" %d", value);
}
PRCTL(capbset_read, PR_CAPBSET_READ, number(ONE_OF(0, 5, 40, 64, -1)), 0, 0, 0)
PRCTL(capbset_drop, PR_CAPBSET_DROP, number(ONE_OF(5, 12, 64)), 0, 0, 0)
PRCTL(cap_ambient, PR_CAP_AMBIENT, number(ONE_OF(1, 2, 3, 4, 9)), number(ONE_OF(0, 5, 64)), 0, 0)
PRCTL(get_securebits, PR_GET_SECUREBITS, 0, 0, 0, 0)
PRCTL(set_securebits, PR_SET_SECUREBITS, hex(ONE_OF(0, 0x10, 0x2f, 0x1000)), 0, 0, 0)
PRCTL(get_timerslack, PR_GET_TIMERSLACK, 0, 0, 0, 0)
PRCTL(set_timerslack, PR_SET_TIMERSLACK, number(ONE_OF(0, 1, 100000)), 0, 0, 0)
PRCTL(get_timing, PR_GET_TIMING, 0, 0, 0, 0)
PRCTL(get_thp_disable, PR_GET_THP_DISABLE, 0, 0, 0, number(ONE_OF(0, 0, 1)))
PRCTL(get_tsc, PR_GET_TSC, 0, 0, 0, 0)
PRCTL(unknown, number(ONE_OF(999, -1, 70)), 0, 0, 0, 0)

OP(kIdentity, 1, personality) {
  CALL(personality, hex(ONE_OF(0xffffffff, 0xffffffff, 0, ADDR_NO_RANDOMIZE)));
}
OP(kIdentity, 1, uname) {
  static struct utsname name;
  if (CALL(uname, pointer(&name, "name")) == 0) say(" %s %s", name.sysname, name.machine);
}
OP(kIdentity, 1, sysinfo) {
  static struct sysinfo info;
  if (CALL(sysinfo, pointer(&info, "info")) == 0) say(" unit %u", info.mem_unit);
}
OP(kIdentity, 1, getrusage) {
  struct rusage usage;
  CALL(getrusage, number(ONE_OF(0, -1, 1, 2, -2)), pointer(&usage, "usage"));
}
OP(kIdentity, 1, times) {
  static struct tms used;
  long r = quiet(SYS_times, pointer(&used, "times"), 0, 0, 0, 0, 0);
  say(") = %s", r == -EFAULT ? "EFAULT" : "ticks");
}
OP(kIdentity, 1, getrandom) {
  long size = number(ONE_OF(0, 1, 100, 256));
  CALL(getrandom, output(), size, hex(ONE_OF(0, 0, 1, 2, 3, 4, 8)));
}
// Clocks: whether they answer, not what. The alarm clocks (8, 9) need a device that not every machine has.
static long clock_number(void) {
  return number(percent(85) ? ONE_OF(0, 1, 2, 3, 4, 5, 6, 7, 11) : ONE_OF(10, 12, 16, 100, -1));
}
OP(kIdentity, 2, clock_gettime) {
  struct timespec now = {-7, -7};
  if (CALL(clock_gettime, clock_number(), pointer(&now, "now")) == 0)
    say(" %d", now.tv_nsec >= 0 && now.tv_nsec < 1000000000);
}
OP(kIdentity, 2, clock_getres) {
  struct timespec now = {-7, -7};
  CALL(clock_getres, clock_number(), percent(80) ? pointer(&now, "resolution") : 0);
}
OP(kIdentity, 2, clock_nanosleep) {
  struct timespec nothing = {0, ONE_OF(0, 0, 1, -1, 1000000000)};
  say("%ld ", nothing.tv_nsec);
  CALL(clock_nanosleep, number(ONE_OF(0, 1, 7, 3, 99, 4)), hex(ONE_OF(0, 0, 1, 2)),
       pointer(&nothing, "time"), 0);
}
OP(kIdentity, 2, nanosleep) {
  struct timespec nothing = {ONE_OF(0, 0, 0, -1), ONE_OF(0, 1, -1, 1000000000)};
  say("%ld.%ld ", (long)nothing.tv_sec, nothing.tv_nsec);
  CALL(nanosleep, pointer(&nothing, "time"), 0);
}
// Timers are set for days, and so never end.
OP(kIdentity, 2, alarm) {
  long seconds = number(ONE_OF(0, 1000000, 500000));
  say(") = %s", QUIET_1(alarm, seconds) > 400000 ? "armed" : "none");
}
OP(kIdentity, 2, setitimer) {
  struct itimerval new = {{ONE_OF(0, 300000), ONE_OF(0, 1000000)}, {ONE_OF(0, 1000000), 0}},
                   old = {{7, 7}, {7, 7}};
  if (!new.it_value.tv_sec) new.it_interval = (struct timeval){0, 0};
  say("%ld.%ld %ld ", (long)new.it_interval.tv_sec, (long)new.it_interval.tv_usec,
      (long)new.it_value.tv_sec);
  if (CALL(setitimer, number(ONE_OF(0, 1, 2, 3)), pointer(&new, "new"), pointer(&old, "old")) == 0)
    say(" %ld %d", (long)old.it_interval.tv_sec, old.it_value.tv_sec > 400000);
}
OP(kIdentity, 2, getitimer) {
  struct itimerval now = {{7, 7}, {7, 7}};
  if (CALL(getitimer, number(ONE_OF(0, 1, 2, 3, -1)), pointer(&now, "now")) == 0)
    say(" %ld %d", (long)now.it_interval.tv_sec, now.it_value.tv_sec > 400000);
}
// Which numbers timers get is the kernel's choice.
static int timers[4];
static unsigned timer_count;
OP(kIdentity, 3, timer_create) {
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = (int)ONE_OF(SIGEV_SIGNAL, SIGEV_NONE, SIGEV_SIGNAL, 9);
  event.sigev_signo = (int)ONE_OF(10, 34, 0, 65);
  int id = -7;
  say("%d %d ", event.sigev_notify, event.sigev_signo);
  if (CALL(timer_create, number(ONE_OF(0, 1, 2, 7, 99)), percent(80) ? pointer(&event, "event") : 0,
           pointer(&id, "timer")) == 0) {
    timers[timer_count++ % 4] = id;
  }
}
static long timer(void) {
  unsigned which = below(5);
  say(" timer %u", which);
  return which < 4 && which < timer_count ? timers[which] : -1;
}
OP(kIdentity, 3, timer_settime) {
  struct itimerspec new = {{ONE_OF(0, 300000), ONE_OF(0, 0, 1000000000)},
                           {ONE_OF(0, 1000000, 1000000), 0}},
                    old = {{7, 7}, {7, 7}};
  say("%ld.%ld %ld ", (long)new.it_interval.tv_sec, new.it_interval.tv_nsec,
      (long)new.it_value.tv_sec);
  if (CALL(timer_settime, timer(), hex(ONE_OF(0, 0, 0, 2)), pointer(&new, "new"),
           pointer(&old, "old")) == 0)
    say(" %ld %d", (long)old.it_interval.tv_sec, old.it_value.tv_sec > 400000);
}
OP(kIdentity, 2, timer_gettime) {
  struct itimerspec now = {{7, 7}, {7, 7}};
  if (CALL(timer_gettime, timer(), pointer(&now, "now")) == 0)
    say(" %ld %d", (long)now.it_interval.tv_sec, now.it_value.tv_sec > 400000);
}
OP(kIdentity, 1, timer_getoverrun) { CALL(timer_getoverrun, timer()); }
OP(kIdentity, 2, timer_delete) { CALL(timer_delete, timer()); }
OP(kIdentity, 1, unknown_call) {
  long which = number(ONE_OF(180, 350, 400, 999, 100000, -1));
  long r = quiet((int)which, 0, 0, 0, 0, 0, 0);
  say_result(r);
}
