// Pages of a MemoryObject: where they lie, how they come and go. See memory_object.h.
#include "libos/mm/memory_object.h"

#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/lib/memory.h"
#include "libos/lib/wait_word.h"
#include "libos/mm/cached_pages.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/memory_object_guards.h"
#include "libos/mm/page_allocator.h"
#include "libos/mm/page_map.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/reclaim.h"
#include "libos/mm/stats.h"

namespace occlum {

namespace {
constexpr uint64_t kLargestObject = uint64_t{1} << 62;

// There are `more` pages of an object over this source, or, below 0, fewer.
void note_pages(const PageSource* source, int64_t more) {
  const auto pages = static_cast<uint64_t>(more);
  memory_counters.object_pages.fetch_add(pages, std::memory_order_relaxed);
  if (source == nullptr)
    memory_counters.shared_memory_pages.fetch_add(pages, std::memory_order_relaxed);
}
}  // namespace

MemoryObject::MemoryObject(PageSource* source, uint64_t size)
    : state_(LockRank::kPageCache, *this, source, size) {}

Result<RefPtr<MemoryObject>> MemoryObject::create(PageSource* source, uint64_t size) {
  if (size > kLargestObject) return Errno::kFBig;
  RefPtr<MemoryObject> object = TRY(make_ref<MemoryObject>(source, size));
  if (source != nullptr && source->has_store()) CachedObjects::add(*object);
  return object;
}

MemoryObject::~MemoryObject() {
  CachedObjects::remove(*this);
  state_.with([](State& state) {
    drop_pages(state, 0, UINT64_MAX);
    if (state.has_home()) free_window(state);
  });
}

uint64_t MemoryObject::size() const {
  return state_.with([](const State& state) { return state.size; });
}

uint64_t MemoryObject::resident_bytes() const {
  return state_.with([](const State& state) { return state.pages.size() * kPageSize; });
}

bool MemoryObject::is_resident(uint64_t index) const {
  return state_.with([&](const State& state) { return state.pages.contains(index); });
}

bool MemoryObject::is_hole(uint64_t index) const {
  return state_.with([&](const State& state) {
    return (state.source == nullptr || !state.source->has_store()) && !state.pages.contains(index);
  });
}

// --- copies in flight ---

void MemoryObject::begin_copy() {
  for (;;) {
    const uint32_t before = copies_.fetch_add(1, std::memory_order_acquire);
    if ((before & kChanging) == 0) return;
    end_copy();
    const uint32_t now = copies_.load(std::memory_order_relaxed);
    if ((now & kChanging) != 0) wait_on_word(copies_, now);
  }
}

void MemoryObject::end_copy() {
  const uint32_t before = copies_.fetch_sub(1, std::memory_order_release);
  if ((before & kChanging) != 0) wake_word(copies_, Wake::kAll);
}

bool MemoryObject::try_begin_change() {
  uint32_t expected = 0;
  return copies_.compare_exchange_strong(expected, kChanging, std::memory_order_acquire);
}

void MemoryObject::begin_change() {
  // One changer at a time: first the bit, then the wait for those who copy.
  for (;;) {
    const uint32_t before = copies_.fetch_or(kChanging, std::memory_order_acquire);
    if ((before & kChanging) == 0) break;
    wait_on_word(copies_, before);
  }
  for (;;) {
    const uint32_t now = copies_.load(std::memory_order_acquire);
    if (now == kChanging) return;
    wait_on_word(copies_, now);
  }
}

void MemoryObject::end_change() {
  copies_.fetch_and(~kChanging, std::memory_order_release);
  wake_word(copies_, Wake::kAll);
}

// --- pages ---

// Memory for a page that is not in the tree: zeroed, not yet visible to programs.
Result<uint64_t> MemoryObject::make_memory(State& state, uint64_t index, Place place) {
  uint64_t address;
  if (place == Place::kHome && state.at_home(index)) {
    address = state.home_of(index);
    // Whoever maps it may see it as soon as it is open.
    const bool is_seen = is_mapped(state, index);
    if (is_seen) TRY(page_map::decommit_kept(page_range(address)));
    TRY(page_map::open_for_kernel(page_range(address), kProtReadWrite));
    page_map::update(address, PageState::kDirty, 0);
    if (is_seen) return address;
  } else {
    address = TRY(allocate_program_page());
  }
  zero_bytes(page_at(address));
  return address;
}

// Pages at home go. Where it is mapped nobody sees again what was there.
void MemoryObject::release_home(const State& state, AddressRange pages) {
  if (!has_home_mappings(state)) return page_map::release(pages, page_map::Rights::kRevoke);
  page_map::release(pages, page_map::Rights::kLeave);
  (void)page_map::decommit_kept(pages);
}

void MemoryObject::free_page(State& state, uint64_t index, Page& page) {
  note_pages(state.source, -1);
  if (page.alias != 0) leave_alias(state, page);
  if (state.is_home(index, page)) {
    release_home(state, page_range(page.address));
  } else {
    free_pages(page.address, 1);
  }
}

Result<MemoryObject::Page*> MemoryObject::get_page(State& state, uint64_t index, Content absent) {
  Page* page = state.pages.find(index);
  if (page == nullptr) return make_page(state, index, absent, Place::kHome);
  TRY(settle_page(state, index, *page));
  return page;
}

Result<MemoryObject::Page*> MemoryObject::make_page(State& state, uint64_t index, Content absent,
                                                    Place place) {
  auto node = TRY(Tree<uint64_t, Page>::prepare(index, Page{0, false}));
  const bool fills =
      absent == Content::kFill && state.source != nullptr && state.source->has_store();
  // Nobody is to see it at home before it is filled.
  if (fills && place == Place::kHome && state.at_home(index) && is_mapped(state, index)) {
    Page* page = TRY(make_page(state, index, absent, Place::kLibos));
    TRY(settle_page(state, index, *page));
    return page;
  }
  const uint64_t address = TRY(make_memory(state, index, place));
  const bool at_home = place == Place::kHome && state.at_home(index);
  const auto give_up = [&] {
    if (at_home) {
      (void)page_map::decommit_kept(page_range(address));
    } else {
      free_pages(address, 1);
    }
  };
  if (fills) {
    if (Result<void> filled = state.source->read_page(index, page_at(address)); filled.is_error()) {
      give_up();
      return filled.error();
    }
  }
  if (at_home) {
    const Prot rights = is_mapped(state, index) ? home_rights(state, index) : kProtReadWrite;
    if (Result<void> sealed = page_map::seal(page_range(address), rights); sealed.is_error()) {
      give_up();
      return sealed.error();
    }
  }
  node->entry().value.address = address;
  if (!state.reserved.is_empty() && state.reserved.contains(index)) --state.reserved_only;
  note_pages(state.source, 1);
  return &state.pages.insert(std::move(node))->value;
}

// Pages first..last-1 go. At home, runs are released with one call.
void MemoryObject::drop_pages(State& state, uint64_t first, uint64_t last) {
  auto it = state.pages.lower_bound(first);
  while (it && it->key < last) {
    if (!state.is_home(it->key, it->value)) {
      free_page(state, it->key, it->value);
      it = state.pages.remove(it);
      continue;
    }
    AddressRange run = page_range(it->value.address);
    note_pages(state.source, -1);
    it = state.pages.remove(it);
    while (it && it->key < last && state.is_home(it->key, it->value) &&
           it->value.address == run.end) {
      run.end += kPageSize;
      note_pages(state.source, -1);
      it = state.pages.remove(it);
    }
    release_home(state, run);
  }
}

bool MemoryObject::is_accessible(State& state, uint64_t index, const Page& page) {
  if (!state.is_home(index, page)) return true;
  if (has(page_map::state_of(page.address).effective(), kProtReadWrite)) return true;
  // Nobody maps it any more: it becomes an ordinary cache page again.
  if (is_mapped(state, index)) return false;
  return !page_map::set_prot(page_range(page.address), kProtReadWrite).is_error();
}

Result<void> MemoryObject::with_access(State& state, uint64_t index, const Page& page,
                                       FunctionRef<Result<void>(uint64_t address)> use) {
  if (is_accessible(state, index, page)) return use(page.address);
  // Those who map it have less than we need: widen the rights for a moment.
  TRY(page_map::set_prot(page_range(page.address), kProtReadWrite));
  const Result<void> result = use(page.address);
  (void)page_map::set_prot(page_range(page.address), home_rights(state, index));
  return result;
}

Result<void> MemoryObject::with_page(uint64_t index,
                                     FunctionRef<Result<void>(uint64_t address)> use) {
  return state_.with([&](State& state) -> Result<void> {
    if (index >= ceil_div(state.size, kPageSize)) return Errno::kBadMsg;
    const Page* page = TRY(get_page(state, index, Content::kFill));
    return with_access(state, index, *page, use);
  });
}

// Zeroes bytes start..end-1, which lie in one page, if it is (or must be made) resident.
Result<void> MemoryObject::zero_part(State& state, uint64_t start, uint64_t end) {
  if (start == end) return {};
  const uint64_t index = start / kPageSize;
  const bool has_store = state.source != nullptr && state.source->has_store();
  if (!has_store && !state.pages.contains(index)) return {};
  Page* page = TRY(get_page(state, index, Content::kFill));
  page->dirty = true;
  return with_access(state, index, *page, [&](uint64_t address) -> Result<void> {
    zero_bytes(page_at(address).subspan(start % kPageSize, end - start));
    return {};
  });
}

Result<void> MemoryObject::resize(uint64_t size) {
  if (size > kLargestObject) return Errno::kFBig;
  ObjectChange change(*this);
  return state_.with([&](State& state) -> Result<void> {
    // Behind the end nothing stays reserved, even when the end stays where it is.
    if (size <= state.size) TRY(drop_reserved(state, ceil_div(size, kPageSize), UINT64_MAX));
    if (size < state.size) {
      const uint64_t old_pages = ceil_div(state.size, kPageSize);
      const uint64_t new_pages = ceil_div(size, kPageSize);
      if (size % kPageSize != 0) {
        TRY(zero_part(state, size, std::min(state.size, align_up(size, kPageSize))));
      }
      if (new_pages < old_pages) drop_pages(state, new_pages, UINT64_MAX);
    }
    state.size = size;
    return {};
  });
}

Result<void> MemoryObject::punch_hole(uint64_t offset, uint64_t length) {
  const uint64_t end = offset + std::min(length, kLargestObject);
  ObjectChange change(*this);
  return state_.with([&](State& state) -> Result<void> {
    TRY(drop_reserved(state, ceil_div(offset, kPageSize), end / kPageSize));
    const uint64_t stop = std::min(end, align_up(state.size, kPageSize));
    if (offset >= stop) return {};
    const uint64_t first = ceil_div(offset, kPageSize);
    const uint64_t last = stop / kPageSize;
    if (first > last) return zero_part(state, offset, stop);
    TRY(zero_part(state, offset, first * kPageSize));
    TRY(zero_part(state, last * kPageSize, stop));
    if (state.source == nullptr || !state.source->has_store()) {
      drop_pages(state, first, last);
      return {};
    }
    // What is below would come back: the zeroes must be written.
    for (uint64_t index = first; index < last; ++index) {
      TRY(zero_part(state, index * kPageSize, (index + 1) * kPageSize));
    }
    return {};
  });
}

Result<uint64_t> MemoryObject::next_data(uint64_t offset) {
  return state_.with([&](State& state) -> Result<uint64_t> {
    if (offset >= state.size) return Errno::kNxIo;
    if (state.source != nullptr && state.source->has_store()) return offset;
    const auto it = state.pages.lower_bound(offset / kPageSize);
    const uint64_t page =
        std::min(it ? it->key : UINT64_MAX, state.reserved.next_data(offset / kPageSize));
    if (page >= ceil_div(state.size, kPageSize)) return Errno::kNxIo;
    return std::max(offset, page * kPageSize);
  });
}

Result<uint64_t> MemoryObject::next_hole(uint64_t offset) {
  return state_.with([&](State& state) -> Result<uint64_t> {
    if (offset >= state.size) return Errno::kNxIo;
    if (state.source != nullptr && state.source->has_store()) return state.size;
    const uint64_t end = end_of_pages(state, offset / kPageSize, &ReservedPages::end_of_data);
    return std::min(std::max(offset, end * kPageSize), state.size);
  });
}

void MemoryObject::drop_clean(State& state, bool shared_writable) {
  if (state.source == nullptr || !state.source->has_store()) return;
  for (auto it = state.pages.begin(); it;) {
    // At home it may have been written by a program that has unmapped it since.
    const bool may_be_dirty = it->value.dirty || (shared_writable && state.at_home(it->key));
    if (may_be_dirty || it->value.alias != 0 ||
        (state.is_home(it->key, it->value) && is_mapped(state, it->key))) {
      ++it;
      continue;
    }
    free_page(state, it->key, it->value);
    it = state.pages.remove(it);
  }
}

void MemoryObject::invalidate() {
  ObjectChange change(*this);
  state_.with([&](State& state) { drop_clean(state, shared_writable_.load()); });
}

void MemoryObject::drop_clean_pages() {
  if (!try_begin_change()) return;
  state_.with([&](State& state) { drop_clean(state, shared_writable_.load()); });
  end_change();
}

void MemoryObject::detach_source() {
  state_.with([](State& state) {
    const auto pages = static_cast<int64_t>(state.pages.size());
    note_pages(state.source, -pages);
    state.source = nullptr;
    note_pages(state.source, pages);
  });
}

}  // namespace occlum
