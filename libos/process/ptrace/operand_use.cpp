#include "libos/process/ptrace/operand_use.h"

#include <array>

#include "libos/process/ptrace/opcode_set.h"

namespace occlum {
namespace {

using Map = Instruction::Map;
using Vector = Instruction::Vector;
using Use = OperandUse;

constexpr Use reads(uint32_t size) { return {.size = size, .reads = true}; }
constexpr Use writes(uint32_t size) { return {.size = size, .writes = true}; }
constexpr Use changes(uint32_t size) { return {.size = size, .reads = true, .writes = true}; }
constexpr Use kNone = {};
constexpr Use kUnknown = {.is_known = false};

uint32_t word_size(const Prefixes& prefixes) { return prefixes.w() ? 8 : 4; }

// D8 to DF by ModRM's reg: bytes, negative when they are written.
constexpr std::array<std::array<int16_t, 8>, 8> kX87 = {{{4, 4, 4, 4, 4, 4, 4, 4},
                                                         {4, 0, -4, -4, 28, 2, -28, -2},
                                                         {4, 4, 4, 4, 4, 4, 4, 4},
                                                         {4, -4, -4, -4, 0, 10, 0, -10},
                                                         {8, 8, 8, 8, 8, 8, 8, 8},
                                                         {8, -8, -8, -8, 108, 0, -108, -2},
                                                         {2, 2, 2, 2, 2, 2, 2, 2},
                                                         {2, -2, -2, -2, 10, 8, -10, -8}}};

Use x87_use(uint8_t opcode, uint8_t reg) {
  const int size = kX87[opcode - 0xd8][reg];
  return size < 0 ? writes(static_cast<uint32_t>(-size)) : reads(static_cast<uint32_t>(size));
}

// FE and FF.
Use group5_use(const Instruction& instruction, uint32_t size) {
  constexpr uint8_t kDecrement = 1, kCall = 2, kJump = 4, kPush = 6;
  switch (instruction.reg) {
    case 0:
    case kDecrement:
      return changes(size);
    case kCall:
    case kJump:
      return reads(8);
    case kPush:
      return reads(stack_size(instruction.prefixes));
    default:
      return kUnknown;
  }
}

Use one_byte_use(const Instruction& instruction) {
  constexpr OpcodeSet kReads =
      arithmetic(2, 3) |
      set_of({{0x38, 0x39}, {0x69, 0x69}, {0x6b, 0x6b}, {0x84, 0x85}, {0x8a, 0x8b}});
  constexpr OpcodeSet kWrites = set_of({{0x88, 0x89}, {0xc6, 0xc7}});
  constexpr OpcodeSet kByte = arithmetic(0, 0) | arithmetic(2, 2) |
                              set_of({{0x80, 0x80},
                                      {0x84, 0x84},
                                      {0x86, 0x86},
                                      {0x88, 0x88},
                                      {0x8a, 0x8a},
                                      {0xc0, 0xc0},
                                      {0xc6, 0xc6},
                                      {0xd0, 0xd0},
                                      {0xd2, 0xd2},
                                      {0xf6, 0xf6},
                                      {0xfe, 0xfe}});
  constexpr uint8_t kCompare = 7;
  const uint8_t opcode = instruction.opcode, reg = instruction.reg;
  const uint32_t size = contains(kByte, opcode) ? 1 : operand_size(instruction.prefixes);
  if (contains(kReads, opcode)) return reads(size);
  if (contains(kWrites, opcode)) return writes(size);
  if (opcode >= 0xd8 && opcode <= 0xdf) return x87_use(opcode, reg);
  switch (opcode) {
    case 0x63:
      return reads(4);
    case 0x80:
    case 0x81:
    case 0x83:
      return reg == kCompare ? reads(size) : changes(size);
    case 0x8c:
      return writes(2);
    case 0x8d:  // LEA
      return kNone;
    case 0x8e:
      return reads(2);
    case 0x8f:
      return writes(stack_size(instruction.prefixes));
    case 0xf6:
    case 0xf7:
      return reg == 2 || reg == 3 ? changes(size) : reads(size);  // NOT, NEG
    case 0xfe:
    case 0xff:
      return group5_use(instruction, size);
    default:
      return changes(size);
  }
}

// The opcodes of map 0F that a mandatory prefix makes scalar: F3 for the half of F2's size.
uint32_t sse_size(const Instruction& instruction) {
  constexpr OpcodeSet kScalar =
      set_of({{0x10, 0x11}, {0x51, 0x53}, {0x58, 0x5a}, {0x5c, 0x5f}, {0xc2, 0xc2}});
  constexpr OpcodeSet kHalves = set_of({{0x12, 0x13}, {0x16, 0x17}, {0xd6, 0xd6}});
  constexpr OpcodeSet kMmx =
      set_of({{0x60, 0x6b}, {0x6f, 0x70}, {0x74, 0x76}, {0x7f, 0x7f}, {0xd1, 0xff}});
  const Prefixes& prefixes = instruction.prefixes;
  const uint8_t opcode = instruction.opcode;
  const bool has_none = !prefixes.operand_16 && !prefixes.f2 && !prefixes.f3;
  const uint32_t full = instruction.vector == Vector::kNone ? 16 : instruction.vector_bytes;
  if (contains(kScalar, opcode) && (prefixes.f2 || prefixes.f3)) return prefixes.f2 ? 8 : 4;
  if (contains(kHalves, opcode) && !prefixes.f2 && !prefixes.f3) return 8;
  if (opcode == 0x12 && prefixes.f2) return 8;
  if (contains(kMmx, opcode) && has_none && instruction.vector == Vector::kNone) return 8;
  switch (opcode) {
    case 0x2a:
      return prefixes.f2 || prefixes.f3 ? word_size(prefixes) : 8;
    case 0x2c:
    case 0x2d:
      return prefixes.operand_16 ? 16 : prefixes.f3 ? 4 : 8;
    case 0x2e:
    case 0x2f:
      return prefixes.operand_16 ? 8 : 4;
    case 0x5a:
      return has_none ? full / 2 : full;
    case 0x6e:
      return word_size(prefixes);
    case 0x7e:
      return prefixes.f3 ? 8 : word_size(prefixes);
    case 0xc3:
      return word_size(prefixes);
    case 0xc4:
      return 2;
    case 0xe6:
      return prefixes.f3 ? full / 2 : full;
    default:
      return full;
  }
}

// 0F AE: FXSAVE, FXRSTOR, LDMXCSR, STMXCSR; the others depend on masks.
Use group15_use(uint8_t reg) {
  constexpr uint32_t kFxsaveSize = 512, kControlSize = 4;
  constexpr std::array<Use, 4> kUses = {writes(kFxsaveSize), reads(kFxsaveSize),
                                        reads(kControlSize), writes(kControlSize)};
  return reg < kUses.size() ? kUses[reg] : kUnknown;
}

Use map_0f_use(const Instruction& instruction) {
  constexpr OpcodeSet kNoAccess = set_of({{0x0d, 0x0d}, {0x18, 0x1f}});  // prefetches and NOPs
  constexpr OpcodeSet kSystem = set_of({{0x00, 0x01}, {0x78, 0x79}});
  constexpr OpcodeSet kWordReads =
      set_of({{0x02, 0x03}, {0x40, 0x4f}, {0xa3, 0xa3}, {0xaf, 0xaf}, {0xb8, 0xb8}, {0xbc, 0xbd}});
  constexpr OpcodeSet kWordChanges =
      set_of({{0xa4, 0xa5}, {0xab, 0xad}, {0xb1, 0xb1}, {0xb3, 0xb3}, {0xbb, 0xbb}, {0xc1, 0xc1}});
  constexpr OpcodeSet kVectorWrites = set_of({{0x11, 0x11},
                                              {0x13, 0x13},
                                              {0x17, 0x17},
                                              {0x29, 0x29},
                                              {0x2b, 0x2b},
                                              {0x7f, 0x7f},
                                              {0xc3, 0xc3},
                                              {0xd6, 0xd6},
                                              {0xe7, 0xe7}});
  const uint8_t opcode = instruction.opcode, reg = instruction.reg;
  const Prefixes& prefixes = instruction.prefixes;
  const uint32_t size = operand_size(prefixes);
  if (contains(kNoAccess, opcode)) return kNone;
  if (contains(kSystem, opcode)) return kUnknown;
  if (contains(kWordReads, opcode)) return reads(size);
  if (contains(kWordChanges, opcode)) return changes(size);
  if (contains(kVectorWrites, opcode)) return writes(sse_size(instruction));
  if (opcode >= 0x90 && opcode <= 0x9f) return writes(1);
  switch (opcode) {
    case 0x7e:
      return prefixes.f3 ? reads(8) : writes(word_size(prefixes));
    case 0xae:
      return group15_use(reg);
    case 0xb0:
    case 0xc0:
      return changes(1);
    case 0xb6:
    case 0xbe:
      return reads(1);
    case 0xb7:
    case 0xbf:
      return reads(2);
    case 0xba:
      return reg == 4 ? reads(size) : changes(size);
    case 0xc7:
      return reg == 1 ? changes(2 * word_size(prefixes)) : kUnknown;
    default:
      return reads(sse_size(instruction));
  }
}

Use map_0f38_use(const Instruction& instruction) {
  constexpr std::array<uint8_t, 6> kParts = {2, 4, 8, 2, 4, 2};  // PMOVSX and PMOVZX: of the vector
  const Prefixes& prefixes = instruction.prefixes;
  const uint8_t opcode = instruction.opcode;
  const uint32_t size = operand_size(prefixes);
  const uint8_t column = opcode & 15;
  if (((opcode & 0xf0) == 0x20 || (opcode & 0xf0) == 0x30) && column < kParts.size())
    return reads(16U / kParts[column]);
  switch (opcode) {
    case 0xf0:
      return reads(prefixes.f2 ? 1 : size);  // CRC32 of a byte, MOVBE
    case 0xf1:
      return prefixes.f2 ? reads(size) : writes(size);
    case 0xf6:
      return reads(word_size(prefixes));
    case 0xf9:
      return writes(word_size(prefixes));
    case 0xf8:
      return kUnknown;
    default:
      return reads(prefixes.operand_16 ? 16 : 8);
  }
}

Use map_0f3a_use(const Instruction& instruction) {
  switch (instruction.opcode) {
    case 0x0a:
    case 0x21:
      return reads(4);
    case 0x0b:
      return reads(8);
    case 0x14:
      return writes(1);
    case 0x15:
      return writes(2);
    case 0x16:
      return writes(word_size(instruction.prefixes));
    case 0x17:
      return writes(4);
    case 0x20:
      return reads(1);
    case 0x22:
      return reads(word_size(instruction.prefixes));
    default:
      return reads(instruction.prefixes.operand_16 ? 16 : 8);
  }
}

// The vector moves that the C library copies and clears memory with, and AVX's forms of SSE.
Use vector_use(const Instruction& instruction) {
  constexpr OpcodeSet kMoves =
      set_of({{0x10, 0x11}, {0x28, 0x29}, {0x2b, 0x2b}, {0x6f, 0x6f}, {0x7f, 0x7f}, {0xe7, 0xe7}});
  constexpr OpcodeSet kMasks = set_of({{0x90, 0x93}, {0xae, 0xae}});
  const uint8_t opcode = instruction.opcode;
  if (instruction.map != Map::k0f || contains(kMasks, opcode)) return kUnknown;
  if (instruction.vector == Vector::kEvex) {
    const bool is_scalar = opcode <= 0x11 && (instruction.prefixes.f2 || instruction.prefixes.f3);
    if (!contains(kMoves, opcode) || instruction.is_masked || is_scalar) return kUnknown;
  }
  return map_0f_use(instruction);
}

}  // namespace

Use use_of_operand(const Instruction& instruction) {
  if (instruction.vector != Vector::kNone) return vector_use(instruction);
  switch (instruction.map) {
    case Map::kOneByte:
      return one_byte_use(instruction);
    case Map::k0f:
      return map_0f_use(instruction);
    case Map::k0f38:
      return map_0f38_use(instruction);
    case Map::k0f3a:
      return map_0f3a_use(instruction);
    case Map::kOther:
      return kUnknown;
  }
  return kUnknown;
}

}  // namespace occlum
