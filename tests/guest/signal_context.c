// The context of a handler: the registers it is shown, changes that sigreturn takes over, and vector registers and
// flags that survive. rt_sigreturn(2), System V ABI (the red zone).
#include <immintrin.h>
#include <sys/ucontext.h>
#include <ucontext.h>

#include "check.h"

static volatile sig_atomic_t count;
static greg_t seen[NGREG];
static int change;

static void scribble(void) {
  // What a handler may do to every vector register.
  __asm__ volatile(
      "pcmpeqd %%xmm0,%%xmm0; movdqa %%xmm0,%%xmm1; movdqa %%xmm0,%%xmm7; movdqa %%xmm0,%%xmm8;"
      "movdqa %%xmm0,%%xmm15; fninit; fldpi; fldpi"
      :
      :
      : "xmm0", "xmm1", "xmm7", "xmm8", "xmm15");
}

static void on_signal(int number, siginfo_t* info, void* context) {
  (void)number, (void)info;
  ucontext_t* at = context;
  memcpy(seen, at->uc_mcontext.gregs, sizeof seen);
  scribble();
  if (change) {
    at->uc_mcontext.gregs[REG_RBX] = 0x1111;
    at->uc_mcontext.gregs[REG_R12] = 0x2222;
    at->uc_mcontext.gregs[REG_RIP] += 2;
  }
  count++;
}

static void install(int number) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  CHECK_OK(sigaction(number, &action, NULL));
  count = 0;
}

CASE(registers_are_shown_and_changed) {
  install(SIGILL);
  change = 1;
  register long r12 __asm__("r12") = 0x1212, r13 __asm__("r13") = 0x1313, r8 __asm__("r8") = 0x88,
                    r15 __asm__("r15") = 0x1515;
  long rbx = 0xbb, rdi = 0xd1, rsi = 0x51;
  __asm__ volatile("ud2"
                   : "+b"(rbx), "+D"(rdi), "+S"(rsi), "+r"(r12), "+r"(r13), "+r"(r8), "+r"(r15)
                   :
                   : "memory");
  change = 0;
  CHECK_EQ(seen[REG_RBX], 0xbb);
  CHECK_EQ(seen[REG_RDI], 0xd1);
  CHECK_EQ(seen[REG_RSI], 0x51);
  CHECK_EQ(seen[REG_R8], 0x88);
  CHECK_EQ(seen[REG_R12], 0x1212);
  CHECK_EQ(seen[REG_R13], 0x1313);
  CHECK_EQ(seen[REG_R15], 0x1515);
  CHECK_EQ(rbx, 0x1111);
  CHECK_EQ(r12, 0x2222);
  CHECK_EQ(r13, 0x1313);
  CHECK_EQ(seen[REG_CSGSFS] & 0xffff, 0x33);
}

static void* pester(void* thread) {
  while (count < 300 * check_scale()) {
    pthread_kill(*(pthread_t*)thread, SIGUSR1);
    check_sleep_ms(1);
  }
  return NULL;
}

// A loop over all general registers without a system call, its sums checked each round, while signals arrive.
CASE(general_registers_survive) {
  install(SIGUSR1);
  pthread_t self = pthread_self(), other;
  REQUIRE(pthread_create(&other, NULL, pester, &self) == 0);
  long bad = 0;
  while (count < 300 * check_scale()) {
    long failed;
    __asm__ volatile(
        "mov $1,%%rax; mov $2,%%rbx; mov $3,%%rcx; mov $4,%%rdx; mov $5,%%rsi; mov $6,%%rdi; mov "
        "$7,%%r8;"
        "mov $8,%%r9; mov $9,%%r10; mov $10,%%r11; mov $11,%%r12; mov $12,%%r13; mov $13,%%r14; "
        "mov $14,%%r15;"
        "movq $99,-8(%%rsp); movq $98,-128(%%rsp); movq $1000,%0; stc;"
        "1: jnc 2f; decq %0; jnz 1b;"  // dec leaves CF alone.
        "cmp $1,%%rax; jne 2f; cmp $2,%%rbx; jne 2f; cmp $3,%%rcx; jne 2f; cmp $4,%%rdx; jne 2f;"
        "cmp $5,%%rsi; jne 2f; cmp $6,%%rdi; jne 2f; cmp $7,%%r8; jne 2f; cmp $8,%%r9; jne 2f;"
        "cmp $9,%%r10; jne 2f; cmp $10,%%r11; jne 2f; cmp $11,%%r12; jne 2f; cmp $12,%%r13; jne 2f;"
        "cmp $13,%%r14; jne 2f; cmp $14,%%r15; jne 2f; cmpq $99,-8(%%rsp); jne 2f; cmpq "
        "$98,-128(%%rsp); jne 2f;"
        "movq $0,%0; jmp 3f; 2: movq $1,%0; 3:"
        : "=&m"(failed)
        :
        : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
          "r15", "memory", "cc");
    bad += failed;
  }
  pthread_join(other, NULL);
  CHECK_EQ(bad, 0);
}

__attribute__((target("avx"))) static long vectors_once(void) {
  unsigned char pattern[16][32] __attribute__((aligned(32)));
  for (int i = 0; i < 16; i++) memset(pattern[i], i + 1, 32);
  unsigned char back[16][32] __attribute__((aligned(32)));
  __asm__ volatile(
      "vmovdqa (%0),%%ymm0; vmovdqa 32(%0),%%ymm1; vmovdqa 224(%0),%%ymm7; vmovdqa 256(%0),%%ymm8;"
      "vmovdqa 480(%0),%%ymm15; mov $20000,%%ecx; 1: dec %%ecx; jnz 1b;"
      "vmovdqa %%ymm0,(%1); vmovdqa %%ymm1,32(%1); vmovdqa %%ymm7,224(%1); vmovdqa %%ymm8,256(%1);"
      "vmovdqa %%ymm15,480(%1); vzeroupper"
      :
      : "r"(pattern), "r"(back)
      : "rcx", "memory", "cc", "xmm0", "xmm1", "xmm7", "xmm8", "xmm15");
  long bad = 0;
  int used[] = {0, 1, 7, 8, 15};
  for (int i = 0; i < 5; i++) bad += memcmp(pattern[used[i]], back[used[i]], 32) != 0;
  return bad;
}

CASE(vector_registers_survive) {
  if (!__builtin_cpu_supports("avx")) return;
  install(SIGUSR1);
  pthread_t self = pthread_self(), other;
  REQUIRE(pthread_create(&other, NULL, pester, &self) == 0);
  long bad = 0;
  while (count < 300 * check_scale()) bad += vectors_once();
  pthread_join(other, NULL);
  CHECK_EQ(bad, 0);
}

CASE(float_state_survives_a_handler) {
  install(SIGUSR1);
  long double value = 0;
  unsigned short control = 0x27f;     // x87: double precision, no exceptions.
  unsigned mxcsr = 0x9fc0, back = 0;  // Flush to zero, denormals are zero.
  __asm__ volatile("fldcw %0" : : "m"(control));
  __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
  raise(SIGUSR1);
  unsigned short control_back = 0;
  __asm__ volatile("fnstcw %0" : "=m"(control_back));
  __asm__ volatile("stmxcsr %0" : "=m"(back));
  CHECK_EQ(control_back, 0x27f);
  CHECK_EQ(back & 0xffc0, 0x9fc0);
  control = 0x37f;
  mxcsr = 0x1f80;
  __asm__ volatile("fldcw %0" : : "m"(control));
  __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
  __asm__ volatile("fldpi" : "=t"(value));
  raise(SIGUSR1);
  CHECK(value > 3.14L && value < 3.15L);
}

static unsigned handler_mxcsr;
static unsigned short handler_control;
static void on_defaults(int number) {
  (void)number;
  __asm__ volatile("stmxcsr %0" : "=m"(handler_mxcsr));
  __asm__ volatile("fnstcw %0" : "=m"(handler_control));
}
CASE(handler_entry_state) {
  // The ABI: DF clear, the stack aligned so that (RSP+8) is a multiple of 16.
  struct sigaction action = {.sa_handler = on_defaults};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  CHECK_EQ(handler_control, 0x37f);
  CHECK_EQ(handler_mxcsr & 0xffc0, 0x1f80);
}

static void on_aligned(int number) {
  (void)number;
  char here[16] __attribute__((aligned(16)));
  __asm__ volatile("movaps %%xmm0,%0" : "=m"(here));
}
CASE(handler_stack_is_aligned) {
  struct sigaction action = {.sa_handler = on_aligned};
  sigaction(SIGUSR1, &action, NULL);
  for (volatile int i = 0; i < 8; i++) {
    volatile char* shift = __builtin_alloca(i * 8 + 1);
    shift[0] = 1;
    raise(SIGUSR1);
  }
}

CASE(contexts) {
  // swapcontext's cousins live on the same register layout.
  ucontext_t here;
  volatile int visits = 0;
  CHECK_OK(getcontext(&here));
  visits++;
  if (visits < 3) setcontext(&here);
  CHECK_EQ(visits, 3);
}

CHECK_MAIN
