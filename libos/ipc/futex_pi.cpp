// The operations on PI futexes (futex(2), "Priority-inheritance futexes"; kernel/futex/pi.c and requeue.c give the order
// of the checks).
#include "libos/ipc/futex.h"
#include "libos/ipc/futex_pi_locks.h"
#include "libos/mm/user.h"

namespace occlum {

Result<void> futex_lock_pi(Thread& self, FutexAddress futex, PiWait wait, Nanoseconds deadline) {
  AddressSpace& memory = self.memory();
  const FutexKey key = TRY(futex_key_of(memory, futex));
  PiWaiter waiter(self, futex);
  while (true) {
    const PiOwner owner = TRY(owner_of(memory, futex));
    Result<bool> taken = pi_locks().with([&](PiLocks& locks) {
      return take_or_wait(locks, memory, futex, key, owner, waiter, wait, MarkWaiters::kNo);
    });
    if (taken.is_error() && taken.error() == Errno::kRestartSys) continue;
    if (TRY(std::move(taken))) return {};
    break;
  }
  const Result<void> slept = sleep_for_lock(waiter, deadline);
  if (slept.is_error() && slept.error() == Errno::kIntr) return Errno::kRestartNoIntr;
  return slept;
}

Result<void> futex_unlock_pi(Thread& self, FutexAddress futex) {
  AddressSpace& memory = self.memory();
  const UserAddress at(futex.address);
  const uint32_t mine = pi_number_of(self);
  // Whose it is is looked at before whether it can be a futex at all.
  uint32_t word = 0;
  TRY(copy_from_user(memory, writable_object_bytes(word), at));
  if ((word & kFutexTidMask) != mine) return Errno::kPerm;
  const FutexKey key = TRY(futex_key_of(memory, futex));
  return pi_locks().with([&](PiLocks& locks) -> Result<void> {
    while (true) {
      if (PiLock* lock = locks.find(key)) {
        if (lock->owner != &self) return Errno::kInval;
        const uint32_t next = pi_number_of(PiLocks::heir(*lock).thread) | kFutexWaiters;
        const uint32_t found = TRY(compare_exchange_user_u32(memory, at, word, next));
        if (found != word) return (found & kFutexTidMask) == word ? Errno::kAgain : Errno::kInval;
        locks.hand_over(*lock);
        return {};
      }
      if (has_waiters(key)) return Errno::kInval;  // of another kind
      const uint32_t found = TRY(compare_exchange_user_u32(memory, at, word, 0));
      if (found == word) return {};
      word = found;
      if ((word & kFutexTidMask) != mine) return Errno::kPerm;
    }
  });
}

namespace {

// FUTEX_WAIT_REQUEUE_PI's two waits as one: in the bucket of the first futex, then behind the lock's owner.
struct MovableWaiter : FutexWaiter {
  MovableWaiter(Thread& self, FutexKey key, uint32_t bits, FutexAddress lock, FutexKey lock_key)
      : FutexWaiter(self, key, bits), target(lock_key), pi(self, lock) {
    pi_target = &target;
  }
  const FutexKey target;
  PiWaiter pi;
  std::atomic<bool> is_moved{false};
};

}  // namespace

Result<void> futex_wait_requeue_pi(Thread& self, FutexAddress futex, uint32_t expected,
                                   uint32_t bits, Nanoseconds deadline, FutexAddress lock) {
  AddressSpace& memory = self.memory();
  if (futex.address == lock.address || bits == 0) return Errno::kInval;
  const FutexKey lock_key = TRY(futex_key_of(memory, lock));
  const FutexKey key = TRY(futex_key_of(memory, futex));
  if (key == lock_key) return Errno::kInval;
  MovableWaiter waiter(self, key, bits, lock, lock_key);
  join_queue(waiter);
  // Out of the bucket, unless it has been moved: that takes the mutex.
  const auto leave = [&] {
    return pi_locks().with([&](PiLocks&) {
      if (waiter.is_moved.load()) return false;
      (void)leave_queue(waiter);
      return true;
    });
  };
  const Result<uint32_t> value = load_user_u32(memory, UserAddress(futex.address));
  if ((value.is_error() || value.value() != expected) && leave())
    return value.is_error() ? value.error() : Errno::kAgain;
  while (!waiter.is_moved.load()) {
    const ParkResult result = park(deadline, Interruptible::kYes);
    if (result == ParkResult::kUnparked) continue;
    if (leave()) return result == ParkResult::kTimedOut ? Errno::kTimedOut : Errno::kRestartNoIntr;
  }
  const Result<void> slept = sleep_for_lock(waiter.pi, deadline);
  if (slept.is_error() && slept.error() == Errno::kIntr) return Errno::kAgain;
  return slept;
}

Result<long> futex_requeue_pi(Thread& self, FutexAddress from, FutexAddress lock,
                              uint32_t move_count, uint32_t expected) {
  AddressSpace& memory = self.memory();
  if (from.address == lock.address) return Errno::kInval;
  const FutexKey from_key = TRY(futex_key_of(memory, from));
  const FutexKey lock_key = TRY(futex_key_of(memory, lock));
  if (from_key == lock_key) return Errno::kInval;
  long moved = 0;
  // The first is to have the lock; those behind it wait for it in any case.
  while (moved < static_cast<long>(move_count) + 1) {
    const PiOwner owner = TRY(owner_of(memory, lock));
    bool is_last = false;
    const Result<void> outcome = pi_locks().with([&](PiLocks& locks) -> Result<void> {
      if (TRY(load_user_u32(memory, UserAddress(from.address))) != expected && moved == 0)
        return Errno::kAgain;
      FutexWaiter* taken = TRY(take_for_move(from_key, lock_key));
      if (taken == nullptr) {
        is_last = true;
        return {};
      }
      auto& waiter = static_cast<MovableWaiter&>(*taken);
      const Result<bool> has_lock =
          take_or_wait(locks, memory, lock, lock_key, owner, waiter.pi, PiWait::kBlock,
                       move_count > 0 ? MarkWaiters::kYes : MarkWaiters::kNo);
      if (has_lock.is_error()) {
        put_back(waiter);
        return has_lock.error();
      }
      ++moved;
      if (has_lock.value()) waiter.pi.owns.store(true);
      waiter.is_moved.store(true);
      waiter.task.unpark();
      return {};
    });
    if (is_last) break;
    if (outcome.is_error() && outcome.error() == Errno::kRestartSys) continue;
    if (outcome.is_error() && moved == 0) return outcome.error();
    if (outcome.is_error()) break;
  }
  return moved;
}

}  // namespace occlum
