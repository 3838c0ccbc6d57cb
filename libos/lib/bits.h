// Alignment, pages and checked arithmetic.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "libos/lib/panic.h"

namespace occlum {

inline constexpr unsigned kPageShift = 12;
inline constexpr std::size_t kPageSize = std::size_t{1} << kPageShift;
inline constexpr std::size_t kPageMask = kPageSize - 1;

// `alignment` is a power of two throughout.
template <std::unsigned_integral T>
constexpr T align_down(T value, std::type_identity_t<T> alignment) {
  ASSERT(std::has_single_bit(alignment));
  return value & ~(alignment - 1);
}

// The caller knows that the result fits (panics otherwise); checked_align_up is for values that
// came from outside.
template <std::unsigned_integral T>
constexpr T align_up(T value, std::type_identity_t<T> alignment) {
  ASSERT(std::has_single_bit(alignment));
  const T result = static_cast<T>(value + (alignment - 1)) & static_cast<T>(~(alignment - 1));
  ASSERT(result >= value);
  return result;
}

template <std::unsigned_integral T>
constexpr std::optional<T> checked_align_up(T value, std::type_identity_t<T> alignment) {
  ASSERT(std::has_single_bit(alignment));
  const T result = static_cast<T>(value + (alignment - 1)) & static_cast<T>(~(alignment - 1));
  if (result < value) return std::nullopt;
  return result;
}

template <std::unsigned_integral T>
constexpr bool is_aligned(T value, std::type_identity_t<T> alignment) {
  ASSERT(std::has_single_bit(alignment));
  return (value & (alignment - 1)) == 0;
}

// How many units of `divisor` hold `value`; does not overflow.
template <std::unsigned_integral T>
constexpr T ceil_div(T value, std::type_identity_t<T> divisor) {
  ASSERT(divisor != 0);
  return value / divisor + (value % divisor != 0 ? 1 : 0);
}

template <std::integral T>
constexpr std::optional<T> checked_add(T a, std::type_identity_t<T> b) {
  T result;
  if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
  return result;
}

template <std::integral T>
constexpr std::optional<T> checked_sub(T a, std::type_identity_t<T> b) {
  T result;
  if (__builtin_sub_overflow(a, b, &result)) return std::nullopt;
  return result;
}

template <std::integral T>
constexpr std::optional<T> checked_mul(T a, std::type_identity_t<T> b) {
  T result;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

}  // namespace occlum
