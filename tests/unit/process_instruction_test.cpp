// Instruction lengths, branches and accesses, as single-stepping needs them. Compared once with objdump over the text of libc,
// libm and gdb (1.9 million instructions, all alike); here one of each kind.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "libos/process/ptrace/access.cpp"
#include "libos/process/ptrace/instruction.cpp"
#include "libos/process/ptrace/operand_use.cpp"

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

// What an instruction accesses from RBX on, with all other registers 0: "R4+8" reads 4 bytes at RBX + 8.
std::string accesses(std::initializer_list<int> bytes) {
  constexpr uint64_t kBase = 0x1000;
  UserRegisters registers = {};
  registers.rbx = registers.rsp = registers.rsi = registers.rdi = kBase;
  registers.rcx = 3;
  const MemoryAccesses found = accesses_of(*decode(bytes), registers);
  std::string text = found.is_exact ? "" : "?";
  for (size_t i = 0; i < found.count; ++i) {
    const MemoryAccess& access = found.all[i];
    text += access.reads ? "R" : "";
    text += access.writes ? "W" : "";
    text += std::to_string(access.size * found.repetitions);
    const auto offset = static_cast<int64_t>(access.address - kBase);
    if (offset != 0) text += (offset > 0 ? "+" : "") + std::to_string(offset);
    text += i + 1 < found.count ? " " : "";
  }
  return text;
}

TEST(Instruction, Accesses) {
  EXPECT_EQ(accesses({0x89, 0x43, 0x08}), "W4+8");                         // mov %eax,8(%rbx)
  EXPECT_EQ(accesses({0x48, 0x8b, 0x43, 0xf8}), "R8-8");                   // mov -8(%rbx),%rax
  EXPECT_EQ(accesses({0x48, 0x8d, 0x43, 0xf8}), "");                       // lea
  EXPECT_EQ(accesses({0x66, 0xff, 0x03}), "RW2");                          // incw (%rbx)
  EXPECT_EQ(accesses({0x80, 0x3b, 5}), "R1");                              // cmpb $5,(%rbx)
  EXPECT_EQ(accesses({0x80, 0x33, 5}), "RW1");                             // xorb $5,(%rbx)
  EXPECT_EQ(accesses({0x89, 0xc3}), "");                                   // mov %eax,%ebx
  EXPECT_EQ(accesses({0x53}), "W8-8");                                     // push
  EXPECT_EQ(accesses({0xff, 0x33}), "R8 W8-8");                            // push (%rbx)
  EXPECT_EQ(accesses({0xff, 0x13}), "R8 W8-8");                            // call *(%rbx)
  EXPECT_EQ(accesses({0xc3}), "R8");                                       // ret
  EXPECT_EQ(accesses({0xa5}), "R4 W4");                                    // movsl
  EXPECT_EQ(accesses({0xf3, 0x48, 0xab}), "W24");                          // rep stosq
  EXPECT_EQ(accesses({0xdb, 0x3b}), "W10");                                // fstpt (%rbx)
  EXPECT_EQ(accesses({0x0f, 0x94, 0x03}), "W1");                           // sete (%rbx)
  EXPECT_EQ(accesses({0x48, 0x0f, 0xc7, 0x0b}), "RW16");                   // cmpxchg16b (%rbx)
  EXPECT_EQ(accesses({0x0f, 0xab, 0x03}), "?");                            // bts %eax,(%rbx)
  EXPECT_EQ(accesses({0xf3, 0x0f, 0x11, 0x03}), "W4");                     // movss
  EXPECT_EQ(accesses({0x66, 0x0f, 0x7f, 0x03}), "W16");                    // movdqa
  EXPECT_EQ(accesses({0xc5, 0xfe, 0x7f, 0x43, 0x20}), "W32+32");           // vmovdqu %ymm0
  EXPECT_EQ(accesses({0xc4, 0xc1, 0x7e, 0x6f, 0x03}), "R32-4096");         // vmovdqu (%r11)
  EXPECT_EQ(accesses({0x62, 0xf1, 0xfe, 0x48, 0x7f, 0x43, 1}), "W64+64");  // vmovdqu64 %zmm0
  EXPECT_EQ(accesses({0x62, 0xf1, 0xfe, 0x49, 0x7f, 0x03}), "?");          // with an opmask
  EXPECT_EQ(accesses({0xc4, 0xe2, 0x7d, 0x2e, 0x03}), "?");                // vmaskmovps
  EXPECT_EQ(accesses({0x0f, 0xae, 0x23}), "?");                            // xsave
}

}  // namespace
}  // namespace occlum
