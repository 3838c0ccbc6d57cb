// Aliases: a shared object at other addresses than its home. See memory_object.h.
//
// An EPC page has one linear address, so a page of an object is at one of its addresses at a time. A fault moves it:
// the right to write is taken from where it is, in the EPCM, then it is copied, and the old page is given back, so that
// nobody reads what is out of date. That costs tens of microseconds: programs that use both addresses of a page by turns
// are slow, all others do not notice. On the way to an alias a page passes through LibOS memory and keeps that page, so
// that an alias can be given up, and residency change hands, without asking for memory.
#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/memory_object.h"
#include "libos/mm/memory_object_guards.h"
#include "libos/mm/page_allocator.h"
#include "libos/mm/page_map.h"
#include "libos/mm/stats.h"

namespace occlum {
namespace {

// The page stays readable for those who have it, and as it is.
Result<void> stop_writers(uint64_t address) {
  return page_map::guard_writes(page_range(address), [](uint64_t) { return true; });
}

// Nobody reads old content there again: the next access faults, whatever the host does.
void give_up(uint64_t address) {
  page_map::release(page_range(address), page_map::Rights::kLeave);
  (void)page_map::decommit_kept(page_range(address));
}

}  // namespace

void MemoryObject::allow_aliases() {
  ObjectChange change(*this);
  state_.with([](State& state) { state.allows_aliases = true; });
}

bool MemoryObject::allows_aliases() const {
  return state_.with([](const State& state) { return state.allows_aliases; });
}

void MemoryObject::leave_alias(State& state, Page& page) {
  give_up(page.alias);
  page.alias = 0;
  --state.pages_away;
}

// To LibOS memory.
void MemoryObject::bring_back(State& state, Page& page) {
  if (page.alias == 0) return;
  memory_counters.alias_moves.fetch_add(1, std::memory_order_relaxed);
  if (const Result<void> stopped = stop_writers(page.alias); stopped.is_error())
    log_warn("mm: {:x} may be written while it is moved: {}", page.alias, stopped.error());
  copy_bytes(page_at(page.address), page_at(page.alias));
  page.dirty = true;
  leave_alias(state, page);
}

// To where it belongs.
Result<void> MemoryObject::settle_page(State& state, uint64_t index, Page& page) {
  bring_back(state, page);
  if (!state.at_home(index) || page.address == state.home_of(index)) return {};
  const uint64_t home = state.home_of(index);
  if (is_mapped(state, index)) {
    const Prot rights = home_rights(state, index) | Prot::kRead;
    TRY(page_map::populate_copy_at_once(home, page.address, rights));
  } else {
    TRY(page_map::populate_copy(home, page.address, kProtReadWrite));
  }
  free_pages(page.address, 1);
  page.address = home;
  return {};
}

// From home to LibOS memory.
Result<void> MemoryObject::leave_home(State& state, uint64_t index, Page& page) {
  if (!state.is_home(index, page)) return {};
  const uint64_t fresh = TRY(allocate_program_page());
  Result<void> stopped;
  // EACCEPT, which is part of it, and we need access ourselves.
  if (!has(page_map::state_of(page.address).effective(), Prot::kRead))
    stopped = page_map::set_prot(page_range(page.address), Prot::kRead);
  if (!stopped.is_error()) stopped = stop_writers(page.address);
  if (stopped.is_error()) {
    free_pages(fresh, 1);
    return stopped;
  }
  copy_bytes(page_at(fresh), page_at(page.address));
  give_up(page.address);
  page.address = fresh;
  return {};
}

Result<MemoryObject::Found> MemoryObject::fault_alias(const MappedPages& pages, Prot prot) {
  return state_.with([&](State& state) -> Result<Found> {
    const uint64_t end = std::min(pages.last(), ceil_div(state.size, kPageSize));
    if (pages.first >= end) return Errno::kBadMsg;
    Found found = Found::kOtherwise;
    for (uint64_t index = pages.first; index < end; ++index) {
      const uint64_t address = pages.base() + index * kPageSize;
      Page* page = state.pages.find(index);
      if (index != pages.first && page != nullptr &&
          (page->alias != 0 || state.is_home(index, *page)))
        break;  // somebody uses it elsewhere
      if (page != nullptr && page->alias == address) {
        if (index == pages.first && page_map::state_of(address).effective() == effective_prot(prot))
          found = Found::kAsItMustBe;
        TRY(page_map::set_prot(page_range(address), prot));
        continue;
      }
      if (index == pages.first && page != nullptr &&
          (page->alias != 0 || state.is_home(index, *page)))
        found = Found::kElsewhere;
      const Result<void> moved = [&]() -> Result<void> {
        if (page == nullptr) page = TRY(make_page(state, index, Content::kFill, Place::kLibos));
        bring_back(state, *page);
        TRY(leave_home(state, index, *page));
        return page_map::populate_copy_at_once(address, page->address, prot);
      }();
      if (moved.is_error()) {
        if (index == pages.first) return moved.error();
        break;
      }
      page->alias = address;
      ++state.pages_away;
      memory_counters.alias_moves.fetch_add(1, std::memory_order_relaxed);
    }
    return found;
  });
}

void MemoryObject::recall(const MappedPages& pages) {
  state_.with([&](State& state) {
    if (state.pages_away == 0) return;
    for (auto it = state.pages.lower_bound(pages.first); it && it->key < pages.last(); ++it) {
      if (it->value.alias == pages.base() + it->key * kPageSize) bring_back(state, it->value);
    }
  });
}

}  // namespace occlum
