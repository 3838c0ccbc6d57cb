// A signal on every instruction. A child process crosses the boundary; its parent single-steps it by
// ptrace(2) from a marker on, and at the k-th instruction lets a signal arrive, for every k until the
// operation is over. So each instruction of the vDSO function, of EENTER, EEXIT, ERESUME, of the stubs
// and of the leaves (fast.S, leaves.cpp) is interrupted once, and the tick handler enters the enclave
// again each time. The child checks that each operation does what it does undisturbed.
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "tests/unit/emulator_enclave.h"

namespace {

constexpr int kSignal = SIGUSR1;
constexpr int kMaxSteps = 20'000;

const TestEnclave* enclave = nullptr;
std::atomic<std::uint64_t> inside{0}, outside{0}, bad{0};

void tick(int, siginfo_t*, void* frame) {
  auto& g = static_cast<ucontext_t*>(frame)->uc_mcontext.gregs;
  const auto* rip = reinterpret_cast<const std::uint8_t*>(g[REG_RIP]);
  if (rip[0] != 0x0f || rip[1] != 0x01 || rip[2] != 0xd7 || g[REG_RAX] != kEresume) {
    outside++;
    return;
  }
  inside++;
  sgx_enclave_run run{};
  run.tcs = static_cast<std::uint64_t>(g[REG_RBX]);
  if (run.tcs != enclave->tcs(0)) bad++;
  enclave->enter(run, kEenter, 0, nullptr, 0);
  if (run.function != kEexit) bad++;
}

// The operations. Each stops itself where the sweep begins, and says whether all was well. The child
// stops again when it is over.
bool has_avx512() { return (supported_xfrm() & sgx::xfrm::kAvx512) == sgx::xfrm::kAvx512; }

bool crossing() {
  sgx_enclave_run run{};
  run.tcs = enclave->tcs(0);
  Call call;
  const Entry entry{emulator::enter_function(),
                    kNop,
                    reinterpret_cast<std::uint64_t>(&call),
                    0,
                    kEenter,
                    &run,
                    nullptr};
  raise(SIGSTOP);
  const bool vectors =
      has_avx512() ? cross_with_vectors(&entry, 0x123456789abcdef) == 0 : enter_saving(&entry) == 0;
  return vectors && run.function == kEexit;
}

bool leaves() {
  Call regs{.rcx = enclave->dynamic(), .rdx = 1, .secinfo = flag::kReg | 3};
  raise(SIGSTOP);
  return enclave->call(kRegs, regs).function == kEexit && regs.result == 0;
}

bool accept() {
  static std::uint64_t page = enclave->dynamic();
  page += kPage;
  Call c{.rax = 5, .rcx = page, .secinfo = flag::kReg | 3 | flag::kPending};
  raise(SIGSTOP);
  return enclave->call(kLeaf, c).function == kEexit && c.rax == 0;
}

bool resume() {
  Call c;
  if (enclave->call(kUd2, c).exception_vector != kVectorUd) return false;
  sgx_enclave_run run{};
  run.tcs = enclave->tcs(0);
  enclave->enter(run, kEenter, 0, nullptr, 2);
  if (run.function != kEexit) return false;
  run = {};
  run.tcs = enclave->tcs(0);
  raise(SIGSTOP);
  enclave->enter_outer(run, kEresume);
  return run.function == kEexit;
}

constexpr struct {
  const char* name;
  bool (*run)();
} kOperations[] = {
    {"EENTER and EEXIT", crossing}, {"EMODPE", leaves}, {"EACCEPT", accept}, {"ERESUME", resume}};

// Runs the operation again and again; the parent ends it.
[[noreturn]] void child(int operation) {
  emulator::set_options({});
  emulator::attach_thread();
  TestEnclave e;
  if (!e.ok()) _exit(1);
  enclave = &e;
  struct sigaction action{};
  action.sa_sigaction = tick;
  action.sa_flags = SA_SIGINFO;
  emulator::sigaction(kSignal, &action, nullptr);
  Call warm;
  e.call(kNop, warm);
  e.accept(e.dynamic(), kPendingRw);
  ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  for (;;) {
    const bool well = kOperations[operation].run();
    raise(SIGSTOP);
    if (!well || bad != 0) _exit(2);
    const std::uint64_t expected = inside;  // a signal may still come during the check itself
    Call count{.rcx = e.image() + 0x8100};
    e.call(kLoad, count);
    if (count.rax < expected) _exit(3);
  }
}

int wait_stop(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFSTOPPED(status)) return WSTOPSIG(status);
  if (WIFEXITED(status)) {
    printf("the child found an error (%d)\n", WEXITSTATUS(status));
  } else {
    printf("the child died of signal %d\n", WTERMSIG(status));
  }
  return 0;
}

// Lets the child run, handing it its signals, to its next SIGSTOP. False if it is gone.
bool run_to_marker(pid_t pid, int signal) {
  for (;;) {
    ptrace(PTRACE_CONT, pid, nullptr, signal);
    signal = wait_stop(pid);
    if (signal == 0) return false;
    if (signal == SIGSTOP) return true;
  }
}

// After a step over iretq the kernel no longer knows that TF is the tracer's, and leaves it set.
void clear_trap_flag(pid_t pid) {
  constexpr unsigned long kTrapFlag = 0x100;
  user_regs_struct regs{};
  ptrace(PTRACE_GETREGS, pid, nullptr, &regs);
  if ((regs.eflags & kTrapFlag) == 0) return;
  regs.eflags &= ~kTrapFlag;
  ptrace(PTRACE_SETREGS, pid, nullptr, &regs);
}

// One operation with the signal after `steps` instructions. 1: done; 0: it was over before; -1: failed.
int one(pid_t pid, int steps) {
  const auto finish = [&](int signal) {
    return run_to_marker(pid, signal) && run_to_marker(pid, 0) ? 1 : -1;  // its end, the next start
  };
  int signal = 0;
  for (int i = 0; i < steps; i++) {
    ptrace(PTRACE_SINGLESTEP, pid, nullptr, signal);
    signal = wait_stop(pid);
    if (signal == 0) return -1;
    if (signal == SIGSTOP) return 0;
    if (signal != SIGTRAP) continue;
    signal = 0;
    clear_trap_flag(pid);
  }
  return finish(signal != 0 ? signal : kSignal);  // a fault of the enclave goes first
}

}  // namespace

int main() {
  int failures = 0;
  for (int operation = 0; operation < 4; operation++) {
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) child(operation);
    const int first = wait_stop(pid);
    if (first == 0 || (first != SIGSTOP && !run_to_marker(pid, first))) return 1;
    int steps = 1, result = 1;
    while (result == 1 && steps < kMaxSteps) result = one(pid, steps++);
    printf("%s: signals at each of %d instructions: %s\n", kOperations[operation].name, steps - 2,
           result == 0 ? "well" : "FAILED");
    if (result != 0) failures++;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  return failures == 0 ? 0 : 1;
}
