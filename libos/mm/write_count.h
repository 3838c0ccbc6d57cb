// Who writes to a file and who executes it, which exclude each other (ETXTBSY in open(2) and execve(2); Linux's
// i_writecount: get_write_access, deny_write_access).
//
// A file that was opened for writing counts as written to until it is closed and what was mapped from it is unmapped,
// whatever the rights of the mapping. A program is executed as long as there is memory that it was loaded into. Both
// keep a hold of the file's one count, and so does execve() on each file that it opens, while it works.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/lib/ptr.h"
#include "libos/lib/result.h"

namespace occlum {

class WriteCount : public RefCounted<WriteCount> {
 public:
  // How many hold it for writing; minus how many for execution.
  int64_t value() const { return value_.load(std::memory_order_acquire); }

 private:
  template <int64_t kOne>
  friend class CountHold;

  // False when the other kind holds it.
  bool take(int64_t one) {
    int64_t value = value_.load(std::memory_order_relaxed);
    do {
      if (value * one < 0) return false;
    } while (!value_.compare_exchange_weak(value, value + one, std::memory_order_acq_rel));
    return true;
  }
  void add(int64_t one) { value_.fetch_add(one, std::memory_order_acq_rel); }

  std::atomic<int64_t> value_{0};
};

template <int64_t kOne>
class CountHold {
 public:
  CountHold() = default;  // of nothing
  // kTxtBsy.
  static Result<CountHold> take(RefPtr<WriteCount> count) {
    if (!count->take(kOne)) return Errno::kTxtBsy;
    return CountHold(std::move(count));
  }
  CountHold(CountHold&& other) noexcept : count_(std::move(other.count_)) {}
  CountHold& operator=(CountHold other) noexcept {
    std::swap(count_, other.count_);
    return *this;
  }
  ~CountHold() {
    if (count_) count_->add(-kOne);
  }

  // One more of the same.
  CountHold another() const {
    if (count_) count_->add(kOne);
    return CountHold(count_);
  }

 private:
  explicit CountHold(RefPtr<WriteCount> count) : count_(std::move(count)) {}
  RefPtr<WriteCount> count_;
};

using WriteHold = CountHold<1>;
using ExecutionHold = CountHold<-1>;

}  // namespace occlum
