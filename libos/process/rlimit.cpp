#include "libos/process/rlimit.h"

namespace occlum {

// include/asm-generic/resource.h; NOFILE's hard limit and the counts are those of a Debian login.
ResourceLimits default_resource_limits(uint64_t stack_size) {
  ResourceLimits limits;
  limits[Resource::kStack].soft = stack_size;
  limits[Resource::kCore].soft = 0;
  limits[Resource::kFiles] = {.soft = 1024, .hard = 1048576};
  limits[Resource::kProcesses] = {.soft = 32768, .hard = 32768};
  limits[Resource::kMemLock] = {.soft = 8 << 20, .hard = 8 << 20};
  limits[Resource::kSigPending] = {.soft = 32768, .hard = 32768};
  limits[Resource::kMsgQueue] = {.soft = 819200, .hard = 819200};
  limits[Resource::kNice] = {.soft = 0, .hard = 0};
  limits[Resource::kRtPriority] = {.soft = 0, .hard = 0};
  return limits;
}

}  // namespace occlum
