// A fault that comes again although nothing is wrong any more: the host had changed its page tables, or another vCPU was
// quicker. A program, or the LibOS, just tries again; but a host that denies for ever what it said it granted would keep
// it trying for ever, so somebody counts.
//
// What counts is a fault without progress: with exactly the registers of the one before and the same number of whatever
// its owner counts its progress by (system calls, returns to programs). A string instruction that moves on, a loop
// that counts, a second use of the same code start anew. Faults with progress in between may be any number.
//
// The host decides when a fault comes, so this detects a loss of service and protects nothing.
#pragma once

#include <cstdint>

#include "libos/arch/registers.h"
#include "libos/lib/bytes.h"

namespace occlum {

// Zero is its initial state.
class RepeatedFault {
 public:
  // How often the fault with these registers came in a row, this time included.
  uint32_t note(const UserRegisters& registers, uint64_t progress) {
    const uint64_t state = digest(registers, progress);
    if (state != state_) count_ = 0;
    state_ = state;
    return ++count_;
  }
  void forget() { count_ = 0; }

 private:
  // Two states that look alike only make us count too far, once.
  static uint64_t digest(const UserRegisters& registers, uint64_t progress) {
    constexpr uint64_t kFactor = 0x9e3779b97f4a7c15;
    uint64_t state = progress;
    std::span<const std::byte> rest = object_bytes(registers);
    for (; !rest.empty(); rest = rest.subspan(sizeof(uint64_t))) {
      const unsigned __int128 product =
          static_cast<unsigned __int128>(state ^ load_le<uint64_t>(rest)) * kFactor;
      state = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
    }
    return state;
  }

  uint64_t state_;
  uint32_t count_;
};

}  // namespace occlum
