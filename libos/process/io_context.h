// What io_context is in Linux, as far as programs see it: the I/O priority, of one thread or shared by CLONE_IO.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/lib/ptr.h"

namespace occlum {

// `struct io_context`; made by the first ioprio_set(2).
class IoContext : public RefCounted<IoContext> {
 public:
  explicit IoContext(uint16_t first) : priority(first) {}

  // A class in the upper 3 bits, a hint and a level below (ioprio_set(2)).
  std::atomic<uint16_t> priority;
};

}  // namespace occlum
