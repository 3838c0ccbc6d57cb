// The instructions that C++ has no name for, and that are legal in an enclave. (SDM vol. 2)
// Invariant: none of them touches memory or control flow (UD2 ends it).
#pragma once

#include <cstdint>

namespace occlum {

inline uint64_t read_tsc() {
  uint32_t low = 0, high = 0;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  return (static_cast<uint64_t>(high) << 32) | low;
}

// False when the processor has no random number at the moment.
inline bool read_random(uint64_t& value) {
  bool ok = false;
  asm volatile("rdrand %0" : "=r"(value), "=@ccc"(ok));
  return ok;
}

inline void undefined_instruction() { asm volatile("ud2"); }

}  // namespace occlum
