// The two processes that nobody's clone(2) makes.
#pragma once

#include "libos/process/process.h"

namespace occlum {

// The signals that the first process finds as its starter had them, as over execve(2). Any bits may be set: what a program
// cannot have ignored or blocked is left out.
struct InheritedSignals {
  SignalSet ignored, blocked;
};

// Number 1 (process_table.h). Errors: kNoMem.
Result<void> make_reaper();

// A child of the reaper with one thread, which the caller starts, in a session and a group of its own. It has no program
// yet. Errors: kAgain, kNoMem.
Result<RefPtr<Thread>> make_first_process(Thread::Resources resources, const ResourceLimits& limits,
                                          const InheritedSignals& signals);

}  // namespace occlum
