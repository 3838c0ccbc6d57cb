#include "libos/mm/held_pages.h"

#include <algorithm>

#include "libos/lib/memory.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/page_allocator.h"
#include "libos/mm/stats.h"

namespace occlum {

Result<RefPtr<Frame>> Frame::copy_of(uint64_t address) {
  const uint64_t at = TRY(allocate_program_page());
  Result<RefPtr<Frame>> frame = make_ref<Frame>(at);
  if (frame.is_error()) {
    free_pages(at, 1);
    return frame;
  }
  copy_bytes(page_at(at), page_at(address));
  memory_counters.held_pages.fetch_add(1, std::memory_order_relaxed);
  return frame;
}

Frame::~Frame() {
  free_pages(address_, 1);
  memory_counters.held_pages.fetch_sub(1, std::memory_order_relaxed);
}

std::span<const std::byte, kPageSize> Frame::bytes() const { return page_at(address_); }

const Held* HeldPages::find(uint64_t page) const {
  const auto table = tables_.find_entry(align_down(page, kSpan));
  if (!table) return nullptr;
  const Held& held = table->value->pages[page % kSpan / kPageSize];
  return held.is_known() ? &held : nullptr;
}

Result<void> HeldPages::set(uint64_t page, Held held) {
  const uint64_t start = align_down(page, kSpan);
  auto table = tables_.find_entry(start);
  if (!table)
    table = tables_.insert(TRY(decltype(tables_)::prepare(start, TRY(make_own<Table>()))));
  Held& place = table->value->pages[page % kSpan / kPageSize];
  if (!place.is_known()) {
    ++table->value->known;
    ++size_;
  }
  place = std::move(held);
  return {};
}

void HeldPages::remove(AddressRange range) {
  auto table = tables_.lower_bound(align_down(range.start, kSpan));
  while (table && table->key < range.end) {
    const uint64_t start = std::max(range.start, table->key);
    const uint64_t end = std::min(range.end, table->key + kSpan);
    for (uint64_t page = start; page < end && table->value->known != 0; page += kPageSize) {
      Held& held = table->value->pages[page % kSpan / kPageSize];
      if (!held.is_known()) continue;
      held = Held();
      --table->value->known;
      --size_;
    }
    if (table->value->known == 0) {
      table = tables_.remove(table);
    } else {
      ++table;
    }
  }
}

void HeldPages::for_each(FunctionRef<void(uint64_t page, const Held& held)> visit) const {
  for (const auto& [start, table] : tables_) {
    for (size_t i = 0; i < table->pages.size(); ++i) {
      if (table->pages[i].is_known()) visit(start + i * kPageSize, table->pages[i]);
    }
  }
}

Result<void> HeldPages::take_from(HeldPages& other) {
  Result<void> result;
  other.for_each([&](uint64_t page, const Held& held) {
    if (!result.is_error()) result = set(page, held);
  });
  if (!result.is_error()) other.clear();
  return result;
}

}  // namespace occlum
