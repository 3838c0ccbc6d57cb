// madvise(2) and msync(2).
#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/lib/vec.h"
#include "libos/mm/address_space_state.h"

namespace occlum {
namespace {

// Dropping this much at once gives the memory back to the host; less is zeroed and kept.
constexpr uint64_t kGiveBack = 4 * 1024 * 1024;

constexpr int kDontNeed = 4, kFree = 8, kRemove = 9, kPopulateRead = 22, kPopulateWrite = 23,
              kDontNeedLocked = 24;

// What needs nothing done: NORMAL RANDOM SEQUENTIAL WILLNEED DONTFORK DOFORK MERGEABLE UNMERGEABLE HUGEPAGE NOHUGEPAGE
// DONTDUMP DODUMP WIPEONFORK KEEPONFORK COLD PAGEOUT.
// These would take pages away from under mlock(2).
constexpr bool is_for_unlocked(int advice) {
  constexpr int kCold = 20, kPageOut = 21;
  return advice == kDontNeed || advice == kFree || advice == kCold || advice == kPageOut;
}

constexpr bool is_hint(int advice) {
  return (advice >= 0 && advice <= 3) || (advice >= 10 && advice <= 21);
}

void drop_private(AreaSet::ConstIterator it, AddressRange part) {
  if (it->value.object() != nullptr) {
    page_map::release(part, page_map::Rights::kRevoke);
  } else if (part.size() >= kGiveBack) {
    page_map::release(part, page_map::Rights::kRevoke);
    page_map::decommit_kept(part);
  } else {
    page_map::discard(part);
  }
}

Result<void> drop(Areas& areas, AddressRange range) {
  TRY(area_ops::part_present(areas, range));
  for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
    if (!it->value.is_visible() || it->value.shared) continue;
    const AddressRange part{std::max(it->key, range.start), std::min(it->value.end, range.end)};
    drop_private(it, part);
    areas.lost.remove(part);
  }
  return areas.set.covers(range) ? Result<void>() : Errno::kNoMem;
}

struct ObjectPart {
  RefPtr<MemoryObject> object;
  uint64_t offset, length;
};

// The shared objects in the range. kNoMem also when there is a hole.
Result<Vec<ObjectPart>> shared_parts(const Areas& areas, AddressRange range) {
  if (!areas.set.covers(range)) return Errno::kNoMem;
  Vec<ObjectPart> parts;
  for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
    if (!it->value.shared) continue;
    const uint64_t start = std::max(it->key, range.start);
    const uint64_t end = std::min(it->value.end, range.end);
    TRY(parts.push({it->value.source->object, it->value.offset + (start - it->key), end - start}));
  }
  return parts;
}

}  // namespace

Result<void> AddressSpace::advise(uint64_t address, uint64_t length, int advice) {
  if (!is_aligned(address, kPageSize)) return Errno::kInval;
  const bool drops = advice == kDontNeed || advice == kDontNeedLocked;
  const bool populates = advice == kPopulateRead || advice == kPopulateWrite;
  if (!drops && !populates && advice != kFree && advice != kRemove && !is_hint(advice)) {
    return Errno::kInval;
  }
  if (length == 0) return {};
  const auto size = checked_align_up(length, kPageSize);
  if (!size || !checked_add(address, *size)) return Errno::kInval;
  const AddressRange range = TRY(area_ops::checked_range(address, length, Errno::kNoMem));
  if (is_for_unlocked(advice) && locked_bytes(range.start, range.end) != 0) return Errno::kInval;
  if (drops) {
    return state_->areas.change([&](Areas& areas) { return drop(areas, range); });
  }
  if (advice == kRemove) {
    Vec<ObjectPart> parts =
        TRY(state_->areas.hold([&](Areas& areas) { return shared_parts(areas, range); }));
    if (parts.is_empty()) return Errno::kInval;
    for (const ObjectPart& part : parts) TRY(part.object->punch_hole(part.offset, part.length));
    return {};
  }
  TRY(check_mapped(address, length));
  if (populates) {
    const Access access = advice == kPopulateWrite ? Access::kWrite : Access::kRead;
    for (uint64_t at = range.start; at < range.end; at += kPageSize) {
      if (page_map::state_of(at).present() && may_access(at, kPageSize, access)) continue;
      const FaultResult result = handle_fault(at, access);
      if (result == FaultResult::kOutOfMemory) return Errno::kNoMem;
      if (result != FaultResult::kResolved) return Errno::kFault;
    }
  }
  // MADV_FREE may be ignored: the pages keep their content until somebody needs the memory, and nobody does.
  return {};
}

Result<void> AddressSpace::sync(uint64_t address, uint64_t length, int flags) {
  constexpr int kInvalidate = 2, kSync = 4;
  if (!is_aligned(address, kPageSize)) return Errno::kInval;
  if (length == 0) return {};
  const AddressRange range = TRY(area_ops::checked_range(address, length, Errno::kNoMem));
  if ((flags & kInvalidate) != 0 && locked_bytes(range.start, range.end) != 0) return Errno::kBusy;
  Vec<ObjectPart> parts =
      TRY(state_->areas.hold([&](Areas& areas) { return shared_parts(areas, range); }));
  if ((flags & kSync) == 0) return {};
  const MemoryObject* last = nullptr;
  for (const ObjectPart& part : parts) {
    if (part.object.get() != last) TRY(part.object->write_back());
    last = part.object.get();
  }
  return {};
}

}  // namespace occlum
