// The PI futexes that threads wait for; for futex_pi*.cpp and futex_leave.cpp only.
//
// One mutex guards it all: which lock has which waiters, who owns it, and what the word in user memory says about that.
// Programs change such a word themselves only from 0 to their number and back, by compare-exchange, and not at all once
// FUTEX_WAITERS is set. A PiLock exists while somebody waits. Unlocking gives the word to a waiter, so that a lock that is
// waited for is never free.
#pragma once

#include <array>
#include <atomic>

#include "libos/ipc/futex_queue.h"
#include "libos/lib/list.h"
#include "libos/process/thread.h"

namespace occlum {

struct PiLock;

// On the waiting thread's stack; the thread's own memory and address, for the word is told to it.
struct PiWaiter {
  PiWaiter(Thread& waiting, FutexAddress where) : thread(waiting), futex(where) {}
  ListNode node;
  Thread& thread;
  const FutexAddress futex;
  uint8_t priority = 0;
  PiLock* lock = nullptr;
  std::atomic<bool> owns{false};  // it has been given the lock
};

struct PiLock {
  ListNode node;
  FutexKey key = {};
  Thread* owner = nullptr;
  PiLock* next_held = nullptr;                       // of the same owner: Thread::pi_held
  IntrusiveList<PiWaiter, &PiWaiter::node> waiters;  // by priority, then in order of arrival
};

class PiLocks {
 public:
  constexpr PiLocks() = default;

  PiLock* find(const FutexKey& key);

  // Puts the waiter behind `owner`, who gets its priority. kDeadLk, kNoMem, kSrch (the owner is leaving).
  Result<void> wait_for(const FutexKey& key, Thread& owner, PiWaiter& waiter);
  // Takes the waiter out again. False: it has the lock.
  bool give_up(PiWaiter& waiter);
  // The word says that the first waiter owns the lock (`extra`: FUTEX_OWNER_DIED), and it wakes.
  void hand_over(PiLock& lock);
  static PiWaiter& heir(PiLock& lock) { return *lock.waiters.first(); }

  // The thread can own nothing from now on: what it is waited for must have been handed over.
  void refuse(Thread& thread) { thread.pi_waits_for = &gone_; }
  bool is_refused(const Thread& thread) const { return thread.pi_waits_for == &gone_; }

 private:
  static constexpr size_t kBuckets = 64;
  using Bucket = IntrusiveList<PiLock, &PiLock::node>;
  Bucket& bucket_of(const FutexKey& key);
  void insert(PiLock& lock, PiWaiter& waiter);
  void remove(PiWaiter& waiter);
  void forget(PiLock& lock);
  static void hold(Thread& owner, PiLock& lock);
  static void release(Thread& owner, PiLock& lock);
  static bool would_close_a_circle(const Thread& owner, const Thread& waiter);
  void pass_priority_on(PiLock* lock);

  std::array<Bucket, kBuckets> buckets_;
  PiLock gone_;
};

MutexLocked<PiLocks>& pi_locks();

uint32_t pi_number_of(const Thread& thread);

// What the word says about its owner: a reference to it, null when the futex is free. kSrch: a thread that does not exist.
struct PiOwner {
  uint32_t word = 0;
  RefPtr<Thread> thread;
};
Result<PiOwner> owner_of(AddressSpace& memory, FutexAddress futex);

// Takes the word for `waiter`'s thread, or puts it behind the owner; `memory` and `futex` are the caller's view of the
// word, `owner` what it said before the lock was taken. True: taken. kRestartSys: the word has changed, try again.
enum class MarkWaiters : uint8_t { kNo, kYes };
Result<bool> take_or_wait(PiLocks& locks, AddressSpace& memory, FutexAddress futex,
                          const FutexKey& key, const PiOwner& owner, PiWaiter& waiter, PiWait wait,
                          MarkWaiters mark);

// Sleeps until the waiter has the lock. kTimedOut; kIntr.
Result<void> sleep_for_lock(PiWaiter& waiter, Nanoseconds deadline);

}  // namespace occlum
