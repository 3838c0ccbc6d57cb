// Addresses and pages of private areas whose address space may have to share them with a conflict group. Without a
// group these are the plain functions of range_allocator.h.
#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/exchange.h"
#include "libos/mm/range_allocator.h"

namespace occlum::area_ops {
namespace {

// What others have there is held, and the pages are nobody's.
Result<void> evict_others(ConflictGroup& group, AddressRange range) {
  Result<void> result;
  page_map::for_each(range, [&](uint64_t page, std::atomic<uint32_t>& bits) {
    const PageState state(bits.load(std::memory_order_relaxed));
    if (result.is_error() || !state.present() || group.base.contains(page)) return;
    const AddressRange one = page_range(page);
    if (!has(state.effective(), Prot::kRead)) {
      result = page_map::open_for_kernel(one, kProtReadWrite);
      if (result.is_error()) return;
    }
    Result<RefPtr<Frame>> frame = Frame::copy_of(page);
    result = frame.is_error() ? frame.error()
                              : group.base.set(page, Held::content(frame.release_value()));
  });
  TRY(std::move(result));
  page_map::release(range, page_map::Rights::kRevoke);
  return {};
}

// Gives back what was acquired up to `end`.
void undo(Areas& areas, AddressRange range, uint64_t end) {
  if (range.start < end) release(areas, {range.start, end});
}

}  // namespace

Result<AddressRange> acquire(Areas& areas, uint64_t size, uint64_t slack) {
  const AddressRange range = TRY(allocate_range(size, kPageSize, slack));
  if (!areas.group) return range;
  const Result<void> counted =
      areas.group->ranges.with([&](RangeCounts& counts) { return counts.add(range); });
  if (!counted.is_error()) return range;
  free_range(range);
  return counted.error();
}

Result<void> acquire_at(Areas& areas, AddressRange range) {
  if (!areas.group) {
    return allocate_range_at(range).is_error() ? Result<void>(Errno::kBusy) : Result<void>();
  }
  ConflictGroup& group = *areas.group;
  if (has_areas(areas, range)) return Errno::kExist;
  // Parts that nobody of the group has must be free; those of others of the group become ours as well.
  Vec<AddressRange> fresh;
  const Result<bool> shared = group.ranges.with([&](RangeCounts& counts) -> Result<bool> {
    Result<void> result;
    bool has_others = false;
    counts.for_each(range, [&](AddressRange part, uint32_t count) {
      if (result.is_error()) return;
      if (count != 0) {
        has_others = true;
        return;
      }
      result = fresh.push(part);
      if (result.is_error()) return;
      if (allocate_range_at(part).is_error()) {
        (void)fresh.pop();
        result = Errno::kBusy;
      }
    });
    if (!result.is_error()) result = counts.add(range);
    if (!result.is_error()) return has_others;
    for (const AddressRange& part : fresh) free_range(part);
    return result.error();
  });
  if (!TRY(Result<bool>(shared))) return {};
  const Result<void> evicted = evict_others(group, range);
  if (evicted.is_error()) undo(areas, range, range.end);
  return evicted;
}

void release(Areas& areas, AddressRange range) {
  if (!areas.group) return free_range(range);
  areas.held.remove(range);
  ConflictGroup& group = *areas.group;
  group.ranges.with([&](RangeCounts& counts) {
    counts.remove(range, [&](AddressRange part) {
      group.base.remove(part);
      free_range(part);
    });
  });
}

bool hand_over(Areas& areas, AddressRange range) {
  if (!areas.group) return true;
  ConflictGroup& group = *areas.group;
  const bool is_ours = group.ranges.with([&](RangeCounts& counts) {
    if (counts.is_shared(range)) return false;
    counts.remove(range, [](AddressRange) {});
    return true;
  });
  if (!is_ours) return false;
  areas.held.remove(range);
  group.base.remove(range);
  return true;
}

Result<void> part_present(Areas& areas, AddressRange range, Which which) {
  if (!areas.group) return {};
  ConflictGroup& group = *areas.group;
  Vec<AddressRange> shared;
  TRY(group.ranges.with([&](RangeCounts& counts) -> Result<void> {
    Result<void> result;
    counts.for_each(range, [&](AddressRange part, uint32_t count) {
      if (count > 1 && !result.is_error()) result = shared.push(part);
    });
    return result;
  }));
  Result<void> result;
  for (const AddressRange& part : shared) {
    page_map::for_each(part, [&](uint64_t page, std::atomic<uint32_t>& bits) {
      const PageState state(bits.load(std::memory_order_relaxed));
      if (result.is_error() || !state.present() || group.base.contains(page)) return;
      if (which == Which::kWritable && !has(state.epcm(), Prot::kWrite)) return;
      const AreaSet::ConstIterator area = std::as_const(areas.set).find(page);
      if (!area || area->value.shared) return;
      if (area->value.object() != nullptr && !state.modified()) {
        result = group.base.set(page, Held::absent());
        return;
      }
      const bool is_readable = has(state.effective(), Prot::kRead);
      const AddressRange one = page_range(page);
      if (!is_readable) result = page_map::set_prot(one, Prot::kRead);
      if (result.is_error()) return;
      Result<RefPtr<Frame>> frame = Frame::copy_of(page);
      if (!is_readable) (void)page_map::set_prot(one, area->value.prot);
      result = frame.is_error() ? frame.error()
                                : group.base.set(page, Held::content(frame.release_value()));
    });
  }
  return result;
}

Result<void> part_absent(Areas& areas, AddressRange range) {
  if (!areas.group) return {};
  ConflictGroup& group = *areas.group;
  Vec<AddressRange> shared;
  TRY(group.ranges.with([&](RangeCounts& counts) -> Result<void> {
    Result<void> result;
    counts.for_each(range, [&](AddressRange part, uint32_t count) {
      if (count > 1 && !result.is_error()) result = shared.push(part);
    });
    return result;
  }));
  for (const AddressRange& part : shared) {
    for (uint64_t page = part.start; page < part.end; page += kPageSize) {
      if (page_map::state_of(page).present() || group.base.contains(page)) continue;
      TRY(group.base.set(page, Held::absent()));
    }
  }
  return {};
}

}  // namespace occlum::area_ops
