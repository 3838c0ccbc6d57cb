// What getrusage(2) and /proc say of memory: page faults, and the most that was ever resident or mapped.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"

#define MEGABYTES 64
#define BYTES ((size_t)MEGABYTES << 20)
// What is counted may lag behind a little, on Linux too.
#define NEARLY (60 << 10)

static struct rusage usage_of(int who) {
  struct rusage usage = {0};
  CHECK_OK(getrusage(who, &usage));
  return usage;
}

static char* map_and_touch(void) {
  char* area = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(area != MAP_FAILED);
  for (size_t i = 0; i < BYTES; i += 4096) area[i] = 1;
  return area;
}

// The size of the program itself, in kB, is far below what the cases below take.
CASE(small_at_first) {
  CHECK(usage_of(RUSAGE_SELF).ru_maxrss < NEARLY);
  CHECK(check_status("VmHWM") < NEARLY);
}

static int waited_child(void (*body)(void), struct rusage* usage) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    body();
    fflush(stdout);
    _exit(check_failures != 0);
  }
  int status = -1;
  CHECK_EQ(wait4(pid, &status, 0, usage), pid);
  return status;
}

static void grow_and_shrink(void) {
  munmap(map_and_touch(), BYTES);
  CHECK(check_status("VmRSS") < NEARLY);
  CHECK(check_status("VmHWM") >= NEARLY);
  CHECK(usage_of(RUSAGE_SELF).ru_maxrss >= NEARLY);
  CHECK(usage_of(RUSAGE_THREAD).ru_maxrss >= NEARLY);
  CHECK(check_status("VmSize") < check_status("VmPeak"));
}

CASE(peak_after_munmap) { CHECK_EQ(waited_child(grow_and_shrink, NULL), 0); }

static void zeroed(void) {
  char* area = map_and_touch();
  CHECK_OK(madvise(area, BYTES, MADV_DONTNEED));
  CHECK(check_status("VmRSS") < NEARLY);
  CHECK(check_status("VmHWM") >= NEARLY);
}
CASE(peak_after_dontneed) { CHECK_EQ(waited_child(zeroed, NULL), 0); }

static void lowered_break(void) {
  char* start = sbrk(BYTES);
  REQUIRE(start != (void*)-1);
  for (size_t i = 0; i < BYTES; i += 4096) start[i] = 1;
  CHECK(sbrk(-(intptr_t)BYTES) != (void*)-1);
  CHECK(check_status("VmRSS") < NEARLY);
  CHECK(check_status("VmHWM") >= NEARLY);
}
CASE(peak_after_brk) { CHECK_EQ(waited_child(lowered_break, NULL), 0); }

static void replaced(void) {
  char* area = map_and_touch();
  CHECK(mmap(area, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area);
  CHECK(check_status("VmRSS") < NEARLY);
  CHECK(check_status("VmHWM") >= NEARLY);
}
CASE(peak_after_mmap_fixed) { CHECK_EQ(waited_child(replaced, NULL), 0); }

// Piece by piece, as malloc and free do it.
static void in_pieces(void) {
  char* area = map_and_touch();
  for (size_t i = 0; i < BYTES; i += 65536) CHECK_OK(munmap(area + i, 65536));
  CHECK(check_status("VmRSS") < NEARLY);
  CHECK(check_status("VmHWM") >= NEARLY);
}
CASE(peak_after_many_munmaps) { CHECK_EQ(waited_child(in_pieces, NULL), 0); }

// The peaks of a forked child start with what it has then.
static void in_grandchild(void) {
  CHECK(check_status("VmHWM") < NEARLY);
  CHECK(check_status("VmPeak") < NEARLY + (16 << 10));
}
static void fork_after_peak(void) {
  munmap(map_and_touch(), BYTES);
  CHECK_EQ(waited_child(in_grandchild, NULL), 0);
}
CASE(peak_after_fork) { CHECK_EQ(waited_child(fork_after_peak, NULL), 0); }

// VmHWM is the memory's, ru_maxrss the process's.
static void execute(void) {
  munmap(map_and_touch(), BYTES);
  execl("/proc/self/exe", "accounts", "after_exec", (char*)NULL);
  _exit(9);
}
CASE(after_exec) {
  if (usage_of(RUSAGE_SELF).ru_maxrss < NEARLY) {
    CHECK_EQ(waited_child(execute, NULL), 0);
  } else {
    CHECK(check_status("VmHWM") < NEARLY);
  }
}

static void nothing(void) {}
CASE(children) {
  struct rusage before = usage_of(RUSAGE_CHILDREN), child;
  CHECK_EQ(waited_child(grow_and_shrink, &child), 0);
  CHECK(child.ru_maxrss >= NEARLY);
  CHECK(child.ru_minflt > 0);
  struct rusage after = usage_of(RUSAGE_CHILDREN);
  CHECK(after.ru_maxrss >= child.ru_maxrss);
  CHECK_EQ(after.ru_minflt - before.ru_minflt, child.ru_minflt);
  // The largest, not the sum or the last.
  CHECK_EQ(waited_child(nothing, &child), 0);
  CHECK(child.ru_maxrss < NEARLY);
  CHECK_EQ(usage_of(RUSAGE_CHILDREN).ru_maxrss, after.ru_maxrss);
  CHECK(usage_of(RUSAGE_SELF).ru_maxrss < NEARLY);
}

struct fault_counts {
  long minor, minor_of_children, major;
};
static struct fault_counts counts_of(const char* path) {
  FILE* file = fopen(path, "r");
  REQUIRE(file != NULL);
  struct fault_counts counts = {-1, -1, -1};
  CHECK_EQ(fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %ld %ld %ld", &counts.minor,
                  &counts.minor_of_children, &counts.major),
           3);
  fclose(file);
  return counts;
}

static void* touch(void* unused) {
  (void)unused;
  struct rusage before = usage_of(RUSAGE_THREAD);
  munmap(map_and_touch(), BYTES);
  struct rusage after = usage_of(RUSAGE_THREAD);
  CHECK(after.ru_minflt > before.ru_minflt);
  CHECK(counts_of("/proc/thread-self/stat").minor >= after.ru_minflt);
  return NULL;
}

CASE(minor_faults) {
  struct rusage before = usage_of(RUSAGE_SELF), own = usage_of(RUSAGE_THREAD);
  struct fault_counts stat = counts_of("/proc/self/stat");
  CHECK(stat.minor >= before.ru_minflt);
  CHECK(stat.minor_of_children >= 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, touch, NULL) == 0);
  pthread_join(thread, NULL);
  // Of ended threads, too. However large the pages are.
  struct rusage after = usage_of(RUSAGE_SELF);
  CHECK(after.ru_minflt - before.ru_minflt >= MEGABYTES / 4);
  CHECK(usage_of(RUSAGE_THREAD).ru_minflt - own.ru_minflt < after.ru_minflt - before.ru_minflt);
}

// Faults of a system call in the caller's memory are the caller's.
CASE(faults_of_copies) {
  char* area = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(area != MAP_FAILED);
  int pair[2];
  CHECK_OK(pipe(pair));
  struct rusage before = usage_of(RUSAGE_THREAD);
  for (size_t i = 0; i < 16; i++) {
    CHECK_EQ(write(pair[1], "x", 1), 1);
    CHECK_EQ(read(pair[0], area + i * (BYTES / 16), 1), 1);
  }
  CHECK(usage_of(RUSAGE_THREAD).ru_minflt - before.ru_minflt >= 16);
  munmap(area, BYTES);
}

CHECK_MAIN
