// The start of mm/: called once on vCPU 0, before anything allocates.
#pragma once

#include <cstdint>

namespace occlum {

// `limit`: bytes of enclave memory that programs and the LibOS may use together, 0: no limit. Beyond it allocations
// fail with kNoMem.
void initialize_memory(uint64_t limit);

}  // namespace occlum
