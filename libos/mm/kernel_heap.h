// The kernel heap: what stands behind lib/heap.h in the enclave.
//
// Small objects come from slabs: pages cut into slots of one size class, with a header at the start of the page, so
// the slab of an object is found from its address. An object that starts on a page boundary is a run of pages of the
// page allocator (more than 2016 bytes, or aligned to more than a slab can). Each class has its own spin lock; no lock
// is held while pages are allocated. (Bonwick, "The Slab Allocator", 1994, without the caches by type.)
#pragma once

#include <cstddef>
#include <cstdint>

namespace occlum::kernel_heap {

// As heap_allocate and heap_free of lib/heap.h.
[[nodiscard]] void* allocate(std::size_t bytes, std::size_t align);
void free(void* memory, std::size_t bytes);

}  // namespace occlum::kernel_heap
