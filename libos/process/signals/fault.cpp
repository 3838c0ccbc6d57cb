// Faults of programs: resolved by the address space, emulated, or turned into signals (arch/x86/kernel/traps.c and
// mm/fault.c say which signal and si_code each vector gives).
#include "libos/process/signals/fault.h"
#include "libos/arch/arch.h"
#include "libos/arch/task_context.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/process/exit.h"
#include "libos/process/out_of_line.h"
#include "libos/process/process.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/signals/frame.h"
#include "libos/process/signals/send.h"

namespace occlum {
namespace {

enum Vector : uint8_t {
  kDivide = 0,
  kDebug = 1,
  kBreakpoint = 3,
  kOverflow = 4,
  kBound = 5,
  kInvalidOpcode = 6,
  kGeneralProtection = 13,
  kPageFault = 14,
  kX87 = 16,
  kAlignment = 17,
  kSimd = 19,
};

// Nothing was missing, or it was at another of its addresses, to which the same instruction may want it back: then it is
// executed where it gets both. Far beyond what any series of accidents makes, the host denies what it said it granted, and
// the program would fault for ever. False: so it is.
bool try_again(Thread& self, UserRegisters& registers) {
  constexpr uint32_t kEnough = 4, kMaxInARow = 100'000;
  const uint32_t times = self.stale_fault.note(registers, self.system_calls);
  if (times % kEnough == 0 && out_of_line::execute(self, registers)) return true;
  return times <= kMaxInARow;
}

// As Linux writes to its log when nobody handles the signal (show_signal_msg() in arch/x86/mm/fault.c).
void note_segfault(Thread& self, const UserRegisters& registers, const FaultInfo& fault) {
  if (self.process().actions().get(kSigSegv).handler != kSigDfl) return;
  log_info("{}[{}]: segfault at {:x} ip {:x} sp {:x} error {:x}", self.name().view(), self.pid(),
           fault.address, registers.rip, registers.rsp, fault.error_code);
}

void page_fault(Thread& self, UserRegisters& registers, const FaultInfo& fault) {
  constexpr uint32_t kWriteBit = 2, kFetchBit = 16;
  const Access access = (fault.error_code & kFetchBit) != 0   ? Access::kExecute
                        : (fault.error_code & kWriteBit) != 0 ? Access::kWrite
                                                              : Access::kRead;
  const auto bus_error = [&] {
    force_signal(self, SignalInfo::of_fault(kSigBus, kBusAdrErr, fault.address));
  };
  const auto segfault = [&](int code) {
    note_segfault(self, registers, fault);
    force_signal(self, SignalInfo::of_fault(kSigSegv, code, fault.address));
  };
  switch (self.memory().judge_fault(fault.address, access)) {
    case FaultResult::kResolved:
      return self.stale_fault.forget();
    case FaultResult::kStale:
      return try_again(self, registers) ? void() : bus_error();
    case FaultResult::kNoMapping:
      return segfault(kSegvMapErr);
    case FaultResult::kNoPermission:
      return segfault(kSegvAccErr);
    case FaultResult::kBusError:
      return bus_error();
    case FaultResult::kOutOfMemory:
      // Nobody else could be (mm/shortage.h).
      log_error("out of memory: process {} ({}) is killed: it found none for itself", self.pid(),
                self.name().view());
      return exit_process(self, kSigKill);
  }
}

void emulate_cpuid(UserRegisters& registers) {
  const CpuidResult result =
      cpuid(static_cast<uint32_t>(registers.rax), static_cast<uint32_t>(registers.rcx));
  registers.rax = result.eax;
  registers.rbx = result.ebx;
  registers.rcx = result.ecx;
  registers.rdx = result.edx;
}

// An instruction is illegal in an enclave: cpuid is done here, and the program goes on. It also goes on, with what is there
// now, where nobody knows what it was, since its page was away when the way in looked at it, or its text has changed
// (another thread's munmap, mprotect or MADV_DONTNEED): what is illegal is so again.
bool go_on_after_illegal(Thread& self, UserRegisters& registers) {
  using Instruction = std::array<std::byte, 2>;
  constexpr Instruction kCpuid = {std::byte{0x0f}, std::byte{0xa2}};
  constexpr Instruction kSyscall = {std::byte{0x0f}, std::byte{0x05}};
  Instruction bytes = {};
  if (!copy_from_user(self.memory(), bytes, UserAddress(registers.rip)).is_error()) {
    if (bytes == kSyscall) return true;
    if (bytes == kCpuid) {
      emulate_cpuid(registers);
      registers.rip += kCpuid.size();
      return true;
    }
  }
  if (self.stale_fault.note(registers, self.system_calls) == 1) return true;
  self.stale_fault.forget();
  return false;
}

// In an enclave int3 reports its own address; elsewhere it is the next one. A debugger may have taken it away meanwhile:
// then what was there before is executed.
void breakpoint(Thread& self, UserRegisters& registers) {
  if (ptrace::take_step_trap(self, registers)) return;
  if (self.out_of_line) return out_of_line::settle(self, registers);
  std::byte instruction = {};
  if (!copy_from_user(self.memory(), bytes_of(instruction), UserAddress(registers.rip))
           .is_error()) {
    if (instruction != std::byte{0xcc}) return;
    registers.rip += 1;
  }
  force_signal(self, SignalInfo::from_kernel(kSigTrap));
}

// The unmasked exceptions of the legacy XSAVE area: x87's control and status words, MXCSR.
uint32_t pending_float_exceptions(Thread& self, uint8_t vector) {
  const std::span<const std::byte> area = self.context().xstate();
  if (vector == kSimd) {
    const uint32_t mxcsr = MUST(read_object<uint32_t>(area.subspan(24)));
    return mxcsr & ~(mxcsr >> 7);
  }
  const uint16_t control = MUST(read_object<uint16_t>(area));
  const uint16_t status = MUST(read_object<uint16_t>(area.subspan(2)));
  return status & ~uint32_t{control};
}

void trap_signal(Thread& self, const UserRegisters& registers, const FaultInfo& fault) {
  const auto at_rip = [&](int signal, int code) {
    force_signal(self, SignalInfo::of_fault(signal, code, registers.rip));
  };
  switch (fault.vector) {
    case kDivide:
      return at_rip(kSigFpe, kFpeIntDiv);
    case kDebug:
      return at_rip(kSigTrap, kTrapTrace);
    case kInvalidOpcode:
      return at_rip(kSigIll, kIllOpn);
    case kX87:
    case kSimd:
      return at_rip(kSigFpe, float_exception_code(pending_float_exceptions(self, fault.vector)));
    case kAlignment:
      return force_signal(self, SignalInfo::of_fault(kSigBus, kBusAdrAln, 0));
    case kOverflow:
    case kBound:
    case kGeneralProtection:
    default:
      return force_signal(self, SignalInfo::from_kernel(kSigSegv));
  }
}

}  // namespace

int float_exception_code(uint32_t exceptions) {
  if ((exceptions & 0x01) != 0) return kFpeFltInv;
  if ((exceptions & 0x04) != 0) return kFpeFltDiv;
  if ((exceptions & 0x08) != 0) return kFpeFltOvf;
  if ((exceptions & 0x12) != 0) return kFpeFltUnd;  // underflow, denormal
  if ((exceptions & 0x20) != 0) return kFpeFltRes;
  return 0;
}

void on_fault(UserRegisters& registers, const FaultInfo& fault) {
  Thread& self = current_thread();
  registers.original_rax = UINT64_MAX;
  // A fault of the instruction itself is one where the program has it.
  const bool is_reached = fault.vector == kPageFault || fault.vector == kBreakpoint;
  if (self.out_of_line && !is_reached) out_of_line::settle(self, registers);
  if (fault.vector == kInvalidOpcode && go_on_after_illegal(self, registers)) return;
  self.last_trap = Thread::Trap{.number = fault.vector,
                                .error_code = fault.error_code,
                                .address = fault.vector == kPageFault ? fault.address : 0};
  if (fault.vector == kPageFault) {
    page_fault(self, registers, fault);
  } else if (fault.vector == kBreakpoint) {
    breakpoint(self, registers);
  } else {
    trap_signal(self, registers, fault);
  }
}

}  // namespace occlum
