#include "libos/process/memory_limits.h"

#include "libos/lib/bits.h"
#include "libos/mm/address_space.h"
#include "libos/mm/stack_growth.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"

namespace occlum {
namespace {

// Whether the caller may have `more` bytes beside those that `memory` has locked.
bool may_lock(Thread& self, const AddressSpace& memory, uint64_t more) {
  if (self.user().has(kCapIpcLock)) return true;
  const uint64_t limit = align_down(self.process().limit(Resource::kMemLock).soft, kPageSize);
  const uint64_t locked = memory.locked_bytes();
  return more <= limit && locked <= limit - more;
}

}  // namespace

Result<void> check_lock_limit(Thread& self, uint64_t more) {
  return may_lock(self, self.memory(), more) ? Result<void>() : Errno::kAgain;
}

bool may_grow_stack(AddressSpace& memory, const StackGrowth& growth) {
  Thread& self = current_thread();
  const ResourceLimits limits = self.process().limits();
  if (growth.size > limits[Resource::kStack].soft) return false;
  const uint64_t most = limits[Resource::kAddressSpace].soft;
  if (growth.more > most || memory.mapped_bytes() > most - growth.more) return false;
  return !growth.is_locked || may_lock(self, memory, growth.more);
}

}  // namespace occlum
