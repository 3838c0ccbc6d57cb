// Fills every register with a pattern, does something that leaves the enclave, and looks whether everything is as it
// was: general registers, flags, x87, MXCSR, SSE, AVX, AVX-512. The hostile runtime looks for the pattern meanwhile.
//
//   poison ROUNDS        two threads, each round every operation
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

// hostile.h looks for 0xe7c0ffee. Computed: the host may see this file.
static volatile const uint64_t inverse_pattern = ~0xd5c3e7c0ffee0000u;
#define PATTERN (~inverse_pattern)

struct state {
  uint64_t expected[16];  // rax rbx rcx rdx rsi rdi rbp - r8 ... r15: what to load
  uint64_t found[16];
  uint64_t flags, flags_found;
  uint64_t features;
  uint8_t before[4096] __attribute__((aligned(64)));
  uint8_t after[4096] __attribute__((aligned(64)));
};

#define ALIGNED_STACK "andq $-64, %rsp\n"
// void NAME(struct state*): loads, does BODY, stores.
#define OPERATION(NAME, BODY)                                                                    \
  void NAME(struct state*);                                                                      \
  asm(".text\n.globl " #NAME "\n" #NAME                                                          \
      ":\n"                                                                                      \
      "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"                       \
      "mov %rsp, %rax\n" ALIGNED_STACK                                                           \
      "push %rax\npush %rdi\n"                                                                   \
      "mov %rdi, %r15\n"                                                                         \
      "mov 272(%r15), %rax\nmov %rax, %rdx\nshr $32, %rdx\nxrstor64 320(%r15)\n"                 \
      "mov 272(%r15), %rax\nmov %rax, %rdx\nshr $32, %rdx\nxsave64 320(%r15)\n"                  \
      "pushq 256(%r15)\npopfq\n"                                                                 \
      "mov 0(%r15), %rax\nmov 8(%r15), %rbx\nmov 16(%r15), %rcx\nmov 24(%r15), %rdx\nmov "       \
      "32(%r15), %rsi\n"                                                                         \
      "mov 40(%r15), %rdi\nmov 48(%r15), %rbp\nmov 64(%r15), %r8\nmov 72(%r15), %r9\nmov "       \
      "80(%r15), %r10\n"                                                                         \
      "mov 88(%r15), %r11\nmov 96(%r15), %r12\nmov 104(%r15), %r13\nmov 112(%r15), %r14\nmov "   \
      "120(%r15), %r15\n" BODY                                                                   \
      "\nxchg %r15, (%rsp)\n"                                                                    \
      "mov %rax, 128(%r15)\nmov %rbx, 136(%r15)\nmov %rcx, 144(%r15)\nmov %rdx, 152(%r15)\nmov " \
      "%rsi, 160(%r15)\n"                                                                        \
      "mov %rdi, 168(%r15)\nmov %rbp, 176(%r15)\nmov %r8, 192(%r15)\nmov %r9, 200(%r15)\nmov "   \
      "%r10, 208(%r15)\n"                                                                        \
      "mov %r11, 216(%r15)\nmov %r12, 224(%r15)\nmov %r13, 232(%r15)\nmov %r14, 240(%r15)\n"     \
      "pop %rax\nmov %rax, 248(%r15)\n"                                                          \
      "pushfq\npopq 264(%r15)\n"                                                                 \
      "pushq $0x202\npopfq\n"                                                                    \
      "mov 272(%r15), %rax\nmov %rax, %rdx\nshr $32, %rdx\nxsave64 4416(%r15)\n"                 \
      "fninit\nvzeroupper\n"                                                                     \
      "pop %rsp\npop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n")
_Static_assert(__builtin_offsetof(struct state, found) == 128 &&
                   __builtin_offsetof(struct state, flags) == 256 &&
                   __builtin_offsetof(struct state, features) == 272 &&
                   __builtin_offsetof(struct state, before) == 320 &&
                   __builtin_offsetof(struct state, after) == 4416,
               "the assembly's offsets");

OPERATION(do_syscall, "syscall");
OPERATION(do_ud2, "ud2");
OPERATION(do_int3, "int3");
OPERATION(do_load, "movq (%rcx), %rcx");  // three bytes; faults, or grows memory
OPERATION(do_store, "movq %rbx, (%rcx)");
OPERATION(do_spin, "1: sub $1, %rcx\njnz 1b");

static int failures;
static pthread_mutex_t print_lock = PTHREAD_MUTEX_INITIALIZER;

static void skip(int signal, siginfo_t* info, void* context) {
  (void)info;
  greg_t* registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  if (signal == SIGILL) registers[REG_RIP] += 2;
  if (signal == SIGSEGV) registers[REG_RIP] += 3;
}

static void fail(const char* what, const char* detail, int index) {
  pthread_mutex_lock(&print_lock);
  if (failures++ < 20) printf("%s: %s %d\n", what, detail, index);
  fflush(stdout);
  pthread_mutex_unlock(&print_lock);
}

#define AC 0x40000
#define DF 0x400
#define ID 0x200000

// Flags that survive: a fault handler of C code may not have AC set natively, so AC only where no signal comes.
static void run(struct state* s, const char* what, void (*operation)(struct state*), uint64_t salt,
                uint64_t flags, unsigned given) {
  for (int i = 0; i < 16; ++i) {
    if ((given >> i & 1) == 0) s->expected[i] = PATTERN + salt + (unsigned)i;
  }
  memset(s->before, 0, sizeof s->before);
  for (int i = 0; i < 4096; i += 8) *(uint64_t*)(s->before + i) = PATTERN + salt;
  for (int i = 0; i < 8; ++i) *(uint64_t*)(s->before + 32 + 16 * i + 8) = 0x3fff;  // an exponent
  memset(s->before + 464, 0, 48 + 64);
  *(uint64_t*)(s->before + 512) = s->features;
  *(uint16_t*)(s->before + 0) = 0x27f;  // x87: 53 bits
  *(uint16_t*)(s->before + 2) = 0;
  *(uint8_t*)(s->before + 4) = 0xff;  // all registers in use
  *(uint8_t*)(s->before + 5) = 0;
  *(uint16_t*)(s->before + 6) = 0;
  memset(s->before + 8, 0, 16);
  *(uint32_t*)(s->before + 24) = 0xffa0;  // MXCSR: masked, FZ, towards zero
  *(uint32_t*)(s->before + 28) = 0xffff;
  memcpy(s->after, s->before, sizeof s->after);  // what no component covers
  s->flags = 0x202 | flags;
  operation(s);
  for (int i = 0; i < 16; ++i) {
    if (i == 0 || i == 2 || i == 7 || i == 11) continue;  // rax, rcx, rsp, r11
    if (s->found[i] != s->expected[i]) fail(what, "general register", i);
  }
  if ((operation == do_syscall || operation == do_ud2) &&
      ((s->flags ^ s->flags_found) & (AC | DF | ID | 0x8d5)) != 0) {
    fail(what, "flags", (int)(s->flags ^ s->flags_found));
  }
  // XSTATE_BV says what is in use, which may differ; the rest is the program's.
  memset(s->before + 512, 0, 64);
  memset(s->after + 512, 0, 64);
  for (int i = 0; i < 2696; ++i) {
    if (s->before[i] != s->after[i] && (i < 416 || i >= 576)) {
      fail(what, "vector state, byte", i);
      break;
    }
  }
}

static uint64_t features(void) {
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low & 0xe7;
}

static void call(struct state* s, const char* what, uint64_t salt, long number, uint64_t a,
                 uint64_t b, uint64_t c, uint64_t d) {
  s->expected[0] = (uint64_t)number;
  s->expected[5] = a;
  s->expected[4] = b;
  s->expected[3] = c;
  s->expected[10] = d;
  run(s, what, do_syscall, salt, AC | DF | ID | 0x8d5, 1 << 0 | 1 << 5 | 1 << 4 | 1 << 3 | 1 << 10);
}

static void at(struct state* s, const char* what, void (*operation)(struct state*), uint64_t salt,
               uint64_t address, uint64_t flags) {
  s->expected[2] = address;
  run(s, what, operation, salt, flags, 1 << 2);
}

static int rounds, file;

static void* work(void* argument) {
  const uint64_t salt = (uint64_t)(uintptr_t)argument << 8;
  struct state* s = aligned_alloc(64, sizeof *s);
  memset(s, 0, sizeof *s);
  s->features = features();
  char* buffer = aligned_alloc(4096, 65536);
  memset(buffer, 'x', 65536);
  static const struct timespec moment = {0, 200000};
  for (int i = 0; i < rounds; ++i) {
    call(s, "getpid", salt, SYS_getpid, 1, 2, 3, 4);
    call(s, "write", salt, SYS_write, 2, (uint64_t)buffer, 0, 0);
    call(s, "pread", salt, SYS_pread64, (uint64_t)file, (uint64_t)buffer, 65536, 0);
    call(s, "nanosleep", salt, SYS_nanosleep, (uint64_t)&moment, 0, 0, 0);
    call(s, "sched_yield", salt, SYS_sched_yield, 0, 0, 0, 0);
    call(s, "no such file", salt, SYS_openat, (uint64_t)-100, (uint64_t)"/nonexistent", 0, 0);
    call(s, "bad pointer", salt, SYS_openat, (uint64_t)-100, 8, 0, 0);
    char* fresh = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    at(s, "fresh page, read", do_load, salt, (uint64_t)fresh, AC | DF | ID);
    at(s, "fresh page, write", do_store, salt, (uint64_t)fresh + 512 * 1024, AC | DF | ID);
    call(s, "mprotect", salt, SYS_mprotect, (uint64_t)fresh, 65536, PROT_NONE, 0);
    at(s, "refused read", do_load, salt, (uint64_t)fresh, DF | ID);
    at(s, "null", do_store, salt, 8, DF | ID);
    call(s, "munmap", salt, SYS_munmap, (uint64_t)fresh, 1 << 20, 0, 0);
    at(s, "ud2", do_ud2, salt, 1, AC | DF | ID | 0x8d5);
    at(s, "int3", do_int3, salt, 1, DF | ID);
    at(s, "spin", do_spin, salt, 3000000, AC | DF | ID);
  }
  return NULL;
}

int main(int argc, char** argv) {
  rounds = argc > 1 ? atoi(argv[1]) : 3;
  file = open("/proc/self/exe", O_RDONLY);
  struct sigaction action = {.sa_sigaction = skip, .sa_flags = SA_SIGINFO};
  for (const int* signal = (const int[]){SIGILL, SIGSEGV, SIGTRAP, 0}; *signal != 0; ++signal) {
    sigaction(*signal, &action, NULL);
  }
  pthread_t other;
  pthread_create(&other, NULL, work, (void*)1);
  work((void*)2);
  pthread_join(other, NULL);
  printf("%d rounds, %d failures\n", rounds, failures);
  return failures != 0;
}
