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

static long slurp(const char* path) { return check_read_text(path, text, sizeof text); }

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

// Mostly by itself: a look at this clock is a system call.
static void spin(long milliseconds) {
  struct timespec now, start;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
  do {
    for (volatile int i = 0; i < 100000; i++) continue;
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
  CHECK(grown[kNice] >= 20);
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

// What of /proc/meminfo and sysinfo(2) is not as it must be when there is so much more shared memory; 0: nothing.
static int wrong_about_shared_memory(void) {
  enum { kSize = 32 << 20, kMost = 40 << 10, kLeast = 28 << 10 };  // bytes; kB
  long before = meminfo("\nShmem:"), ram_before = shared_ram(), mapped = meminfo("\nMapped:"),
       anonymous = meminfo("\nAnonPages:");
  int fd = memfd_create("shared", 0), wrong = 0;
  REQUIRE(ftruncate(fd, kSize) == 0);
  char* pages = mmap(NULL, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(pages != MAP_FAILED);
  memset(pages, 1, kSize);
  long grown = meminfo("\nShmem:") - before, ram_grown = shared_ram() - ram_before;
  if (grown < kLeast || grown >= kMost) wrong |= 1;
  if (ram_grown < kLeast || ram_grown >= kMost) wrong |= 2;
  if (meminfo("\nShmem:") > meminfo("\nCached:")) wrong |= 4;
  if (meminfo("\nMemAvailable:") > meminfo("MemTotal:")) wrong |= 8;
  grown = meminfo("\nMapped:") - mapped;
  if (grown < kLeast || grown >= kMost) wrong |= 16;
  if (meminfo("\nAnonPages:") - anonymous >= kLeast) wrong |= 32;
  // What is left of it without its descriptor, and then nothing.
  close(fd);
  if (meminfo("\nShmem:") - before < kLeast) wrong |= 64;
  munmap(pages, kSize);
  if (meminfo("\nShmem:") - before >= kMost - kLeast) wrong |= 128;
  return wrong;
}

// Other programs change the figures, too: one time without them is enough.
CASE(shared_memory) {
  int wrong = -1;
  for (int attempt = 0; attempt < 200 && wrong != 0; attempt++) wrong = wrong_about_shared_memory();
  CHECK_EQ(wrong, 0);
}

// The figure in kB of the mapping at that address in /proc/self/smaps.
static long mapped_figure(const void* address, const char* name) {
  FILE* file = fopen("/proc/self/smaps", "r");
  char line[512];
  int is_there = 0;
  long figure = -1;
  REQUIRE(file != NULL);
  while (figure < 0 && fgets(line, sizeof line, file)) {
    unsigned long start, end;
    if (sscanf(line, "%lx-%lx ", &start, &end) == 2) is_there = start == (unsigned long)address;
    if (is_there && strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
      figure = atol(line + strlen(name) + 1);
  }
  fclose(file);
  return figure;
}

static void check_shares(const void* address, int processes) {
  enum { kAll = 256 };  // kB
  int is_shared = processes > 1;
  CHECK_EQ(mapped_figure(address, "Rss"), kAll);
  CHECK_EQ(mapped_figure(address, "Pss"), kAll / processes);
  CHECK_EQ(mapped_figure(address, "Shared_Dirty"), is_shared ? kAll : 0);
  CHECK_EQ(mapped_figure(address, "Private_Dirty"), is_shared ? 0 : kAll);
  CHECK_EQ(mapped_figure(address, "Shared_Clean"), 0);
  CHECK_EQ(mapped_figure(address, "Private_Clean"), 0);
  CHECK_EQ(mapped_figure(address, "Anonymous"), 0);
}

// Shared pages are divided among those who map them.
CASE(proportional_share) {
  enum { kSize = 256 << 10, kChildren = 2 };
  char* pages = mmap(NULL, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(pages != MAP_FAILED);
  memset(pages, 1, kSize);
  check_shares(pages, 1);
  int ready[2], go_on[2];
  pid_t children[kChildren];
  char byte;
  REQUIRE(pipe(ready) == 0 && pipe(go_on) == 0);
  for (int i = 0; i < kChildren; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      memset(pages, 2, kSize);
      (void)!write(ready[1], "", 1);
      _exit(read(go_on[0], &byte, 1) == 1 ? 0 : 1);
    }
    REQUIRE(read(ready[0], &byte, 1) == 1);
    check_shares(pages, i + 2);
  }
  REQUIRE(write(go_on[1], "..", kChildren) == kChildren);
  for (int i = 0; i < kChildren; i++) REQUIRE(waitpid(children[i], NULL, 0) == children[i]);
  check_shares(pages, 1);
  CHECK_EQ(mprotect(pages, kSize, PROT_READ), 0);
  CHECK_EQ(mapped_figure(pages, "Pss"), kSize >> 10);
  munmap(pages, kSize);
  // What is in memory only is not a file's.
  REQUIRE(slurp("/proc/self/smaps_rollup") > 0);
  CHECK(strstr(text, "\nPss_Anon:") && strstr(text, "\nPss_File:") && strstr(text, "\nPss_Shmem:"));
  close(ready[0]), close(ready[1]), close(go_on[0]), close(go_on[1]);
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

// --- flags ---

// PF_EXITING and PF_FORKNOEXEC of a stat file.
static long read_flags(const char* path) {
  REQUIRE(slurp(path) > 0);
  const char* at = strrchr(text, ')') + 2;
  for (int field = 3; field < 9; field++) at = strchr(at, ' ') + 1;
  return strtol(at, NULL, 10) & 0x44;
}

static void* thread_flags(__attribute__((unused)) void* argument) {
  return (void*)read_flags("/proc/thread-self/stat");
}

CASE(flags) {
  CHECK_EQ(read_flags("/proc/self/stat"), 0);
  CHECK_EQ(read_flags("/proc/thread-self/stat"), 0);
  pthread_t thread;
  void* result;
  REQUIRE(pthread_create(&thread, NULL, thread_flags, NULL) == 0);
  pthread_join(thread, &result);
  CHECK_EQ((long)result, 0x40);
  pid_t child = fork();
  if (child == 0) _exit((int)read_flags("/proc/self/stat"));
  siginfo_t info;
  REQUIRE(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
  CHECK_EQ(info.si_status, 0x40);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/stat", child);
  CHECK_EQ(read_flags(path), 0x44);
  REQUIRE(waitpid(child, NULL, 0) == child);
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
