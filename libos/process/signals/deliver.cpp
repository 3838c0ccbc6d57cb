// Delivery: what happens to pending signals on the way back to the program (signal(7); kernel/signal.c's get_signal
// and arch/x86's handle_signal), and with it the restart of interrupted system calls.
#include "libos/arch/arch.h"
#include "libos/process/core_dump/core_dump.h"
#include "libos/process/exit.h"
#include "libos/process/out_of_line.h"
#include "libos/process/process.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/signals/frame.h"
#include "libos/process/signals/restartable.h"
#include "libos/process/signals/send.h"
#include "libos/process/signals/stop.h"

namespace occlum {
namespace {

constexpr uint64_t kSyscallInstructionBytes = 2;
constexpr uint64_t kNrRestartSyscall = 219;

void run_again(UserRegisters& registers, uint64_t number) {
  registers.rax = number;
  registers.rip -= kSyscallInstructionBytes;
  registers.original_rax = UINT64_MAX;
}

// A handler is about to run while RAX holds a restart code.
void settle_for_handler(Thread& self, UserRegisters& registers, const SignalAction& action) {
  if ((self.work() & Thread::kRestart) == 0) return;
  self.clear_work(Thread::kRestart);
  const Errno code = static_cast<Errno>(-static_cast<int64_t>(registers.rax));
  const bool again = code == Errno::kRestartNoIntr ||
                     (code == Errno::kRestartSys && (action.flags & kSaRestart) != 0);
  if (again) {
    run_again(registers, registers.original_rax);
  } else {
    registers.rax = static_cast<uint64_t>(errno_return_value(Errno::kIntr));
    registers.original_rax = UINT64_MAX;
  }
}

// No handler ran: the call goes on as if nothing had been.
void settle_without_handler(Thread& self, UserRegisters& registers) {
  if ((self.work() & Thread::kRestart) == 0) return;
  self.clear_work(Thread::kRestart);
  const Errno code = static_cast<Errno>(-static_cast<int64_t>(registers.rax));
  run_again(registers,
            code == Errno::kRestartRestartBlock ? kNrRestartSyscall : registers.original_rax);
}

// The stack cannot take the frame: SIGSEGV, and death when that was the signal.
void frame_failed(Thread& self, int signal) {
  if (signal == kSigSegv) self.process().actions().set(kSigSegv, SignalAction{});
  force_signal(self, SignalInfo::from_kernel(kSigSegv));
}

void run_handler(Thread& self, UserRegisters& registers, const SignalInfo& info,
                 const SignalAction& action) {
  settle_for_handler(self, registers, action);
  leave_critical_section(self, registers);
  if (push_signal_frame(self, registers, info, action).is_error())
    return frame_failed(self, info.signal);
  if (ptrace::is_traced(self)) ptrace::report_handler(self);
}

void act_by_default(Thread& self, const SignalInfo& info, uint32_t continues) {
  switch (default_action(info.signal)) {
    case DefaultAction::kIgnore:
    case DefaultAction::kContinue:
      return;
    case DefaultAction::kStop:
      return begin_stop(self, info.signal, continues);
    case DefaultAction::kTerminate:
      return exit_process(self, info.signal);
    case DefaultAction::kCoreDump:
      return dump_core(self, info);
  }
}

void deliver_one(Thread& self, UserRegisters& registers) {
  Process& process = self.process();
  const uint32_t continues = process.continues.load();
  std::optional<SignalInfo> info = self.take_signal(~self.signal_mask());
  if (info && ptrace::is_traced(self)) info = ptrace::intercept_signal(self, *info);
  if (!info) return;  // somebody else took it
  const int signal = info->signal;
  const SignalAction action = process.actions().take(signal);
  if (signal == kSigKill || signal == kSigStop || action.handler == kSigDfl) {
    act_by_default(self, *info, continues);
  } else if (action.handler != kSigIgn) {
    run_handler(self, registers, *info, action);
  }
}

// Work after which a handler or a tracer sees where the program is.
constexpr uint32_t kShowsRegisters = Thread::kDie | Thread::kTrap | Thread::kStop | Thread::kSignal;

}  // namespace

void on_return_to_user(UserRegisters& registers) {
  Thread& self = current_thread();
  if ((self.work() & Thread::kStep) != 0 || ptrace::is_traced(self))
    ptrace::settle_step(self, registers);
  while (true) {
    const uint32_t work = self.work();
    if (self.out_of_line && (work & kShowsRegisters) != 0) out_of_line::settle(self, registers);
    if ((work & Thread::kDie) != 0) {
      exit_thread(self);
    } else if ((work & Thread::kTrap) != 0) {
      ptrace::take_trap(self);
    } else if ((work & Thread::kStop) != 0) {
      wait_while_stopped(self);
    } else if ((work & Thread::kSignal) != 0) {
      deliver_one(self, registers);
    } else {
      break;
    }
  }
  if ((self.work() & Thread::kAwake) != 0) {
    self.clear_work(Thread::kAwake);
    self.tells_waking.store(false, std::memory_order_relaxed);
    self.process().watch_realtime();
  }
  settle_without_handler(self, registers);
  // May uncover a signal: we are called again then.
  if (const std::optional<SignalSet> mask = self.take_saved_mask()) self.set_signal_mask(*mask);
  if ((self.work() & Thread::kStep) != 0) ptrace::begin_step(self, registers);
  if (!self.memory().is_resident()) self.memory().await_residency();
  if ((self.work() & kRseqWork) != 0) {
    self.clear_work(kRseqWork);
    self.rseq.seen_turns = self.turns() - 1;
  }
  if (needs_rseq_look(self)) settle_rseq(self, registers);
}

}  // namespace occlum
