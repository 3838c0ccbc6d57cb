// The kernel heap of the hosted tests: malloc, which the sanitizers watch. Checks that what is
// freed has the size that the caller says, and fails allocations on request.
#include "libos/lib/heap.h"

#include <sanitizer/allocator_interface.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "tests/unit/harness/heap.h"

namespace occlum {
namespace {

thread_local std::size_t fail_in = 0;  // 0: never
thread_local bool failed = false;
std::atomic<std::size_t> live = 0;

}  // namespace

void* heap_allocate(std::size_t bytes, std::size_t align) {
  if (fail_in != 0 && --fail_in == 0) {
    failed = true;
    return nullptr;
  }
  if (bytes >= (std::size_t{1} << 40)) return nullptr;  // the sanitizers would stop the program
  void* memory = nullptr;
  if (posix_memalign(&memory, std::max(align, sizeof(void*)), bytes) != 0) return nullptr;
  live.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

void heap_free(void* memory, std::size_t bytes) {
  if (memory == nullptr) return;
  const std::size_t allocated = __sanitizer_get_allocated_size(memory);
  if (allocated != bytes) {
    std::fprintf(stderr, "heap_free: %zu bytes were allocated, %zu freed\n", allocated, bytes);
    std::abort();
  }
  live.fetch_sub(1, std::memory_order_relaxed);
  std::free(memory);
}

namespace testing {

FailAllocation::FailAllocation(std::size_t nth) {
  fail_in = nth;
  failed = false;
}

FailAllocation::~FailAllocation() { fail_in = 0; }

bool FailAllocation::happened() const { return failed; }

std::size_t live_allocations() { return live.load(std::memory_order_relaxed); }

}  // namespace testing
}  // namespace occlum
