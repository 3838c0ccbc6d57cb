// The `syscall` instruction itself, in many shapes of code: the result in RAX, RCX = the next address, R11 = flags,
// everything else kept, the red zone too. The System V ABI for Linux, SDM SYSCALL. Shapes are those of design.md 6.
#include <fcntl.h>
#include <sys/syscall.h>

#include "check.h"

struct registers {
  long rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, flags, rsp,
      red_zone[16], next;
};

// Loads all registers from *in, fills the red zone, executes the call, stores everything to *out.
// One copy for each SHAPE of the code before the `syscall`.
#define DEFINE_SHAPE(name, shape)                                                                  \
  void name(const struct registers* in, struct registers* out);                                    \
  __asm__(".pushsection .text\n.globl " #name "\n" #name                                           \
          ":\n"                                                                                    \
          "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rsi; push $0\n" \
          "mov %rdi,%rax\n"                                                                        \
          "mov 8(%rax),%rbx; mov 16(%rax),%rcx; mov 24(%rax),%rdx; mov 32(%rax),%rsi; mov "        \
          "48(%rax),%rbp\n"                                                                        \
          "mov 56(%rax),%r8; mov 64(%rax),%r9; mov 72(%rax),%r10; mov 80(%rax),%r11; mov "         \
          "88(%rax),%r12\n"                                                                        \
          "mov 96(%rax),%r13; mov 104(%rax),%r14; mov 112(%rax),%r15\n"                            \
          "pushq 120(%rax); popfq\n"                                                               \
          "mov 40(%rax),%rdi\n"                                                                    \
          "movq $0x1111,-8(%rsp); movq $0x2222,-16(%rsp); movq $0x3333,-64(%rsp); movq "           \
          "$0x4444,-128(%rsp)\n"                                                                   \
          "mov %rsp,%r15\n" shape                                                                  \
          "\n"                                                                                     \
          "99: cmp %rsp,%r15; mov %rsp,%r15\n" /* flags are compared by a shape of their own */    \
          "mov 8(%rsp),%rsp\n"                                                                     \
          "mov %rax,(%rsp); mov %rbx,8(%rsp); mov %rcx,16(%rsp); mov %rdx,24(%rsp); mov "          \
          "%rsi,32(%rsp)\n"                                                                        \
          "mov %rdi,40(%rsp); mov %rbp,48(%rsp); mov %r8,56(%rsp); mov %r9,64(%rsp); mov "         \
          "%r10,72(%rsp)\n"                                                                        \
          "mov %r11,80(%rsp); mov %r12,88(%rsp); mov %r13,96(%rsp); mov %r14,104(%rsp)\n"          \
          "mov %r15,128(%rsp); lea 99b(%rip),%rax; mov %rax,264(%rsp)\n"                           \
          "mov -8(%r15),%rax; mov %rax,136(%rsp); mov -16(%r15),%rax; mov %rax,144(%rsp)\n"        \
          "mov -64(%r15),%rax; mov %rax,152(%rsp); mov -128(%r15),%rax; mov %rax,160(%rsp)\n"      \
          "mov %r15,%rsp\n"                                                                        \
          "add $16,%rsp; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; "             \
          "ret\n.popsection\n")

// getppid, 110, takes no arguments and cannot fail.
DEFINE_SHAPE(shape_mov_eax, "mov $110,%eax; syscall");
DEFINE_SHAPE(shape_mov_rax, "movq $110,%rax; syscall");
DEFINE_SHAPE(shape_apart, "mov $110,%eax; nop; nop; syscall");
DEFINE_SHAPE(shape_push_pop, "pushq $110; popq %rax; movq $0x1111,-8(%rsp); syscall");
DEFINE_SHAPE(shape_jumped_to, "mov $110,%eax; jmp 1f; nop; nop; nop; 1: syscall");
DEFINE_SHAPE(shape_between, "mov $111,%eax; mov $110,%eax; jmp 1f; mov $112,%eax; 1: syscall");
DEFINE_SHAPE(shape_loop, "xor %eax,%eax; 1: inc %eax; cmp $110,%eax; jne 1b; syscall");

static const char* const names[] = {"mov eax",   "mov rax", "apart", "push pop",
                                    "jumped to", "between", "loop"};
static void (*const shapes[])(const struct registers*, struct registers*) = {
    shape_mov_eax,   shape_mov_rax, shape_apart, shape_push_pop,
    shape_jumped_to, shape_between, shape_loop};

CASE(registers_are_kept) {
  for (int shape = 0; shape < 7; shape++) {
    int before = check_failures;
    for (int round = 0; round < 20;
         round++) {  // The first call and those after a site was patched.
      struct registers in = {0,  0xb1, 0xc1, 0xd1, 0x51, 0xd2,  0xb2, 8,   9, 10,
                             11, 12,   13,   14,   15,   0x202, 0,    {0}, 0};
      struct registers out = {0};
      shapes[shape](&in, &out);
      CHECK_EQ(out.rax, getppid());
      CHECK_EQ(out.rbx, in.rbx);
      CHECK_EQ(out.rdx, in.rdx);
      CHECK_EQ(out.rsi, in.rsi);
      CHECK_EQ(out.rdi, in.rdi);
      CHECK_EQ(out.rbp, in.rbp);
      CHECK_EQ(out.r8, in.r8);
      CHECK_EQ(out.r9, in.r9);
      CHECK_EQ(out.r10, in.r10);
      CHECK_EQ(out.r12, in.r12);
      CHECK_EQ(out.r13, in.r13);
      CHECK_EQ(out.r14, in.r14);
      CHECK_EQ(out.rcx, out.next);       // RCX is the address after the instruction.
      CHECK_EQ(out.r11 & 0x200, 0x200);  // R11 holds the flags.
      CHECK_EQ(out.red_zone[0], 0x1111);
      CHECK_EQ(out.red_zone[1], 0x2222);
      CHECK_EQ(out.red_zone[2], 0x3333);
      CHECK_EQ(out.red_zone[3], 0x4444);
    }
    printf("%s: %s\n", names[shape], check_failures == before ? "same" : "different");
  }
}

CASE(flags_are_kept) {
  // CF, PF, AF, ZF, SF, DF, OF in all combinations that a program can set.
  static const unsigned long bits[] = {1, 4, 16, 64, 128, 0x400, 0x800};
  for (int mask = 0; mask < 128; mask++) {
    unsigned long flags = 0x202, after, saved;
    for (int i = 0; i < 7; i++) flags |= mask >> i & 1 ? bits[i] : 0;
    __asm__ volatile(
        "lea -128(%%rsp),%%rsp; push %2; popfq; mov $110,%%eax; syscall; pushfq; pop %0; mov "
        "%%r11,%1; cld;"
        "lea 128(%%rsp),%%rsp"
        : "=&r"(after), "=&r"(saved)
        : "r"(flags)
        : "rax", "rcx", "r11", "memory", "cc");
    CHECK_EQ(after & 0xcd5, flags & 0xcd5);
    CHECK_EQ(saved & 0xcd5, flags & 0xcd5);
  }
}

CASE(upper_half_of_the_number) {
  // Linux looks at the low 32 bits of RAX only.
  long result = 0xfedcba9800000000UL | SYS_getpid;
  __asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
  CHECK_EQ(result, getpid());
}

CASE(six_arguments) {
  // mmap through R10, R8 and R9.
  long result;
  register long r10 __asm__("r10") = 0x22, r8 __asm__("r8") = -1, r9 __asm__("r9") = 0;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(SYS_mmap), "D"(0), "S"(4096), "d"(3), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  CHECK(result > 0 && result % 4096 == 0);
  *(volatile char*)result = 1;
  CHECK_OK(syscall(SYS_munmap, result, 4096));
}

CASE(errors_are_negative) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_close), "D"(-1) : "rcx", "r11", "memory");
  CHECK_EQ(result, -EBADF);
  __asm__ volatile("syscall" : "=a"(result) : "a"(5000) : "rcx", "r11", "memory");
  CHECK_EQ(result, -ENOSYS);
}

__attribute__((target("avx"))) static int vectors_kept(void) {
  unsigned char in[32] __attribute__((aligned(32))), out[32] __attribute__((aligned(32)));
  memset(in, 0x5a, 32);
  __asm__ volatile(
      "vmovdqa (%0),%%ymm3; vmovdqa (%0),%%ymm15; mov $110,%%eax; syscall; mov $24,%%eax; syscall;"
      "vpand %%xmm3,%%xmm15,%%xmm0; vmovdqa %%ymm3,(%1); vzeroupper"
      :
      : "r"(in), "r"(out)
      : "rax", "rcx", "r11", "memory", "xmm0", "xmm3", "xmm15");
  return memcmp(in, out, 32) == 0;
}
CASE(vectors_are_kept) {
  if (!__builtin_cpu_supports("avx")) return;
  for (int i = 0; i < 100; i++) CHECK(vectors_kept());
}

CASE(other_entries) {
  // The 32-bit entries are not for 64-bit programs; int 0x80 works on Linux but takes 32-bit numbers, so only the
  // vDSO and the instruction itself count. cpuid and rdtsc are part of what programs execute at start.
  unsigned a = 0, b, c, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
  CHECK(a >= 1);
  char vendor[13] = "";
  memcpy(vendor, &b, 4), memcpy(vendor + 4, &d, 4), memcpy(vendor + 8, &c, 4);
  printf("%s\n", vendor);
  unsigned long first = __builtin_ia32_rdtsc(), second = __builtin_ia32_rdtsc();
  CHECK(second >= first);
}

CHECK_MAIN
