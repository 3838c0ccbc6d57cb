// Result<T>: a value or an Errno. Every function of the LibOS that can fail returns one.
//
//     Result<size_t> length_of(int fd) {
//       RefPtr<File> file = TRY(files.get(fd));   // yields the value, or returns the error
//       if (!file->is_regular()) return Errno::kInval;
//       return file->size();
//     }
//
// It holds the value in a union, so that a Result<long> travels in two registers; error number 0,
// which is not an Errno, means that the value is there. Reading the wrong side panics. There are no
// results of references: use T*.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "libos/lib/errno.h"
#include "libos/lib/panic.h"

namespace occlum {

template <typename T>
class Result;

namespace result_detail {
template <typename T>
inline constexpr bool kIsResult = false;
template <typename T>
inline constexpr bool kIsResult<Result<T>> = true;

inline constexpr Errno kNone = static_cast<Errno>(0);

[[noreturn]] void value_of_error(Errno error);
[[noreturn]] void error_of_value();
[[noreturn]] void must_failed(const char* expression, Errno error);
}  // namespace result_detail

template <typename T>
class [[nodiscard]] Result {
  static_assert(std::is_object_v<T>, "a Result holds a value: use Result<T*> for a reference");
  static_assert(!std::same_as<std::remove_cv_t<T>, Errno>, "a Result<Errno> would be ambiguous");

 public:
  using Value = T;

  Result(Errno error) : error_(error) {
    if (error == result_detail::kNone) [[unlikely]]
      result_detail::error_of_value();
  }

  template <typename U = T>
    requires(std::constructible_from<T, U> && std::convertible_to<U, T> &&
             !result_detail::kIsResult<std::remove_cvref_t<U>> &&
             !std::same_as<std::remove_cvref_t<U>, Errno>)
  Result(U&& value) : value_(std::forward<U>(value)) {}

  // Result<RefPtr<Pipe>> becomes Result<RefPtr<File>>.
  template <typename U>
    requires(!std::same_as<U, T> && std::convertible_to<U &&, T>)
  Result(Result<U>&& other) : error_(other.is_error() ? other.error() : result_detail::kNone) {
    if (!other.is_error()) std::construct_at(std::addressof(value_), other.release_value());
  }

  Result(const Result&)
    requires(std::is_trivially_copy_constructible_v<T>)
  = default;
  Result(const Result&)
    requires(!std::is_trivially_copy_constructible_v<T>)
  = delete;
  Result& operator=(const Result&)
    requires(std::is_trivially_copyable_v<T> && std::is_copy_assignable_v<T>)
  = default;

  Result(Result&&)
    requires(std::is_trivially_move_constructible_v<T>)
  = default;
  Result(Result&& other)
    requires(!std::is_trivially_move_constructible_v<T>)
      : error_(other.error_) {
    if (!is_error()) std::construct_at(std::addressof(value_), std::move(other.value_));
  }

  Result& operator=(Result&& other)
    requires(!std::is_trivially_copyable_v<T>)
  {
    if (this != &other) {
      std::destroy_at(this);
      std::construct_at(this, std::move(other));
    }
    return *this;
  }

  ~Result()
    requires(std::is_trivially_destructible_v<T>)
  = default;
  ~Result()
    requires(!std::is_trivially_destructible_v<T>)
  {
    if (!is_error()) std::destroy_at(std::addressof(value_));
  }

  bool is_error() const { return error_ != result_detail::kNone; }

  Errno error() const {
    if (!is_error()) [[unlikely]]
      result_detail::error_of_value();
    return error_;
  }

  T& value() {
    require_value();
    return value_;
  }
  const T& value() const {
    require_value();
    return value_;
  }

  // Moves the value out; what is left behind is a moved-from value.
  T release_value() {
    require_value();
    return std::move(value_);
  }

 private:
  void require_value() const {
    if (is_error()) [[unlikely]]
      result_detail::value_of_error(error_);
  }

  union {
    T value_;
  };
  Errno error_ = result_detail::kNone;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using Value = void;

  Result() = default;
  Result(Errno error) : error_(error) {
    if (error == result_detail::kNone) [[unlikely]]
      result_detail::error_of_value();
  }

  bool is_error() const { return error_ != result_detail::kNone; }

  Errno error() const {
    if (!is_error()) [[unlikely]]
      result_detail::error_of_value();
    return error_;
  }

  void value() const {
    if (is_error()) [[unlikely]]
      result_detail::value_of_error(error_);
  }
  void release_value() const { value(); }

 private:
  Errno error_ = result_detail::kNone;
};

}  // namespace occlum

// Yields the value of a Result, or returns its error from the function (or lambda: give it a return
// type) it is in.
#define TRY(...)                                                              \
  ({                                                                          \
    auto&& occlum_try_result = (__VA_ARGS__);                                 \
    static_assert(!::std::is_lvalue_reference_v<decltype(occlum_try_result)>, \
                  "TRY consumes a Result: std::move it in");                  \
    if (occlum_try_result.is_error()) [[unlikely]]                            \
      return occlum_try_result.error();                                       \
    occlum_try_result.release_value();                                        \
  })

// Yields the value of a Result that cannot be an error here; panics if it is one.
#define MUST(...)                                                                     \
  ({                                                                                  \
    auto&& occlum_must_result = (__VA_ARGS__);                                        \
    if (occlum_must_result.is_error()) [[unlikely]]                                   \
      ::occlum::result_detail::must_failed(#__VA_ARGS__, occlum_must_result.error()); \
    occlum_must_result.release_value();                                               \
  })
