// Readiness of host descriptors (sockets, terminals, the host's pipes), for code that must wait without blocking a
// vCPU.
//
// A HostWatch registers a host descriptor once (edge triggered); its WaitQueue is woken whenever the host says that the
// readiness changed. The host may lie: a spurious wake is harmless (the waiter tries its call again), a suppressed one
// is a denial of service, which the host can always have. The idle vCPU's one host wait collects these events; busy
// enclaves collect them on ticks.
#pragma once

#include "libos/host/calls.h"
#include "libos/lib/ptr.h"
#include "libos/sched/wait_queue.h"

namespace occlum {

class HostWatch {
 public:
  // `fd` must stay open while the watch lives. Errors: kNoMem, kPerm (a regular file: always ready), what the host says.
  static Result<OwnPtr<HostWatch>> create(int fd);
  HostWatch() = default;  // watches nothing: use create()
  HostWatch(const HostWatch&) = delete;
  ~HostWatch();  // unregisters

  WaitQueue& queue() { return queue_; }

  // What the descriptor is ready for right now, by poll(2) of the host without waiting: poll bits.
  uint32_t current_events() const;

 private:
  WaitQueue queue_;
  int fd_ = -1;
  uint64_t token_ = 0;
};

}  // namespace occlum
