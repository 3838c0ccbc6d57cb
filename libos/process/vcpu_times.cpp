#include "libos/process/vcpu_times.h"

#include <algorithm>
#include <array>

#include "abi/host_call.h"
#include "libos/process/process_table.h"
#include "libos/process/thread.h"
#include "libos/process/usage.h"
#include "libos/sched/vcpu_account.h"

namespace occlum {

namespace {

struct Told {
  ToldTimes normal, nice;
  uint64_t idle = 0;
};
constinit SpinLocked<std::array<Told, abi::kMaxVcpus>> told_times{LockRank::kPipe};

// The turn that goes on counts until `now`. A task that is no thread is a service of the LibOS.
void add_turn(VcpuAccount::Reading& reading, uint64_t now, uint64_t system) {
  if (reading.task == nullptr || now <= reading.since) return;
  const uint64_t whole = now - reading.since;
  VcpuAccount::Times& times = reading.is_nice ? reading.nice : reading.normal;
  times.whole += whole;
  times.system += std::min(whole, system - std::min(system, reading.system_before));
}

ResourceUsage told(ToldTimes& last, const VcpuAccount::Times& times) {
  ResourceUsage usage;
  usage.system_time = std::min(times.system, times.whole);
  usage.user_time = times.whole - usage.system_time;
  last.apply(usage);
  return usage;
}

VcpuTimes told(Told& last, const VcpuAccount::Reading& reading, uint64_t now) {
  const ResourceUsage normal = told(last.normal, reading.normal);
  const ResourceUsage nice = told(last.nice, reading.nice);
  const uint64_t busy = reading.normal.whole + reading.nice.whole;
  last.idle = std::max(last.idle, now - std::min(now, busy));
  return {.user = normal.user_time,
          .nice = nice.user_time,
          .system = normal.system_time + nice.system_time,
          .idle = last.idle};
}

}  // namespace

void VcpuTimes::add(const VcpuTimes& other) {
  user += other.user;
  nice += other.nice;
  system += other.system;
  idle += other.idle;
}

Result<Vec<VcpuTimes>> told_vcpu_times() {
  Vec<VcpuAccount::Reading> readings;
  Vec<VcpuTimes> all;
  TRY(readings.resize(vcpu_count()));
  TRY(all.resize(vcpu_count()));
  // The clock comes first: a turn that ends meanwhile is not counted beyond its end.
  const Nanoseconds now = monotonic_now();
  for (uint32_t vcpu = 0; vcpu < vcpu_count(); ++vcpu) readings[vcpu] = read_vcpu_account(vcpu);
  // A task may have ended since: its system time is asked only where it is still among the threads.
  process_tree().with([&](ProcessTree& tree) {
    for (auto& [tid, thread] : tree.threads) {
      const uint32_t vcpu = thread->last_vcpu();
      if (vcpu >= readings.size() || readings[vcpu].task != static_cast<const Task*>(thread.get()))
        continue;
      add_turn(readings[vcpu], now, thread->system_time());
      readings[vcpu].task = nullptr;
    }
  });
  told_times.with([&](std::array<Told, abi::kMaxVcpus>& last) {
    for (uint32_t vcpu = 0; vcpu < vcpu_count(); ++vcpu) {
      VcpuAccount::Reading& reading = readings[vcpu];
      add_turn(reading, now, reading.system_before);
      all[vcpu] = told(last[vcpu], reading, now);
    }
  });
  return all;
}

}  // namespace occlum
