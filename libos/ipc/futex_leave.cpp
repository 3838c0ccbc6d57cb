// What a thread owes to its futexes when it goes: robust lists, PI futexes that others wait for, CLEARTID
// (get_robust_list(2); kernel Documentation/locking/robust-futex-ABI).
#include "libos/ipc/futex.h"
#include "libos/ipc/futex_pi_locks.h"
#include "libos/mm/user.h"

namespace occlum {
namespace {

struct RobustListHead {
  uint64_t next;
  int64_t futex_offset;
  uint64_t pending;
};

constexpr uint64_t kPiEntry = 1;  // the lowest bit of an entry's address

// handle_futex_death() of kernel/futex: a PI futex that is waited for is handed over later, by what waits for it.
Result<void> note_death(Thread& self, uint64_t entry, int64_t offset, bool is_pending) {
  AddressSpace& memory = self.memory();
  const bool is_pi = (entry & kPiEntry) != 0;
  const FutexAddress futex{.address = (entry & ~kPiEntry) + static_cast<uint64_t>(offset)};
  const UserAddress at(futex.address);
  uint32_t word = TRY(load_user_u32(memory, at));
  if (is_pending && !is_pi && word == 0) {
    TRY(futex_wake(memory, futex, 1, kFutexAnyBits));
    return {};
  }
  while ((word & kFutexTidMask) == pi_number_of(self)) {
    const uint32_t dead = (word & kFutexWaiters) | kFutexOwnerDied;
    const uint32_t found = TRY(compare_exchange_user_u32(memory, at, word, dead));
    if (found == word) {
      if (!is_pi && (word & kFutexWaiters) != 0) TRY(futex_wake(memory, futex, 1, kFutexAnyBits));
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
  const uint64_t pending = head.pending & ~kPiEntry;
  uint64_t entry = head.next;
  for (int i = 0; i < kLimit && (entry & ~kPiEntry) != head_address; ++i) {
    // The next one first: after the word is marked, another thread may free the entry.
    uint64_t next = 0;
    const Result<void> has_next =
        copy_from_user(self.memory(), bytes_of(next), UserAddress(entry & ~kPiEntry));
    if ((entry & ~kPiEntry) != pending) TRY(note_death(self, entry, head.futex_offset, false));
    if (has_next.is_error()) return has_next;
    entry = next;
  }
  if (pending != 0) TRY(note_death(self, head.pending, head.futex_offset, true));
  return {};
}

// The heir finds FUTEX_OWNER_DIED in the word, which it is told through its own memory.
void hand_over_pi_locks(Thread& self, Leaving leaving) {
  pi_locks().with([&](PiLocks& locks) {
    while (self.pi_held != nullptr) {
      PiLock& lock = *self.pi_held;
      PiWaiter& next = PiLocks::heir(lock);
      const UserAddress at(next.futex.address);
      const uint32_t owned = pi_number_of(next.thread) | kFutexWaiters | kFutexOwnerDied;
      AddressSpace& memory = next.thread.memory();
      Result<uint32_t> word = load_user_u32(memory, at);
      while (!word.is_error()) {
        const Result<uint32_t> found = compare_exchange_user_u32(memory, at, word.value(), owned);
        if (found.is_error() || found.value() == word.value()) break;
        word = found.value();
      }
      locks.hand_over(lock);
    }
    if (leaving == Leaving::kThread) locks.refuse(self);
  });
}

}  // namespace

// Errors end the walk: the list is the program's own, and it is leaving.
void leave_futexes(Thread& self, Leaving leaving) {
  if (self.robust_list != 0) (void)walk_robust_list(self);
  self.robust_list = 0;
  hand_over_pi_locks(self, leaving);
  const uint64_t word = std::exchange(self.clear_child_tid, 0);
  if (word == 0) return;
  const uint32_t zero = 0;
  if (copy_to_user(self.memory(), UserAddress(word), bytes_of(zero)).is_error()) return;
  (void)futex_wake(self.memory(), FutexAddress{.address = word}, 1, kFutexAnyBits);
}

}  // namespace occlum
