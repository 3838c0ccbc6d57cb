// Clocks and sleeping (time(7)).
#include <algorithm>

#include "libos/process/process.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/time_values.h"

namespace occlum {
namespace {

bool is_coarse(ClockId clock) {
  return clock == kClockRealtimeCoarse || clock == kClockMonotonicCoarse;
}

// Errors: kRestartSys.
Result<void> sleep_until(Nanoseconds deadline) {
  while (true) {
    switch (park(deadline, Interruptible::kYes)) {
      case ParkResult::kTimedOut:
        return {};
      case ParkResult::kInterrupted:
        return Errno::kRestartSys;
      case ParkResult::kUnparked:
        break;
    }
  }
}

Result<long> relative_sleep(Thread& self, Nanoseconds deadline, UserOut<Timespec> remaining);

Result<long> resume_sleep(Thread& self) {
  return relative_sleep(self, self.restart_block.deadline,
                        UserOut<Timespec>(UserAddress(self.restart_block.user_address)));
}

// Interrupted, it stores what is left; after a stop it goes on with the same deadline.
Result<long> relative_sleep(Thread& self, Nanoseconds deadline, UserOut<Timespec> remaining) {
  if (!sleep_until(deadline).is_error()) return 0;
  const Nanoseconds now = monotonic_now();
  if (now >= deadline) return 0;
  if (!remaining.is_null()) TRY(remaining.write(to_timespec(deadline - now)));
  self.restart_block = RestartBlock{.resume = &resume_sleep,
                                    .clock = 0,
                                    .deadline = deadline,
                                    .user_address = remaining.address().value(),
                                    .arguments = {}};
  return Errno::kRestartRestartBlock;
}

// A thread cannot wait for its own CPU time. Clocks of others: time_values.cpp has the encoding.
bool is_own_thread_clock(const Thread& self, ClockId clock) {
  constexpr int kPerThread = 4;
  const int number = static_cast<int>(clock);
  const Pid whose = ~(number >> 3);
  return number < 0 && (number & kPerThread) != 0 && (whose == 0 || whose == self.tid());
}

// Looks again whenever so much CPU time can have been used.
Result<long> sleep_by_cpu_clock(Thread& self, ClockId clock, bool is_absolute, uint64_t wanted,
                                UserOut<Timespec> remaining) {
  constexpr uint64_t kShortest = 1'000'000;
  uint64_t now = TRY(read_clock(self, clock));
  const uint64_t until = is_absolute ? wanted : later(now, wanted);
  while (now < until) {
    const uint64_t step = std::max((until - now) / vcpu_count(), kShortest);
    const bool interrupted = sleep_until(later(monotonic_now(), step)).is_error();
    now = TRY(read_clock(self, clock));
    if (!interrupted || now >= until) continue;
    if (is_absolute) return Errno::kRestartNoHand;
    if (!remaining.is_null()) TRY(remaining.write(to_timespec(until - now)));
    return Errno::kIntr;
  }
  return 0;
}

}  // namespace

// clock_gettime(2).
Result<long> sys_clock_gettime(Thread& self, ClockId clock, UserOut<Timespec> time) {
  TRY(time.write(to_timespec(TRY(read_clock(self, clock)))));
  return 0;
}

Result<long> sys_clock_getres(Thread& self, ClockId clock, UserOut<Timespec> resolution) {
  TRY(read_clock(self, clock));
  if (!resolution.is_null())
    TRY(resolution.write(to_timespec(is_coarse(clock) ? kCoarseResolution : 1)));
  return 0;
}

// The LibOS's clock cannot be set from inside.
Result<long> sys_clock_settime(Thread& self, ClockId clock, UserIn<Timespec> time) {
  TRY(read_clock(self, clock));
  TRY(to_nanoseconds(TRY(time.read())));
  if (clock != kClockRealtime) return Errno::kInval;
  return Errno::kPerm;
}

Result<long> sys_settimeofday(Thread&, UserIn<Timeval> time, UserAddress zone) {
  if (!time.is_null()) TRY(time.read());
  if (!zone.is_null()) TRY(UserIn<uint64_t>(zone).read());  // struct timezone
  return Errno::kPerm;
}

Result<long> sys_gettimeofday(Thread&, UserOut<Timeval> time, UserOut<uint64_t> zone) {
  const Rusage::Time now = to_timeval(realtime_now());
  if (!time.is_null()) TRY(time.write({.seconds = now.seconds, .microseconds = now.microseconds}));
  if (!zone.is_null()) TRY(zone.write(0));
  return 0;
}

Result<long> sys_time(Thread&, UserOut<int64_t> time) {
  const auto seconds = static_cast<int64_t>(realtime_now() / kNanosecondsPerSecond);
  if (!time.is_null()) TRY(time.write(seconds));
  return seconds;
}

// nanosleep(2).
Result<long> sys_nanosleep(Thread& self, UserIn<Timespec> duration, UserOut<Timespec> remaining) {
  const uint64_t wanted = TRY(to_nanoseconds(TRY(duration.read())));
  return relative_sleep(self, later(monotonic_now(), wanted), remaining);
}

// clock_nanosleep(2). The clock of the process's CPU time is waited for in steps, as its timers are.
Result<long> sys_clock_nanosleep(Thread& self, ClockId clock, Flags flags,
                                 UserIn<Timespec> duration, UserOut<Timespec> remaining) {
  // What the clock is comes first. One's own CPU time has two names, with an error of its own each.
  const bool is_cpu_clock = clock == kClockProcessCpu || static_cast<int>(clock) < 0;
  if (clock == kClockThreadCpu) return Errno::kOpNotSupp;
  if (!is_cpu_clock) TRY(monotonic_deadline(clock, 0));
  const uint64_t wanted = TRY(to_nanoseconds(TRY(duration.read())));
  const bool is_absolute = (bits(flags) & kTimerAbsTime) != 0;
  if (is_own_thread_clock(self, clock)) return Errno::kInval;
  if (is_cpu_clock) return sleep_by_cpu_clock(self, clock, is_absolute, wanted, remaining);
  if (is_absolute) {
    if (sleep_until(TRY(monotonic_deadline(clock, wanted))).is_error())
      return Errno::kRestartNoHand;
    return 0;
  }
  return relative_sleep(self, later(monotonic_now(), wanted), remaining);
}

namespace {

// adjtimex(2) that only reads: the clock is synchronised by nobody.
Result<long> read_adjustment(UserInOut<ClockAdjustment> adjustment) {
  constexpr int32_t kUnsynchronised = 0x40;
  constexpr long kTimeError = 5;
  ClockAdjustment value = TRY(adjustment.read());
  if (value.modes != 0) return Errno::kPerm;
  const Rusage::Time now = to_timeval(realtime_now());
  value = ClockAdjustment{};
  value.status = kUnsynchronised;
  value.max_error = value.estimated_error = 16'000'000;
  value.constant = 2;
  value.precision = 1;
  value.tolerance = 32'768'000;
  value.seconds = now.seconds;
  value.microseconds = now.microseconds;
  value.tick = 10'000;
  TRY(adjustment.write(value));
  return kTimeError;
}

}  // namespace

Result<long> sys_adjtimex(Thread&, UserInOut<ClockAdjustment> adjustment) {
  return read_adjustment(adjustment);
}

Result<long> sys_clock_adjtime(Thread&, ClockId clock, UserInOut<ClockAdjustment> adjustment) {
  if (clock != kClockRealtime) return Errno::kOpNotSupp;
  return read_adjustment(adjustment);
}

}  // namespace occlum
