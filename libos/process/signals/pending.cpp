#include "libos/process/signals/pending.h"

#include <array>

namespace occlum {
namespace {

// By the low bits of the user's number: users that share a count share a limit.
constexpr size_t kUserCounts = 256;
constinit std::array<std::atomic<uint64_t>, kUserCounts> node_counts = {};

std::atomic<uint64_t>& node_count_of(uint32_t user) { return node_counts[user % kUserCounts]; }

}  // namespace

uint64_t queued_signals_of(uint32_t user) {
  return node_count_of(user).load(std::memory_order_relaxed);
}

Result<RefPtr<QueuedSignal>> QueuedSignal::create(const SignalInfo& info, uint32_t user,
                                                  uint64_t limit) {
  std::atomic<uint64_t>& count = node_count_of(user);
  if (count.fetch_add(1, std::memory_order_relaxed) < limit) {
    Result<RefPtr<QueuedSignal>> node = make_ref<QueuedSignal>(info, user);
    if (!node.is_error()) return node;
  }
  count.fetch_sub(1, std::memory_order_relaxed);
  return Errno::kAgain;
}

QueuedSignal::~QueuedSignal() { node_count_of(user_).fetch_sub(1, std::memory_order_relaxed); }

std::optional<SignalInfo> PendingSignals::at(uint64_t index) const {
  for (const QueuedSignal& node : queue_) {
    if (index-- == 0) return node.info_;
  }
  return std::nullopt;
}

bool PendingSignals::add(RefPtr<QueuedSignal> node) {
  const int signal = node->info_.signal;
  if (!is_realtime_signal(signal) && set_.contains(signal)) return false;
  set_.add(signal);
  queue_.push_back(*node.leak());  // the list's reference
  return true;
}

std::optional<SignalInfo> PendingSignals::take(SignalSet wanted) {
  SignalSet ready = set_ & wanted;
  if (ready.is_empty()) return std::nullopt;
  if (const SignalSet faults = ready & kSynchronousSignals; !faults.is_empty()) ready = faults;
  const int signal = ready.first();

  QueuedSignal* found = nullptr;
  bool more = false;
  for (QueuedSignal& node : queue_) {
    if (node.info_.signal != signal) continue;
    if (found != nullptr) {
      more = true;
      break;
    }
    found = &node;
  }
  if (!more) set_.remove(signal);
  if (found == nullptr) return SignalInfo::from_user(signal, 0, 0);
  const SignalInfo info = found->info_;
  if (info.code == kSiTimer) {
    found->told_overrun_.store(static_cast<uint32_t>(info.timer.overrun),
                               std::memory_order_relaxed);
  }
  queue_.remove(*found);
  found->unref();
  return info;
}

bool PendingSignals::remove(QueuedSignal& node) {
  if (!queue_.contains(node)) return false;
  const int signal = node.info_.signal;
  queue_.remove(node);
  node.unref();
  bool more = false;
  for (const QueuedSignal& other : queue_) more = more || other.info_.signal == signal;
  if (!more) set_.remove(signal);
  return true;
}

void PendingSignals::discard(SignalSet unwanted) {
  set_ = set_ & ~unwanted;
  for (QueuedSignal* node = queue_.first(); node != nullptr;) {
    QueuedSignal* following = queue_.next(*node);
    if (unwanted.contains(node->info_.signal)) {
      queue_.remove(*node);
      node->unref();
    }
    node = following;
  }
}

}  // namespace occlum
