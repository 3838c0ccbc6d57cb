// The buckets that futex waiters stand in; for futex*.cpp only.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/ipc/futex.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"

namespace occlum {

using FutexKey = AddressSpace::FutexKey;

struct FutexBucket;

// On the waiting thread's stack. Its bucket's lock guards it; the waker unparks under that lock, and the waiter takes it
// once more before it goes (leave_queue), so neither outlives the other's use.
struct FutexWaiter {
  FutexWaiter(Task& waiting, FutexKey its_key, uint32_t wanted)
      : task(waiting), key(its_key), bits(wanted) {}
  ListNode node;
  Task& task;
  FutexKey key;
  uint32_t bits;
  const FutexKey* pi_target =
      nullptr;  // of FUTEX_WAIT_REQUEUE_PI: nothing but a move there wakes it
  std::atomic<FutexBucket*> bucket{nullptr};
  std::atomic<bool> is_woken{false};
};

struct FutexQueue {
  IntrusiveList<FutexWaiter, &FutexWaiter::node> waiters;
};

struct FutexBucket {
  SpinLocked<FutexQueue> queue{LockRank::kFutex};
};

Result<FutexKey> futex_key_of(AddressSpace& memory, FutexAddress futex);
FutexBucket& futex_bucket(const FutexKey& key);

void join_queue(FutexWaiter& waiter);
// Takes out the first waiter of `key`: null when there is none; kInval when it does not wait to be moved to `target`. Under the
// PI lock, with which such waiters leave as well.
Result<FutexWaiter*> take_for_move(const FutexKey& key, const FutexKey& target);
void put_back(FutexWaiter& waiter);  // in front
// Whether somebody waits here, of any kind.
bool has_waiters(const FutexKey& key);
// Leaves whichever bucket it is in by now. True: it was woken before that.
bool leave_queue(FutexWaiter& waiter);
// Wakes up to `count` waiters. kInval: one of them waits to be moved to a PI futex.
Result<uint32_t> wake_waiters(const FutexKey& key, uint32_t count, uint32_t bits);

// Sleeps until the waiter is woken. Leaves the queue in any case. kTimedOut, kRestartSys.
Result<void> sleep_in_queue(FutexWaiter& waiter, Nanoseconds deadline);

}  // namespace occlum
