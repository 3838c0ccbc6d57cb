// Untrusted<T>: a value that the host gave. It does not convert to T; it becomes one only through a check, so that no
// host value is used unchecked by accident.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "libos/lib/result.h"

namespace occlum {

template <typename T>
class [[nodiscard]] Untrusted {
 public:
  constexpr explicit Untrusted(T value) : value_(std::move(value)) {}

  // The value when it is at most `limit` (and not negative), else `error`.
  Result<T> at_most(T limit, Errno error) const
    requires std::integral<T>
  {
    if (value_ > limit) return error;
    if constexpr (std::is_signed_v<T>) {
      if (value_ < 0) return error;
    }
    return value_;
  }

  Result<T> in_range(T low, T high, Errno error) const
    requires std::integral<T>
  {
    if (value_ < low || value_ > high) return error;
    return value_;
  }

  template <typename Predicate>
  Result<T> checked(Predicate&& predicate, Errno error) const {
    if (!predicate(value_)) return error;
    return value_;
  }

  // For values of which every one is harmless (a file's own bytes, a timestamp that is only shown). Say why at the use.
  constexpr const T& any_value_is_harmless() const { return value_; }

 private:
  T value_;
};

}  // namespace occlum
