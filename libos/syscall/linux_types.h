// Structures and constants of the Linux system call ABI, x86-64 (asm-generic and uapi headers; man 2 pages).
// Only layouts that programs see; each has its size checked. Families add theirs in linux_<family>.h and are included
// here so that table.def can name them.
#pragma once

#include <cstdint>

namespace occlum {

struct Timespec {
  int64_t seconds;
  int64_t nanoseconds;
};
static_assert(sizeof(Timespec) == 16);

struct Timeval {
  int64_t seconds;
  int64_t microseconds;
};
static_assert(sizeof(Timeval) == 16);

}  // namespace occlum

#if __has_include("libos/syscall/linux_files.h")
#include "libos/syscall/linux_files.h"
#endif
#if __has_include("libos/syscall/linux_process.h")
#include "libos/syscall/linux_process.h"
#endif
#if __has_include("libos/syscall/linux_ipc.h")
#include "libos/syscall/linux_ipc.h"
#endif
#if __has_include("libos/syscall/linux_sysv.h")
#include "libos/syscall/linux_sysv.h"
#endif
