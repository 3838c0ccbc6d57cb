#include "libos/sched/heap_faults.h"

#include <atomic>

#include "libos/sched/scheduler.h"
#include "libos/sched/task.h"

namespace occlum {

namespace {
constinit std::atomic<bool> is_allowed = false;
constinit std::atomic<uint64_t> requests = 0;
}  // namespace

bool heap_must_fail() {
  if (!is_allowed.load(std::memory_order_relaxed)) [[likely]]
    return false;
  requests.fetch_add(1, std::memory_order_relaxed);
  if (!runs_task()) return false;
  std::atomic<uint32_t>& left = current_task().fail_nth;
  const uint32_t before = left.load(std::memory_order_relaxed);
  if (before == 0) return false;
  left.store(before - 1, std::memory_order_relaxed);
  return before == 1;
}

uint64_t heap_requests() { return requests.load(std::memory_order_relaxed); }

void allow_heap_failures() { is_allowed.store(true, std::memory_order_relaxed); }

}  // namespace occlum
