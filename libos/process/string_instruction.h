// MOVS, CMPS, STOS, LODS and SCAS, done by the LibOS (SDM vol. 2; for what, see out_of_line.h).
#pragma once

#include "libos/arch/registers.h"
#include "libos/process/ptrace/instruction.h"

namespace occlum {

class AddressSpace;

// Does as much of a string instruction as is reasonable at once, at least one element; the rest, if any, is the same
// instruction. False: it is no such instruction, or its first element faults: nothing has changed.
bool do_string_instruction(AddressSpace& memory, const Instruction& instruction,
                           UserRegisters& registers);

}  // namespace occlum
