// Vec<T>: a growing array on the kernel heap.
//
// Growing may fail with kNoMem and then changes nothing. Indices are checked (a wrong one panics);
// iterators are the bounded ones of std::span. Growing moves the elements, so pointers and
// iterators into a Vec end with the next push, insert, reserve or resize. Copying is explicit:
// `clone`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <type_traits>
#include <utility>

#include "libos/lib/panic.h"
#include "libos/lib/result.h"
#include "libos/lib/vec_raw.h"

namespace occlum {

template <typename T>
class Vec {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>);

 public:
  constexpr Vec() = default;
  Vec(Vec&& other) noexcept
      : block_(std::move(other.block_)), size_(std::exchange(other.size_, 0)) {}
  Vec& operator=(Vec&& other) noexcept {
    if (this != &other) {
      clear();
      block_ = std::move(other.block_);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  ~Vec() { destroy_from(0); }

  // `size` value-initialised elements: zeros, for numbers.
  static Result<Vec> create(std::size_t size) {
    Vec result;
    TRY(result.resize(size));
    return result;
  }

  static Result<Vec> copy_of(std::span<const T> elements) {
    Vec result;
    TRY(result.append(elements));
    return result;
  }

  Result<Vec> clone() const { return copy_of(span()); }

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return block_.capacity(); }
  bool is_empty() const { return size_ == 0; }

  std::span<T> span() { return block_.slots(0, size_); }
  std::span<const T> span() const { return block_.slots(0, size_); }
  auto begin() { return span().begin(); }
  auto end() { return span().end(); }
  auto begin() const { return span().begin(); }
  auto end() const { return span().end(); }

  T& operator[](std::size_t index) {
    ASSERT(index < size_);
    return span()[index];
  }
  const T& operator[](std::size_t index) const {
    ASSERT(index < size_);
    return span()[index];
  }
  T& first() { return (*this)[0]; }
  const T& first() const { return (*this)[0]; }
  T& last() { return (*this)[size_ - 1]; }
  const T& last() const { return (*this)[size_ - 1]; }

  // Room for `capacity` elements in all, exactly.
  Result<void> reserve(std::size_t capacity) {
    if (capacity <= block_.capacity()) return {};
    auto larger = vec_detail::Block<T>::allocate(capacity);
    if (larger.capacity() == 0) return Errno::kNoMem;
    block_.relocate_to(larger, size_);
    block_ = std::move(larger);
    return {};
  }

  Result<void> push(T value) {
    TRY(grow_for(1));
    block_.construct(size_, std::move(value));
    ++size_;
    return {};
  }

  // For use after reserve, where failing half-way would be awkward; panics when there is no room.
  void push_reserved(T value) {
    ASSERT(size_ < block_.capacity());
    block_.construct(size_, std::move(value));
    ++size_;
  }

  // Adds copies of `elements`, which may be some of this Vec's own.
  Result<void> append(std::span<const T> elements)
    requires std::copy_constructible<T>
  {
    if (elements.size() <= block_.capacity() - size_) {
      copy_into(block_, elements);
    } else {
      auto larger = vec_detail::Block<T>::allocate(TRY(grown_capacity(elements.size())));
      if (larger.capacity() == 0) return Errno::kNoMem;
      copy_into(larger, elements);
      block_.relocate_to(larger, size_);
      block_ = std::move(larger);
    }
    size_ += elements.size();
    return {};
  }

  // New elements are value-initialised.
  Result<void> resize(std::size_t size)
    requires std::default_initializable<T>
  {
    if (size < size_) {
      destroy_from(size);
      return {};
    }
    TRY(reserve(size));
    while (size_ < size) {
      block_.construct(size_);
      ++size_;
    }
    return {};
  }

  // Before the element that is at `index` now, or at the end when index == size().
  Result<void> insert(std::size_t index, T value) {
    ASSERT(index <= size_);
    TRY(grow_for(1));
    if (index < size_) block_.open_gap(index, size_ - index);
    block_.construct(index, std::move(value));
    ++size_;
    return {};
  }

  // Takes the element out; the ones after it move down.
  T remove(std::size_t index) {
    T value = std::move((*this)[index]);
    std::destroy_at(&span()[index]);
    if (index + 1 < size_) block_.close_gap(index, size_ - index - 1);
    --size_;
    return value;
  }

  // Takes the element out and puts the last one in its place: O(1), but the order changes.
  T swap_remove(std::size_t index) {
    std::swap((*this)[index], last());
    return pop();
  }

  // Takes the last element; panics when there is none.
  T pop() {
    T value = std::move(last());
    destroy_from(size_ - 1);
    return value;
  }

  // Drops the elements from `size` on, if there are more.
  void truncate(std::size_t size) {
    if (size < size_) destroy_from(size);
  }

  // Also returns the memory.
  void clear() {
    destroy_from(0);
    block_ = vec_detail::Block<T>();
  }

  // Removes the elements that `predicate(const T&)` is true of; the others keep their order. How
  // many went.
  template <typename Predicate>
  std::size_t remove_if(Predicate&& predicate) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      if (predicate(std::as_const((*this)[i]))) continue;
      if (kept != i) (*this)[kept] = std::move((*this)[i]);
      ++kept;
    }
    const std::size_t removed = size_ - kept;
    destroy_from(kept);
    return removed;
  }

 private:
  // Doubles, so that pushing n elements moves O(n).
  Result<std::size_t> grown_capacity(std::size_t more) const {
    const std::optional<std::size_t> needed = checked_add(size_, more);
    if (!needed) return Errno::kNoMem;
    constexpr std::size_t kSmallest = sizeof(T) <= 8 ? 8 : 4;
    return std::max({*needed, block_.capacity() * 2, kSmallest});
  }

  Result<void> grow_for(std::size_t more) {
    if (more <= block_.capacity() - size_) return {};
    return reserve(TRY(grown_capacity(more)));
  }

  // Into the raw slots from size_ on.
  void copy_into(vec_detail::Block<T>& block, std::span<const T> elements) const {
    if (elements.empty()) return;
    if constexpr (std::is_trivially_copyable_v<T>) {
      block.copy_bytes_to(size_, elements);
    } else {
      std::size_t index = size_;
      for (const T& element : elements) block.construct(index++, element);
    }
  }

  void destroy_from(std::size_t index) {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      std::ranges::destroy(span().subspan(index));
    }
    size_ = index;
  }

  vec_detail::Block<T> block_;
  std::size_t size_ = 0;
};

}  // namespace occlum
