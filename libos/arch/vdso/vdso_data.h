// The clock constants that the vDSO reads: written once by the LibOS, on the last page of the vDSO's image. Used by both
// sides, so plain numbers and nothing included but <stdint.h>.
#pragma once

#include <stdint.h>

namespace occlum {

// CLOCK_MONOTONIC in ns is monotonic_base + ((tsc - tsc_base) * multiplier >> shift), the product in 128 bits;
// CLOCK_REALTIME is that plus realtime_offset. The same formula as machine_monotonic_ns().
struct VdsoData {
  uint64_t tsc_base;
  uint64_t multiplier;  // 0: not filled in yet, every call goes to the LibOS
  uint64_t shift;
  uint64_t monotonic_base;   // ns
  uint64_t realtime_offset;  // ns
};

// What clock_getres(2) says, ns: the precise clocks, and the coarse ones (Linux's tick at 250 Hz).
constexpr uint64_t kClockResolution = 1;
constexpr uint64_t kCoarseClockResolution = 4'000'000;

// Where things lie in the image: vdso.lds puts them there.
constexpr uint64_t kVdsoDataOffset = 4096;
constexpr uint64_t kVdsoImageSize = 8192;

}  // namespace occlum
