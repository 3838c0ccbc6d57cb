// System calls at one site again and again: whatever makes them fast, the instruction behaves like the processor's.
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "counts.h"

enum { kSites = 32 };
enum { kLoop = 1000000 };
static long my_pid;

// Functions `long site_N(void)`: getpid by `mov $39,%eax; syscall` (0..15) or `mov $39,%rax; syscall` (16..31), the mov
// at N mod 16 bytes behind a multiple of 16.
__asm__(
    ".text\n"
    ".globl site_table\n"
    ".irp form, 0, 1\n"
    ".irp at, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    ".balign 16\n"
    ".if \\at > 0\n"
    ".skip \\at, 0x90\n"
    ".endif\n"
    "site_\\form\\()_\\at:\n"
    ".if \\form == 0\n"
    "movl $39, %eax\n"
    ".else\n"
    ".byte 0x48, 0xc7, 0xc0, 39, 0, 0, 0\n"
    ".endif\n"
    "syscall\n"
    "ret\n"
    ".pushsection .data.rel.ro, \"aw\"\n"
    ".quad site_\\form\\()_\\at\n"
    ".popsection\n"
    ".endr\n"
    ".endr\n");
__asm__(
    ".pushsection .data.rel.ro, \"aw\"\n"
    ".balign 8\n"
    "sites_end: .quad 0\n"
    ".popsection\n");
extern char sites_end[];
typedef long (*site)(void);
static site site_at(int i) {
  site* end = (site*)(void*)sites_end;
  return end[i - kSites];
}

CASE(every_alignment) {
  for (int round = 0; round < 50; round++) {
    for (int i = 0; i < kSites; i++) CHECK_EQ(site_at(i)(), my_pid);
  }
}

static volatile int stop;
static void* call_all(void* wrong) {
  while (!stop) {
    for (int i = 0; i < kSites; i++) {
      if (site_at(i)() != my_pid) __atomic_add_fetch((long*)wrong, 1, __ATOMIC_RELAXED);
    }
  }
  return NULL;
}
CASE(several_threads) {
  pthread_t threads[4];
  static long wrong;
  stop = 0;
  for (int i = 0; i < 4; i++) REQUIRE(pthread_create(&threads[i], NULL, call_all, &wrong) == 0);
  check_sleep_ms(300);
  stop = 1;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(wrong, 0);
}

// A site of its own, with everything looked at. `entry` is 1 to jump to its `syscall`, else all is executed.
struct seen {
  uint64_t rax, rcx, r11, flags_before, flags_after, red_zone, behind;
};
void observe(struct seen* out, uint64_t number, uint64_t entry, uint64_t flags);
extern const char observed_mov[], observed_syscall[];
__asm__(
    ".text\n"
    ".balign 16\n"
    ".globl observe, observed_mov, observed_syscall\n"
    "observe:\n"
    "  pushq %rbx\n"
    "  movq %rdi, %rbx\n"
    "  movq %rsi, %rax\n"
    "  subq $256, %rsp\n"
    "  pushq %rcx\n"
    "  popfq\n"
    "  pushfq\n"
    "  popq 24(%rbx)\n"
    "  movq $0x1234, -8(%rsp)\n"
    "  movq $0x5678, -128(%rsp)\n"
    "  leaq -1(%rdx), %rcx\n"
    "  jrcxz observed_syscall\n"
    ".balign 16\n"
    "observed_mov:\n"
    "  movl $39, %eax\n"
    "observed_syscall:\n"
    "  syscall\n"
    "observed_end:\n"
    "  movq %rax, 0(%rbx)\n"
    "  movq %rcx, 8(%rbx)\n"
    "  movq %r11, 16(%rbx)\n"
    "  movq -8(%rsp), %rax\n"
    "  movq -128(%rsp), %rcx\n"
    "  leaq (%rax,%rcx), %rax\n"
    "  movq %rax, 40(%rbx)\n"
    "  pushfq\n"
    "  popq 32(%rbx)\n"
    "  pushq $0x202\n"
    "  popfq\n"
    "  leaq observed_end(%rip), %rax\n"
    "  movq %rax, 48(%rbx)\n"
    "  addq $256, %rsp\n"
    "  popq %rbx\n"
    "  ret\n");

static void check_seen(const struct seen* s, long wanted) {
  CHECK_EQ(s->rax, wanted);
  CHECK_EQ(s->rcx, s->behind);
  CHECK_EQ(s->r11, s->flags_before);
  CHECK_EQ(s->flags_after, s->flags_before);
  CHECK_EQ(s->red_zone, 0x1234 + 0x5678);
}

CASE(registers_and_red_zone) {
  // Carry, parity, adjust, zero, sign, direction, overflow in turn.
  static const uint64_t flags[] = {0x202, 0x203, 0x206, 0x212, 0x242, 0x282, 0x602, 0xa02, 0xed7};
  struct seen s;
  for (int i = 0; i < 1000; i++) {
    memset(&s, 0, sizeof s);
    observe(&s, 39, 0, flags[i % 9]);
    check_seen(&s, my_pid);
  }
}

CASE(a_million_results) {
  struct seen s;
  long wrong = 0;
  for (int i = 0; i < kLoop; i++) {
    observe(&s, 39, 0, 0x202);
    wrong += (long)s.rax != my_pid;
  }
  CHECK_EQ(wrong, 0);
}

CASE(jump_to_the_syscall) {
  struct seen s;
  for (int i = 0; i < 100; i++) {
    observe(&s, SYS_getppid, 1, 0x202);
    check_seen(&s, getppid());
    observe(&s, 9999, 1, 0x202);
    check_seen(&s, -ENOSYS);
  }
}

// --- signals ---
static struct {
  uint64_t start, end;
} texts[64];
static int text_count;

static void find_texts(void) {
  FILE* maps = fopen("/proc/self/maps", "r");
  REQUIRE(maps != NULL);
  char line[512], rights[8], name[256];
  while (fgets(line, sizeof line, maps)) {
    unsigned long start, end;
    name[0] = 0;
    REQUIRE(sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &start, &end, rights, name) >= 3);
    if (rights[2] != 'x' || strstr(name, "stubs") || text_count == 64) continue;
    texts[text_count].start = start;
    texts[text_count++].end = end;
  }
  fclose(maps);
}

static volatile long signals, strange, torn;
static void on_alarm(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)info;
  const greg_t* registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  const uint64_t rip = (uint64_t)registers[REG_RIP];
  int known = 0;
  for (int i = 0; i < text_count; i++) known |= texts[i].start <= rip && rip < texts[i].end;
  strange += !known;
  // At the `syscall` RAX holds the number.
  torn += rip == (uint64_t)observed_syscall && registers[REG_RAX] != 39;
  signals++;
}

CASE(signals_see_no_other_code) {
  find_texts();
  REQUIRE(text_count > 0 && text_count < 64);
  struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART}, old;
  REQUIRE(sigaction(SIGALRM, &action, &old) == 0);
  struct itimerval timer = {{0, 1000}, {0, 1000}};
  REQUIRE(setitimer(ITIMER_REAL, &timer, NULL) == 0);
  struct seen s;
  int64_t begin = check_now_ns();
  while (check_now_ns() - begin < 1500000000 && check_failures == 0) {
    for (int i = 0; i < 1000; i++) {
      observe(&s, 39, 0, i & 1 ? 0x203 : 0x242);
      check_seen(&s, my_pid);
    }
  }
  memset(&timer, 0, sizeof timer);
  setitimer(ITIMER_REAL, &timer, NULL);
  sigaction(SIGALRM, &old, NULL);
  CHECK(signals >= 20);
  CHECK_EQ(strange, 0);
  CHECK_EQ(torn, 0);
}

// --- interrupted calls ---
static int pipe_ends[2];
static volatile int write_on_signal;
static void on_signal(int signal) {
  (void)signal;
  if (write_on_signal) CHECK_EQ(write(pipe_ends[1], "s", 1), 1);
}
static long read_site(char* to) {
  long result;
  __asm__ volatile(".balign 16\n movl $0, %%eax\n syscall\n"
                   : "=a"(result)
                   : "D"((long)pipe_ends[0]), "S"(to), "d"(1L)
                   : "rcx", "r11", "memory");
  return result;
}
static void interrupt_read(int flags, long wanted) {
  char byte = 0;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags}, old;
  REQUIRE(sigaction(SIGALRM, &action, &old) == 0);
  for (int i = 0; i < 20; i++) {
    struct itimerval timer = {{0, 0}, {0, 5000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    CHECK_EQ(read_site(&byte), wanted);
  }
  sigaction(SIGALRM, &old, NULL);
}
CASE(interrupted_calls) {
  REQUIRE(pipe(pipe_ends) == 0);
  char byte = 0;
  for (int i = 0; i < 50; i++) {
    CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
    CHECK_EQ(read_site(&byte), 1);
  }
  write_on_signal = 1;
  interrupt_read(SA_RESTART, 1);
  write_on_signal = 0;
  interrupt_read(0, -EINTR);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

// --- the text ---
static void call_some(void) {
  struct seen s;
  for (int i = 0; i < 100; i++) {
    observe(&s, 39, 0, 0x202);
    check_seen(&s, my_pid);
  }
}
CASE(text_is_protected_and_dropped) {
  char* page = (char*)((uintptr_t)observed_mov & -4096ul);
  call_some();
  CHECK_OK(mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC));
  call_some();
  CHECK_OK(mprotect(page, 8192, PROT_READ | PROT_EXEC));
  call_some();
  CHECK_OK(madvise(page, 8192, MADV_DONTNEED));
  call_some();
}

// What a thread executes is there again whenever it looks.
CASE(text_is_dropped_under_threads) {
  pthread_t threads[4];
  char* page = (char*)((uintptr_t)site_at(0) & -4096ul);
  static long wrong;
  stop = 0;
  for (int i = 0; i < 4; i++) REQUIRE(pthread_create(&threads[i], NULL, call_all, &wrong) == 0);
  // On a busy machine a turn may come after milliseconds.
  const int64_t enough = check_now_ns() + 2000000000;
  for (int i = 0; i < 2000 && (i < 20 || check_now_ns() < enough); i++) {
    CHECK_OK(madvise(page, 8192, MADV_DONTNEED));
    sched_yield();
  }
  stop = 1;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(wrong, 0);
}

CASE(the_file_is_unchanged) {
  call_some();
  int fd = open("/proc/self/exe", O_RDONLY);
  REQUIRE(fd >= 0);
  struct stat status;
  REQUIRE(fstat(fd, &status) == 0);
  const unsigned char* file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  REQUIRE(file != MAP_FAILED);
  // What follows the site is not changed in memory either: find it in the file by that.
  const unsigned char* found = memmem(file, (size_t)status.st_size, observed_syscall, 32);
  REQUIRE(found != NULL);
  CHECK(memcmp(found - 5, "\xb8\x27\0\0\0", 5) == 0);
  munmap((void*)file, (size_t)status.st_size);
  close(fd);
}

// Nothing that a program finds in its memory map, and does not know, is needed for its system calls to be right.
static long by_trap(void) { return statistic("syscalls.by_trap"); }  // 0 natively

// A program that is this one's chain(depth): its status.
static int run_chain(int depth) {
  char text[16];
  snprintf(text, sizeof text, "%d", depth);
  char* arguments[] = {"rewrite", "chain", text, NULL};
  pid_t child;
  int status;
  if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) != 0) return -1;
  return waitpid(child, &status, 0) == child ? status : -1;
}

// The calls of a program that runs beside others, as many as `depth` says.
static int chain(int depth) {
  if (depth > 0 && run_chain(depth - 1) != 0) return 2;
  for (int i = 0; i < 100; i++) site_at(0)();
  const long before = by_trap();
  for (int i = 0; i < 2000; i++) site_at(0)();
  return by_trap() - before < 1000 ? 0 : 1;
}

CASE(beside_other_programs) { CHECK_EQ(chain(8), 0); }

CASE(unknown_areas_are_unmapped) {
  call_some();
  FILE* maps = fopen("/proc/self/maps", "r");
  REQUIRE(maps != NULL);
  char line[512];
  unsigned long start[8], end[8];
  int count = 0;
  while (count < 8 && fgets(line, sizeof line, maps)) {
    if (strstr(line, "stubs]") && sscanf(line, "%lx-%lx", &start[count], &end[count]) == 2) count++;
  }
  fclose(maps);
  for (int i = 0; i < count; i++) CHECK_OK(munmap((void*)start[i], end[i] - start[i]));
  call_some();
  for (int i = 0; i < kSites; i++) CHECK_EQ(site_at(i)(), my_pid);
  // What is mapped there now is left alone: the stack that the child starts on.
  CHECK_EQ(run_chain(0), 0);
}

int main(int argc, char** argv) {
  my_pid = (long)getpid();
  if (argc == 3 && strcmp(argv[1], "chain") == 0) return chain(atoi(argv[2]));
  return check_main(argc, argv);
}
