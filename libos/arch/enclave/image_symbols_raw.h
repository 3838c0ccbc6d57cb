// What the linker and the assembly know: where the LibOS's text and its tables are.
// Invariant: the labels are only turned into numbers; the fixup table is read between the linker's two symbols.
#pragma once

#include <cstdint>
#include <span>

#include "abi/enclave_image.h"

namespace occlum {

struct Fixup {
  uint64_t from, to;  // [from, to): the instruction that may fault
  uint64_t target;
};

extern "C" {
// Labels in entry_raw_noinstr.S: addresses, never called from C++.
extern const char restore_begin[];
extern const char restore_end[];
extern const char restart_user_return[];
extern const char user_exception_entry[];
extern const char user_tick_entry[];
extern const char libos_fault_entry[];
extern const char syscall_fast_entry[];
extern const char enclave_entry[];
extern const char vcpu_trampoline[];
extern const char task_trampoline[];
// The linker's.
extern const char __executable_start[];
extern const char etext[];
extern const Fixup __start_fixups[];
extern const Fixup __stop_fixups[];
}

inline uint64_t code_address(const char* label) { return reinterpret_cast<uint64_t>(label); }

// Nothing of a program lies at or above the configuration segment, so the LibOS's text is all there is up there.
inline bool in_libos_text(uint64_t address) {
  return address >= abi::kLibosImageBase && address < code_address(etext);
}

// The phase 1 stack is used from its top by phase 1 itself; a panic uses it from the middle.
constexpr uint64_t kPanicStackOffset = 8 * 1024;

inline std::span<const Fixup> fixups() {
#pragma clang unsafe_buffer_usage begin
  return {__start_fixups, __stop_fixups};
#pragma clang unsafe_buffer_usage end
}

}  // namespace occlum
