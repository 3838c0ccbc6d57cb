// Which memory an instruction accesses, for watchpoints and for what is executed out of line (out_of_line.h).
//
// Exact for what compilers and the C library make: the integer instructions, the stack, strings, x87, SSE, and plain
// moves of AVX and AVX-512. Of the others (gathers, scatters, masked moves, XSAVE) only what changes memory is seen.
#pragma once

#include <array>
#include <cstdint>

#include "libos/arch/registers.h"
#include "libos/process/ptrace/instruction.h"

namespace occlum {

struct MemoryAccess {
  uint64_t address = 0;
  uint32_t size = 0;  // of one element of a string
  bool reads = false, writes = false;
};

struct MemoryAccesses {
  std::array<MemoryAccess, 3> all;
  uint8_t count = 0;
  bool is_exact = true;
  bool is_repeated = false;  // RCX times
  bool goes_down = false;    // DF
  uint64_t repetitions = 1;  // at most

  void add(MemoryAccess access) {
    if (access.size != 0) all[count++] = access;
  }
};

// MOVS, CMPS, STOS, LODS, SCAS, with whatever prefixes.
bool is_string_instruction(const Instruction& instruction);

// Of an instruction that is about to be executed.
MemoryAccesses accesses_of(const Instruction& instruction, UserRegisters& registers);

}  // namespace occlum
