// Scheduling (sched(7)): affinity over the vCPUs is real; policies and priorities are kept and told, not yet obeyed.
#include <algorithm>

#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/time_values.h"

namespace occlum {
namespace {

constexpr int kOther = 0, kFifo = 1, kRoundRobin = 2, kBatch = 3, kIdle = 5;
constexpr int kResetOnFork = 0x40000000;
constexpr int kLowestNice = 19, kHighestNice = -20;

bool is_realtime(int policy) { return policy == kFifo || policy == kRoundRobin; }
bool is_known(int policy) {
  return is_realtime(policy) || policy == kOther || policy == kBatch || policy == kIdle;
}

Result<RefPtr<Thread>> thread_named(Thread& self, Pid pid) {
  if (pid < 0) return Errno::kInval;
  RefPtr<Thread> thread = pid == 0 ? ref_to(self) : find_thread(pid);
  if (!thread) return Errno::kSrch;
  return thread;
}

Result<void> check_may_change(Thread& self, Thread& target) {
  const UserCredentials& user = self.user();
  if (user.has(kCapSysNice)) return {};
  const RefPtr<SharedCredentials> theirs = target.share_credentials();
  if (!theirs || (user.euid != theirs->value.uid && user.euid != theirs->value.euid))
    return Errno::kPerm;
  return {};
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
  TRY(check_may_change(self, *thread));
  wanted &= all_vcpus();
  if (wanted == 0) return Errno::kInval;
  thread->set_affinity(wanted);
  if (thread == &self) yield_task();
  return 0;
}

// The raw call returns how many bytes it stored.
Result<long> sys_sched_getaffinity(Thread& self, Pid pid, size_t size, UserOut<uint64_t> mask) {
  if (size < sizeof(uint64_t) || size % sizeof(uint64_t) != 0) return Errno::kInval;
  const RefPtr<Thread> thread = TRY(thread_named(self, pid));
  TRY(mask.write(thread->affinity() & all_vcpus()));
  return sizeof(uint64_t);
}

namespace {

Result<void> set_policy(Thread& self, Pid pid, int policy, int priority) {
  policy &= ~kResetOnFork;
  if (!is_known(policy)) return Errno::kInval;
  if (is_realtime(policy) ? (priority < 1 || priority > 99) : priority != 0) return Errno::kInval;
  const RefPtr<Thread> thread = TRY(thread_named(self, pid));
  TRY(check_may_change(self, *thread));
  if (is_realtime(policy) && !self.user().has(kCapSysNice) &&
      static_cast<uint64_t>(priority) > self.process().limit(Resource::kRtPriority).soft) {
    return Errno::kPerm;
  }
  thread->policy = policy;
  thread->realtime_priority = priority;
  return {};
}

}  // namespace

Result<long> sys_sched_setscheduler(Thread& self, Pid pid, int policy,
                                    UserIn<SchedulingParameter> parameter) {
  if (parameter.is_null() || policy < 0) return Errno::kInval;
  TRY(set_policy(self, pid, policy, TRY(parameter.read()).priority));
  return 0;
}

Result<long> sys_sched_setparam(Thread& self, Pid pid, UserIn<SchedulingParameter> parameter) {
  if (parameter.is_null()) return Errno::kInval;
  const int policy = TRY(thread_named(self, pid))->policy;
  TRY(set_policy(self, pid, policy, TRY(parameter.read()).priority));
  return 0;
}

Result<long> sys_sched_getscheduler(Thread& self, Pid pid) {
  return TRY(thread_named(self, pid))->policy;
}

Result<long> sys_sched_getparam(Thread& self, Pid pid, UserOut<SchedulingParameter> parameter) {
  if (parameter.is_null()) return Errno::kInval;
  TRY(parameter.write({.priority = TRY(thread_named(self, pid))->realtime_priority}));
  return 0;
}

Result<long> sys_sched_get_priority_max(Thread&, int policy) {
  if (!is_known(policy)) return Errno::kInval;
  return is_realtime(policy) ? 99 : 0;
}

Result<long> sys_sched_get_priority_min(Thread&, int policy) {
  if (!is_known(policy)) return Errno::kInval;
  return is_realtime(policy) ? 1 : 0;
}

Result<long> sys_sched_rr_get_interval(Thread& self, Pid pid, UserOut<Timespec> interval) {
  constexpr uint64_t kRoundRobinSlice = 100'000'000, kSlice = 4'000'000;
  const int policy = TRY(thread_named(self, pid))->policy;
  const uint64_t slice = policy == kRoundRobin ? kRoundRobinSlice : policy == kFifo ? 0 : kSlice;
  TRY(interval.write(to_timespec(slice)));
  return 0;
}

Result<long> sys_sched_setattr(Thread& self, Pid pid, UserIn<SchedulingAttributes> attributes,
                               Flags flags) {
  if (bits(flags) != 0 || attributes.is_null()) return Errno::kInval;
  constexpr size_t kFirstSize = 48;  // SCHED_ATTR_SIZE_VER0
  const uint32_t size = TRY(UserIn<uint32_t>(attributes.address()).read());
  if (size != 0 && size < kFirstSize) return Errno::kTooBig;
  SchedulingAttributes wanted{};
  TRY(copy_from_user(self.memory(), bytes_of(wanted).first(kFirstSize), attributes.address()));
  TRY(set_policy(self, pid, static_cast<int>(wanted.policy), static_cast<int>(wanted.priority)));
  if (!is_realtime(static_cast<int>(wanted.policy))) {
    TRY(thread_named(self, pid))->nice = std::clamp(wanted.nice, kHighestNice, kLowestNice);
  }
  return 0;
}

Result<long> sys_sched_getattr(Thread& self, Pid pid, UserAddress attributes, uint32_t size,
                               Flags flags) {
  constexpr size_t kFirstSize = 48;
  if (bits(flags) != 0 || attributes.is_null() || size < kFirstSize || size > kPageSize)
    return Errno::kInval;
  const RefPtr<Thread> thread = TRY(thread_named(self, pid));
  SchedulingAttributes current{};
  current.size = kFirstSize;
  current.policy = static_cast<uint32_t>(thread->policy);
  current.nice = thread->nice;
  current.priority = static_cast<uint32_t>(thread->realtime_priority);
  TRY(copy_to_user(self.memory(), attributes, bytes_of(current).first(kFirstSize)));
  return 0;
}

namespace {

constexpr int kPriorityProcess = 0, kPriorityGroup = 1, kPriorityUser = 2;

// Calls back for each thread that (which, who) names. kSrch when there is none.
Result<void> each_named(Thread& self, int which, int who, FunctionRef<void(Thread&)> visit) {
  if (which == kPriorityProcess) {
    const RefPtr<Thread> thread = TRY(thread_named(self, who));
    visit(*thread);
    return {};
  }
  if (which != kPriorityGroup && which != kPriorityUser) return Errno::kInval;
  const Pid group = who == 0 ? self.process().group_id() : who;
  const uint32_t user = who == 0 ? self.user().uid : static_cast<uint32_t>(who);
  bool found = false;
  TRY(for_each_process([&](Process& process) {
    if (process.is_kernel()) return;
    const RefPtr<SharedCredentials> theirs = process.credentials();
    const bool is_meant =
        which == kPriorityGroup ? process.group_id() == group : theirs && theirs->value.uid == user;
    if (!is_meant) return;
    if (const RefPtr<Thread> thread = process.any_thread()) {
      found = true;
      visit(*thread);
    }
  }));
  if (!found) return Errno::kSrch;
  return {};
}

}  // namespace

// getpriority(2): the raw call returns 20 minus the highest nice value, so that no answer looks like an error.
Result<long> sys_getpriority(Thread& self, int which, int who) {
  int highest = kLowestNice;
  TRY(each_named(self, which, who,
                 [&](Thread& thread) { highest = std::min(highest, thread.nice); }));
  return 20 - highest;
}

Result<long> sys_setpriority(Thread& self, int which, int who, int nice) {
  nice = std::clamp(nice, kHighestNice, kLowestNice);
  Result<void> outcome{};
  TRY(each_named(self, which, who, [&](Thread& thread) {
    if (check_may_change(self, thread).is_error()) {
      outcome = Errno::kPerm;
    } else if (nice < thread.nice && !self.user().has(kCapSysNice) &&
               static_cast<uint64_t>(20 - nice) > thread.process().limit(Resource::kNice).soft) {
      outcome = Errno::kAcces;
    } else {
      thread.nice = nice;
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
