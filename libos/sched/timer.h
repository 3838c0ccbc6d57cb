// Timer: a callback at an absolute monotonic time. Expiry is run by whichever vCPU notices: on a tick, before idling,
// or when the idle wait ends. Callbacks run in that vCPU's LibOS context with no lock held; they may unpark tasks and
// take spin locks, and must not block.
#pragma once

#include "libos/lib/counted.h"
#include "libos/lib/lock.h"
#include "libos/sched/task.h"

namespace occlum {

class Timer : Counted<Timer> {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Arms, or moves, the timer. `when` in monotonic nanoseconds; kNever disarms.
  void arm(Nanoseconds when);
  // Disarms; on return the callback is not running and will not run. Not from the timer's own callback.
  void cancel();

 protected:
  virtual ~Timer() = default;  // must be cancelled
  virtual void expired() = 0;

 private:
  friend class TimerQueue;
  // Of the timer heap, under its lock (timer_queue.cpp).
  Nanoseconds when_ = kNever;
  Timer* child_ = nullptr;
  Timer* sibling_ = nullptr;
  Timer* previous_ = nullptr;
};

}  // namespace occlum
