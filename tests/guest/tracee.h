// A tracer and its tracees, for the tests of ptrace(2).
#pragma once

#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "check.h"

__attribute__((unused)) static long trace(long request, pid_t pid, unsigned long address,
                                          unsigned long data) {
  return syscall(SYS_ptrace, request, pid, address, data);
}

// Waits for a stop of `pid` and returns what stopped it: the signal, and the event << 8.
__attribute__((unused)) static int stop_of(pid_t pid) {
  int status = 0;
  REQUIRE(waitpid(pid, &status, __WALL) == pid);
  if (!WIFSTOPPED(status)) {
    printf("  not stopped: %x\n", status);
    return -status;
  }
  return status >> 8;
}

__attribute__((unused)) static int end_of(pid_t pid) {
  int status = 0;
  REQUIRE(waitpid(pid, &status, __WALL) == pid);
  REQUIRE(WIFEXITED(status) || WIFSIGNALED(status));
  return status;
}

__attribute__((unused)) static void go(pid_t pid, int signal) {
  CHECK_OK(trace(PTRACE_CONT, pid, 0, signal));
}

// A tracee that runs `body` and ends with what it returns; it stopped first.
__attribute__((unused)) static pid_t tracee(int (*body)(void), long options) {
  fflush(stdout);
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    if (trace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(99);
    raise(SIGSTOP);
    _exit(body());
  }
  CHECK_EQ(stop_of(pid), SIGSTOP);
  if (options) CHECK_OK(trace(PTRACE_SETOPTIONS, pid, 0, options));
  return pid;
}

// A process that nobody traces, and that runs `body` when told.
static int told[2];
__attribute__((unused)) static pid_t free_process(int (*body)(void)) {
  fflush(stdout);
  REQUIRE(pipe(told) == 0);
  pid_t pid = fork();
  REQUIRE(pid != -1);
  if (pid == 0) {
    close(told[1]);
    _exit(body());
  }
  close(told[0]);
  return pid;
}
__attribute__((unused)) static int wait_to_be_told(void) {
  char byte;
  return read(told[0], &byte, 1) == 0 ? 7 : 8;
}
__attribute__((unused)) static void tell(void) { close(told[1]); }

__attribute__((unused)) static struct user_regs_struct registers_of(pid_t pid) {
  struct user_regs_struct registers;
  CHECK_OK(trace(PTRACE_GETREGS, pid, 0, (unsigned long)&registers));
  return registers;
}

__attribute__((unused)) static int return_five(void) { return 5; }

static volatile sig_atomic_t usr1_count, usr2_count;
__attribute__((unused)) static void count_signal(int number) {
  *(number == SIGUSR1 ? &usr1_count : &usr2_count) += 1;
}
__attribute__((unused)) static int raise_usr1(void) {
  signal(SIGUSR1, count_signal);
  signal(SIGUSR2, count_signal);
  raise(SIGUSR1);
  return usr1_count + 10 * usr2_count;
}

__attribute__((unused)) static int crash(void) {
  *(volatile int*)8 = 1;
  return 0;
}
