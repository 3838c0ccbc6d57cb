// Looking at a task that sleeps.
#pragma once

#include "libos/lib/function_ref.h"
#include "libos/sched/task.h"

namespace occlum {

// Calls `look` while the task is kept from going on; its registers and its stack do not change meanwhile. Who wakes it
// does not wait. False, without a call, when it does not sleep. `look` must be short and must not wake the task.
bool with_parked_task(Task& task, FunctionRef<void()> look);

}  // namespace occlum
