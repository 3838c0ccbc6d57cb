// Raw part of mm/: from an address to the memory there.
//
// Invariant: an address given to these functions lies in committed enclave memory that the LibOS may access at that
// moment (kernel pages; a page of a program only between page_map::open_for_kernel and seal, or while its descriptor
// says that it is readable and writable), and the memory stays so while the view is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

#include "libos/lib/address.h"
#include "libos/lib/bits.h"

#pragma clang unsafe_buffer_usage begin

namespace occlum {

inline std::span<std::byte> memory_at(uint64_t address, size_t bytes) {
  return std::span<std::byte>(reinterpret_cast<std::byte*>(address), bytes);
}

inline std::span<std::byte, kPageSize> page_at(uint64_t address) {
  return std::span<std::byte, kPageSize>(reinterpret_cast<std::byte*>(address), kPageSize);
}

// The object that lives at `address`.
template <typename T>
T& object_at(uint64_t address) {
  return *reinterpret_cast<T*>(address);
}

// Makes a T at `address`; the memory holds nothing else.
template <typename T, typename... Args>
T& make_at(uint64_t address, Args&&... args) {
  return *::new (reinterpret_cast<void*>(address)) T(std::forward<Args>(args)...);
}

}  // namespace occlum

#pragma clang unsafe_buffer_usage end
