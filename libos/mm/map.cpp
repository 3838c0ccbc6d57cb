// mmap(2): where a mapping goes and what is there before. See address_space.h and address_space_state.h.
#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/lib/vec.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/patience.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/reclaim.h"
#include "libos/sched/task.h"

namespace occlum {
namespace {

// Up to so many kept pages are filled when an area is made over them, which saves their faults. More take too long.
constexpr uint64_t kZeroedAtOnce = 4096;
constexpr uint64_t kFilledAtOnce = 512;
constexpr uint64_t kLowestAddress = 64 * 1024;  // vm.mmap_min_addr
constexpr int kJoins =
    100;  // at once: each may bring in one more program that has some of the addresses

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
  return make_ref<AreaSource>(std::move(static_cast<MappedObject&>(source)));
}

bool has_visible_areas(const Areas& areas, AddressRange range) {
  for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
    if (it->value.is_visible()) return true;
  }
  return false;
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
      if (has_visible_areas(areas, wanted)) return Errno::kExist;
      [[fallthrough]];
    case Placement::kFixed: {
      TRY(area_ops::checked_range(wanted.start, request.length, Errno::kNoMem));
      TRY(area_ops::claim(areas, wanted));
      return wanted;
    }
    case Placement::kAnywhere:
      break;
  }
  if (request.grows_down)
    return area_ops::acquire_above_room(areas, request.length, request.room_behind);
  return area_ops::acquire(areas, request.length, request.room_behind);
}

Result<uint64_t> map_private(Areas& areas, const MapRequest& request, AreaData data) {
  const AddressRange range = TRY(place(areas, request));
  data.end = range.end;
  Result<AreaSet::Node> node = AreaSet::prepare(range.start, std::move(data));
  if (node.is_error()) {
    area_ops::unclaim(areas, range);
    if (request.grows_down) area_ops::drop_room_below(areas, range.start);
    return node.error();
  }
  area_ops::drop_areas(areas, range, area_ops::Addresses::kKeep, page_map::Rights::kLeave);
  const Result<void> inserted = area_ops::insert_private(areas, range, node.release_value());
  if (inserted.is_error()) {
    if (request.grows_down) area_ops::drop_room_below(areas, range.start);
    return inserted.error();
  }
  if (request.grows_down) area_ops::keep_room_below(areas, range.start, request.room_behind);
  return range.start;
}

// Whether the object is mapped by others, or by us elsewhere, so that this mapping must be an alias; or has its home
// right there.
enum class SharedPlace { kHome, kNewHome, kAlias };
SharedPlace shared_place(const MemoryObject& object, AddressRange range, uint64_t offset) {
  const uint64_t home = object.home_if_any();
  if (home != 0 && home + offset == range.start && object.owns_home(offset, range.size()))
    return SharedPlace::kHome;
  return home != 0 && object.is_mapped_home() ? SharedPlace::kAlias : SharedPlace::kNewHome;
}

// A shared mapping at an address that the program chose. kXDev: it must be an alias, which the object does not allow yet.
Result<uint64_t> map_shared_fixed(Areas& areas, const MapRequest& request, AreaData data) {
  const AddressRange range =
      TRY(area_ops::checked_range(request.address, request.length, Errno::kNoMem));
  if (request.placement == Placement::kFixedNoReplace && has_visible_areas(areas, range))
    return Errno::kExist;
  MemoryObject& object = *data.object();
  SharedPlace place = shared_place(object, range, data.offset);
  if (place == SharedPlace::kHome) {
    // Only mappings of this object can be there: they are replaced.
    TRY(area_ops::prepare_drop(areas, range));
    area_ops::drop_areas(areas, range, area_ops::Addresses::kKeep, page_map::Rights::kRevoke);
    TRY(area_ops::insert_shared(areas, range, data));
    return range.start;
  }
  if (place == SharedPlace::kAlias && !object.allows_aliases()) return Errno::kXDev;
  TRY(area_ops::claim(areas, range));
  area_ops::drop_areas(areas, range, area_ops::Addresses::kKeep, page_map::Rights::kRevoke);
  if (place == SharedPlace::kNewHome && !area_ops::hand_over(areas, range)) {
    // Other members of the family have some of the addresses: they cannot be an object's.
    if (!object.allows_aliases()) {
      area_ops::release(areas, range);
      return Errno::kXDev;
    }
    place = SharedPlace::kAlias;
  }
  if (place == SharedPlace::kAlias) {
    TRY(area_ops::insert_alias(areas, range, std::move(data)));
    return range.start;
  }
  if (Result<void> moved = object.set_home(range, data.offset); moved.is_error()) {
    free_range(range);
    return moved.error();
  }
  TRY(area_ops::insert_shared(areas, range, data));
  return range.start;
}

// A shared mapping anywhere. `home` is what the object's home was without our lock; 0: it cannot be used. kXDev as above.
Result<uint64_t> map_shared(Areas& areas, const MapRequest& request, AreaData data, uint64_t home) {
  MemoryObject& object = *data.object();
  if (home != 0) {
    // Somebody may have moved the home meanwhile.
    if (object.home_if_any() != home) return Errno::kAgain;
    const uint64_t start = home + data.offset;
    const AddressRange range{start, start + request.length};
    if (!area_ops::has_areas(areas, range)) {
      TRY(area_ops::insert_shared(areas, range, data));
      return start;
    }
  }
  if (!object.allows_aliases()) return Errno::kXDev;
  const AddressRange range = TRY(area_ops::acquire(areas, request.length, 0));
  TRY(area_ops::insert_alias(areas, range, std::move(data)));
  return range.start;
}

}  // namespace

Result<MappedObject> MappedObject::another() const {
  MappedObject same;
  same.object = object;
  same.name = TRY(name.clone());
  same.device = device;
  same.inode = inode;
  same.is_quiet = is_quiet;
  same.writes = writes.another();
  same.shared_writes = shared_writes.another();
  return same;
}

Result<MapSource> MapSource::another() const {
  MapSource same(TRY(MappedObject::another()));
  same.offset = offset;
  same.shared = shared;
  same.may_write = may_write;
  return same;
}

Result<MapRequest> MapRequest::another() const {
  MapRequest same;
  same.address = address;
  same.length = length;
  same.prot = prot;
  same.placement = placement;
  same.grows_down = grows_down;
  same.is_stack = is_stack;
  same.is_stubs = is_stubs;
  same.room_behind = room_behind;
  same.keeps_size = keeps_size;
  same.populate = populate;
  same.not_reserved = not_reserved;
  same.lock = lock;
  same.source = TRY(source.another());
  return same;
}

namespace area_ops {

bool has_areas(const Areas& areas, AddressRange range) {
  const auto it = areas.set.first_after(range.start);
  return it && it->key < range.end;
}

Result<AddressRange> checked_range(uint64_t address, uint64_t length, Errno error) {
  const auto size = checked_align_up(length, kPageSize);
  if (!size || *size == 0) return error;
  const auto end = checked_add(address, *size);
  const AddressRange user = user_range();
  if (!end || address < user.start || *end > user.end) return error;
  return AddressRange{address, *end};
}

Result<void> claim(Areas& areas, AddressRange range) {
  TRY(prepare_drop(areas, range));
  TRY(part_present(areas, range));
  // A shared object's home must give way first.
  for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
    if (!it->value.owns_addresses()) return Errno::kBusy;
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

Result<void> settle_kept_pages(Areas& areas, AreaSet::ConstIterator area, AddressRange range) {
  const uint64_t kept = page_map::kept_pages(range);
  if (kept == 0) return {};
  const AreaData& data = area->value;
  // A stack's pages must fault when they are touched first, whatever the host does.
  if (data.kind == AreaData::Kind::kRoom) return page_map::decommit_kept(range);
  if (data.prot == Prot::kNone) return page_map::close_kept(range);
  if (data.object() == nullptr && has(data.prot, Prot::kWrite) && kept <= kZeroedAtOnce) {
    TRY(part_absent(areas, range));
    return page_map::populate_kept(range, data.prot);
  }
  // What is written to a file before a page of a private mapping is used shows there. Threads must not see a page before
  // it is whole.
  const bool is_quiet = data.object() != nullptr && data.source->is_quiet;
  if (is_quiet && !areas.has_threads && !areas.group && kept <= kFilledAtOnce)
    fill_kept_pages(area, range);
  return page_map::decommit_kept(range);
}

Result<void> insert_private(Areas& areas, AddressRange range, AreaSet::Node node) {
  const auto it = areas.set.insert(std::move(node));
  if (it->value.is_visible()) areas.mapped_bytes += range.size();
  if (Result<void> settled = settle_kept_pages(areas, it, range); settled.is_error()) {
    drop_areas(areas, range, Addresses::kFree, page_map::Rights::kRevoke);
    return settled;
  }
  areas.set.merge(range.start, range.end);
  return {};
}

Result<void> insert_shared(Areas& areas, AddressRange range, const AreaData& data) {
  AreaData area = data;
  area.end = range.end;
  AreaSet::Node node = TRY(AreaSet::prepare(range.start, std::move(area)));
  TRY(data.object()->add_mapping(
      {areas.space, range.start, data.offset / kPageSize, range.size() / kPageSize, false},
      data.prot));
  areas.set.insert(std::move(node));
  areas.mapped_bytes += range.size();
  return {};
}

Result<void> insert_alias(Areas& areas, AddressRange range, AreaData data) {
  data.end = range.end;
  data.is_alias = true;
  MemoryObject& object = *data.object();
  const Prot prot = data.prot;
  const MemoryObject::MappedPages pages{areas.space, range.start, data.offset / kPageSize,
                                        range.size() / kPageSize, true};
  const Result<void> added = [&]() -> Result<void> {
    TRY(page_map::decommit_kept(range));
    AreaSet::Node node = TRY(AreaSet::prepare(range.start, std::move(data)));
    TRY(object.add_mapping(pages, prot));
    areas.set.insert(std::move(node));
    return {};
  }();
  if (added.is_error()) {
    release(areas, range);
    return added;
  }
  areas.mapped_bytes += range.size();
  areas.has_aliases = true;
  return {};
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
  if (request.not_reserved) data.advice |= kNotReserved;
  if (request.keeps_size) data.advice |= kKeepsSize;
  data.is_stack = request.is_stack || request.grows_down;
  if (request.is_stubs) data.kind = AreaData::Kind::kStubs;

  const bool fixed =
      request.placement == Placement::kFixed || request.placement == Placement::kFixedNoReplace;
  uint64_t address = 0;
  int joins = 0;
  for (Patience patience;;) {
    uint64_t home = 0;
    // Outside of our lock: it waits for copies, which may fault in this space.
    if (data.shared && !fixed) {
      const Result<uint64_t> found = data.object()->home(data.offset + request.length);
      // kBusy: it is mapped, and has no room to grow.
      if (found.is_error() && found.error() != Errno::kBusy) return found.error();
      home = found.is_error() ? 0 : found.value();
    }
    const Result<uint64_t> done = state_->areas.change([&](Areas& areas) -> Result<uint64_t> {
      if (areas.set.is_full()) return Errno::kNoMem;
      if (!data.shared) return map_private(areas, request, data);
      if (fixed) return map_shared_fixed(areas, request, data);
      return map_shared(areas, request, data, home);
    });
    if (!done.is_error()) {
      address = done.value();
      break;
    }
    if (done.error() == Errno::kXDev) {
      data.object()->allow_aliases();
      continue;
    }
    if (done.error() == Errno::kBusy) {
      const Result<void> free =
          ConflictGroup::make_way(*this, {request.address, request.address + request.length});
      if (!free.is_error() && ++joins < kJoins) continue;
      if (free.is_error() && free.error() != Errno::kAgain) return free.error();
    } else if (done.error() != Errno::kAgain) {
      return done.error();
    }
    if (!patience.wait()) return Errno::kNoMem;
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
