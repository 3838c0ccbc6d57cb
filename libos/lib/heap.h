// The interface to the kernel heap. The containers and pointers of lib/ are its only users;
// everything else uses them.
//
// mm/ implements it in the enclave; the hosted tests implement it with malloc and can make the Nth
// allocation fail. Both functions may be called with spin locks held (their own locks rank kHeap
// and below), and never sleep.
#pragma once

#include <cstddef>

namespace occlum {

// Uninitialised memory of `bytes` bytes (at least 1), aligned to `align` (a power of two), or
// nullptr.
[[nodiscard]] void* heap_allocate(std::size_t bytes, std::size_t align);

// `bytes` is what was asked for. nullptr is allowed and ignored.
void heap_free(void* memory, std::size_t bytes);

}  // namespace occlum
