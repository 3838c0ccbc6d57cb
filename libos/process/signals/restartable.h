// Restartable sequences (rseq(2); kernel Documentation "rseq"; Desnoyers, Turner, Hunter: restartable sequences).
//
// A program registers a structure for each thread. Whenever the thread goes back to the program after it may have been
// away from its vCPU, the structure is told the vCPU's number; and if the program was interrupted inside the critical
// section that the structure names, it goes on at the section's abort address. Threads that left their vCPU in a system
// call need no second look: a critical section makes none. So a switch costs a comparison, and a store when the vCPU has
// changed.
#pragma once

#include "libos/arch/registers.h"
#include "libos/process/thread.h"

namespace occlum {

constexpr uint32_t kRseqSize =
    32;  // of the structure that programs register (struct rseq as it was first)
constexpr uint32_t kRseqFeatureSize = 28;  // AT_RSEQ_FEATURE_SIZE: up to and with mm_cid
constexpr uint32_t kRseqAlign = 32;        // AT_RSEQ_ALIGN

// A bit of Thread::work(), beside those of Thread::Work: look, although the thread was not away.
constexpr uint32_t kRseqWork = 256;

// True when settle_rseq() has to look.
inline bool needs_rseq_look(const Thread& thread) {
  return thread.rseq.address != 0 && thread.rseq.seen_turns != thread.turns();
}

// On the way back to the program. A structure that cannot be read or written is a SIGSEGV.
void settle_rseq(Thread& self, UserRegisters& registers);
// Before a signal's frame is made: an interrupted critical section is left first.
void leave_critical_section(Thread& self, UserRegisters& registers);

Result<void> register_rseq(Thread& self, uint64_t address, uint32_t size, uint32_t signature);
Result<void> unregister_rseq(Thread& self, uint64_t address, uint32_t size, uint32_t signature);

}  // namespace occlum
