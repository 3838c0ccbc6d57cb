// A memory barrier on all vCPUs (membarrier(2)).
#pragma once

namespace occlum {

// Returns when every other vCPU that executes a program has passed a full memory barrier since the call. May sleep.
void pass_barrier_on_vcpus();

}  // namespace occlum
