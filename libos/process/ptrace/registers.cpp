#include "libos/process/ptrace/registers.h"

#include "libos/arch/memory.h"
#include "libos/lib/memory.h"
#include "libos/mm/user.h"
#include "libos/process/signals/frame.h"

namespace occlum::ptrace {
namespace {

// What a debugger may change: those of a signal frame, and NT.
constexpr uint64_t kSettableFlags = 0x54dd5;
constexpr uint64_t kTrapFlag = 0x100;

enum Index : size_t {
  kOriginalRax = 15,
  kRip = 16,
  kCs = kUserCsIndex,
  kFlags = 18,
  kSs = 20,
  kFsBase = 21,
  kGsBase = 22,
  kDs = 23,
  kGs = 26,
};

// In the order of struct user_regs_struct; null for what has rules of its own.
constexpr std::array<uint64_t UserRegisters::*, kRegisterWords> kPlain = {
    &UserRegisters::r15,
    &UserRegisters::r14,
    &UserRegisters::r13,
    &UserRegisters::r12,
    &UserRegisters::rbp,
    &UserRegisters::rbx,
    &UserRegisters::r11,
    &UserRegisters::r10,
    &UserRegisters::r9,
    &UserRegisters::r8,
    &UserRegisters::rax,
    &UserRegisters::rcx,
    &UserRegisters::rdx,
    &UserRegisters::rsi,
    &UserRegisters::rdi,
    &UserRegisters::original_rax,
    nullptr,
    nullptr,
    nullptr,
    &UserRegisters::rsp};

}  // namespace

// GS is the LibOS's: the program has none.
RegisterWords words_of(const UserRegisters& registers) {
  RegisterWords words = {};
  for (size_t i = 0; i < kRegisterWords; ++i) {
    if (kPlain[i] != nullptr) words[i] = registers.*kPlain[i];
  }
  words[kRip] = registers.rip;
  words[kCs] = kUserCs;
  words[kFlags] = registers.rflags;
  words[kSs] = kUserSs;
  words[kFsBase] = registers.fs_base;
  return words;
}

// The bytes that XSAVE leaves to software name the features, as in a signal frame.
Result<void> copy_xstate(TaskContext& context, std::span<std::byte> to) {
  const std::span<const std::byte> area = context.xstate();
  if (to.size() > area.size()) return Errno::kInval;
  copy_bytes(to, area.first(to.size()));
  constexpr size_t kNoteSize = kLegacyXstateSize - kXstateNoteOffset;
  zero_bytes(to.subspan(kXstateNoteOffset, kNoteSize));
  if (to.size() == kFloatSize) return {};
  return write_object(to.subspan(kXstateNoteOffset), xstate_features());
}

Result<void> set_word(UserRegisters& registers, size_t index, uint64_t value) {
  if (kPlain[index] != nullptr) {
    registers.*kPlain[index] = value;
    return {};
  }
  switch (index) {
    case kRip:
      // Elsewhere is the LibOS.
      if (!user_range().contains(value) && value >= 0x10000) return Errno::kIo;
      registers.rip = value;
      return {};
    case kFlags:
      // A program's own trap flag has no effect in an enclave.
      registers.rflags =
          (registers.rflags & ~kSettableFlags) | (value & kSettableFlags & ~kTrapFlag);
      return {};
    case kFsBase:
      if (value >= kTaskSizeMax) return Errno::kIo;
      registers.fs_base = value;
      return {};
    case kCs:
      if (value != kUserCs) return Errno::kIo;
      return {};
    case kSs:
      if (value != kUserSs) return Errno::kIo;
      return {};
    default:
      if (value != 0) return Errno::kIo;
      return {};
  }
}

}  // namespace occlum::ptrace
