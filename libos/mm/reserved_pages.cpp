#include "libos/mm/reserved_pages.h"

#include <algorithm>

namespace occlum {

const ReservedPages::Range* ReservedPages::find(uint64_t page) const {
  const auto it = std::ranges::upper_bound(ranges_, page, {}, &Range::last);
  return it != ranges_.end() && it->first <= page ? &*it : nullptr;
}

uint64_t ReservedPages::end_of(uint64_t page) const {
  while (const Range* range = find(page)) page = range->last;
  return page;
}

uint64_t ReservedPages::end_of_data(uint64_t page) const {
  const Range* range = find(page);
  return range != nullptr && range->is_data ? range->last : page;
}

uint64_t ReservedPages::next_data(uint64_t page) const {
  for (const Range& range : ranges_) {
    if (range.is_data && range.last > page) return std::max(range.first, page);
  }
  return UINT64_MAX;
}

void ReservedPages::for_each(uint64_t first, uint64_t last,
                             FunctionRef<void(uint64_t first, uint64_t last)> use) const {
  for (const Range& range : ranges_) {
    const uint64_t start = std::max(first, range.first), end = std::min(last, range.last);
    if (start < end) use(start, end);
  }
}

// Those outside stay as they are; inside, what was there is data now, and the gaps are reserved; or nothing is left.
Result<void> ReservedPages::rebuild(uint64_t first, uint64_t last, Inside inside) {
  Vec<Range> all;
  const auto put = [&](uint64_t start, uint64_t end, bool is_data) -> Result<void> {
    if (start >= end) return {};
    return all.push({start, end, is_data});
  };
  for (const Range& range : ranges_)
    TRY(put(range.first, std::min(range.last, first), range.is_data));
  if (inside == Inside::kReserve) {
    uint64_t at = first;
    for (const Range& range : ranges_) {
      const uint64_t start = std::max(range.first, first), end = std::min(range.last, last);
      if (start >= end) continue;
      TRY(put(at, start, false));
      TRY(put(start, end, true));
      at = end;
    }
    TRY(put(at, last, false));
  }
  for (const Range& range : ranges_)
    TRY(put(std::max(range.first, last), range.last, range.is_data));
  ranges_ = std::move(all);
  return {};
}

Result<void> ReservedPages::add(uint64_t first, uint64_t last) {
  return rebuild(first, last, Inside::kReserve);
}

Result<void> ReservedPages::remove(uint64_t first, uint64_t last) {
  if (ranges_.is_empty()) return {};
  return rebuild(first, last, Inside::kDrop);
}

}  // namespace occlum
