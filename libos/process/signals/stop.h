// Stopping and continuing a process (signal(7), "Stop"; credentials(7), job control).
#pragma once

#include <cstdint>

namespace occlum {

class Thread;

// The default action of a stop signal that `self` took when the process had been continued `continues` times: stops all
// threads, unless it was continued since, or the signal is for terminals and the group is orphaned.
void begin_stop(Thread& self, int signal, uint32_t continues);

// Sleeps until the process is continued or killed. The last thread that gets here tells the parent.
void wait_while_stopped(Thread& self);

}  // namespace occlum
