// Raw part of ptr.h: making an object in heap memory, and destroying it.
//
// Invariant: an object made by construct_on_heap<T> is destroyed exactly once, by destroy_on_heap,
// which returns to the heap the address and size that came from it. When it is destroyed through a
// base class, the base has a virtual destructor and the address is the complete object's
// (dynamic_cast to void*, which reads the vtable and needs no RTTI); the size was remembered by the
// owner when the object was made.
#pragma once

#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "libos/lib/heap.h"

namespace occlum::ptr_detail {

// nullptr when the heap has no memory; the arguments are then untouched.
template <typename T, typename... Args>
T* construct_on_heap(Args&&... args) {
  void* memory = heap_allocate(sizeof(T), alignof(T));
  if (memory == nullptr) return nullptr;
  return ::new (memory) T(std::forward<Args>(args)...);
}

template <typename T>
void destroy_on_heap(T* object, std::size_t bytes) {
  static_assert(sizeof(T) != 0, "an owner must see the whole class where it lets go of it");
  using Plain = std::remove_cv_t<T>;
  void* memory;
  if constexpr (std::is_polymorphic_v<T>) {
    static_assert(std::has_virtual_destructor_v<T> || std::is_final_v<T>);
    memory = dynamic_cast<void*>(const_cast<Plain*>(object));
  } else {
    memory = const_cast<Plain*>(object);
  }
  std::destroy_at(object);
  heap_free(memory, bytes);
}

}  // namespace occlum::ptr_detail
