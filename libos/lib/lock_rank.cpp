// See lock_rank.h.
#include "libos/lib/lock_rank.h"

#include "libos/lib/log.h"

namespace occlum {

void LockRankStack::push(LockRank rank, LockKind kind, Order order) {
  // Only locks that are not innermost last can break the order, so all entries are looked at, not
  // just the top.
  for (std::size_t i = 0; i < held_ && order != Order::kAny; ++i) {
    const LockRank held = entries_[i].rank;
    if (held < rank || (held == rank && order == Order::kSecond)) continue;
    panic("lock rank {} taken while {} is held", rank, held);
  }
  if (kind == LockKind::kMutex && spin_locks_held_ != 0) {
    panic("mutex of rank {} taken while a spin lock is held", rank);
  }
  if (held_ == kMaxHeld) panic("more than {} locks held", kMaxHeld);
  entries_[held_] = {rank, kind};
  ++held_;
  if (kind == LockKind::kSpin) ++spin_locks_held_;
}

void LockRankStack::pop(LockRank rank, LockKind kind) {
  for (std::size_t i = held_; i-- > 0;) {
    if (entries_[i].rank != rank || entries_[i].kind != kind) continue;
    for (std::size_t j = i; j + 1 < held_; ++j) entries_[j] = entries_[j + 1];
    --held_;
    if (kind == LockKind::kSpin) --spin_locks_held_;
    return;
  }
  panic("lock of rank {} released but not held", rank);
}

void assert_may_sleep() {
  if constexpr (kCheckLockRanks) {
    if (current_lock_ranks().spin_locks_held() != 0) panic("sleeping with a spin lock held");
  }
}

}  // namespace occlum
