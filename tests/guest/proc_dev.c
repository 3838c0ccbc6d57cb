// /proc and /dev as programs use them: null(4), zero(4), full(4), random(4), proc(5).
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "check.h"

static char text[65536];

static long slurp(const char* path) {
  const long size = check_read_text(path, text, sizeof text);
  return size < 0 ? -1 : size;
}

CASE(null_zero_full) {
  int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR),
      full = open("/dev/full", O_RDWR);
  char bytes[100];
  memset(bytes, 1, sizeof bytes);
  CHECK_EQ(read(null, bytes, 100), 0);
  CHECK_EQ(write(null, bytes, 100), 100);
  CHECK_EQ(read(zero, bytes, 100), 100);
  for (int i = 0; i < 100; i++) CHECK_EQ(bytes[i], 0);
  CHECK_EQ(write(zero, bytes, 100), 100);
  CHECK_ERRNO(write(full, bytes, 100), ENOSPC);
  CHECK_EQ(read(full, bytes, 100), 100);
  char* map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
  REQUIRE(map != MAP_FAILED);
  CHECK_EQ(map[8191], 0);
  map[0] = 1;
  munmap(map, 8192);
  close(null), close(zero), close(full);
}

CASE(random_devices) {
  const char* names[] = {"/dev/urandom", "/dev/random"};
  for (int i = 0; i < 2; i++) {
    unsigned char a[64], b[64];
    int fd = open(names[i], O_RDONLY);
    CHECK_EQ(read(fd, a, 64), 64);
    CHECK_EQ(read(fd, b, 64), 64);
    CHECK(memcmp(a, b, 64) != 0);
    close(fd);
  }
}

CASE(descriptor_names) {
  check_enter_scratch();
  int fd = open("f", O_CREAT | O_RDWR, 0600);
  char path[64], target[512] = "", cwd[512];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  long length = readlink(path, target, sizeof target - 1);
  REQUIRE(length > 0);
  REQUIRE(getcwd(cwd, sizeof cwd) != NULL);
  strcat(cwd, "/f");
  CHECK_STR(target, cwd);
  CHECK_EQ(write(fd, "through proc", 12), 12);
  int again = open(path, O_RDONLY);  // A description of its own.
  char back[16] = "";
  CHECK_EQ(read(again, back, 15), 12);
  CHECK_STR(back, "through proc");
  snprintf(path, sizeof path, "/dev/fd/%d", fd);
  CHECK_OK(access(path, F_OK));
  DIR* list = opendir("/proc/self/fd");
  REQUIRE(list != NULL);
  int found = 0;
  for (struct dirent* entry; (entry = readdir(list));) found += atoi(entry->d_name) == fd;
  CHECK_EQ(found, 1);
  closedir(list);
  CHECK_OK(access("/dev/stdin", F_OK));
  close(fd), close(again);
}

CASE(self) {
  char path[64], target[512] = "";
  CHECK(readlink("/proc/self", target, sizeof target) > 0);
  CHECK_EQ(atoi(target), getpid());
  memset(target, 0, sizeof target);
  REQUIRE(readlink("/proc/self/exe", target, sizeof target - 1) > 0);
  const char* name = strrchr(check_program, '/');
  CHECK_STR(strrchr(target, '/'), name);
  CHECK(readlink("/proc/self/cwd", target, sizeof target) > 0);
  CHECK(readlink("/proc/self/root", target, sizeof target) == 1 && target[0] == '/');
  long size = slurp("/proc/self/cmdline");
  CHECK_EQ(size, strlen(check_program) + 1);
  CHECK_STR(text, check_program);
  snprintf(path, sizeof path, "/proc/%d/comm", getpid());
  CHECK(slurp(path) > 0);
  CHECK_STR(text, "proc_dev.pie\n");
  CHECK_EQ(slurp("/proc/99999999/comm"), -1);
  CHECK_EQ(errno, ENOENT);
}

CASE(status) {
  CHECK(slurp("/proc/self/status") > 0);
  const char* lines[] = {"Name:\tproc_dev", "\nState:\tR",      "\nPid:\t",   "\nPPid:\t",
                         "\nUid:\t",        "\nVmSize:\t",      "\nVmRSS:\t", "\nThreads:\t1\n",
                         "\nSigIgn:\t",     "\nCpus_allowed:\t"};
  for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++) {
    if (!strstr(text, lines[i])) CHECK_STR("(absent)", lines[i]);
  }
  CHECK(slurp("/proc/self/stat") > 0);
  int pid;
  char name[64], state;
  CHECK_EQ(sscanf(text, "%d (%63[^)]) %c", &pid, name, &state), 3);
  CHECK_EQ(pid, getpid());
  CHECK_EQ(state, 'R');
  CHECK(slurp("/proc/self/statm") > 0);
}

CASE(maps) {
  static char marker[8192];
  char* area = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK_OK(mprotect(area + 4096, 4096, PROT_NONE));
  FILE* file = fopen("/proc/self/maps", "r");
  REQUIRE(file != NULL);
  char line[512], rights[8];
  unsigned long start, end, last = 0;
  int ours = 0, stack = 0, unreadable = 0, code = 0;
  while (fgets(line, sizeof line, file)) {
    CHECK_EQ(sscanf(line, "%lx-%lx %7s", &start, &end, rights), 3);
    CHECK(start >= last && end > start);
    last = end;
    if ((uintptr_t)marker >= start && (uintptr_t)marker < end) ours += strcmp(rights, "rw-p") == 0;
    if ((uintptr_t)&file >= start && (uintptr_t)&file < end)
      stack += strstr(line, "[stack]") != NULL;
    if ((uintptr_t)area + 4096 == start) unreadable += strcmp(rights, "---p") == 0;
    if ((uintptr_t)case_maps >= start && (uintptr_t)case_maps < end)
      code += strcmp(rights, "r-xp") == 0 && strstr(line, "proc_dev.pie") != NULL;
  }
  fclose(file);
  CHECK_EQ(ours, 1);
  CHECK_EQ(stack, 1);
  CHECK_EQ(unreadable, 1);
  CHECK_EQ(code, 1);
  munmap(area, 3 * 4096);
}

CASE(system_files) {
  CHECK(slurp("/proc/meminfo") > 0);
  CHECK(strstr(text, "MemTotal:") && strstr(text, "MemFree:") && strstr(text, "MemAvailable:"));
  CHECK(slurp("/proc/cpuinfo") > 0);
  CHECK(strstr(text, "processor\t: 0") && strstr(text, "flags\t\t: "));
  CHECK(slurp("/proc/mounts") > 0);
  CHECK(strstr(text, " /proc proc "));
  CHECK(slurp("/proc/self/mounts") > 0);
  CHECK(slurp("/proc/uptime") > 0 && atof(text) > 0);
  CHECK(slurp("/proc/loadavg") > 0);
  double load;
  CHECK_EQ(sscanf(text, "%lf", &load), 1);
  CHECK(slurp("/proc/sys/kernel/osrelease") > 0);
  CHECK(slurp("/proc/sys/kernel/hostname") > 0);
  CHECK(slurp("/proc/sys/kernel/pid_max") > 0 && atoi(text) > 0);
  CHECK(slurp("/proc/version") > 0 && strncmp(text, "Linux version ", 14) == 0);
  CHECK(slurp("/proc/stat") > 0 && strncmp(text, "cpu ", 4) == 0);
}

// Whether the list of numbers ("0-3,5") in a file has it.
static int has_number(const char* path, int number) {
  if (slurp(path) <= 0) return -1;
  for (char* at = text; *at >= '0' && *at <= '9';) {
    const long first = strtol(at, &at, 10), last = *at == '-' ? strtol(at + 1, &at, 10) : first;
    if (first <= number && number <= last) return 1;
    if (*at == ',') at++;
  }
  return 0;
}

CASE(sys_tells_of_cpus) {
  const int count = (int)sysconf(_SC_NPROCESSORS_CONF);
  REQUIRE(count > 0);
  for (int cpu = 0; cpu < count; cpu++) {
    char path[128];
    CHECK_EQ(has_number("/sys/devices/system/cpu/possible", cpu), 1);
    CHECK_EQ(has_number("/sys/devices/system/cpu/present", cpu), 1);
    CHECK_EQ(has_number("/sys/devices/system/node/node0/cpulist", cpu), 1);
    const char* const siblings[] = {"thread_siblings_list", "core_cpus_list", "core_siblings_list",
                                    "package_cpus_list"};
    for (unsigned i = 0; i < 4; i++) {
      snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, siblings[i]);
      CHECK_EQ(has_number(path, cpu), 1);
    }
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_cpus", cpu);
    CHECK(slurp(path) > 0);
    if (cpu < 32)
      CHECK((strtoul(strrchr(text, ',') ? strrchr(text, ',') + 1 : text, NULL, 16) >> cpu & 1) ==
            1);
  }
  char path[128];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d", count);
  CHECK_ERRNO(access(path, F_OK), ENOENT);
  CHECK_ERRNO(access("/sys/devices/system/cpu/cpu00", F_OK), ENOENT);
  CHECK_ERRNO(access("/sys/devices/system/cpu/cpu", F_OK), ENOENT);
  CHECK_ERRNO(open("/sys/devices/system/cpu/possible/x", O_RDONLY), ENOTDIR);
  CHECK(slurp("/sys/devices/system/cpu/offline") > 0);
  // Each directory is listed once.
  DIR* cpus = opendir("/sys/devices/system/cpu");
  REQUIRE(cpus != NULL);
  int seen = 0, number;
  char rest;
  for (struct dirent* entry; (entry = readdir(cpus)) != NULL;)
    seen += sscanf(entry->d_name, "cpu%d%c", &number, &rest) == 1;
  CHECK_EQ(seen, count);
  closedir(cpus);
}

CASE(posix_shared_memory) {
  char name[64];
  snprintf(name, sizeof name, "/guest-%d", getpid());
  int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
  REQUIRE(fd >= 0);
  CHECK_OK(ftruncate(fd, 4096));
  char* map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(map != MAP_FAILED);
  map[7] = 7;
  char byte = 0;
  CHECK_EQ(pread(fd, &byte, 1, 7), 1);
  CHECK_EQ(byte, 7);
  munmap(map, 4096);
  close(fd);
  CHECK_OK(shm_unlink(name));
  CHECK_ERRNO(shm_open(name, O_RDWR, 0600), ENOENT);
}

CHECK_MAIN
