// The scheduler as arch/ uses it. Tasks use sched/task.h.
#pragma once

#include "libos/sched/task.h"

namespace occlum {

// First code of a task on its own stack.
extern "C" [[noreturn]] void task_first_run();

// The current vCPU asks for ticks from now on, until one finds nothing that needs them. A timer has been armed: a task
// that runs alone does not come by the scheduler.
void want_tick();

// Host watches exist (libos/host/host_events): somebody must ask the host for events when no vCPU sleeps.
void note_host_watch(int change);

// The same while an answer of the host's disk is awaited (host_files.h): such an answer can only come by asking, so a
// vCPU with nothing to do asks at once.
void note_file_wait(int change);

// False in the idle loop, where nobody can sleep.
bool runs_task();

}  // namespace occlum
