// mlock(2) and its relatives: see page_lock.h.
#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/mm/address_space_state.h"

namespace occlum {

Result<void> AddressSpace::set_lock(uint64_t address, uint64_t length, PageLock lock) {
  const AddressRange range = TRY(area_ops::checked_range(address, length, Errno::kNoMem));
  return state_->areas.change([&](Areas& areas) -> Result<void> {
    TRY(areas.set.split(range));
    uint64_t at = range.start;
    for (auto it = areas.set.first_after(at); it && at < range.end; ++it) {
      if (it->key > at || !it->value.is_visible()) break;
      it->value.lock = lock;
      at = it->value.end;
    }
    areas.set.merge(range.start, range.end);
    return at < range.end ? Errno::kNoMem : Result<void>();
  });
}

void AddressSpace::set_all_locks(std::optional<PageLock> now, PageLock future) {
  state_->areas.change_anyway([&](Areas& areas) {
    areas.future_lock = future;
    if (!now) return;
    for (auto it = areas.set.begin(); it; ++it) {
      if (it->value.is_visible()) it->value.lock = *now;
    }
    areas.set.merge(0, user_range().end);
  });
}

PageLock AddressSpace::future_lock() const {
  return state_->areas.peek([](const Areas& areas) { return areas.future_lock; });
}

uint64_t AddressSpace::locked_bytes(uint64_t start, uint64_t end) const {
  return state_->areas.peek_long([&](const Areas& areas) {
    uint64_t sum = 0;
    for (auto it = areas.set.first_after(start); it && it->key < end; ++it) {
      if (it->value.lock == PageLock::kNone || !it->value.is_visible()) continue;
      sum += std::min(it->value.end, end) - std::max(it->key, start);
    }
    return sum;
  });
}

}  // namespace occlum
