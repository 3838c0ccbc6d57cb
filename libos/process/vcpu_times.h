// What the vCPUs did with their time, as /proc/stat and /proc/uptime tell it.
#pragma once

#include <cstdint>

#include "libos/lib/result.h"
#include "libos/lib/vec.h"

namespace occlum {

struct VcpuTimes {  // ns
  uint64_t user = 0, nice = 0, system = 0, idle = 0;
  void add(const VcpuTimes& other);
};

// Of each vCPU. No figure ever goes back. Errors: kNoMem.
Result<Vec<VcpuTimes>> told_vcpu_times();

}  // namespace occlum
