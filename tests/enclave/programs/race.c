// Two threads touch the same fresh page at the same moment, again and again: pages of anonymous memory, which must
// come zeroed and hold what both stored; and pages where nothing is mapped, where both must get SIGSEGV.
//
//   race PAGES
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096
static long pages;
static _Atomic long arrived, wrong, wild_faults, odd_faults;
static char *fresh, *unmapped;
static _Thread_local sigjmp_buf back;
static _Thread_local char* expected;

// Both threads leave it together, as near as can be.
static void meet(long round) {
  atomic_fetch_add(&arrived, 1);
  for (long spins = 0; atomic_load(&arrived) < 2 * round; ++spins) {
    if (spins > 1000) sched_yield();
  }
}

static void on_fault(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  atomic_fetch_add(&wild_faults, 1);
  if (info->si_code != SEGV_MAPERR || info->si_addr != expected) atomic_fetch_add(&odd_faults, 1);
  siglongjmp(back, 1);
}

static void stray(char* at) {
  expected = at;
  if (sigsetjmp(back, 1) == 0) *(volatile char*)at = 1;
}

static void* touch(void* argument) {
  const long me = (long)(intptr_t)argument;
  long round = 0;
  for (long i = 0; i < pages; ++i) {
    meet(++round);
    atomic_long* word = (atomic_long*)(fresh + i * PAGE);
    if (atomic_fetch_add(word, 1 + me) > 2) atomic_fetch_add(&wrong, 1);
    meet(++round);
    if (atomic_load(word) != 3) atomic_fetch_add(&wrong, 1);
    if (i % 4 == 0) stray(unmapped + i * PAGE);
  }
  return NULL;
}

int main(int argc, char** argv) {
  pages = argc > 1 ? atol(argv[1]) : 100;
  const size_t size = (size_t)pages * PAGE;
  fresh = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  unmapped = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fresh == MAP_FAILED || unmapped == MAP_FAILED) return 2;
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  pthread_t other;
  if (pthread_create(&other, NULL, touch, (void*)1) != 0) return 2;
  if (munmap(unmapped, size) != 0) return 2;  // not before: the other's stack would come there
  touch(NULL);
  pthread_join(other, NULL);
  // What a stray access made the driver add is an ordinary page later.
  char* again = mmap(unmapped, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  long sum = 0;
  if (again != unmapped) {
    printf("the range is in use\n");
  } else {
    for (long i = 0; i < pages; ++i) sum += again[i * PAGE]++;
  }
  printf("%ld pages, %ld wrong, %ld stray accesses, %ld of them odd, %ld not zero\n", pages, wrong,
         wild_faults, odd_faults, sum);
  return 0;
}
