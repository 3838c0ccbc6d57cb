// ConflictGroup: address spaces that want the same linear addresses. (docs/architecture.md, "Residency")
//
// SGX binds an EPC page to one linear address, so of two processes that have an address in common only one can have its
// content there at a time. Members of a fork family are such processes, and programs that are linked to fixed addresses.
// One member of a group is *resident*: its content is in the pages, its threads run, and mm/ works on its areas as if
// there were no group. The others are *away*: whoever needs their memory waits for an exchange (residency.cpp).
//
// What is exchanged are the group's *parted* pages: those in which content, presence or rights may differ between the
// members that have them. All others are common: the linear page is right for everybody who has it. For a parted page
// `base` holds what a member has that has nothing of its own in Areas::held. A page is parted before the resident
// member changes it (area_ops::part_present, part_absent); at a fork all writable pages are.
//
// Locks: kConflicts is held while groups are made, joined or left. `membership` is held during an exchange. `base` and
// the resident member's `held` belong to whoever holds the resident member's areas (or, when there is none, to the holder of
// `membership`); an away member's `held` to whoever holds its areas and `membership`.
#pragma once

#include <cstdint>

#include "libos/arch/memory.h"
#include "libos/lib/counted.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/vec.h"
#include "libos/mm/held_pages.h"
#include "libos/mm/range_counts.h"
#include "libos/sched/task.h"

namespace occlum {

class AddressSpace;
class ConflictGroup;
class MemoryObject;

// A task that waits until an address space is resident. First come, first served.
struct TurnWaiter {
  TurnWaiter(Task& the_task, const AddressSpace& the_space) : task(the_task), space(the_space) {}
  ListNode node;
  Task& task;
  const AddressSpace& space;
  RefPtr<ConflictGroup> group;  // in whose line it is
};

class ConflictGroup : public RefCounted<ConflictGroup>, Counted<ConflictGroup> {
 public:
  struct Membership {
    Vec<AddressSpace*> members;
    AddressSpace* resident = nullptr;
  };
  MutexLocked<Membership> membership{LockRank::kConflictGroup};
  MutexLocked<RangeCounts> ranges{LockRank::kGroupRanges};
  HeldPages base;

  // For `space`, which wants addresses that others have, a step at a time: the home of a shared object gives way; or
  // `space` and the address space that has some become members of one group, in which `space` stays resident. kAgain:
  // nobody has any (any more), or somebody is in the middle of it. Errors: kNoMem. No lock of an address space may be
  // held.
  static Result<void> make_way(AddressSpace& space, AddressRange range);
  // The homes of other objects than `but` in the range give way, if nobody outside of the group of `space` maps them.
  static Result<void> make_way_of_own_homes(AddressSpace& space, AddressRange range,
                                            const MemoryObject* but);
  // For fork: `child`, which has nothing yet, becomes a member, away, of the group of `parent`.
  static Result<void> add(AddressSpace& parent, AddressSpace& child);
  // The end of a member: its addresses are free where nobody else has them. kAbandoned: its threads are still there.
  enum class Leaving { kEnded, kAbandoned };
  static void leave(AddressSpace& space, Leaving how);

  // Makes `space` resident if it is its turn and the resident member has nothing to do, or its slice is over. Else the
  // caller, which stands in the line, has to look again when it is woken, or at the time that is returned.
  // kNoRoom: there is no memory to hold the resident member's pages.
  static constexpr Nanoseconds kNoRoom = kNever - 1;
  Nanoseconds take_turn(AddressSpace& space, const TurnWaiter& waiter);
  static void join_line(RefPtr<ConflictGroup> group, TurnWaiter& waiter);
  static void leave_line(TurnWaiter& waiter);
  // The resident member may go on for a slice that is worth an effort of `cost` ns.
  void start_slice(Nanoseconds cost);

  // --- turns: under the lock of turns (residency.cpp) ---
  struct Turns {
    IntrusiveList<TurnWaiter, &TurnWaiter::node> line;
    Nanoseconds slice_end = 0;
  };
  Turns turns;
  // The first in the line looks again.
  static void wake_first(AddressSpace& resident);
  // All in the line look again.
  void wake_line();

 private:
  void admit(AddressSpace& space);
  void dismiss(AddressSpace& space);
  Result<void> exchange(Membership& state, AddressSpace& next);
  static Result<RefPtr<ConflictGroup>> form(AddressSpace& space);
  static Result<void> join(AddressSpace& space, AddressSpace& other);
  static Result<void> displace(AddressSpace& space, MemoryObject& object);
  static Result<void> merge(AddressSpace& stays, ConflictGroup& into, ConflictGroup& from);
  void hand_residency_over(AddressSpace* before, AddressSpace& next, Nanoseconds cost);
  void dissolve_if_alone(Membership& state, RefPtr<AddressSpace>& last);
};

// While it lives, no vCPU executes programs of `space`, whose areas are locked; they wait when they come back.
class Freeze {
 public:
  explicit Freeze(AddressSpace& space);
  Freeze(const Freeze&) = delete;
  ~Freeze();                      // they go on, if the space is still resident
  void keep() { thaw_ = false; }  // they wait for their turn

 private:
  AddressSpace& space_;
  bool thaw_ = true;
};

}  // namespace occlum
