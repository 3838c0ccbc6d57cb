// mmap(2): where a mapping goes and what is there before. See address_space.h and address_space_state.h.
#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/lib/vec.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/reclaim.h"
#include "libos/sched/task.h"

namespace occlum {
namespace {

// Up to this many kept pages are zeroed when an area is made over them, which saves their faults.
constexpr uint64_t kFillAtOnce = 256;
constexpr uint64_t kLowestAddress = 64 * 1024;  // vm.mmap_min_addr
constexpr int kRetries = 1000;

Result<void> check_request(const MapRequest& request) {
  if (request.length == 0) return Errno::kInval;
  if (!is_aligned(request.source.offset, kPageSize)) return Errno::kInval;
  const bool fixed =
      request.placement == Placement::kFixed || request.placement == Placement::kFixedNoReplace;
  if (fixed) {
    if (!is_aligned(request.address, kPageSize)) return Errno::kInval;
    if (request.address < kLowestAddress) return Errno::kPerm;
  }
  const auto length = checked_align_up(request.length, kPageSize);
  if (!length) return Errno::kNoMem;
  if (!checked_add(request.source.offset, *length)) return Errno::kOverflow;
  const MapSource& source = request.source;
  if (source.shared && !source.may_write && has(request.prot, Prot::kWrite)) return Errno::kAcces;
  return {};
}

Result<RefPtr<AreaSource>> make_source(MapSource& source) {
  if (!source.object && source.name.is_empty()) return RefPtr<AreaSource>();
  RefPtr<AreaSource> result = TRY(make_ref<AreaSource>());
  result->object = source.object;
  result->name = std::move(source.name);
  result->device = source.device;
  result->inode = source.inode;
  return result;
}

// The addresses of a private mapping. Areas that a fixed one replaces are still there.
Result<AddressRange> place(Areas& areas, const MapRequest& request) {
  const AddressRange wanted{request.address, request.address + request.length};
  switch (request.placement) {
    case Placement::kHint: {
      const Result<AddressRange> hint = area_ops::checked_range(
          align_down(request.address, kPageSize), request.length, Errno::kNoMem);
      if (!hint.is_error() && is_range_free(hint.value()) &&
          !area_ops::acquire_at(areas, hint.value()).is_error())
        return hint.value();
      break;
    }
    case Placement::kFixedNoReplace:
      for (auto it = areas.set.first_after(wanted.start); it && it->key < wanted.end; ++it) {
        if (it->value.is_visible()) return Errno::kExist;
      }
      [[fallthrough]];
    case Placement::kFixed: {
      TRY(area_ops::checked_range(wanted.start, request.length, Errno::kNoMem));
      TRY(area_ops::claim(areas, wanted));
      return wanted;
    }
    case Placement::kAnywhere:
      break;
  }
  return area_ops::acquire(areas, request.length, 0);
}

Result<uint64_t> map_private(Areas& areas, const MapRequest& request, AreaData data) {
  const AddressRange range = TRY(place(areas, request));
  data.end = range.end;
  Result<AreaSet::Node> node = AreaSet::prepare(range.start, std::move(data));
  if (node.is_error()) {
    area_ops::unclaim(areas, range);
    return node.error();
  }
  area_ops::drop_areas(areas, range, area_ops::Addresses::kKeep, area_ops::Uses::kAll,
                       page_map::Rights::kLeave);
  TRY(area_ops::insert_private(areas, range, node.release_value()));
  return range.start;
}

// A shared mapping at an address that the program chose: its object's home must be there, or can be put there.
Result<uint64_t> map_shared_fixed(Areas& areas, const MapRequest& request, AreaData data) {
  const AddressRange range =
      TRY(area_ops::checked_range(request.address, request.length, Errno::kNoMem));
  if (request.placement == Placement::kFixedNoReplace) {
    for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
      if (it->value.is_visible()) return Errno::kExist;
    }
  }
  MemoryObject& object = *data.object();
  const uint64_t home = object.home_if_any();
  if (home != 0 && home + data.offset == range.start &&
      object.owns_home(data.offset, range.size())) {
    // Only mappings of this object can be there: they are replaced.
    TRY(areas.set.split(range));
    area_ops::drop_areas(areas, range, area_ops::Addresses::kKeep, area_ops::Uses::kAll,
                         page_map::Rights::kRevoke);
  } else {
    if (home != 0 && object.is_mapped_anywhere()) {
      log_warn("mm: a shared object mapped at a second address ({:x}) is not supported yet",
               range.start);
      return Errno::kNoMem;
    }
    TRY(area_ops::claim(areas, range));
    area_ops::drop_areas(areas, range, area_ops::Addresses::kKeep, area_ops::Uses::kAll,
                         page_map::Rights::kRevoke);
    if (!area_ops::hand_over(areas, range)) {
      log_warn("mm: {:x} cannot be shared: other members of the family have it", range.start);
      area_ops::release(areas, range);
      return Errno::kNoMem;
    }
    if (Result<void> moved = object.set_home(range, data.offset); moved.is_error()) {
      free_range(range);
      return moved.error();
    }
  }
  TRY(area_ops::insert_shared(areas, range, data));
  return range.start;
}

}  // namespace

namespace area_ops {

Result<AddressRange> checked_range(uint64_t address, uint64_t length, Errno error) {
  const auto size = checked_align_up(length, kPageSize);
  if (!size || *size == 0) return error;
  const auto end = checked_add(address, *size);
  const AddressRange user = user_range();
  if (!end || address < user.start || *end > user.end) return error;
  return AddressRange{address, *end};
}

Result<void> claim(Areas& areas, AddressRange range) {
  TRY(areas.set.split(range));
  TRY(part_present(areas, range));
  for (auto it = areas.set.first_after(range.start); it && it->key < range.end;) {
    if (!it->value.shared) {
      ++it;
      continue;
    }
    // The addresses are the object's home: it must move away.
    const RefPtr<AreaSource> source = it->value.source;
    const AddressRange part = range_of(it);
    drop_areas(areas, part, Addresses::kKeep, Uses::kAll, page_map::Rights::kRevoke);
    if (Result<void> moved = source->object->vacate_home(); moved.is_error()) {
      if (moved.error() != Errno::kBusy) return moved;
      log_warn("mm: {:x} is the home of a shared object that others map", part.start);
      return Errno::kNoMem;
    }
    it = areas.set.first_after(part.end);
  }
  Vec<AddressRange> taken;
  uint64_t at = range.start;
  auto it = areas.set.first_after(at);
  Result<void> result;
  while (at < range.end && !result.is_error()) {
    const uint64_t gap_end = it && it->key < range.end ? it->key : range.end;
    if (at < gap_end) {
      const AddressRange gap{at, gap_end};
      result = taken.push(gap);
      if (!result.is_error()) result = acquire_at(areas, gap);
      if (result.is_error() && !taken.is_empty() && taken.last().start == gap.start)
        (void)taken.pop();
    }
    if (gap_end == range.end) break;
    at = it->value.end;
    ++it;
  }
  if (!result.is_error()) return result;
  for (const AddressRange& gap : taken) release(areas, gap);
  return result;
}

void unclaim(Areas& areas, AddressRange range) {
  uint64_t at = range.start;
  for (auto it = areas.set.first_after(at); it && it->key < range.end; ++it) {
    if (at < it->key) release(areas, {at, it->key});
    at = it->value.end;
  }
  if (at < range.end) release(areas, {at, range.end});
}

Result<void> settle_kept_pages(Areas& areas, AddressRange range, const AreaData& data) {
  const uint64_t kept = page_map::kept_pages(range);
  if (kept == 0) return {};
  if (kept <= kFillAtOnce && !areas.group && data.object() == nullptr &&
      has(data.prot, Prot::kWrite)) {
    return page_map::populate_kept(range, data.prot);
  }
  return page_map::close_kept(range);
}

Result<void> insert_private(Areas& areas, AddressRange range, AreaSet::Node node) {
  const auto it = areas.set.insert(std::move(node));
  if (it->value.is_visible()) areas.mapped_bytes += range.size();
  if (Result<void> settled = settle_kept_pages(areas, range, it->value); settled.is_error()) {
    drop_areas(areas, range, Addresses::kFree, Uses::kAll, page_map::Rights::kRevoke);
    return settled;
  }
  areas.set.merge(range.start, range.end);
  return {};
}

Result<void> insert_shared(Areas& areas, AddressRange range, const AreaData& data) {
  MemoryObject& object = *data.object();
  TRY(areas.set.split(range));
  uint64_t at = range.start;
  Result<void> result;
  while (at < range.end && !result.is_error()) {
    const auto it = areas.set.first_after(at);
    if (it && it->key <= at) {
      ASSERT(it->value.object() == &object);
      const ObjectPages pages = object_pages(it, range_of(it));
      const Prot prot = it->value.prot | data.prot;
      result = object.change_mapping(areas.space, pages.first, pages.count, prot);
      if (result.is_error()) break;
      it->value.prot = prot;
      it->value.may_write = it->value.may_write || data.may_write;
      ++it->value.uses;
      at = it->value.end;
      continue;
    }
    AreaData part = data;
    part.end = it ? std::min(it->key, range.end) : range.end;
    part.offset = data.offset + (at - range.start);
    const uint64_t end = part.end;
    const uint64_t first = part.offset / kPageSize;
    Result<AreaSet::Node> node = AreaSet::prepare(at, std::move(part));
    if (node.is_error()) {
      result = node.error();
      break;
    }
    result = object.add_mapping(areas.space, first, (end - at) / kPageSize, data.prot);
    if (result.is_error()) break;
    areas.set.insert(node.release_value());
    areas.mapped_bytes += end - at;
    at = end;
  }
  if (result.is_error() && at != range.start) {
    drop_areas(areas, {range.start, at}, Addresses::kKeep, Uses::kOne, page_map::Rights::kRevoke);
  }
  return result;
}

}  // namespace area_ops

Result<uint64_t> AddressSpace::map(MapRequest request) {
  TRY(check_request(request));
  request.length = align_up(request.length, kPageSize);
  if (request.length > user_range().size()) return Errno::kNoMem;
  if (request.source.shared && !request.source.object) {
    request.source.object = TRY(MemoryObject::create(nullptr, request.length));
    if (request.source.name.is_empty()) {
      request.source.name = TRY(String::create("/dev/zero (deleted)"));
    }
  }
  AreaData data;
  data.source = TRY(make_source(request.source));
  data.offset = data.object() != nullptr ? request.source.offset : 0;
  data.prot = request.prot;
  data.shared = request.source.shared;
  data.may_write = request.source.may_write;
  data.grows_down = request.grows_down;
  data.lock = request.lock;
  data.is_stack = request.is_stack || request.grows_down;

  const bool fixed =
      request.placement == Placement::kFixed || request.placement == Placement::kFixedNoReplace;
  uint64_t address = 0;
  for (int attempt = 0;; ++attempt) {
    uint64_t home = 0;
    // Outside of our lock: it waits for copies, which may fault in this space.
    if (data.shared && !fixed) home = TRY(data.object()->home(data.offset + request.length));
    const Result<uint64_t> done = state_->areas.change([&](Areas& areas) -> Result<uint64_t> {
      if (!data.shared) return map_private(areas, request, data);
      if (fixed) return map_shared_fixed(areas, request, data);
      // Somebody may have moved the home meanwhile.
      if (data.object()->home_if_any() != home) return Errno::kAgain;
      const uint64_t start = home + data.offset;
      TRY(area_ops::insert_shared(areas, {start, start + request.length}, data));
      return start;
    });
    if (!done.is_error()) {
      address = done.value();
      break;
    }
    if (attempt == kRetries) return Errno::kNoMem;
    if (done.error() == Errno::kBusy) {
      // Another program has some of these addresses: both shall, by turns.
      const Result<void> joined =
          ConflictGroup::join_owners(*this, {request.address, request.address + request.length});
      if (!joined.is_error()) continue;
      if (joined.error() != Errno::kAgain) return joined.error();
    } else if (done.error() != Errno::kAgain) {
      return done.error();
    }
    yield_task();
  }
  if (request.populate && request.prot != Prot::kNone)
    populate({address, address + request.length});
  return address;
}

// MAP_POPULATE: as far as it goes.
void AddressSpace::populate(AddressRange range) {
  for (uint64_t at = range.start; at < range.end; at += kPageSize) {
    if (page_map::state_of(at).present()) continue;
    if (handle_fault(at, Access::kRead) != FaultResult::kResolved) return;
    if (at / kPageSize % 64 == 0) preemption_point();
  }
}

}  // namespace occlum
