#include "libos/process/usage.h"

#include <algorithm>

#include "libos/process/thread.h"

namespace occlum {

void ResourceUsage::add(const ResourceUsage& other) {
  user_time += other.user_time;
  system_time += other.system_time;
  minor_faults += other.minor_faults;
  major_faults += other.major_faults;
  voluntary_switches += other.voluntary_switches;
  involuntary_switches += other.involuntary_switches;
  max_resident = std::max(max_resident, other.max_resident);
}

ResourceUsage thread_usage(const Thread& thread) {
  ResourceUsage usage;
  usage.system_time = thread.system_time();
  const uint64_t whole = thread.cpu_time();
  usage.user_time = whole > usage.system_time ? whole - usage.system_time : 0;
  usage.minor_faults = thread.minor_faults();
  usage.major_faults = thread.major_faults();
  usage.voluntary_switches = thread.voluntary_switches();
  usage.involuntary_switches = thread.involuntary_switches();
  return usage;
}

// As Linux does where it has samples only (cputime_adjust): first the sum, then the system's part, then the user's.
void ToldTimes::apply(ResourceUsage& usage) {
  const uint64_t whole = usage.user_time + usage.system_time;
  if (whole > user_ + system_) {
    system_ = std::max(std::min(usage.system_time, whole), system_);
    if (whole - std::min(system_, whole) < user_) system_ = whole - user_;
    user_ = whole - system_;
  }
  usage.user_time = user_;
  usage.system_time = system_;
}

}  // namespace occlum
