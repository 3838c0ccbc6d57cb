// A thread's registers as debuggers know them (uapi asm/user_64.h: struct user_regs_struct, struct user).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "libos/arch/registers.h"
#include "libos/arch/task_context.h"
#include "libos/lib/result.h"

namespace occlum::ptrace {

constexpr size_t kRegisterWords = 27;
using RegisterWords = std::array<uint64_t, kRegisterWords>;  // struct user_regs_struct
constexpr size_t kFloatSize = 512;                           // struct user_fpregs_struct

constexpr size_t kUserSize = 928;        // sizeof(struct user)
constexpr size_t kDebugRegisters = 848;  // offsetof(struct user, u_debugreg)
constexpr size_t kUserCsIndex = 17;
constexpr size_t kFsBaseOffset = 168;  // offsetof(struct user, regs.fs_base)

RegisterWords words_of(const UserRegisters& registers);
// The legacy area or the whole of XSAVE's standard format, as much as there is room for, of a thread that does not run.
// kInval: there is less.
Result<void> copy_xstate(TaskContext& context, std::span<std::byte> to);
// One of the words. Errors: kIo, what no program may have.
Result<void> set_word(UserRegisters& registers, size_t index, uint64_t value);

}  // namespace occlum::ptrace
