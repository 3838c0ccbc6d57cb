// SHA-256 (FIPS 180-4).
//
// The class is portable: general-purpose registers only, for any code. sha256_shani and
// sha256_page_shani use the SHA instructions, and so vector registers: call them in an XstateScope,
// on a processor that has SHA-NI (and SSE4.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "libos/lib/bits.h"
#include "libos/lib/sha256_constants.h"

namespace occlum {

inline constexpr std::size_t kSha256Bytes = 32;
inline constexpr std::size_t kSha256BlockBytes = 64;
using Sha256Digest = std::array<std::byte, kSha256Bytes>;

class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);

  // The digest of everything so far. The object is then as new.
  Sha256Digest finish();

  static Sha256Digest of(std::span<const std::byte> bytes);

 private:
  std::array<std::uint32_t, 8> state_ = kSha256Initial;
  std::array<std::byte, kSha256BlockBytes> pending_ = {};
  std::uint64_t length_ = 0;  // bytes so far; length_ % 64 of them are in pending_
};

// The digest of `prefix` followed by `bytes` (a salted hash: dm-verity's, say).
Sha256Digest sha256_shani(std::span<const std::byte> prefix, std::span<const std::byte> bytes);

// The same for one page.
Sha256Digest sha256_page_shani(std::span<const std::byte> prefix,
                               std::span<const std::byte, kPageSize> page);

}  // namespace occlum
