#include "libos/ipc/futex_pi_locks.h"

#include <algorithm>

#include "libos/lib/hash.h"
#include "libos/mm/user.h"
#include "libos/process/process_table.h"

namespace occlum {
namespace {

// Before kAddressSpace, because words are read under it.
constinit MutexLocked<PiLocks> locks{LockRank::kThreadGroup};

constexpr int kLongestChain = 1024;

// The highest priority among those who wait for what `owner` holds.
uint8_t priority_of_waiters(const Thread& owner) {
  uint8_t highest = 0;
  for (const PiLock* lock = owner.pi_held; lock != nullptr; lock = lock->next_held) {
    highest = std::max(highest, lock->waiters.first()->priority);
  }
  return highest;
}

uint8_t priority_of(const Thread& thread) {
  return std::max(thread.scheduling().priority, priority_of_waiters(thread));
}

}  // namespace

MutexLocked<PiLocks>& pi_locks() { return locks; }

uint32_t pi_number_of(const Thread& thread) { return static_cast<uint32_t>(thread.tid()); }

PiLocks::Bucket& PiLocks::bucket_of(const FutexKey& key) {
  return buckets_[hash_combine(hash_integer(key.space), key.offset) % kBuckets];
}

PiLock* PiLocks::find(const FutexKey& key) {
  for (PiLock& lock : bucket_of(key)) {
    if (lock.key == key) return &lock;
  }
  return nullptr;
}

void PiLocks::hold(Thread& owner, PiLock& lock) {
  lock.owner = &owner;
  lock.next_held = owner.pi_held;
  owner.pi_held = &lock;
}

void PiLocks::release(Thread& owner, PiLock& lock) {
  PiLock** at = &owner.pi_held;
  while (*at != &lock) at = &(*at)->next_held;
  *at = lock.next_held;
  lock.owner = nullptr;
}

void PiLocks::insert(PiLock& lock, PiWaiter& waiter) {
  PiWaiter* behind = lock.waiters.first();
  while (behind != nullptr && behind->priority >= waiter.priority)
    behind = lock.waiters.next(*behind);
  if (behind == nullptr) {
    lock.waiters.push_back(waiter);
  } else {
    lock.waiters.insert_before(*behind, waiter);
  }
}

bool PiLocks::would_close_a_circle(const Thread& owner, const Thread& waiter) {
  const Thread* at = &owner;
  for (int i = 0; i < kLongestChain; ++i) {
    if (at == &waiter) return true;
    if (at->pi_waits_for == nullptr || at->pi_waits_for->owner == nullptr) return false;
    at = at->pi_waits_for->owner;
  }
  return true;
}

// Whoever holds `lock` gets the priority of those who wait for it, and so on along the chain.
void PiLocks::pass_priority_on(PiLock* lock) {
  for (int i = 0; lock != nullptr && lock->owner != nullptr && i < kLongestChain; ++i) {
    Thread& owner = *lock->owner;
    owner.inherit_priority(priority_of_waiters(owner));
    lock = owner.pi_waits_for;
    if (lock == nullptr || lock->owner == nullptr) return;
    for (PiWaiter& waiter : lock->waiters) {
      if (&waiter.thread != &owner) continue;
      lock->waiters.remove(waiter);
      waiter.priority = priority_of(owner);
      insert(*lock, waiter);
      break;
    }
  }
}

Result<void> PiLocks::wait_for(const FutexKey& key, Thread& owner, PiWaiter& waiter) {
  if (is_refused(owner)) return Errno::kSrch;
  if (would_close_a_circle(owner, waiter.thread)) return Errno::kDeadLk;
  PiLock* lock = find(key);
  if (lock == nullptr) {
    lock = TRY(make_own<PiLock>()).leak();
    lock->key = key;
    bucket_of(key).push_back(*lock);
    hold(owner, *lock);
  }
  waiter.lock = lock;
  waiter.priority = priority_of(waiter.thread);
  insert(*lock, waiter);
  waiter.thread.pi_waits_for = lock;
  pass_priority_on(lock);
  return {};
}

// Nobody waits any more.
void PiLocks::forget(PiLock& lock) {
  release(*lock.owner, lock);
  bucket_of(lock.key).remove(lock);
  (void)OwnPtr<PiLock>::adopt(lock);
}

void PiLocks::remove(PiWaiter& waiter) {
  waiter.lock->waiters.remove(waiter);
  waiter.lock = nullptr;
  waiter.thread.pi_waits_for = nullptr;
}

bool PiLocks::give_up(PiWaiter& waiter) {
  if (waiter.owns.load()) return false;
  PiLock& lock = *waiter.lock;
  Thread& owner = *lock.owner;
  remove(waiter);
  if (lock.waiters.is_empty()) {
    forget(lock);
    owner.inherit_priority(priority_of_waiters(owner));
    pass_priority_on(owner.pi_waits_for);
  } else {
    pass_priority_on(&lock);
  }
  return true;
}

void PiLocks::hand_over(PiLock& lock) {
  PiWaiter& next = heir(lock);
  Thread& old_owner = *lock.owner;
  Thread& new_owner = next.thread;
  remove(next);
  if (lock.waiters.is_empty()) {
    forget(lock);
  } else {
    release(old_owner, lock);
    hold(new_owner, lock);
    new_owner.inherit_priority(priority_of_waiters(new_owner));
  }
  old_owner.inherit_priority(priority_of_waiters(old_owner));
  next.owns.store(true);
  new_owner.unpark();
}

Result<PiOwner> owner_of(AddressSpace& memory, FutexAddress futex) {
  PiOwner owner{.word = TRY(load_user_u32(memory, UserAddress(futex.address))), .thread = nullptr};
  const uint32_t number = owner.word & kFutexTidMask;
  if (number != 0) owner.thread = find_thread(static_cast<Pid>(number));
  return owner;
}

// The order of what is looked at and changed is that of kernel/futex/pi.c: a refused attempt may leave FUTEX_WAITERS.
Result<bool> take_or_wait(PiLocks& locks, AddressSpace& memory, FutexAddress futex,
                          const FutexKey& key, const PiOwner& owner, PiWaiter& waiter, PiWait wait,
                          MarkWaiters mark) {
  const UserAddress at(futex.address);
  const uint32_t mine = pi_number_of(waiter.thread);
  const uint32_t word = TRY(load_user_u32(memory, at));
  const uint32_t number = word & kFutexTidMask;
  if (number == mine) return Errno::kDeadLk;
  const PiLock* lock = locks.find(key);
  if (lock == nullptr && number == 0) {
    const uint32_t taken =
        mine | (word & kFutexOwnerDied) | (mark == MarkWaiters::kYes ? kFutexWaiters : 0);
    const uint32_t found = TRY(compare_exchange_user_u32(memory, at, word, taken));
    if (found != word) return Errno::kRestartSys;
    return true;
  }
  // An owner that is dying has marked the word, and hands the lock over next (futex_leave.cpp): one more waits for that.
  const bool is_dying = lock != nullptr && number == 0 && (word & kFutexOwnerDied) != 0;
  if (lock != nullptr && !is_dying && number != pi_number_of(*lock->owner)) return Errno::kInval;
  if (!is_dying && number != (owner.word & kFutexTidMask)) return Errno::kRestartSys;
  const uint32_t found = TRY(compare_exchange_user_u32(memory, at, word, word | kFutexWaiters));
  if (found != word) return Errno::kRestartSys;
  Thread* holder = is_dying ? lock->owner : owner.thread.get();
  if (holder == nullptr) return Errno::kSrch;
  if (!is_dying && pi_number_of(*holder) != number) return Errno::kRestartSys;
  if (wait == PiWait::kTry) return Errno::kAgain;
  TRY(locks.wait_for(key, *holder, waiter));
  return false;
}

Result<void> sleep_for_lock(PiWaiter& waiter, Nanoseconds deadline) {
  while (!waiter.owns.load()) {
    const ParkResult result = park(deadline, Interruptible::kYes);
    if (result == ParkResult::kUnparked) continue;
    if (!pi_locks().with([&](PiLocks& all) { return all.give_up(waiter); })) return {};
    return result == ParkResult::kTimedOut ? Errno::kTimedOut : Errno::kIntr;
  }
  // Whoever gave it the lock is done with it once the mutex is free.
  pi_locks().with([](PiLocks&) {});
  return {};
}

}  // namespace occlum
