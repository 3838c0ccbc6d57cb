// Raw part of vec.h: a block of heap memory for `capacity` objects of type T, of which any may be
// alive.
//
// Invariant: `memory_` is nullptr and `capacity_` 0, or it points to capacity_ * sizeof(T) bytes
// from the heap. Which slots are alive is the owner's (Vec's) to know: it keeps the first `size`
// alive and the others raw, and each function here says what it makes of them. Every index and
// range is checked against the capacity.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "libos/lib/bits.h"
#include "libos/lib/heap.h"
#include "libos/lib/panic.h"

#pragma clang unsafe_buffer_usage begin

namespace occlum::vec_detail {

template <typename T>
class Block {
 public:
  constexpr Block() = default;
  Block(Block&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  Block& operator=(Block other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~Block() {
    if (memory_ != nullptr) heap_free(memory_, capacity_ * sizeof(T));
  }

  // A block of capacity 0 when there is no memory, or when the size overflows.
  static Block allocate(std::size_t capacity) {
    Block block;
    const std::optional<std::size_t> bytes = checked_mul(capacity, sizeof(T));
    if (!bytes || *bytes == 0 || *bytes > static_cast<std::size_t>(PTRDIFF_MAX)) return block;
    block.memory_ = static_cast<T*>(heap_allocate(*bytes, alignof(T)));
    if (block.memory_ != nullptr) block.capacity_ = capacity;
    return block;
  }

  std::size_t capacity() const { return capacity_; }

  std::span<T> slots(std::size_t first, std::size_t count) {
    ASSERT(first <= capacity_ && count <= capacity_ - first);
    if (memory_ == nullptr) return {};
    return std::span<T>(memory_ + first, count);
  }
  std::span<const T> slots(std::size_t first, std::size_t count) const {
    return const_cast<Block*>(this)->slots(first, count);
  }

  template <typename... Args>
  T& construct(std::size_t index, Args&&... args) {
    ASSERT(index < capacity_);
    return *::new (static_cast<void*>(memory_ + index)) T(std::forward<Args>(args)...);
  }

  void copy_bytes_to(std::size_t index, std::span<const T> elements) {
    static_assert(std::is_trivially_copyable_v<T>);
    ASSERT(index <= capacity_ && elements.size() <= capacity_ - index);
    __builtin_memcpy(memory_ + index, elements.data(), elements.size() * sizeof(T));
  }

  // Makes room at `index` (raw afterwards) by moving the `count` live objects from there one slot
  // up.
  void open_gap(std::size_t index, std::size_t count) {
    ASSERT(index < capacity_ && count < capacity_ - index);
    if constexpr (std::is_trivially_copyable_v<T>) {
      if (count != 0) __builtin_memmove(memory_ + index + 1, memory_ + index, count * sizeof(T));
    } else {
      for (std::size_t i = index + count; i > index; --i) relocate(memory_ + i - 1, memory_ + i);
    }
  }

  // The reverse: `index` is raw, the `count` live objects after it move one slot down.
  void close_gap(std::size_t index, std::size_t count) {
    ASSERT(index < capacity_ && count < capacity_ - index);
    if constexpr (std::is_trivially_copyable_v<T>) {
      if (count != 0) __builtin_memmove(memory_ + index, memory_ + index + 1, count * sizeof(T));
    } else {
      for (std::size_t i = index; i < index + count; ++i) relocate(memory_ + i + 1, memory_ + i);
    }
  }

  // Moves the first `count` objects, alive here and raw there, to the same slots of `other`.
  void relocate_to(Block& other, std::size_t count) {
    ASSERT(count <= capacity_ && count <= other.capacity_);
    if constexpr (std::is_trivially_copyable_v<T>) {
      if (count != 0) __builtin_memcpy(other.memory_, memory_, count * sizeof(T));
    } else {
      for (std::size_t i = 0; i < count; ++i) relocate(memory_ + i, other.memory_ + i);
    }
  }

 private:
  static void relocate(T* from, T* to) {
    ::new (static_cast<void*>(to)) T(std::move(*from));
    std::destroy_at(from);
  }

  T* memory_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace occlum::vec_detail

#pragma clang unsafe_buffer_usage end
