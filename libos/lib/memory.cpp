// See memory.h.
#include "libos/lib/memory.h"

namespace occlum {

bool constant_time_equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  if (a.size() != b.size()) return false;
  std::byte difference{0};
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |= a[i] ^ b[i];
    asm volatile("" : "+r"(difference));  // keeps the compiler from leaving the loop early
  }
  return difference == std::byte{0};
}

}  // namespace occlum
