// Allocations from the kernel heap that fail on purpose: Linux's fault injection
// (Documentation/fault-injection in the kernel's sources), as much of it as a test of a program needs.
//
// * /proc/<pid>/task/<tid>/fail-nth: a number n written there lets the n-th allocation of that task fail. It is the
//   task's alone: what the task clones starts without.
// * /proc/<pid>/make-it-fail marks a task, and whatever it clones from then on. Of all allocations of marked tasks fail
//   those that the knobs in /proc/occlum/failslab choose (Linux has them in debugfs): one in `interval`, and of these
//   `probability` in 100, `times` times (-1: without end). The requests are counted from the last write to `interval`,
//   so interval n, probability 100 and times 1 fail the n-th allocation of a tree of processes.
//
// It harms nobody but who asks for it and those whom he may trace, and the host can refuse memory at any time anyway.
// Others pay a load for it. So it is there in every image, and what is tested is what is shipped.
#pragma once

#include <atomic>
#include <cstdint>

namespace occlum {

struct HeapFaultKnobs {
  std::atomic<uint32_t> interval{1}, probability{0};
  std::atomic<int64_t> times{1};
  std::atomic<uint64_t> counted{0};  // requests of marked tasks since `interval` was written
};
extern HeapFaultKnobs heap_fault_knobs;

// Whether this allocation of the current task is to fail. Any lock may be held.
bool heap_must_fail();
// From now on Task::fail_nth and Task::makes_it_fail are looked at, and all allocations are counted.
void allow_heap_failures();
uint64_t heap_requests();
uint64_t heap_failures();

}  // namespace occlum
