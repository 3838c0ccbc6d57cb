// Timeouts and signal masks as poll, select and epoll take them.
#pragma once

#include "libos/process/signals/signal.h"
#include "libos/process/thread.h"
#include "libos/sched/task.h"
#include "libos/syscall/linux_types.h"
#include "libos/syscall/types.h"

namespace occlum {

constexpr Nanoseconds kNanosecondsPerSecond = 1'000'000'000;
// Later than every real time: seconds beyond it saturate.
constexpr Nanoseconds kMaxDuration = INT64_MAX;

inline Timespec to_timespec(Nanoseconds duration) {
  return {static_cast<int64_t>(duration / kNanosecondsPerSecond),
          static_cast<int64_t>(duration % kNanosecondsPerSecond)};
}

// kInval for negative and denormal values.
inline Result<Nanoseconds> to_nanoseconds(const Timespec& time) {
  if (time.seconds < 0 || time.nanoseconds < 0 ||
      time.nanoseconds >= static_cast<int64_t>(kNanosecondsPerSecond)) {
    return Errno::kInval;
  }
  if (time.seconds >= static_cast<int64_t>(kMaxDuration / kNanosecondsPerSecond))
    return kMaxDuration;
  return static_cast<uint64_t>(time.seconds) * kNanosecondsPerSecond +
         static_cast<uint64_t>(time.nanoseconds);
}

// Absolute; 0 means "do not wait" to those who poll.
inline Nanoseconds deadline_after(Nanoseconds duration) {
  if (duration == 0) return 0;
  const Nanoseconds now = monotonic_now();
  return duration >= kMaxDuration ? kNever : now + duration;
}

inline Nanoseconds deadline_of_milliseconds(int timeout) {
  if (timeout < 0) return kNever;
  return deadline_after(static_cast<Nanoseconds>(timeout) * 1'000'000);
}

// What is left until a deadline that is not kNever.
inline Nanoseconds remaining_until(Nanoseconds deadline) {
  const Nanoseconds now = monotonic_now();
  return deadline > now ? deadline - now : 0;
}

// The temporary mask of ppoll(2), pselect6(2), epoll_pwait(2); null: none.
inline Result<void> apply_signal_mask(Thread& self, UserIn<SignalSet> mask, size_t size) {
  if (mask.is_null()) return {};
  if (size != sizeof(SignalSet)) return Errno::kInval;
  self.set_temporary_signal_mask(TRY(mask.read()) & ~kUnblockable);
  return {};
}

}  // namespace occlum
