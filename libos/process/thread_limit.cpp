#include "libos/process/thread_limit.h"

#include <atomic>

#include "libos/process/process_table.h"

namespace occlum {

namespace {
constexpr uint64_t kFewest = 20, kMost = 0x3fffffff;  // kernel/fork.c: MIN_THREADS, FUTEX_TID_MASK
constinit std::atomic<uint64_t> limit = 126000;
}  // namespace

uint64_t thread_limit() { return limit.load(std::memory_order_relaxed); }

Result<void> set_thread_limit(uint64_t wanted) {
  if (wanted < kFewest || wanted > kMost) return Errno::kInval;
  limit.store(wanted, std::memory_order_relaxed);
  return {};
}

Result<void> check_thread_limit() {
  return thread_count() < thread_limit() ? Result<void>() : Errno::kAgain;
}

}  // namespace occlum
