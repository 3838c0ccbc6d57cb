// One lock for all sets. Whoever changes a value tries what waits at the set, oldest first, on behalf
// of the waiters; so a waiter that is woken has its result, and nobody overtakes it.
#include "libos/ipc/sysv_semaphores.h"

#include <algorithm>
#include <optional>

#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/process/thread.h"
#include "libos/sched/wait_queue.h"

namespace occlum::sysv_semaphores {

namespace {

constexpr int kMaxAdjustment = 32767;  // SEMAEM

struct Waiting {
  ListNode node;
  std::span<const SemaphoreOperation> operations;
  const SemaphoreUndo* undo = nullptr;
  Pid pid = 0;
  bool alters = false;
  size_t blocking = 0;                 // the operation that cannot be done yet
  std::optional<Result<void>> result;  // when it need wait no longer
  WaitQueue woken;
};

// A list's adjustments for one set.
struct Undo {
  const SemaphoreUndo* list;
  Vec<int16_t> adjustments;
};

struct Set final : IpcObject {
  Vec<Semaphore> semaphores;
  Vec<Undo> undos;
  IntrusiveList<Waiting, &Waiting::node> waiting;
  int64_t operation_time = 0, change_time = 0;

  Undo* undo_of(const SemaphoreUndo* list) {
    const auto found = std::ranges::find(undos, list, &Undo::list);
    return found == undos.end() ? nullptr : &*found;
  }
};

struct Sets {
  IpcTable table;
  size_t semaphores = 0;
  size_t undos = 0;  // in all sets
};
[[clang::no_destroy]] constinit SpinLocked<Sets> all_sets{LockRank::kPipe};

template <typename F>
auto with_set(int id, F function) -> decltype(function(std::declval<Set&>())) {
  RefPtr<IpcObject> keep;  // goes after the lock
  return all_sets.with([&](Sets& sets) -> decltype(function(std::declval<Set&>())) {
    keep = TRY(sets.table.find(id));
    return function(static_cast<Set&>(*keep));
  });
}

// One operation; nullopt: it must wait. Values and adjustments change; take_back() reverts.
std::optional<Result<void>> apply(Set& set, Undo* undo, const SemaphoreOperation& operation) {
  Semaphore& semaphore = set.semaphores[operation.number];
  const int value = semaphore.value + operation.change;
  if ((operation.change == 0 && semaphore.value != 0) || value < 0) {
    if ((operation.flags & static_cast<int16_t>(kIpcNoWait)) != 0)
      return Result<void>(Errno::kAgain);
    return std::nullopt;
  }
  if (value > kMaxValue) return Result<void>(Errno::kRange);
  if ((operation.flags & kUndo) != 0) {
    int16_t& adjustment = undo->adjustments[operation.number];
    const int adjusted = adjustment - operation.change;
    if (adjusted < -kMaxAdjustment - 1 || adjusted > kMaxAdjustment)
      return Result<void>(Errno::kRange);
    adjustment = static_cast<int16_t>(adjusted);
  }
  semaphore.value = static_cast<uint16_t>(value);
  return Result<void>();
}

void take_back(Set& set, Undo* undo, std::span<const SemaphoreOperation> done) {
  for (const SemaphoreOperation& operation : done) {
    Semaphore& semaphore = set.semaphores[operation.number];
    semaphore.value = static_cast<uint16_t>(semaphore.value - operation.change);
    if ((operation.flags & kUndo) == 0) continue;
    int16_t& adjustment = undo->adjustments[operation.number];
    adjustment = static_cast<int16_t>(adjustment + operation.change);
  }
}

// All or nothing; nullopt: it must wait, at `waiting.blocking`.
std::optional<Result<void>> attempt(Set& set, Waiting& waiting) {
  Undo* const undo = set.undo_of(waiting.undo);
  for (size_t i = 0; i < waiting.operations.size(); ++i) {
    const auto result = apply(set, undo, waiting.operations[i]);
    if (result && !result->is_error()) continue;
    take_back(set, undo, waiting.operations.first(i));
    waiting.blocking = i;
    return result;
  }
  for (const SemaphoreOperation& operation : waiting.operations)
    set.semaphores[operation.number].last = waiting.pid;
  set.operation_time = ipc_time();
  return Result<void>();
}

void finish(Set& set, Waiting& waiting, Result<void> result) {
  set.waiting.remove(waiting);
  waiting.result = result;
  waiting.woken.wake_all();
}

// After a value has changed: whoever can go on does, until nothing changes any more.
void serve(Set& set) {
  bool again = true;
  while (again) {
    again = false;
    for (Waiting* waiting = set.waiting.first(); waiting != nullptr;) {
      Waiting* const next = set.waiting.next(*waiting);
      if (const auto result = attempt(set, *waiting)) {
        const bool altered = waiting->alters && !result->is_error();
        finish(set, *waiting, *result);
        if (altered) {
          again = true;
          break;
        }
      }
      waiting = next;
    }
  }
}

Result<void> check_number(const Set& set, int number) {
  if (number < 0 || static_cast<size_t>(number) >= set.semaphores.size()) return Errno::kInval;
  return {};
}

SemaphoreSetStatus describe(const Set& set) {
  return {.permission = set.permission,
          .id = set.id,
          .operation_time = set.operation_time,
          .change_time = set.change_time,
          .count = set.semaphores.size()};
}

// Room for the list's adjustments in the set.
Result<void> prepare_undo(Sets& sets, Set& set, const SemaphoreUndo* list) {
  if (set.undo_of(list) != nullptr) return {};
  TRY(set.undos.push({list, TRY(Vec<int16_t>::create(set.semaphores.size()))}));
  ++sets.undos;
  return {};
}

Result<void> begin(Sets& sets, Set& set, Waiting& waiting, const UserCredentials& who) {
  bool undoes = false;
  for (const SemaphoreOperation& operation : waiting.operations) {
    if (operation.number >= set.semaphores.size()) return Errno::kFBig;
    waiting.alters |= operation.change != 0;
    undoes |= (operation.flags & kUndo) != 0;
  }
  TRY(check_ipc_access(set.permission, who, waiting.alters ? kIpcMayWrite : kIpcMayRead));
  if (undoes) TRY(prepare_undo(sets, set, waiting.undo));
  waiting.result = attempt(set, waiting);
  if (!waiting.result) {
    set.waiting.push_back(waiting);
  } else if (waiting.alters && !waiting.result->is_error()) {
    serve(set);
  }
  return {};
}

}  // namespace

Result<int> get(int key, int count, uint32_t flags, const UserCredentials& who) {
  if (count < 0 || count > kMaxPerSet) return Errno::kInval;
  RefPtr<Set> fresh = TRY(make_ref<Set>());
  TRY(fresh->semaphores.resize(static_cast<size_t>(count)));
  fresh->change_time = ipc_time();
  return all_sets.with([&](Sets& sets) {
    return get_ipc_object(
        sets.table, key, flags, who,
        [&](IpcObject& found) -> Result<void> {
          if (static_cast<size_t>(count) > static_cast<Set&>(found).semaphores.size())
            return Errno::kInval;
          return {};
        },
        [&]() -> Result<int> {
          if (count == 0) return Errno::kInval;
          const int id = TRY(sets.table.add(fresh, key, flags, who, kMaxSets));
          sets.semaphores += static_cast<size_t>(count);
          return id;
        });
  });
}

Result<void> operate(int id, std::span<const SemaphoreOperation> operations, Nanoseconds deadline,
                     Pid pid, const SemaphoreUndo* undo, const UserCredentials& who) {
  Waiting self;
  self.operations = operations;
  self.undo = undo;
  self.pid = pid;
  RefPtr<IpcObject> keep;
  TRY(all_sets.with([&](Sets& sets) -> Result<void> {
    keep = TRY(sets.table.find(id));
    return begin(sets, static_cast<Set&>(*keep), self, who);
  }));
  const Result<void> waited = wait_until(self.woken, deadline, Interruptible::kYes, [&] {
    return all_sets.with([&](Sets&) { return self.result.has_value(); });
  });
  return all_sets.with([&](Sets&) -> Result<void> {
    if (self.result) return *self.result;
    static_cast<Set&>(*keep).waiting.remove(self);
    return waited.error() == Errno::kTimedOut ? Errno::kAgain : Errno::kIntr;
  });
}

// Of all sets.
static void undo_all(const SemaphoreUndo& list, Pid pid) {
  all_sets.with([&](Sets& sets) {
    for (size_t i = 0; i < sets.table.size() && sets.undos != 0; ++i) {
      auto* const set = static_cast<Set*>(sets.table.slot(i));
      if (set == nullptr) continue;
      Undo* const undo = set->undo_of(&list);
      if (undo == nullptr) continue;
      for (size_t number = 0; number < set->semaphores.size(); ++number) {
        const int16_t adjustment = undo->adjustments[number];
        if (adjustment == 0) continue;
        Semaphore& semaphore = set->semaphores[number];
        semaphore.value =
            static_cast<uint16_t>(std::clamp(semaphore.value + adjustment, 0, kMaxValue));
        semaphore.last = pid;
      }
      set->undos.remove_if([&](const Undo& each) { return each.list == &list; });
      --sets.undos;
      set->operation_time = ipc_time();
      serve(*set);
    }
  });
}

Result<Semaphore> semaphore(int id, int number, const UserCredentials& who) {
  return with_set(id, [&](Set& set) -> Result<Semaphore> {
    TRY(check_ipc_access(set.permission, who, kIpcMayRead));
    TRY(check_number(set, number));
    return set.semaphores[static_cast<size_t>(number)];
  });
}

Result<int> waiting(int id, int number, Wanted wanted, const UserCredentials& who) {
  return with_set(id, [&](Set& set) -> Result<int> {
    TRY(check_ipc_access(set.permission, who, kIpcMayRead));
    TRY(check_number(set, number));
    int count = 0;
    for (const Waiting& each : set.waiting) {
      const SemaphoreOperation& operation = each.operations[each.blocking];
      if (operation.number == number && (operation.change == 0) == (wanted == Wanted::kZero))
        ++count;
    }
    return count;
  });
}

Result<Vec<uint16_t>> values(int id, const UserCredentials& who) {
  return with_set(id, [&](Set& set) -> Result<Vec<uint16_t>> {
    TRY(check_ipc_access(set.permission, who, kIpcMayRead));
    Vec<uint16_t> result;
    TRY(result.reserve(set.semaphores.size()));
    for (const Semaphore& each : set.semaphores) result.push_reserved(each.value);
    return result;
  });
}

Result<void> set_value(int id, int number, int value, Pid setter, const UserCredentials& who) {
  if (value < 0 || value > kMaxValue) return Errno::kRange;
  return with_set(id, [&](Set& set) -> Result<void> {
    TRY(check_number(set, number));
    TRY(check_ipc_access(set.permission, who, kIpcMayWrite));
    const auto index = static_cast<size_t>(number);
    for (Undo& undo : set.undos) undo.adjustments[index] = 0;
    set.semaphores[index] = {.value = static_cast<uint16_t>(value), .last = setter};
    set.change_time = ipc_time();
    serve(set);
    return {};
  });
}

Result<size_t> count_for_set(int id, const UserCredentials& who) {
  return with_set(id, [&](Set& set) -> Result<size_t> {
    TRY(check_ipc_access(set.permission, who, kIpcMayWrite));
    return set.semaphores.size();
  });
}

Result<void> set_values(int id, std::span<const uint16_t> values, Pid setter,
                        const UserCredentials& who) {
  for (const uint16_t value : values) {
    if (value > kMaxValue) return Errno::kRange;
  }
  return with_set(id, [&](Set& set) -> Result<void> {
    TRY(check_ipc_access(set.permission, who, kIpcMayWrite));
    if (values.size() != set.semaphores.size()) return Errno::kIdRm;  // another set by now
    for (Undo& undo : set.undos) std::ranges::fill(undo.adjustments, int16_t{0});
    for (size_t i = 0; i < values.size(); ++i)
      set.semaphores[i] = {.value = values[i], .last = setter};
    set.change_time = ipc_time();
    serve(set);
    return {};
  });
}

Result<void> change(int id, uint32_t uid, uint32_t gid, uint32_t mode, const UserCredentials& who) {
  return with_set(id, [&](Set& set) -> Result<void> {
    TRY(check_ipc_owner(set.permission, who));
    TRY(change_ipc_owner(set.permission, uid, gid, mode));
    set.change_time = ipc_time();
    return {};
  });
}

Result<void> remove(int id, const UserCredentials& who) {
  RefPtr<IpcObject> keep;
  return all_sets.with([&](Sets& sets) -> Result<void> {
    keep = TRY(sets.table.find(id));
    auto& set = static_cast<Set&>(*keep);
    TRY(check_ipc_owner(set.permission, who));
    sets.table.remove(set);
    sets.semaphores -= set.semaphores.size();
    sets.undos -= set.undos.size();
    set.undos.clear();
    while (Waiting* waiting = set.waiting.first()) finish(set, *waiting, Errno::kIdRm);
    return {};
  });
}

Result<SemaphoreSetStatus> status(int id, Lookup lookup, const UserCredentials& who) {
  return all_sets.with([&](Sets& sets) -> Result<SemaphoreSetStatus> {
    const RefPtr<IpcObject> found =
        TRY(lookup == Lookup::kById ? sets.table.find(id) : sets.table.at(id));
    if (lookup != Lookup::kByIndexUnchecked)
      TRY(check_ipc_access(found->permission, who, kIpcMayRead));
    return describe(static_cast<Set&>(*found));
  });
}

Totals totals() {
  return all_sets.with([](Sets& sets) {
    return Totals{.highest_index = sets.table.highest_index(),
                  .sets = static_cast<int>(sets.table.count()),
                  .semaphores = static_cast<int>(sets.semaphores)};
  });
}

Result<Vec<SemaphoreSetStatus>> all() {
  return all_sets.with([](Sets& sets) -> Result<Vec<SemaphoreSetStatus>> {
    Vec<SemaphoreSetStatus> list;
    for (size_t i = 0; i < sets.table.size(); ++i) {
      const auto* set = static_cast<Set*>(sets.table.slot(i));
      if (set != nullptr) TRY(list.push(describe(*set)));
    }
    return list;
  });
}

}  // namespace occlum::sysv_semaphores

namespace occlum {

SemaphoreUndo::~SemaphoreUndo() { sysv_semaphores::undo_all(*this, current_thread().pid()); }

}  // namespace occlum
