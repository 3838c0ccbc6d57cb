// The signal frame on a program's stack, as Linux lays it out on x86-64 (arch/x86 signal_64.c, uapi sigcontext.h and
// ucontext.h). Unwinders, language runtimes and debuggers read and change it, so every byte is in its place.
//
//   higher   the interrupted stack, 128 bytes of red zone
//            vector state: XSAVE area, 64-byte aligned, FP_XSTATE_MAGIC2 behind it
//            SignalFrame, its address 8 below a multiple of 16, as after a call
#pragma once

#include <array>
#include <cstdint>

#include "libos/arch/registers.h"
#include "libos/lib/result.h"
#include "libos/process/signals/actions.h"
#include "libos/process/signals/signal.h"
#include "libos/process/thread.h"

namespace occlum {

struct SignalContext {  // struct sigcontext_64
  uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
  uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
  uint16_t cs, gs, fs, ss;
  uint64_t error_code, trap_number, old_mask, fault_address;
  uint64_t xstate;  // address, 0: none
  std::array<uint64_t, 8> reserved;
};
static_assert(sizeof(SignalContext) == 256);

struct UserContext {  // struct ucontext
  uint64_t flags;
  uint64_t link;
  SignalStack stack;
  SignalContext registers;
  SignalSet mask;
};
static_assert(sizeof(UserContext) == 304);

struct UserSignalInfo {  // siginfo_t
  SignalInfo info;
  std::array<uint64_t, 10> zero = {};
};
static_assert(sizeof(UserSignalInfo) == 128);

struct SignalFrame {  // struct rt_sigframe
  uint64_t return_address;
  UserContext context;
  UserSignalInfo info;
};
static_assert(sizeof(SignalFrame) == 440);

constexpr uint64_t kContextHasXstate = 1, kContextHasSs = 2, kContextStrictSs = 4;

// struct _fpx_sw_bytes, in bytes 464..511 of the XSAVE area's legacy part.
struct XstateNote {
  uint32_t magic1;
  uint32_t extended_size;  // with magic2
  uint64_t features;
  uint32_t size;
  std::array<uint32_t, 7> padding;
};
static_assert(sizeof(XstateNote) == 48);
constexpr uint32_t kXstateMagic1 = 0x46505853, kXstateMagic2 = 0x46505845;
constexpr size_t kXstateNoteOffset = 464, kLegacyXstateSize = 512;

constexpr uint16_t kUserCs = 0x33, kUserSs = 0x2b;
constexpr int32_t kOnStack = 1, kStackDisable = 2;
constexpr int32_t kStackAutoDisarm = INT32_MIN;

// Where the pieces go below `stack_pointer`, which is the top of the alternate stack or the program's own without the
// red zone.
struct FrameLayout {
  uint64_t xstate;
  uint64_t frame;
};
constexpr FrameLayout lay_out_frame(uint64_t stack_pointer, size_t xstate_bytes) {
  const uint64_t xstate = (stack_pointer - (xstate_bytes + sizeof(kXstateMagic2))) & ~uint64_t{63};
  const uint64_t frame = ((xstate - sizeof(SignalFrame)) & ~uint64_t{15}) - 8;
  return {.xstate = xstate, .frame = frame};
}

// True when `stack_pointer` lies on the stack and SS_AUTODISARM does not hide it.
bool is_on_signal_stack(const SignalStack& stack, uint64_t stack_pointer);

// Builds the frame and points the registers at the handler. kFault: no room; the registers are untouched.
Result<void> push_signal_frame(Thread& self, UserRegisters& registers, const SignalInfo& info,
                               const SignalAction& action);

// rt_sigreturn(2): restores what the frame below RSP says, made safe. kFault: a bad frame.
Result<void> pop_signal_frame(Thread& self, UserRegisters& registers);

// MINSIGSTKSZ for this processor (AT_MINSIGSTKSZ).
uint64_t minimum_signal_stack_size();

}  // namespace occlum
