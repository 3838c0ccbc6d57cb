#include "libos/process/rewrite/syscall_site.h"

#include <algorithm>

#include "libos/lib/bytes.h"

namespace occlum {
namespace {

constexpr uint32_t kSigreturn = 15;
constexpr uint32_t kNumberLimit = 1024;       // far above Linux's highest, far below any address
constexpr uint64_t kSyscallEntryOffset = 72;  // VcpuBlock::syscall_entry

constexpr uint8_t kMovEax = 0xb8, kRexW = 0x48, kMovImmediate = 0xc7, kModRax = 0xc0;

// The three bytes before `b8 imm32`, last one first. True when b8 may not be the opcode of `mov $imm,%eax` but the end
// of something that starts before it.
bool is_ambiguous(uint8_t last, uint8_t second, uint8_t third, uint32_t number, uint64_t r8) {
  // 41 b8 imm32: mov $imm,%r8d (REX.B, whatever R and X say). Then R8 has the number, too.
  const bool rex_b = last == 0x41 || last == 0x43 || last == 0x45 || last == 0x47;
  if (rex_b && r8 == number) return true;
  // op modrm b8 imm32, op modrm sib b8 imm32: the -72 of an address, before an immediate of ADD..CMP, IMUL, MOV, TEST.
  const auto takes_immediate = [](uint8_t op) {
    return op == 0x81 || op == 0x69 || op == 0xc7 || op == 0xf7;
  };
  const bool short_displacement = (last & 0xc0) == 0x40 && (last & 7) != 4;
  if (short_displacement && takes_immediate(second)) return true;
  const bool with_sib = (second & 0xc7) == 0x44;
  if (with_sib && takes_immediate(third)) return true;
  // op b8 disp32, op modrm b8 disp32: b8 as the ModRM or SIB byte of an address from RAX. That is a small number here,
  // so an access would have faulted, and only LEA can stand before the syscall; or RAX was loaded by it.
  if (last == 0x8d || (last & 0xc7) == 0x84) return true;
  // 0f b8: POPCNT's opcode.
  return last == 0x0f;
}

uint32_t distance(uint64_t from, uint64_t to) { return static_cast<uint32_t>(to - from); }

constexpr std::byte operator""_b(unsigned long long value) { return static_cast<std::byte>(value); }

}  // namespace

std::optional<SyscallSite> find_syscall_site(std::span<const std::byte, kSiteWindow> before,
                                             uint64_t syscall_at, uint64_t rax, uint64_t r8) {
  const auto at = [&](size_t back) { return std::to_integer<uint8_t>(before[kSiteWindow - back]); };
  const uint32_t number = load_le<uint32_t>(before.last<4>());
  if (rax != number || number == kSigreturn || number >= kNumberLimit) return std::nullopt;
  if (at(7) == kRexW && at(6) == kMovImmediate && at(5) == kModRax) {
    return SyscallSite{.start = syscall_at - 7, .number = number, .mov_size = 7};
  }
  if (at(5) != kMovEax || is_ambiguous(at(6), at(7), at(8), number, r8)) return std::nullopt;
  return SyscallSite{.start = syscall_at - 5, .number = number, .mov_size = 5};
}

std::array<std::byte, kStubSize> encode_stub(const SyscallSite& site, uint64_t stub) {
  std::array<std::byte, kStubSize> code = {
      0xb8_b, 0_b,    0_b,    0_b,    0_b,                 // mov $number,%eax
      0x48_b, 0x8d_b, 0x0d_b, 0_b,    0_b, 0_b, 0_b,       // lea return_address(%rip),%rcx
      0x65_b, 0xff_b, 0x24_b, 0x25_b, 0_b, 0_b, 0_b, 0_b,  // jmp *%gs:entry
  };
  const std::span<std::byte> bytes(code);
  store_le<uint32_t>(bytes.subspan(1), site.number);
  store_le<uint32_t>(bytes.subspan(8), distance(stub + 12, site.return_address()));
  store_le<uint32_t>(bytes.subspan(16), kSyscallEntryOffset);
  return code;
}

std::array<std::byte, kJumpSize> encode_jump(const SyscallSite& site, uint64_t stub) {
  std::array<std::byte, kJumpSize> code = {0xe9_b, 0_b, 0_b, 0_b, 0_b};
  store_le<uint32_t>(std::span(code).subspan(1), distance(site.jump_at() + kJumpSize, stub));
  return code;
}

std::array<std::byte, kJumpSize> encode_mov(const SyscallSite& site) {
  std::array<std::byte, kJumpSize> code = {0xb8_b, 0_b, 0_b, 0_b, 0_b};
  if (site.mov_size == 5) {
    store_le<uint32_t>(std::span(code).subspan(1), site.number);
  } else {  // the last byte of the number was left alone
    code = {0xc7_b, 0xc0_b, static_cast<std::byte>(site.number),
            static_cast<std::byte>(site.number >> 8), static_cast<std::byte>(site.number >> 16)};
  }
  return code;
}

}  // namespace occlum
