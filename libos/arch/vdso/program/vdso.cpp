// The vDSO: the shared object that every program finds by AT_SYSINFO_EHDR. (vdso(7); Linux: lib/vdso/gettimeofday.c,
// arch/x86/entry/vdso)
//
// This is program code: it runs in user mode, in the program's context, on its stack and with its TLS, and is compiled
// apart from the LibOS with an ordinary processor's flags. It asks the time stamp counter and the constants that the
// LibOS left on the page behind the code; a clock that needs more goes to the LibOS by the system call, whose result,
// -errno, is what the C library expects of a vDSO function.
//
// GS is the vCPU block while a program runs in the enclave (libos/arch/enclave/vcpu.h): the vCPU's number is there.
#include "libos/arch/vdso/vdso_data.h"

namespace {

using occlum::VdsoData;

struct Timespec {
  int64_t seconds, nanoseconds;
};
struct Timeval {
  int64_t seconds, microseconds;
};
struct Timezone {
  int32_t minutes_west, dst_time;
};

constexpr uint64_t kSecond = 1'000'000'000;
constexpr int kRealtime = 0, kMonotonic = 1, kMonotonicRaw = 4, kRealtimeCoarse = 5,
              kMonotonicCoarse = 6, kBootTime = 7;
constexpr long kSysGettimeofday = 96, kSysTime = 201, kSysClockGettime = 228, kSysClockGetres = 229;

// Zeroes in the file; volatile, because the LibOS fills it in.
[[gnu::section(".vdso_data"), gnu::aligned(4096), gnu::used]] const volatile VdsoData data = {};

// `first`: a number of 64 bits or a pointer.
template <typename First>
long system_call(long number, First first, const void* second) {
  static_assert(sizeof(First) == sizeof(uint64_t));
  long result = number;
  asm volatile("syscall" : "+a"(result) : "D"(first), "S"(second) : "rcx", "r11", "memory");
  return result;
}

// Not before what stands before it has been executed, so that two threads that talk to each other never see the time
// go back (Linux: rdtsc_ordered).
uint64_t read_tsc() {
  uint32_t low, high;
  asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
  return static_cast<uint64_t>(high) << 32 | low;
}

uint64_t monotonic_ns() {
  const uint64_t tsc = read_tsc();
  const uint64_t base = data.tsc_base;
  const uint64_t ticks = tsc > base ? tsc - base : 0;
  const auto product = static_cast<unsigned __int128>(ticks) * data.multiplier;
  return data.monotonic_base + static_cast<uint64_t>(product >> data.shift);
}

// As the system call rounds it: never ahead of a precise clock that is read later (syscall/time_values.cpp).
constexpr uint64_t coarse(uint64_t ns) { return ns - ns % occlum::kCoarseClockResolution; }

// The clock's time in ns, or 0 when the LibOS has to be asked.
uint64_t read_clock(int clock) {
  if (data.multiplier == 0) return 0;
  switch (clock) {
    case kRealtime:
      return monotonic_ns() + data.realtime_offset;
    case kRealtimeCoarse:
      return coarse(monotonic_ns()) + data.realtime_offset;
    case kMonotonic:
    case kMonotonicRaw:
    case kBootTime:
      return monotonic_ns();
    case kMonotonicCoarse:
      return coarse(monotonic_ns());
    default:
      return 0;
  }
}

}  // namespace

extern "C" {

int __vdso_clock_gettime(int clock, Timespec* time) {
  const uint64_t now = read_clock(clock);
  if (now == 0)
    return static_cast<int>(system_call(kSysClockGettime, static_cast<uint64_t>(clock), time));
  time->seconds = static_cast<int64_t>(now / kSecond);
  time->nanoseconds = static_cast<int64_t>(now % kSecond);
  return 0;
}

int __vdso_gettimeofday(Timeval* time, Timezone* zone) {
  const uint64_t now = read_clock(kRealtime);
  if (now == 0) return static_cast<int>(system_call(kSysGettimeofday, time, zone));
  if (time != nullptr) {
    time->seconds = static_cast<int64_t>(now / kSecond);
    time->microseconds = static_cast<int64_t>(now % kSecond / 1000);
  }
  if (zone != nullptr) *zone = {0, 0};  // the system's time zone is UTC
  return 0;
}

int64_t __vdso_time(int64_t* time) {
  const uint64_t now = read_clock(kRealtime);
  if (now == 0) return system_call(kSysTime, time, nullptr);
  const auto seconds = static_cast<int64_t>(now / kSecond);
  if (time != nullptr) *time = seconds;
  return seconds;
}

int __vdso_clock_getres(int clock, Timespec* resolution) {
  uint64_t value = occlum::kClockResolution;
  switch (clock) {
    case kRealtimeCoarse:
    case kMonotonicCoarse:
      value = occlum::kCoarseClockResolution;
      break;
    case kRealtime:
    case kMonotonic:
    case kMonotonicRaw:
    case kBootTime:
      break;
    default:
      return static_cast<int>(
          system_call(kSysClockGetres, static_cast<uint64_t>(clock), resolution));
  }
  if (resolution != nullptr) *resolution = {0, static_cast<int64_t>(value)};
  return 0;
}

long __vdso_getcpu(unsigned* cpu, unsigned* node, void*) {
  unsigned index;
  asm volatile("movl %%gs:124, %0" : "=r"(index));
  if (cpu != nullptr) *cpu = index;
  if (node != nullptr) *node = 0;
  return 0;
}

// The names without a prefix, as Linux has them.
[[gnu::weak, gnu::alias("__vdso_clock_gettime")]] int clock_gettime(int, Timespec*);
[[gnu::weak, gnu::alias("__vdso_gettimeofday")]] int gettimeofday(Timeval*, Timezone*);
[[gnu::weak, gnu::alias("__vdso_time")]] int64_t time(int64_t*);
[[gnu::weak, gnu::alias("__vdso_clock_getres")]] int clock_getres(int, Timespec*);
[[gnu::weak, gnu::alias("__vdso_getcpu")]] long getcpu(unsigned*, unsigned*, void*);

}  // extern "C"
