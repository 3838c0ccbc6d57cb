// Vector and mask registers under preemption: several threads compute with all of them and compare, while a timer and
// each other take the processor away; then again with system calls and faults in between.
#include <cpuid.h>
#include <immintrin.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "check.h"

enum { kThreads = 6, kRounds = 400, kTicks = 20 };
static int bad;
static int with_calls;

static unsigned char pattern_of(int thread, int reg, int round) {
  return (unsigned char)(thread * 37 + reg * 11 + round);
}

// clang-format off: it does not come to rest on these.
#define LOAD(reg, width) "vmovdqu64 " #reg "*64(%0),%%" width #reg ";"
#define STORE(reg, width) "vmovdqu64 %%" width #reg "," #reg "*64(%1);"
#define EACH16(X, w)                                                                         \
  X(0, w)                                                                                    \
  X(1, w)                                                                                    \
  X(2, w) X(3, w) X(4, w) X(5, w) X(6, w) X(7, w) X(8, w) X(9, w) X(10, w) X(11, w) X(12, w) \
      X(13, w) X(14, w) X(15, w)
#define EACH16_HIGH(X, w)                                                                   \
  X(16, w)                                                                                  \
  X(17, w)                                                                                  \
  X(18, w) X(19, w) X(20, w) X(21, w) X(22, w) X(23, w) X(24, w) X(25, w) X(26, w) X(27, w) \
      X(28, w) X(29, w) X(30, w) X(31, w)
#define LOAD_Y(reg, w) "vmovdqu " #reg "*64(%0),%%ymm" #reg ";"
#define STORE_Y(reg, w) "vmovdqu %%ymm" #reg "," #reg "*64(%1);"
#define WORK "mov $30000,%%ecx; 1: dec %%ecx; jnz 1b;"
#define WORK_AND_CALL                                                                              \
  "mov $3000,%%ecx; 1: dec %%ecx; jnz 1b; mov $24,%%eax; syscall; mov $3000,%%ecx; 2: dec %%ecx; " \
  "jnz 2b;"
#define LOWS                                                                               \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
// clang-format on

__attribute__((target("avx512f,avx512bw"))) static void pass_avx512(const void* in, void* out,
                                                                    const void* masks,
                                                                    void* masks_out) {
#define BODY(work)                                                                                \
  __asm__ volatile(                                                                               \
      EACH16(LOAD, "zmm") EACH16_HIGH(                                                            \
          LOAD, "zmm") "kmovq (%2),%%k1; kmovq 8(%2),%%k2; kmovq 16(%2),%%k7;" work EACH16(STORE, \
                                                                                           "zmm") \
          EACH16_HIGH(STORE,                                                                      \
                      "zmm") "kmovq %%k1,(%3); kmovq %%k2,8(%3); kmovq %%k7,16(%3); vzeroupper"   \
      :                                                                                           \
      : "r"(in), "r"(out), "r"(masks), "r"(masks_out)                                             \
      : "rax", "rcx", "r11", "memory", "cc", LOWS, "k1", "k2", "k7", "xmm16", "xmm17", "xmm18",   \
        "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", \
        "xmm29", "xmm30", "xmm31")
  if (with_calls) {
    BODY(WORK_AND_CALL);
  } else {
    BODY(WORK);
  }
#undef BODY
}

__attribute__((target("avx"))) static void pass_avx(const void* in, void* out) {
  if (with_calls) {
    __asm__ volatile(EACH16(LOAD_Y, ) WORK_AND_CALL EACH16(STORE_Y, ) "vzeroupper"
                     :
                     : "r"(in), "r"(out)
                     : "rax", "rcx", "r11", "memory", "cc", LOWS);
  } else {
    __asm__ volatile(EACH16(LOAD_Y, ) WORK EACH16(STORE_Y, ) "vzeroupper"
                     :
                     : "r"(in), "r"(out)
                     : "rcx", "memory", "cc", LOWS);
  }
}

static volatile sig_atomic_t ticks;
static int ticks_wanted;  // The threads compute until so many have come.

static void on_tick(int number) {
  (void)number;
  ticks++;
  __m128i ones = _mm_set1_epi8(-1);
  __asm__ volatile("" : : "x"(ones));
}

static void* compute(void* id) {
  int me = (int)(intptr_t)id, registers = 16, width = 32;
  int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  if (avx512) registers = 32, width = 64;
  unsigned char in[32][64], out[32][64];
  for (int round = 0; round < kRounds * check_scale() || ticks < ticks_wanted; round++) {
    for (int i = 0; i < registers; i++) memset(in[i], pattern_of(me, i, round), 64);
    memset(out, 0, sizeof out);
    uint64_t masks[3] = {(uint64_t)round * 0x0101010101010101, ~(uint64_t)round,
                         (uint64_t)me << 40 | (uint64_t)round};
    uint64_t masks_out[3] = {0};
    if (avx512) {
      pass_avx512(in, out, masks, masks_out);
    } else {
      pass_avx(in, out);
    }
    int wrong = avx512 && memcmp(masks, masks_out, sizeof masks) != 0;
    for (int i = 0; i < registers; i++) wrong += memcmp(in[i], out[i], width) != 0;
    if (with_calls && round % 16 == 0) {
      // A page fault between two rounds, answered by fresh memory.
      char* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      page[5] = 1;
      munmap(page, 4096);
    }
    if (wrong) __atomic_add_fetch(&bad, wrong, __ATOMIC_SEQ_CST);
  }
  return NULL;
}

static void run_threads(void) {
  pthread_t threads[kThreads];
  bad = 0;
  for (intptr_t i = 0; i < kThreads; i++)
    REQUIRE(pthread_create(&threads[i], NULL, compute, (void*)i) == 0);
  for (int i = 0; i < kThreads; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(bad, 0);
}

CASE(preempted) {
  if (!__builtin_cpu_supports("avx")) return;
  run_threads();
}

CASE(with_system_calls_and_faults) {
  if (!__builtin_cpu_supports("avx")) return;
  with_calls = 1;
  run_threads();
  with_calls = 0;
}

CASE(with_a_timer_signal) {
  if (!__builtin_cpu_supports("avx")) return;
  struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval every = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
  ticks_wanted = kTicks;
  setitimer(ITIMER_REAL, &every, NULL);
  run_threads();
  setitimer(ITIMER_REAL, &off, NULL);
  CHECK(ticks >= kTicks);
}

CASE(xstate_size_is_told) {
  // CPUID leaf 0xD: what XGETBV says is enabled fits the size that a program would allocate.
  unsigned a, b, c, d;
  if (!__get_cpuid_count(0xd, 0, &a, &b, &c, &d)) return;
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  CHECK((low & 3) == 3);
  CHECK(b >= 576 && b <= c);
  CHECK_EQ(low & ~a, 0);
}

CHECK_MAIN
