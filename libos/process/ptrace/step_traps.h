// The int3s behind instructions that are stepped over (step.cpp). Text is shared: several threads may need one at the same
// place, which is there until the last of them is done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "libos/lib/result.h"
#include "libos/process/ptrace/instruction.h"

namespace occlum {

class AddressSpace;

namespace ptrace {

// False: none can be there, or no memory is left.
bool place_trap(AddressSpace& memory, uint64_t at);
void remove_trap(AddressSpace& memory, uint64_t at);
// The program's text as it is without them. Errors: kFault.
Result<void> read_text(AddressSpace& memory, std::span<std::byte> to, uint64_t from);
// The instruction there and its bytes, which may end where the mapping does; none: executing it faults.
std::optional<Instruction> read_instruction(AddressSpace& memory, uint64_t rip,
                                            std::span<std::byte, kLongestInstruction> text);
// Of an int3 that was executed: no program or debugger wrote it.
bool is_step_trap(const AddressSpace& memory, uint64_t at);

}  // namespace ptrace
}  // namespace occlum
