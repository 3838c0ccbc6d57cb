// What fallocate(2) reserved of a MemoryObject. See reserved_pages.h.
#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/mm/memory_object.h"
#include "libos/mm/memory_object_guards.h"

namespace occlum {
namespace {

struct Pages {
  uint64_t first, last;
  uint64_t count() const { return last - first; }
};
Pages pages_of(uint64_t offset, uint64_t length) {
  return {offset / kPageSize, ceil_div(offset + length, kPageSize)};
}

}  // namespace

uint64_t MemoryObject::count_pages(const State& state, uint64_t first, uint64_t last) {
  uint64_t count = 0;
  for (auto it = state.pages.lower_bound(first); it && it->key < last; ++it) ++count;
  return count;
}

uint64_t MemoryObject::end_of_pages(const State& state, uint64_t index,
                                    EndOfReserved end_of_reserved) {
  for (uint64_t before = UINT64_MAX; index != before;) {
    before = index;
    index = (state.reserved.*end_of_reserved)(index);
    for (auto it = state.pages.lower_bound(index); it && it->key == index; ++it) ++index;
  }
  return index;
}

uint64_t MemoryObject::count_reserved_only(const State& state, uint64_t first, uint64_t last) {
  uint64_t count = 0;
  state.reserved.for_each(first, last, [&](uint64_t start, uint64_t end) {
    count += end - start - count_pages(state, start, end);
  });
  return count;
}

Result<void> MemoryObject::drop_reserved(State& state, uint64_t first, uint64_t last) {
  if (first >= last || state.reserved.is_empty()) return {};
  const uint64_t dropped = count_reserved_only(state, first, last);
  TRY(state.reserved.remove(first, last));
  state.reserved_only -= dropped;
  return {};
}

Result<void> MemoryObject::reserve(uint64_t offset, uint64_t length) {
  const Pages pages = pages_of(offset, length);
  return state_.with([&](State& state) -> Result<void> {
    const uint64_t before = count_reserved_only(state, pages.first, pages.last);
    TRY(state.reserved.add(pages.first, pages.last));
    state.reserved_only += pages.count() - count_pages(state, pages.first, pages.last) - before;
    return {};
  });
}

uint64_t MemoryObject::missing_bytes(uint64_t offset, uint64_t length) const {
  const Pages pages = pages_of(offset, length);
  return state_.with([&](const State& state) {
    return (pages.count() - count_pages(state, pages.first, pages.last) -
            count_reserved_only(state, pages.first, pages.last)) *
           kPageSize;
  });
}

uint64_t MemoryObject::end_of_allocated(uint64_t offset) const {
  return state_.with([&](const State& state) {
    return end_of_pages(state, offset / kPageSize, &ReservedPages::end_of) * kPageSize;
  });
}

uint64_t MemoryObject::allocated_bytes() const {
  return state_.with(
      [](const State& state) { return (state.pages.size() + state.reserved_only) * kPageSize; });
}

// --- what it is told to be ---

bool MemoryObject::has_source() const {
  return state_.with([](const State& state) { return state.source != nullptr; });
}

void MemoryObject::count_mappings(uint64_t first, uint64_t count,
                                  FunctionRef<void(size_t mappings)> page) const {
  state_.with([&](const State& state) {
    for (auto it = state.pages.lower_bound(first); it && it->key - first < count; ++it) {
      size_t mappings = 0;
      for (const Mapping& mapping : state.mappings)
        mappings += mapping.first <= it->key && it->key < mapping.last ? 1 : 0;
      page(mappings);
    }
  });
}

}  // namespace occlum
