// The registers of a program, as saved when it enters the LibOS and restored when it goes back.
// The order is fixed: entry_raw_noinstr.S and restore write them by offset.
#pragma once

#include <cstddef>
#include <cstdint>

namespace occlum {

struct UserRegisters {
  uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
  uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
  uint64_t rip, rflags, fs_base, gs_base;
  uint64_t
      original_rax;  // the system call's number while RAX already holds a result; UINT64_MAX outside a call
  uint64_t reserved;  // keeps the size a multiple of 16
};
static_assert(sizeof(UserRegisters) == 176);
static_assert(offsetof(UserRegisters, rip) == 128);

}  // namespace occlum
