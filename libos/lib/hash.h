// Hashes for hash tables: keyed, so that whoever chooses file names or addresses cannot choose
// collisions.
//
// Bytes go through SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012; the
// 1-3 variant is what Rust and Python use for tables). Integers go through two rounds of multiply
// and fold with the same key. The key is drawn once at start, before any table exists
// (seed_hashes); in-memory only: nothing that is stored depends on it.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "libos/lib/memory.h"
#include "libos/lib/string.h"

namespace occlum {

struct HashKey {
  std::uint64_t k0 = 0;
  std::uint64_t k1 = 0;
};

// The key of all tables.
extern constinit HashKey hash_key;

// Call once at start, before the first insertion into any HashMap.
void seed_hashes();

std::uint64_t siphash13(HashKey key, std::span<const std::byte> bytes);

inline std::uint64_t hash_integer(std::uint64_t value) {
  const auto fold = [](std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  };
  const std::uint64_t once = fold(value ^ hash_key.k0 ^ 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93);
  return fold(once ^ hash_key.k1, 0xa0761d6478bd642f);
}

inline std::uint64_t hash_combine(std::uint64_t a, std::uint64_t b) {
  return hash_integer(a ^ (b + 0x9e3779b97f4a7c15 + (a << 6) + (a >> 2)));
}

// What HashMap calls. A class becomes a key by a `std::uint64_t hash() const` member and
// operator==. A String and a std::string_view of the same text hash alike.
template <typename T>
  requires(std::is_integral_v<T> || std::is_enum_v<T>)
std::uint64_t hash_of(T value) {
  return hash_integer(static_cast<std::uint64_t>(value));
}
template <typename T>
std::uint64_t hash_of(T* pointer) {
  return hash_integer(__builtin_bit_cast(std::uint64_t, pointer));
}
inline std::uint64_t hash_of(std::string_view text) {
  return siphash13(hash_key, text_bytes(text));
}
inline std::uint64_t hash_of(const String& text) { return hash_of(text.view()); }
template <typename T>
  requires requires(const T& value) {
    { value.hash() } -> std::same_as<std::uint64_t>;
  }
std::uint64_t hash_of(const T& value) {
  return value.hash();
}

}  // namespace occlum
