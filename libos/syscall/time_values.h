// Times as programs pass them, and as the LibOS counts: nanoseconds, of CLOCK_MONOTONIC where a wait ends.
#pragma once

#include <cstdint>

#include "libos/lib/result.h"
#include "libos/sched/task.h"
#include "libos/syscall/deadline.h"
#include "libos/syscall/linux_types.h"

namespace occlum {

class Thread;

constexpr uint32_t kTimerAbsTime = 1;  // TIMER_ABSTIME
constexpr uint64_t kNanosecondsPerMicrosecond = 1000;
constexpr uint64_t kCoarseResolution =
    4'000'000;  // of the coarse clocks: 250 ticks a second, as Debian's

// clock_gettime(2)'s clocks.
constexpr ClockId kClockRealtime{0}, kClockMonotonic{1}, kClockProcessCpu{2}, kClockThreadCpu{3},
    kClockMonotonicRaw{4}, kClockRealtimeCoarse{5}, kClockMonotonicCoarse{6}, kClockBoottime{7},
    kClockRealtimeAlarm{8}, kClockBoottimeAlarm{9}, kClockTai{11};

// Seconds and microseconds; kInval for what no timeval holds. (Timespecs: deadline.h.)
Result<uint64_t> to_nanoseconds(Rusage::Time time);
Rusage::Time to_timeval(uint64_t nanoseconds);

// a + b, at most kNever - 1.
Nanoseconds later(Nanoseconds a, uint64_t b);

// What the clock shows now. kInval: there is no such clock, or no such process.
Result<uint64_t> read_clock(Thread& self, ClockId clock);
// When an absolute time of this clock comes, on CLOCK_MONOTONIC. kInval, kOpNotSupp: not a clock to wait for.
Result<Nanoseconds> monotonic_deadline(ClockId clock, uint64_t absolute);

// The deadline of a call with a relative timeout; a null pointer waits forever. kFault, kInval.
Result<Nanoseconds> read_timeout(UserIn<Timespec> timeout);

}  // namespace occlum
