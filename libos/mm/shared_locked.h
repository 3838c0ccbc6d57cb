// SharedLocked<T>: a lock with three ways in, for what many look at and few change.
//
//   read(f)    many at a time, beside hold(); must be short and must not sleep. f(const T&)
//   hold(f)    one at a time, beside readers; may sleep. f(T&), which changes nothing that readers look at
//   change(f)  alone; may sleep
//
// Readers only count themselves, so a read costs two atomic additions; a changer takes the mutex, says so in the
// count, and spins until the readers have left. That readers never sleep makes this right.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "libos/lib/lock.h"

namespace occlum {

template <typename T>
class SharedLocked {
 public:
  template <typename... Args>
  explicit SharedLocked(LockRank rank, Args&&... args)
      : rank_(rank), mutex_(rank), data_(std::forward<Args>(args)...) {}

  template <typename F>
  decltype(auto) read(F&& function) const {
    Reader reader(*this);
    return std::forward<F>(function)(std::as_const(data_));
  }

  template <typename F>
  decltype(auto) hold(F&& function) {
    lock_detail::Guard<Mutex> guard(mutex_);
    return std::forward<F>(function)(data_);
  }

  template <typename F>
  decltype(auto) change(F&& function) {
    lock_detail::Guard<Mutex> guard(mutex_);
    Changer changer(*this);
    return std::forward<F>(function)(data_);
  }
  // The same while another lock of this rank is held, under a lock that keeps others from doing so in another order.
  template <typename F>
  decltype(auto) change_second(F&& function) {
    lock_detail::Guard<Mutex> guard(mutex_, LockRankStack::Order::kSecond);
    Changer changer(*this);
    return std::forward<F>(function)(data_);
  }

 private:
  static constexpr uint32_t kChanging = 1u << 31;

  class Reader {
   public:
    explicit Reader(const SharedLocked& lock) : lock_(lock) { lock_.enter(); }
    Reader(const Reader&) = delete;
    ~Reader() { lock_.leave(); }

   private:
    const SharedLocked& lock_;
  };

  class Changer {
   public:
    explicit Changer(SharedLocked& lock) : lock_(lock) {
      lock_.users_.fetch_or(kChanging, std::memory_order_acquire);
      while (lock_.users_.load(std::memory_order_acquire) != kChanging) __builtin_ia32_pause();
    }
    Changer(const Changer&) = delete;
    ~Changer() { lock_.users_.fetch_and(~kChanging, std::memory_order_release); }

   private:
    SharedLocked& lock_;
  };

  void enter() const {
    if constexpr (kCheckLockRanks) {
      current_lock_ranks().push(rank_, LockKind::kMutex, LockRankStack::Order::kLater);
    }
    while ((users_.fetch_add(1, std::memory_order_acquire) & kChanging) != 0) {
      users_.fetch_sub(1, std::memory_order_release);
      wait_for_changer();
    }
  }

  void leave() const {
    users_.fetch_sub(1, std::memory_order_release);
    if constexpr (kCheckLockRanks) current_lock_ranks().pop(rank_, LockKind::kMutex);
  }

  // The changer holds the mutex for as long as it changes.
  void wait_for_changer() const OCCLUM_NO_THREAD_SAFETY_ANALYSIS {
    if constexpr (kCheckLockRanks) current_lock_ranks().pop(rank_, LockKind::kMutex);
    mutex_.lock();
    mutex_.unlock();
    if constexpr (kCheckLockRanks) {
      current_lock_ranks().push(rank_, LockKind::kMutex, LockRankStack::Order::kLater);
    }
  }

  const LockRank rank_;
  mutable Mutex mutex_;
  mutable std::atomic<uint32_t> users_ = 0;
  T data_;
};

}  // namespace occlum
