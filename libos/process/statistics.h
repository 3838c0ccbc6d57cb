// What the process part tells /proc/occlum/stats.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/fs/proc/counters.h"

namespace occlum {

// How many of each there are now: after everything that ran has ended, what there was before.
struct ObjectCounts {
  std::atomic<uint64_t> processes{0}, threads{0};
};
extern constinit ObjectCounts object_counts;

// `objects.*`.
void report_process_counters(CounterReport report);

// Implemented by the layer above (syscall/dispatch.cpp): `syscall.NAME` for each system call that was made.
void report_syscall_counters(CounterReport report);

}  // namespace occlum
