// How an instruction accesses its memory operand: the opcode maps of SDM vol. 2, appendix A, as far as access.h says.
#pragma once

#include <cstdint>

#include "libos/process/ptrace/instruction.h"

namespace occlum {

struct OperandUse {
  uint32_t size = 0;
  bool reads = false, writes = false;
  bool is_known = true;
};
OperandUse use_of_operand(const Instruction& instruction);

// Of a general operand, and of what PUSH and POP move.
constexpr uint32_t operand_size(const Prefixes& prefixes) {
  if (prefixes.w()) return 8;
  return prefixes.operand_16 ? 2 : 4;
}
constexpr uint32_t stack_size(const Prefixes& prefixes) { return prefixes.operand_16 ? 2 : 8; }

}  // namespace occlum
