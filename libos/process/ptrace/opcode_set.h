// Sets of opcodes of one map, for the tables of instruction.cpp and access.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>

namespace occlum {

// One bit an opcode, 32 in a word.
using OpcodeSet = std::array<uint32_t, 8>;
constexpr bool contains(const OpcodeSet& set, uint8_t opcode) {
  return (set[opcode / 32] >> (opcode % 32) & 1) != 0;
}
constexpr void add(OpcodeSet& set, unsigned first, unsigned last) {
  for (unsigned opcode = first; opcode <= last; ++opcode)
    set[opcode / 32] |= uint32_t{1} << (opcode % 32);
}
constexpr OpcodeSet set_of(std::initializer_list<std::pair<unsigned, unsigned>> ranges) {
  OpcodeSet set = {};
  for (const auto& [first, last] : ranges) add(set, first, last);
  return set;
}
constexpr OpcodeSet arithmetic(unsigned first, unsigned last) {
  OpcodeSet set = {};
  for (unsigned row = 0; row < 0x40; row += 8) add(set, row + first, row + last);
  return set;
}
constexpr OpcodeSet operator|(OpcodeSet a, const OpcodeSet& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] |= b[i];
  return a;
}

}  // namespace occlum
