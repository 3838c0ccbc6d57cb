// Protection: mprotect(2) and what a violation reports, run-time generated code, guard pages, stack growth.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/ucontext.h>

#include "check.h"
#include "libos_places.h"

#define PAGE 4096L
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf escape;
static siginfo_t fault;
static uintptr_t fault_rip;
static long fault_error;

static void on_fault(int number, siginfo_t* info, void* context) {
  (void)number;
  ucontext_t* registers = context;
  fault = *info;
  fault_rip = registers->uc_mcontext.gregs[REG_RIP];
  fault_error = registers->uc_mcontext.gregs[REG_ERR];
  siglongjmp(escape, 1);
}

enum access { kRead, kWrite, kExecute };

// The access faults with this code; or does not when `code` is 0.
static void expect(volatile char* at, enum access how, int code, int line) {
  memset(&fault, 0, sizeof fault);
  if (sigsetjmp(escape, 1) == 0) {
    if (how == kRead) (void)*at;
    if (how == kWrite) *at = 1;
    if (how == kExecute) ((void (*)(void))at)();
  }
  if (fault.si_code != code || (code && fault.si_addr != at))
    check_fail(__FILE__, line, "si_code and si_addr of the access", fault.si_code, code);
  if (code) {
    CHECK_EQ(fault.si_signo, SIGSEGV);
    // The page fault's error code: bit 1 write, bit 2 user, bit 4 fetch.
    CHECK_EQ(fault_error & 0x16, how == kRead ? 4 : how == kWrite ? 6 : 0x14);
    if (how == kExecute) CHECK_EQ(fault_rip, at);
  }
}
#define EXPECT(at, how, code) expect(at, how, code, __LINE__)

CASE(install) {
  static char stack[64 << 10];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  CHECK_OK(sigaltstack(&alternate, NULL));
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  CHECK_OK(sigaction(SIGSEGV, &action, NULL));
}

CASE(each_right) {
  static const unsigned char ret = 0xc3;
  char* page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
  REQUIRE(page != MAP_FAILED);
  page[0] = (char)ret;
  EXPECT(page, kRead, 0);
  EXPECT(page + 1, kWrite, 0);
  EXPECT(page, kExecute, SEGV_ACCERR);
  CHECK_OK(mprotect(page, PAGE, PROT_READ));
  EXPECT(page, kRead, 0);
  EXPECT(page + 100, kWrite, SEGV_ACCERR);
  CHECK_OK(mprotect(page, PAGE, PROT_NONE));
  EXPECT(page + 200, kRead, SEGV_ACCERR);
  EXPECT(page + 300, kWrite, SEGV_ACCERR);
  CHECK_OK(mprotect(page, PAGE, PROT_READ | PROT_EXEC));
  EXPECT(page, kExecute, 0);
  EXPECT(page, kWrite, SEGV_ACCERR);
  CHECK_OK(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
  CHECK_EQ((unsigned char)page[0], ret);  // Changing rights keeps the content.
  CHECK_OK(munmap(page, PAGE));
  EXPECT(page, kRead, SEGV_MAPERR);
  EXPECT(page, kWrite, SEGV_MAPERR);
  EXPECT(page, kExecute, SEGV_MAPERR);
}

CASE(untouched_page_has_its_rights) {
  char* page = mmap(NULL, 2 * PAGE, PROT_READ, ANON, -1, 0);
  EXPECT(page, kWrite, SEGV_ACCERR);
  EXPECT(page, kRead, 0);
  CHECK_EQ(page[PAGE], 0);
  CHECK_OK(munmap(page, 2 * PAGE));
}

CASE(wild_pointers) {
  EXPECT((char*)8, kRead, SEGV_MAPERR);
  EXPECT((char*)8, kWrite, SEGV_MAPERR);
  // Reading the LibOS is not prevented (README), writing its text is.
  EXPECT((char*)LIBOS_IMAGE + 0x1000, kWrite, SEGV_MAPERR);
}

CASE(non_canonical) {
  // General protection: no address, SI_KERNEL.
  memset(&fault, 0, sizeof fault);
  if (sigsetjmp(escape, 1) == 0) *(volatile char*)0x8000000000000000 = 1;
  CHECK_EQ(fault.si_signo, SIGSEGV);
  CHECK_EQ(fault.si_code, SI_KERNEL);
  CHECK(fault.si_addr == NULL);
}

CASE(part_of_a_mapping) {
  char* area = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
  memset(area, 1, 5 * PAGE);
  CHECK_OK(mprotect(area + 2 * PAGE, PAGE, PROT_NONE));
  EXPECT(area + 2 * PAGE - 1, kWrite, 0);
  EXPECT(area + 2 * PAGE, kWrite, SEGV_ACCERR);
  EXPECT(area + 3 * PAGE - 1, kWrite, SEGV_ACCERR);
  EXPECT(area + 3 * PAGE, kWrite, 0);
  // Across a hole: ENOMEM.
  CHECK_OK(munmap(area + 3 * PAGE, PAGE));
  CHECK_ERRNO(mprotect(area, 5 * PAGE, PROT_READ), ENOMEM);
  CHECK_OK(munmap(area, 5 * PAGE));
}

CASE(generated_code) {
  unsigned char* code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, ANON, -1, 0);
  REQUIRE(code != MAP_FAILED);
  for (int i = 0; i < 100; i++) {
    unsigned char bytes[] = {0xb8, (unsigned char)i, 0, 0, 0, 0xc3};  // mov $i,%eax; ret
    memcpy(code, bytes, sizeof bytes);
    CHECK_EQ(((int (*)(void))code)(), i);
  }
  // A system call instruction in generated code: mov $39,%eax; syscall; ret
  static const unsigned char getpid_code[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};
  memcpy(code, getpid_code, sizeof getpid_code);
  for (int i = 0; i < 10; i++) CHECK_EQ(((int (*)(void))code)(), getpid());
  munmap(code, PAGE);
}

static long deep(long depth) {
  volatile char frame[1024];
  frame[0] = (char)depth;
  return depth == 0 ? 0 : deep(depth - 1) + 1 + (frame[0] - (char)depth);
}

CASE(stack_grows) { CHECK_EQ(deep(5000), 5000); }

CASE(stack_overflow_is_a_fault) {
  memset(&fault, 0, sizeof fault);
  if (sigsetjmp(escape, 1) == 0) deep(1L << 40);
  CHECK_EQ(fault.si_signo, SIGSEGV);
  char here;
  CHECK((uintptr_t)fault.si_addr < (uintptr_t)&here);
}

static void* overflow_in_thread(void* unused) {
  static char stack[64 << 10];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  CHECK_OK(sigaltstack(&alternate, NULL));
  memset(&fault, 0, sizeof fault);
  if (sigsetjmp(escape, 1) == 0) deep(1L << 40);
  CHECK_EQ(fault.si_signo, SIGSEGV);
  CHECK_EQ(fault.si_code, SEGV_ACCERR);  // The guard page below the stack.
  return unused;
}

CASE(thread_guard_page) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, overflow_in_thread, NULL) == 0);
  pthread_join(thread, NULL);
}

// Another thread sees a right go away before mprotect returns.
static char* volatile watched;
static volatile int stop;
static void* reader(void* unused) {
  while (!stop) (void)*watched;
  return unused;
}
CASE(rights_change_under_threads) {
  char* page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
  watched = page;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, reader, NULL) == 0);
  for (int i = 0; i < 200; i++) {
    CHECK_OK(mprotect(page, PAGE, PROT_READ));
    EXPECT(page, kWrite, SEGV_ACCERR);
    CHECK_OK(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
    EXPECT(page, kWrite, 0);
  }
  stop = 1;
  pthread_join(thread, NULL);
  munmap(page, PAGE);
}

CHECK_MAIN
