// The vCPUs as the scheduler counts them. Implemented by arch/.
#pragma once

#include <cstdint>

namespace occlum {

// vCPUs that have been started; the others are started when work waits for long enough to be seen by a tick.
uint32_t started_vcpus();
void start_one_more_vcpu();

}  // namespace occlum
