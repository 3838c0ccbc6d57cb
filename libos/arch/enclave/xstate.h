// Vector state of tasks on this vCPU; see task_context.h.
#pragma once

#include "libos/arch/task_context.h"

namespace occlum {

// Puts the task's vector state into the CPU unless it is there.
void load_xstate(TaskContext& context);
// Writes it to memory when it is in the CPU, and leaves the CPU in the initial state.
void stash_xstate(TaskContext& context);
// The initial state into the CPU.
void clear_xstate();
// Once, at start: reads XCR0.
void initialize_xstate();

}  // namespace occlum
