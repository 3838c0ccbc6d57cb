// The vCPUs as the scheduler counts them. Implemented by arch/.
#pragma once

#include <cstdint>

namespace occlum {

// vCPUs that have been started; the others are started when work waits for long enough to be seen by a tick.
uint32_t started_vcpus();
void start_one_more_vcpu();

// Sends a tick to the vCPU now, instead of at the next turn of the host's clock. A host call.
void tick_vcpu_now(uint32_t index);

}  // namespace occlum
