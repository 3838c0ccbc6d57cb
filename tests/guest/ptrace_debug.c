// ptrace(2): debug registers: watchpoints and breakpoints that are no int3.
#include <pthread.h>

#include "tracee.h"

enum { EXECUTE = 0, WRITE = 1, IO = 2, ACCESS = 3 };
enum { LENGTH_1 = 0, LENGTH_2 = 1, LENGTH_8 = 2, LENGTH_4 = 3 };
#define STATUS 6
#define CONTROL 7
#define STATUS_ONES 0xffff0ff0ul
#define RESUME_FLAG 0x10000

static volatile char area[256] __attribute__((aligned(64)));

static unsigned long offset_of(int number) {
  return offsetof(struct user, u_debugreg) + 8 * (unsigned long)number;
}
static long set_debug(pid_t pid, int number, unsigned long value) {
  return trace(PTRACE_POKEUSER, pid, offset_of(number), value);
}
static unsigned long get_debug(pid_t pid, int number) {
  unsigned long value = ~0ul;
  CHECK_OK(trace(PTRACE_PEEKUSER, pid, offset_of(number), (unsigned long)&value));
  return value;
}
static unsigned long enabled(int slot, int type, int length) {
  return 1ul << 2 * slot | (unsigned long)(type | length << 2) << (16 + 4 * slot);
}
static void watch(pid_t pid, int type, int length, volatile void* where) {
  CHECK_OK(set_debug(pid, CONTROL, 0));
  CHECK_OK(set_debug(pid, 0, 0));
  CHECK_OK(set_debug(pid, CONTROL, enabled(0, type, length) & ~1ul));
  CHECK_OK(set_debug(pid, 0, (unsigned long)where));
  CHECK_OK(set_debug(pid, CONTROL, enabled(0, type, length)));
}

// The next stop, which debug registers make: which of them.
static unsigned long hit(pid_t pid) {
  siginfo_t info;
  go(pid, 0);
  REQUIRE(stop_of(pid) == SIGTRAP);
  CHECK_OK(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
  CHECK_EQ(info.si_code, TRAP_HWBKPT);
  CHECK_EQ((unsigned long)info.si_addr, registers_of(pid).rip);
  const unsigned long status = get_debug(pid, STATUS);
  CHECK_EQ(status & STATUS_ONES, STATUS_ONES);
  return status & ~STATUS_ONES;
}

CASE(values) {
  pid_t pid = tracee(return_five, 0);
  for (int i = 0; i < 8; i++) CHECK_EQ(get_debug(pid, i), i == STATUS ? STATUS_ONES : 0);
  CHECK_ERRNO(set_debug(pid, 4, 0), EIO);
  CHECK_ERRNO(set_debug(pid, 5, 1), EIO);
  const unsigned long outside[] = {0x7ffffffff000, 1ul << 63, -8ul};
  for (int i = 0; i < 3; i++) CHECK_ERRNO(set_debug(pid, 0, outside[i]), EINVAL);
  CHECK_OK(set_debug(pid, 0, 0x7fffffffeff8));
  CHECK_OK(set_debug(pid, 0, (unsigned long)area + 3));
  CHECK_EQ(get_debug(pid, 0), (unsigned long)area + 3);
  const int lengths[] = {LENGTH_2, LENGTH_4, LENGTH_8};
  for (int i = 0; i < 3; i++)
    CHECK_ERRNO(set_debug(pid, CONTROL, enabled(0, WRITE, lengths[i])), EINVAL);
  CHECK_EQ(get_debug(pid, CONTROL), 0);
  CHECK_ERRNO(set_debug(pid, CONTROL, enabled(0, IO, LENGTH_1)), EINVAL);
  CHECK_ERRNO(set_debug(pid, CONTROL, enabled(0, EXECUTE, LENGTH_2)), EINVAL);
  CHECK_ERRNO(set_debug(pid, CONTROL, enabled(0, IO, LENGTH_1) & ~1ul), EINVAL);
  CHECK_OK(set_debug(pid, CONTROL, enabled(3, IO, LENGTH_1) & ~0x40ul));
  CHECK_OK(set_debug(pid, CONTROL, enabled(0, EXECUTE, LENGTH_1)));
  CHECK_OK(set_debug(pid, 0, (unsigned long)area + 8));
  // Local or global, and what has no meaning stays as it is.
  const unsigned long value = (enabled(0, ACCESS, LENGTH_8) ^ 3) | 0xabcd00000000fd00;
  CHECK_OK(set_debug(pid, CONTROL, value));
  CHECK_EQ(get_debug(pid, CONTROL), value);
  CHECK_ERRNO(set_debug(pid, 0, (unsigned long)area + 12), EINVAL);
  CHECK_EQ(get_debug(pid, 0), (unsigned long)area + 8);
  CHECK_OK(set_debug(pid, STATUS, 0x1234));
  CHECK_EQ(get_debug(pid, STATUS), 0x1234);
  CHECK_OK(set_debug(pid, CONTROL, enabled(2, WRITE, LENGTH_8)));
  CHECK_EQ(get_debug(pid, 2), 0);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 5 << 8);
}

// --- one size after the other ---

static int write_bytes(void) {
  for (int i = 0; i < 32; i++) area[i] = 0;
  *(volatile long*)(area + 8) = 0;
  *(volatile long*)(area + 5) = 1;
  return area[8];
}

CASE(writes_of_each_size) {
  const int lengths[] = {LENGTH_1, LENGTH_2, LENGTH_4, LENGTH_8}, sizes[] = {1, 2, 4, 8};
  for (int i = 0; i < 4; i++) {
    pid_t pid = tracee(write_bytes, 0);
    watch(pid, WRITE, lengths[i], area + 8);
    for (int j = 0; j < sizes[i] + 2; j++) CHECK_EQ(hit(pid), 1);
    go(pid, 0);
    CHECK_EQ(end_of(pid), 0);
  }
}

static int read_and_write(void) {
  int sum = area[8];
  area[7] = area[9] = 1;
  sum += *(volatile int*)(area + 6);
  area[8] = 2;
  return sum & 1;
}

CASE(reads) {
  pid_t pid = tracee(read_and_write, 0);
  watch(pid, ACCESS, LENGTH_1, area + 8);
  for (int i = 0; i < 3; i++) CHECK_EQ(hit(pid), 1);
  long word = 0;
  CHECK_OK(trace(PTRACE_PEEKDATA, pid, (unsigned long)area + 8, (unsigned long)&word));
  CHECK_EQ(word & 0xff, 2);  // after the access
  go(pid, 0);
  CHECK_EQ(end_of(pid), 0);
}

// --- breakpoints ---

__attribute__((noinline)) static int called(int n) {
  __asm__ volatile("" ::: "memory");
  return n + 1;
}
static int call_three_times(void) { return called(1) + called(2) + called(3); }

CASE(breakpoints) {
  pid_t pid = tracee(call_three_times, 0);
  watch(pid, EXECUTE, LENGTH_1, (void*)called);
  for (int i = 1; i <= 2; i++) {
    CHECK_EQ(hit(pid), 1);
    const struct user_regs_struct registers = registers_of(pid);
    CHECK_EQ(registers.rip, (unsigned long)called);
    CHECK_EQ(registers.rdi, i);
    CHECK(registers.eflags & RESUME_FLAG);
  }
  // RF: not before this instruction, which the tracer may set and take away.
  CHECK_OK(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.eflags),
                 registers_of(pid).eflags & ~(unsigned long)RESUME_FLAG));
  CHECK_EQ(hit(pid), 1);
  CHECK_EQ(registers_of(pid).rdi, 2);
  CHECK_OK(trace(PTRACE_SINGLESTEP, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGTRAP);
  CHECK_EQ(registers_of(pid).eflags & RESUME_FLAG, 0);
  CHECK_EQ(get_debug(pid, STATUS), STATUS_ONES | 0x4000);
  CHECK_OK(set_debug(pid, CONTROL, 0));
  go(pid, 0);
  CHECK_EQ(end_of(pid), 9 << 8);
}

// --- all kinds of instructions ---

extern char touch_start[], touch_end[];
__asm__(
    ".text\ntouch_start:\n"
    "  push %rbp\n push %rbx\n push %r12\n mov %rdi, %rbx\n xor %eax, %eax\n mov $1, %edx\n"
    // integers
    "  mov %al, (%rbx)\n mov %eax, 8(%rbx)\n mov %rax, -4(%rbx)\n mov 16(%rbx), %al\n"
    "  movl $7, (%rbx)\n add %edx, (%rbx)\n cmp %edx, (%rbx)\n cmp %edx, 16(%rbx)\n"
    "  add 16(%rbx), %eax\n testb $1, 19(%rbx)\n testb $1, 20(%rbx)\n lea 16(%rbx), %rcx\n"
    "  xchg %eax, (%rbx)\n xadd %eax, 4(%rbx)\n lock cmpxchg %edx, (%rbx)\n incw 6(%rbx)\n"
    "  notb 8(%rbx)\n negb 33(%rbx)\n imul 16(%rbx), %eax\n mulb 16(%rbx)\n shll 32(%rbx)\n"
    "  shrb $2, 34(%rbx)\n sete 33(%rbx)\n cmove 16(%rbx), %eax\n movzwl 15(%rbx), %eax\n"
    "  movsbl 41(%rbx), %eax\n movslq 18(%rbx), %rax\n btl $3, 16(%rbx)\n btsl $3, (%rbx)\n"
    "  cmpw $5, 40(%rbx)\n orb $0, 33(%rbx)\n andl $-1, 30(%rbx)\n shld $3, %eax, 16(%rbx)\n"
    "  nopl 16(%rbx)\n prefetcht0 16(%rbx)\n cmpxchg8b (%rbx)\n bswap %eax\n"
    // indexes and displacements
    "  mov $4, %ecx\n mov (%rbx,%rcx,4), %eax\n movb $3, 32(%rbx,%rcx)\n movb $3, "
    "29(%rbx,%rcx)\n"
    "  mov %rbx, %r12\n movb $3, (%r12)\n movb $3, 33(%r12,%rcx,8)\n"
    // the stack
    "  mov %rsp, %rbp\n lea 8(%rbx), %rsp\n push $5\n push %rbx\n pop %rax\n lea 48(%rbx), "
    "%rsp\n"
    "  pushq 16(%rbx)\n pop %rax\n lea 8(%rbx), %rsp\n call 1f\n1: lea 24(%rbx), %rsp\n pushf\n "
    "popf\n"
    "  mov %rbp, %rsp\n"
    // strings; REP is one step here, so each has its accesses at its end
    "  lea 15(%rbx), %rsi\n lea 32(%rbx), %rdi\n mov $2, %ecx\n cld\n rep movsb\n lodsb\n lodsl\n"
    "  lea 26(%rbx), %rdi\n mov $8, %ecx\n mov $1, %al\n rep stosb\n stosb\n"
    "  lea 34(%rbx), %rdi\n mov $2, %ecx\n std\n rep stosb\n cld\n"
    "  lea 9(%rbx), %rdi\n mov $16, %ecx\n movb $9, 14(%rbx)\n mov $9, %al\n repne scasb\n"
    "  mov $0, %ecx\n lea (%rbx), %rdi\n rep stosb\n"
    // x87, SSE
    "  fildl 16(%rbx)\n fstpl 26(%rbx)\n flds 16(%rbx)\n fistpl 40(%rbx)\n"
    "  fldl 8(%rbx)\n fstpt 24(%rbx)\n fnstcw 41(%rbx)\n fldcw 41(%rbx)\n"
    "  pxor %xmm0, %xmm0\n movdqu %xmm0, (%rbx)\n movdqu 17(%rbx), %xmm1\n movd %xmm0, 30(%rbx)\n"
    "  movss %xmm0, 29(%rbx)\n movsd %xmm0, 29(%rbx)\n movups 1(%rbx), %xmm1\n movq 16(%rbx), "
    "%xmm1\n"
    "  movlps %xmm0, -7(%rbx)\n movhps %xmm0, -8(%rbx)\n movq %xmm0, 34(%rbx)\n movnti %eax, "
    "30(%rbx)\n"
    "  paddb 16(%rbx), %xmm0\n addss 12(%rbx), %xmm0\n addss 13(%rbx), %xmm0\n cvtsi2sdl 16(%rbx), "
    "%xmm0\n"
    "  stmxcsr 32(%rbx)\n ldmxcsr 32(%rbx)\n pextrw $0, %xmm0, %eax\n pinsrw $1, 19(%rbx), %xmm0\n"
    "  movdqa %xmm0, 32(%rbx)\n ucomiss 13(%rbx), %xmm0\n cvtps2pd 40(%rbx), %xmm0\n"
    // both at once, and nothing
    "  movdqu 16(%rbx), %xmm0\n movdqu %xmm0, 33(%rbx)\n mov 64(%rbx), %eax\n mov %eax, "
    "64(%rbx)\n"
    "  pop %r12\n pop %rbx\n pop %rbp\n ret\n"
    "touch_end:\n");

static int touch(void) {
  ((void (*)(volatile char*))touch_start)(area);
  return 9;
}

// As above, for what not every processor has.
extern char vector_start[];
__asm__(
    ".text\nvector_start:\n"
    "  vpxor %xmm0, %xmm0, %xmm0\n vmovdqu %ymm0, -24(%rdi)\n vmovdqu %ymm0, -32(%rdi)\n"
    "  vmovdqu -15(%rdi), %ymm1\n vmovdqu -16(%rdi), %ymm1\n vmovd %xmm0, 30(%rdi)\n"
    "  vmovss %xmm0, 29(%rdi)\n vpaddb 17(%rdi), %ymm0, %ymm1\n mov $2, %eax\n"
    "  vmovups %xmm0, 18(%rdi,%rax,8)\n mov %rdi, %r9\n mov $3, %r10d\n vmovsd %xmm0, "
    "9(%r9,%r10,8)\n"
    "  vzeroupper\n ret\n");
static int touch_with_vectors(void) {
  if (__builtin_cpu_supports("avx2")) ((void (*)(volatile char*))vector_start)(area);
  return 9;
}

static void watch_four(pid_t pid) {
  const int at[] = {0, 16, 33, 40};
  for (int i = 0; i < 4; i++) CHECK_OK(set_debug(pid, i, (unsigned long)area + at[i]));
  CHECK_OK(set_debug(pid, CONTROL,
                     enabled(0, WRITE, LENGTH_8) | enabled(1, ACCESS, LENGTH_4) |
                         enabled(2, WRITE, LENGTH_1) | enabled(3, ACCESS, LENGTH_2)));
}

static void show_hits(int (*body)(void), const char* start) {
  pid_t pid = tracee(body, 0);
  watch_four(pid);
  int status;
  while (1) {
    go(pid, 0);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (!WIFSTOPPED(status)) break;
    const struct user_regs_struct registers = registers_of(pid);
    printf("  +%lx: %lx\n", (unsigned long)registers.rip - (unsigned long)start,
           get_debug(pid, STATUS) & 15);
  }
  CHECK_EQ(status, 9 << 8);
}

CASE(accesses) {
  show_hits(touch, touch_start);
  show_hits(touch_with_vectors, vector_start);
}

// --- what does not count, and what does besides ---

static int receive(void) {
  int pipes[2];
  if (pipe(pipes) != 0 || write(pipes[1], "x", 1) != 1) return 1;
  area[0] = 1;
  if (read(pipes[0], (void*)(area + 8), 1) != 1) return 1;
  area[8] = 2;
  return 7;
}

CASE(system_calls_do_not_count) {
  pid_t pid = tracee(receive, 0);
  watch(pid, WRITE, LENGTH_8, area + 8);
  CHECK_EQ(hit(pid), 1);
  long word = 0;
  CHECK_OK(trace(PTRACE_PEEKDATA, pid, (unsigned long)area + 8, (unsigned long)&word));
  CHECK_EQ(word, 2);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 7 << 8);
}

static void write_in_handler(int number) { area[8] = (char)number; }
static int raise_for_handler(void) {
  signal(SIGUSR1, write_in_handler);
  raise(SIGUSR1);
  return area[8] == SIGUSR1 ? 3 : 4;
}

CASE(handlers_count) {
  pid_t pid = tracee(raise_for_handler, 0);
  watch(pid, WRITE, LENGTH_1, area + 8);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGUSR1);
  CHECK_OK(trace(PTRACE_CONT, pid, 0, SIGUSR1));
  CHECK_EQ(stop_of(pid), SIGTRAP);
  CHECK_EQ(get_debug(pid, STATUS), STATUS_ONES | 1);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 3 << 8);
}

CASE(steps_and_watchpoints) {
  pid_t pid = tracee(write_bytes, 0);
  watch(pid, WRITE, LENGTH_1, area + 8);
  unsigned long status = 0;
  siginfo_t info = {};
  for (int i = 0; i < 5000 && !(status & 1); i++) {
    CHECK_OK(trace(PTRACE_SINGLESTEP, pid, 0, 0));
    REQUIRE(stop_of(pid) == SIGTRAP);
    status = get_debug(pid, STATUS);
    CHECK_OK(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
    CHECK_EQ(info.si_code, TRAP_TRACE);
    CHECK_EQ(status & ~1ul, STATUS_ONES | 0x4000);
  }
  CHECK_EQ(status, STATUS_ONES | 0x4001);
  CHECK_EQ(hit(pid), 1);
  CHECK_OK(set_debug(pid, CONTROL, 0));
  go(pid, 0);
  CHECK_EQ(end_of(pid), 0);
}

static void* write_in_thread(void* ignored) {
  area[8] = 1;
  return ignored;
}
static int write_in_both(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, write_in_thread, NULL);
  pthread_join(thread, NULL);
  area[8] = 2;
  pid_t child = fork();
  if (child == 0) {
    area[8] = 3;
    _exit(8);
  }
  int status;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

CASE(for_one_thread_alone) {
  pid_t pid = tracee(write_in_both, 0);
  watch(pid, WRITE, LENGTH_1, area + 8);
  CHECK_EQ(hit(pid), 1);
  long word = 0;
  CHECK_OK(trace(PTRACE_PEEKDATA, pid, (unsigned long)area + 8, (unsigned long)&word));
  CHECK_EQ(word & 0xff, 2);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGCHLD);
  CHECK_OK(trace(PTRACE_CONT, pid, 0, SIGCHLD));
  CHECK_EQ(end_of(pid), 8 << 8);
}

// Threads in the same text, each with watchpoints.
enum { THREADS = 3, ROUNDS = 100 };
static volatile long sums[THREADS];
__attribute__((noinline)) static void add_up(volatile long* sum) {
  for (int i = 1; i <= ROUNDS; i++) *sum += i;
}
static void* add_in_thread(void* sum) {
  add_up(sum);
  return NULL;
}
static int add_in_all(void) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    pthread_create(&threads[i], NULL, add_in_thread, (void*)&sums[i]);
  int good = 0;
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    good += sums[i] == ROUNDS * (ROUNDS + 1) / 2;
  }
  return good;
}

CASE(threads_in_the_same_text) {
  pid_t pid = tracee(add_in_all, PTRACE_O_TRACECLONE), threads[THREADS];
  int hits[THREADS] = {}, started = 0, status = 0;
  go(pid, 0);
  while (1) {
    const pid_t found = waitpid(-1, &status, __WALL);
    REQUIRE(found > 0);
    if (!WIFSTOPPED(status)) {
      if (found == pid) break;
      continue;
    }
    int thread = 0;
    while (thread < started && threads[thread] != found) thread++;
    const int what = status >> 8;
    if (thread < started) {
      CHECK_EQ(what, SIGTRAP);
      CHECK((get_debug(found, STATUS) & ((1 << THREADS) - 1)) != 0);
      hits[thread]++;
    } else if (found != pid) {
      CHECK_EQ(what, SIGSTOP);
      REQUIRE(started < THREADS);
      unsigned long control = 0;
      for (int i = 0; i < THREADS; i++) {
        CHECK_OK(set_debug(found, i, (unsigned long)&sums[i]));
        control |= enabled(i, WRITE, LENGTH_8);
      }
      CHECK_OK(set_debug(found, CONTROL, control));
      threads[started++] = found;
    }
    go(found, 0);
  }
  CHECK_EQ(status, THREADS << 8);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(hits[i], ROUNDS);
}

static int execute_again(void) {
  execl("/proc/self/exe", "ptrace_debug", "nothing", NULL);
  return 1;
}

CASE(clone_and_exec_start_without) {
  pid_t pid = tracee(write_in_both, PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE);
  watch(pid, WRITE, LENGTH_1, area + 200);
  CHECK_OK(set_debug(pid, STATUS, 0x1234));
  for (int i = 0; i < 2; i++) {
    go(pid, 0);
    CHECK_EQ(stop_of(pid), SIGTRAP | (i == 0 ? PTRACE_EVENT_CLONE : PTRACE_EVENT_FORK) << 8);
    unsigned long child = 0;
    CHECK_OK(trace(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&child));
    CHECK_EQ(stop_of((pid_t)child), SIGSTOP);
    CHECK_EQ(get_debug((pid_t)child, 0), 0);
    CHECK_EQ(get_debug((pid_t)child, CONTROL), enabled(0, WRITE, LENGTH_1));
    CHECK_EQ(get_debug((pid_t)child, STATUS), 0x1234);
    CHECK_OK(trace(PTRACE_DETACH, (pid_t)child, 0, 0));
  }
  CHECK_EQ(get_debug(pid, 0), (unsigned long)area + 200);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGCHLD);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 8 << 8);
  pid = tracee(execute_again, PTRACE_O_TRACEEXEC);
  watch(pid, WRITE, LENGTH_1, area + 200);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_EXEC << 8);
  CHECK_EQ(get_debug(pid, 0), 0);
  CHECK_EQ(get_debug(pid, CONTROL), 0);
  CHECK_OK(trace(PTRACE_KILL, pid, 0, 0));
  CHECK_EQ(WTERMSIG(end_of(pid)), SIGKILL);
}

CHECK_MAIN
