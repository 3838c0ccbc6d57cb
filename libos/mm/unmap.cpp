// munmap(2), and the end of an address space.
#include <algorithm>
#include <utility>

#include "libos/lib/bits.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/reclaim.h"
#include "libos/mm/space_list.h"
#include "libos/sched/task.h"

namespace occlum {
namespace {

// Neighbouring private areas go with one change of rights and one release of addresses.
class PrivateRun {
 public:
  PrivateRun(Areas& areas, area_ops::Addresses addresses, page_map::Rights rights)
      : areas_(areas), addresses_(addresses), rights_(rights) {}

  // An alias's pages were called back: only the addresses are left.
  void add(AddressRange range) {
    if (run_.end != range.start) flush();
    if (run_.start == run_.end) run_.start = range.start;
    run_.end = range.end;
  }

  void flush() {
    if (run_.start == run_.end) return;
    page_map::release(run_, rights_);
    areas_.lost.remove(run_);
    if (addresses_ == area_ops::Addresses::kFree) area_ops::release(areas_, run_);
    run_ = {0, 0};
  }

 private:
  Areas& areas_;
  const area_ops::Addresses addresses_;
  const page_map::Rights rights_;
  AddressRange run_ = {0, 0};
};

void drop_shared(Areas& areas, AreaSet::Iterator it, page_map::Rights rights) {
  it->value.object()->remove_mapping(area_ops::mapped_pages(areas, it, area_ops::range_of(it)),
                                     rights == page_map::Rights::kRevoke
                                         ? MemoryObject::Unmap::kRevoke
                                         : MemoryObject::Unmap::kExit);
}

}  // namespace

namespace area_ops {

uint64_t count_present(const Areas& areas) {
  uint64_t pages = 0;
  for (auto it = areas.set.begin(); it; ++it) {
    if (it->value.is_visible()) pages += page_map::present_pages(range_of(it));
  }
  return pages;
}

// Counting all is done once for so many pages that go that it costs nothing beside their going.
void note_drop(Areas& areas, AddressRange range) {
  constexpr uint64_t kFewPages = 32, kMappedPerGone = 64;
  auto it = std::as_const(areas.set).first_after(range.start);
  for (; it && it->key < range.end; ++it) {
    if (!it->value.is_visible()) continue;
    areas.pages_gone += page_map::present_pages(
        {std::max(it->key, range.start), std::min(it->value.end, range.end)});
  }
  const uint64_t enough = std::max(kFewPages, areas.mapped_bytes / kPageSize / kMappedPerGone);
  if (areas.pages_gone < enough) return;
  areas.pages_gone = 0;
  areas.most_pages = std::max(areas.most_pages, count_present(areas));
}

Result<void> prepare_drop(Areas& areas, AddressRange range) {
  TRY(areas.set.split(range));
  for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
    if (it->value.shared) TRY(it->value.object()->prepare_mapping_changes());
  }
  note_drop(areas, range);
  return {};
}

void drop_areas(Areas& areas, AddressRange range, Addresses addresses, page_map::Rights rights) {
  PrivateRun run(areas, addresses, rights);
  for (auto it = areas.set.first_after(range.start); it && it->key < range.end;) {
    if (it->value.is_visible()) areas.mapped_bytes -= range_of(it).size();
    if (it->value.shared) drop_shared(areas, it, rights);
    if (it->value.owns_addresses()) run.add(range_of(it));
    it = areas.set.remove(it);
  }
  run.flush();
}

Result<void> unmap(Areas& areas, AddressRange range) {
  TRY(prepare_drop(areas, range));
  TRY(part_present(areas, range));
  drop_areas(areas, range, Addresses::kFree, page_map::Rights::kRevoke);
  return {};
}

void drop_member_areas(Areas& areas) {
  ConflictGroup& group = *areas.group;
  for (auto it = areas.set.begin(); it;) {
    if (it->value.shared) drop_shared(areas, it, page_map::Rights::kLeave);
    if (it->value.owns_addresses()) {
      group.ranges.with([&](RangeCounts& counts) {
        counts.remove(range_of(it), [&](AddressRange part) {
          group.base.remove(part);
          page_map::release(part, page_map::Rights::kLeave);
          free_range(part);
        });
      });
    }
    it = areas.set.remove(it);
  }
  areas.mapped_bytes -= areas.mapped_bytes;
}

}  // namespace area_ops

Result<void> AddressSpace::unmap(uint64_t address, uint64_t length) {
  if (!is_aligned(address, kPageSize)) return Errno::kInval;
  const AddressRange range = TRY(area_ops::checked_range(address, length, Errno::kInval));
  TRY(state_->areas.change([&](Areas& areas) -> Result<void> {
    const bool takes_grower = area_ops::has_whole_grower(areas, range);
    TRY(area_ops::unmap(areas, range));
    if (takes_grower) area_ops::drop_room_below(areas, range.start);
    return {};
  }));
  trim_kept_pages();
  return {};
}

AddressSpace::AddressSpace() = default;

Result<RefPtr<AddressSpace>> AddressSpace::create() {
  RefPtr<AddressSpace> space = TRY(make_ref<AddressSpace>());
  space->state_ = TRY(make_own<State>(*space));
  space->state_->areas.change_anyway([&](Areas& areas) { areas.space = space.get(); });
  SpaceList::add(*space);
  return space;
}

void AddressSpace::abandon() {
  ConflictGroup::leave(*this, ConflictGroup::Leaving::kAbandoned);
  state_->areas.change_anyway([&](Areas& areas) {
    const Freeze freeze(*this);
    area_ops::drop_areas(areas, user_range(), area_ops::Addresses::kFree, page_map::Rights::kLeave);
  });
  trim_kept_pages();
}

AddressSpace::~AddressSpace() {
  if (state_ == nullptr) return;
  SpaceList::remove(*this);
  ConflictGroup::leave(*this, ConflictGroup::Leaving::kEnded);
  state_->areas.change_anyway([](Areas& areas) {
    area_ops::drop_areas(areas, user_range(), area_ops::Addresses::kFree, page_map::Rights::kLeave);
  });
  trim_kept_pages();
}

}  // namespace occlum
