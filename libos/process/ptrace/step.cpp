// Single steps. An enclave has no trap flag (SDM 40.2: it is masked unless the TCS opts in to debugging), so a step is
// made by hand. Branches are done here, by register and memory arithmetic; a system call is a step by itself; any other
// instruction is executed where it stands, with an int3 behind it for as long as that takes.
//
// A thread with debug registers in use is stepped all the time (watch.h); its tracer is told of what it wants to know.
//
// The int3 is in the text that all threads of the program share: another one that runs into it tries again until it is
// gone. It is never there while the thread is stopped, and so no debugger sees it.
#include "libos/arch/arch.h"
#include "libos/mm/user.h"
#include "libos/process/ptrace/instruction.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/ptrace/step_traps.h"
#include "libos/process/ptrace/stop.h"
#include "libos/process/ptrace/watch.h"
#include "libos/process/signals/send.h"

namespace occlum::ptrace {
namespace {

// In `start` after a system call, which ends a step wherever it leads.
constexpr uint64_t kWasCall = UINT64_MAX;

using Report = Tracing::Report;

DebugState& debug_of(Thread& self) { return self.tracing.record->debug; }

// exc_debug_user() of arch/x86/kernel/traps.c: DR6 says all of what happened.
void report(Thread& self, const UserRegisters& registers, uint64_t hits, bool is_step) {
  constexpr uint64_t kStepBit = 0x4000;
  debug_of(self).status = hits | (is_step ? kStepBit : 0);
  const int code = is_step ? kTrapTrace : kTrapHardware;
  force_signal(self, SignalInfo::of_fault(kSigTrap, code, registers.rip));
}

void go_on_stepping(Thread& self) {
  const bool steps = self.tracing.step.report != Report::kNone || is_watching(debug_of(self));
  if (steps) self.set_work(Thread::kStep);
}

// The instruction before registers.rip has been executed.
void end_step(Thread& self, UserRegisters& registers, uint64_t hits, bool has_branched) {
  const Report wanted = self.tracing.step.report;
  const bool is_step = wanted == Report::kStep || (wanted == Report::kBranch && has_branched);
  registers.rflags &= ~kResumeFlag;
  if (hits == 0 && !is_step) return go_on_stepping(self);
  report(self, registers, hits, is_step);
}

// A system call ends a step otherwise than the processor does (arch/x86's user_single_step_report()).
void end_call_step(Thread& self, UserRegisters& registers) {
  registers.rflags &= ~kResumeFlag;
  if (self.tracing.step.report == Report::kNone) return go_on_stepping(self);
  force_signal(self, SignalInfo::of_fault(kSigTrap, kTrapBrkpt, registers.rip));
}

bool loop_goes_on(uint8_t kind, UserRegisters& registers) {
  constexpr uint64_t kZero = 0x40;
  if (kind == 3) return registers.rcx == 0;  // JRCXZ
  --registers.rcx;
  const bool zero = (registers.rflags & kZero) != 0;
  return registers.rcx != 0 && (kind == 2 || zero == (kind == 1));
}

Result<uint64_t> indirect_target(Thread& self, const Instruction& instruction,
                                 UserRegisters& registers, uint64_t next) {
  if (instruction.target_register) return register_number(registers, *instruction.target_register);
  uint64_t target = 0;
  const uint64_t at = address_of_operand(instruction.memory, registers, next);
  TRY(copy_from_user(self.memory(), bytes_of(target), UserAddress(at)));
  return target;
}

Result<void> push(Thread& self, UserRegisters& registers, uint64_t word) {
  const uint64_t stack = registers.rsp - sizeof(word);
  TRY(copy_to_user(self.memory(), UserAddress(stack), bytes_of(word)));
  registers.rsp = stack;
  return {};
}

// True: the instruction was a branch and has been done. An error: it would fault, so that it has to be executed.
Result<bool> branch(Thread& self, const Instruction& instruction, UserRegisters& registers) {
  using Flow = Instruction::Flow;
  const uint64_t next = registers.rip + instruction.size;
  const uint64_t target = next + static_cast<uint64_t>(instruction.target);
  uint64_t to = next;
  switch (instruction.flow) {
    case Flow::kNext:
    case Flow::kSystemCall:
    case Flow::kUnknown:
      return false;
    case Flow::kJump:
      to = target;
      break;
    case Flow::kCondition:
      if (condition_holds(instruction.condition, registers.rflags)) to = target;
      break;
    case Flow::kLoop:
      if (loop_goes_on(instruction.condition, registers)) to = target;
      break;
    case Flow::kCall:
      TRY(push(self, registers, next));
      to = target;
      break;
    case Flow::kReturn:
      TRY(copy_from_user(self.memory(), bytes_of(to), UserAddress(registers.rsp)));
      registers.rsp += sizeof(uint64_t) + instruction.immediate;
      break;
    case Flow::kIndirectJump:
      to = TRY(indirect_target(self, instruction, registers, next));
      break;
    case Flow::kIndirectCall:
      to = TRY(indirect_target(self, instruction, registers, next));
      TRY(push(self, registers, next));
      break;
    case Flow::kTransaction:
      registers.rax &= ~uint64_t{UINT32_MAX};
      to = target;
      break;
  }
  // A jump out of the program's memory faults where it goes, which only the program itself may try.
  if (!user_range().contains(to) && to >= 0x10000) return Errno::kFault;
  registers.rip = to;
  return true;
}

}  // namespace

void begin_step(Thread& self, UserRegisters& registers) {
  self.clear_work(Thread::kStep);
  if (!is_traced(self)) return;
  Tracing::Step& step = self.tracing.step;
  step.passes = (registers.rflags & kResumeFlag) != 0;
  DebugState& debug = debug_of(self);
  debug.accesses = {};
  if (const uint64_t hits = breakpoints_at(debug, registers.rip); hits != 0 && !step.passes) {
    registers.rflags |= kResumeFlag;
    return report(self, registers, hits, false);
  }
  step.start = registers.rip;
  step.is_armed = true;
  std::array<std::byte, kLongestInstruction> text;
  const std::optional<Instruction> instruction =
      read_instruction(self.memory(), registers.rip, text);
  if (!instruction) return;  // it faults
  if (is_watching(debug)) note_accesses(debug, self.memory(), *instruction, registers);
  UserRegisters after = registers;
  const Result<bool> done = branch(self, *instruction, after);
  if (!done.is_error() && done.value()) {
    step.is_armed = false;
    const bool is_conditional = instruction->flow == Instruction::Flow::kCondition ||
                                instruction->flow == Instruction::Flow::kLoop;
    const bool has_branched = !is_conditional || after.rip != registers.rip + instruction->size;
    registers = after;
    end_step(self, registers, watchpoints_hit(debug, self.memory(), registers), has_branched);
  } else if (instruction->flow == Instruction::Flow::kNext) {
    const uint64_t behind = registers.rip + instruction->size;
    if (place_trap(self.memory(), behind)) step.trap_at = behind;
  }
}

void settle_step(Thread& self, UserRegisters& registers) {
  Tracing::Step& step = self.tracing.step;
  if (!step.is_armed) return;
  step.is_armed = false;
  if (const uint64_t at = std::exchange(step.trap_at, 0); at != 0) remove_trap(self.memory(), at);
  self.clear_work(Thread::kStep);
  if (!is_traced(self)) return;
  DebugState& debug = debug_of(self);
  if (registers.rip == step.start) {
    self.set_work(Thread::kStep);  // not yet executed
    if (step.passes) registers.rflags |= kResumeFlag;
  } else if (step.start == kWasCall) {
    end_call_step(self, registers);
  } else {
    end_step(self, registers, watchpoints_hit(debug, self.memory(), registers), false);
  }
}

void end_step_with_call(Thread& self) {
  Tracing::Step& step = self.tracing.step;
  if ((self.work() & Thread::kStep) == 0 && !step.is_armed) return;
  step.is_armed = true;
  step.start = kWasCall;
  self.set_work(Thread::kStep);
}

bool take_step_trap(Thread& self, const UserRegisters& registers) {
  const Tracing::Step& step = self.tracing.step;
  if (step.is_armed && step.trap_at == registers.rip) {
    self.set_work(Thread::kStep);
    return true;
  }
  if (!is_step_trap(self.memory(), registers.rip)) return false;
  yield_task();
  return true;
}

}  // namespace occlum::ptrace
