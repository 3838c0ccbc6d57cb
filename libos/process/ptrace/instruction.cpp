#include "libos/process/ptrace/instruction.h"

#include <array>

#include "libos/process/ptrace/opcode_set.h"

namespace occlum {
namespace {

// Reads bytes one by one; past the end everything fails.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> code)
      : code_(code.first(std::min(code.size(), kLongestInstruction))) {}
  uint8_t peek() const { return at_ < code_.size() ? std::to_integer<uint8_t>(code_[at_]) : 0; }
  uint8_t next() {
    const uint8_t byte = peek();
    ++at_;
    return byte;
  }
  int64_t number(size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= uint64_t{next()} << (8 * i);
    if (size == 1) return static_cast<int8_t>(value);
    if (size == 2) return static_cast<int16_t>(value);
    if (size == 4) return static_cast<int32_t>(value);
    return static_cast<int64_t>(value);
  }
  bool is_whole() const { return at_ <= code_.size(); }
  size_t size() const { return at_; }

 private:
  std::span<const std::byte> code_;
  size_t at_ = 0;
};

// The one-byte map.
constexpr OpcodeSet kInvalid = set_of({{0x06, 0x07},
                                       {0x0e, 0x0e},
                                       {0x16, 0x17},
                                       {0x1e, 0x1f},
                                       {0x27, 0x27},
                                       {0x2f, 0x2f},
                                       {0x37, 0x37},
                                       {0x3f, 0x3f},
                                       {0x60, 0x61},
                                       {0x82, 0x82},
                                       {0x9a, 0x9a},
                                       {0xce, 0xce},
                                       {0xd4, 0xd6},
                                       {0xea, 0xea}});
constexpr OpcodeSet kHasModrm = arithmetic(0, 3) | set_of({{0x63, 0x63},
                                                           {0x69, 0x69},
                                                           {0x6b, 0x6b},
                                                           {0x80, 0x8f},
                                                           {0xc0, 0xc1},
                                                           {0xc6, 0xc7},
                                                           {0xd0, 0xd3},
                                                           {0xd8, 0xdf},
                                                           {0xf6, 0xf7},
                                                           {0xfe, 0xff}});
constexpr OpcodeSet kByteImmediate = arithmetic(4, 4) | set_of({{0x6a, 0x6b},
                                                                {0x70, 0x80},
                                                                {0x83, 0x83},
                                                                {0xa8, 0xa8},
                                                                {0xb0, 0xb7},
                                                                {0xc0, 0xc1},
                                                                {0xc6, 0xc6},
                                                                {0xcd, 0xcd},
                                                                {0xe0, 0xe7},
                                                                {0xeb, 0xeb}});
constexpr OpcodeSet kWideImmediate =
    arithmetic(5, 5) | set_of({{0x68, 0x69}, {0x81, 0x81}, {0xa9, 0xa9}, {0xc7, 0xc7}});
// 0F xx.
constexpr OpcodeSet kInvalid0f = set_of({{0x04, 0x04},
                                         {0x0a, 0x0a},
                                         {0x0c, 0x0c},
                                         {0x0f, 0x0f},
                                         {0x24, 0x27},
                                         {0x36, 0x36},
                                         {0x39, 0x39},
                                         {0x3b, 0x3f}});
constexpr OpcodeSet kNoModrm0f = set_of({{0x05, 0x09},
                                         {0x0b, 0x0b},
                                         {0x0e, 0x0e},
                                         {0x30, 0x37},
                                         {0x77, 0x77},
                                         {0x80, 0x8f},
                                         {0xa0, 0xa2},
                                         {0xa8, 0xaa},
                                         {0xc8, 0xcf}});
constexpr OpcodeSet kByteImmediate0f =
    set_of({{0x70, 0x73}, {0xa4, 0xa4}, {0xac, 0xac}, {0xba, 0xba}, {0xc2, 0xc2}, {0xc4, 0xc6}});

Prefixes read_prefixes(Reader& in) {
  Prefixes found;
  while (true) {
    switch (in.peek()) {
      case 0x66:
        found.operand_16 = true;
        break;
      case 0x67:
        found.address_32 = true;
        break;
      case 0x64:
        found.fs = true;
        break;
      case 0x65:
        found.gs = true;
        break;
      case 0x26:
      case 0x2e:
      case 0x36:
      case 0x3e:
      case 0xf0:
        break;
      case 0xf2:
        found.f2 = true;
        break;
      case 0xf3:
        found.f3 = true;
        break;
      default:
        if ((in.peek() & 0xf0) == 0x40) found.rex = in.next();
        return found;
    }
    (void)in.next();
  }
}

struct Modrm {
  uint8_t mode = 0, reg = 0, rm = 0;
  MemoryOperand memory;
};

Modrm decode_modrm(Reader& in, const Prefixes& prefixes) {
  const uint8_t byte = in.next();
  Modrm modrm{.mode = static_cast<uint8_t>(byte >> 6),
              .reg = static_cast<uint8_t>(byte >> 3 & 7),
              .rm = static_cast<uint8_t>(byte & 7),
              .memory = {}};
  if (modrm.mode == 3) return modrm;
  MemoryOperand& memory = modrm.memory;
  memory.uses_fs = prefixes.fs;
  memory.is_32bit = prefixes.address_32;
  bool has_base = true;
  uint8_t base = modrm.rm;
  if (modrm.rm == 4) {
    const uint8_t sib = in.next();
    memory.shift = sib >> 6;
    const auto index = static_cast<uint8_t>((sib >> 3 & 7) | prefixes.x());
    if (index != 4) memory.index = index;
    base = sib & 7;
    has_base = !(base == 5 && modrm.mode == 0);
  } else if (modrm.rm == 5 && modrm.mode == 0) {
    memory.is_rip_relative = true;
    has_base = false;
  }
  if (has_base) memory.base = static_cast<uint8_t>(base | prefixes.b());
  if (modrm.mode == 1) memory.displacement = static_cast<int32_t>(in.number(1));
  if (modrm.mode == 2 || !has_base) memory.displacement = static_cast<int32_t>(in.number(4));
  return modrm;
}

using Flow = Instruction::Flow;
using Map = Instruction::Map;

Modrm read_modrm(Reader& in, Instruction& out) {
  out.modrm_at = static_cast<uint8_t>(in.size());
  const Modrm modrm = decode_modrm(in, out.prefixes);
  out.modrm_size = static_cast<uint8_t>(in.size() - out.modrm_at);
  out.reg = modrm.reg;
  out.has_memory = modrm.mode != 3;
  out.memory = modrm.memory;
  return modrm;
}

void read_immediate(Reader& in, uint8_t opcode, const Prefixes& prefixes, const Modrm& modrm,
                    Instruction& out) {
  const size_t wide = prefixes.operand_16 ? 2 : 4;
  if (contains(kByteImmediate, opcode)) {
    out.target = in.number(1);
  } else if (contains(kWideImmediate, opcode)) {
    out.target = in.number(wide);
  } else if (opcode >= 0xb8 && opcode <= 0xbf) {
    (void)in.number(prefixes.w() ? 8 : wide);
  } else if (opcode >= 0xa0 && opcode <= 0xa3) {
    (void)in.number(prefixes.address_32 ? 4 : 8);
  } else if (opcode == 0xc2 || opcode == 0xca) {
    out.immediate = static_cast<uint16_t>(in.number(2));
  } else if (opcode == 0xc8) {
    (void)in.number(2);
    (void)in.number(1);
  } else if (opcode == 0xe8 || opcode == 0xe9) {
    out.target = in.number(4);  // Intel's processors ignore 66h here
  } else if ((opcode == 0xf6 || opcode == 0xf7) && modrm.reg <= 1) {
    (void)in.number(opcode == 0xf6 ? 1 : wide);
  }
}

void set_indirect(const Prefixes& prefixes, const Modrm& modrm, Instruction& out) {
  out.flow = modrm.reg == 2 ? Flow::kIndirectCall : Flow::kIndirectJump;
  if (modrm.mode == 3) {
    out.target_register = static_cast<uint8_t>(modrm.rm | prefixes.b());
  } else if (prefixes.gs) {
    out.flow = Flow::kUnknown;
  }
}

void set_flow(uint8_t opcode, const Prefixes& prefixes, const Modrm& modrm, Instruction& out) {
  if (opcode >= 0x70 && opcode <= 0x7f) {
    out.flow = Flow::kCondition;
    out.condition = opcode & 15;
  } else if (opcode >= 0xe0 && opcode <= 0xe3) {
    out.flow = prefixes.address_32 ? Flow::kUnknown : Flow::kLoop;
    out.condition = opcode & 3;
  } else if (opcode == 0xe8) {
    out.flow = Flow::kCall;
  } else if (opcode == 0xe9 || opcode == 0xeb) {
    out.flow = Flow::kJump;
  } else if (opcode == 0xc2 || opcode == 0xc3) {
    out.flow = Flow::kReturn;
  } else if (opcode == 0xff && (modrm.reg == 2 || modrm.reg == 4)) {
    set_indirect(prefixes, modrm, out);
  } else if (opcode == 0xc7 && modrm.mode == 3 && modrm.reg == 7 && modrm.rm == 0) {
    out.flow = Flow::kTransaction;
  }
}

bool read_one_byte_map(Reader& in, uint8_t opcode, Instruction& out) {
  const Prefixes& prefixes = out.prefixes;
  if (contains(kInvalid, opcode)) return false;
  Modrm modrm;
  out.opcode = opcode;
  if (contains(kHasModrm, opcode)) modrm = read_modrm(in, out);
  read_immediate(in, opcode, prefixes, modrm, out);
  set_flow(opcode, prefixes, modrm, out);
  return true;
}

bool read_two_byte_map(Reader& in, Instruction& out) {
  const uint8_t opcode = out.opcode = in.next();
  out.map = Map::k0f;
  if (opcode == 0x38 || opcode == 0x3a) {
    out.map = opcode == 0x38 ? Map::k0f38 : Map::k0f3a;
    out.opcode = in.next();
    (void)read_modrm(in, out);
    if (opcode == 0x3a) (void)in.number(1);
    return true;
  }
  if (contains(kInvalid0f, opcode)) return false;
  if (!contains(kNoModrm0f, opcode)) (void)read_modrm(in, out);
  if (contains(kByteImmediate0f, opcode)) (void)in.number(1);
  if (opcode == 0x05) out.flow = Flow::kSystemCall;
  if (opcode >= 0x80 && opcode <= 0x8f) {
    out.target = in.number(4);
    out.flow = Flow::kCondition;
    out.condition = opcode & 15;
  }
  return true;
}

// What the payload of VEX and EVEX says instead of prefixes: R, X and B inverted, W, and 66, F3 or F2.
void take_vector_prefixes(uint8_t inverted_rxb, uint8_t w_and_prefix, Prefixes& prefixes) {
  prefixes.rex = static_cast<uint8_t>((~inverted_rxb >> 5 & 7) | (w_and_prefix >> 4 & 8));
  prefixes.operand_16 = (w_and_prefix & 3) == 1;
  prefixes.f3 = (w_and_prefix & 3) == 2;
  prefixes.f2 = (w_and_prefix & 3) == 3;
}

// VEX and EVEX: never branches.
bool read_vector(Reader& in, uint8_t first, Instruction& out) {
  unsigned map = 1;
  out.vector = first == 0x62 ? Instruction::Vector::kEvex : Instruction::Vector::kVex;
  const uint8_t payload = in.next();
  uint8_t length = 0;
  if (first == 0xc5) {
    take_vector_prefixes(payload | 0x60, payload & 0x7f, out.prefixes);
    length = payload >> 2 & 1;
  } else {
    map = payload & (first == 0xc4 ? 0x1f : 7);
    const uint8_t second = in.next();
    take_vector_prefixes(payload, second, out.prefixes);
    length = second >> 2 & 1;
  }
  if (first == 0x62) {
    const uint8_t third = in.next();
    length = third >> 5 & 3;
    out.is_masked = (third & 0x17) != 0;
  }
  out.vector_bytes = static_cast<uint8_t>(16 << length);
  out.opcode = in.next();
  if (map == 0 || map > 7) return false;
  out.map = map <= 3 ? static_cast<Map>(map) : Map::kOther;
  if (map == 1 && out.opcode == 0x77 && first != 0x62) return true;  // VZEROUPPER
  const Modrm modrm = read_modrm(in, out);
  // EVEX counts a short displacement in vectors, for whatever access.h makes use of.
  if (first == 0x62 && modrm.mode == 1) out.memory.displacement *= out.vector_bytes;
  if (map == 3 || (map == 1 && contains(kByteImmediate0f, out.opcode))) (void)in.number(1);
  return true;
}

}  // namespace

std::optional<Instruction> decode_instruction(std::span<const std::byte> code) {
  Reader in(code);
  Instruction out;
  out.prefixes = read_prefixes(in);
  const uint8_t opcode = in.next();
  const bool is_known = opcode == 0x0f ? read_two_byte_map(in, out)
                        : opcode == 0xc4 || opcode == 0xc5 || opcode == 0x62
                            ? read_vector(in, opcode, out)
                            : read_one_byte_map(in, opcode, out);
  if (!is_known || !in.is_whole()) return std::nullopt;
  out.size = static_cast<uint8_t>(in.size());
  return out;
}

uint64_t& register_number(UserRegisters& r, uint8_t number) {
  const std::array<uint64_t*, 16> all = {&r.rax, &r.rcx, &r.rdx, &r.rbx, &r.rsp, &r.rbp,
                                         &r.rsi, &r.rdi, &r.r8,  &r.r9,  &r.r10, &r.r11,
                                         &r.r12, &r.r13, &r.r14, &r.r15};
  return *all[number];
}

bool condition_holds(uint8_t condition, uint64_t flags) {
  const bool carry = (flags & 1) != 0, parity = (flags & 4) != 0, zero = (flags & 0x40) != 0,
             sign = (flags & 0x80) != 0, overflow = (flags & 0x800) != 0;
  const std::array<bool, 8> conditions = {overflow,
                                          carry,
                                          zero,
                                          carry || zero,
                                          sign,
                                          parity,
                                          sign != overflow,
                                          zero || sign != overflow};
  return conditions[condition >> 1] != ((condition & 1) != 0);
}

uint64_t address_of_operand(const MemoryOperand& operand, UserRegisters& registers, uint64_t next) {
  uint64_t address = static_cast<uint64_t>(int64_t{operand.displacement});
  if (operand.is_rip_relative) address += next;
  if (operand.base) address += register_number(registers, *operand.base);
  if (operand.index) address += register_number(registers, *operand.index) << operand.shift;
  if (operand.is_32bit) address = static_cast<uint32_t>(address);
  if (operand.uses_fs) address += registers.fs_base;
  return address;
}

}  // namespace occlum
