#include "libos/fs/proc/load.h"

#include <algorithm>

#include "libos/lib/lock.h"
#include "libos/process/process_table.h"
#include "libos/sched/task.h"

namespace occlum {

namespace {

constexpr Nanoseconds kPeriod = 5'000'000'000;
constexpr uint64_t kMostPeriods = 2000;  // after which nothing of before is left
// kLoadOne * exp(-5 s / 1, 5, 15 min).
constexpr std::array<uint64_t, 3> kDecay = {1884, 2014, 2037};

struct State {
  Nanoseconds when = 0;  // of the last period's end
  uint64_t cpu_time = 0;
  std::array<uint64_t, 3> averages = {};
};
constinit SpinLocked<State> the_state{LockRank::kPipe};

void advance(State& state, Nanoseconds now, uint64_t cpu_time) {
  const uint64_t periods = (now - state.when) / kPeriod;
  if (periods == 0) return;
  const uint64_t used = cpu_time > state.cpu_time ? cpu_time - state.cpu_time : 0;
  const uint64_t active = used / 1000 * kLoadOne / ((now - state.when) / 1000);
  for (uint64_t i = 0; i < std::min(periods, kMostPeriods); ++i) {
    for (size_t n = 0; n < kDecay.size(); ++n) {
      // Rounded up while the load rises, as Linux does, or it would never get there.
      const uint64_t rounding = active >= state.averages[n] ? kLoadOne - 1 : 0;
      state.averages[n] =
          (state.averages[n] * kDecay[n] + active * (kLoadOne - kDecay[n]) + rounding) / kLoadOne;
    }
  }
  state.when = now;
  state.cpu_time = cpu_time;
}

}  // namespace

LoadAverages load_averages() {
  const uint64_t cpu_time = total_cpu_times().whole;
  const RefPtr<Process> first = find_process(kReaperPid);
  const Nanoseconds begin = first ? first->start_time() : 0, now = monotonic_now();
  return the_state.with([&](State& state) {
    state.when = std::max(state.when, begin);
    if (now > state.when) advance(state, now, cpu_time);
    return LoadAverages{state.averages};
  });
}

}  // namespace occlum
