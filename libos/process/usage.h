// What a process or a thread has used: getrusage(2), times(2), /proc.
#pragma once

#include <cstdint>

namespace occlum {

class Thread;

// CPU time in ns, and the counts of getrusage(2).
struct ResourceUsage {
  uint64_t user_time = 0, system_time = 0;
  uint64_t minor_faults = 0, major_faults = 0;
  uint64_t voluntary_switches = 0, involuntary_switches = 0;
  uint64_t max_resident = 0;  // bytes
  void add(const ResourceUsage& other);
};

ResourceUsage thread_usage(const Thread& thread);

// How user and system time were told last. Their sum is exact, the division comes from samples; what is told never goes
// back in either, as programs expect that subtract.
class ToldTimes {
 public:
  // Corrects the two times of `usage`.
  void apply(ResourceUsage& usage);

 private:
  uint64_t user_ = 0, system_ = 0;
};

}  // namespace occlum
