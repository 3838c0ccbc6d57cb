// Faults as signals: which one, si_code, si_addr, RIP; what becomes of a blocked or ignored one.
#include <spawn.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <sys/wait.h>

#include "check.h"

extern char** environ;
static sigjmp_buf escape;
static siginfo_t info;
static uintptr_t rip;
static long trap_number;

static void on_fault(int number, siginfo_t* what, void* context) {
  (void)number;
  ucontext_t* at = context;
  info = *what;
  rip = at->uc_mcontext.gregs[REG_RIP];
  trap_number = at->uc_mcontext.gregs[REG_TRAPNO];
  siglongjmp(escape, 1);
}

#define EXPECT_FAULT(action, number, code) \
  do {                                     \
    memset(&info, 0, sizeof info);         \
    if (sigsetjmp(escape, 1) == 0) {       \
      action;                              \
    }                                      \
    CHECK_EQ(info.si_signo, number);       \
    CHECK_EQ(info.si_code, code);          \
  } while (0)

CASE(install) {
  int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
  for (int i = 0; i < 5; i++) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(numbers[i], &action, NULL));
  }
}

CASE(null_pointer) {
  volatile int* volatile nothing = NULL;
  EXPECT_FAULT(*nothing = 1, SIGSEGV, SEGV_MAPERR);
  CHECK(info.si_addr == NULL);
  CHECK_EQ(trap_number, 14);
}

CASE(jump_to_nowhere) {
  void (*volatile nowhere)(void) = (void (*)(void))0x1234;
  EXPECT_FAULT(nowhere(), SIGSEGV, SEGV_MAPERR);
  CHECK_EQ(rip, 0x1234);
}

CASE(illegal_instruction) {
  EXPECT_FAULT(__asm__ volatile("ud2"), SIGILL, ILL_ILLOPN);
  CHECK(info.si_addr == (void*)rip);
  CHECK_EQ(memcmp((void*)rip, "\x0f\x0b", 2), 0);
  CHECK_EQ(trap_number, 6);
}

CASE(privileged_instruction) {
  EXPECT_FAULT(__asm__ volatile("hlt"), SIGSEGV, SI_KERNEL);
  EXPECT_FAULT(__asm__ volatile("cli"), SIGSEGV, SI_KERNEL);
  CHECK_EQ(trap_number, 13);
}

CASE(division) {
  volatile int zero = 0, one = 1;
  EXPECT_FAULT(one = one / zero, SIGFPE, FPE_INTDIV);
  CHECK(info.si_addr == (void*)rip);
  volatile int least = -2147483647 - 1, minus = -1;
  EXPECT_FAULT(one = least / minus, SIGFPE, FPE_INTDIV);
}

CASE(breakpoint) {
  // A trap: RIP is after the one-byte instruction.
  EXPECT_FAULT(__asm__ volatile("int3"), SIGTRAP, SI_KERNEL);
  CHECK_EQ(*(unsigned char*)(rip - 1), 0xcc);
}

CASE(unaligned_vector) {
  static char bytes[64] __attribute__((aligned(64)));
  EXPECT_FAULT(__asm__ volatile("movaps %%xmm0, (%0)" : : "r"(bytes + 1) : "memory"), SIGSEGV,
               SI_KERNEL);
}

CASE(float_exception) {
  unsigned control = 0x1d80;  // MXCSR with the divide-by-zero exception unmasked.
  float a = 1;
  float b = 0;
  EXPECT_FAULT(__asm__ volatile("ldmxcsr %0; movss %1, %%xmm0; divss %2, %%xmm0" : : "m"(control),
                                "m"(a), "m"(b) : "xmm0"),
               SIGFPE, FPE_FLTDIV);
  unsigned usual = 0x1f80;
  __asm__ volatile("ldmxcsr %0" : : "m"(usual));
}

static void skip_instruction(int number, siginfo_t* what, void* context) {
  (void)number, (void)what;
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] += 2;
}
CASE(handler_steps_over) {
  struct sigaction action = {.sa_sigaction = skip_instruction, .sa_flags = SA_SIGINFO}, old;
  sigaction(SIGILL, &action, &old);
  int reached = 0;
  for (int i = 0; i < 100; i++) {
    __asm__ volatile("ud2");
    reached++;
  }
  CHECK_EQ(reached, 100);
  sigaction(SIGILL, &old, NULL);
}

static char* page;
static void make_writable(int number, siginfo_t* what, void* context) {
  (void)number, (void)context;
  mprotect((void*)((uintptr_t)what->si_addr & ~4095UL), 4096, PROT_READ | PROT_WRITE);
}
CASE(handler_repairs_and_retries) {
  struct sigaction action = {.sa_sigaction = make_writable, .sa_flags = SA_SIGINFO}, old;
  sigaction(SIGSEGV, &action, &old);
  page = mmap(NULL, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 16; i++) page[i * 4096 + i] = (char)(i + 1);
  for (int i = 0; i < 16; i++) CHECK_EQ(page[i * 4096 + i], i + 1);
  munmap(page, 16 * 4096);
  sigaction(SIGSEGV, &old, NULL);
}

static void* fault_in_thread(void* failures) {
  // Each thread meets its own fault: no escape buffer is shared.
  for (int i = 0; i < 50; i++) {
    char* mine = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mine[i] = 1;
    if (mine[i] != 1) __atomic_add_fetch((int*)failures, 1, __ATOMIC_SEQ_CST);
    munmap(mine, 4096);
  }
  return NULL;
}
CASE(faults_in_threads) {
  struct sigaction action = {.sa_sigaction = make_writable, .sa_flags = SA_SIGINFO}, old;
  sigaction(SIGSEGV, &action, &old);
  pthread_t threads[8];
  int failures = 0;
  for (int i = 0; i < 8; i++)
    REQUIRE(pthread_create(&threads[i], NULL, fault_in_thread, &failures) == 0);
  for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(failures, 0);
  sigaction(SIGSEGV, &old, NULL);
}

// With an argument the program faults with the signal blocked or ignored, which does not save it.
int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "blocked") == 0) {
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    *(volatile int*)8 = 1;
  }
  if (argc > 1 && strcmp(argv[1], "ignored") == 0) {
    signal(SIGSEGV, SIG_IGN);
    *(volatile int*)8 = 1;
  }
  return check_main(argc, argv);
}

CASE(unavoidable) {
  static char* modes[] = {"blocked", "ignored"};
  for (int i = 0; i < 2; i++) {
    char self[512];
    strcpy(self, check_program);
    char* argv[] = {self, modes[i], NULL};
    pid_t pid;
    int status;
    REQUIRE(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  }
}
