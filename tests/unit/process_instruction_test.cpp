// Instruction lengths and branches, as single-stepping needs them. Compared once with objdump over the text of libc,
// libm and gdb (1.9 million instructions, all alike); here one of each kind.
#include <gtest/gtest.h>

#include <vector>

#include "libos/process/ptrace/instruction.cpp"

namespace occlum {
namespace {

std::optional<Instruction> decode(std::initializer_list<int> bytes) {
  std::vector<std::byte> code;
  for (const int byte : bytes) code.push_back(static_cast<std::byte>(byte));
  return decode_instruction(code);
}

int size_of(std::initializer_list<int> bytes) {
  const auto found = decode(bytes);
  return found ? found->size : 0;
}

TEST(Instruction, Sizes) {
  EXPECT_EQ(size_of({0x90}), 1);
  EXPECT_EQ(size_of({0xf3, 0x0f, 0x1e, 0xfa}), 4);                        // endbr64
  EXPECT_EQ(size_of({0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}), 10);           // movabs
  EXPECT_EQ(size_of({0x66, 0xb8, 1, 2}), 4);                              // mov $,%ax
  EXPECT_EQ(size_of({0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 2, 0, 0}), 10);  // nopw
  EXPECT_EQ(size_of({0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0}), 9);   // mov %fs:0x28
  EXPECT_EQ(size_of({0x48, 0xc7, 0x44, 0x24, 8, 1, 0, 0, 0}), 9);         // movq $,8(%rsp)
  EXPECT_EQ(size_of({0xf6, 0x05, 0, 0, 0, 0, 1}), 7);                     // testb $,(%rip)
  EXPECT_EQ(size_of({0xf6, 0xd8}), 2);                                    // neg %al
  EXPECT_EQ(size_of({0xc8, 1, 2, 3}), 4);                                 // enter
  EXPECT_EQ(size_of({0x66, 0x0f, 0x3a, 0x0f, 0xc1, 8}), 6);               // palignr
  EXPECT_EQ(size_of({0xc5, 0xf8, 0x77}), 3);                              // vzeroupper
  EXPECT_EQ(size_of({0xc4, 0xe3, 0x7d, 0x39, 0xc1, 1}), 6);               // vextracti128
  EXPECT_EQ(size_of({0x62, 0xf1, 0x7c, 0x48, 0x10, 0x40, 1}), 7);         // vmovups
  EXPECT_EQ(size_of({0x62, 0xf3, 0x7d, 0x48, 0x3f, 0xc9, 0}), 7);         // vpcmpb
}

TEST(Instruction, NoInstruction) {
  EXPECT_FALSE(decode({}));
  EXPECT_FALSE(decode({0x06}));
  EXPECT_FALSE(decode({0xe8, 0, 0}));
  EXPECT_FALSE(decode({0x48}));
  EXPECT_FALSE(decode({0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                       0x66, 0x66, 0x90}));
}

TEST(Instruction, Branches) {
  using Flow = Instruction::Flow;
  EXPECT_EQ(decode({0x0f, 0x05})->flow, Flow::kSystemCall);
  EXPECT_EQ(decode({0xeb, 0xfe})->flow, Flow::kJump);
  EXPECT_EQ(decode({0xeb, 0xfe})->target, -2);
  EXPECT_EQ(decode({0x0f, 0x8f, 0, 1, 0, 0})->condition, 15);
  EXPECT_EQ(decode({0x0f, 0x8f, 0, 1, 0, 0})->target, 256);
  EXPECT_EQ(decode({0xe3, 2})->flow, Flow::kLoop);
  EXPECT_EQ(decode({0xe8, 1, 0, 0, 0})->flow, Flow::kCall);
  EXPECT_EQ(decode({0xf3, 0xc3})->flow, Flow::kReturn);
  EXPECT_EQ(decode({0xc2, 8, 0})->immediate, 8);
  EXPECT_EQ(*decode({0x41, 0xff, 0xe3})->target_register, 11);
  EXPECT_EQ(decode({0x65, 0xff, 0x24, 0x25, 72, 0, 0, 0})->flow, Flow::kUnknown);
  EXPECT_EQ(decode({0x48, 0xff, 0x20})->flow, Flow::kIndirectJump);
  EXPECT_EQ(decode({0xff, 0xc0})->flow, Flow::kNext);  // inc
  EXPECT_EQ(decode({0xc7, 0xf8, 0, 0, 0, 0})->flow, Flow::kTransaction);
}

TEST(Instruction, Operands) {
  UserRegisters registers = {};
  registers.rbp = 0x1000;
  registers.rdx = 3;
  registers.r12 = 0x20;
  const auto address = [&](std::initializer_list<int> bytes) {
    const auto found = decode(bytes);
    return address_of_operand(found->memory, registers, 0x5000);
  };
  EXPECT_EQ(address({0xff, 0x64, 0xd5, 0xc8}), 0x1000u + 24 - 56);  // jmp *-56(%rbp,%rdx,8)
  EXPECT_EQ(address({0xff, 0x15, 0x10, 0, 0, 0}), 0x5010u);         // call *0x10(%rip)
  EXPECT_EQ(address({0x41, 0xff, 0x24, 0x24}), 0x20u);              // jmp *(%r12)
  EXPECT_EQ(address({0xff, 0x24, 0xd5, 0, 1, 0, 0}), 0x100u + 24);  // jmp *0x100(,%rdx,8)
  EXPECT_EQ(address({0xff, 0x24, 0x25, 0, 1, 0, 0}), 0x100u);       // jmp *0x100
}

TEST(Instruction, Conditions) {
  constexpr uint64_t kZero = 0x40, kCarry = 1, kSign = 0x80, kOverflow = 0x800;
  EXPECT_TRUE(condition_holds(4, kZero));   // je
  EXPECT_FALSE(condition_holds(5, kZero));  // jne
  EXPECT_TRUE(condition_holds(6, kCarry));  // jbe
  EXPECT_TRUE(condition_holds(12, kSign));  // jl
  EXPECT_FALSE(condition_holds(12, kSign | kOverflow));
  EXPECT_TRUE(condition_holds(15, 0));      // jg
  EXPECT_TRUE(condition_holds(14, kZero));  // jle
}

}  // namespace
}  // namespace occlum
