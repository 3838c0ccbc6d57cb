// The home range of a MemoryObject and who maps it. See memory_object.h.
#include <algorithm>
#include <bit>

#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/memory_object.h"
#include "libos/mm/memory_object_guards.h"
#include "libos/mm/page_allocator.h"
#include "libos/mm/page_map.h"
#include "libos/mm/range_allocator.h"

namespace occlum {
namespace {

// The linear addresses to reserve for an object of `bytes` bytes: room to grow, more of it for small objects.
uint64_t home_size_for(uint64_t bytes) {
  const uint64_t size = align_up(std::max<uint64_t>(bytes, kPageSize), kPageSize);
  if (size >= uint64_t{4} << 30) return size + size / 4 / kPageSize * kPageSize;
  return std::bit_ceil(size) * 4;
}

}  // namespace

uint64_t MemoryObject::home_if_any() const {
  return state_.with([](const State& state) { return state.has_home() ? state.home_base : 0; });
}

bool MemoryObject::owns_home(uint64_t offset, uint64_t length) const {
  return state_.with([&](const State& state) {
    const uint64_t start = state.home_base + offset;
    return state.window.start <= start && start + length <= state.window.end;
  });
}

bool MemoryObject::has_home_mappings(const State& state) {
  return std::ranges::any_of(state.mappings,
                             [](const Mapping& mapping) { return !mapping.is_alias; });
}

bool MemoryObject::is_mapped_home() const {
  return state_.with([](const State& state) { return has_home_mappings(state); });
}

// --- where it is ---

// Moves every page that has a place in the window there. On an error the rest stays where it was.
Result<void> MemoryObject::move_pages_home(State& state) {
  for (auto& [index, page] : state.pages) {
    if (page.alias == 0) TRY(settle_page(state, index, page));
  }
  return {};
}

Result<void> MemoryObject::move_pages_out(State& state) {
  for (auto& [index, page] : state.pages) {
    if (!state.is_home(index, page)) continue;
    const uint64_t fresh = TRY(allocate_page());
    const Result<void> copied =
        with_access(state, index, page, [&](uint64_t address) -> Result<void> {
          copy_bytes(page_at(fresh), page_at(address));
          return {};
        });
    if (copied.is_error()) {
      free_pages(fresh, 1);
      return copied;
    }
    page_map::release(page_range(page.address), page_map::Rights::kRevoke);
    page.address = fresh;
  }
  return {};
}

Result<void> MemoryObject::reserve_home(State& state, uint64_t bytes) {
  Result<AddressRange> range = allocate_range(home_size_for(bytes), kPageSize);
  if (range.is_error())
    range = allocate_range(align_up(std::max<uint64_t>(bytes, 1), kPageSize), kPageSize);
  const AddressRange window = TRY(std::move(range));
  if (Result<void> closed = page_map::close_kept(window); closed.is_error()) {
    free_range(window);
    return closed;
  }
  state.home_base = window.start;
  state.set_window(window);
  return {};
}

// Takes the addresses behind and before the window, if they are free, so that it covers [0, bytes).
bool MemoryObject::grow_window(State& state, uint64_t bytes) {
  const uint64_t end = align_up(state.home_base + bytes, kPageSize);
  if (state.home_base > state.window.start || end < state.home_base) return false;
  if (state.window.start > state.home_base) {
    const AddressRange before{state.home_base, state.window.start};
    if (allocate_range_at(before).is_error()) return false;
    (void)page_map::close_kept(before);
    state.set_window({before.start, state.window.end});
  }
  if (end > state.window.end) {
    const AddressRange behind{state.window.end, end};
    if (allocate_range_at(behind).is_error()) return false;
    (void)page_map::close_kept(behind);
    state.set_window({state.window.start, behind.end});
  }
  return true;
}

Result<uint64_t> MemoryObject::home(uint64_t minimum_size) {
  const auto covers = [&](const State& state) {
    const uint64_t bytes = std::max(minimum_size, state.size);
    return state.window.start == state.home_base && state.window.size() >= bytes;
  };
  const uint64_t known = state_.with(
      [&](const State& state) { return state.has_home() && covers(state) ? state.home_base : 0; });
  if (known != 0) return known;
  ObjectChange change(*this);
  return state_.with([&](State& state) -> Result<uint64_t> {
    const uint64_t bytes = std::max(minimum_size, state.size);
    if (state.has_home() && !covers(state) && !grow_window(state, bytes)) {
      if (has_home_mappings(state)) return Errno::kBusy;
      TRY(move_pages_out(state));
      free_window(state);
    }
    if (!state.has_home()) TRY(reserve_home(state, bytes));
    TRY(move_pages_home(state));
    return state.home_base;
  });
}

Result<void> MemoryObject::set_home(AddressRange range, uint64_t offset) {
  const uint64_t base = range.start - offset;
  if (!try_begin_change()) return Errno::kAgain;
  const Result<void> result = state_.with([&](State& state) -> Result<void> {
    if (state.has_home()) {
      if (has_home_mappings(state)) return Errno::kNoMem;
      TRY(move_pages_out(state));
      free_window(state);
    }
    TRY(page_map::close_kept(range));
    state.home_base = base;
    state.set_window(range);
    // The addresses are ours now. A page that finds no memory there goes there when it is used next.
    (void)move_pages_home(state);
    return {};
  });
  end_change();
  return result;
}

// The addresses that nobody maps are free.
void MemoryObject::free_window(State& state) {
  const AddressRange window = state.window;
  state.set_window({0, 0});
  for (uint64_t at = window.start; at < window.end;) {
    uint64_t free_end = window.end, mapped_end = at;
    for (const Mapping& mapping : state.mappings) {
      const uint64_t start = mapping.base + mapping.first * kPageSize;
      const uint64_t end = mapping.base + mapping.last * kPageSize;
      if (mapping.is_alias || end <= at) continue;
      if (start <= at) {
        mapped_end = std::max(mapped_end, end);
      } else {
        free_end = std::min(free_end, start);
      }
    }
    if (mapped_end == at) free_range({at, free_end});
    at = mapped_end == at ? free_end : mapped_end;
  }
}

Result<void> MemoryObject::give_up_home(FunctionRef<bool(const void* space)> members) {
  if (!try_begin_change()) return Errno::kAgain;
  const Result<void> result = state_.with([&](State& state) -> Result<void> {
    if (!state.has_home()) return {};
    for (const Mapping& mapping : state.mappings) {
      if (!mapping.is_alias && !members(mapping.space)) return Errno::kAgain;
    }
    if (has_home_mappings(state)) {
      for (auto& [index, page] : state.pages) TRY(leave_home(state, index, page));
      TRY(page_map::decommit_kept(state.window));
      state.allows_aliases = true;
    } else {
      TRY(move_pages_out(state));
    }
    free_window(state);
    for (Mapping& mapping : state.mappings) mapping.is_alias = true;
    return {};
  });
  end_change();
  return result;
}

// --- who maps it ---

bool MemoryObject::is_mapped(const State& state, uint64_t index) {
  return std::ranges::any_of(state.mappings, [&](const Mapping& mapping) {
    return !mapping.is_alias && mapping.first <= index && index < mapping.last;
  });
}

bool MemoryObject::is_mapped_whole(const State& state, const MappedPages& pages) {
  return std::ranges::any_of(state.mappings, [&](const Mapping& mapping) {
    return !mapping.is_alias && mapping.first <= pages.first && pages.last() <= mapping.last;
  });
}

// The union of the rights of all mappings: the page table is the same for all programs.
Prot MemoryObject::home_rights(const State& state, uint64_t index) {
  Prot rights = Prot::kNone;
  for (const Mapping& mapping : state.mappings) {
    if (!mapping.is_alias && mapping.first <= index && index < mapping.last)
      rights = rights | mapping.prot;
  }
  return rights;
}

void MemoryObject::refresh_rights(State& state, uint64_t first, uint64_t last) {
  for (auto it = state.pages.lower_bound(first); it && it->key < last;) {
    if (!state.is_home(it->key, it->value)) {
      ++it;
      continue;
    }
    AddressRange run = page_range(it->value.address);
    const Prot rights = home_rights(state, it->key);
    for (++it; it && it->key < last && it->value.address == run.end; ++it) {
      if (home_rights(state, it->key) != rights) break;
      run.end += kPageSize;
    }
    const Result<void> changed = page_map::set_prot(run, rights);
    if (changed.is_error()) log_warn("mm: rights of a shared mapping: {}", changed.error());
  }
}

// Room for `more`, and for what changes may add: each address space makes one change at a time, which adds two at most,
// and there are no more of them than mappings.
Result<void> MemoryObject::reserve_mappings(State& state, size_t more) {
  const size_t needed = (state.mappings.size() + more) * 3 + 2;
  if (needed <= state.mappings.capacity()) return {};
  return state.mappings.reserve(std::max(needed, state.mappings.capacity() * 2));
}

Result<void> MemoryObject::prepare_mapping_changes() {
  return state_.with([](State& state) { return reserve_mappings(state, 0); });
}

// Takes the pages out of the mappings. Needs room for one more mapping.
void MemoryObject::cut_mappings(State& state, const MappedPages& pages) {
  const uint64_t first = pages.first, last = pages.last();
  for (size_t i = 0; i < state.mappings.size();) {
    Mapping& mapping = state.mappings[i];
    if (mapping.space != pages.space || mapping.is_alias != pages.is_alias ||
        mapping.base != pages.base() || mapping.last <= first || last <= mapping.first) {
      ++i;
      continue;
    }
    const Mapping before = mapping;
    if (before.first < first) {
      mapping.last = first;
      if (last < before.last) {
        Mapping rest = before;
        rest.first = last;
        state.mappings.push_reserved(rest);
      }
      ++i;
    } else if (last < before.last) {
      mapping.first = last;
      ++i;
    } else {
      (void)state.mappings.swap_remove(i);
    }
  }
}

Result<void> MemoryObject::add_mapping(const MappedPages& pages, Prot prot) {
  if (has(prot, Prot::kWrite)) note_shared_writable();
  return state_.with([&](State& state) -> Result<void> {
    ASSERT(!pages.is_alias || state.allows_aliases);
    TRY(reserve_mappings(state, 1));
    if (!pages.is_alias && !is_mapped_whole(state, pages))
      TRY(page_map::decommit_kept(pages.range()));
    state.mappings.push_reserved({pages.space, pages.base(), pages.first, pages.last(),
                                  effective_prot(prot), pages.is_alias});
    if (!pages.is_alias) refresh_rights(state, pages.first, pages.last());
    return {};
  });
}

Result<void> MemoryObject::change_mapping(const MappedPages& pages, Prot prot) {
  TRY(prepare_mapping_changes());
  if (has(prot, Prot::kWrite)) note_shared_writable();
  state_.with([&](State& state) {
    cut_mappings(state, pages);
    state.mappings.push_reserved({pages.space, pages.base(), pages.first, pages.last(),
                                  effective_prot(prot), pages.is_alias});
    if (!pages.is_alias) refresh_rights(state, pages.first, pages.last());
  });
  if (pages.is_alias) recall(pages);  // the next fault brings them with the new rights
  return {};
}

void MemoryObject::remove_mapping(const MappedPages& pages, Unmap how) {
  if (pages.is_alias) recall(pages);
  state_.with([&](State& state) {
    cut_mappings(state, pages);
    if (how == Unmap::kRevoke && !pages.is_alias) refresh_rights(state, pages.first, pages.last());
  });
}

Result<MemoryObject::Found> MemoryObject::fault_home_pages(uint64_t index, uint64_t pages) {
  return state_.with([&](State& state) -> Result<Found> {
    const uint64_t end = ceil_div(state.size, kPageSize);
    if (index >= end) return Errno::kBadMsg;
    ASSERT(state.at_home(index));
    const Page* first = state.pages.find(index);
    Found found = first == nullptr               ? Found::kOtherwise
                  : first->alias != 0            ? Found::kElsewhere
                  : state.is_home(index, *first) ? Found::kAsItMustBe
                                                 : Found::kOtherwise;
    for (uint64_t at = index; at < std::min(index + pages, end) && state.at_home(at); ++at) {
      const Page* known = state.pages.find(at);
      if (at != index && known != nullptr && known->alias != 0) break;  // used there
      const Result<Page*> page = get_page(state, at, Content::kFill);
      if (page.is_error()) {
        if (at == index) return page.error();
        break;
      }
      const uint64_t address = page.value()->address;
      const Prot rights = home_rights(state, at);
      if (page_map::state_of(address).effective() != rights) {
        TRY(page_map::set_prot(page_range(address), rights));
        if (at == index && found == Found::kAsItMustBe) found = Found::kOtherwise;
      }
    }
    return found;
  });
}

}  // namespace occlum
