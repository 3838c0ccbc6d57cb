// Who is in which conflict group. See conflict_group.h.
#include "libos/mm/conflict_group.h"

#include <optional>

#include "libos/lib/log.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/exchange.h"
#include "libos/mm/homes.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/space_list.h"

namespace occlum {
namespace {

// Membership of any group changes with this held.
class Conflicts {};
constinit MutexLocked<Conflicts> conflicts(LockRank::kConflicts);

Result<void> count_own_areas(RangeCounts& counts, Areas& areas) {
  for (auto it = areas.set.begin(); it; ++it) {
    if (it->value.owns_addresses()) TRY(counts.add(area_ops::range_of(it)));
  }
  return {};
}

}  // namespace

// The group of an address space; alone in it if there is none yet. With `conflicts` held.
Result<RefPtr<ConflictGroup>> ConflictGroup::form(AddressSpace& space) {
  ResidentAreas& locked = space.state_->areas;
  RefPtr<ConflictGroup> group = locked.peek_long([](const Areas& areas) { return areas.group; });
  if (group) return group;
  group = TRY(make_ref<ConflictGroup>());
  TRY(group->membership.with([&](Membership& state) -> Result<void> {
    TRY(state.members.push(&space));
    state.resident = &space;
    return {};
  }));
  TRY(locked.change_anyway([&](Areas& areas) -> Result<void> {
    TRY(group->ranges.with([&](RangeCounts& counts) { return count_own_areas(counts, areas); }));
    areas.group = group;
    return {};
  }));
  group->admit(space);
  return group;
}

Result<void> ConflictGroup::add(AddressSpace& parent, AddressSpace& child) {
  return conflicts.with([&](Conflicts&) -> Result<void> {
    RefPtr<ConflictGroup> group = TRY(form(parent));
    TRY(group->membership.with(
        [&](Membership& state) -> Result<void> { return state.members.push(&child); }));
    group->admit(child);
    child.is_resident_.store(false, std::memory_order_relaxed);
    child.state_->areas.change_anyway([&](Areas& areas) {
      areas.resident = false;
      areas.group = std::move(group);
    });
    return {};
  });
}

// All members of `from` come over, away. `stays`, which is `into`'s, may then claim their addresses.
Result<void> ConflictGroup::merge(AddressSpace& stays, ConflictGroup& into, ConflictGroup& from) {
  return with_both(
      into.membership, from.membership, [&](Membership& to, Membership& others) -> Result<void> {
        TRY(to.members.reserve(to.members.size() + others.members.size()));
        AddressSpace* const leaving = others.resident;
        if (leaving != nullptr) {
          TRY(leaving->state_->areas.change_anyway([&](Areas& areas) -> Result<void> {
            Freeze freeze(*leaving);
            // Nobody becomes resident instead. But its parted pages must be held: they may be claimed.
            Areas nobody;
            TRY(Exchange(from, &areas, nobody).save());
            areas.resident = false;
            freeze.keep();
            return {};
          }));
          others.resident = nullptr;
        }
        // `base` is the resident member's, which may be another one by now.
        AddressSpace& keeper = to.resident != nullptr ? *to.resident : stays;
        TRY(keeper.state_->areas.change_anyway([&](Areas&) -> Result<void> {
          TRY(into.base.take_from(from.base));
          with_both(into.ranges, from.ranges,
                    [](RangeCounts& counts, RangeCounts& more) { counts.take_from(more); });
          return {};
        }));
        for (AddressSpace* member : others.members) {
          member->state_->areas.change_anyway([&](Areas& areas) { areas.group = ref_to(into); });
          into.admit(*member);
          to.members.push_reserved(member);
        }
        others.members.clear();
        from.wake_line();
        return {};
      });
}

Result<void> ConflictGroup::make_way(AddressSpace& space, AddressRange range) {
  if (const RefPtr<MemoryObject> object = Homes::find(range)) return displace(space, *object);
  RefPtr<AddressSpace> owner = SpaceList::find_owner(space, range);
  if (!owner) return Errno::kAgain;
  return join(space, *owner);
}

Result<void> ConflictGroup::make_way_of_own_homes(AddressSpace& space, AddressRange range,
                                                  const MemoryObject* but) {
  while (const RefPtr<MemoryObject> object = Homes::find(range)) {
    if (object.get() == but || SpaceList::find_mapper(space, *object)) return Errno::kBusy;
    TRY(displace(space, *object));
  }
  return {};
}

Result<void> ConflictGroup::join(AddressSpace& space, AddressSpace& other) {
  return conflicts.with([&](Conflicts&) -> Result<void> {
    const RefPtr<ConflictGroup> into = TRY(form(space));
    const RefPtr<ConflictGroup> from = TRY(form(other));
    if (into == from) return {};
    return merge(space, *into, *from);
  });
}

// A group of one is none. The last member becomes resident first.
void ConflictGroup::dissolve_if_alone(Membership& state, RefPtr<AddressSpace>& last) {
  if (state.members.size() != 1) return;
  AddressSpace& space = *state.members.last();
  if (!space.try_ref()) return;  // it is on its way here
  last = RefPtr<AddressSpace>::adopt(space);
  if (state.resident != &space && exchange(state, space).is_error()) return;
  space.state_->areas.change_anyway([&](Areas& areas) {
    areas.held.clear();
    areas.group = nullptr;
  });
  base.clear();
  dismiss(space);
  state.members.clear();
  state.resident = nullptr;
}

void ConflictGroup::leave(AddressSpace& space, Leaving how) {
  RefPtr<AddressSpace> last;  // to be let go without locks
  conflicts.with([&](Conflicts&) {
    const RefPtr<ConflictGroup> group =
        space.state_->areas.peek_long([](const Areas& areas) { return areas.group; });
    if (!group) return;
    group->membership.with([&](Membership& state) {
      group->dismiss(space);
      const auto give_up = [&] {
        space.state_->areas.change_second([&](Areas& areas) {
          std::optional<Freeze> freeze;
          if (how == Leaving::kAbandoned) freeze.emplace(space);
          // Pages that others have as well stay as they are; parted ones are filled for whoever is next.
          area_ops::drop_member_areas(areas);
          areas.group = nullptr;
          areas.held.clear();
          areas.lost.clear();
          areas.resident = true;
        });
      };
      if (state.resident == &space) state.resident = nullptr;
      // `base` is the resident member's. (If that is about to end too, it waits for us.)
      if (state.resident != nullptr) {
        state.resident->state_->areas.change_anyway([&](Areas&) { give_up(); });
      } else {
        give_up();
      }
      for (size_t i = 0; i < state.members.size(); ++i) {
        if (state.members[i] == &space) {
          (void)state.members.swap_remove(i);
          break;
        }
      }
      group->dissolve_if_alone(state, last);
    });
    group->wake_line();
  });
}

}  // namespace occlum
