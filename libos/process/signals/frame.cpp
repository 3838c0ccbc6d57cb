#include "libos/process/signals/frame.h"

#include "libos/arch/memory.h"
#include "libos/arch/task_context.h"
#include "libos/lib/memory.h"
#include "libos/process/process.h"

namespace occlum {
namespace {

constexpr uint64_t kRedZone = 128;

// What a handler's frame may change: AC RF OF DF TF SF ZF AF PF CF (FIX_EFLAGS).
constexpr uint64_t kRestorableFlags = 0x50dd5;
constexpr uint64_t kDirectionFlag = 0x400, kTrapFlag = 0x100, kResumeFlag = 0x10000;

SignalContext context_of(const UserRegisters& r, const Thread::Trap& trap, SignalSet mask) {
  return SignalContext{.r8 = r.r8,
                       .r9 = r.r9,
                       .r10 = r.r10,
                       .r11 = r.r11,
                       .r12 = r.r12,
                       .r13 = r.r13,
                       .r14 = r.r14,
                       .r15 = r.r15,
                       .rdi = r.rdi,
                       .rsi = r.rsi,
                       .rbp = r.rbp,
                       .rbx = r.rbx,
                       .rdx = r.rdx,
                       .rax = r.rax,
                       .rcx = r.rcx,
                       .rsp = r.rsp,
                       .rip = r.rip,
                       .rflags = r.rflags,
                       .cs = kUserCs,
                       .gs = 0,
                       .fs = 0,
                       .ss = kUserSs,
                       .error_code = trap.error_code,
                       .trap_number = trap.number,
                       .old_mask = mask.bits(),
                       .fault_address = trap.address,
                       .xstate = 0,
                       .reserved = {}};
}

void load_context(UserRegisters& r, const SignalContext& c) {
  r.r8 = c.r8, r.r9 = c.r9, r.r10 = c.r10, r.r11 = c.r11;
  r.r12 = c.r12, r.r13 = c.r13, r.r14 = c.r14, r.r15 = c.r15;
  r.rdi = c.rdi, r.rsi = c.rsi, r.rbp = c.rbp, r.rbx = c.rbx;
  r.rdx = c.rdx, r.rax = c.rax, r.rcx = c.rcx, r.rsp = c.rsp;
  r.rip = c.rip;
  r.rflags = (r.rflags & ~kRestorableFlags) | (c.rflags & kRestorableFlags);
  r.original_rax = UINT64_MAX;
}

// The area as XSAVE wrote it, with the kernel's note in the bytes that XSAVE leaves to software.
Result<void> push_xstate(Thread& self, uint64_t at) {
  const std::span<std::byte> area = self.context().xstate();
  const size_t size = xstate_size();
  const XstateNote note{.magic1 = kXstateMagic1,
                        .extended_size = static_cast<uint32_t>(size + sizeof(kXstateMagic2)),
                        .features = xstate_features(),
                        .size = static_cast<uint32_t>(size),
                        .padding = {}};
  AddressSpace& memory = self.memory();
  TRY(copy_to_user(memory, UserAddress(at), area.first(size)));
  TRY(copy_to_user(memory, UserAddress(at + kXstateNoteOffset), bytes_of(note)));
  return copy_to_user(memory, UserAddress(at + size), bytes_of(kXstateMagic2));
}

// A frame without a note, or with a wrong one, holds the legacy part only, as after FXSAVE.
Result<void> read_xstate(Thread& self, uint64_t at) {
  AddressSpace& memory = self.memory();
  const size_t size = xstate_size();
  XstateNote note;
  TRY(copy_from_user(memory, bytes_of(note), UserAddress(at + kXstateNoteOffset)));
  uint32_t magic2 = 0;
  bool is_extended = note.magic1 == kXstateMagic1 && note.size >= kLegacyXstateSize + 64 &&
                     note.size <= size && note.extended_size >= note.size + sizeof(magic2);
  if (is_extended) {
    TRY(copy_from_user(memory, bytes_of(magic2), UserAddress(at + note.size)));
    is_extended = magic2 == kXstateMagic2;
  }
  const std::span<std::byte> area = self.context().xstate().first(size);
  zero_bytes(area);
  const size_t present = is_extended ? note.size : kLegacyXstateSize;
  TRY(copy_from_user(memory, area.first(present), UserAddress(at)));
  if (!is_extended) {
    constexpr uint64_t kX87AndSse = 3;
    TRY(write_object(area.subspan(kLegacyXstateSize), kX87AndSse));
  }
  return sanitize_xstate(area);
}

Result<void> pop_xstate(Thread& self, uint64_t at) {
  if (at == 0) {
    self.context().reset_xstate();
    return {};
  }
  const Result<void> read = read_xstate(self, at);
  // Half a state must not reach the processor.
  if (read.is_error()) {
    self.context().reset_xstate();
    return Errno::kFault;
  }
  return {};
}

}  // namespace

bool is_on_signal_stack(const SignalStack& stack, uint64_t stack_pointer) {
  if ((stack.flags & kStackAutoDisarm) != 0) return false;
  return stack.size != 0 && stack_pointer > stack.address &&
         stack_pointer - stack.address <= stack.size;
}

uint64_t minimum_signal_stack_size() {
  return sizeof(SignalFrame) + 24 + xstate_size() + sizeof(kXstateMagic2) + 64 + kRedZone;
}

Result<void> push_signal_frame(Thread& self, UserRegisters& registers, const SignalInfo& info,
                               const SignalAction& action) {
  SignalStack& stack = self.signal_stack;
  uint64_t stack_pointer = registers.rsp - kRedZone;
  const bool was_on = is_on_signal_stack(stack, registers.rsp);
  bool is_on = was_on;
  if ((action.flags & kSaOnStack) != 0 && !was_on && stack.size != 0) {
    stack_pointer = stack.address + stack.size;
    is_on = true;
  }
  const FrameLayout layout = lay_out_frame(stack_pointer, xstate_size());
  if (is_on && (layout.frame <= stack.address || layout.frame - stack.address > stack.size)) {
    return Errno::kFault;  // the alternate stack is full
  }

  const SignalSet mask = self.take_saved_mask().value_or(self.signal_mask());
  SignalFrame frame = {};
  frame.return_address = action.restorer;
  frame.context.flags = kContextHasXstate | kContextHasSs | kContextStrictSs;
  frame.context.stack = stack;
  frame.context.stack.flags = (stack.flags & kStackAutoDisarm) |
                              (stack.size == 0 ? kStackDisable : (was_on ? kOnStack : 0));
  frame.context.registers = context_of(registers, self.last_trap, mask);
  frame.context.registers.xstate = layout.xstate;
  frame.context.mask = mask;
  frame.info.info = info;

  Result<void> pushed = push_xstate(self, layout.xstate);
  if (!pushed.is_error()) {
    pushed = copy_to_user(self.memory(), UserAddress(layout.frame), bytes_of(frame));
  }
  if (pushed.is_error()) return Errno::kFault;

  constexpr uint64_t kContextOffset = offsetof(SignalFrame, context),
                     kInfoOffset = offsetof(SignalFrame, info);
  registers.rdi = static_cast<uint64_t>(info.signal);
  registers.rsi = layout.frame + kInfoOffset;
  registers.rdx = layout.frame + kContextOffset;
  registers.rax = 0;
  registers.rip = action.handler;
  registers.rsp = layout.frame;
  registers.rflags &= ~(kDirectionFlag | kTrapFlag | kResumeFlag);
  registers.original_rax = UINT64_MAX;
  if ((stack.flags & kStackAutoDisarm) != 0) stack = SignalStack{};

  SignalSet blocked = self.signal_mask() | action.mask;
  if ((action.flags & kSaNoDefer) == 0) blocked.add(info.signal);
  self.set_signal_mask(blocked);
  return {};
}

Result<void> pop_signal_frame(Thread& self, UserRegisters& registers) {
  // The handler's return popped the frame's first word.
  SignalFrame frame;
  TRY(copy_from_user(self.memory(), bytes_of(frame),
                     UserAddress(registers.rsp - sizeof(uint64_t))));
  const UserContext& context = frame.context;
  if (!user_range().contains(context.registers.rip)) return Errno::kFault;
  self.set_signal_mask(context.mask);
  load_context(registers, context.registers);
  TRY(pop_xstate(self, context.registers.xstate));
  // As sigaltstack(2) would set it; what it refuses is not an error here.
  const SignalStack& stack = context.stack;
  const int32_t mode = stack.flags & ~kStackAutoDisarm;
  if (!is_on_signal_stack(self.signal_stack, registers.rsp)) {
    if (mode == kStackDisable) {
      self.signal_stack = SignalStack{};
    } else if ((mode == 0 || mode == kOnStack) && stack.size >= 2048) {
      self.signal_stack = SignalStack{.address = stack.address,
                                      .flags = stack.flags & kStackAutoDisarm,
                                      .padding = 0,
                                      .size = stack.size};
    }
  }
  return {};
}

}  // namespace occlum
