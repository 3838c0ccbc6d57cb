// The trace of system calls (OCCLUM_LOG_LEVEL=trace).
//
//     [pid 2] openat(AT_FDCWD, "/etc/passwd", 0x0, 0) = 3
//     [pid 2] openat(AT_FDCWD, "/etc/shadow", 0x0, 0) = -1 EACCES
//
// Arguments are shown by their types in table.def, as they were before the call: strings are copied under the same
// checks as the call's own copy, so a bad pointer shows as an address.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>

#include "libos/lib/log.h"
#include "libos/syscall/dispatch.h"

namespace occlum {

// Collects one line; what does not fit is cut off.
class TraceLine {
 public:
  explicit TraceLine(std::span<char> buffer) : buffer_(buffer) {}
  std::string_view text() const {
    return std::string_view(buffer_.begin(), buffer_.begin() + used_);
  }

  template <typename... Args>
  void add(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
    used_ += static_cast<ptrdiff_t>(
        format_to(buffer_.subspan(static_cast<size_t>(used_)), format, args...).size());
  }

  void begin(Pid tid, std::string_view name);
  void end_with(const Result<long>& result);

  // One argument of each kind.
  template <std::integral T>
  void show(T value) {
    separate();
    add("{}", value);
  }
  void show(Fd fd);
  void show(Flags flags);
  void show(Mode mode);
  void show(SignalNumber signal);
  void show(ClockId clock);
  void show(UserAddress address);
  void show(UserString string);
  template <UserData T>
  void show(UserIn<T> in) {
    show(in.address());
  }
  template <UserData T>
  void show(UserOut<T> out) {
    show(out.address());
  }
  template <UserData T>
  void show(UserInOut<T> both) {
    show(both.address());
  }
  // The bytes in double quotes, what is not printable escaped as C does.
  void add_quoted(std::string_view text);

 private:
  void separate();
  std::span<char> buffer_;
  ptrdiff_t used_ = 0;
  bool has_arguments_ = false;
};

// "SIGINT", "SIGRT_3"; empty for what is no signal.
std::string_view signal_name(int signal);

}  // namespace occlum
