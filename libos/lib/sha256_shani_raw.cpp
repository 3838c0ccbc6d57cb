// SHA-256 with the SHA instructions (Intel SDM volume 2: SHA256RNDS2, SHA256MSG1, SHA256MSG2). It
// uses vector registers: it runs only inside an XstateScope. Only the functions between the pragmas
// are compiled for them; compiled so as a whole, the file would lend the rest of the LibOS
// vectorised copies of inline functions.
//
// The instructions want the state as two vectors, ABEF and CDGH, and do two rounds at a time.
//
// Invariant of the raw part: vectors are loaded and stored unaligned, at spans of exactly 16 bytes
// (or 4 words).
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <span>

#include "libos/lib/bytes.h"
#include "libos/lib/sha256.h"

#pragma clang unsafe_buffer_usage begin
#pragma clang attribute push(__attribute__((target("sha,sse4.1"))), apply_to = function)

namespace occlum {
namespace {

__m128i load(std::span<const std::byte, 16> bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data()));
}

__m128i load_words(std::span<const std::uint32_t, 4> words) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(words.data()));
}

void store_words(std::span<std::uint32_t, 4> words, __m128i value) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(words.data()), value);
}

class ShaniState {
 public:
  ShaniState() {
    const __m128i dcba = load_words(std::span(kSha256Initial).first<4>());
    const __m128i hgfe = load_words(std::span(kSha256Initial).last<4>());
    const __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    abef_ = _mm_alignr_epi8(cdab, efgh, 8);
    cdgh_ = _mm_blend_epi16(efgh, cdab, 0xf0);
  }

  void compress(std::span<const std::byte, kSha256BlockBytes> block) {
    const __m128i abef_before = abef_;
    const __m128i cdgh_before = cdgh_;
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    // The last 16 words of the message schedule, four to a vector, oldest first.
    __m128i w0 = _mm_shuffle_epi8(load(block.subspan<0, 16>()), big_endian);
    __m128i w1 = _mm_shuffle_epi8(load(block.subspan<16, 16>()), big_endian);
    __m128i w2 = _mm_shuffle_epi8(load(block.subspan<32, 16>()), big_endian);
    __m128i w3 = _mm_shuffle_epi8(load(block.subspan<48, 16>()), big_endian);
#pragma clang loop unroll(full)
    for (std::size_t i = 0; i < 64; i += 4) {
      four_rounds(w0, i);
      __m128i next = _mm_sha256msg1_epu32(w0, w1);
      next = _mm_add_epi32(next, _mm_alignr_epi8(w3, w2, 4));
      next = _mm_sha256msg2_epu32(next, w3);
      w0 = w1;
      w1 = w2;
      w2 = w3;
      w3 = next;
    }
    abef_ = _mm_add_epi32(abef_, abef_before);
    cdgh_ = _mm_add_epi32(cdgh_, cdgh_before);
  }

  Sha256Digest digest() const {
    const __m128i feba = _mm_shuffle_epi32(abef_, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(cdgh_, 0xb1);
    std::array<std::uint32_t, 8> words;
    store_words(std::span(words).first<4>(), _mm_blend_epi16(feba, dchg, 0xf0));
    store_words(std::span(words).last<4>(), _mm_alignr_epi8(dchg, feba, 8));
    Sha256Digest result;
    for (std::size_t i = 0; i < words.size(); ++i) {
      store_be<std::uint32_t>(std::span(result).subspan(4 * i), words[i]);
    }
    return result;
  }

 private:
  void four_rounds(__m128i words, std::size_t round) {
    const std::span<const std::uint32_t, 4> constants =
        std::span(kSha256Constants).subspan(round).first<4>();
    __m128i sum = _mm_add_epi32(words, load_words(constants));
    cdgh_ = _mm_sha256rnds2_epu32(cdgh_, abef_, sum);
    sum = _mm_shuffle_epi32(sum, 0x0e);
    abef_ = _mm_sha256rnds2_epu32(abef_, cdgh_, sum);
  }

  __m128i abef_;
  __m128i cdgh_;
};

}  // namespace

Sha256Digest sha256_shani(std::span<const std::byte> prefix, std::span<const std::byte> bytes) {
  ShaniState state;
  std::array<std::byte, 2 * kSha256BlockBytes> pending = {};
  std::size_t held = 0;
  const std::uint64_t bits = (prefix.size() + bytes.size()) * 8;
  for (std::span<const std::byte> rest : {prefix, bytes}) {
    if (held != 0) {
      const std::size_t taken = std::min(rest.size(), kSha256BlockBytes - held);
      copy_bytes(std::span(pending).subspan(held), rest.first(taken));
      rest = rest.subspan(taken);
      held += taken;
      if (held < kSha256BlockBytes) continue;
      state.compress(std::span(pending).first<kSha256BlockBytes>());
    }
    while (rest.size() >= kSha256BlockBytes) {
      state.compress(rest.first<kSha256BlockBytes>());
      rest = rest.subspan(kSha256BlockBytes);
    }
    copy_bytes(pending, rest);
    held = rest.size();
  }

  // The padding: one bit, zeros, the length in bits; one or two blocks.
  const std::size_t end = held + 9 <= kSha256BlockBytes ? kSha256BlockBytes : pending.size();
  zero_bytes(std::span(pending).subspan(held));
  pending[held] = std::byte{0x80};
  store_be<std::uint64_t>(std::span(pending).subspan(end - 8), bits);
  state.compress(std::span(pending).first<kSha256BlockBytes>());
  if (end > kSha256BlockBytes) state.compress(std::span(pending).last<kSha256BlockBytes>());
  return state.digest();
}

Sha256Digest sha256_page_shani(std::span<const std::byte> prefix,
                               std::span<const std::byte, kPageSize> page) {
  return sha256_shani(prefix, page);
}

}  // namespace occlum

#pragma clang attribute pop
#pragma clang unsafe_buffer_usage end
