// Shortage: what becomes of a page fault, an exchange, or a page of a file that finds no enclave memory.
//
// It asks the *keeper* for room and waits for the answer. The keeper is one task (process/memory_keeper.h) that holds no
// locks, so it can do what those who ask cannot: give kept pages back, drop cached pages of files, and as the last
// resort kill a process and take its memory away. Requests that come while it works get the same answer, so one
// shortage costs one process. Waiting has an end: whoever has asked too often, or is not answered, does without.
#pragma once

#include <optional>

#include "libos/sched/fault_injection.h"
#include "libos/sched/task.h"

namespace occlum {

// One need for memory, which may ask several times.
class RoomRequest {
 public:
  // Waits until the keeper has made room. May sleep; locks of ranks before kConflicts may be held. True: try again.
  // False: there is no keeper, or it does not help.
  // kGently: nobody is killed for it.
  // After a failure on purpose the keeper is not asked. Who asks gently has to do without; who asks firmly tries again,
  // and nothing fails on purpose any more until the need is met.
  enum class How { kGently, kFirmly };
  bool ask(How how = How::kFirmly);

 private:
  unsigned times_ = 0;
  uint32_t own_failures_ = own_failures();
  std::optional<NoFailures> no_failures_;
};

namespace shortage {

// The current task is the keeper from now on.
void become_keeper();

// Waits for requests. `insists`: some were told before that there is room, and did not find it. `may_kill`: not all of
// them ask gently.
struct Demand {
  bool insists;
  bool may_kill;
};
Demand await_demand();
void answer(bool has_made_room);

}  // namespace shortage
}  // namespace occlum
