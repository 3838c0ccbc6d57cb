// madvise(2) and msync(2).
#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/lib/vec.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/stats.h"

namespace occlum {
namespace {

// Dropping this much at once gives the memory back to the host; less is zeroed and kept.
constexpr uint64_t kGiveBack = 4 * 1024 * 1024;

constexpr int kNormal = 0, kRandom = 1, kSequential = 2, kDontNeed = 4, kFree = 8, kRemove = 9,
              kDontFork = 10, kDoFork = 11, kDontDump = 16, kDoDump = 17, kWipeOnFork = 18,
              kKeepOnFork = 19, kCold = 20, kPageOut = 21, kPopulateRead = 22, kPopulateWrite = 23,
              kDontNeedLocked = 24;

// What has no effect beyond AreaAdvice: NORMAL RANDOM SEQUENTIAL WILLNEED DONTFORK DOFORK MERGEABLE UNMERGEABLE
// HUGEPAGE NOHUGEPAGE DONTDUMP DODUMP WIPEONFORK KEEPONFORK COLD PAGEOUT.
constexpr bool is_hint(int advice) {
  return (advice >= 0 && advice <= 3) || (advice >= 10 && advice <= 21);
}

// MADV_FREE: the pages may go at any time until they are written to. Whether they were cannot be seen in an enclave, so
// they go at once or never: at once while a quarter of the memory is used, since somebody may need it later.
bool frees_now() {
  const MemoryTotals totals = memory_totals();
  return totals.used_bytes > totals.total_bytes / 4;
}

uint8_t advice_after(uint8_t before, int advice) {
  const auto changed = [&](unsigned less, unsigned more) {
    return static_cast<uint8_t>((before & ~less) | more);
  };
  switch (advice) {
    case kNormal:
      return changed(kRandomReads | kSequentialReads, 0);
    case kRandom:
      return changed(kSequentialReads, kRandomReads);
    case kSequential:
      return changed(kRandomReads, kSequentialReads);
    case kDontFork:
      return changed(0, kNotForked);
    case kDoFork:
      return changed(kNotForked, 0);
    case kDontDump:
      return changed(0, kNotDumped);
    case kDoDump:
      return changed(kNotDumped, 0);
    case kWipeOnFork:
      return changed(0, kWipedOnFork);
    case kKeepOnFork:
      return changed(kWipedOnFork, 0);
    default:
      return before;
  }
}

// Whether an area takes the advice.
Result<void> check_area(const AreaData& area, int advice) {
  const bool is_locked = area.lock != PageLock::kNone;
  const bool is_anonymous = area.object() == nullptr && !area.shared;
  switch (advice) {
    case kDontNeed:
    case kCold:
    case kPageOut:
      // These would take pages away from under mlock(2).
      return is_locked ? Result<void>(Errno::kInval) : Result<void>();
    case kFree:
      return is_locked || !is_anonymous ? Result<void>(Errno::kInval) : Result<void>();
    case kWipeOnFork:
      return is_anonymous ? Result<void>() : Result<void>(Errno::kInval);
    case kRemove:
      if (is_locked || is_anonymous) return Errno::kInval;
      return area.shared && area.may_write ? Result<void>() : Result<void>(Errno::kAcces);
    default:
      return {};
  }
}

// How far advice goes, and what is said in the end: the first area that does not take it is the last that is looked at;
// holes are passed over and told of.
struct Reach {
  AddressRange range;
  Result<void> result;
};
Reach reach_of(const Areas& areas, AddressRange range, int advice) {
  bool has_hole = false;
  uint64_t at = range.start;
  for (auto it = areas.set.first_after(at); it && it->key < range.end; ++it) {
    if (!it->value.is_visible()) continue;
    if (it->key > at) has_hole = true;
    if (const Result<void> checked = check_area(it->value, advice); checked.is_error())
      return {{range.start, std::max(it->key, range.start)}, checked};
    at = it->value.end;
  }
  has_hole = has_hole || at < range.end;
  return {range, has_hole ? Result<void>(Errno::kNoMem) : Result<void>()};
}

Result<void> give_back_pages(Areas& areas, AddressRange part) {
  areas.lost.remove(part);
  page_map::release(part, page_map::Rights::kLeave);
  return page_map::decommit_kept(part);
}

Result<void> drop(Areas& areas, AddressRange range, int advice) {
  if (range.size() == 0) return {};
  TRY(area_ops::part_present(areas, range));
  for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
    if (!it->value.is_visible() || it->value.shared) continue;
    if (it->value.kind == AreaData::Kind::kStubs) continue;
    const AddressRange part{std::max(it->key, range.start), std::min(it->value.end, range.end)};
    area_ops::note_drop(areas, part);
    if (advice == kFree) {
      TRY(give_back_pages(areas, part));
    } else {
      TRY(area_ops::drop_pages(areas, it, part));
    }
  }
  return {};
}

Result<void> keep_advice(Areas& areas, AddressRange range, int advice) {
  bool changes = false;
  for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
    if (it->value.is_visible() && advice_after(it->value.advice, advice) != it->value.advice)
      changes = true;
  }
  if (!changes) return {};
  // madvise(2) has another error for want of the kernel's memory.
  if (areas.set.split(range).is_error()) return Errno::kAgain;
  for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
    if (it->value.is_visible()) it->value.advice = advice_after(it->value.advice, advice);
  }
  areas.set.merge(range.start, range.end);
  return {};
}

struct ObjectPart {
  RefPtr<MemoryObject> object;
  uint64_t offset, length;
};

// The shared objects in the range.
Result<Vec<ObjectPart>> shared_parts(const Areas& areas, AddressRange range) {
  Vec<ObjectPart> parts;
  for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
    if (!it->value.shared) continue;
    const uint64_t start = std::max(it->key, range.start);
    const uint64_t end = std::min(it->value.end, range.end);
    TRY(parts.push({it->value.source->object, it->value.offset + (start - it->key), end - start}));
  }
  return parts;
}

// MADV_POPULATE_*: page by page, up to what cannot be filled.
Result<void> fill(AddressSpace& memory, AddressRange range, Access access) {
  const Prot right = access == Access::kWrite ? Prot::kWrite : Prot::kRead;
  for (uint64_t at = range.start; at < range.end;) {
    const std::optional<Area> area = memory.find_area(at);
    if (!area) return Errno::kNoMem;
    if (!has(area->prot, right)) return Errno::kInval;
    for (; at < std::min(area->end, range.end); at += kPageSize) {
      if (page_map::state_of(at).present() && memory.may_access(at, kPageSize, access)) continue;
      const FaultResult result = memory.handle_fault(at, access);
      if (result == FaultResult::kOutOfMemory) return Errno::kNoMem;
      if (result == FaultResult::kNoMapping) break;  // unmapped meanwhile
      if (result != FaultResult::kResolved) return Errno::kFault;
    }
  }
  return {};
}

}  // namespace

namespace area_ops {

Result<void> drop_pages(Areas& areas, AreaSet::ConstIterator it, AddressRange part) {
  if (it->value.object() != nullptr || part.size() >= kGiveBack)
    return give_back_pages(areas, part);
  areas.lost.remove(part);
  return page_map::discard(part);
}

}  // namespace area_ops

Result<void> AddressSpace::advise(uint64_t address, uint64_t length, int advice) {
  if (!is_aligned(address, kPageSize)) return Errno::kInval;
  const bool drops = advice == kDontNeed || advice == kDontNeedLocked || advice == kFree;
  const bool populates = advice == kPopulateRead || advice == kPopulateWrite;
  if (!drops && !populates && advice != kRemove && !is_hint(advice)) return Errno::kInval;
  if (length == 0) return {};
  const auto size = checked_align_up(length, kPageSize);
  if (!size || !checked_add(address, *size)) return Errno::kInval;
  const AddressRange range = TRY(area_ops::checked_range(address, length, Errno::kNoMem));
  if (populates)
    return fill(*this, range, advice == kPopulateWrite ? Access::kWrite : Access::kRead);
  if (advice == kRemove) {
    Reach reach;
    const Vec<ObjectPart> parts = TRY(state_->areas.hold([&](Areas& areas) {
      reach = reach_of(areas, range, advice);
      return shared_parts(areas, reach.range);
    }));
    for (const ObjectPart& part : parts) TRY(part.object->punch_hole(part.offset, part.length));
    return reach.result;
  }
  return state_->areas.change([&](Areas& areas) -> Result<void> {
    const Reach reach = reach_of(areas, range, advice);
    if (advice == kFree && !frees_now()) return reach.result;
    TRY(drops ? drop(areas, reach.range, advice) : keep_advice(areas, reach.range, advice));
    return reach.result;
  });
}

Result<void> AddressSpace::sync(uint64_t address, uint64_t length, int flags) {
  constexpr int kInvalidate = 2, kSync = 4;
  if (!is_aligned(address, kPageSize)) return Errno::kInval;
  if (length == 0) return {};
  const AddressRange range = TRY(area_ops::checked_range(address, length, Errno::kNoMem));
  if ((flags & kInvalidate) != 0 && locked_bytes(range.start, range.end) != 0) return Errno::kBusy;
  const Vec<ObjectPart> parts =
      TRY(state_->areas.hold([&](Areas& areas) -> Result<Vec<ObjectPart>> {
        if (!areas.set.covers(range)) return Errno::kNoMem;
        return shared_parts(areas, range);
      }));
  if ((flags & kSync) == 0) return {};
  const MemoryObject* last = nullptr;
  for (const ObjectPart& part : parts) {
    if (part.object.get() != last) TRY(part.object->write_back());
    last = part.object.get();
  }
  return {};
}

}  // namespace occlum
