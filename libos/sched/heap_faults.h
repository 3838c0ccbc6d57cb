// Allocations that fail on purpose: Linux's /proc/<pid>/task/<tid>/fail-nth (Documentation/fault-injection in the
// kernel's sources). A number n written there lets the n-th allocation fail that the task makes from the kernel heap.
//
// It harms nobody but who asks for it and those whom he may trace, and the host can refuse memory at any time anyway.
// Others pay a load for it. So it is there in every image, and what is tested is what is shipped.
#pragma once

#include <cstdint>

namespace occlum {

// Whether this allocation of the current task is to fail.
bool heap_must_fail();
// From now on Task::fail_nth counts; and so are all allocations.
void allow_heap_failures();
uint64_t heap_requests();

}  // namespace occlum
