// Sleeping on a 32-bit word, for the LibOS's own mutexes (lib/wait_word.h): hashed buckets, as futex(2) does it.
// The waiter joins the bucket, then looks at the word, then parks; the waker has changed the word before it looks.
#include "libos/lib/wait_word.h"

#include <array>

#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/sched/task.h"

namespace occlum {
namespace {

struct WordWaiter {
  Task& task;
  const std::atomic<uint32_t>& word;
  ListNode node = {};
  bool queued = true;  // under the bucket's lock
};

using Waiters = IntrusiveList<WordWaiter, &WordWaiter::node>;

struct Bucket {
  SpinLocked<Waiters> waiters{LockRank::kWaitQueue};
};
constexpr size_t kBuckets = 64;
constinit std::array<Bucket, kBuckets> buckets;

SpinLocked<Waiters>& bucket_of(const std::atomic<uint32_t>& word) {
  const uint64_t address = std::bit_cast<uint64_t>(&word);
  return buckets[(address >> 4) * 0x9E3779B97F4A7C15 >> 58].waiters;
}

}  // namespace

void wait_on_word(std::atomic<uint32_t>& word, uint32_t expected) {
  WordWaiter waiter{current_task(), word};
  SpinLocked<Waiters>& bucket = bucket_of(word);
  bucket.with([&](Waiters& waiters) { waiters.push_back(waiter); });
  if (word.load(std::memory_order_seq_cst) == expected) (void)park(kNever, Interruptible::kNo);
  bucket.with([&](Waiters& waiters) {
    if (waiter.queued) waiters.remove(waiter);
  });
}

void wake_word(std::atomic<uint32_t>& word, Wake which) {
  bucket_of(word).with([&](Waiters& waiters) {
    for (auto it = waiters.begin(); it != waiters.end();) {
      WordWaiter& waiter = *it;
      ++it;
      if (&waiter.word != &word) continue;
      waiter.queued = false;
      waiters.remove(waiter);
      waiter.task.unpark();
      if (which == Wake::kOne) return;
    }
  });
}

}  // namespace occlum
