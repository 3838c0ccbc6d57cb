// Tells those who poll /proc/<pid>/mounts that the tree of mounts has changed.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/sched/wait_queue.h"

namespace occlum {

struct MountEvents {
  std::atomic<uint64_t> count{0};  // of changes
  WaitQueue changed;

  // After the change.
  void post();
};
MountEvents& mount_events();

}  // namespace occlum
