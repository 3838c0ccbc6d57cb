// mprotect(2).
#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/mm/address_space_state.h"

namespace occlum {
namespace {

// What lies before a hole, or before what may not be written, is changed nevertheless.
struct Extent {
  uint64_t end;
  Result<void> result;  // why it ends before the range does
};
Extent extent_of(const Areas& areas, AddressRange range, Prot prot) {
  uint64_t at = range.start;
  for (auto it = areas.set.first_after(at); it && at < range.end; ++it) {
    if (it->key > at || !it->value.is_visible()) break;
    if (has(prot, Prot::kWrite) && it->value.shared && !it->value.may_write)
      return {at, Errno::kAcces};
    at = it->value.end;
  }
  if (at < range.end) return {at, Errno::kNoMem};
  return {range.end, {}};
}

}  // namespace

Result<void> AddressSpace::protect(uint64_t address, uint64_t length, Prot prot) {
  if (!is_aligned(address, kPageSize)) return Errno::kInval;
  if (length == 0) return {};
  const AddressRange wanted = TRY(area_ops::checked_range(address, length, Errno::kNoMem));
  return state_->areas.change([&](Areas& areas) -> Result<void> {
    const Extent extent = extent_of(areas, wanted, prot);
    const AddressRange range{wanted.start, extent.end};
    if (range.size() == 0) return extent.result;
    TRY(areas.set.split(range));
    TRY(area_ops::part_present(areas, range));
    Result<void> result;
    AddressRange run{0, 0};  // neighbouring private areas: one change of rights
    const auto flush = [&] {
      if (run.start == run.end) return;
      if (Result<void> set = page_map::set_prot(run, prot); set.is_error()) result = set;
      run = {0, 0};
    };
    for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
      const AddressRange part = area_ops::range_of(it);
      const Prot before = it->value.prot;
      if (before == prot) continue;
      if (it->value.shared) {
        const Result<void> set =
            it->value.object()->change_mapping(area_ops::mapped_pages(areas, it, part), prot);
        if (set.is_error()) {
          result = set;
          continue;
        }
      } else {
        if (run.end != part.start) flush();
        if (run.start == run.end) run.start = part.start;
        run.end = part.end;
      }
      it->value.prot = prot;
      if (before != Prot::kNone || it->value.shared) continue;
      if (Result<void> settled = area_ops::settle_kept_pages(areas, it, part); settled.is_error()) {
        it->value.prot = before;
        result = settled;
        flush();
        (void)page_map::set_prot(part, before);
      }
    }
    flush();
    areas.set.merge(range.start, range.end);
    return result.is_error() ? result : extent.result;
  });
}

}  // namespace occlum
