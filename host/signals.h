// Signals of the runtime's process: how it was started, and which its own threads cannot do without.
#pragma once

#include <cstdint>

namespace host {

// Bit n-1 is signal n.
struct StartSignals {
  uint64_t ignored = 0;
  uint64_t blocked = 0;
};

// What is ignored, and what the calling thread blocks: the program is to find the same (execve(2)). To be asked before
// anything of ours changes it.
StartSignals start_signals();

// Exceptions of the enclave arrive as signals, which end a process that blocks them. For this thread and those that it
// starts.
void unblock_exceptions();

}  // namespace host
