// ptrace(2): registers, memory, breakpoints and single steps.
#include "tracee.h"

static volatile long variable = 0x1122334455667788;
static const volatile long constant = 77;
static int read_variable(void) { return variable == 99 && constant == 78 ? 21 : 22; }

CASE(peek_and_poke) {
  pid_t pid = tracee(read_variable, 0);
  long word = 0;
  CHECK_OK(trace(PTRACE_PEEKDATA, pid, (unsigned long)&variable, (unsigned long)&word));
  CHECK_EQ(word, 0x1122334455667788);
  CHECK_OK(trace(PTRACE_PEEKTEXT, pid, (unsigned long)&variable + 1, (unsigned long)&word));
  CHECK_EQ(word & 0xffffff, 0x556677);
  CHECK_OK(trace(PTRACE_POKEDATA, pid, (unsigned long)&variable, 99));
  CHECK_OK(trace(PTRACE_POKETEXT, pid, (unsigned long)&constant, 78));
  CHECK_EQ(constant, 77);
  CHECK_ERRNO(trace(PTRACE_PEEKDATA, pid, 8, (unsigned long)&word), EIO);
  CHECK_ERRNO(trace(PTRACE_POKEDATA, pid, 8, 1), EIO);
  CHECK_ERRNO(trace(PTRACE_PEEKDATA, pid, (unsigned long)&variable, 8), EFAULT);
  CHECK_ERRNO(trace(PTRACE_PEEKDATA, pid, -8ul, (unsigned long)&word), EIO);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 21 << 8);
}

CASE(proc_mem_and_process_vm) {
  pid_t pid = tracee(read_variable, 0);
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  int fd = open(path, O_RDWR);
  REQUIRE(fd >= 0);
  long word = 0;
  CHECK_EQ(pread(fd, &word, 8, (off_t)&variable), 8);
  CHECK_EQ(word, 0x1122334455667788);
  word = 78;
  CHECK_EQ(pwrite(fd, &word, 8, (off_t)&constant), 8);
  CHECK_ERRNO(pread(fd, &word, 8, 16), EIO);
  CHECK_EQ(lseek(fd, (off_t)&constant, SEEK_SET), (long)&constant);
  CHECK_EQ(read(fd, &word, 8), 8);
  CHECK_EQ(word, 78);
  word = 99;
  struct iovec here = {&word, 8}, there = {(void*)&variable, 8};
  CHECK_EQ(process_vm_writev(pid, &here, 1, &there, 1, 0), 8);
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  int status = open(path, O_RDONLY);
  ssize_t size = read(status, text, sizeof text - 1);
  text[size > 0 ? size : 0] = 0;
  close(status);
  int tracer = -1;
  char* line = strstr(text, "TracerPid:");
  if (line) sscanf(line, "TracerPid: %d", &tracer);
  CHECK_EQ(tracer, getpid());
  CHECK(strstr(text, "State:\tt (tracing stop)") != NULL);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 21 << 8);
  CHECK_EQ(read(fd, &word, 8), 0);  // its memory has gone
  close(fd);
}

static void no_return(void) { _exit(55); }

CASE(registers_can_be_set) {
  pid_t pid = tracee(return_five, 0);
  struct user_regs_struct registers = registers_of(pid), again;
  long word;
  CHECK_OK(trace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rip), (unsigned long)&word));
  CHECK_EQ(word, registers.rip);
  CHECK(registers.fs_base != 0);
  CHECK_EQ(registers.gs_base | registers.ds | registers.es | registers.fs | registers.gs, 0);
  registers.r12 = 0x1234567812345678;
  registers.rip = (unsigned long)no_return;
  registers.rsp = (registers.rsp & ~15ul) - 8 - 256;
  CHECK_OK(trace(PTRACE_SETREGS, pid, 0, (unsigned long)&registers));
  again = registers_of(pid);
  CHECK_EQ(memcmp(&again, &registers, sizeof again), 0);
  CHECK_OK(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.r13), 17));
  CHECK_EQ(registers_of(pid).r13, 17);
  CHECK_ERRNO(trace(PTRACE_PEEKUSER, pid, 3, (unsigned long)&word), EIO);
  CHECK_ERRNO(trace(PTRACE_PEEKUSER, pid, 928, (unsigned long)&word), EIO);
  CHECK_ERRNO(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.cs), 1), EIO);
  CHECK_ERRNO(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.fs_base), -1), EIO);
  CHECK_ERRNO(trace(PTRACE_GETREGS, pid, 0, 8), EFAULT);
  struct user_regs_struct part = {};
  struct iovec room = {&part, 16};
  CHECK_OK(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, (unsigned long)&room));
  CHECK_EQ(room.iov_len, 16);
  CHECK_EQ(part.r15, registers.r15);
  CHECK_EQ(part.r13, 0);
  room.iov_len = 10000;
  CHECK_OK(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, (unsigned long)&room));
  CHECK_EQ(room.iov_len, sizeof part);
  part.r14 = 5;
  CHECK_OK(trace(PTRACE_SETREGSET, pid, NT_PRSTATUS, (unsigned long)&room));
  CHECK_EQ(registers_of(pid).r14, 5);
  room.iov_len = 3;
  CHECK_ERRNO(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, (unsigned long)&room), EINVAL);
  room.iov_len = 8;
  CHECK_ERRNO(trace(PTRACE_GETREGSET, pid, 12345, (unsigned long)&room), EINVAL);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 55 << 8);
}

static int with_vectors(void) {
  double x = 1.5;
  char result;
  __asm__ volatile("movq %1, %%xmm7\n int3\n movq %%xmm7, %%rax\n cmpq %2, %%rax\n sete %0\n"
                   : "=q"(result)
                   : "r"(x), "r"(0x4004000000000000L)
                   : "rax", "xmm7", "cc", "memory");
  return result ? 31 : 32;
}

CASE(vector_registers) {
  pid_t pid = tracee(with_vectors, 0);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP);
  siginfo_t info;
  CHECK_OK(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
  CHECK_EQ(info.si_code, SI_KERNEL);
  struct user_fpregs_struct fp;
  CHECK_OK(trace(PTRACE_GETFPREGS, pid, 0, (unsigned long)&fp));
  double value;
  memcpy(&value, &fp.xmm_space[4 * 7], 8);
  CHECK(value == 1.5);
  static char area[8192] __attribute__((aligned(64)));
  struct iovec room = {area, sizeof area};
  CHECK_OK(trace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, (unsigned long)&room));
  CHECK(room.iov_len >= 576 && room.iov_len % 8 == 0);
  memcpy(&value, area + 160 + 16 * 7, 8);
  CHECK(value == 1.5);
  uint64_t features;
  memcpy(&features, area + 464, 8);
  CHECK_EQ(features & 3, 3);
  memcpy(&value, area + 512, 8);
  value = 2.5;
  memcpy(&fp.xmm_space[4 * 7], &value, 8);
  CHECK_OK(trace(PTRACE_SETFPREGS, pid, 0, (unsigned long)&fp));
  CHECK_OK(trace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, (unsigned long)&room));
  CHECK_OK(trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (unsigned long)&room));
  room.iov_len = 512;
  CHECK_OK(trace(PTRACE_GETREGSET, pid, NT_PRFPREG, (unsigned long)&room));
  memcpy(&value, area + 160 + 16 * 7, 8);
  CHECK(value == 2.5);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 31 << 8);
}

// --- breakpoints and steps ---

__attribute__((noinline)) static int called(int n) {
  __asm__ volatile("" ::: "memory");
  return n + 1;
}
static int call_three_times(void) { return called(1) + called(2) + called(3); }

CASE(breakpoints) {
  pid_t pid = tracee(call_three_times, 0);
  long word;
  CHECK_OK(trace(PTRACE_PEEKTEXT, pid, (unsigned long)called, (unsigned long)&word));
  CHECK_OK(trace(PTRACE_POKETEXT, pid, (unsigned long)called, (word & ~0xffL) | 0xcc));
  for (int i = 1; i <= 3; i++) {
    go(pid, 0);
    CHECK_EQ(stop_of(pid), SIGTRAP);
    struct user_regs_struct registers = registers_of(pid);
    CHECK_EQ(registers.rip, (unsigned long)called + 1);
    CHECK_EQ(registers.rdi, i);
    // Over it: the old byte, one step, the breakpoint again.
    registers.rip--;
    CHECK_OK(trace(PTRACE_SETREGS, pid, 0, (unsigned long)&registers));
    CHECK_OK(trace(PTRACE_POKETEXT, pid, (unsigned long)called, word));
    CHECK_OK(trace(PTRACE_SINGLESTEP, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP);
    siginfo_t info;
    CHECK_OK(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
    CHECK_EQ(info.si_code, TRAP_TRACE);
    CHECK(registers_of(pid).rip > (unsigned long)called);
    CHECK_OK(trace(PTRACE_POKETEXT, pid, (unsigned long)called, (word & ~0xffL) | 0xcc));
  }
  go(pid, 0);
  CHECK_EQ(end_of(pid), 9 << 8);
}

// All ways in which control goes.
extern char maze_start[], maze_end[];
__asm__(
    ".text\nmaze_start:\n"
    "  push %rbp\n mov %rsp, %rbp\n sub $64, %rsp\n"
    "  lea 5f(%rip), %rax\n mov %rax, -8(%rbp)\n"
    "  mov $3, %ecx\n"
    "1: dec %ecx\n jnz 1b\n"
    "  mov $2, %ecx\n"
    "2: nop\n loop 2b\n"
    "  jrcxz 3f\n ud2\n"
    "3: call 4f\n call *-8(%rbp)\n lea 5f(%rip), %r11\n call *%r11\n"
    "  mov $2, %edx\n mov $-8, %r10\n lea 6f(%rip), %rax\n mov %rax, -40(%rbp)\n jmp "
    "*-56(%rbp,%rdx,8)\n ud2\n"
    "4: ret\n"
    "5: push %rbx\n mov $0x1122334455667788, %rbx\n pop %rbx\n ret $0\n"
    "6: cmp $5, %edx\n jg 7f\n jl 8f\n"
    "7: ud2\n"
    "8: test %edx, %edx\n js 7b\n jp 9f\n jo 7b\n"
    "9: .byte 0xe9\n .long 1f-.-4\n ud2\n"
    "1: pxor %xmm0, %xmm0\n movdqu %xmm0, -32(%rbp)\n pshufd $0x1b, %xmm0, %xmm1\n pextrw $3, "
    "%xmm0, %eax\n"
    "  imul $7, -32(%rbp), %eax\n imul $0x12345, %eax, %eax\n testb $1, -32(%rbp)\n testl "
    "$0x12345678, -32(%rbp)\n"
    "  xchg %ax, %ax\n .byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 2, 0, 0\n bswap %eax\n movabs "
    "$-1, %rax\n cmpxchg %eax, -32(%rbp)\n"
    "  mov %fs:0, %rax\n lock addl $0x1000, -32(%rbp)\n crc32b %al, %eax\n movw $0x1234, "
    "-32(%rbp)\n rep stosb\n"
    "  xor %eax, %eax\n setne %al\n cmove %edx, %eax\n bt $3, %eax\n shld $3, %eax, %edx\n rdtsc\n"
    "  mov $39, %eax\n syscall\n"
    "  leave\n ret\n"
    "maze_end:\n");

static int walk_the_maze(void) {
  ((void (*)(void))maze_start)();
  return 9;
}

CASE(steps_are_the_processors_own) {
  pid_t pid = tracee(walk_the_maze, 0);
  uint64_t hash = 14695981039346656037u;
  int steps = 0, inside = 0;
  long word;
  CHECK_OK(trace(PTRACE_PEEKTEXT, pid, (unsigned long)maze_start, (unsigned long)&word));
  CHECK_OK(trace(PTRACE_POKETEXT, pid, (unsigned long)maze_start, (word & ~0xffL) | 0xcc));
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGTRAP);
  CHECK_OK(trace(PTRACE_POKETEXT, pid, (unsigned long)maze_start, word));
  CHECK_OK(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rip), (unsigned long)maze_start));
  for (; steps < 500; steps++) {
    struct user_regs_struct registers = registers_of(pid);
    inside = registers.rip >= (unsigned long)maze_start && registers.rip < (unsigned long)maze_end;
    if (!inside) break;
    hash = (hash ^ (registers.rip - (unsigned long)maze_start)) * 1099511628211u;
    if (getenv("PTRACE_SHOW")) printf("  +%llx\n", registers.rip - (unsigned long)maze_start);
    REQUIRE(trace(PTRACE_SINGLESTEP, pid, 0, 0) == 0);
    REQUIRE(stop_of(pid) == SIGTRAP);
  }
  printf("  %d steps, path %lx\n", steps, (long)hash);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 9 << 8);
}

CASE(a_step_into_a_handler_and_over_a_fault) {
  pid_t pid = tracee(raise_usr1, 0);
  go(pid, 0);
  CHECK_EQ(stop_of(pid), SIGUSR1);
  CHECK_OK(trace(PTRACE_SINGLESTEP, pid, 0, SIGUSR1));
  CHECK_EQ(stop_of(pid), SIGTRAP);
  CHECK_EQ(registers_of(pid).rip, (unsigned long)count_signal);
  CHECK_OK(trace(PTRACE_SINGLESTEP, pid, 0, 0));
  CHECK_EQ(stop_of(pid), SIGTRAP);
  CHECK(registers_of(pid).rip != (unsigned long)count_signal);
  go(pid, 0);
  CHECK_EQ(end_of(pid), 1 << 8);
  pid = tracee(crash, 0);
  int signal = 0;
  for (int i = 0; i < 2000 && signal != SIGSEGV; i++) {
    CHECK_OK(trace(PTRACE_SINGLESTEP, pid, 0, 0));
    signal = stop_of(pid);
  }
  CHECK_EQ(signal, SIGSEGV);
  go(pid, SIGSEGV);
  CHECK_EQ(WTERMSIG(end_of(pid)), SIGSEGV);
}

CHECK_MAIN
