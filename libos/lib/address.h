// The address of an object as a number: for hardware structures and guarded copies. The way back, from a number to an
// object, is raw code's alone.
#pragma once

#include <bit>
#include <cstdint>

namespace occlum {

template <typename T>
uint64_t address_of(const T* object) {
  return std::bit_cast<uint64_t>(object);
}

}  // namespace occlum
