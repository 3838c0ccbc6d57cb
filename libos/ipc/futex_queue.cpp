#include "libos/ipc/futex_queue.h"

#include <array>

#include "libos/lib/hash.h"

namespace occlum {
namespace {

constexpr size_t kBuckets = 512;
constinit std::array<FutexBucket, kBuckets> buckets;

}  // namespace

FutexBucket& futex_bucket(const FutexKey& key) {
  return buckets[hash_combine(hash_integer(key.space), key.offset) % kBuckets];
}

Result<FutexKey> futex_key_of(AddressSpace& memory, FutexAddress futex) {
  if (futex.address % sizeof(uint32_t) != 0) return Errno::kInval;
  if (static_cast<int64_t>(futex.address) < 0) return Errno::kFault;  // the kernel's half
  // A private key is the address alone; for a shared one Linux looks the page up.
  if (futex.scope == FutexScope::kShared &&
      !memory.may_access(futex.address, sizeof(uint32_t), Access::kRead)) {
    return Errno::kFault;
  }
  return memory.futex_key(futex.address, futex.scope == FutexScope::kPrivate);
}

void join_queue(FutexWaiter& waiter) {
  FutexBucket& bucket = futex_bucket(waiter.key);
  waiter.bucket.store(&bucket);
  bucket.queue.with([&](FutexQueue& queue) { queue.waiters.push_back(waiter); });
}

// A requeue moves the waiter under both buckets' locks: what holds under the lock that is current stays.
bool leave_queue(FutexWaiter& waiter) {
  while (true) {
    FutexBucket* bucket = waiter.bucket.load();
    const bool is_current = bucket->queue.with([&](FutexQueue& queue) {
      if (waiter.bucket.load() != bucket) return false;
      if (waiter.node.is_linked()) queue.waiters.remove(waiter);
      return true;
    });
    if (is_current) return waiter.is_woken.load();
  }
}

Result<uint32_t> wake_waiters(const FutexKey& key, uint32_t count, uint32_t bits) {
  if (count == 0) return 0;
  return futex_bucket(key).queue.with([&](FutexQueue& queue) -> Result<uint32_t> {
    uint32_t woken = 0;
    for (FutexWaiter* waiter = queue.waiters.first(); waiter != nullptr && woken < count;) {
      FutexWaiter* following = queue.waiters.next(*waiter);
      if (waiter->key == key && waiter->pi_target != nullptr) return Errno::kInval;
      if (waiter->key == key && (waiter->bits & bits) != 0) {
        queue.waiters.remove(*waiter);
        waiter->is_woken.store(true);
        waiter->task.unpark();
        ++woken;
      }
      waiter = following;
    }
    return woken;
  });
}

Result<FutexWaiter*> take_for_move(const FutexKey& key, const FutexKey& target) {
  return futex_bucket(key).queue.with([&](FutexQueue& queue) -> Result<FutexWaiter*> {
    for (FutexWaiter& waiter : queue.waiters) {
      if (!(waiter.key == key)) continue;
      if (waiter.pi_target == nullptr || !(*waiter.pi_target == target)) return Errno::kInval;
      queue.waiters.remove(waiter);
      return &waiter;
    }
    return nullptr;
  });
}

void put_back(FutexWaiter& waiter) {
  futex_bucket(waiter.key).queue.with([&](FutexQueue& queue) { queue.waiters.push_front(waiter); });
}

bool has_waiters(const FutexKey& key) {
  return futex_bucket(key).queue.with([&](FutexQueue& queue) {
    for (const FutexWaiter& waiter : queue.waiters) {
      if (waiter.key == key) return true;
    }
    return false;
  });
}

Result<void> sleep_in_queue(FutexWaiter& waiter, Nanoseconds deadline) {
  while (!waiter.is_woken.load()) {
    const ParkResult result = park(deadline, Interruptible::kYes);
    if (result == ParkResult::kUnparked) continue;
    if (leave_queue(waiter)) return {};
    return result == ParkResult::kTimedOut ? Errno::kTimedOut : Errno::kRestartSys;
  }
  (void)leave_queue(waiter);
  return {};
}

}  // namespace occlum
