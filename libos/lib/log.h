// Logging, panics and formatting.
//
//     log_error("open {}: {}", name, error);        panic("no vCPU {:x}", id);
//     std::string_view text = format_to(buffer, "{} kB", size / 1024);
//
// A format knows `{}`, `{:x}` (lower-case hexadecimal, no prefix), `{{` and `}}`; it is checked
// against the arguments when compiled. Arguments: integers, bool, char, text (std::string_view,
// const char*, String), Errno (its name), other enums (their number), pointers (0x...). Nothing
// allocates; what does not fit is cut off. A log line is at most kLogLineBytes. arch implements
// log_write (and panic_write: panic.h).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "libos/lib/errno.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/panic.h"
#include "libos/lib/string.h"

namespace occlum {

enum class LogLevel : std::uint8_t { kOff, kError, kWarn, kInfo, kDebug, kTrace };

inline constexpr std::size_t kLogLineBytes = 512;

// The most detailed level that is written.
extern constinit std::atomic<LogLevel> log_level;

inline bool log_enabled(LogLevel level) {
  return level <= log_level.load(std::memory_order_relaxed);
}

// One line, without a newline, at a level that is enabled. Implemented by arch; may be called with
// any locks held.
void log_write(LogLevel level, std::string_view line);

// One argument of a format, its type erased. Text is borrowed.
class FormatArgument {
 public:
  enum class Kind : std::uint8_t { kUnsigned, kSigned, kBool, kChar, kText, kPointer };

  template <std::same_as<bool> T>  // a template, so that nothing converts to bool on the way in
  FormatArgument(T value) : kind_(Kind::kBool), number_(value ? 1 : 0) {}
  FormatArgument(char value) : kind_(Kind::kChar), number_(static_cast<unsigned char>(value)) {}
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  FormatArgument(T value) : kind_(Kind::kUnsigned), number_(value) {}
  template <std::signed_integral T>
  FormatArgument(T value)
      : kind_(Kind::kSigned),
        bits_(sizeof(T) * 8),
        number_(static_cast<std::uint64_t>(static_cast<std::int64_t>(value))) {}
  FormatArgument(std::string_view text) : kind_(Kind::kText), text_(text) {}
  FormatArgument(const char* text) : kind_(Kind::kText), text_(text == nullptr ? "(null)" : text) {}
  FormatArgument(const String& text) : kind_(Kind::kText), text_(text.view()) {}
  FormatArgument(Errno error) : kind_(Kind::kText), text_(errno_name(error)) {}
  template <typename T>
    requires std::is_enum_v<T>
  FormatArgument(T value) : FormatArgument(widened(value)) {}
  FormatArgument(const void* pointer)
      : kind_(Kind::kPointer), number_(__builtin_bit_cast(std::uint64_t, pointer)) {}

  Kind kind() const { return kind_; }
  std::uint64_t number() const { return number_; }
  unsigned bits() const { return bits_; }
  std::string_view text() const { return text_; }

 private:
  // An enumerator's number, never shown as a character or a bool.
  template <typename T>
  static auto widened(T value) {
    using Number = std::underlying_type_t<T>;
    using Wide = std::conditional_t<std::is_signed_v<Number>, std::int64_t, std::uint64_t>;
    return static_cast<Wide>(static_cast<Number>(value));
  }

  Kind kind_;
  std::uint8_t bits_ = 64;
  std::uint64_t number_ = 0;
  std::string_view text_;
};

// A literal whose fields were counted when it was compiled.
template <typename... Args>
class FormatString {
 public:
  template <std::size_t N>
  consteval FormatString(const char (&literal)[N]) : text_(literal, N - 1) {
    if (fields(text_) != sizeof...(Args)) wrong_number_of_arguments();
  }
  std::string_view text() const { return text_; }

 private:
  // Not constexpr: reaching one stops the compilation and names the mistake.
  static void wrong_number_of_arguments() {}
  static void unknown_format() {}

  static consteval std::size_t fields(std::string_view text) {
    std::size_t count = 0;
    while (!text.empty()) {
      if (text.starts_with("{{") || text.starts_with("}}")) {
        text.remove_prefix(2);
      } else if (text.starts_with("{}")) {
        text.remove_prefix(2);
        ++count;
      } else if (text.starts_with("{:x}")) {
        text.remove_prefix(4);
        ++count;
      } else if (text.front() == '{' || text.front() == '}') {
        unknown_format();
      } else {
        text.remove_prefix(1);
      }
    }
    return count;
  }

  std::string_view text_;
};

namespace format_detail {

// Calls `emit` with the pieces of the formatted text, in order.
void format_pieces(FunctionRef<void(std::string_view)> emit, std::string_view format,
                   std::span<const FormatArgument> arguments);
std::string_view format_into(std::span<char> out, std::string_view format,
                             std::span<const FormatArgument> arguments);
Result<void> format_append(String& out, std::string_view format,
                           std::span<const FormatArgument> arguments);
void log_line(LogLevel level, std::string_view format, std::span<const FormatArgument> arguments);
[[noreturn]] void panic_line(std::string_view format, std::span<const FormatArgument> arguments);

template <typename... Args>
std::array<FormatArgument, sizeof...(Args)> pack(const Args&... args) {
  return {FormatArgument(args)...};
}

}  // namespace format_detail

// Returns the part of `out` that was written.
template <typename... Args>
std::string_view format_to(std::span<char> out, FormatString<std::type_identity_t<Args>...> format,
                           const Args&... args) {
  return format_detail::format_into(out, format.text(), format_detail::pack(args...));
}

// Appends to a String; on kNoMem a part may have been appended.
template <typename... Args>
Result<void> append_format(String& out, FormatString<std::type_identity_t<Args>...> format,
                           const Args&... args) {
  return format_detail::format_append(out, format.text(), format_detail::pack(args...));
}

template <typename... Args>
[[noreturn]] void panic(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
  format_detail::panic_line(format.text(), format_detail::pack(args...));
}

template <typename... Args>
void log_at(LogLevel level, FormatString<std::type_identity_t<Args>...> format,
            const Args&... args) {
  if (log_enabled(level)) [[unlikely]]
    format_detail::log_line(level, format.text(), format_detail::pack(args...));
}

// Written whatever the level is: for what must not go unnoticed (an image that was changed).
template <typename... Args>
void log_always(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
  std::array<char, kLogLineBytes> line;
  log_write(LogLevel::kError, format_to<Args...>(line, format, args...));
}
template <typename... Args>
void log_error(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
  log_at<Args...>(LogLevel::kError, format, args...);
}
template <typename... Args>
void log_warn(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
  log_at<Args...>(LogLevel::kWarn, format, args...);
}
template <typename... Args>
void log_info(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
  log_at<Args...>(LogLevel::kInfo, format, args...);
}
template <typename... Args>
void log_debug(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
  log_at<Args...>(LogLevel::kDebug, format, args...);
}
template <typename... Args>
void log_trace(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
  log_at<Args...>(LogLevel::kTrace, format, args...);
}

}  // namespace occlum
