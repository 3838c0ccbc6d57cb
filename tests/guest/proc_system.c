// What /proc tells of the system, and sysinfo(2): times of each CPU, context switches, load, shared memory; and of a
// process that writes a title over its arguments.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>

#include "check.h"

static char text[1 << 16];

static long slurp(const char* path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return -errno;
  long size = 0, n;
  while (size < (long)sizeof text - 1 && (n = read(fd, text + size, sizeof text - 1 - size)) > 0)
    size += n;
  text[size] = 0;
  close(fd);
  return size;
}

// --- /proc/stat ---

enum { kUser, kNice, kSystem, kIdle, kTimes };

// The times of a line of /proc/stat ("cpu" is the sum).
static void read_times(const char* name, long times[kTimes]) {
  REQUIRE(slurp("/proc/stat") > 0);
  size_t length = strlen(name);
  const char* line = text;
  while (line && !(strncmp(line, name, length) == 0 && line[length] == ' ')) {
    line = strchr(line, '\n');
    if (line) line++;
  }
  REQUIRE(line != NULL);
  CHECK_EQ(sscanf(line + length, "%ld %ld %ld %ld", &times[0], &times[1], &times[2], &times[3]), 4);
}

static long read_figure(const char* name) {
  REQUIRE(slurp("/proc/stat") > 0);
  const char* line = strstr(text, name);
  return line ? strtol(line + strlen(name), NULL, 10) : -1;
}

static int last_allowed_cpu(void) {
  cpu_set_t set;
  int last = 0;
  REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &set)) last = cpu;
  }
  return last;
}

static void spin(long milliseconds) {
  struct timespec now, start;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
  do {
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 <
           milliseconds);
}

// Spins on one CPU in a child with that nice value more, and adds up what the CPU's times grew by.
static void measure(int cpu, int nice_value, long grown[kTimes]) {
  char name[16];
  long before[kTimes], after[kTimes];
  snprintf(name, sizeof name, "cpu%d", cpu);
  read_times(name, before);
  pid_t child = fork();
  if (child == 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) _exit(1);
    if (nice_value != 0) (void)nice(nice_value);
    spin(400);
    _exit(0);
  }
  int status;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
  read_times(name, after);
  for (int i = 0; i < kTimes; i++) grown[i] = after[i] - before[i];
}

CASE(cpu_times) {
  int cpu = last_allowed_cpu();
  long grown[kTimes];
  // 40 ticks of the CPU that it ran on, whoever else ran there; what it does is more user's than the kernel's or not.
  measure(cpu, 0, grown);
  CHECK(grown[kUser] + grown[kNice] + grown[kSystem] >= 36);
  measure(cpu, 5, grown);
  CHECK(grown[kNice] >= 5);
  CHECK(grown[kNice] + grown[kSystem] >= 36);
  // The first line is the sum of the others.
  long all[kTimes], sum[kTimes] = {0}, times[kTimes];
  read_times("cpu", all);
  char name[16];
  for (int i = 0; i < get_nprocs(); i++) {
    snprintf(name, sizeof name, "cpu%d", i);
    read_times(name, times);
    for (int kind = 0; kind < kTimes; kind++) sum[kind] += times[kind];
  }
  for (int kind = 0; kind < kTimes; kind++) CHECK(labs(sum[kind] - all[kind]) < 100);
}

CASE(times_never_go_back) {
  long last[kTimes] = {0}, now[kTimes];
  for (int round = 0; round < 200; round++) {
    read_times("cpu", now);
    for (int kind = 0; kind < kTimes; kind++) {
      if (kind != kIdle) CHECK(now[kind] >= last[kind]);
      last[kind] = now[kind];
    }
  }
}

CASE(context_switches) {
  int there[2], back[2];
  REQUIRE(pipe(there) == 0 && pipe(back) == 0);
  long before = read_figure("ctxt ");
  pid_t child = fork();
  char byte = 0;
  if (child == 0) {
    close(there[1]);
    while (read(there[0], &byte, 1) == 1) (void)!write(back[1], &byte, 1);
    _exit(0);
  }
  for (int i = 0; i < 500; i++) {
    REQUIRE(write(there[1], &byte, 1) == 1);
    REQUIRE(read(back[0], &byte, 1) == 1);
  }
  close(there[1]);
  REQUIRE(waitpid(child, NULL, 0) == child);
  CHECK(read_figure("ctxt ") - before >= 500);
  CHECK(read_figure("btime ") > 0);
  CHECK(read_figure("procs_running ") >= 1);
  close(there[0]), close(back[0]), close(back[1]);
}

// --- memory ---

static long meminfo(const char* name) {
  REQUIRE(slurp("/proc/meminfo") > 0);
  const char* line = strstr(text, name);
  REQUIRE(line != NULL);
  return strtol(line + strlen(name), NULL, 10);
}

static long shared_ram(void) {
  struct sysinfo info;
  REQUIRE(sysinfo(&info) == 0);
  return (long)(info.sharedram * info.mem_unit / 1024);
}

CASE(shared_memory) {
  enum {
    kSize = 32 << 20,
    kMost = 40 << 10,
    kLeast = 28 << 10
  };  // bytes; kB, as others change it as well
  long before = meminfo("\nShmem:"), ram_before = shared_ram();
  int fd = memfd_create("shared", 0);
  REQUIRE(ftruncate(fd, kSize) == 0);
  char* pages = mmap(NULL, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(pages != MAP_FAILED);
  memset(pages, 1, kSize);
  long grown = meminfo("\nShmem:") - before, ram_grown = shared_ram() - ram_before;
  CHECK(grown >= kLeast && grown < kMost);
  CHECK(ram_grown >= kLeast && ram_grown < kMost);
  CHECK(meminfo("\nShmem:") <= meminfo("\nCached:"));
  CHECK(meminfo("\nMemAvailable:") <= meminfo("MemTotal:"));
  // What is left of it without its descriptor, and then nothing.
  close(fd);
  CHECK(meminfo("\nShmem:") - before >= kLeast);
  munmap(pages, kSize);
  CHECK(meminfo("\nShmem:") - before < (4 << 10));
}

CASE(load) {
  struct sysinfo info;
  char first[256];
  do {
    REQUIRE(slurp("/proc/loadavg") > 0);
    snprintf(first, sizeof first, "%.*s", (int)strcspn(text, "/"), text);
    REQUIRE(sysinfo(&info) == 0);
    REQUIRE(slurp("/proc/loadavg") > 0);
  } while (strncmp(first, text, strlen(first) - 2) != 0);
  double told[3];
  CHECK_EQ(sscanf(first, "%lf %lf %lf", &told[0], &told[1], &told[2]), 3);
  for (int i = 0; i < 3; i++) {
    double load = (double)info.loads[i] / (1 << SI_LOAD_SHIFT);
    CHECK(load - told[i] < 0.011 && told[i] - load < 0.011);
  }
  CHECK_EQ(info.totalswap, (unsigned long)meminfo("\nSwapTotal:") * 1024 / info.mem_unit);
}

// --- files that stay open ---

static long read_from_start(int fd) {
  lseek(fd, 0, SEEK_SET);
  long size = read(fd, text, sizeof text - 1);
  text[size > 0 ? size : 0] = 0;
  return size;
}

CASE(read_again) {
  int mine = open("/proc/self/status", O_RDONLY), maps = open("/proc/self/maps", O_RDONLY),
      stat = open("/proc/stat", O_RDONLY);
  // What it tells is what there is when it is read.
  mode_t mask = umask(013);
  REQUIRE(read_from_start(mine) > 0);
  CHECK(strstr(text, "Umask:\t0013\n") != NULL);
  umask(027);
  CHECK(pread(mine, text, sizeof text - 1, 0) > 0);
  CHECK(strstr(text, "Umask:\t0027\n") != NULL);
  umask(mask);
  REQUIRE(read_from_start(maps) > 0);
  int fd = memfd_create("seen_later", 0);
  REQUIRE(ftruncate(fd, 4096) == 0);
  void* page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  long size = read_from_start(maps);
  for (long more; (more = read(maps, text + size, sizeof text - 1 - size)) > 0;) size += more;
  text[size] = 0;
  CHECK(strstr(text, "seen_later") != NULL);
  munmap(page, 4096);
  close(fd);
  // Even when the time of no CPU went on, its context switches did.
  char first[512];
  REQUIRE(read_from_start(stat) > 0);
  long before = strtol(strstr(text, "ctxt ") + 5, NULL, 10);
  pid_t child = fork();
  if (child == 0) _exit(0);
  REQUIRE(waitpid(child, NULL, 0) == child);
  REQUIRE(read_from_start(stat) > 0);
  CHECK(strtol(strstr(text, "ctxt ") + 5, NULL, 10) > before);
  // The call that reads it is the one that it shows.
  int call = open("/proc/self/syscall", O_RDONLY);
  REQUIRE(read_from_start(call) > 0);
  CHECK_EQ(atoi(text), SYS_read);
  close(call);
  // From the middle on it is the text of the last time.
  REQUIRE(read_from_start(mine) > 0);
  snprintf(first, sizeof first, "%.200s", text + 10);
  REQUIRE(lseek(mine, 10, SEEK_SET) == 10);
  CHECK(read(mine, text, 200) == 200);
  text[200] = 0;
  CHECK_STR(text, first);
  close(mine), close(maps), close(stat);
}

// --- mounts ---

static short polled(int fd, short events) {
  struct pollfd one = {.fd = fd, .events = events};
  REQUIRE(poll(&one, 1, 0) >= 0);
  return one.revents;
}

static unsigned waited(int set) {
  struct epoll_event event = {0};
  int count = epoll_wait(set, &event, 1, 0);
  REQUIRE(count >= 0);
  return count == 1 ? event.events : 0;
}

CASE(mounts_tell_of_changes) {
  char directory[] = "/tmp/mounts-XXXXXX";
  REQUIRE(mkdtemp(directory) != NULL);
  int mounts = open("/proc/self/mounts", O_RDONLY), info = open("/proc/self/mountinfo", O_RDONLY),
      status = open("/proc/self/status", O_RDONLY), set = epoll_create1(0), ready[2];
  struct epoll_event event = {.events = EPOLLPRI};
  CHECK_EQ(epoll_ctl(set, EPOLL_CTL_ADD, info, &event), 0);
  CHECK_EQ(epoll_ctl(set, EPOLL_CTL_ADD, status, &event) == -1 ? errno : 0, EPERM);
  CHECK_EQ(polled(mounts, POLLIN | POLLPRI | POLLOUT), POLLIN);
  CHECK_EQ(waited(set), 0);
  // Another process waits, and sees the first change since it opened the file.
  REQUIRE(pipe(ready) == 0);
  pid_t child = fork();
  if (child == 0) {
    struct pollfd one = {.fd = open("/proc/self/mounts", O_RDONLY), .events = POLLPRI};
    (void)!write(ready[1], "", 1);
    _exit(poll(&one, 1, -1) == 1 && one.revents == (POLLPRI | POLLERR) ? 0 : 1);
  }
  char byte;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  REQUIRE(mount("none", directory, "tmpfs", 0, NULL) == 0);
  int result;
  REQUIRE(waitpid(child, &result, 0) == child);
  CHECK_EQ(result, 0);
  // Each open file tells it once.
  CHECK_EQ(polled(mounts, POLLIN | POLLPRI), POLLIN | POLLPRI | POLLERR);
  CHECK_EQ(polled(mounts, POLLIN | POLLPRI), POLLIN);
  CHECK_EQ(waited(set), EPOLLPRI | EPOLLERR);
  CHECK_EQ(waited(set), 0);
  REQUIRE(read_from_start(mounts) > 0);
  CHECK(strstr(text, directory) != NULL);
  CHECK_EQ(mount(NULL, directory, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
  CHECK_EQ(polled(mounts, POLLPRI), POLLPRI | POLLERR);
  CHECK_EQ(waited(set), EPOLLPRI | EPOLLERR);
  CHECK_EQ(umount(directory), 0);
  CHECK_EQ(polled(mounts, POLLPRI), POLLPRI | POLLERR);
  CHECK_EQ(waited(set), EPOLLPRI | EPOLLERR);
  CHECK_EQ(waited(set), 0);
  rmdir(directory);
  close(mounts), close(info), close(status), close(set), close(ready[0]), close(ready[1]);
}

// --- titles ---

struct Places {
  char *arguments, *arguments_end, *environment_end;
};

static struct Places own_places(void) {
  struct Places places = {0};
  REQUIRE(slurp("/proc/self/stat") > 0);
  const char* at = strrchr(text, ')') + 2;
  for (int field = 3; field <= 51; field++) {
    char* value = (char*)strtoul(at, NULL, 10);
    if (field == 48) places.arguments = value;
    if (field == 49) places.arguments_end = value;
    if (field == 51) places.environment_end = value;
    at = strchr(at, ' ') + 1;
  }
  return places;
}

// Whether /proc/self/cmdline is these bytes.
static int is_told(const char* bytes, size_t size) {
  long told = slurp("/proc/self/cmdline");
  return told == (long)size && memcmp(text, bytes, size) == 0;
}

CASE(title) {
  struct Places places = own_places();
  size_t size = (size_t)(places.arguments_end - places.arguments);
  size_t room = (size_t)(places.environment_end - places.arguments);
  REQUIRE(size > 4 && room > size + 8);
  pid_t child = fork();
  if (child == 0) {
    int failures = 0;
    // Shorter than the arguments were: all of their area, whatever is there.
    strcpy(places.arguments, "it");
    failures += !is_told(places.arguments, size);
    // On into the environment, to the first NUL.
    memset(places.arguments, 'x', size + 5);
    places.arguments[size + 5] = 0;
    failures += !is_told(places.arguments, size + 6) << 1;
    places.arguments[1] = 0;
    failures += !is_told(places.arguments, 2) << 2;
    // To its end, if there is none: a page at most.
    memset(places.arguments, 'y', room);
    failures += !is_told(places.arguments, room < 4096 ? room : 4096) << 3;
    _exit(failures);
  }
  int status;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK_EQ(WEXITSTATUS(status), 0);
  CHECK(WIFEXITED(status));
}

int main(int argc, char** argv) { return check_main(argc, argv); }
