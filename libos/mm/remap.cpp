// mremap(2). Growing stays in place where the addresses behind are free. Otherwise pages are copied: an EPC page
// cannot change its address.
#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/patience.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/reclaim.h"
#include "libos/sched/task.h"

namespace occlum {
namespace {

constexpr uint64_t kSlackFrom = 1024 * 1024;  // moved areas of this size get room to grow
constexpr uint64_t kLargestSlack = uint64_t{1} << 30;
constexpr uint64_t kCopyPages = 64;  // between preemption points

struct Move {
  AddressRange from;
  uint64_t new_length;
  AddressSpace::Remap how;
  uint64_t fixed;
  AddressSpace::Behind behind;

  bool is_fixed() const { return how == AddressSpace::Remap::kFixed; }
  bool leaves_area() const { return behind == AddressSpace::Behind::kEmpty; }
  // It moves, though there were no need to.
  bool is_bound_to_move() const { return is_fixed() || leaves_area(); }
};

// What Linux asks of the first area before anything is changed, in this order.
Result<void> check_area(const AreaData& area, const Move& move) {
  const bool keeps_size = (area.advice & kKeepsSize) != 0;
  if (keeps_size && move.leaves_area()) return Errno::kInval;
  const bool stays = !move.is_bound_to_move() && move.new_length == move.from.size();
  if (!stays && move.from.end > area.end) return Errno::kFault;
  return keeps_size && move.new_length > move.from.size() ? Result<void>(Errno::kFault)
                                                          : Result<void>();
}

// Addresses for what moves and may go anywhere.
Result<AddressRange> find_place(Areas& areas, const Move& move, uint64_t slack) {
  if (move.leaves_area() && move.fixed != 0) {
    const Result<AddressRange> hint =
        area_ops::checked_range(move.fixed, move.new_length, Errno::kNoMem);
    if (!hint.is_error() && is_range_free(hint.value()) &&
        !area_ops::acquire_at(areas, hint.value()).is_error())
      return hint.value();
  }
  Result<AddressRange> found = area_ops::acquire(areas, move.new_length, slack);
  if (found.is_error() && slack != 0) found = area_ops::acquire(areas, move.new_length, 0);
  return found;
}

// MREMAP_DONTUNMAP: the area stays, as on Linux without mlock(2)'s promise, also where it did not move.
void note_left(Areas& areas, uint64_t address) {
  const AreaSet::Iterator it = areas.set.find(address);
  it->value.lock = PageLock::kNone;
  areas.set.merge(it->key, it->value.end);
}

// An area that goes on where `data` ends, or its copy elsewhere.
AreaData continued(AreaSet::ConstIterator it, uint64_t at, uint64_t end) {
  AreaData data = it->value;
  data.offset = data.object() != nullptr ? data.offset + (at - it->key) : 0;
  data.end = end;
  data.cluster = 0;
  data.next_up = data.next_down = 0;
  return data;
}

bool grow_in_place(Areas& areas, AreaSet::Iterator it, uint64_t from, uint64_t to) {
  if (it->value.end != from || to > user_range().end || to < from) return false;
  const AddressRange more{from, to};
  Result<AreaSet::Node> node = AreaSet::prepare(from, continued(it, from, to));
  if (node.is_error() || area_ops::acquire_at(areas, more).is_error()) return false;
  return !area_ops::insert_private(areas, more, node.release_value()).is_error();
}

// Copies the present pages of `from` to the same places of the new area at `to`, which has none.
Result<void> copy_pages(AddressRange from, uint64_t to, Prot prot) {
  for (uint64_t at = from.start; at < from.end;) {
    if (!page_map::state_of(at).present()) {
      at += kPageSize;
      continue;
    }
    AddressRange run{at, at};
    while (run.end < from.end && run.end - at < kCopyPages * kPageSize &&
           page_map::state_of(run.end).present()) {
      run.end += kPageSize;
    }
    const bool readable = has(prot, Prot::kRead);
    if (!readable) TRY(page_map::set_prot(run, Prot::kRead));
    const AddressRange target{to + (run.start - from.start), to + (run.end - from.start)};
    const Result<void> opened = page_map::open_for_kernel(target, prot);
    if (!opened.is_error()) {
      for (uint64_t page = target.start; page < target.end; page += kPageSize) {
        page_map::update(page, PageState::kDirty, 0);
      }
      copy_bytes(memory_at(target.start, target.size()), memory_at(run.start, run.size()));
    }
    if (!readable) (void)page_map::set_prot(run, prot);
    TRY(Result<void>(opened));
    TRY(page_map::seal(target, prot));
    at = run.end;
    preemption_point();
  }
  return {};
}

// What moves may leave a part on either side, and is one more where it goes (Linux counts so).
constexpr size_t kAreasOfMove = 3;
bool has_room_to_move(const Areas& areas) {
  return areas.set.size() + kAreasOfMove < AreaSet::kMostAreas;
}

Result<uint64_t> move_private(Areas& areas, AreaSet::Iterator it, const Move& move) {
  if (!has_room_to_move(areas)) return Errno::kNoMem;
  AddressRange to{move.fixed, move.fixed + move.new_length};
  if (move.is_fixed()) {
    TRY(area_ops::claim(areas, to));
  } else {
    const bool may_grow = move.new_length >= kSlackFrom && !move.leaves_area();
    to = TRY(find_place(areas, move, may_grow ? std::min(move.new_length * 2, kLargestSlack) : 0));
  }
  const auto give_up = [&](Errno error) {
    area_ops::unclaim(areas, to);
    return error;
  };
  if (!move.leaves_area()) {
    if (Result<void> cut = areas.set.split(move.from); cut.is_error()) return give_up(cut.error());
  }
  if (Result<void> parted = area_ops::part_present(areas, move.from); parted.is_error())
    return give_up(parted.error());
  if (Result<void> filled = area_ops::fill_lost_pages(areas, move.from); filled.is_error())
    return give_up(filled.error());
  it = areas.set.find(move.from.start);
  AreaData data = continued(it, move.from.start, to.end);
  const Prot prot = data.prot;
  Result<AreaSet::Node> node = AreaSet::prepare(to.start, std::move(data));
  if (node.is_error()) return give_up(node.error());
  area_ops::drop_areas(areas, to, area_ops::Addresses::kKeep, page_map::Rights::kLeave);
  if (Result<void> closed = page_map::close_kept(to); closed.is_error())
    return give_up(closed.error());
  const uint64_t kept = std::min(move.from.size(), move.new_length);
  if (Result<void> copied = copy_pages({move.from.start, move.from.start + kept}, to.start, prot);
      copied.is_error()) {
    page_map::release(to, page_map::Rights::kRevoke);
    area_ops::release(areas, to);
    return copied.error();
  }
  const auto made = areas.set.insert(node.release_value());
  areas.mapped_bytes += to.size();
  if (Result<void> settled = area_ops::settle_kept_pages(areas, made, to); settled.is_error()) {
    area_ops::drop_areas(areas, to, area_ops::Addresses::kFree, page_map::Rights::kRevoke);
    return settled.error();
  }
  made->value.grows_down = false;
  if (move.leaves_area()) {
    (void)area_ops::drop_pages(areas, areas.set.find(move.from.start), move.from);
    note_left(areas, move.from.start);
  } else {
    area_ops::drop_areas(areas, move.from, area_ops::Addresses::kFree, page_map::Rights::kRevoke);
  }
  areas.set.merge(to.start, to.end);
  return to.start;
}

Result<uint64_t> remap_private(Areas& areas, AreaSet::Iterator it, const Move& move) {
  const uint64_t new_end = move.from.start + move.new_length;
  if (move.from.start == move.from.end) return Errno::kInval;
  if (move.is_bound_to_move()) return move_private(areas, it, move);
  if (new_end == move.from.end) return move.from.start;
  if (grow_in_place(areas, it, move.from.end, new_end)) return move.from.start;
  if (move.how == AddressSpace::Remap::kInPlace) return Errno::kNoMem;
  return move_private(areas, it, move);
}

// At home the area grows as far as the object owns the addresses behind it; an alias like a private area.
bool grow_shared_in_place(Areas& areas, AreaSet::Iterator it, const Move& move) {
  const AddressRange more{move.from.end, move.from.start + move.new_length};
  if (it->value.end != more.start || more.end > user_range().end) return false;
  const AreaData data = continued(it, more.start, more.end);
  if (data.is_alias) {
    if (area_ops::acquire_at(areas, more).is_error()) return false;
    if (area_ops::insert_alias(areas, more, data).is_error()) return false;
  } else {
    const MemoryObject& object = *data.object();
    if (object.home_if_any() + data.offset != more.start) return false;
    if (!object.owns_home(data.offset, more.size())) return false;
    if (area_ops::has_areas(areas, more)) return false;
    if (area_ops::insert_shared(areas, more, data).is_error()) return false;
  }
  areas.set.merge(move.from.start, more.end);
  return true;
}

// The same pages elsewhere, as an alias; and no longer here, unless old_size was 0 or the area is left, which shows them, too.
// kXDev as in map.cpp.
Result<uint64_t> move_shared(Areas& areas, AreaSet::Iterator it, const Move& move) {
  if (!has_room_to_move(areas)) return Errno::kNoMem;
  if (!it->value.object()->allows_aliases()) return Errno::kXDev;
  AddressRange to{move.fixed, move.fixed + move.new_length};
  if (move.is_fixed()) {
    TRY(area_ops::claim(areas, to));
    area_ops::drop_areas(areas, to, area_ops::Addresses::kKeep, page_map::Rights::kRevoke);
  } else {
    to = TRY(find_place(areas, move, 0));
  }
  if (move.leaves_area() || move.from.size() == 0) {
    it = areas.set.find(move.from.start);
    if (!it) {  // the duplicate was to lie over it
      area_ops::release(areas, to);
      return Errno::kFault;
    }
    TRY(area_ops::insert_alias(areas, to, continued(it, move.from.start, to.end)));
    if (move.leaves_area()) note_left(areas, move.from.start);
    return to.start;
  }
  if (Result<void> cut = areas.set.split(move.from); cut.is_error()) {
    area_ops::release(areas, to);
    return cut.error();
  }
  it = areas.set.find(move.from.start);
  TRY(it->value.object()->prepare_mapping_changes());
  TRY(area_ops::insert_alias(areas, to, continued(it, move.from.start, to.end)));
  area_ops::drop_areas(areas, move.from, area_ops::Addresses::kFree, page_map::Rights::kRevoke);
  return to.start;
}

Result<uint64_t> remap_shared(Areas& areas, AreaSet::Iterator it, const Move& move) {
  const bool may_move = move.how != AddressSpace::Remap::kInPlace;
  if (move.from.start == move.from.end) {
    if (!may_move) return Errno::kNoMem;
    return move_shared(areas, it, move);
  }
  if (move.is_bound_to_move()) return move_shared(areas, it, move);
  const uint64_t new_end = move.from.start + move.new_length;
  if (new_end > move.from.end && !grow_shared_in_place(areas, it, move)) {
    if (!may_move) return Errno::kNoMem;
    return move_shared(areas, it, move);
  }
  return move.from.start;
}

// A private mapping of /dev/zero.
bool is_of_zero_device(const Area& area) {
  return !area.shared && area.object == nullptr && area.inode != 0;
}

// Several areas move one by one, with the gaps between them (mremap(2), since Linux 6.17). Those of /dev/zero only alone:
// the device has a say in where it is mapped.
Result<uint64_t> move_each(AddressSpace& memory, const Move& move) {
  for (const Area& area : TRY(memory.areas())) {
    const uint64_t start = std::max(area.start, move.from.start);
    const uint64_t end = std::min(area.end, move.from.end);
    if (start >= end) continue;
    if (is_of_zero_device(area)) return Errno::kFault;
    TRY(memory.remap(start, end - start, end - start, move.how,
                     move.fixed + (start - move.from.start), move.behind));
  }
  return move.fixed;
}

}  // namespace

Result<uint64_t> AddressSpace::remap(uint64_t address, uint64_t old_length, uint64_t new_length,
                                     Remap how, uint64_t fixed, Behind behind) {
  if (!is_aligned(address, kPageSize) || new_length == 0) return Errno::kInval;
  const auto old_size = checked_align_up(old_length, kPageSize);
  const auto new_size = checked_align_up(new_length, kPageSize);
  if (!old_size || !new_size) return Errno::kInval;
  if (!checked_add(address, *old_size)) return Errno::kFault;
  if (*new_size > user_range().size()) return Errno::kNoMem;
  const Move move{{address, address + *old_size}, *new_size, how, fixed, behind};
  if (how == Remap::kFixed) {
    if (!is_aligned(fixed, kPageSize)) return Errno::kInval;
    const AddressRange to = TRY(area_ops::checked_range(fixed, *new_size, Errno::kInval));
    if (to.start < move.from.end && move.from.start < to.end) return Errno::kInval;
  }
  const std::optional<Area> first = find_area(address);
  if (!first) return Errno::kFault;
  // What is cut off may reach over other areas; what grows may not.
  if (*new_size < *old_size) {
    if (how == Remap::kFixed && first->end < address + *new_size) return Errno::kFault;
    TRY(unmap(address + *new_size, *old_size - *new_size));
    if (how != Remap::kFixed) return address;
    return remap(address, *new_size, *new_size, how, fixed);
  }
  if (how == Remap::kFixed && *old_size == *new_size && first->end < move.from.end)
    return move_each(*this, move);
  // A shared object's home grows before our lock is taken: that waits for copies, which may fault in this space.
  // When it cannot grow the mapping moves.
  if (first->shared && how != Remap::kFixed && *new_size > *old_size)
    (void)first->object->home(first->offset + (address - first->start) + *new_size);
  // Behind an area that grows, what is unmapped may still belong to a shared object of the program's own.
  if (how != Remap::kFixed && *new_size > *old_size && first->end == move.from.end) {
    const AddressRange more{move.from.end, address + *new_size};
    const bool is_unmapped =
        state_->areas.peek([&](const Areas& areas) { return !area_ops::has_areas(areas, more); });
    if (is_unmapped && !is_range_free(more))
      (void)ConflictGroup::make_way_of_own_homes(*this, more, first->object.get());
  }
  for (Patience patience;;) {
    const Result<uint64_t> done = state_->areas.change([&](Areas& areas) -> Result<uint64_t> {
      const AreaSet::Iterator it = areas.set.find(address);
      if (!it) return Errno::kFault;
      TRY(check_area(it->value, move));
      return it->value.shared ? remap_shared(areas, it, move) : remap_private(areas, it, move);
    });
    if (done.is_error() && done.error() == Errno::kBusy) {
      const Result<void> free = ConflictGroup::make_way(*this, {fixed, fixed + *new_size});
      if (free.is_error() && free.error() != Errno::kAgain) return free.error();
      if (!free.is_error()) continue;
    } else if (done.is_error() && done.error() == Errno::kXDev) {
      if (const std::optional<Area> area = find_area(address); area && area->object)
        area->object->allow_aliases();
      continue;
    } else if (!done.is_error() || done.error() != Errno::kAgain) {
      trim_kept_pages();
      return done;
    }
    if (!patience.wait()) return Errno::kNoMem;
  }
}

}  // namespace occlum
