// The slow paths of Mutex; see lock.h.
#include "libos/lib/lock.h"

#include "libos/lib/wait_word.h"

namespace occlum {

void Mutex::lock_slowly() {
  // From here on the word says "contended" while we hold it, even if we are the last: the unlock's
  // wake is then spare.
  while (state_.exchange(kContended, std::memory_order_acquire) != kFree) {
    wait_on_word(state_, kContended);
  }
}

void Mutex::unlock() {
  const std::uint32_t before = state_.exchange(kFree, std::memory_order_release);
  ASSERT(before != kFree);
  if constexpr (kCheckLockRanks) current_lock_ranks().pop(rank_, LockKind::kMutex);
  if (before == kContended) wake_word(state_, Wake::kOne);
}

}  // namespace occlum
