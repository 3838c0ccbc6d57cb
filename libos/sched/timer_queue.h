// All armed timers, earliest first: a pairing heap through the timers themselves, so arming cannot fail.
// (Fredman, Sedgewick, Sleator, Tarjan: The pairing heap, 1986)
#pragma once

#include "libos/lib/lock.h"
#include "libos/sched/timer.h"

namespace occlum {

class TimerQueue {
 public:
  constexpr TimerQueue() = default;

  void arm(Timer& timer, Nanoseconds when);
  void cancel(Timer& timer);

  // Runs every timer that is due at `now`, and returns the next deadline (kNever: none).
  Nanoseconds expire(Nanoseconds now);
  Nanoseconds next_deadline() const { return next_.load(std::memory_order_acquire); }

 private:
  struct Heap {
    Timer* root = nullptr;
    Timer* running = nullptr;  // the one whose expired() is being called
  };
  static Timer* meld(Timer* a, Timer* b);
  static Timer* merge_children(Timer* first);
  static void remove(Heap& heap, Timer& timer);
  void publish(const Heap& heap);

  SpinLocked<Heap> heap_{LockRank::kTimer};
  std::atomic<Nanoseconds> next_{kNever};
};

TimerQueue& timer_queue();

}  // namespace occlum
