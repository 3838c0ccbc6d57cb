// Areas that grow down: the main thread's stack and MAP_GROWSDOWN; what limits them, and the gap below them.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "identity.h"

#define PAGE 4096L
#define GAP (256 * PAGE)  // stack_guard_gap
#define MIB (1L << 20)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

static sigjmp_buf escape;
static siginfo_t fault;
static volatile int is_escaping;
static char handler_stack[64 << 10];

static void on_fault(int number, siginfo_t* info, void* context) {
  (void)context;
  fault = *info;
  if (!is_escaping) signal(number, SIG_DFL);  // nobody meant it
  if (is_escaping) siglongjmp(escape, 1);
}

// What a write to `at` ends with: 0, or the signal's code.
static int touch(volatile char* at) {
  fault.si_code = 0;
  is_escaping = 1;
  if (sigsetjmp(escape, 1) == 0) *at = 1;
  is_escaping = 0;
  if (fault.si_code != 0) CHECK(fault.si_addr == at);
  return fault.si_code;
}

// The line of /proc/self/maps that holds `at`.
struct range {
  uintptr_t start, end;
};
static struct range area_at(const void* at) {
  FILE* maps = fopen("/proc/self/maps", "r");
  REQUIRE(maps != NULL);
  struct range range = {0, 0};
  char line[512];
  while (fgets(line, sizeof line, maps)) {
    REQUIRE(sscanf(line, "%lx-%lx", &range.start, &range.end) == 2);
    if (range.start <= (uintptr_t)at && (uintptr_t)at < range.end) break;
    range.start = range.end = 0;
  }
  fclose(maps);
  return range;
}

// A line of /proc/self/status, in bytes.
static long status_bytes(const char* name) { return check_status(name) * 1024; }

static void limit_to(int resource, long soft) {
  struct rlimit limit;
  REQUIRE(getrlimit(resource, &limit) == 0);
  limit.rlim_cur = (rlim_t)soft;
  REQUIRE(setrlimit(resource, &limit) == 0);
}

static long recurse(long kibibytes) {
  volatile char frame[1024];
  frame[0] = frame[1023] = (char)kibibytes;
  return kibibytes <= 1 ? 1 : recurse(kibibytes - 1) + 1 + (frame[0] - (char)kibibytes);
}

// Grown down from `pages` pages at the end of 16 MiB, of which the rest is free.
#define SPAN (16 * MIB)
static char* floor_of_span;
static char* grower(long pages) {
  floor_of_span = mmap(NULL, SPAN, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
  REQUIRE(floor_of_span != MAP_FAILED);
  REQUIRE(munmap(floor_of_span, SPAN) == 0);
  char* at = floor_of_span + SPAN - pages * PAGE;
  REQUIRE(mmap(at, pages * PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0) == at);
  return at;
}
static void drop_span(void) { CHECK_OK(munmap(floor_of_span, SPAN)); }

CASE(stack_shows_what_there_is) {
  char here;
  struct range before = area_at(&here);
  CHECK(before.end - before.start < 2 * MIB);
  CHECK_EQ(status_bytes("VmStk"), before.end - before.start);
  long size = status_bytes("VmSize");
  CHECK_EQ(recurse(3 << 10), 3 << 10);
  struct range after = area_at(&here);
  CHECK_EQ(after.end, before.end);
  CHECK(after.end - after.start > 3 * MIB);
  CHECK(after.end - after.start < 6 * MIB);
  CHECK_EQ(status_bytes("VmStk"), after.end - after.start);
  CHECK_EQ(status_bytes("VmSize") - size, before.start - after.start);
}

static void recurse_far(void) {
  limit_to(RLIMIT_STACK, 80 * MIB);
  CHECK_EQ(recurse(64 << 10), 64 << 10);
}
CASE(limit_raised_inside) { CHECK_EQ(check_in_child(recurse_far), 0); }

static void recurse_too_far(void) {
  limit_to(RLIMIT_STACK, 5 * MIB);
  CHECK_EQ(recurse(4 << 10), 4 << 10);
  fflush(stdout);
  if (check_failures == 0) recurse(6 << 10);
}
CASE(limit_lowered_inside) {
  signal(SIGSEGV, SIG_DFL);
  int status = check_in_child(recurse_too_far);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  CHECK_OK(sigaction(SIGSEGV, &action, NULL));
}

// System calls that store or load below the stack make it grow, as far as the program itself may.
CASE(system_calls_below) {
  char here;
  struct range area = area_at(&here);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  char* below = (char*)area.start - 20 * PAGE;
  CHECK_EQ(write(ends[1], "hello", 5), 5);
  CHECK_EQ(read(ends[0], below, 5), 5);
  CHECK(area_at(&here).start <= (uintptr_t)below);
  CHECK_EQ(memcmp(below, "hello", 5), 0);
  area = area_at(&here);
  CHECK_EQ(write(ends[1], (char*)area.start - 3 * PAGE, 5), 5);
  CHECK(area_at(&here).start < area.start);
  CHECK_EQ(write(ends[1], "hello", 5), 5);
  struct rlimit limit;
  getrlimit(RLIMIT_STACK, &limit);
  area = area_at(&here);
  CHECK_ERRNO(read(ends[0], (char*)area.end - limit.rlim_cur - 2 * PAGE, 5), EFAULT);
  CHECK_EQ(area_at(&here).start, area.start);
  close(ends[0]), close(ends[1]);
}

CASE(mapping_grows) {
  char* at = grower(1);
  for (long page = 0; page <= 50; page++) {
    CHECK_EQ(touch(at - page * PAGE), 0);
    at[-page * PAGE] = (char)page;
  }
  for (long page = 0; page <= 50; page++) CHECK_EQ(at[-page * PAGE], page);
  // Far below, and what was skipped is there, too.
  CHECK_EQ(touch(at - 700 * PAGE), 0);
  CHECK_EQ(at[-600 * PAGE], 0);
  struct range area = area_at(at);
  CHECK(area.start <= (uintptr_t)at - 700 * PAGE);
  CHECK_EQ(area.end, (uintptr_t)at + PAGE);
  drop_span();
  CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0), EINVAL);
}

// One that may lie anywhere has room below it, which is free again when it goes. (Linux gives it the gap alone.)
CASE(anywhere) {
  int has_room = access("/proc/occlum", F_OK) == 0;
  char* first = mmap(NULL, PAGE, RW, ANON | MAP_GROWSDOWN, -1, 0);
  REQUIRE(first != MAP_FAILED);
  CHECK_OK(munmap(first, PAGE));
  for (int i = 0; i < 1000; i++) {
    char* again = mmap(NULL, PAGE, RW, ANON | MAP_GROWSDOWN, -1, 0);
    REQUIRE(again == first);
    if (has_room) CHECK_EQ(touch(again - 4 * MIB), 0);
    struct range area = area_at(again);
    CHECK_OK(munmap((char*)area.start, area.end - area.start));
  }
}

CASE(gap_to_what_lies_below) {
  char* at = grower(1);
  char* below = floor_of_span + 12 * MIB;
  REQUIRE(mmap(below, PAGE, RW, ANON | MAP_FIXED, -1, 0) == below);
  char* lowest = below + PAGE + GAP;
  CHECK_EQ(touch(lowest - 1), SEGV_MAPERR);
  CHECK_EQ(touch(lowest), 0);
  CHECK_EQ(area_at(at).start, (uintptr_t)lowest);
  CHECK_EQ(touch(lowest - 1), SEGV_MAPERR);
  CHECK_EQ(touch(below + PAGE), SEGV_MAPERR);
  // What nobody can access may be near.
  CHECK_OK(mprotect(below, PAGE, PROT_NONE));
  CHECK_EQ(touch(below + PAGE), 0);
  CHECK_EQ(touch(below), SEGV_ACCERR);
  drop_span();
}

// Both parts of an area that was split grow.
CASE(parts_grow) {
  char* at = grower(4);
  at[3 * PAGE] = 3;
  CHECK_OK(munmap(at, 2 * PAGE));
  CHECK_EQ(touch(at + PAGE), 0);
  CHECK_EQ(touch(at - 20 * PAGE), 0);
  CHECK_EQ(at[3 * PAGE], 3);
  CHECK_OK(mprotect(at, PAGE, PROT_READ));
  CHECK_EQ(touch(at), SEGV_ACCERR);
  CHECK_EQ(touch(at - 40 * PAGE), 0);
  drop_span();
}

static void grow_past_stack_limit(void) {
  limit_to(RLIMIT_STACK, MIB);
  char* at = grower(1);
  CHECK_EQ(touch(at + PAGE - MIB), 0);
  CHECK_EQ(touch(at + PAGE - MIB - 1), SEGV_MAPERR);
  limit_to(RLIMIT_STACK, 2 * MIB);
  CHECK_EQ(touch(at + PAGE - MIB - 1), 0);
}
CASE(stack_limit_of_a_mapping) { CHECK_EQ(check_in_child(grow_past_stack_limit), 0); }

static void grow_past_address_space(void) {
  char* at = grower(1);
  limit_to(RLIMIT_AS, status_bytes("VmSize") + MIB);
  CHECK_EQ(touch(at - MIB / 2), 0);
  CHECK_EQ(touch(at - MIB - PAGE), SEGV_MAPERR);
  CHECK_EQ(touch(at - MIB * 3 / 4), 0);
}
CASE(address_space_limit) { CHECK_EQ(check_in_child(grow_past_address_space), 0); }

static void grow_past_locked_limit(void) {
  limit_to(RLIMIT_MEMLOCK, MIB);
  char* at = grower(1);
  CHECK_OK(mlock(at, PAGE));
  CHECK_EQ(touch(at - MIB / 2), 0);
  CHECK(status_bytes("VmLck") >= MIB / 2 + PAGE);
  CHECK_EQ(touch(at - MIB), SEGV_MAPERR);
  CHECK_EQ(touch(at - MIB * 3 / 4), 0);
  // Others count as before.
  char* other = grower(1);
  CHECK_OK(munlock(at, PAGE));
  CHECK_EQ(touch(other - 2 * MIB), 0);
}
static void as_alice(void) { as_user(ALICE, grow_past_locked_limit); }
CASE(locked_limit) { CHECK_EQ(check_in_child(as_alice), 0); }

static void grow_locked(void) {
  char here;
  CHECK_OK(mlockall(MCL_CURRENT | MCL_FUTURE));
  CHECK_EQ(recurse(2 << 10), 2 << 10);
  char* at = grower(1);
  CHECK_EQ(touch(at - 100 * PAGE), 0);
  long grown =
      (long)(area_at(&here).end - area_at(&here).start + area_at(at).end - area_at(at).start);
  CHECK(grown > 2 * MIB + 100 * PAGE);
  CHECK(status_bytes("VmLck") >= grown);
}
CASE(all_is_locked) { CHECK_EQ(check_in_child(grow_locked), 0); }

// Each member of a fork family has pages of its own there.
static char* family_area;
static void grow_in_child(void) {
  for (long page = 1; page <= 40; page++) {
    CHECK_EQ(touch(family_area - page * PAGE), 0);
    family_area[-page * PAGE] = 77;
  }
  CHECK_EQ(recurse(5 << 10), 5 << 10);
}
CASE(fork_family) {
  family_area = grower(1);
  family_area[0] = 5;
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(check_in_child(grow_in_child), 0);
    // What the child has down there is not ours, nor is that it is there.
    CHECK_EQ(family_area[-10 * i * PAGE], i == 0 ? 5 : 0);
    CHECK_EQ(touch(family_area - 10 * (i + 1) * PAGE + 8), 0);
    CHECK_EQ(family_area[-10 * (i + 1) * PAGE], 0);
  }
  drop_span();
}

// Threads that touch it at once.
#define THREADS 4
#define ROUNDS 50
static char* shared_area;
static pthread_barrier_t barrier;
static void* touch_mine(void* number) {
  pthread_barrier_wait(&barrier);  // the area is there
  for (long round = 1; round <= ROUNDS; round++) {
    pthread_barrier_wait(&barrier);
    volatile char* at = shared_area - (round * THREADS + (long)number) * PAGE;
    *at = (char)(round + (long)number);
  }
  return NULL;
}
CASE(threads_at_once) {
  pthread_t threads[THREADS];
  REQUIRE(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
  for (long i = 0; i < THREADS; i++)
    REQUIRE(pthread_create(&threads[i], NULL, touch_mine, (void*)i) == 0);
  shared_area = grower(1);  // now, or their stacks would lie below it
  for (int i = 0; i <= ROUNDS; i++) pthread_barrier_wait(&barrier);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (long round = 1; round <= ROUNDS; round++) {
    for (long i = 0; i < THREADS; i++)
      CHECK_EQ(shared_area[-(round * THREADS + i) * PAGE], (char)(round + i));
  }
  drop_span();
}

int main(int argc, char** argv) {
  stack_t alternate = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, &action, NULL);
  return check_main(argc, argv);
}
