// Wait queues; see the rule in the header.
#include "libos/sched/wait_queue.h"

namespace occlum {
namespace {

class TaskWaiter final : public Waiter {
 public:
  explicit TaskWaiter(Task& task) : task_(task) {}
  bool on_wake(uint32_t) override {
    task_.unpark();
    return true;
  }

 private:
  Task& task_;
};

}  // namespace

void WaitQueue::add(Waiter& waiter) {
  waiters_.with([&](Waiters& waiters) {
    waiter.queue_ = this;
    waiters.list.push_back(waiter);
  });
}

void WaitQueue::remove(Waiter& waiter) {
  waiters_.with([&](Waiters& waiters) {
    if (waiter.queue_ != this) return;
    waiters.list.remove(waiter);
    waiter.queue_ = nullptr;
  });
}

bool WaitQueue::wake_one(uint32_t events) {
  return waiters_.with([&](Waiters& waiters) {
    for (Waiter& waiter : waiters.list) {
      if (!waiter.on_wake(events)) continue;
      // To the end: the next wake_one() wakes another, even when this one has not yet left.
      waiters.list.remove(waiter);
      waiters.list.push_back(waiter);
      return true;
    }
    return false;
  });
}

void WaitQueue::wake_all(uint32_t events) {
  waiters_.with([&](Waiters& waiters) {
    for (Waiter& waiter : waiters.list) (void)waiter.on_wake(events);
  });
}

bool WaitQueue::empty() const {
  return waiters_.with([](const Waiters& waiters) { return waiters.list.is_empty(); });
}

Result<void> wait_until(WaitQueue& queue, Nanoseconds deadline, Interruptible interruptible,
                        FunctionRef<bool()> condition) {
  if (condition()) return {};
  TaskWaiter waiter(current_task());
  queue.add(waiter);
  Result<void> result{};
  while (!condition()) {
    const ParkResult woken = park(deadline, interruptible);
    if (woken == ParkResult::kUnparked) continue;
    if (condition()) break;
    result = woken == ParkResult::kTimedOut ? Errno::kTimedOut : Errno::kRestartSys;
    break;
  }
  queue.remove(waiter);
  return result;
}

}  // namespace occlum
