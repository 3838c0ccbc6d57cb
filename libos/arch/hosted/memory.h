// What tests can ask of the hosted memory (memory.cpp).
#pragma once

#include <cstdint>

namespace occlum {

struct HostedMemoryCounters {
  uint64_t commit_calls = 0, commit_copies = 0, extend_calls = 0, host_calls = 0,
           decommit_calls = 0;
};
HostedMemoryCounters hosted_memory_counters();

// The host has this many pages left: commits beyond fail with kNoMem. UINT64_MAX: no end.
void fail_commits_after(uint64_t pages);

}  // namespace occlum
