// Copying, filling and comparing memory through spans; views of objects as bytes.
//
// The functions that the compiler itself calls (memcpy and friends) are in memory_functions.c. Code
// of the LibOS does not call those: it uses these, which know both sizes.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "libos/lib/memory_raw.h"
#include "libos/lib/panic.h"
#include "libos/lib/result.h"

namespace occlum {

// Copies all of `src` to the start of `dst`, which must be large enough (panics otherwise). They
// may overlap.
inline void copy_bytes(std::span<std::byte> dst, std::span<const std::byte> src) {
  ASSERT(dst.size() >= src.size());
  if (!src.empty()) __builtin_memmove(dst.data(), src.data(), src.size());
}

inline void copy_text(std::span<char> dst, std::string_view src) {
  copy_bytes(std::as_writable_bytes(dst), text_bytes(src));
}

inline void fill(std::span<std::byte> bytes, std::byte value) {
  if (!bytes.empty()) __builtin_memset(bytes.data(), std::to_integer<int>(value), bytes.size());
}

inline void zero_bytes(std::span<std::byte> bytes) { fill(bytes, std::byte{0}); }

// Zeroes what held a secret; the compiler does not drop it although nothing reads the bytes again.
inline void secure_zero(std::span<std::byte> bytes) {
  zero_bytes(bytes);
  asm volatile("" : : "r"(bytes.data()) : "memory");
}

inline bool bytes_equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || __builtin_memcmp(a.data(), b.data(), a.size()) == 0);
}

// For authentication tags: the time depends on the sizes only, never on where they differ.
bool constant_time_equal(std::span<const std::byte> a, std::span<const std::byte> b);

// An object whose bytes start `bytes`. Copied, so the source's alignment and later changes do not
// matter. kInval when there are too few.
template <typename T>
  requires std::is_trivially_copyable_v<T>
Result<T> read_object(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(T)) return Errno::kInval;
  T object;
  copy_bytes(writable_object_bytes(object), bytes.first(sizeof(T)));
  return object;
}

// The other way round: the object's bytes at the start of `out`. kInval when there is too little
// room.
template <typename T>
  requires std::is_trivially_copyable_v<T>
Result<void> write_object(std::span<std::byte> out, const T& object) {
  if (out.size() < sizeof(T)) return Errno::kInval;
  copy_bytes(out, object_bytes(object));
  return {};
}

}  // namespace occlum
