// WaitQueue: where tasks, and poll's watchers, wait for something to change.
//
// The rule that makes lost wake-ups impossible: a waiter joins the queue first, then looks at the condition, then
// parks. wait_until() does that. The waker changes the condition first, then calls wake_one() or wake_all(); the
// condition's own lock is never held around park().
#pragma once

#include "libos/lib/function_ref.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/sched/task.h"

namespace occlum {

class WaitQueue;

// Something in a queue. A task that waits, or a callback (epoll, poll on several queues). on_wake() runs in the
// waker's context with the queue's lock held: it may unpark a task or take locks ranked below kWaitQueue, no more.
class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Returns true when this waiter consumed the wake (wake_one stops there). `events` is the waker's hint (poll bits).
  virtual bool on_wake(uint32_t events) = 0;

 protected:
  virtual ~Waiter() = default;  // must have left its queue

 private:
  friend class WaitQueue;
  ListNode node_;
  WaitQueue* queue_ = nullptr;
};

class WaitQueue {
 public:
  WaitQueue() = default;
  ~WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  void add(Waiter& waiter);                     // FIFO
  void remove(Waiter& waiter);                  // harmless when it has left already
  bool wake_one(uint32_t events = UINT32_MAX);  // true: somebody consumed it
  void wake_all(uint32_t events = UINT32_MAX);
  bool empty() const;

 private:
  struct Waiters {
    IntrusiveList<Waiter, &Waiter::node_> list;
  };
  // Its rank: taken with object locks held, above the scheduler's.
  mutable SpinLocked<Waiters> waiters_{LockRank::kWaitQueue};
};

// Waits until condition() is true. condition() runs without the queue's lock, so it takes whatever lock it needs.
// Errors: kIntr (kRestartSys: see signals) when a signal is pending and the wait is interruptible; kTimedOut.
Result<void> wait_until(WaitQueue& queue, Nanoseconds deadline, Interruptible interruptible,
                        FunctionRef<bool()> condition);

}  // namespace occlum
