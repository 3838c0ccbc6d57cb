// See stack_growth.h.
#include <algorithm>
#include <atomic>
#include <optional>

#include "libos/lib/bits.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/stack_growth.h"

namespace occlum {
namespace {

constexpr uint64_t kMegabyte = uint64_t{1} << 20;
constexpr uint64_t kLeastRoom = 128 * kMegabyte;
constexpr uint64_t kMostRoom = 512 * kMegabyte;
constexpr uint64_t kDefaultLimit = 8 * kMegabyte;
// Of all linear addresses one area gets at most this part, so that many processes fit.
constexpr uint64_t kLargestShare = 256;
// An area grows to a multiple of this where it may, so that one fault brings several pages.
constexpr uint64_t kGrowthStep = 16 * kPageSize;

constinit std::atomic<GrowthRule> growth_rule{nullptr};

// The area that grows when `page`, in no visible area, is touched.
AreaSet::ConstIterator grower(const Areas& areas, uint64_t page) {
  auto above = areas.set.first_after(page);
  while (above && above->value.kind == AreaData::Kind::kRoom) ++above;
  const bool grows = above && above->key > page && above->value.grows_down && !above->value.shared;
  return grows ? above : AreaSet::ConstIterator();
}

// Only the next area below counts; another stack may touch, and so may what nobody can access.
bool has_gap(const Areas& areas, uint64_t start) {
  const uint64_t lowest = start - std::min(start, kStackGap);
  AreaSet::ConstIterator below;
  for (auto it = areas.set.first_after(lowest); it && it->key < start; ++it) {
    if (it->value.is_visible()) below = it;
  }
  return !below || below->value.grows_down || below->value.prot == Prot::kNone;
}

// Another program's memory does not begin right below.
bool has_guard(const Areas& areas, uint64_t start) {
  const AddressRange guard{start - kPageSize, start};
  return areas.group || area_ops::has_areas(areas, guard) || is_range_free(guard);
}

// What a touch of `page` asks for; nothing where nothing grows.
struct Wish {
  AddressRange range = {0, 0};
  uint64_t size = 0;
  bool is_locked = false;
  bool is_granted = false;  // somebody else touched it, too, and was faster
};
Wish wish_for(const Areas& areas, uint64_t page) {
  Wish wish;
  wish.is_granted = static_cast<bool>(areas.set.find(page));
  const AreaSet::ConstIterator above =
      wish.is_granted ? AreaSet::ConstIterator() : grower(areas, page);
  if (!above || !has_gap(areas, page)) return wish;
  wish.range = {page, above->key};
  wish.size = above->value.end - page;
  wish.is_locked = above->value.lock != PageLock::kNone;
  return wish;
}

// kAgain: the area is not what the wish was made for. kNoEnt: something is in the way.
Result<void> grow_to(Areas& areas, uint64_t start, AddressRange wanted) {
  const AreaSet::ConstIterator asked = grower(areas, wanted.start);
  if (!asked || asked->key != wanted.end) return Errno::kAgain;
  const AreaSet::ConstIterator above = grower(areas, start);
  if (above != asked || !has_gap(areas, start) || !has_guard(areas, start)) return Errno::kNoEnt;
  const AddressRange range{start, wanted.end};
  AreaData data = above->value;
  data.end = range.end;
  AreaSet::Node node = TRY(AreaSet::prepare(start, std::move(data)));
  TRY(area_ops::claim(areas, range));
  area_ops::drop_areas(areas, range, area_ops::Addresses::kKeep, page_map::Rights::kLeave);
  return area_ops::insert_private(areas, range, std::move(node));
}

// On addresses that are ours; on an error they go back.
Result<void> insert_room(Areas& areas, AddressRange room) {
  AreaData data;
  data.end = room.end;
  data.kind = AreaData::Kind::kRoom;
  Result<AreaSet::Node> node = AreaSet::prepare(room.start, std::move(data));
  if (!node.is_error()) return area_ops::insert_private(areas, room, node.release_value());
  area_ops::release(areas, room);
  return node.error();
}

}  // namespace

uint64_t stack_room(uint64_t limit) {
  const uint64_t wanted = std::min(limit, kMostRoom) + kStackGap;
  return std::clamp(align_up(wanted, kPageSize), kLeastRoom, kMostRoom);
}

void set_growth_rule(GrowthRule rule) { growth_rule.store(rule); }

bool may_grow(AddressSpace& memory, const StackGrowth& growth) {
  const GrowthRule rule = growth_rule.load();
  return rule != nullptr ? rule(memory, growth) : growth.size <= kDefaultLimit;
}

namespace area_ops {

bool may_grow_to(const Areas& areas, uint64_t page) {
  return wish_for(areas, page).range.size() != 0;
}

Result<AddressRange> acquire_above_room(Areas& areas, uint64_t size, uint64_t room) {
  room = align_down(std::min(room, user_range().size() / kLargestShare), kPageSize);
  Result<AddressRange> all = acquire(areas, size + room, 0);
  while (all.is_error() && room > kStackGap) {
    room = align_down(room / 4, kPageSize);
    all = acquire(areas, size + room, 0);
  }
  if (all.is_error() || room == 0) return all;
  const AddressRange below{all.value().start, all.value().start + room};
  const AddressRange range{below.end, all.value().end};
  const Result<void> kept = insert_room(areas, below);
  if (!kept.is_error()) return range;
  release(areas, range);
  return kept.error();
}

void keep_room_below(Areas& areas, uint64_t address, uint64_t room) {
  for (; room >= kStackGap; room = align_down(room / 4, kPageSize)) {
    if (address - user_range().start < room) continue;
    const AddressRange below{address - room, address};
    if (has_areas(areas, below) || acquire_at(areas, below).is_error()) continue;
    (void)insert_room(areas, below);
    return;
  }
}

void drop_room_below(Areas& areas, uint64_t address) {
  const auto it = std::as_const(areas.set).first_after(address - 1);
  if (it && it->key < address && it->value.kind == AreaData::Kind::kRoom)
    drop_areas(areas, range_of(it), Addresses::kFree, page_map::Rights::kLeave);
}

bool has_whole_grower(const Areas& areas, AddressRange range) {
  auto it = areas.set.first_after(range.start);
  while (it && it->value.kind == AreaData::Kind::kRoom) ++it;
  return it && it->value.grows_down && it->key >= range.start && it->value.end <= range.end;
}

}  // namespace area_ops

FaultResult AddressSpace::grow_stack(uint64_t page) {
  while (true) {
    const Wish wish = state_->areas.peek([&](const Areas& areas) { return wish_for(areas, page); });
    if (wish.is_granted) return FaultResult::kResolved;
    if (wish.range.size() == 0) return FaultResult::kNoMapping;
    Result<void> grown = Errno::kNoEnt;
    // A step further first, if that may be; then just the page.
    for (const uint64_t start : {align_down(page, kGrowthStep), page}) {
      const uint64_t ahead = page - start;
      if (!may_grow(*this, {wish.size + ahead, wish.range.size() + ahead, wish.is_locked}))
        continue;
      grown = state_->areas.change([&](Areas& areas) { return grow_to(areas, start, wish.range); });
      if (!grown.is_error()) return FaultResult::kResolved;
      if (grown.error() == Errno::kNoMem) return FaultResult::kOutOfMemory;
      if (grown.error() == Errno::kAgain) break;
    }
    if (grown.error() != Errno::kAgain) return FaultResult::kNoMapping;
  }
}

}  // namespace occlum
