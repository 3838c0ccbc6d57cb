// Instructions that need one page at two of its addresses: a ring of one page that is mapped twice, in which operands lie
// across the end; strings from one view to the other; text in one view with its data in the other. And that nobody sees
// how it is done: handlers find the program in its own text, faults are those of the instruction.
#include <immintrin.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#include "check.h"

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)

static unsigned char* ring;  // two views of one page, side by side

static void make_ring(void) {
  int fd = memfd_create("ring", 0);
  REQUIRE(fd >= 0 && ftruncate(fd, PAGE) == 0);
  ring = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(ring != MAP_FAILED);
  for (int i = 0; i < 2; i++)
    REQUIRE(mmap(ring + i * PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == ring + i * PAGE);
  close(fd);
  for (int i = 0; i < PAGE; i++) ring[i] = (unsigned char)(i * 7 + i / 256);
}

static void drop_ring(void) { CHECK_OK(munmap(ring, 2 * PAGE)); }

// What a program sees in the ring, byte by byte.
static void expect(const unsigned char* at, const void* wanted, size_t size) {
  for (size_t i = 0; i < size; i++)
    CHECK_EQ(ring[(at - ring + (long)i) % PAGE], ((const unsigned char*)wanted)[i]);
}

static uint64_t number_at(const unsigned char* at, unsigned size) {
  uint64_t number = 0;
  for (unsigned i = 0; i < size; i++) number |= (uint64_t)ring[(at - ring + i) % PAGE] << (8 * i);
  return number;
}

CASE(integers_of_all_sizes) {
  make_ring();
  for (int before = 1; before < 8; before++) {
    unsigned char* at = ring + PAGE - before;
    uint64_t number = 0, wanted = number_at(at, 8);
    asm volatile("movq (%1), %0" : "=r"(number) : "r"(at) : "memory");
    CHECK_EQ(number, wanted);
    asm volatile("movq %0, (%1)" : : "r"(~wanted), "r"(at) : "memory");
    CHECK_EQ(number_at(at, 8), ~wanted);
    if (before < 4) {
      asm volatile("movl $0x12345678, (%0)" : : "r"(at) : "memory");
      CHECK_EQ(number_at(at, 4), 0x12345678);
      asm volatile("addl $0x01010101, (%0)" : : "r"(at) : "memory");
      CHECK_EQ(number_at(at, 4), 0x13355779);
      unsigned carry = 0;
      asm volatile("cmpl $0x13355779, (%1); setz %b0" : "+r"(carry) : "r"(at) : "memory", "cc");
      CHECK_EQ(carry, 1);
      asm volatile("cmpl $0x13355780, (%1); setb %b0" : "+r"(carry) : "r"(at) : "memory", "cc");
      CHECK_EQ(carry, 1);
      asm volatile("shll $4, (%0); notl (%0); negl (%0)" : : "r"(at) : "memory", "cc");
      CHECK_EQ(number_at(at, 4), 0x33557791);
      int32_t product = 0;
      asm volatile("imull $3, (%1), %0" : "=r"(product) : "r"(at) : "memory", "cc");
      CHECK_EQ(product, (int32_t)(3 * 0x33557791u));
    }
    if (before == 1) {
      uint64_t wide = 0;
      asm volatile("movw $0x8765, (%1); movzwl (%1), %k0" : "=r"(wide) : "r"(at) : "memory");
      CHECK_EQ(wide, 0x8765);
      asm volatile("movswq (%1), %0" : "=r"(wide) : "r"(at) : "memory");
      CHECK_EQ(wide, 0xffffffffffff8765);
    }
  }
  drop_ring();
}

// However the address is made, no register changes.
CASE(ways_to_address) {
  make_ring();
  unsigned char* at = ring + PAGE - 3;
  const uint64_t wanted = number_at(at, 8);
  uint64_t number;
  register uint64_t r12 asm("r12") = (uint64_t)at;
  asm volatile("movq (%1), %0" : "=r"(number) : "r"(r12) : "memory");
  CHECK_EQ(number, wanted);
  register uint64_t r13 asm("r13") = (uint64_t)at - 100;
  asm volatile("movq 100(%1), %0" : "=r"(number) : "r"(r13) : "memory");
  CHECK_EQ(number, wanted);
  CHECK_EQ(r13, (uint64_t)at - 100);
  asm volatile("movq 0x1000(%1), %0" : "=r"(number) : "r"(at - 0x1000) : "memory");
  CHECK_EQ(number, wanted);
  register uint64_t r9 asm("r9") = 5;
  asm volatile("movq -8(%1, %2, 8), %0" : "=r"(number) : "r"(at - 32), "r"(r9) : "memory");
  CHECK_EQ(number, wanted);
  asm volatile("movq (, %1, 2), %0" : "=r"(number) : "r"(((uint64_t)at - 1) / 2) : "memory");
  CHECK_EQ(number, ((uint64_t)at & 1) == 0 ? number_at(at - 2, 8) : number_at(at - 1, 8));
  asm volatile("ds movq (%1), %0" : "=r"(number) : "r"(at) : "memory");
  CHECK_EQ(number, wanted);
  drop_ring();
}

CASE(vectors_and_floating_point) {
  make_ring();
  for (int before = 1; before < 16; before++) {
    unsigned char *at = ring + PAGE - before, seen[16];
    const __m128i all = _mm_loadu_si128((const __m128i*)at);
    _mm_storeu_si128((__m128i*)seen, all);
    expect(at, seen, 16);
    const __m128i other = _mm_add_epi8(all, _mm_set1_epi8((char)before));
    _mm_storeu_si128((__m128i*)at, other);
    _mm_storeu_si128((__m128i*)seen, other);
    expect(at, seen, 16);
  }
  unsigned char* at = ring + PAGE - 3;
  double number = 0;
  const double wanted = 1234.5;
  asm volatile("movsd %1, (%0)" : : "r"(at), "x"(wanted) : "memory");
  expect(at, &wanted, 8);
  asm volatile("addsd (%1), %0" : "+x"(number) : "r"(at) : "memory");
  CHECK_EQ(number == wanted, 1);
  long double extended = 0;
  asm volatile("fldl (%1); fldl (%1); faddp; fstpt (%1); fldt (%1)"
               : "=t"(extended)
               : "r"(at)
               : "memory");
  CHECK_EQ(extended == 2 * (long double)wanted, 1);
  drop_ring();
}

__attribute__((target("avx"))) static void wide_vectors(void) {
  for (int before = 1; before < 32; before++) {
    unsigned char *at = ring + PAGE - before, seen[32];
    __m256i all = _mm256_loadu_si256((const __m256i*)at);
    _mm256_storeu_si256((__m256i*)seen, all);
    expect(at, seen, 32);
    __m256 changed = _mm256_xor_ps(_mm256_castsi256_ps(all), _mm256_set1_ps(1.5f));
    _mm256_storeu_ps((float*)at, changed);
    _mm256_storeu_ps((float*)seen, changed);
    expect(at, seen, 32);
  }
}

__attribute__((target("avx512f"))) static void widest_vectors(void) {
  for (int before = 1; before < 64; before += 9) {
    unsigned char *at = ring + PAGE - before, seen[64];
    __m512i all = _mm512_loadu_si512(at);
    _mm512_storeu_si512(seen, all);
    expect(at, seen, 64);
    all = _mm512_xor_si512(all, _mm512_set1_epi32(before));
    _mm512_storeu_si512(at, all);
    _mm512_storeu_si512(seen, all);
    expect(at, seen, 64);
  }
}

CASE(wide_vectors) {
  make_ring();
  if (__builtin_cpu_supports("avx")) wide_vectors();
  if (__builtin_cpu_supports("avx512f")) widest_vectors();
  drop_ring();
}

static void copy_string(unsigned char* to, const unsigned char* from, size_t size) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

CASE(strings) {
  make_ring();
  unsigned char before[PAGE];
  memcpy(before, ring, PAGE);
  unsigned char *first = ring, *second = ring + PAGE;
  copy_string(second + 2000, first + 100, 900);
  expect(first + 2000, before + 100, 900);
  copy_string(first + 2000, second + 2000, 900);  // to where it is
  expect(first + 2000, before + 100, 900);
  // What overlaps by three bytes repeats them.
  copy_string(second + 3003, first + 3000, 500);
  for (int i = 0; i < 500; i++) CHECK_EQ(first[3003 + i], before[3000 + i % 3]);
  // Downwards, in words, across the end of the ring.
  memcpy(first, before, PAGE);
  unsigned char *to = second + 40, *from = first + 1000;
  size_t count = 10;
  asm volatile("std; rep movsq; cld" : "+D"(to), "+S"(from), "+c"(count) : : "memory", "cc");
  CHECK_EQ(to - second, 40 - 80);
  CHECK_EQ(from - first, 1000 - 80);
  for (int i = 0; i < 80; i++) CHECK_EQ(ring[(PAGE + 48 - 80 + i) % PAGE], before[1008 - 80 + i]);

  memcpy(first, before, PAGE);
  to = second + 500, from = first + 500, count = 300;
  int equal = 0;
  asm volatile("repe cmpsb; setz %b3"
               : "+D"(to), "+S"(from), "+c"(count), "+r"(equal)
               :
               : "memory", "cc");
  CHECK_EQ(equal, 1);
  CHECK_EQ(count, 0);
  to = second + 501, from = first + 500, count = 300;
  asm volatile("repe cmpsb; setb %b3"
               : "+D"(to), "+S"(from), "+c"(count), "+r"(equal)
               :
               : "memory", "cc");
  CHECK_EQ(count, 299);
  CHECK_EQ(equal, before[500] < before[501]);
  // One element across the end.
  to = ring + PAGE - 3;
  uint64_t number = 0x1122334455667788;
  asm volatile("stosq" : "+D"(to) : "a"(number) : "memory");
  CHECK_EQ(number_at(ring + PAGE - 3, 8), number);
  from = ring + PAGE - 3, number = 0;
  asm volatile("lodsl" : "+S"(from), "+a"(number) : : "memory");
  CHECK_EQ(number, 0x55667788);
  to = ring + PAGE - 1, count = 5;
  asm volatile("repne scasw; setz %b2"
               : "+D"(to), "+c"(count), "+r"(equal)
               : "a"(0x5566)
               : "memory", "cc");
  CHECK_EQ(equal, 1);
  CHECK_EQ(count, 4);
  drop_ring();
}

CASE(text_in_one_view_data_in_the_other) {
  int fd = memfd_create("code", 0);
  REQUIRE(fd >= 0 && ftruncate(fd, PAGE) == 0);
  unsigned char* data = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
  unsigned char* text = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  REQUIRE(data != MAP_FAILED && text != MAP_FAILED);
  // mov (%rdi),%eax; add $1,%eax; mov %eax,(%rdi); addl $2,(%rdi); mov (%rdi),%eax; ret
  const unsigned char body[] = {0x8b, 0x07, 0x83, 0xc0, 0x01, 0x89, 0x07,
                                0x83, 0x07, 0x02, 0x8b, 0x07, 0xc3};
  memcpy(data, body, sizeof body);
  int* counter = (int*)(data + 2048);
  int (*function)(int*) = (int (*)(int*))(void*)text;
  for (int i = 1; i < 40; i++) CHECK_EQ(function(counter), 3 * i);
  CHECK_EQ(*(int*)(text + 2048), 3 * 39);
  munmap(data, PAGE), munmap(text, PAGE);
  close(fd);
}

static unsigned (*add)(unsigned*);
static void* add_often(void* counter) {
  for (int i = 0; i < 2000; i++) add(counter);
  return NULL;
}

// Also where the text is in its way, what is atomic stays so; and operands relative to RIP are where they were.
CASE(atomics_with_text_in_the_other_view) {
  int fd = memfd_create("code", 0);
  REQUIRE(fd >= 0 && ftruncate(fd, PAGE) == 0);
  unsigned char* data = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
  unsigned char* text = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0);
  REQUIRE(data != MAP_FAILED && text != MAP_FAILED);
  // mov $1,%eax; lock xadd %eax,(%rdi); ret; and at 64: mov (%rdi),%eax; add 100(%rip),%eax; ret
  const unsigned char body[] = {0xb8, 1, 0, 0, 0, 0xf0, 0x0f, 0xc1, 0x07, 0xc3};
  const unsigned char other[] = {0x8b, 0x07, 0x03, 0x05, 100, 0, 0, 0, 0xc3};
  memcpy(data, body, sizeof body), memcpy(data + 64, other, sizeof other);
  unsigned* counter = (unsigned*)(data + 2048);
  add = (unsigned (*)(unsigned*))(void*)text;
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) REQUIRE(pthread_create(&threads[i], NULL, add_often, counter) == 0);
  for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
  CHECK_EQ(*counter, 4000);
  const unsigned number = 77;
  memcpy(data + 64 + 8 + 100, &number, sizeof number);
  add = (unsigned (*)(unsigned*))(void*)(text + 64);
  CHECK_EQ(add(counter), 4077);
  munmap(data, PAGE), munmap(text, PAGE);
  close(fd);
}

extern char __executable_start, etext;
static volatile int counting, handled, elsewhere;
static void on_timer(int number, siginfo_t* info, void* context) {
  (void)number, (void)info;
  const char* rip = (const char*)((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
  if (!counting) return;
  handled++;
  if (rip < &__executable_start || rip >= &etext) elsewhere++;
}

CASE(handlers_see_the_programs_own_text) {
  make_ring();
  struct sigaction action = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART}, old;
  CHECK_OK(sigaction(SIGALRM, &action, &old));
  const struct itimerval often = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
  unsigned char* at = ring + PAGE - 4;
  memset(at, 0, 8);
  CHECK_OK(setitimer(ITIMER_REAL, &often, NULL));
  uint64_t sum = 0;
  counting = 1;
  // All in this function, so that a handler that interrupts it finds it here.
  while (handled < 200) {
    asm volatile("addq $1, (%0)" : : "r"(at) : "memory", "cc");
    sum++;
  }
  counting = 0;
  CHECK_OK(setitimer(ITIMER_REAL, &never, NULL));
  CHECK_EQ(number_at(at, 8), sum);
  CHECK_EQ(elsewhere, 0);
  sigaction(SIGALRM, &old, NULL);
  drop_ring();
}

static volatile uint64_t faulted_at;
static void on_division(int number, siginfo_t* info, void* context) {
  (void)number;
  greg_t* registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  faulted_at = (uint64_t)registers[REG_RIP];
  CHECK_EQ((uint64_t)info->si_addr, faulted_at);
  registers[REG_RIP] += 2;  // divl (%rcx)
}

CASE(faults_are_the_instructions_own) {
  make_ring();
  struct sigaction action = {.sa_sigaction = on_division, .sa_flags = SA_SIGINFO}, old;
  CHECK_OK(sigaction(SIGFPE, &action, &old));
  unsigned char* at = ring + PAGE - 2;
  uint64_t where = 0;
  for (int i = 0; i < 10; i++) {
    faulted_at = 0;
    asm volatile("movl $0, (%%rcx); lea 1f(%%rip), %0; 1: divl (%%rcx)"
                 : "=&r"(where)
                 : "c"(at), "a"(1), "d"(0)
                 : "memory", "cc");
    CHECK_EQ(faulted_at, where);
    uint32_t quotient = 100, rest = 0;
    asm volatile("movl $7, (%2); divl (%2)"
                 : "+a"(quotient), "+d"(rest)
                 : "r"(at)
                 : "memory", "cc");
    CHECK_EQ(quotient, 14);
    CHECK_EQ(rest, 2);
  }
  sigaction(SIGFPE, &old, NULL);
  drop_ring();
}

static atomic_int stop;
static void* count_beside(void* argument) {
  volatile uint64_t* counter = argument;
  uint64_t rounds = 0;
  while (!atomic_load(&stop)) {
    *counter = *counter + 1;
    rounds++;
  }
  return (void*)rounds;
}

// What others write beside the operand stays.
CASE(other_threads_write_to_the_same_page) {
  make_ring();
  uint64_t* counter = (uint64_t*)(ring + 8);
  *counter = 0;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, count_beside, counter) == 0);
  unsigned char* at = ring + PAGE - 4;
  memset(at, 0, 8);
  enum { ROUNDS = 3000 };
  for (int i = 0; i < ROUNDS; i++) asm volatile("addq $1, (%0)" : : "r"(at) : "memory", "cc");
  atomic_store(&stop, 1);
  void* rounds = NULL;
  CHECK_EQ(pthread_join(thread, &rounds), 0);
  CHECK_EQ(number_at(at, 8), ROUNDS);
  CHECK_EQ(*counter, (uint64_t)rounds);
  drop_ring();
}

CHECK_MAIN
