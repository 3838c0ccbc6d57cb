// System calls, or faults, whose results all go into one number: what the tests that tick at every instruction run.
//
//   steps syscalls|faults ROUNDS
//
// It prints STEP BEGIN once it has started and STEP NEXT before each round: the hostile runtime takes its cues from that.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static uint64_t hash = 14695981039346656037u;

static void add(int64_t value) {
  for (int i = 0; i < 8; ++i) hash = (hash ^ (uint64_t)(value >> 8 * i & 0xff)) * 1099511628211u;
}

static void say(const char* text) {
  if (write(1, text, strlen(text)) < 0) exit(3);
}

static int pair[2], pipe_ends[2], event;

static void syscalls(int round) {
  char buffer[64];
  struct stat status;
  const struct timespec moment = {0, 1000};
  struct pollfd polled = {pipe_ends[0], POLLIN, 0};
  double values[4] = {1.5, 2.25, 3.125, round};
  add(syscall(SYS_getpid) == getpid());
  add(write(pipe_ends[1], "0123456789", 10));
  add(poll(&polled, 1, 0));
  add(read(pipe_ends[0], buffer, sizeof buffer));
  add(buffer[round % 10]);
  add(send(pair[0], &round, sizeof round, 0));
  int got = 0;
  add(recv(pair[1], &got, sizeof got, 0));
  add(got);
  const uint64_t seven = 7;
  uint64_t sum = 0;
  add(write(event, &seven, 8));
  add(read(event, &sum, 8));
  add((int64_t)sum);
  const int file = open("/proc/self/exe", O_RDONLY);
  add(fstat(file, &status));
  add(pread(file, buffer, 16, 0));
  add(buffer[1]);
  add(close(file));
  add(close(file) == -1 ? errno : 0);
  add(open("/no/such/file", O_RDONLY) == -1 ? errno : 0);
  add(nanosleep(&moment, NULL));
  add(syscall(SYS_sched_yield));
  add(syscall(12345) == -1 ? errno : 0);
  add(open((const char*)8, O_RDONLY) == -1 ? errno : 0);
  for (int i = 1; i < 4; ++i) values[0] = values[0] * values[i] + 1.0 / values[i];
  add((int64_t)(values[0] * 1e6));
}

static sigjmp_buf back;
static volatile int faults_seen;

static void on_fault(int signal, siginfo_t* info, void* context) {
  ++faults_seen;
  add(signal);
  add(info->si_code);
  greg_t* registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  if (signal == SIGILL) {
    registers[REG_RIP] += 2;
    registers[REG_RAX] = 42;
    return;
  }
  if (signal == SIGSEGV) {
    add((int64_t)(uintptr_t)info->si_addr % 4096);
    siglongjmp(back, 1);
  }
}

static void faults(int round) {
  long value = 0;
  asm volatile("ud2" : "=a"(value) : "a"(1L));
  add(value);
  asm volatile("int3");
  if (sigsetjmp(back, 1) == 0) *(volatile int*)(uintptr_t)(8 + 4 * (round % 16)) = 1;
  char* pages = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < 64; i += 16) pages[4096 * i + round % 4096] = (char)i;  // growth
  for (int i = 0; i < 64; i += 16) add(pages[4096 * i + round % 4096]);
  add(mprotect(pages, 4096, PROT_READ));
  if (sigsetjmp(back, 1) == 0) pages[5] = 1;
  add(pages[round % 4096]);
  add(mprotect(pages, 4096, PROT_READ | PROT_WRITE));
  pages[5] = 9;
  add(pages[5]);
  add(munmap(pages, 64 * 4096));
  if (sigsetjmp(back, 1) == 0) pages[17] = 1;
  volatile int zero = 0;
  (void)zero;
  add(faults_seen);
}

int main(int argc, char** argv) {
  const int rounds = argc > 2 ? atoi(argv[2]) : 10;
  const int fault_heavy = argc > 1 && strcmp(argv[1], "faults") == 0;
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGILL, &action, NULL);
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGTRAP, &action, NULL);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || pipe(pipe_ends) != 0) return 2;
  event = eventfd(0, 0);
  say("STEP BEGIN\n");
  for (int i = 0; i < rounds; ++i) {
    (fault_heavy ? faults : syscalls)(i);
    say("STEP NEXT\n");
  }
  printf("%d rounds, result %016lx\n", rounds, hash);
  return 0;
}
