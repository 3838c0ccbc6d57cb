// The signals of a socket of the host (fs/vfs/io_signals.h): what the host says of its readiness becomes events of O_ASYNC,
// and SIGURG for the owner (socket(7)).
#pragma once

#include <atomic>

#include "libos/fs/vfs/io_signals.h"
#include "libos/sched/wait_queue.h"

namespace occlum {

class SocketSignals final : public Waiter {
 public:
  explicit SocketSignals(File& socket) : socket_(socket) {}

  // From the first call on it listens at `queue`, which outlives it or is detached from.
  AsyncList& listen_at(WaitQueue& queue);
  void detach(WaitQueue& queue) { queue.remove(*this); }
  // Somebody was told that there is no room, or that a connection is being made: the next room is an event.
  void note_missed_room() { misses_room_.store(true, std::memory_order_relaxed); }

  bool on_wake(uint32_t events) override;

 private:
  File& socket_;
  AsyncList list_;
  std::atomic<bool> listens_{false}, misses_room_{false};
};

}  // namespace occlum
