// Options, the cost model's delays, strict mode's dice, statistics, and how the emulator dies.
#include <unistd.h>
#include <x86intrin.h>

#include <ctime>

#include "emulator/internal.h"
#include "emulator/raw_syscall.h"

std::uint8_t emu_fast_path = 1;
std::uint8_t emu_costs = 0;

namespace emulator {
namespace {

Options current;
bool frozen = false;  // the device has been opened
std::uint64_t ticks_per_1024ns =
    0;  // integers: leaves spend too, and must leave vector registers alone

std::uint64_t measure_tsc() {
  timespec a{}, b{};
  std::uint64_t elapsed = 0;
  clock_gettime(CLOCK_MONOTONIC, &a);
  const auto start = __rdtsc();
  do {
    clock_gettime(CLOCK_MONOTONIC, &b);
    elapsed =
        static_cast<std::uint64_t>((b.tv_sec - a.tv_sec) * 1'000'000'000 + b.tv_nsec - a.tv_nsec);
  } while (elapsed < 2'000'000);
  return (__rdtsc() - start) * 1024 / elapsed;
}

bool any(const CostModel& c) {
  return (c.enter | c.exit | c.aex | c.eaug | c.emodpr | c.eadd | c.eextend | c.leaf) != 0;
}

}  // namespace

const Options& options() { return current; }

void freeze_options() { frozen = true; }

void set_options(const Options& wanted) {
  const bool fast = frozen ? current.fast_path : wanted.fast_path;
  const bool huge = frozen ? current.huge_pages : wanted.huge_pages;
  current = wanted;
  current.fast_path = fast;
  current.huge_pages = huge;
  emu_fast_path = fast;
  emu_costs = (current.cost.enter | current.cost.exit) != 0;
  if (any(current.cost) && ticks_per_1024ns == 0) ticks_per_1024ns = measure_tsc();
}

void spend(std::uint32_t nanoseconds) {
  if (nanoseconds == 0) return;
  const auto until = __rdtsc() + (nanoseconds * ticks_per_1024ns >> 10);
  while (__rdtsc() < until) __builtin_ia32_pause();
}

// splitmix64.
std::uint64_t next_random(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

bool inject(ThreadBlock& thread, std::uint32_t one_in) {
  if (!current.strict || next_random(thread.random) % one_in != 0) return false;
  thread.injected_count++;
  return true;
}

void die(const char* what, std::uint64_t a, std::uint64_t b) {
  // In any context, so by hand.
  char text[256];
  std::size_t used = 0;
  const auto put = [&](const char* s) {
    while (*s != 0 && used < sizeof text - 1) text[used++] = *s++;
  };
  const auto hex = [&](std::uint64_t value) {
    put(" 0x");
    for (int shift = 60; shift >= 0; shift -= 4) {
      if (used < sizeof text - 1) text[used++] = "0123456789abcdef"[(value >> shift) & 15];
    }
  };
  put("software SGX: ");
  put(what);
  hex(a);
  hex(b);
  put("\n");
  raw::syscall(SYS_write, 2, text, used);
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    unsigned long mask;
  } action{};
  raw::syscall(SYS_rt_sigaction, SIGABRT, &action, nullptr, 8);
  const unsigned long none = 0;
  raw::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, 8);
  raw::syscall(SYS_tgkill, raw::syscall(SYS_getpid), raw::syscall(SYS_gettid), SIGABRT);
  raw::syscall(SYS_exit_group, 134);
  __builtin_unreachable();
}

}  // namespace emulator

// Called by fast.S before EENTER and ERESUME when a crossing costs: the way in and the way out at
// once.
void emu_spend_crossing() {
  emulator::spend(emulator::options().cost.enter + emulator::options().cost.exit);
}
