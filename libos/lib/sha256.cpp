// SHA-256 in general-purpose registers, after FIPS 180-4 section 6.2.
#include "libos/lib/sha256.h"

#include <algorithm>
#include <bit>

#include "libos/lib/bytes.h"
#include "libos/lib/sha256_constants.h"

namespace occlum {
namespace {

using State = std::array<std::uint32_t, 8>;

void compress(State& state, std::span<const std::byte, kSha256BlockBytes> block) {
  std::array<std::uint32_t, 64> w;
  for (std::size_t i = 0; i < 16; ++i) w[i] = load_be<std::uint32_t>(block.subspan(4 * i, 4));
  for (std::size_t i = 16; i < 64; ++i) {
    const std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
    const std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }

  auto [a, b, c, d, e, f, g, h] = state;
  for (std::size_t i = 0; i < 64; ++i) {
    const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kSha256Constants[i] + w[i];
    const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const State working = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < state.size(); ++i) state[i] += working[i];
}

}  // namespace

void Sha256::update(std::span<const std::byte> bytes) {
  const std::size_t held = length_ % kSha256BlockBytes;
  length_ += bytes.size();
  if (held != 0) {
    const std::size_t taken = std::min(bytes.size(), kSha256BlockBytes - held);
    copy_bytes(std::span(pending_).subspan(held), bytes.first(taken));
    bytes = bytes.subspan(taken);
    if (held + taken < kSha256BlockBytes) return;
    compress(state_, pending_);
  }
  while (bytes.size() >= kSha256BlockBytes) {
    compress(state_, bytes.first<kSha256BlockBytes>());
    bytes = bytes.subspan(kSha256BlockBytes);
  }
  copy_bytes(pending_, bytes);
}

Sha256Digest Sha256::finish() {
  constexpr std::size_t kLengthAt = kSha256BlockBytes - sizeof(std::uint64_t);
  const std::uint64_t bits = length_ * 8;
  std::size_t held = length_ % kSha256BlockBytes;
  pending_[held] = std::byte{0x80};
  ++held;
  if (held > kLengthAt) {
    zero_bytes(std::span(pending_).subspan(held));
    compress(state_, pending_);
    held = 0;
  }
  zero_bytes(std::span(pending_).subspan(held));
  store_be<std::uint64_t>(std::span(pending_).subspan(kLengthAt), bits);
  compress(state_, pending_);

  Sha256Digest digest;
  for (std::size_t i = 0; i < state_.size(); ++i) {
    store_be<std::uint32_t>(std::span(digest).subspan(4 * i), state_[i]);
  }
  // The state may be that of a key.
  secure_zero(pending_);
  state_ = kSha256Initial;
  length_ = 0;
  return digest;
}

Sha256Digest Sha256::of(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

}  // namespace occlum
