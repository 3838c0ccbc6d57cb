// See file_locks.h.
#include "libos/fs/vfs/file_locks.h"

#include <algorithm>
#include <array>

namespace occlum {

// In a list of all, which has a reference to it until its file goes.
class FileLockTable : public RefCounted<FileLockTable> {
 public:
  FileLockTable(uint64_t device, uint64_t inode) : device(device), inode(inode) {}
  struct Waiter {
    ListNode node;
    RecordLock record;   // or
    FlockHolder holder;  // `file` says which
  };
  struct State {
    Vec<RecordLock> records;
    Vec<FlockHolder> holders;
    IntrusiveList<Waiter, &Waiter::node> waiters;
  };
  const uint64_t device, inode;
  ListNode node;
  mutable SpinLocked<State> state{LockRank::kAttributes};
};

namespace {

using LockState = FileLockTable::State;
using Waiter = FileLockTable::Waiter;
using LockTables = IntrusiveList<FileLockTable, &FileLockTable::node>;
[[clang::no_destroy]] constinit SpinLocked<LockTables> all_tables{LockRank::kReady};

// Shown in /proc while it waits.
class WaitEntry {
 public:
  WaitEntry(FileLockTable& table, const RecordLock& record, const FlockHolder& holder)
      : table_(table) {
    waiter_.record = record;
    waiter_.holder = holder;
    table_.state.with([&](LockState& state) { state.waiters.push_back(waiter_); });
  }
  ~WaitEntry() {
    table_.state.with([&](LockState& state) { state.waiters.remove(waiter_); });
  }
  WaitEntry(const WaitEntry&) = delete;
  WaitEntry& operator=(const WaitEntry&) = delete;

 private:
  FileLockTable& table_;
  Waiter waiter_;
};

// Who waits for whom, for EDEADLK among POSIX locks. Waits beyond the table's size are not checked.
struct Waits {
  struct Edge {
    const void* waiter = nullptr;
    const void* holder = nullptr;
  };
  std::array<Edge, 64> edges;
};
constinit SpinLocked<Waits> waits{LockRank::kDentryCache};

// False when waiting would close a circle.
bool begin_wait(const void* waiter, const void* holder) {
  return waits.with([&](Waits& all) {
    const void* at = holder;
    for (size_t steps = 0; steps < all.edges.size(); ++steps) {
      if (at == waiter) return false;
      const auto next = std::ranges::find(all.edges, at, &Waits::Edge::waiter);
      if (next == all.edges.end() || at == nullptr) break;
      at = next->holder;
    }
    const auto free = std::ranges::find(all.edges, nullptr, &Waits::Edge::waiter);
    if (free != all.edges.end()) *free = {waiter, holder};
    return true;
  });
}

void end_wait(const void* waiter) {
  waits.with([&](Waits& all) {
    const auto mine = std::ranges::find(all.edges, waiter, &Waits::Edge::waiter);
    if (mine != all.edges.end()) *mine = {};
  });
}

bool excludes(LockType a, LockType b) { return a == LockType::kWrite || b == LockType::kWrite; }

const RecordLock* conflict(const LockState& state, const RecordLock& lock) {
  const auto found = std::ranges::find_if(
      state.records, [&](const RecordLock& held) { return excludes(held, lock); });
  return found == state.records.end() ? nullptr : &*found;
}

// Takes the range out of the owner's locks, which may split one, then puts the new one in and joins neighbours. An
// owner's locks stand together, by their ranges, and the owners in the order in which they came: what F_GETLK tells is
// the first.
Result<void> apply(LockState& state, const RecordLock& lock) {
  // At most one split and one new lock: room first, so that nothing is lost half-way.
  TRY(state.records.reserve(state.records.size() + 2));
  Vec<RecordLock>& records = state.records;
  RecordLock joined = lock;
  size_t i = 0;
  while (i < records.size() && records[i].owner != lock.owner) ++i;
  size_t place = i;
  while (i < records.size() && records[i].owner == lock.owner) {
    const RecordLock held = records[i];
    const bool touches = held.overlaps(lock.start == 0 ? 0 : lock.start - 1,
                                       lock.end == UINT64_MAX ? UINT64_MAX : lock.end + 1);
    if (lock.type != LockType::kUnlock && held.type == lock.type && touches) {
      joined.start = std::min(joined.start, held.start);
      joined.end = std::max(joined.end, held.end);
      records.remove(i);
      continue;
    }
    if (!held.overlaps(lock.start, lock.end)) {
      ++i;
      if (held.start < lock.start) place = i;
      continue;
    }
    records.remove(i);
    if (held.start < lock.start) {
      RecordLock before = held;
      before.end = lock.start - 1;
      TRY(records.insert(i++, before));
      place = i;
    }
    if (held.end > lock.end) {
      RecordLock after = held;
      after.start = lock.end + 1;
      TRY(records.insert(i++, after));
    }
  }
  if (lock.type != LockType::kUnlock) TRY(records.insert(place, joined));
  return {};
}

}  // namespace

bool excludes(const RecordLock& held, const RecordLock& wanted) {
  return held.owner != wanted.owner && held.overlaps(wanted.start, wanted.end) &&
         excludes(held.type, wanted.type);
}

bool excludes(const FlockHolder& held, const FlockHolder& wanted) {
  return held.file != wanted.file && excludes(held.type, wanted.type);
}

LockAnchor::~LockAnchor() {
  if (FileLocks* const locks = existing()) OwnPtr<FileLocks>::adopt(*locks);
}

Result<FileLocks*> LockAnchor::get(uint64_t device, uint64_t inode) {
  if (FileLocks* const there = existing()) return there;
  OwnPtr<FileLocks> fresh = TRY(FileLocks::create(device, inode));
  FileLocks* expected = nullptr;
  if (!locks_.compare_exchange_strong(expected, fresh.get(), std::memory_order_acq_rel))
    return expected;
  return fresh.leak();
}

Result<OwnPtr<FileLocks>> FileLocks::create(uint64_t device, uint64_t inode) {
  return make_own<FileLocks>(TRY(make_ref<FileLockTable>(device, inode)));
}

FileLocks::FileLocks(RefPtr<FileLockTable> table) : table_(std::move(table)) {
  all_tables.with([&](LockTables& tables) { tables.push_front(*table_); });
}

FileLocks::~FileLocks() {
  all_tables.with([&](LockTables& tables) { tables.remove(*table_); });
}

Result<void> FileLocks::set(RecordLock lock, LockWait wait) {
  while (true) {
    const void* holder = nullptr;
    const Result<void> result = table_->state.with([&](LockState& state) -> Result<void> {
      if (lock.type != LockType::kUnlock) {
        if (const RecordLock* other = conflict(state, lock)) {
          holder = other->owner;
          return Errno::kAgain;
        }
      }
      return apply(state, lock);
    });
    if (!result.is_error()) {
      changed_.wake_all();
      return {};
    }
    if (holder == nullptr || wait == LockWait::kNo) return result.error();
    const bool is_posix = lock.pid != -1;
    if (is_posix && !begin_wait(lock.owner, holder)) return Errno::kDeadLk;
    const WaitEntry entry(*table_, lock, {});
    const Result<void> waited = wait_until(changed_, kNever, Interruptible::kYes, [&] {
      return table_->state.with([&](LockState& state) { return conflict(state, lock) == nullptr; });
    });
    if (is_posix) end_wait(lock.owner);
    if (waited.is_error()) return waited.error();
  }
}

RecordLock FileLocks::test(const RecordLock& lock) const {
  return table_->state.with([&](const LockState& state) {
    if (lock.type == LockType::kUnlock) {
      // Asked with F_UNLCK: whether the owner itself has a lock there.
      for (const RecordLock& held : state.records) {
        if (held.owner == lock.owner && held.overlaps(lock.start, lock.end)) return held;
      }
    } else if (const RecordLock* other = conflict(state, lock)) {
      return *other;
    }
    RecordLock none = lock;
    none.type = LockType::kUnlock;
    return none;
  });
}

Result<void> FileLocks::try_flock(const File& file, LockType type, int pid) {
  return table_->state.with([&](LockState& state) -> Result<void> {
    const auto own = std::ranges::find(state.holders, &file, &FlockHolder::file);
    if (own != state.holders.end() && own->type == type) return {};
    TRY(state.holders.reserve(state.holders.size() + 1));
    // A conversion is not atomic: the old lock is given up first, even if there is no new one then (flock(2)).
    state.holders.remove_if([&](const FlockHolder& holder) { return holder.file == &file; });
    if (type == LockType::kUnlock) return {};
    for (const FlockHolder& holder : state.holders) {
      if (excludes(holder.type, type)) return Errno::kAgain;
    }
    state.holders.push_reserved({.file = &file, .pid = pid, .type = type});
    return {};
  });
}

Result<void> FileLocks::flock(const File& file, LockType type, LockWait wait, int pid) {
  while (true) {
    const Result<void> result = try_flock(file, type, pid);
    changed_.wake_all();
    if (!result.is_error() || result.error() != Errno::kAgain || wait == LockWait::kNo)
      return result;
    const WaitEntry entry(*table_, {}, {.file = &file, .pid = pid, .type = type});
    TRY(wait_until(changed_, kNever, Interruptible::kYes, [&] {
      return table_->state.with([&](LockState& state) {
        return std::ranges::none_of(state.holders, [&](const FlockHolder& h) {
          return h.file != &file && excludes(h.type, type);
        });
      });
    }));
  }
}

void FileLocks::release_owner(const void* owner) {
  const size_t removed = table_->state.with([&](LockState& state) {
    return state.records.remove_if([&](const RecordLock& lock) { return lock.owner == owner; });
  });
  if (removed != 0) changed_.wake_all();
}

void FileLocks::release_description(const File& file) {
  release_owner(&file);
  const size_t removed = table_->state.with([&](LockState& state) {
    return state.holders.remove_if([&](const FlockHolder& holder) { return holder.file == &file; });
  });
  if (removed != 0) changed_.wake_all();
}

namespace {

// Vectors grow outside of the lock.
Result<LockSnapshot> snapshot_of(const FileLockTable& table) {
  LockSnapshot all;
  all.device = table.device;
  all.inode = table.inode;
  while (true) {
    const auto [records, holders, waiters] = table.state.with([](const LockState& state) {
      return std::array{state.records.size(), state.holders.size(), state.waiters.size()};
    });
    TRY(all.records.reserve(records));
    TRY(all.holders.reserve(holders));
    TRY(all.waiting_records.reserve(waiters));
    TRY(all.waiting_holders.reserve(waiters));
    const bool complete = table.state.with([&](LockState& state) {
      if (state.records.size() > all.records.capacity() ||
          state.holders.size() > all.holders.capacity() ||
          state.waiters.size() > all.waiting_records.capacity() ||
          state.waiters.size() > all.waiting_holders.capacity()) {
        return false;
      }
      for (const RecordLock& lock : state.records) all.records.push_reserved(lock);
      for (const FlockHolder& holder : state.holders) all.holders.push_reserved(holder);
      for (const Waiter& waiter : state.waiters) {
        if (waiter.holder.file == nullptr) {
          all.waiting_records.push_reserved(waiter.record);
        } else {
          all.waiting_holders.push_reserved(waiter.holder);
        }
      }
      return true;
    });
    if (complete) break;
  }
  std::ranges::sort(all.records, {}, &RecordLock::start);
  return all;
}

}  // namespace

Result<LockSnapshot> FileLocks::snapshot() const { return snapshot_of(*table_); }

Result<Vec<LockSnapshot>> all_file_locks() {
  Vec<RefPtr<FileLockTable>> tables;
  for (bool complete = false; !complete;) {
    TRY(tables.reserve(all_tables.with([](LockTables& all) { return all.size(); }) + 8));
    complete = all_tables.with([&](LockTables& all) {
      if (all.size() > tables.capacity()) return false;
      for (FileLockTable& table : all) tables.push_reserved(ref_to(table));
      return true;
    });
  }
  Vec<LockSnapshot> result;
  for (const RefPtr<FileLockTable>& table : tables) {
    LockSnapshot snapshot = TRY(snapshot_of(*table));
    if (!snapshot.records.is_empty() || !snapshot.holders.is_empty())
      TRY(result.push(std::move(snapshot)));
  }
  return result;
}

}  // namespace occlum
