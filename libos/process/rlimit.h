// Resource limits (getrlimit(2)).
#pragma once

#include <array>
#include <cstdint>

#include "libos/lib/result.h"

namespace occlum {

enum class Resource : uint32_t {
  kCpu = 0,
  kFileSize = 1,
  kData = 2,
  kStack = 3,
  kCore = 4,
  kRss = 5,
  kProcesses = 6,
  kFiles = 7,
  kMemLock = 8,
  kAddressSpace = 9,
  kLocks = 10,
  kSigPending = 11,
  kMsgQueue = 12,
  kNice = 13,
  kRtPriority = 14,
  kRtTime = 15,
};
constexpr uint32_t kResourceCount = 16;
constexpr uint64_t kRlimInfinity = UINT64_MAX;

struct ResourceLimit {
  uint64_t soft = kRlimInfinity;
  uint64_t hard = kRlimInfinity;
};

class ResourceLimits {
 public:
  const ResourceLimit& operator[](Resource resource) const {
    return limits_[static_cast<uint32_t>(resource)];
  }
  ResourceLimit& operator[](Resource resource) { return limits_[static_cast<uint32_t>(resource)]; }

 private:
  std::array<ResourceLimit, kResourceCount> limits_;
};

class Thread;

// RLIMIT_NPROC: kAgain when the caller's real user has as many threads as that and is not privileged.
Result<void> check_process_limit(Thread& self);
// setuid(2) does not fail for it, but the execve(2) that follows does (EAGAIN there): noted after the one, checked before
// the other.
void note_process_limit(Thread& self);
Result<void> check_noted_process_limit(Thread& self);

// Linux's defaults for the first process; the stack's from the measured configuration.
ResourceLimits default_resource_limits(uint64_t stack_size);

}  // namespace occlum
