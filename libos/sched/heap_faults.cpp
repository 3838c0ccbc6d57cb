#include "libos/sched/heap_faults.h"

#include "libos/sched/scheduler.h"
#include "libos/sched/task.h"

namespace occlum {

constinit HeapFaultKnobs heap_fault_knobs;

namespace {

constinit std::atomic<bool> is_allowed = false;
constinit std::atomic<uint64_t> requests = 0, failures = 0;

bool is_nth(Task& task) {
  const uint32_t before = task.fail_nth.load(std::memory_order_relaxed);
  if (before == 0) return false;
  task.fail_nth.store(before - 1, std::memory_order_relaxed);
  return before == 1;
}

// Chance, but the same one for the same count: a run can be repeated (splitmix64's finalizer).
uint64_t scattered(uint64_t count) {
  uint64_t value = count * 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

bool takes_one_of(std::atomic<int64_t>& times) {
  int64_t left = times.load(std::memory_order_relaxed);
  while (left > 0) {
    if (times.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return true;
  }
  return left < 0;
}

bool knobs_choose() {
  HeapFaultKnobs& knobs = heap_fault_knobs;
  const uint32_t probability = knobs.probability.load(std::memory_order_relaxed);
  if (probability == 0 || knobs.times.load(std::memory_order_relaxed) == 0) return false;
  const uint64_t count = knobs.counted.fetch_add(1, std::memory_order_relaxed) + 1;
  const uint32_t interval = knobs.interval.load(std::memory_order_relaxed);
  if (interval > 1 && count % interval != 0) return false;
  return scattered(count) % 100 < probability && takes_one_of(knobs.times);
}

}  // namespace

bool heap_must_fail() {
  if (!is_allowed.load(std::memory_order_relaxed)) [[likely]]
    return false;
  requests.fetch_add(1, std::memory_order_relaxed);
  if (!runs_task()) return false;
  Task& task = current_task();
  const bool is_marked = task.makes_it_fail.load(std::memory_order_relaxed);
  if (!is_nth(task) && !(is_marked && knobs_choose())) return false;
  failures.fetch_add(1, std::memory_order_relaxed);
  return true;
}

uint64_t heap_requests() { return requests.load(std::memory_order_relaxed); }
uint64_t heap_failures() { return failures.load(std::memory_order_relaxed); }

void allow_heap_failures() { is_allowed.store(true, std::memory_order_relaxed); }

}  // namespace occlum
