#include "libos/mm/patience.h"

namespace occlum {
namespace {
constexpr uint32_t kQuickTurns = 100;
constexpr Nanoseconds kPause = 1'000'000, kLimit = 2'000'000'000;
}  // namespace

bool Patience::wait() {
  if (turns_ < kQuickTurns) {
    ++turns_;
    yield_task();
    return true;
  }
  const Nanoseconds now = monotonic_now();
  if (end_ == 0) end_ = now + kLimit;
  if (now >= end_) return false;
  (void)park(now + kPause, Interruptible::kNo);
  return true;
}

}  // namespace occlum
