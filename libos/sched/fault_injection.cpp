#include "libos/sched/fault_injection.h"

#include "libos/sched/scheduler.h"
#include "libos/sched/task.h"

namespace occlum {

constinit FailingKind failslab, fail_page_alloc;

namespace {

constinit std::atomic<bool> is_allowed = false;

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

}  // namespace

bool FailingKind::is_chosen() {
  const uint32_t percent = probability.load(std::memory_order_relaxed);
  if (percent == 0 || times.load(std::memory_order_relaxed) == 0) return false;
  const uint64_t count = counted.fetch_add(1, std::memory_order_relaxed) + 1;
  const uint32_t step = interval.load(std::memory_order_relaxed);
  if (step > 1 && count % step != 0) return false;
  return scattered(count) % 100 < percent && takes_one_of(times);
}

bool FailingKind::must_fail() {
  if (!is_allowed.load(std::memory_order_relaxed)) [[likely]]
    return false;
  requests_.fetch_add(1, std::memory_order_relaxed);
  if (!runs_task()) return false;
  Task& task = current_task();
  if (task.never_fails != 0) return false;
  const bool is_marked = task.makes_it_fail.load(std::memory_order_relaxed);
  if (!is_nth(task) && !(is_marked && is_chosen())) return false;
  ++task.failures;
  failures_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void allow_failures() { is_allowed.store(true, std::memory_order_relaxed); }

uint32_t own_failures() { return runs_task() ? current_task().failures : 0; }

NoFailures::NoFailures() { ++current_task().never_fails; }
NoFailures::~NoFailures() { --current_task().never_fails; }

}  // namespace occlum
