#include "libos/process/signals/pending.h"

namespace occlum {

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
  queue_.remove(*found);
  found->unref();
  return info;
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
