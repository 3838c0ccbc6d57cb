#include "libos/process/rlimit.h"

#include "libos/process/process.h"
#include "libos/process/process_table.h"

namespace occlum {

// Counting is for those few who are near a limit.
Result<void> check_process_limit(Thread& self) {
  const UserCredentials& own = self.user();
  const uint64_t limit = self.process().limit(Resource::kProcesses).soft;
  if (own.uid == 0 || own.has(Capability::kSysResource) || own.has(Capability::kSysAdmin))
    return {};
  if (thread_count() < limit) return {};
  const uint64_t count = process_tree().with([&](ProcessTree& tree) {
    uint64_t mine = 0;
    for (auto& [tid, thread] : tree.threads) {
      const RefPtr<SharedCredentials> theirs = thread->share_credentials();
      if (theirs && theirs->value.uid == own.uid) ++mine;
    }
    return mine;
  });
  if (count >= limit) return Errno::kAgain;
  return {};
}

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
