#include "libos/process/timers.h"

#include <algorithm>
#include <optional>

#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/send_locked.h"

namespace occlum {
namespace {

constexpr Nanoseconds kShortestCpuWait = 1'000'000;  // CPU time is looked at this often at most

Nanoseconds add_time(Nanoseconds a, uint64_t b) { return b > kNever - a ? kNever : a + b; }

}  // namespace

Nanoseconds IntervalTimer::clock_now() const {
  switch (source_) {
    case TimeSource::kMonotonic:
      return monotonic_now();
    case TimeSource::kRealtime:
      return realtime_now();
    case TimeSource::kProcessCpu: {
      if (whose_ == process_.pid()) return process_.cpu_time();
      const RefPtr<Process> process = find_process(whose_);
      return process ? process->cpu_time() : 0;
    }
    case TimeSource::kProcessUser:
      return process_.user_time();
    case TimeSource::kThreadCpu: {
      const RefPtr<Thread> thread = find_thread(whose_);
      return thread ? thread->cpu_time() : 0;
    }
  }
  return 0;
}

Nanoseconds IntervalTimer::alarm_time(Nanoseconds when) const {
  if (when == kNever) return kNever;
  const Nanoseconds now = clock_now();
  const uint64_t left = when > now ? when - now : 0;
  switch (source_) {
    case TimeSource::kMonotonic:
      return when;
    case TimeSource::kRealtime:
      return add_time(monotonic_now(), left);
    case TimeSource::kProcessCpu:
    case TimeSource::kProcessUser:
    case TimeSource::kThreadCpu:
      if (left == 0) return monotonic_now();
      return add_time(monotonic_now(), std::max(left / vcpu_count(), kShortestCpuWait));
  }
  return kNever;
}

TimerSetting IntervalTimer::get() const {
  const State state = state_.with([](const State& current) { return current; });
  if (state.next == kNever) return {.remaining = 0, .interval = state.interval};
  const Nanoseconds now = clock_now();
  return {.remaining = state.next > now ? state.next - now : 1, .interval = state.interval};
}

TimerSetting IntervalTimer::set(Nanoseconds first, uint64_t interval) {
  cancel();
  const TimerSetting old = get();
  state_.with([&](State& state) { state = State{.next = first, .interval = interval}; });
  if (first != kNever) arm(alarm_time(first));
  return old;
}

void IntervalTimer::expired() {
  const Nanoseconds now = clock_now();
  uint64_t times = 0;
  const Nanoseconds next = state_.with([&](State& state) {
    if (state.next == kNever || now < state.next) return state.next;
    times = 1;
    if (state.interval == 0) {
      state.next = kNever;
    } else {
      times += (now - state.next) / state.interval;
      state.next = add_time(state.next, times * state.interval);
    }
    return state.next;
  });
  if (times != 0) fire(times);
  if (next != kNever) arm(alarm_time(next));
}

void ItimerTimer::fire(uint64_t) {
  process_tree().with([&](ProcessTree& tree) {
    (void)send_locked(tree, process_, nullptr, SignalInfo::from_kernel(signal_));
  });
}

void CpuLimitTimer::apply(uint64_t soft_seconds) {
  constexpr uint64_t kSecond = 1'000'000'000;
  const bool is_limited = soft_seconds < kNever / kSecond;
  set(is_limited ? std::max<uint64_t>(soft_seconds, 1) * kSecond : kNever, kSecond);
}

// The soft limit goes up with each signal, as programs on Linux can see.
void CpuLimitTimer::fire(uint64_t times) {
  const ResourceLimit limit = process_.limit(Resource::kCpu);
  const uint64_t seconds = process_.cpu_time() / 1'000'000'000;
  const int signal = seconds >= limit.hard ? kSigKill : kSigXCpu;
  process_.raise_limit(Resource::kCpu, times);
  process_tree().with([&](ProcessTree& tree) {
    (void)send_locked(tree, process_, nullptr, SignalInfo::from_kernel(signal));
  });
}

namespace {

// The longest time that a real-time thread is awake for, ns; none: they all sleep, and tell when they wake. One that is only
// now asked to tell may be waking, and counts once more.
std::optional<uint64_t> longest_time_awake(ProcessTree& tree, Process& process) {
  std::optional<uint64_t> longest;
  for (Thread& thread : process.links(tree).threads) {
    if (!thread.scheduling().is_realtime()) continue;
    uint64_t awake = 0;
    if (thread.is_runnable()) {
      awake = thread.time_awake();
    } else if (thread.tells_waking.exchange(true)) {
      continue;
    }
    longest = std::max(longest.value_or(0), awake);
  }
  return longest;
}

}  // namespace

void RealtimeLimitTimer::apply() {
  if (process_.limit(Resource::kRtTime).soft == kRlimInfinity || process_.has_ended()) return;
  arm(add_time(monotonic_now(), kShortestCpuWait));
}

void RealtimeLimitTimer::expired() {
  constexpr uint64_t kNsPerUs = 1000, kUsPerSecond = 1'000'000;
  const ResourceLimit limit = process_.limit(Resource::kRtTime);
  if (limit.soft == kRlimInfinity) return;
  uint64_t soft = limit.soft;
  const std::optional<uint64_t> awake =
      process_tree().with([&](ProcessTree& tree) -> std::optional<uint64_t> {
        const std::optional<uint64_t> longest = longest_time_awake(tree, process_);
        if (!longest) return std::nullopt;
        const uint64_t used = *longest / kNsPerUs;
        const bool is_over = limit.hard != kRlimInfinity && used >= limit.hard;
        if (!is_over && used < soft) return used;
        const int signal = is_over ? kSigKill : kSigXCpu;
        (void)send_locked(tree, process_, nullptr, SignalInfo::from_kernel(signal));
        soft += kUsPerSecond;
        return is_over ? std::nullopt : std::optional(used);
      });
  if (!awake) return;
  if (soft != limit.soft) process_.raise_limit(Resource::kRtTime, kUsPerSecond);
  const uint64_t next = std::min(soft, limit.hard), left = next - std::min(*awake, next);
  const uint64_t wait = left > kNever / kNsPerUs ? kNever : left * kNsPerUs;
  arm(add_time(monotonic_now(), std::max(wait, kShortestCpuWait)));
}

// The set that the timer's signal goes to, under its lock; the thread may have ended.
template <typename Use>
void PosixTimer::with_pending(Use use) {
  process_tree().with([&](ProcessTree& tree) {
    Thread* target = nullptr;
    if (event_.notify == Notify::kThread) {
      RefPtr<Thread>* found = tree.threads.find(event_.thread);
      if (found == nullptr) return;
      target = found->get();
    }
    use(tree, target, target != nullptr ? target->own_pending() : process_.shared_pending());
  });
}

void PosixTimer::fire(uint64_t times) {
  if (event_.notify == Notify::kNone) return;
  with_pending([&](ProcessTree& tree, Thread* target, SpinLocked<PendingSignals>& pending) {
    // What is pending takes the overrun along; else the node is ours to fill.
    const bool is_pending = pending.with([&](PendingSignals&) {
      if (!node_->is_queued()) return false;
      int32_t& overrun = node_->info().timer.overrun;
      overrun = static_cast<int32_t>(
          std::min<uint64_t>(static_cast<uint64_t>(overrun) + times, INT32_MAX));
      return true;
    });
    if (is_pending) return;
    SignalInfo info;
    info.signal = event_.signal;
    info.code = kSiTimer;
    info.timer = {.id = id_,
                  .overrun = static_cast<int32_t>(std::min<uint64_t>(times - 1, INT32_MAX)),
                  .value = event_.value};
    node_->info() = info;
    (void)send_locked(tree, process_, target, info, node_);
  });
}

void PosixTimer::discard_signal() {
  with_pending([&](ProcessTree&, Thread*, SpinLocked<PendingSignals>& pending) {
    pending.with([&](PendingSignals& signals) { (void)signals.remove(*node_); });
  });
}

ProcessTimers::ProcessTimers(Process& process)
    : process_(process),
      real_(process, TimeSource::kMonotonic, 0, kSigAlrm),
      virtual_(process, TimeSource::kProcessUser, process.pid(), kSigVtAlrm),
      profile_(process, TimeSource::kProcessCpu, process.pid(), kSigProf) {}

IntervalTimer& ProcessTimers::itimer(uint32_t which) {
  if (which == 0) return real_;
  return which == 1 ? virtual_ : profile_;
}

Result<int> ProcessTimers::add(TimeSource source, int clock, Pid whose, Value value,
                               PosixTimer::Event event) {
  const RefPtr<SharedCredentials> credentials = process_.credentials();
  const uint32_t user = credentials ? credentials->value.uid : 0;
  RefPtr<QueuedSignal> node =
      TRY(QueuedSignal::create({}, user, process_.limit(Resource::kSigPending).soft));
  const int id = posix_.with([](Posix& posix) {
    while (posix.timers.contains(posix.next_id)) posix.advance();
    const int free = posix.next_id;
    posix.advance();
    return free;
  });
  if (value == Value::kTimerId) event.value = static_cast<uint64_t>(id);
  RefPtr<PosixTimer> timer =
      TRY(make_ref<PosixTimer>(process_, source, clock, whose, id, event, std::move(node)));
  auto entry = TRY(PosixTree::prepare(id, std::move(timer)));
  // Unless others have taken all the numbers there are since, it is still free.
  const bool added = posix_.with([&](Posix& posix) {
    if (posix.timers.contains(id)) return false;
    posix.timers.insert(std::move(entry));
    return true;
  });
  if (!added) return Errno::kAgain;
  return id;
}

RefPtr<PosixTimer> ProcessTimers::find(int id) const {
  return posix_.with([&](const Posix& posix) -> RefPtr<PosixTimer> {
    const RefPtr<PosixTimer>* found = posix.timers.find(id);
    return found != nullptr ? *found : nullptr;
  });
}

bool ProcessTimers::remove(int id) {
  std::optional<RefPtr<PosixTimer>> timer =
      posix_.with([&](Posix& posix) { return posix.timers.take(id); });
  if (!timer) return false;
  (*timer)->cancel();
  (*timer)->discard_signal();
  return true;
}

void ProcessTimers::remove_posix_timers() {
  PosixTree all = posix_.with([](Posix& posix) { return std::move(posix.timers); });
  for (auto& [id, timer] : all) timer->cancel();
}

void ProcessTimers::stop_all() {
  real_.cancel();
  virtual_.cancel();
  profile_.cancel();
  remove_posix_timers();
}

}  // namespace occlum
