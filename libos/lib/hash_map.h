// HashMap<K, V>: an open-addressing table on the kernel heap.
//
// Linear probing over a power-of-two array of optional entries, at most three quarters full;
// removal shifts the entries behind it back (Knuth, volume 3, 6.4, algorithm R), so there are no
// tombstones. Keys need hash_of (hash.h) and operator==; a lookup may use another type that hashes
// alike, such as std::string_view for String.
//
// Pointers to values end with the next insert or remove. Growing may fail with kNoMem and then
// changes nothing.
#pragma once

#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

#include "libos/lib/hash.h"
#include "libos/lib/result.h"
#include "libos/lib/vec.h"

namespace occlum {

template <typename K, typename V>
class HashMap {
 public:
  constexpr HashMap() = default;
  HashMap(HashMap&& other) noexcept
      : slots_(std::move(other.slots_)), size_(std::exchange(other.size_, 0)) {}
  HashMap& operator=(HashMap&& other) noexcept {
    slots_ = std::move(other.slots_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  std::size_t size() const { return size_; }
  bool is_empty() const { return size_ == 0; }

  template <typename Q>
  V* find(const Q& key) {
    const std::optional<std::size_t> index = index_of(key);
    return index ? &slots_[*index]->value : nullptr;
  }
  template <typename Q>
  const V* find(const Q& key) const {
    return const_cast<HashMap*>(this)->find(key);
  }
  template <typename Q>
  bool contains(const Q& key) const {
    return find(key) != nullptr;
  }

  // Replaces the value of a key that is there already.
  Result<V*> insert(K key, V value) {
    if (V* existing = find(key)) {
      *existing = std::move(value);
      return existing;
    }
    TRY(reserve(size_ + 1));
    std::optional<Entry>& slot = free_slot_for(key);
    slot.emplace(std::move(key), std::move(value));
    ++size_;
    return &slot->value;
  }

  // Room for `size` entries in all: that many inserts then cannot fail.
  Result<void> reserve(std::size_t size) {
    if (size <= slots_.size() / 4 * 3) return {};
    std::size_t capacity = slots_.size() == 0 ? 8 : slots_.size();
    while (size > capacity / 4 * 3) {
      const std::optional<std::size_t> doubled = checked_mul(capacity, 2);
      if (!doubled) return Errno::kNoMem;
      capacity = *doubled;
    }
    Slots old = std::exchange(slots_, TRY(Slots::create(capacity)));
    for (std::optional<Entry>& slot : old) {
      if (slot) free_slot_for(slot->key).emplace(std::move(*slot));
    }
    return {};
  }

  template <typename Q>
  bool remove(const Q& key) {
    return take(key).has_value();
  }

  // Removes the entry and returns its value.
  template <typename Q>
  std::optional<V> take(const Q& key) {
    const std::optional<std::size_t> index = index_of(key);
    if (!index) return std::nullopt;
    std::optional<V> value(std::move(slots_[*index]->value));
    vacate(*index);
    --size_;
    return value;
  }

  // `visit(const K&, V&)`, in no order. It must not change the table.
  template <typename F>
  void for_each(F&& visit) {
    for (std::optional<Entry>& slot : slots_) {
      if (slot) visit(std::as_const(slot->key), slot->value);
    }
  }
  template <typename F>
  void for_each(F&& visit) const {
    for (const std::optional<Entry>& slot : slots_) {
      if (slot) visit(slot->key, slot->value);
    }
  }

  // Removes the entries that `predicate(const K&, V&)` is true of. It may see an entry twice, and
  // is then asked again.
  template <typename F>
  void remove_if(F&& predicate) {
    for (std::size_t i = 0; i < slots_.size();) {
      if (slots_[i] && predicate(std::as_const(slots_[i]->key), slots_[i]->value)) {
        vacate(i);  // may pull another entry into this slot: look at it again
        --size_;
      } else {
        ++i;
      }
    }
  }

  void clear() {
    slots_.clear();
    size_ = 0;
  }

 private:
  struct Entry {
    Entry(K k, V v) : key(std::move(k)), value(std::move(v)) {}
    K key;
    V value;
  };
  using Slots = Vec<std::optional<Entry>>;

  std::size_t mask() const { return slots_.size() - 1; }

  template <typename Q>
  std::size_t home_of(const Q& key) const {
    return static_cast<std::size_t>(hash_of(key)) & mask();
  }

  template <typename Q>
  std::optional<std::size_t> index_of(const Q& key) const {
    if (size_ == 0) return std::nullopt;
    for (std::size_t i = home_of(key); slots_[i]; i = (i + 1) & mask()) {
      if (slots_[i]->key == key) return i;
    }
    return std::nullopt;
  }

  // The table has a free slot and does not hold the key.
  template <typename Q>
  std::optional<Entry>& free_slot_for(const Q& key) {
    std::size_t i = home_of(key);
    while (slots_[i]) i = (i + 1) & mask();
    return slots_[i];
  }

  // Empties slot `hole` and moves back every entry that would no longer be found across the hole.
  void vacate(std::size_t hole) {
    slots_[hole].reset();
    for (std::size_t i = (hole + 1) & mask(); slots_[i]; i = (i + 1) & mask()) {
      const std::size_t probe_length = (i - home_of(slots_[i]->key)) & mask();
      if (probe_length < ((i - hole) & mask())) continue;
      slots_[hole].emplace(std::move(*slots_[i]));
      slots_[i].reset();
      hole = i;
    }
  }

  Slots slots_;
  std::size_t size_ = 0;
};

}  // namespace occlum
