// x86-64 instructions as far as single steps and what is executed out of line need them: how long one is, where control
// goes, and which memory it accesses (access.h). (Intel SDM vol. 2, chapter 2 and the opcode maps of appendix A)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "libos/arch/registers.h"

namespace occlum {

constexpr size_t kLongestInstruction = 15;

struct Prefixes {
  bool operand_16 = false, address_32 = false, fs = false, gs = false, f2 = false, f3 = false;
  uint8_t rex = 0;
  bool w() const { return (rex & 8) != 0; }
  uint8_t x() const { return (rex & 2) != 0 ? 8 : 0; }
  uint8_t b() const { return (rex & 1) != 0 ? 8 : 0; }
};

struct MemoryOperand {
  std::optional<uint8_t> base, index;  // register numbers
  uint8_t shift = 0;
  int32_t displacement = 0;
  bool is_rip_relative = false, uses_fs = false, is_32bit = false;
};

struct Instruction {
  enum class Flow : uint8_t {
    kNext,        // the following one, or a fault
    kSystemCall,  // the LibOS does it
    kJump,        // to `target` behind the instruction
    kCondition,   // to `target` if `condition` holds
    kLoop,        // LOOPNE, LOOPE, LOOP, JRCXZ by `condition`
    kCall,        // of `target`
    kReturn,      // and gives up `immediate` bytes more
    kIndirectJump,
    kIndirectCall,
    kTransaction,  // XBEGIN: a step aborts it, so it goes to `target`
    kUnknown,      // GS, or an operand that cannot be computed
  };
  enum class Map : uint8_t { kOneByte, k0f, k0f38, k0f3a, kOther };
  enum class Vector : uint8_t { kNone, kVex, kEvex };
  uint8_t size = 0;
  uint8_t modrm_at = 0, modrm_size = 0;  // the ModRM byte with SIB and displacement
  Prefixes prefixes;                     // for VEX and EVEX those that they stand for
  Map map = Map::kOneByte;
  Vector vector = Vector::kNone;
  uint8_t vector_bytes = 0;
  bool is_masked = false;  // EVEX: with an opmask, or one element for all
  uint8_t opcode = 0;
  uint8_t reg = 0;  // ModRM's, without its fourth bit
  bool has_memory = false;
  Flow flow = Flow::kNext;
  uint8_t condition = 0;
  int64_t target = 0;  // relative to the following instruction
  uint16_t immediate = 0;
  std::optional<uint8_t> target_register;  // of an indirect branch; else `memory`
  MemoryOperand memory;                    // ModRM's
};

// Of the bytes at a program's RIP: empty when they are not a whole instruction of 64-bit mode.
std::optional<Instruction> decode_instruction(std::span<const std::byte> code);

// By SDM numbering: 0 RAX, 1 RCX, ..., 15 R15.
uint64_t& register_number(UserRegisters& registers, uint8_t number);
bool condition_holds(uint8_t condition, uint64_t flags);
uint64_t address_of_operand(const MemoryOperand& operand, UserRegisters& registers, uint64_t next);

}  // namespace occlum
