// The memory keeper: the task that makes room when enclave memory has run out (mm/shortage.h), and Linux's rule of whom
// it kills for that (proc(5), oom_score_adj; mm/oom_kill.c's oom_badness).
#pragma once

#include <cstdint>

#include "libos/process/process.h"

namespace occlum {

// How much is to be had by killing a process with this memory, in pages: what it holds, shifted by its adjustment in
// thousandths of all memory. kNeverKilled for an adjustment of -1000.
constexpr int64_t kNeverKilled = INT64_MIN;
int64_t badness(const Process& process, const AddressSpace& memory);

// What /proc/<pid>/oom_score says: 667 is a small process without adjustment.
uint64_t oom_score(const Process& process, const AddressSpace* memory);

// The current task becomes the keeper.
[[noreturn]] void keep_memory();

}  // namespace occlum
