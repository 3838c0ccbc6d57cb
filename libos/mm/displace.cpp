// A shared object's home in the way: somebody needs some of its addresses for something else (MAP_FIXED). The object
// gives the home up, and whoever maps it there keeps the mapping as an alias (memory_object_alias.cpp) at the same
// addresses, which are the program's own then. Programs that have the same addresses are members of one group.
#include <algorithm>

#include "libos/mm/address_space_state.h"
#include "libos/mm/space_list.h"

namespace occlum {
namespace {

using EachMember = FunctionRef<void(FunctionRef<void(Areas&)> use)>;

void for_each_at_home(Areas& areas, const MemoryObject& object,
                      FunctionRef<void(AreaSet::Iterator)> use) {
  for (auto it = areas.set.begin(); it; ++it) {
    if (it->value.is_at_home_of(object)) use(it);
  }
}

// Their addresses become those of the members: all, or none.
Result<void> count_homes(ConflictGroup& group, const MemoryObject& object, EachMember each_member,
                         Vec<AddressRange>& counted) {
  Result<void> result;
  each_member([&](Areas& areas) {
    for_each_at_home(areas, object, [&](AreaSet::Iterator it) {
      if (result.is_error()) return;
      const AddressRange range = area_ops::range_of(it);
      result = counted.push(range);
      if (result.is_error()) return;
      result = group.ranges.with([&](RangeCounts& counts) { return counts.add(range); });
      if (result.is_error()) (void)counted.pop();
    });
  });
  return result;
}

// With the areas of all members locked, or of those that can use them: nobody's mappings change.
Result<void> convert(ConflictGroup* group, MemoryObject& object, EachMember each_member) {
  Vec<AddressRange> counted;
  Result<void> done;
  if (group != nullptr) done = count_homes(*group, object, each_member, counted);
  if (!done.is_error()) {
    done = object.give_up_home([&](const void* space) {
      bool is_member = false;
      each_member([&](const Areas& areas) { is_member = is_member || areas.space == space; });
      return is_member;
    });
  }
  if (done.is_error()) {
    for (const AddressRange& range : counted) {
      group->ranges.with([&](RangeCounts& counts) { counts.remove(range, [](AddressRange) {}); });
    }
    return done;
  }
  each_member([&](Areas& areas) {
    for_each_at_home(areas, object, [&](AreaSet::Iterator it) {
      it->value.is_alias = true;
      areas.has_aliases = true;
    });
  });
  return {};
}

}  // namespace

Result<void> ConflictGroup::displace(AddressSpace& space, MemoryObject& object) {
  while (const RefPtr<AddressSpace> other = SpaceList::find_mapper(space, object)) {
    TRY(join(space, *other));
  }
  ResidentAreas& own = space.state_->areas;
  const RefPtr<ConflictGroup> group = own.peek_long([](const Areas& areas) { return areas.group; });
  if (!group) {
    return own.change_anyway([&](Areas& areas) -> Result<void> {
      if (areas.group) return Errno::kAgain;
      return convert(nullptr, object, [&](FunctionRef<void(Areas&)> use) { use(areas); });
    });
  }
  return group->membership.with([&](Membership& state) -> Result<void> {
    // Only the resident member's mappings can change, and membership cannot.
    AddressSpace& first = state.resident != nullptr ? *state.resident : space;
    if (std::ranges::find(state.members, &space) == state.members.end()) return Errno::kAgain;
    return first.state_->areas.change_anyway([&](Areas& areas) -> Result<void> {
      return convert(group.get(), object, [&](FunctionRef<void(Areas&)> use) {
        for (AddressSpace* const member : state.members) {
          if (member == &first) {
            use(areas);
          } else {
            member->state_->areas.change_second(use);
          }
        }
      });
    });
  });
}

}  // namespace occlum
