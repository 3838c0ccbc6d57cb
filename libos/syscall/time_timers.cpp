// Timers of a process: alarm(2), setitimer(2), timer_create(2).
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/time_values.h"

namespace occlum {
namespace {

constexpr int kNotifySignal = 0, kNotifyNone = 1, kNotifyThread = 2, kNotifyThreadId = 4;

IntervalTimerValue to_user(TimerSetting setting) {
  return {.interval = to_timeval(setting.interval), .value = to_timeval(setting.remaining)};
}

ClockSetting::Time to_user_time(uint64_t nanoseconds) {
  const Timespec time = to_timespec(nanoseconds);
  return {.seconds = time.seconds, .nanoseconds = time.nanoseconds};
}

ClockSetting to_clock_setting(TimerSetting setting) {
  return {.interval = to_user_time(setting.interval), .value = to_user_time(setting.remaining)};
}

Result<uint64_t> to_nanoseconds(ClockSetting::Time time) {
  return to_nanoseconds(Timespec{.seconds = time.seconds, .nanoseconds = time.nanoseconds});
}

Result<RefPtr<PosixTimer>> find_timer(Thread& self, int id) {
  ProcessTimers* timers = self.process().timers();
  RefPtr<PosixTimer> timer = timers != nullptr ? timers->find(id) : nullptr;
  if (!timer) return Errno::kInval;
  return timer;
}

// What a clock measures, and for a CPU clock whose time it is.
struct TimerClock {
  TimeSource source;
  Pid whose = 0;
};

// CPU clocks of others: time_values.cpp has the encoding. A thread's must be of this process.
Result<TimerClock> cpu_clock_of(Thread& self, ClockId clock) {
  TRY(read_clock(self, clock));
  constexpr int kPerThread = 4;
  const Pid pid = ~(static_cast<int>(clock) >> 3);
  if ((static_cast<int>(clock) & kPerThread) != 0)
    return TimerClock{.source = TimeSource::kThreadCpu, .whose = pid == 0 ? self.tid() : pid};
  return TimerClock{.source = TimeSource::kProcessCpu, .whose = pid == 0 ? self.pid() : pid};
}

Result<TimerClock> clock_of(Thread& self, ClockId clock) {
  switch (clock) {
    case kClockRealtime:
    case kClockRealtimeAlarm:
    case kClockTai:
      return TimerClock{.source = TimeSource::kRealtime};
    case kClockMonotonic:
    case kClockBoottime:
    case kClockBoottimeAlarm:
      return TimerClock{.source = TimeSource::kMonotonic};
    case kClockProcessCpu:
      return TimerClock{.source = TimeSource::kProcessCpu, .whose = self.pid()};
    case kClockThreadCpu:
      return TimerClock{.source = TimeSource::kThreadCpu, .whose = self.tid()};
    case kClockMonotonicRaw:
    case kClockRealtimeCoarse:
    case kClockMonotonicCoarse:
      return Errno::kOpNotSupp;
    default:
      if (static_cast<int>(clock) >= 0) return Errno::kInval;
      return cpu_clock_of(self, clock);
  }
}

}  // namespace

// alarm(2): seconds left, rounded up to one.
Result<long> sys_alarm(Thread& self, unsigned seconds) {
  IntervalTimer& timer = TRY(self.process().make_timers())->itimer(0);
  const uint64_t wanted = uint64_t{seconds} * kNanosecondsPerSecond;
  const TimerSetting old = timer.set(wanted == 0 ? kNever : later(timer.clock_now(), wanted), 0);
  const uint64_t half = kNanosecondsPerSecond / 2;
  const uint64_t rounded = (old.remaining + half) / kNanosecondsPerSecond;
  return static_cast<long>(old.remaining != 0 && rounded == 0 ? 1 : rounded);
}

Result<long> sys_getitimer(Thread& self, int which, UserOut<IntervalTimerValue> value) {
  if (which < 0 || static_cast<uint32_t>(which) >= ProcessTimers::kItimers) return Errno::kInval;
  ProcessTimers* timers = self.process().timers();
  const TimerSetting setting =
      timers != nullptr ? timers->itimer(static_cast<uint32_t>(which)).get() : TimerSetting{};
  TRY(value.write(to_user(setting)));
  return 0;
}

// setitimer(2). A null new value disarms, as on Linux.
Result<long> sys_setitimer(Thread& self, int which, UserIn<IntervalTimerValue> value,
                           UserOut<IntervalTimerValue> old_value) {
  IntervalTimerValue wanted{};
  if (!value.is_null()) wanted = TRY(value.read());
  if (which < 0 || static_cast<uint32_t>(which) >= ProcessTimers::kItimers) return Errno::kInval;
  const uint64_t first = TRY(to_nanoseconds(wanted.value));
  const uint64_t interval = TRY(to_nanoseconds(wanted.interval));
  IntervalTimer& timer = TRY(self.process().make_timers())->itimer(static_cast<uint32_t>(which));
  const TimerSetting old =
      timer.set(first == 0 ? kNever : later(timer.clock_now(), first), interval);
  if (!old_value.is_null()) TRY(old_value.write(to_user(old)));
  return 0;
}

// timer_create(2).
Result<long> sys_timer_create(Thread& self, ClockId clock, UserIn<SignalEvent> event,
                              UserOut<int> timer_id) {
  const TimerClock what = TRY(clock_of(self, clock));
  PosixTimer::Event wanted{.notify = PosixTimer::Notify::kSignal, .signal = kSigAlrm};
  if (!event.is_null()) {
    const SignalEvent given = TRY(event.read());
    wanted.value = given.value;
    wanted.signal = given.signal;
    switch (given.notify) {
      case kNotifySignal:
      case kNotifyThread:
        break;
      case kNotifyNone:
        wanted.notify = PosixTimer::Notify::kNone;
        break;
      case kNotifySignal | kNotifyThreadId: {
        const RefPtr<Thread> thread = find_thread(given.thread);
        if (!thread || &thread->process() != &self.process()) return Errno::kInval;
        wanted.notify = PosixTimer::Notify::kThread;
        wanted.thread = given.thread;
        break;
      }
      default:
        return Errno::kInval;
    }
    if (wanted.notify != PosixTimer::Notify::kNone && !is_valid_signal(wanted.signal))
      return Errno::kInval;
  }
  ProcessTimers* timers = TRY(self.process().make_timers());
  const auto value =
      event.is_null() ? ProcessTimers::Value::kTimerId : ProcessTimers::Value::kGiven;
  const int id = TRY(timers->add(what.source, static_cast<int>(clock), what.whose, value, wanted));
  if (const Result<void> written = timer_id.write(id); written.is_error()) {
    timers->remove(id);
    return written.error();
  }
  return 0;
}

Result<long> sys_timer_settime(Thread& self, int timer_id, Flags flags, UserIn<ClockSetting> value,
                               UserOut<ClockSetting> old_value) {
  if (value.is_null()) return Errno::kInval;
  const ClockSetting wanted = TRY(value.read());
  const uint64_t first = TRY(to_nanoseconds(wanted.value));
  const uint64_t interval = TRY(to_nanoseconds(wanted.interval));
  const RefPtr<PosixTimer> timer = TRY(find_timer(self, timer_id));
  Nanoseconds when = first;
  if ((bits(flags) & kTimerAbsTime) == 0) when = later(timer->clock_now(), first);
  timer->discard_signal();
  const TimerSetting old = timer->set(first == 0 ? kNever : when, first == 0 ? 0 : interval);
  if (!old_value.is_null()) TRY(old_value.write(to_clock_setting(old)));
  return 0;
}

Result<long> sys_timer_gettime(Thread& self, int timer_id, UserOut<ClockSetting> value) {
  const RefPtr<PosixTimer> timer = TRY(find_timer(self, timer_id));
  TRY(value.write(to_clock_setting(timer->get())));
  return 0;
}

Result<long> sys_timer_getoverrun(Thread& self, int timer_id) {
  return static_cast<long>(TRY(find_timer(self, timer_id))->overruns());
}

Result<long> sys_timer_delete(Thread& self, int timer_id) {
  ProcessTimers* timers = self.process().timers();
  if (timers == nullptr || !timers->remove(timer_id)) return Errno::kInval;
  return 0;
}

}  // namespace occlum
