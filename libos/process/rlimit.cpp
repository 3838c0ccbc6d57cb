#include "libos/process/rlimit.h"

#include <algorithm>
#include <utility>

#include "libos/process/process.h"
#include "libos/process/process_table.h"

namespace occlum {

namespace {

// Threads of the caller's real user; counting stops to matter, and is left out, while there are fewer than `limit` in all.
uint64_t count_threads_of_user(Thread& self, uint64_t limit) {
  if (thread_count() < limit) return 0;
  const uint32_t uid = self.user().uid;
  return process_tree().with([&](ProcessTree& tree) {
    uint64_t mine = 0;
    for (auto& [tid, thread] : tree.threads) {
      const RefPtr<SharedCredentials> theirs = thread->share_credentials();
      if (theirs && theirs->value.uid == uid) ++mine;
    }
    return mine;
  });
}

bool exceeds_process_limit(Thread& self, uint64_t more) {
  const uint64_t limit = self.process().limit(Resource::kProcesses).soft;
  return self.user().uid != 0 && count_threads_of_user(self, limit) > std::max(limit, limit + more);
}

}  // namespace

Result<void> check_process_limit(Thread& self) {
  const UserCredentials& own = self.user();
  if (own.uid == 0 || own.has(kCapSysResource) || own.has(kCapSysAdmin)) return {};
  const uint64_t limit = self.process().limit(Resource::kProcesses).soft;
  if (count_threads_of_user(self, limit) >= limit) return Errno::kAgain;
  return {};
}

// The thread itself does not count yet.
void note_process_limit(Thread& self) {
  self.has_too_many_processes = exceeds_process_limit(self, 1);
}

Result<void> check_noted_process_limit(Thread& self) {
  if (!std::exchange(self.has_too_many_processes, false)) return {};
  if (!exceeds_process_limit(self, 0)) return {};
  self.has_too_many_processes = true;
  return Errno::kAgain;
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
