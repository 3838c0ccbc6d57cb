// Debug registers: DR0 to DR3 with an address each, DR6 and DR7 (SDM vol. 3, 18.2), as PTRACE_POKEUSER sets them.
//
// The processor's own are the host's, and suppressed in an enclave. So a thread that has one enabled goes on in single
// steps (step.cpp), of which its tracer is told only those that do what it watches for: an instruction at a breakpoint's
// address before it is executed, unless RF is set; an access to watched bytes after it. As the processor's, they are
// for the thread alone, and what a system call does to memory is nobody's access.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "libos/lib/result.h"
#include "libos/process/ptrace/access.h"

namespace occlum {

class AddressSpace;

constexpr size_t kWatchSlots = 4;

struct DebugState {
  struct Slot {
    bool is_used = false, is_enabled = false;
    uint8_t type = 0, length = 0;  // DR7's R/W and LEN
    uint64_t address = 0;
  };
  std::array<Slot, kWatchSlots> slots = {};
  uint64_t status = 0;   // DR6, where a bit that is always set is 0
  uint64_t control = 0;  // DR7

  // --- of the instruction that is being stepped over ---
  MemoryAccesses accesses = {};
  std::array<uint64_t, kWatchSlots> before = {};  // what was there, if its accesses are not known
};

namespace ptrace {

constexpr uint64_t kResumeFlag = 0x10000;  // RF

uint64_t debug_register(const DebugState& state, size_t number);
// Errors: kInval, what the processor or Linux does not take; kIo: DR4, DR5.
Result<void> set_debug_register(DebugState& state, size_t number, uint64_t value);

bool is_watching(const DebugState& state);
// The slots with a breakpoint at the address; bit n for DRn, as in DR6.
uint64_t breakpoints_at(const DebugState& state, uint64_t address);
// Before and after an instruction: the slots that it triggered.
void note_accesses(DebugState& state, AddressSpace& memory, const Instruction& instruction,
                   UserRegisters& registers);
uint64_t watchpoints_hit(const DebugState& state, AddressSpace& memory,
                         const UserRegisters& registers);

}  // namespace ptrace
}  // namespace occlum
