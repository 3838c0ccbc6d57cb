// The two processes that nobody's clone(2) makes.
#pragma once

#include "libos/process/process.h"

namespace occlum {

// Number 1 (process_table.h). Errors: kNoMem.
Result<void> make_reaper();

// A child of the reaper with one thread, which the caller starts, in a session and a group of its own. It has no program
// yet. Errors: kAgain, kNoMem.
Result<RefPtr<Thread>> make_first_process(Thread::Resources resources,
                                          const ResourceLimits& limits);

}  // namespace occlum
