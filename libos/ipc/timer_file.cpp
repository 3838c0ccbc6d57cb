#include "libos/ipc/timer_file.h"

#include <algorithm>

#include "libos/lib/memory.h"
#include "libos/lib/string.h"

namespace occlum {

void TimerFile::expired() {
  const bool is_due = state_.with([](State& state) {
    // A setting that came in between has moved the time.
    if (state.fired || state.next == kNever || monotonic_now() < state.next) return false;
    state.fired = true;
    ++state.ticks;
    return true;
  });
  if (is_due) queue_.wake_all(kPollIn | kPollRdNorm);
}

// Counts the periods that passed since a periodic timer fired, and finds its next time.
void TimerFile::forward(State& state, Nanoseconds now) {
  if (!state.fired) return;
  state.fired = false;
  if (state.interval == 0) {
    state.next = kNever;
    return;
  }
  const uint64_t missed = now > state.next ? (now - state.next) / state.interval : 0;
  state.ticks += missed;
  state.next += (missed + 1) * state.interval;
  arm(state.next);
}

TimerFile::Setting TimerFile::current(const State& state, Nanoseconds now) const {
  Setting setting = {.remaining = 0, .interval = state.interval};
  if (state.next != kNever) setting.remaining = state.next > now ? state.next - now : 1;
  return setting;
}

TimerFile::Setting TimerFile::get() {
  return state_.with([&](State& state) {
    const Nanoseconds now = monotonic_now();
    forward(state, now);
    return current(state, now);
  });
}

TimerFile::Setting TimerFile::set(Nanoseconds value, Nanoseconds interval, Start start) {
  const Nanoseconds now = monotonic_now();
  Nanoseconds when = kNever;
  if (value != 0 && start == Start::kRelative) {
    when = value < kNever - 1 - now ? now + value : kNever - 1;
  } else if (value != 0) {
    const bool is_realtime = clock_ == Clock::kRealtime || clock_ == Clock::kRealtimeAlarm;
    const Nanoseconds offset = is_realtime ? realtime_now() - now : 0;
    when = value > offset ? value - offset : 0;
  }
  return state_.with([&](State& state) {
    forward(state, now);
    const Setting before = current(state, now);
    state = {.next = when, .interval = interval, .ticks = 0, .fired = false};
    arm(when);
    return before;
  });
}

Result<size_t> TimerFile::read(DataSink& sink) {
  uint64_t ticks = 0;
  if (sink.remaining() < sizeof(ticks)) return Errno::kInval;
  auto attempt = [&] {
    return state_.with([&](State& state) {
      forward(state, monotonic_now());
      ticks = std::exchange(state.ticks, 0);
      return ticks != 0;
    });
  };
  if (!attempt()) {
    if (is_nonblocking()) return Errno::kAgain;
    TRY(wait_until(queue_, kNever, Interruptible::kYes, attempt));
  }
  TRY(sink.write(object_bytes(ticks)));
  return sizeof(ticks);
}

PollEvents TimerFile::poll(Poller* poller) {
  if (poller != nullptr) (void)poller->watch(queue_);
  return state_.with([](const State& state) -> PollEvents {
    return state.ticks != 0 ? kPollIn | kPollRdNorm : 0;
  });
}

Result<String> TimerFile::describe() { return String::create("anon_inode:[timerfd]"); }

}  // namespace occlum
