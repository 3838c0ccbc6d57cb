// personality(2): what of it has an effect here (include/uapi/linux/personality.h). Addresses are not random, so that
// ADDR_NO_RANDOMIZE is always so; where programs lie is the LibOS's choice, whatever ADDR_COMPAT_LAYOUT and its like say.
#pragma once

#include <cstdint>

namespace occlum {

constexpr uint32_t kUname26 = 0x0020000, kAddrNoRandomize = 0x0040000, kMmapPageZero = 0x0100000,
                   kAddrCompatLayout = 0x0200000, kReadImpliesExec = 0x0400000;

// Programs that run with other rights than their parent start without these.
constexpr uint32_t kClearedOnSetId =
    kReadImpliesExec | kAddrNoRandomize | kAddrCompatLayout | kMmapPageZero;

// PER_LINUX32, with flags or without: uname(2) says that this is a 32-bit machine.
constexpr bool is_linux32(uint32_t personality) {
  constexpr uint32_t kKind = 0xff, kLinux32 = 8;
  return (personality & kKind) == kLinux32;
}

}  // namespace occlum
