// What a system call looks like in a program's text, and what its replacement looks like: bytes in, bytes out.
// (Intel SDM vol. 2: MOV, JMP, LEA, SYSCALL; design, section 6, shape 1)
//
//   site   b8 imm32             mov $number,%eax     becomes   e9 rel32      jmp stub
//          0f 05                syscall              stays: a jump to it still works, by a trap
//   or     48 c7 c0 imm32       mov $number,%rax     becomes   48 e9 rel32   jmp stub   (the last byte stays, unused)
//          0f 05
//   stub   b8 imm32             mov $number,%eax
//          48 8d 0d rel32       lea behind_the_syscall(%rip),%rcx
//          65 ff 24 25 disp32   jmp *%gs:72          the LibOS's fast entry: sets R11 to the flags, touches no stack
//
// In both forms exactly the five bytes from jump_at() on change. A jump to the second byte of the long form, which is
// `mov $number,%eax` without its prefix, still works.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace occlum {

struct SyscallSite {
  uint64_t start = 0;  // of the mov
  uint32_t number = 0;
  uint8_t mov_size = 0;  // 5 or 7 bytes

  constexpr uint64_t jump_at() const { return start + (mov_size == 7 ? 1 : 0); }
  constexpr uint64_t syscall_at() const { return start + mov_size; }
  constexpr uint64_t return_address() const { return syscall_at() + 2; }
  bool operator==(const SyscallSite&) const = default;
};

constexpr size_t kJumpSize = 5;
constexpr size_t kStubSize = 20;
// What is looked at before a `syscall`: the longest form and three bytes more.
constexpr size_t kSiteWindow = 10;

// Recognises the site whose `syscall` lies at `syscall_at` and has just trapped with these values in RAX and R8.
//
// x86 cannot be read backwards, so that the bytes look like the instruction does not yet mean that they are one; the
// registers at the trap, and the few instructions whose ends look alike, settle it. rt_sigreturn is never a site:
// unwinders know signal frames by these very bytes.
std::optional<SyscallSite> find_syscall_site(std::span<const std::byte, kSiteWindow> before,
                                             uint64_t syscall_at, uint64_t rax, uint64_t r8);

// How far a stub may lie from its site, a mebibyte less than a jump reaches.
constexpr uint64_t kStubReach = (uint64_t{1} << 31) - (uint64_t{1} << 20);
constexpr bool is_in_reach(uint64_t stub, uint64_t site) {
  return (stub > site ? stub - site : site - stub) < kStubReach;
}

// These two need is_in_reach(stub, site.start).
std::array<std::byte, kStubSize> encode_stub(const SyscallSite& site, uint64_t stub);
std::array<std::byte, kJumpSize> encode_jump(const SyscallSite& site, uint64_t stub);
// What was there before the jump.
std::array<std::byte, kJumpSize> encode_mov(const SyscallSite& site);

// A store to [address, address + size) is one atomic access when it lies in one aligned 16 bytes.
constexpr bool is_atomic_store(uint64_t address, size_t size) { return address % 16 + size <= 16; }

}  // namespace occlum
