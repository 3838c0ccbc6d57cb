// Patience: how long a mapping at fixed addresses waits for an owner who is on the way out.
//
// A program that ends is no longer found, but its addresses are free only when its areas are gone, which another vCPU
// may be doing; the host may have put that vCPU aside for as long as it likes. So it is time that counts, not turns.
// Addresses that nobody gives back (the home of an object that has no mapping) make it fail in the end.
#pragma once

#include <cstdint>

#include "libos/sched/task.h"

namespace occlum {

class Patience {
 public:
  // Lets others run, or sleeps a little. False when it is at its end. No locks may be held.
  bool wait();

 private:
  uint32_t turns_ = 0;
  Nanoseconds end_ = 0;
};

}  // namespace occlum
