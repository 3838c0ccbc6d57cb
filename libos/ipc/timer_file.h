// timerfd_create(2): a timer that is read as a file.
//
// An expiry is one callback; a periodic timer is armed again when its expiries are read, and those
// that were missed are counted then, so an unread timer costs nothing.
#pragma once

#include "libos/fs/vfs/file.h"
#include "libos/lib/lock.h"
#include "libos/sched/timer.h"

namespace occlum {

class TimerFile : public File, private Timer {
 public:
  enum class Clock : int {
    kRealtime = 0,
    kMonotonic = 1,
    kBoottime = 7,
    kRealtimeAlarm = 8,
    kBoottimeAlarm = 9
  };
  TimerFile(Clock clock, uint32_t flags) : File(flags), clock_(clock) {}
  ~TimerFile() override { cancel(); }

  struct Setting {
    Nanoseconds remaining = 0;  // until the next expiry; 0: disarmed
    Nanoseconds interval = 0;   // 0: once
  };
  Setting get();
  Clock clock() const { return clock_; }
  uint64_t ticks() const {
    return state_.with([](const State& state) { return state.ticks; });
  }
  enum class Start { kRelative, kAbsolute };
  // `value` 0 disarms. Returns the setting before.
  Setting set(Nanoseconds value, Nanoseconds interval, Start start);

  Result<size_t> read(DataSink& sink) override;
  PollEvents poll(Poller* poller) override;
  Result<String> describe() override;
  FileKind kind() const override { return FileKind::kTimer; }

 private:
  struct State {
    Nanoseconds next = kNever;  // monotonic
    Nanoseconds interval = 0;
    uint64_t ticks = 0;
    bool fired = false;  // `next` is past and counted once; not armed
  };
  void expired() override;
  Setting current(const State& state, Nanoseconds now) const;
  void forward(State& state, Nanoseconds now);

  const Clock clock_;
  SpinLocked<State> state_{LockRank::kPipe};
  WaitQueue queue_;
};

}  // namespace occlum
