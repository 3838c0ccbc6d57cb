// Scheduling among the LibOS's threads (sched(7)); who runs when is decided in sched/run_queue.cpp.
//
// SCHED_DEADLINE is known and never admitted: EBUSY, as on a kernel that has no bandwidth left.
#include <algorithm>

#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/schedule_targets.h"
#include "libos/syscall/time_values.h"

namespace occlum {
namespace {

constexpr int kDeadline = 6, kExtensible = 7;  // SCHED_DEADLINE, SCHED_EXT
constexpr int kResetOnFork = 0x40000000;
constexpr int kLowestNice = 19, kHighestNice = -20;
constexpr uint32_t kHighestPriority = 99;

bool is_known(int policy) {
  return (policy >= 0 && policy <= 3) || policy == static_cast<int>(SchedulingPolicy::kIdle);
}
bool is_realtime(int policy) {
  return policy == static_cast<int>(SchedulingPolicy::kFifo) ||
         policy == static_cast<int>(SchedulingPolicy::kRoundRobin);
}

// How it is scheduled. The reaper, which is everybody's ancestor, has no thread and is as any other process.
Result<Scheduling> scheduling_of(Thread& self, Pid pid) {
  if (pid == kReaperPid) return Scheduling{};
  return TRY(thread_named(self, pid))->scheduling();
}

bool is_same_owner(Thread& self, Thread& target) {
  const UserCredentials& user = self.user();
  const RefPtr<SharedCredentials> theirs = target.share_credentials();
  return theirs && (user.euid == theirs->value.uid || user.euid == theirs->value.euid);
}

// RLIMIT_NICE counts from 1 (nice 19) to 40 (nice -20).
bool may_lower_nice(Thread& target, int nice) {
  const auto needed = static_cast<uint64_t>(kLowestNice + 1 - nice);
  return needed <= target.process().limit(Resource::kNice).soft;
}

uint64_t all_vcpus() {
  const uint32_t count = vcpu_count();
  return count >= 64 ? UINT64_MAX : (uint64_t{1} << count) - 1;
}

}  // namespace

Result<long> sys_sched_yield(Thread& self) {
  self.memory().give_up_slice();
  yield_task();
  return 0;
}

// sched_setaffinity(2).
Result<long> sys_sched_setaffinity(Thread& self, Pid pid, size_t size, UserAddress mask) {
  uint64_t wanted = 0;
  TRY(copy_from_user(self.memory(), bytes_of(wanted).first(std::min(size, sizeof(wanted))), mask));
  const RefPtr<Thread> thread = TRY(thread_named(self, pid));
  if (!is_same_owner(self, *thread) && !self.user().has(kCapSysNice)) return Errno::kPerm;
  wanted &= all_vcpus();
  if (wanted == 0) return Errno::kInval;
  thread->set_affinity(wanted == all_vcpus() ? kAllVcpus : wanted);
  return 0;
}

// The raw call returns how many bytes it stored.
Result<long> sys_sched_getaffinity(Thread& self, Pid pid, size_t size, UserOut<uint64_t> mask) {
  if (size < sizeof(uint64_t) || size % sizeof(uint64_t) != 0) return Errno::kInval;
  const uint64_t affinity =
      pid == kReaperPid ? kAllVcpus : TRY(thread_named(self, pid))->affinity();
  TRY(mask.write(affinity & all_vcpus()));
  return sizeof(uint64_t);
}

namespace {

// What a call asks for; `nice` counts for policies that have one.
struct Wanted {
  int policy;
  uint32_t priority;
  int nice;
  bool resets_on_fork;
};

Result<void> check_privilege(Thread& self, Thread& target, const Wanted& wanted) {
  if (self.user().has(kCapSysNice)) return {};
  const Scheduling now = target.scheduling();
  const bool is_idle = now.policy == SchedulingPolicy::kIdle;
  bool allowed = is_same_owner(self, target) && (!now.resets_on_fork || wanted.resets_on_fork);
  if (is_realtime(wanted.policy)) {
    const uint64_t limit = target.process().limit(Resource::kRtPriority).soft;
    if (wanted.policy != static_cast<int>(now.policy) && limit == 0) allowed = false;
    if (wanted.priority > now.priority && wanted.priority > limit) allowed = false;
  } else if (wanted.nice < now.nice && !may_lower_nice(target, wanted.nice)) {
    allowed = false;
  }
  if (is_idle && wanted.policy != static_cast<int>(SchedulingPolicy::kIdle) &&
      !may_lower_nice(target, now.nice)) {
    allowed = false;
  }
  if (!allowed) return Errno::kPerm;
  return {};
}

Result<void> apply(Thread& self, Thread& target, const Wanted& wanted) {
  if (!is_known(wanted.policy) || wanted.priority > kHighestPriority ||
      is_realtime(wanted.policy) != (wanted.priority != 0)) {
    return Errno::kInval;
  }
  TRY(check_privilege(self, target, wanted));
  // A nice value outlasts a time as a real-time thread.
  const int nice = is_realtime(wanted.policy) ? target.scheduling().nice : wanted.nice;
  if (!target.scheduling().is_realtime()) target.begin_time_awake();
  target.set_scheduling(Scheduling{.policy = static_cast<SchedulingPolicy>(wanted.policy),
                                   .priority = static_cast<uint8_t>(wanted.priority),
                                   .nice = static_cast<int8_t>(nice),
                                   .resets_on_fork = wanted.resets_on_fork});
  if (is_realtime(wanted.policy)) target.process().watch_realtime();
  return {};
}

}  // namespace

Result<long> sys_sched_setscheduler(Thread& self, Pid pid, int policy,
                                    UserIn<SchedulingParameter> parameter) {
  if (parameter.is_null() || policy < 0 || pid < 0) return Errno::kInval;
  const auto priority = static_cast<uint32_t>(TRY(parameter.read()).priority);
  const RefPtr<Thread> thread = TRY(thread_named(self, pid));
  TRY(apply(self, *thread,
            Wanted{.policy = policy & ~kResetOnFork,
                   .priority = priority,
                   .nice = thread->scheduling().nice,
                   .resets_on_fork = (policy & kResetOnFork) != 0}));
  return 0;
}

Result<long> sys_sched_setparam(Thread& self, Pid pid, UserIn<SchedulingParameter> parameter) {
  if (parameter.is_null() || pid < 0) return Errno::kInval;
  const auto priority = static_cast<uint32_t>(TRY(parameter.read()).priority);
  const RefPtr<Thread> thread = TRY(thread_named(self, pid));
  const Scheduling now = thread->scheduling();
  TRY(apply(self, *thread,
            Wanted{.policy = static_cast<int>(now.policy),
                   .priority = priority,
                   .nice = now.nice,
                   .resets_on_fork = now.resets_on_fork}));
  return 0;
}

Result<long> sys_sched_getscheduler(Thread& self, Pid pid) {
  if (pid < 0) return Errno::kInval;
  const Scheduling now = TRY(scheduling_of(self, pid));
  return static_cast<long>(now.policy) | (now.resets_on_fork ? kResetOnFork : 0);
}

Result<long> sys_sched_getparam(Thread& self, Pid pid, UserOut<SchedulingParameter> parameter) {
  if (parameter.is_null() || pid < 0) return Errno::kInval;
  TRY(parameter.write({.priority = TRY(scheduling_of(self, pid)).priority}));
  return 0;
}

Result<long> sys_sched_get_priority_max(Thread&, int policy) {
  if (!is_known(policy) && policy != kDeadline && policy != kExtensible) return Errno::kInval;
  return is_realtime(policy) ? kHighestPriority : 0;
}

Result<long> sys_sched_get_priority_min(Thread&, int policy) {
  if (!is_known(policy) && policy != kDeadline && policy != kExtensible) return Errno::kInval;
  return is_realtime(policy) ? 1 : 0;
}

Result<long> sys_sched_rr_get_interval(Thread& self, Pid pid, UserOut<Timespec> interval) {
  constexpr uint64_t kSlice = 4'000'000;
  if (pid < 0) return Errno::kInval;
  const SchedulingPolicy policy = TRY(scheduling_of(self, pid)).policy;
  const uint64_t slice = policy == SchedulingPolicy::kRoundRobin ? kRoundRobinSlice
                         : policy == SchedulingPolicy::kFifo     ? 0
                                                                 : kSlice;
  TRY(interval.write(to_timespec(slice)));
  return 0;
}

namespace {

// The structure has grown and may grow again: what we do not know must be zero. The size that we know is told.
Result<SchedulingAttributes> read_attributes(Thread& self, UserAddress from) {
  constexpr uint32_t kFirstSize = 48;  // SCHED_ATTR_SIZE_VER0
  constexpr uint64_t kUtilizationClamp = 0x60;
  const auto refuse = [&]() -> Errno {
    const Result<void> told = UserOut<uint32_t>(from).write(sizeof(SchedulingAttributes));
    return told.is_error() ? told.error() : Errno::kTooBig;
  };
  AddressSpace& memory = self.memory();
  uint32_t size = TRY(UserIn<uint32_t>(from).read());
  if (size == 0) size = kFirstSize;
  if (size < kFirstSize || size > kPageSize) return refuse();
  SchedulingAttributes wanted{};
  for (uint32_t at = sizeof(wanted); at < size; ++at) {
    if (TRY(UserIn<uint8_t>(from + at).read()) != 0) return refuse();
  }
  TRY(copy_from_user(memory, bytes_of(wanted).first(std::min<size_t>(size, sizeof(wanted))), from));
  if ((wanted.flags & kUtilizationClamp) != 0 && size < sizeof(wanted)) return Errno::kInval;
  wanted.nice = std::clamp(wanted.nice, kHighestNice, kLowestNice);
  return wanted;
}

constexpr uint64_t kFlagResetOnFork = 1, kFlagKeepPolicy = 8, kFlagKeepParameters = 0x10,
                   kFlagUtilizationClamp = 0x60, kAllFlags = 0x7f;

}  // namespace

// sched_setattr(2).
Result<long> sys_sched_setattr(Thread& self, Pid pid, UserIn<SchedulingAttributes> attributes,
                               Flags flags) {
  if (bits(flags) != 0 || attributes.is_null() || pid < 0) return Errno::kInval;
  const SchedulingAttributes given = TRY(read_attributes(self, attributes.address()));
  if (static_cast<int>(given.policy) < 0) return Errno::kInval;
  const RefPtr<Thread> thread = TRY(thread_named(self, pid));
  const Scheduling now = thread->scheduling();
  Wanted wanted{.policy = static_cast<int>(given.policy),
                .priority = given.priority,
                .nice = given.nice,
                .resets_on_fork = (given.flags & kFlagResetOnFork) != 0};
  if ((given.flags & kFlagKeepPolicy) != 0) {
    wanted.policy = static_cast<int>(now.policy);
    wanted.resets_on_fork = now.resets_on_fork;
  }
  if ((given.flags & kFlagKeepParameters) != 0) {
    wanted.priority = now.priority;
    wanted.nice = +now.nice;  // a number, not a character
  }
  if (wanted.policy == kDeadline) {
    const bool is_possible = given.runtime >= 1024 && given.runtime <= given.deadline &&
                             (given.period == 0 || given.deadline <= given.period) &&
                             wanted.priority == 0;
    if (!is_possible || (given.flags & ~kAllFlags) != 0) return Errno::kInval;
    return self.user().has(kCapSysNice) ? Errno::kBusy : Errno::kPerm;
  }
  if ((given.flags & ~kAllFlags) != 0) return Errno::kInval;
  if ((given.flags & kFlagUtilizationClamp) != 0) return Errno::kOpNotSupp;
  TRY(apply(self, *thread, wanted));
  return 0;
}

Result<long> sys_sched_getattr(Thread& self, Pid pid, UserAddress attributes, uint32_t size,
                               Flags flags) {
  constexpr size_t kFirstSize = 48;
  if (bits(flags) != 0 || attributes.is_null() || pid < 0 || size < kFirstSize || size > kPageSize)
    return Errno::kInval;
  const Scheduling now = TRY(scheduling_of(self, pid));
  const size_t told = std::min<size_t>(size, sizeof(SchedulingAttributes));
  SchedulingAttributes current{};
  current.size = static_cast<uint32_t>(told);
  current.policy = static_cast<uint32_t>(now.policy);
  current.flags = now.resets_on_fork ? kFlagResetOnFork : 0;
  current.nice = now.is_realtime() ? 0 : now.nice;
  current.priority = now.priority;
  TRY(copy_to_user(self.memory(), attributes, bytes_of(current).first(told)));
  TRY(zero_user(self.memory(), attributes + told, size - told));
  return 0;
}

namespace {

// 0 is the caller's user.
int user_or_own(Thread& self, int which, int who) {
  return which == kPriorityUser && who == 0 ? static_cast<int>(self.user().uid) : who;
}

}  // namespace

// getpriority(2): the raw call returns 20 minus the highest nice value, so that no answer looks like an error.
Result<long> sys_getpriority(Thread& self, int which, int who) {
  if (which == kPriorityProcess && who == kReaperPid) return 20 - Scheduling{}.nice;
  int highest = kLowestNice;
  TRY(each_named(self, which, user_or_own(self, which, who), [&](Thread& thread) {
    highest = std::min<int>(highest, thread.scheduling().nice);
  }));
  return 20 - highest;
}

Result<long> sys_setpriority(Thread& self, int which, int who, int nice) {
  nice = std::clamp(nice, kHighestNice, kLowestNice);
  Result<void> outcome{};
  TRY(each_named(self, which, user_or_own(self, which, who), [&](Thread& thread) {
    const bool is_privileged = self.user().has(kCapSysNice);
    Scheduling scheduling = thread.scheduling();
    if (!is_privileged && !is_same_owner(self, thread)) {
      outcome = Errno::kPerm;
    } else if (nice < scheduling.nice && !is_privileged && !may_lower_nice(thread, nice)) {
      outcome = Errno::kAcces;
    } else {
      scheduling.nice = static_cast<int8_t>(nice);
      thread.set_scheduling(scheduling);
    }
  }));
  TRY(std::move(outcome));
  return 0;
}

// getcpu(2).
Result<long> sys_getcpu(Thread&, UserOut<uint32_t> cpu, UserOut<uint32_t> node, UserAddress) {
  if (!cpu.is_null()) TRY(cpu.write(current_vcpu()));
  if (!node.is_null()) TRY(node.write(0));
  return 0;
}

}  // namespace occlum
