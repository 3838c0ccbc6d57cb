// What the process part needs of the layer above it for /proc/occlum/stats; implemented in syscall/dispatch.cpp.
#pragma once

#include "libos/fs/proc/counters.h"

namespace occlum {

// `syscall.NAME` for each system call that was made.
void report_syscall_counters(CounterReport report);

}  // namespace occlum
