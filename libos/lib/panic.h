// The end of the road. A panic says what broke and stops the enclave; it never returns and never
// allocates.
//
// `panic_write` is implemented by arch (the enclave writes to the host and exits for good; the
// hosted tests print and abort). `panic` with a format string is in log.h; this header has no
// dependencies so that every other may use it.
#pragma once

#include <string_view>

namespace occlum {

[[noreturn]] void panic_write(std::string_view message);

// Out of line so that a check costs its caller one branch and one call.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace occlum

// Checked in every build: an invariant of the LibOS itself, never a property of what a user or the
// host supplied.
#define ASSERT(condition)                                              \
  do {                                                                 \
    if (!(condition)) [[unlikely]]                                     \
      ::occlum::assertion_failed(#condition, __FILE_NAME__, __LINE__); \
  } while (false)
