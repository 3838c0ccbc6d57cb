#include "libos/process/ptrace/access.h"

#include "libos/process/ptrace/opcode_set.h"
#include "libos/process/ptrace/operand_use.h"

namespace occlum {
namespace {

using Map = Instruction::Map;

// BT, BTS, BTR and BTC with a register: the bit may lie anywhere.
bool has_bit_offset(const Instruction& instruction) {
  constexpr OpcodeSet kBits = set_of({{0xa3, 0xa3}, {0xab, 0xab}, {0xb3, 0xb3}, {0xbb, 0xbb}});
  return instruction.map == Map::k0f && contains(kBits, instruction.opcode);
}

void add_operand(const Instruction& instruction, UserRegisters& registers, MemoryAccesses& out) {
  const OperandUse use = use_of_operand(instruction);
  const bool pops = instruction.map == Map::kOneByte && instruction.opcode == 0x8f;
  if (!use.is_known || instruction.prefixes.gs || has_bit_offset(instruction) || pops) {
    out.is_exact = false;
    return;
  }
  out.add({.address =
               address_of_operand(instruction.memory, registers, registers.rip + instruction.size),
           .size = use.size,
           .reads = use.reads,
           .writes = use.writes});
}

// What PUSH, POP, CALL, RET, ENTER and LEAVE do.
void add_stack(const Instruction& instruction, UserRegisters& registers, MemoryAccesses& out) {
  constexpr OpcodeSet kPushes =
      set_of({{0x50, 0x57}, {0x68, 0x68}, {0x6a, 0x6a}, {0x9c, 0x9c}, {0xc8, 0xc8}, {0xe8, 0xe8}});
  constexpr OpcodeSet kPops = set_of({{0x58, 0x5f}, {0x8f, 0x8f}, {0x9d, 0x9d}, {0xc2, 0xc3}});
  constexpr OpcodeSet kSegments = set_of({{0xa0, 0xa1}, {0xa8, 0xa9}});
  constexpr uint8_t kLeave = 0xc9, kGroup5 = 0xff, kCall = 2, kPush = 6;
  const uint8_t opcode = instruction.opcode;
  const bool is_one_byte = instruction.map == Map::kOneByte;
  const bool is_segment = instruction.map == Map::k0f && contains(kSegments, opcode);
  const bool pushes =
      (is_one_byte &&
       (contains(kPushes, opcode) ||
        (opcode == kGroup5 && (instruction.reg == kCall || instruction.reg == kPush)))) ||
      (is_segment && (opcode & 1) == 0);
  const bool pops = (is_one_byte && contains(kPops, opcode)) || (is_segment && (opcode & 1) != 0);
  const uint32_t size = stack_size(instruction.prefixes);
  if (pushes) out.add({.address = registers.rsp - size, .size = size, .writes = true});
  if (pops) out.add({.address = registers.rsp, .size = size, .reads = true});
  if (is_one_byte && opcode == kLeave)
    out.add({.address = registers.rbp, .size = size, .reads = true});
}

// MOVS, CMPS, STOS, LODS, SCAS: from RSI, to or with RDI.
void add_string(const Instruction& instruction, UserRegisters& registers, MemoryAccesses& out) {
  constexpr OpcodeSet kFromSource = set_of({{0xa4, 0xa7}, {0xac, 0xad}});
  constexpr OpcodeSet kToDestination = set_of({{0xa4, 0xa5}, {0xaa, 0xab}});
  constexpr OpcodeSet kWithDestination = set_of({{0xa6, 0xa7}, {0xae, 0xaf}});
  constexpr uint64_t kDirectionFlag = 0x400;
  const uint8_t opcode = instruction.opcode;
  const Prefixes& prefixes = instruction.prefixes;
  if (!is_string_instruction(instruction)) return;
  if (prefixes.address_32 || prefixes.gs) {
    out.is_exact = false;
    return;
  }
  const uint32_t size = (opcode & 1) == 0 ? 1 : operand_size(prefixes);
  out.is_repeated = prefixes.f2 || prefixes.f3;
  out.goes_down = (registers.rflags & kDirectionFlag) != 0;
  if (out.is_repeated) out.repetitions = registers.rcx;
  const uint64_t source = registers.rsi + (prefixes.fs ? registers.fs_base : 0);
  if (contains(kFromSource, opcode)) out.add({.address = source, .size = size, .reads = true});
  if (contains(kToDestination, opcode))
    out.add({.address = registers.rdi, .size = size, .writes = true});
  if (contains(kWithDestination, opcode))
    out.add({.address = registers.rdi, .size = size, .reads = true});
}

// XLAT, the moves between RAX and an address in the instruction, and MASKMOV.
bool has_other_operand(const Instruction& instruction) {
  constexpr OpcodeSet kOther = set_of({{0xa0, 0xa3}, {0xd7, 0xd7}});
  if (instruction.map == Map::kOneByte) return contains(kOther, instruction.opcode);
  return instruction.map == Map::k0f && instruction.opcode == 0xf7 && !instruction.has_memory;
}

}  // namespace

bool is_string_instruction(const Instruction& instruction) {
  constexpr OpcodeSet kStrings = set_of({{0xa4, 0xa7}, {0xaa, 0xaf}});
  return instruction.map == Map::kOneByte && contains(kStrings, instruction.opcode);
}

MemoryAccesses accesses_of(const Instruction& instruction, UserRegisters& registers) {
  MemoryAccesses out;
  if (has_other_operand(instruction)) out.is_exact = false;
  if (instruction.has_memory) add_operand(instruction, registers, out);
  add_stack(instruction, registers, out);
  add_string(instruction, registers, out);
  return out;
}

}  // namespace occlum
