// Where the scheduler meets the host: the idle wait, host events and host signals.
#pragma once

#include "libos/sched/task.h"

namespace occlum {

// Sleeps in the host until a kick, the timeout (ns; kNever: none) or, when `polls`, a host event; then wakes the queues
// of the watches that have events.
void wait_for_host(Nanoseconds timeout, bool polls);

// Collects host events; waits at most `timeout` ns (0: not at all).
void collect_host_events(Nanoseconds timeout);

// Passes on signals that the runtime got for the program (on_host_signal, arch.h). Cheap when there is none.
void deliver_host_signals();

}  // namespace occlum
