// Prot: the permissions of a page or a mapping.
#pragma once

#include <cstdint>

namespace occlum {

// PROT_* bits of mmap(2).
enum class Prot : uint8_t { kNone = 0, kRead = 1, kWrite = 2, kExec = 4 };
constexpr Prot operator|(Prot a, Prot b) {
  return static_cast<Prot>(static_cast<uint8_t>(a) | static_cast<uint8_t>(b));
}
constexpr Prot operator&(Prot a, Prot b) {
  return static_cast<Prot>(static_cast<uint8_t>(a) & static_cast<uint8_t>(b));
}
constexpr bool has(Prot set, Prot bit) { return (set & bit) == bit; }

}  // namespace occlum
