// See file_locks.h.
#include "libos/fs/vfs/file_locks.h"

#include <algorithm>
#include <array>

namespace occlum {

namespace {

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

}  // namespace

const RecordLock* FileLocks::conflict(const State& state, const RecordLock& lock) {
  for (const RecordLock& held : state.records) {
    if (held.owner != lock.owner && held.overlaps(lock.start, lock.end) &&
        excludes(held.type, lock.type)) {
      return &held;
    }
  }
  return nullptr;
}

// Takes the range out of the owner's locks, which may split one, then puts the new one in and joins neighbours.
Result<void> FileLocks::apply(State& state, const RecordLock& lock) {
  // At most one split and one new lock: room first, so that nothing is lost half-way.
  TRY(state.records.reserve(state.records.size() + 2));
  RecordLock joined = lock;
  for (size_t i = 0; i < state.records.size();) {
    RecordLock& held = state.records[i];
    if (held.owner != lock.owner) {
      ++i;
      continue;
    }
    const bool touches = held.overlaps(lock.start == 0 ? 0 : lock.start - 1,
                                       lock.end == UINT64_MAX ? UINT64_MAX : lock.end + 1);
    if (lock.type != LockType::kUnlock && held.type == lock.type && touches) {
      joined.start = std::min(joined.start, held.start);
      joined.end = std::max(joined.end, held.end);
      state.records.remove(i);
      continue;
    }
    if (!held.overlaps(lock.start, lock.end)) {
      ++i;
      continue;
    }
    const RecordLock old = held;
    state.records.remove(i);
    if (old.start < lock.start) {
      RecordLock before = old;
      before.end = lock.start - 1;
      state.records.push_reserved(before);
    }
    if (old.end > lock.end) {
      RecordLock after = old;
      after.start = lock.end + 1;
      state.records.push_reserved(after);
    }
  }
  if (lock.type != LockType::kUnlock) state.records.push_reserved(joined);
  return {};
}

Result<void> FileLocks::set(RecordLock lock, LockWait wait) {
  while (true) {
    const void* holder = nullptr;
    const Result<void> result = state_.with([&](State& state) -> Result<void> {
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
    const Result<void> waited = wait_until(changed_, kNever, Interruptible::kYes, [&] {
      return state_.with([&](State& state) { return conflict(state, lock) == nullptr; });
    });
    if (is_posix) end_wait(lock.owner);
    if (waited.is_error()) return waited.error();
  }
}

RecordLock FileLocks::test(const RecordLock& lock) const {
  return state_.with([&](const State& state) {
    if (const RecordLock* other = conflict(state, lock)) return *other;
    RecordLock none = lock;
    none.type = LockType::kUnlock;
    return none;
  });
}

Result<void> FileLocks::try_flock(const File& file, LockType type) {
  return state_.with([&](State& state) -> Result<void> {
    Holder* own = nullptr;
    for (Holder& holder : state.holders) {
      if (holder.file == &file) {
        own = &holder;
      } else if (type != LockType::kUnlock && excludes(holder.type, type)) {
        return Errno::kAgain;
      }
    }
    if (type == LockType::kUnlock) {
      state.holders.remove_if([&](const Holder& holder) { return holder.file == &file; });
      return {};
    }
    if (own != nullptr) {
      own->type = type;
      return {};
    }
    return state.holders.push({&file, type});
  });
}

Result<void> FileLocks::flock(const File& file, LockType type, LockWait wait) {
  while (true) {
    const Result<void> result = try_flock(file, type);
    if (!result.is_error()) {
      changed_.wake_all();
      return {};
    }
    if (result.error() != Errno::kAgain || wait == LockWait::kNo) return result.error();
    // A conversion is not atomic: the old lock is given up first (flock(2)).
    TRY(try_flock(file, LockType::kUnlock));
    changed_.wake_all();
    TRY(wait_until(changed_, kNever, Interruptible::kYes, [&] {
      return state_.with([&](State& state) {
        return std::ranges::none_of(state.holders, [&](const Holder& h) {
          return h.file != &file && excludes(h.type, type);
        });
      });
    }));
  }
}

void FileLocks::release_owner(const void* owner) {
  const size_t removed = state_.with([&](State& state) {
    return state.records.remove_if([&](const RecordLock& lock) { return lock.owner == owner; });
  });
  if (removed != 0) changed_.wake_all();
}

void FileLocks::release_description(const File& file) {
  release_owner(&file);
  const size_t removed = state_.with([&](State& state) {
    return state.holders.remove_if([&](const Holder& holder) { return holder.file == &file; });
  });
  if (removed != 0) changed_.wake_all();
}

Result<Vec<RecordLock>> FileLocks::records() const {
  return state_.with([](const State& state) { return state.records.clone(); });
}

}  // namespace occlum
