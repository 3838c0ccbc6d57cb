// Turns: which member of a conflict group is resident, and for how long. See conflict_group.h.
//
// Tasks that need an address space that is away stand in the group's line. The first one makes the exchange itself, as
// soon as the resident member has no thread that could run, or its slice is over. A slice is kSliceFactor times as long
// as the exchange took, so at most a small part of the time goes into exchanges.
#include <algorithm>

#include "libos/mm/address_space_state.h"
#include "libos/mm/conflict_group.h"
#include "libos/mm/exchange.h"
#include "libos/mm/shortage.h"
#include "libos/mm/space_list.h"

namespace occlum {
namespace {

constexpr Nanoseconds kShortestSlice = 1'000'000;
constexpr Nanoseconds kSliceFactor = 20;
// How often it is looked whether programs have come in from another vCPU; a tick brings them in.
constexpr Nanoseconds kRecallStep = 200'000;
constexpr Nanoseconds kShortageStep = 100'000'000;

// Guards the lines of all groups, and which group a space belongs to as far as turns go.
struct TurnLock {};
constinit SpinLocked<TurnLock> turn_lock(LockRank::kTurns);

}  // namespace

constinit MutexLocked<SpaceList::List> SpaceList::spaces(LockRank::kSpaces);

void SpaceList::add(AddressSpace& space) {
  spaces.with([&](List& list) { list.push_back(space); });
}

void SpaceList::remove(AddressSpace& space) {
  spaces.with([&](List& list) {
    if (list.contains(space)) list.remove(space);
  });
}

RefPtr<AddressSpace> SpaceList::find_owner(const AddressSpace& but, AddressRange range) {
  return find(but, [&](const Areas& areas) {
    for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
      if (it->value.owns_addresses()) return true;
    }
    return false;
  });
}

RefPtr<AddressSpace> SpaceList::find_mapper(const AddressSpace& but, const MemoryObject& object) {
  return find(but, [&](const Areas& areas) {
    for (auto it = areas.set.begin(); it; ++it) {
      if (it->value.is_at_home_of(object)) return true;
    }
    return false;
  });
}

RefPtr<AddressSpace> SpaceList::find(const AddressSpace& but,
                                     FunctionRef<bool(const Areas& areas)> matches) {
  const RefPtr<ConflictGroup> own =
      but.state_->areas.peek_long([](const Areas& areas) { return areas.group; });
  return spaces.with([&](List& list) {
    for (AddressSpace& space : list) {
      if (&space == &but) continue;
      const bool has_some = space.state_->areas.peek_long(
          [&](const Areas& areas) { return (!own || areas.group != own) && matches(areas); });
      if (has_some && space.try_ref()) return RefPtr<AddressSpace>::adopt(space);
    }
    return RefPtr<AddressSpace>();
  });
}

// --- who can run ---

void AddressSpace::note_threads() {
  state_->areas.change_anyway([](Areas& areas) { areas.has_threads = true; });
}

void AddressSpace::note_runnable() { runnable_.fetch_add(1, std::memory_order_seq_cst); }

void AddressSpace::note_waiting() {
  if (runnable_.fetch_sub(1, std::memory_order_seq_cst) != 1) return;
  if (is_contended_.load(std::memory_order_seq_cst)) ConflictGroup::wake_first(*this);
}

void AddressSpace::give_up_slice() {
  if (!is_contended_.load(std::memory_order_relaxed)) return;
  turn_lock.with([&](TurnLock&) {
    if (turn_group_ != nullptr) turn_group_->turns.slice_end = 0;
  });
  ConflictGroup::wake_first(*this);
}

// --- the line ---

void ConflictGroup::admit(AddressSpace& space) {
  turn_lock.with([&](TurnLock&) { space.turn_group_ = this; });
}

void ConflictGroup::dismiss(AddressSpace& space) {
  turn_lock.with([&](TurnLock&) {
    space.turn_group_ = nullptr;
    space.is_contended_.store(false, std::memory_order_relaxed);
  });
}

void ConflictGroup::wake_first(AddressSpace& resident) {
  turn_lock.with([&](TurnLock&) {
    if (resident.turn_group_ == nullptr) return;
    if (TurnWaiter* first = resident.turn_group_->turns.line.first()) first->task.unpark();
  });
}

void ConflictGroup::wake_line() {
  turn_lock.with([&](TurnLock&) {
    for (TurnWaiter& waiter : turns.line) waiter.task.unpark();
  });
}

// --- exchange ---

Freeze::Freeze(AddressSpace& space) : space_(space) {
  space.is_resident_.store(false, std::memory_order_seq_cst);
  while (!recall_program(space.id())) {
    (void)park(monotonic_now() + kRecallStep, Interruptible::kNo);
  }
}

Freeze::~Freeze() {
  if (!thaw_) return;
  space_.is_resident_.store(true, std::memory_order_seq_cst);
  turn_lock.with([&](TurnLock&) {
    if (space_.turn_group_ == nullptr) return;
    for (TurnWaiter& waiter : space_.turn_group_->turns.line) {
      if (&waiter.space == &space_) waiter.task.unpark();
    }
  });
}

// With `membership` held: a member that is about to end waits for it in leave(), so it is still there.
Result<void> ConflictGroup::exchange(Membership& state, AddressSpace& next) {
  const Nanoseconds start = monotonic_now();
  AddressSpace* const resident = state.resident;
  const auto change_over = [&](Areas* leaving) {
    return next.state_->areas.change_second([&](Areas& areas) -> Result<void> {
      Exchange work(*this, leaving, areas);
      TRY(work.save());
      work.load();
      areas.resident = true;
      return {};
    });
  };
  if (resident == nullptr) {
    TRY(change_over(nullptr));
  } else {
    TRY(resident->state_->areas.change_anyway([&](Areas& areas) -> Result<void> {
      Freeze freeze(*resident);
      TRY(change_over(&areas));
      areas.resident = false;
      freeze.keep();
      return {};
    }));
  }
  state.resident = &next;
  next.is_resident_.store(true, std::memory_order_seq_cst);
  hand_residency_over(resident, next, monotonic_now() - start);
  return {};
}

void ConflictGroup::hand_residency_over(AddressSpace* before, AddressSpace& next,
                                        Nanoseconds cost) {
  start_slice(cost);
  turn_lock.with([&](TurnLock&) {
    if (before != nullptr) before->is_contended_.store(false, std::memory_order_relaxed);
    next.is_contended_.store(!turns.line.is_empty(), std::memory_order_seq_cst);
    for (TurnWaiter& waiter : turns.line) {
      if (&waiter.space == &next) waiter.task.unpark();
    }
  });
}

void ConflictGroup::start_slice(Nanoseconds cost) {
  const Nanoseconds end = monotonic_now() + std::max(kShortestSlice, kSliceFactor * cost);
  turn_lock.with([&](TurnLock&) { turns.slice_end = end; });
}

Nanoseconds ConflictGroup::take_turn(AddressSpace& space, const TurnWaiter& waiter) {
  return membership.with([&](Membership& state) {
    struct View {
      bool is_ours, is_first;
      Nanoseconds slice_end;
    };
    const View view = turn_lock.with([&](TurnLock&) {
      return View{space.turn_group_ == this, turns.line.first() == &waiter, turns.slice_end};
    });
    // Merged or dissolved meanwhile, or held by a fork for a moment: look again.
    if (!view.is_ours || state.resident == &space) return monotonic_now() + kRecallStep;
    if (!view.is_first) return kNever;
    if (state.resident != nullptr) {
      state.resident->is_contended_.store(true, std::memory_order_seq_cst);
      const bool is_idle = state.resident->runnable_.load(std::memory_order_seq_cst) <= 0;
      if (!is_idle && monotonic_now() < view.slice_end) return view.slice_end;
    }
    return exchange(state, space).is_error() ? kNoRoom : Nanoseconds{0};
  });
}

void ConflictGroup::join_line(RefPtr<ConflictGroup> group, TurnWaiter& waiter) {
  turn_lock.with([&](TurnLock&) {
    waiter.group = group;
    group->turns.line.push_back(waiter);
  });
}

void ConflictGroup::leave_line(TurnWaiter& waiter) {
  if (!waiter.group) return;
  turn_lock.with([&](TurnLock&) {
    auto& line = waiter.group->turns.line;
    line.remove(waiter);
    if (TurnWaiter* first = line.first()) first->task.unpark();
  });
  waiter.group.clear();
}

void AddressSpace::await_residency() {
  TurnWaiter waiter(current_task(), *this);
  RoomRequest room;
  while (!is_resident()) {
    RefPtr<ConflictGroup> group =
        state_->areas.peek_long([](const Areas& areas) { return areas.group; });
    if (waiter.group != group) ConflictGroup::leave_line(waiter);
    if (!group) {  // just dissolved: we are resident, or about to be
      (void)park(monotonic_now() + kRecallStep, Interruptible::kNo);
      continue;
    }
    if (!waiter.group) ConflictGroup::join_line(group, waiter);
    Nanoseconds look_again = group->take_turn(*this, waiter);
    if (look_again == ConflictGroup::kNoRoom) {
      // Nobody could be killed, or it did not help: others may end.
      look_again = room.ask() ? 0 : monotonic_now() + kShortageStep;
    }
    if (!is_resident()) (void)park(look_again, Interruptible::kNo);
  }
  ConflictGroup::leave_line(waiter);
}

}  // namespace occlum
