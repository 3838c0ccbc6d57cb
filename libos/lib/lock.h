// Locks that own what they protect: the data can be reached only inside `with`.
//
//     SpinLocked<Table> table_{LockRank::kProcessTable};
//     RefPtr<Process> found = table_.with([&](Table& table) { return table.find(pid); });
//
// SpinLocked is for short work that cannot sleep; MutexLocked waiters sleep (wait_word.h), and its
// holder may sleep. `with` returns what the function returns: do not return or store a reference to
// the data. To find a lock's place in the order, see lock_rank.h. The plain SpinLock and Mutex are
// here for what `with` cannot say: the scheduler hands a spin lock over across a context switch.
//
// The spin lock is test-and-test-and-set with PAUSE. The mutex is the three-state one of Drepper,
// "Futexes Are Tricky" (2011), section 5: 0 free, 1 held, 2 held and perhaps waited for.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "libos/lib/lock_rank.h"
#include "libos/lib/panic.h"
#include "libos/lib/thread_annotations.h"

namespace occlum {

class OCCLUM_CAPABILITY("spin lock") SpinLock {
 public:
  constexpr explicit SpinLock(LockRank rank) : rank_(rank) {}
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  void lock(LockRankStack::Order order = LockRankStack::Order::kLater) OCCLUM_ACQUIRE() {
    if constexpr (kCheckLockRanks) current_lock_ranks().push(rank_, LockKind::kSpin, order);
    while (held_.exchange(true, std::memory_order_acquire)) wait_until_free();
  }

  bool try_lock() OCCLUM_TRY_ACQUIRE(true) {
    if (held_.exchange(true, std::memory_order_acquire)) return false;
    if constexpr (kCheckLockRanks) {
      current_lock_ranks().push(rank_, LockKind::kSpin, LockRankStack::Order::kAny);
    }
    return true;
  }

  void unlock() OCCLUM_RELEASE() {
    held_.store(false, std::memory_order_release);
    if constexpr (kCheckLockRanks) current_lock_ranks().pop(rank_, LockKind::kSpin);
  }

 private:
  void wait_until_free() const {
    while (held_.load(std::memory_order_relaxed)) __builtin_ia32_pause();
  }

  std::atomic<bool> held_ = false;
  const LockRank rank_;
};

class OCCLUM_CAPABILITY("mutex") Mutex {
 public:
  constexpr explicit Mutex(LockRank rank) : rank_(rank) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock(LockRankStack::Order order = LockRankStack::Order::kLater) OCCLUM_ACQUIRE() {
    if constexpr (kCheckLockRanks) current_lock_ranks().push(rank_, LockKind::kMutex, order);
    std::uint32_t expected = kFree;
    if (!state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire,
                                        std::memory_order_relaxed)) [[unlikely]] {
      lock_slowly();
    }
  }

  bool try_lock() OCCLUM_TRY_ACQUIRE(true) {
    std::uint32_t expected = kFree;
    if (!state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
      return false;
    }
    if constexpr (kCheckLockRanks) {
      current_lock_ranks().push(rank_, LockKind::kMutex, LockRankStack::Order::kAny);
    }
    return true;
  }

  void unlock() OCCLUM_RELEASE();

 private:
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kHeld = 1;
  static constexpr std::uint32_t kContended = 2;

  void lock_slowly();

  std::atomic<std::uint32_t> state_ = kFree;
  const LockRank rank_;
};

namespace lock_detail {

template <typename Lock>
class OCCLUM_SCOPED_CAPABILITY Guard {
 public:
  explicit Guard(Lock& lock) OCCLUM_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
  Guard(Lock& lock, LockRankStack::Order order) OCCLUM_ACQUIRE(lock) : lock_(lock) {
    lock_.lock(order);
  }
  Guard(const Guard&) = delete;
  ~Guard() OCCLUM_RELEASE() { lock_.unlock(); }

 private:
  Lock& lock_;
};

template <typename T, typename Lock>
class Locked {
 public:
  // `args` make the T.
  template <typename... Args>
  constexpr explicit Locked(LockRank rank, Args&&... args)
      : lock_(rank), data_(std::forward<Args>(args)...) {}

  template <typename F>
  decltype(auto) with(F&& function) OCCLUM_EXCLUDES(lock_) {
    Guard<Lock> guard(lock_);
    return std::forward<F>(function)(data_);
  }
  template <typename F>
  decltype(auto) with(F&& function) const OCCLUM_EXCLUDES(lock_) {
    Guard<Lock> guard(lock_);
    return std::forward<F>(function)(static_cast<const T&>(data_));
  }

  // Calls `function(data)` and returns true, or returns false at once when the lock is held.
  template <typename F>
  bool try_with(F&& function) OCCLUM_EXCLUDES(lock_) {
    if (!lock_.try_lock()) return false;
    std::forward<F>(function)(data_);
    lock_.unlock();
    return true;
  }

  // Two locks of one rank, taken in address order; `function(a's data, b's data)`. They must not be
  // the same.
  template <typename F>
  friend decltype(auto) with_both(Locked& a, Locked& b,
                                  F&& function) OCCLUM_NO_THREAD_SAFETY_ANALYSIS {
    ASSERT(&a != &b);
    const bool a_first = std::less<Locked*>()(&a, &b);
    Guard<Lock> first(a_first ? a.lock_ : b.lock_);
    Guard<Lock> second(a_first ? b.lock_ : a.lock_, LockRankStack::Order::kSecond);
    return std::forward<F>(function)(a.data_, b.data_);
  }

 private:
  mutable Lock lock_;
  T data_ OCCLUM_GUARDED_BY(lock_);
};

}  // namespace lock_detail

template <typename T>
class SpinLocked : public lock_detail::Locked<T, SpinLock> {
 public:
  using lock_detail::Locked<T, SpinLock>::Locked;
};

template <typename T>
class MutexLocked : public lock_detail::Locked<T, Mutex> {
 public:
  using lock_detail::Locked<T, Mutex>::Locked;
};

}  // namespace occlum
