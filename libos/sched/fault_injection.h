// Allocations that fail on purpose: Linux's fault injection (Documentation/fault-injection in the kernel's sources), as
// much of it as a test of a program needs. There are two kinds of allocations: from the kernel heap (`failslab`), and of
// single pages and of pages of programs (`fail_page_alloc`). The heap's own pages are not counted again.
//
// * /proc/<pid>/task/<tid>/fail-nth: a number n written there lets the n-th allocation of that task fail, of whatever
//   kind. It is the task's alone: what the task clones starts without.
// * /proc/<pid>/make-it-fail marks a task, and whatever it clones from then on. Of all allocations of marked tasks fail
//   those that the knobs in /proc/occlum/failslab and /proc/occlum/fail_page_alloc choose (Linux has them in debugfs):
//   one in `interval`, and of these `probability` in 100, `times` times (-1: without end). The requests are counted from
//   the last write to `interval`, so interval n, probability 100 and times 1 fail the n-th allocation of a tree of
//   processes.
//
// A system call that meets a failure ends with ENOMEM, or with what it has done so far. A page fault, or an exchange, has
// nobody to tell: it is tried again, that time without failures (RoomRequest in mm/shortage.h). Nobody is killed for
// memory that is there.
//
// It harms nobody but who asks for it and those whom he may trace, and the host can refuse memory at any time anyway.
// Others pay a load for it. So it is there in every image, and what is tested is what is shipped.
#pragma once

#include <atomic>
#include <cstdint>

namespace occlum {

class FailingKind {
 public:
  // The knobs.
  std::atomic<uint32_t> interval{1}, probability{0};
  std::atomic<int64_t> times{1};
  std::atomic<uint64_t> counted{0};  // requests of marked tasks since `interval` was written

  // Whether this allocation of the current task is to fail. Any lock may be held.
  bool must_fail();

  uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }
  uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

 private:
  bool is_chosen();
  std::atomic<uint64_t> requests_{0}, failures_{0};
};
extern FailingKind failslab, fail_page_alloc;

// From now on Task::fail_nth and Task::makes_it_fail are looked at, and all allocations are counted.
void allow_failures();
// How many allocations of the current task have failed on purpose.
uint32_t own_failures();

// While it lives no allocation of the current task fails on purpose.
class NoFailures {
 public:
  NoFailures();
  NoFailures(const NoFailures&) = delete;
  ~NoFailures();
};

}  // namespace occlum
