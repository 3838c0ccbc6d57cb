// Errors of the untrusted tools: one sentence for people, without a full stop and without a
// program's name.
//
// A message says what could not be done, to which file or key, and why; where there is one, it says
// what to do. The command prints it behind `occlum: ` and ends with status 125, so no message holds
// a newline.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>
#include <utility>

namespace image {

template <typename T>
using Result = std::expected<T, std::string>;

template <typename... Args>
std::unexpected<std::string> fail(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(fmt::format(format, std::forward<Args>(args)...));
}

// `what`: errno in words, as in "cannot read image/x: Permission denied".
template <typename... Args>
std::unexpected<std::string> fail_errno(int error, fmt::format_string<Args...> format,
                                        Args&&... args) {
  return std::unexpected(
      fmt::format("{}: {}", fmt::format(format, std::forward<Args>(args)...), strerror(error)));
}

}  // namespace image

// The value of a Result, or return of its error from the calling function.
#define IMAGE_TRY(expression)                                               \
  ({                                                                        \
    auto image_try_ = (expression);                                         \
    if (!image_try_) return std::unexpected(std::move(image_try_.error())); \
    *std::move(image_try_);                                                 \
  })
