// The two functions of lib/heap.h, for the enclave. (Hosted tests have malloc behind them, so that ASan sees every
// object; they call kernel_heap.h directly.)
// Invariant: memory passes through unchanged.
#include "libos/lib/heap.h"

#include "libos/mm/kernel_heap.h"
#include "libos/sched/fault_injection.h"

namespace occlum {

void* heap_allocate(std::size_t bytes, std::size_t align) {
  return failslab.must_fail() ? nullptr : kernel_heap::allocate(bytes, align);
}

void heap_free(void* memory, std::size_t bytes) { kernel_heap::free(memory, bytes); }

}  // namespace occlum
