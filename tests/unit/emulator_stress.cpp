// Stress: two threads cross the boundary millions of times while timers and another thread's
// signals land everywhere, each tick enters the interrupted enclave, and AVX-512 state is in flight
// on both sides. Nothing may change that should not: vector and general registers in the enclave
// over ticks and leaves, vector registers of the host over crossings, the count of handler entries.
//
//   emulator_stress [CROSSINGS] [--path=trap|--path=strict]
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/unit/emulator_enclave.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace {

const TestEnclave* enclave = nullptr;
const int kTimerSignal = SIGRTMIN, kOtherSignal = SIGUSR1;
constexpr long kTimerPeriod = 100'000;  // ns

thread_local int my_tcs = -1;
std::atomic<std::uint64_t> handled{0}, outside{0}, no_frame{0}, crossings{0}, wrong{0};

void complain(const char* what, std::uint64_t a = 0, std::uint64_t b = 0) {
  if (wrong++ < 10) printf("wrong: %s %lx %lx\n", what, a, b);
}

void tick(int, siginfo_t*, void* frame) {
  auto& g = static_cast<ucontext_t*>(frame)->uc_mcontext.gregs;
  const auto* rip = reinterpret_cast<const std::uint8_t*>(g[REG_RIP]);
  if (rip[0] != 0x0f || rip[1] != 0x01 || rip[2] != 0xd7 || g[REG_RAX] != kEresume) {
    outside++;
    return;
  }
  sgx_enclave_run run{};
  run.tcs = static_cast<std::uint64_t>(g[REG_RBX]);
  if (run.tcs != enclave->tcs(my_tcs)) complain("tick at another TCS", run.tcs);
  enclave->enter(run, kEenter, 0, nullptr, 0);
  if (run.function == kEexit) {
    handled++;
  } else if (run.function == kEenter && run.exception_vector == kVectorGp) {
    no_frame++;  // the tick met the CSSA=1 handler
  } else {
    complain("tick could not enter", run.function, run.exception_vector);
  }
}

void arm_timer() {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = kTimerSignal;
  event.sigev_notify_thread_id = static_cast<int>(syscall(SYS_gettid));
  timer_t timer;
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  const itimerspec every{.it_interval = {0, kTimerPeriod}, .it_value = {0, kTimerPeriod}};
  timer_settime(timer, 0, &every, nullptr);
}

bool has_avx512() { return (supported_xfrm() & sgx::xfrm::kAvx512) == sgx::xfrm::kAvx512; }

void cross(std::uint64_t pattern) {
  sgx_enclave_run run{};
  run.tcs = enclave->tcs(my_tcs);
  Call call;
  const Entry entry{emulator::enter_function(),
                    kNop,
                    reinterpret_cast<std::uint64_t>(&call),
                    0,
                    kEenter,
                    &run,
                    nullptr};
  if (has_avx512()) {
    if (const auto changed = cross_with_vectors(&entry, pattern); changed != 0) {
      complain("the host's vectors changed over a crossing", changed);
    }
  } else {
    enter_saving(&entry);
  }
  if (run.function != kEexit) complain("a crossing failed", run.function, run.exception_vector);
}

void work(int tcs, std::uint64_t rounds) {
  my_tcs = tcs;
  emulator::attach_thread();  // an entry that has to attach spoils vector registers
  arm_timer();
  const std::uint64_t level = has_avx512() ? 2 : 0;
  for (std::uint64_t i = 0; i < rounds; i++) {
    cross(i * 0x9e3779b97f4a7c15 + static_cast<std::uint64_t>(tcs));
    if (i % 64 == 0) {
      Call spin{.rcx = 2, .rdx = level};
      const auto run = enclave->call(kSpin, spin, tcs);
      if (run.function != kEexit || spin.rax != 0)
        complain("the enclave's vectors changed", spin.rax, run.function);
    }
    if (i % 128 == 0) {
      Call regs{.rcx = enclave->dynamic(), .rdx = 3, .secinfo = flag::kReg | 3};
      const auto run = enclave->call(kRegs, regs, tcs);
      if (run.function != kEexit || regs.result != 0)
        complain("the enclave's registers changed", regs.result);
    }
    if (i % 512 == 0) {
      Call c;
      const auto run = enclave->call(kUd2, c, tcs);
      if (run.exception_vector != kVectorUd) complain("no #UD", run.function, run.exception_vector);
      if (enclave->skip_and_resume(2, tcs).function != kEexit) complain("the call did not resume");
      handled++;
    }
  }
  crossings += rounds;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t total = 10'000'000;
  for (int i = 1; i < argc; i++) {
    const std::string_view argument = argv[i];
    if (argument == "--path=trap")
      trap_path = true;
    else if (argument == "--path=strict")
      strict = true;
    else
      total = std::strtoull(argv[i], nullptr, 10);
  }
  emulator::set_options({.fast_path = !trap_path, .strict = strict, .seed = 7});
  TestEnclave e;
  if (!e.ok()) return 1;
  enclave = &e;
  if (e.accept(e.dynamic(), kPendingRw) != 0) return 1;
  for (const int signal : {kTimerSignal, kOtherSignal}) {
    struct sigaction action{};
    action.sa_sigaction = tick;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    emulator::sigaction(signal, &action, nullptr);
  }

  timespec start{}, end{};
  clock_gettime(CLOCK_MONOTONIC, &start);
  std::atomic<bool> done{false};
  std::vector<std::thread> workers;
  for (int n = 0; n < 2; n++) workers.emplace_back(work, n, total / 2);
  std::thread disturber([&] {
    for (std::uint64_t i = 0; !done; i++) {
      pthread_kill(workers[i % 2].native_handle(), kOtherSignal);
      usleep(70);
    }
  });
  // The disturber must be gone before its targets are.
  while (crossings + 2 < total / 2 * 2 && wrong < 1000) usleep(1000);
  done = true;
  disturber.join();
  for (auto& worker : workers) worker.join();
  clock_gettime(CLOCK_MONOTONIC, &end);

  const double seconds = static_cast<double>(end.tv_sec - start.tv_sec) +
                         static_cast<double>(end.tv_nsec - start.tv_nsec) / 1e9;
  Call count{.rcx = e.image() + 0x8100};
  e.call(kLoad, count);
  if (count.rax != handled) complain("handler entries are miscounted", count.rax, handled);
  const auto s = emulator::statistics();
  printf(
      "%lu crossings in %.1f s: ticks in the enclave %lu, elsewhere %lu, in the handler %lu; AEX "
      "%lu, ERESUME %lu, "
      "traps %lu, deferred %lu, injected %lu; wrong: %lu\n",
      crossings.load(), seconds, handled.load(), outside.load(), no_frame.load(), s.aex, s.leaf[3],
      s.traps, s.deferred_ticks, s.injected, wrong.load());
  return wrong == 0 ? 0 : 1;
}
