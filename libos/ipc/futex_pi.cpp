// PI futexes, robust lists and CLEARTID: where the word holds its owner's number (futex(2); get_robust_list(2); kernel
// Documentation/locking/robust-futex-ABI).
//
// One mutex serialises what the LibOS does with such words; programs change a word themselves only from 0 to their
// number and back, by compare-exchange, and not at all once FUTEX_WAITERS is set. Unlocking hands the word to the first
// waiter, so a lock that is waited for is never free.
#include "libos/ipc/futex.h"
#include "libos/ipc/futex_queue.h"
#include "libos/mm/user.h"
#include "libos/process/process_table.h"
#include "libos/process/thread.h"

namespace occlum {
namespace {

struct PiWords {};
// Before kAddressSpace, because words are read under it.
constinit MutexLocked<PiWords> pi_words{LockRank::kThreadGroup};

uint32_t number_of(const Thread& thread) { return static_cast<uint32_t>(thread.tid()); }

// The owner, when there is one, must exist.
Result<void> check_owner(Thread& self, uint32_t word) {
  const uint32_t owner = word & kFutexTidMask;
  if (owner == number_of(self)) return Errno::kDeadLk;
  if (owner != 0 && !find_thread(static_cast<Pid>(owner))) return Errno::kSrch;
  return {};
}

// One round: takes the word, or queues the waiter behind its owner. True: taken.
Result<bool> take_or_queue(Thread& self, FutexAddress futex, PiWait wait, FutexWaiter& waiter) {
  const UserAddress at(futex.address);
  AddressSpace& memory = self.memory();
  while (true) {
    const uint32_t word = TRY(load_user_u32(memory, at));
    const uint32_t owner = word & kFutexTidMask;
    if (owner == number_of(self)) return Errno::kDeadLk;
    if (owner == 0) {
      const uint32_t mine = number_of(self) | (word & (kFutexOwnerDied | kFutexWaiters));
      if (TRY(compare_exchange_user_u32(memory, at, word, mine)) == word) return true;
      continue;
    }
    if (wait == PiWait::kTry) return Errno::kAgain;
    if (TRY(compare_exchange_user_u32(memory, at, word, word | kFutexWaiters)) != word) continue;
    join_queue(waiter);
    return false;
  }
}

// Gives the word to the first waiter in line; `extra` bits (FUTEX_OWNER_DIED) go with it.
Result<void> hand_over(AddressSpace& memory, FutexAddress futex, uint32_t word, uint32_t extra) {
  const FutexKey key = TRY(futex_key_of(memory, futex));
  FutexBucket& bucket = futex_bucket(key);
  FutexWaiter* next = nullptr;
  bool has_more = false;
  bucket.queue.with([&](FutexQueue& queue) {
    for (FutexWaiter& waiter : queue.waiters) {
      if (waiter.tid == 0 || !(waiter.key == key)) continue;
      if (next != nullptr) has_more = true;
      if (next == nullptr) next = &waiter;
    }
  });
  // The waiter cannot go meanwhile: it leaves its queue under the mutex that the caller holds.
  const uint32_t heir = next == nullptr ? 0 : next->tid;
  const uint32_t desired = heir | (has_more ? kFutexWaiters : 0) | extra;
  const uint32_t found =
      TRY(compare_exchange_user_u32(memory, UserAddress(futex.address), word, desired));
  if (found != word) return Errno::kAgain;
  if (next == nullptr) return {};
  bucket.queue.with([&](FutexQueue& queue) {
    queue.waiters.remove(*next);
    next->is_woken.store(true);
    next->task.unpark();
  });
  return {};
}

}  // namespace

Result<void> futex_lock_pi(Thread& self, FutexAddress futex, PiWait wait, Nanoseconds deadline) {
  const FutexKey key = TRY(futex_key_of(self.memory(), futex));
  FutexWaiter waiter(self, key, kFutexAnyBits);
  waiter.tid = number_of(self);
  TRY(check_owner(self, TRY(load_user_u32(self.memory(), UserAddress(futex.address)))));
  const bool is_taken =
      TRY(pi_words.with([&](PiWords&) { return take_or_queue(self, futex, wait, waiter); }));
  if (is_taken) return {};
  while (!waiter.is_woken.load()) {
    const ParkResult result = park(deadline, Interruptible::kYes);
    if (result == ParkResult::kUnparked) continue;
    if (pi_words.with([&](PiWords&) { return leave_queue(waiter); })) return {};
    return result == ParkResult::kTimedOut ? Errno::kTimedOut : Errno::kRestartNoIntr;
  }
  (void)leave_queue(waiter);
  return {};
}

Result<void> futex_unlock_pi(Thread& self, FutexAddress futex) {
  AddressSpace& memory = self.memory();
  return pi_words.with([&](PiWords&) -> Result<void> {
    const uint32_t word = TRY(load_user_u32(memory, UserAddress(futex.address)));
    if ((word & kFutexTidMask) != number_of(self)) return Errno::kPerm;
    return hand_over(memory, futex, word, 0);
  });
}

namespace {

struct RobustListHead {
  uint64_t next;
  int64_t futex_offset;
  uint64_t pending;
};

// handle_futex_death() of kernel/futex: `entry`'s lowest bit says PI.
Result<void> note_death(Thread& self, uint64_t entry, int64_t offset, bool is_pending) {
  AddressSpace& memory = self.memory();
  const bool is_pi = (entry & 1) != 0;
  const FutexAddress futex{.address = (entry & ~uint64_t{1}) + static_cast<uint64_t>(offset)};
  const UserAddress at(futex.address);
  uint32_t word = TRY(load_user_u32(memory, at));
  if (is_pending && !is_pi && word == 0) {
    TRY(futex_wake(memory, futex, 1, kFutexAnyBits));
    return {};
  }
  while ((word & kFutexTidMask) == number_of(self)) {
    if (is_pi)
      return pi_words.with(
          [&](PiWords&) { return hand_over(memory, futex, word, kFutexOwnerDied); });
    const uint32_t dead = (word & kFutexWaiters) | kFutexOwnerDied;
    const uint32_t found = TRY(compare_exchange_user_u32(memory, at, word, dead));
    if (found == word) {
      if ((word & kFutexWaiters) != 0) TRY(futex_wake(memory, futex, 1, kFutexAnyBits));
      return {};
    }
    word = found;
  }
  return {};
}

Result<void> walk_robust_list(Thread& self) {
  constexpr int kLimit = 2048;  // ROBUST_LIST_LIMIT
  const uint64_t head_address = self.robust_list;
  RobustListHead head;
  TRY(copy_from_user(self.memory(), bytes_of(head), UserAddress(head_address)));
  uint64_t entry = head.next;
  for (int i = 0; i < kLimit && (entry & ~uint64_t{1}) != head_address; ++i) {
    // The next one first: after the word is marked, another thread may free the entry.
    uint64_t next = 0;
    const Result<void> has_next =
        copy_from_user(self.memory(), bytes_of(next), UserAddress(entry & ~uint64_t{1}));
    if (entry != head.pending) TRY(note_death(self, entry, head.futex_offset, false));
    if (has_next.is_error()) return has_next;
    entry = next;
  }
  if ((head.pending & ~uint64_t{1}) != 0)
    TRY(note_death(self, head.pending, head.futex_offset, true));
  return {};
}

}  // namespace

// Errors end the walk: the list is the program's own, and it is leaving.
void leave_futexes(Thread& self) {
  if (self.robust_list != 0) (void)walk_robust_list(self);
  self.robust_list = 0;
  const uint64_t word = std::exchange(self.clear_child_tid, 0);
  if (word == 0) return;
  const uint32_t zero = 0;
  if (copy_to_user(self.memory(), UserAddress(word), bytes_of(zero)).is_error()) return;
  (void)futex_wake(self.memory(), FutexAddress{.address = word}, 1, kFutexAnyBits);
}

}  // namespace occlum
