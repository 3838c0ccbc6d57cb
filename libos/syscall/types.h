// The types of system call arguments, as table.def names them: how a register becomes an argument.
//
// Integers are truncated as the C ABI does (an `int` argument is the low 32 bits). Pointers become UserAddress,
// UserIn<T>, UserOut<T>, UserInOut<T> or UserString: addresses, unchecked until they are copied.
#pragma once

#include <cstdint>

#include "libos/lib/result.h"
#include "libos/mm/user.h"

namespace occlum {

class Thread;

// A file descriptor, and a directory descriptor that may be AT_FDCWD.
enum class Fd : int {};
constexpr Fd kAtCwd{-100};

// Flag words and modes: shown in hexadecimal and octal by the trace.
enum class Flags : uint32_t {};
enum class Mode : uint32_t {};
constexpr uint32_t bits(Flags flags) { return static_cast<uint32_t>(flags); }
constexpr uint32_t bits(Mode mode) { return static_cast<uint32_t>(mode); }
constexpr int number(Fd fd) { return static_cast<int>(fd); }

}  // namespace occlum
