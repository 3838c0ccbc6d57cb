// PendingSignals: the signals sent to a thread or a process and not yet delivered (signal(7), "Queueing").
//
// A standard signal is pending once, however often it is sent; real-time ones queue, in order. Each has a node with its
// siginfo; when there is no memory for one, a standard signal is still recorded, with a bare siginfo, as on Linux.
// Not locked: the owner holds it in a SpinLocked of rank kSignal.
#pragma once

#include <atomic>
#include <optional>

#include "libos/lib/counted.h"
#include "libos/lib/list.h"
#include "libos/lib/ptr.h"
#include "libos/process/signals/signal.h"

namespace occlum {

// One pending signal's node. A POSIX timer keeps its own, so that its expiry never allocates. Nodes are counted by user
// against RLIMIT_SIGPENDING for as long as they live.
class QueuedSignal : public RefCounted<QueuedSignal>, Counted<QueuedSignal> {
 public:
  // kAgain: no memory, or the user has `limit` of them already.
  static Result<RefPtr<QueuedSignal>> create(const SignalInfo& info, uint32_t user, uint64_t limit);
  QueuedSignal(const SignalInfo& info, uint32_t user) : info_(info), user_(user) {}  // use create()
  ~QueuedSignal();
  SignalInfo& info() { return info_; }
  bool is_queued() const { return node_.is_linked(); }
  // SI_TIMER: the overrun that its last receiver was told.
  uint32_t told_overrun() const { return told_overrun_.load(std::memory_order_relaxed); }

 private:
  friend class PendingSignals;
  ListNode node_;
  SignalInfo info_;
  const uint32_t user_;
  std::atomic<uint32_t> told_overrun_{0};
};

// How many nodes the user has: SigQ in /proc/<pid>/status.
uint64_t queued_signals_of(uint32_t user);

class PendingSignals {
 public:
  PendingSignals() = default;
  ~PendingSignals() { discard(SignalSet::all()); }
  PendingSignals(const PendingSignals&) = delete;
  PendingSignals& operator=(const PendingSignals&) = delete;

  SignalSet set() const { return set_; }
  size_t size() const { return queue_.size(); }  // nodes
  // The node at `index`, the oldest first.
  std::optional<SignalInfo> at(uint64_t index) const;

  // Records the signal in `node`. False: a standard signal that is pending already; nothing was done.
  bool add(RefPtr<QueuedSignal> node);
  // Without a node.
  void add_bare(int signal) { set_.add(signal); }

  // Takes the next signal of `wanted`: faults first, then the lowest number; the oldest of its kind.
  std::optional<SignalInfo> take(SignalSet wanted);

  void discard(SignalSet unwanted);
  // Takes this node back. False: it is not queued here.
  bool remove(QueuedSignal& node);

 private:
  SignalSet set_;
  IntrusiveList<QueuedSignal, &QueuedSignal::node_> queue_;
};

}  // namespace occlum
