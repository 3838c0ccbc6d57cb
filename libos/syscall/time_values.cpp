#include "libos/syscall/time_values.h"

#include "libos/process/process.h"
#include "libos/process/process_table.h"

namespace occlum {

Nanoseconds later(Nanoseconds a, uint64_t b) {
  constexpr Nanoseconds kLatest = kNever - 1;
  return b > kLatest - a ? kLatest : a + b;
}

namespace {

uint64_t scaled(uint64_t seconds, uint64_t rest) {
  constexpr uint64_t kMostSeconds = INT64_MAX / kNanosecondsPerSecond;
  if (seconds >= kMostSeconds) return INT64_MAX;
  return seconds * kNanosecondsPerSecond + rest;
}

// CPU clocks of other processes and threads: ~pid << 3 | kind (posix-timers.h).
Result<uint64_t> read_cpu_clock(Thread& self, int clock) {
  constexpr int kPerThread = 4, kKindMask = 3, kKindSched = 2;
  const Pid pid = ~(clock >> 3);
  if ((clock & kKindMask) > kKindSched) return Errno::kInval;
  if ((clock & kPerThread) != 0) {
    const RefPtr<Thread> thread = pid == 0 ? ref_to(self) : find_thread(pid);
    if (!thread || &thread->process() != &self.process()) return Errno::kInval;
    return thread->cpu_time();
  }
  const RefPtr<Process> process = pid == 0 ? ref_to(self.process()) : find_process(pid);
  if (!process) return Errno::kInval;
  return process->cpu_time();
}

}  // namespace

Result<uint64_t> to_nanoseconds(Rusage::Time time) {
  constexpr int64_t kMicrosecondsPerSecond = 1'000'000;
  if (time.seconds < 0 || time.microseconds < 0 || time.microseconds >= kMicrosecondsPerSecond)
    return Errno::kInval;
  return scaled(static_cast<uint64_t>(time.seconds),
                static_cast<uint64_t>(time.microseconds) * kNanosecondsPerMicrosecond);
}

Rusage::Time to_timeval(uint64_t nanoseconds) {
  return {.seconds = static_cast<int64_t>(nanoseconds / kNanosecondsPerSecond),
          .microseconds = static_cast<int64_t>(nanoseconds % kNanosecondsPerSecond /
                                               kNanosecondsPerMicrosecond)};
}

Result<uint64_t> read_clock(Thread& self, ClockId clock) {
  switch (clock) {
    case kClockRealtime:
    case kClockRealtimeAlarm:
    case kClockTai:
      return realtime_now();
    // As of the last tick, so never ahead of the exact clocks.
    case kClockRealtimeCoarse:
      return realtime_now() - monotonic_now() % kCoarseResolution;
    case kClockMonotonicCoarse: {
      const uint64_t now = monotonic_now();
      return now - now % kCoarseResolution;
    }
    case kClockMonotonic:
    case kClockMonotonicRaw:
    case kClockBoottime:
    case kClockBoottimeAlarm:
      return monotonic_now();
    case kClockProcessCpu:
      return self.process().cpu_time();
    case kClockThreadCpu:
      return self.cpu_time();
    default:
      break;
  }
  if (static_cast<int>(clock) >= 0) return Errno::kInval;
  return read_cpu_clock(self, static_cast<int>(clock));
}

Result<Nanoseconds> monotonic_deadline(ClockId clock, uint64_t absolute) {
  switch (clock) {
    case kClockMonotonic:
    case kClockBoottime:
    case kClockBoottimeAlarm:
      return absolute;
    case kClockRealtime:
    case kClockRealtimeAlarm:
    case kClockTai: {
      const uint64_t now = realtime_now();
      return absolute <= now ? monotonic_now() : later(monotonic_now(), absolute - now);
    }
    case kClockMonotonicRaw:
    case kClockRealtimeCoarse:
    case kClockMonotonicCoarse:
      return Errno::kOpNotSupp;
    default:
      return Errno::kInval;
  }
}

Result<Nanoseconds> read_timeout(UserIn<Timespec> timeout) {
  if (timeout.is_null()) return kNever;
  return later(monotonic_now(), TRY(to_nanoseconds(TRY(timeout.read()))));
}

}  // namespace occlum
