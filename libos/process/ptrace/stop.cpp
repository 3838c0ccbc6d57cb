// The tracee's side: stops, and what of the program's state they leave to the tracer (kernel/signal.c's ptrace_stop).
#include "libos/process/ptrace/stop.h"

#include "libos/arch/arch.h"
#include "libos/arch/task_context.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/signals/send.h"
#include "libos/process/signals/send_locked.h"

namespace occlum::ptrace {
namespace {

SignalInfo trap_info(Thread& self, int signal, int code) {
  return SignalInfo::from_user(signal, self.tid(), self.user().uid, code);
}

// The tracer may have changed RAX and the call's number: debuggers that let a program call a function put both back
// afterwards, and expect that the interrupted call then starts again.
void look_for_restart(Thread& self) {
  const UserRegisters& registers = self.context().user_registers();
  const int64_t error = -static_cast<int64_t>(registers.rax);
  const bool is_restart = error == static_cast<int64_t>(Errno::kRestartSys) ||
                          error == static_cast<int64_t>(Errno::kRestartNoIntr) ||
                          error == static_cast<int64_t>(Errno::kRestartNoHand) ||
                          error == static_cast<int64_t>(Errno::kRestartRestartBlock);
  if (is_restart && static_cast<int64_t>(registers.original_rax) >= 0) {
    self.set_work(Thread::kRestart);
  } else {
    self.clear_work(Thread::kRestart);
  }
}

bool is_over(const Thread& self, StopKind kind) {
  return !self.tracing.is_stopped.load(std::memory_order_acquire) ||
         (kind != StopKind::kExit && self.must_die());
}

}  // namespace

void notify_tracer(ProcessTree& tree, Process& tracer, Process& process, Pid tid, int code,
                   int status) {
  const SignalAction action = tracer.actions().get(kSigChld);
  if ((action.flags & kSaNoCldStop) == 0 && action.handler != kSigIgn) {
    SignalInfo info = child_info(tree, process, kSigChld, code, status);
    info.child.pid = tid;
    (void)send_locked(tree, tracer, nullptr, info);
  }
  tracer.child_queue().wake_all();
}

StopResult stop(Thread& self, int code, std::optional<SignalInfo> info, uint64_t message,
                StopKind kind) {
  (void)self.context().xstate();  // from now on it is in memory, where the tracer looks
  Tracing& tracing = self.tracing;
  const bool stops = process_tree().with([&](ProcessTree& tree) {
    if (tracing.tracer == nullptr || (kind != StopKind::kExit && self.must_die())) return false;
    tracing.code = code;
    tracing.info = info;
    tracing.message = message;
    tracing.is_listening = tracing.wants_trap = tracing.reports_calls = tracing.skips_calls = false;
    self.clear_work(Thread::kTrap | Thread::kStep);
    tracing.step.is_armed = false;
    tracing.step.report = Tracing::Report::kNone;
    if (kind == StopKind::kGroup) {
      // It goes on when its tracer says so, whether its process is stopped or not.
      self.clear_work(Thread::kStop);
      note_stopped(tree, self);
      tracing.was_continued = false;
    } else if (tracing.was_continued) {
      self.set_work(Thread::kTrap);
    }
    tracing.is_stopped.store(true, std::memory_order_release);
    notify_tracer(tree, tracing.tracer->process(), self.process(), self.tid(),
                  kind == StopKind::kGroup ? kCldStopped : kCldTrapped, code & 0x7f);
    return true;
  });
  if (!stops) return {.has_stopped = false, .signal = code & 0x7f, .info = info};
  {
    const Thread::OnlyFatalInterrupts only_fatal(self);
    while (!is_over(self, kind)) {
      (void)park(kNever, kind == StopKind::kExit ? Interruptible::kNo : Interruptible::kYes);
    }
  }
  const StopResult result = process_tree().with([&](ProcessTree&) {
    tracing.is_stopped.store(false, std::memory_order_relaxed);
    tracing.is_listening = false;
    if (tracing.tracer != nullptr && is_watching(tracing.record->debug))
      self.set_work(Thread::kStep);
    return StopResult{.has_stopped = true,
                      .signal = std::exchange(tracing.code, 0),
                      .info = std::exchange(tracing.info, std::nullopt)};
  });
  look_for_restart(self);
  return result;
}

int stop_for(Thread& self, int code, uint64_t message, StopKind kind) {
  const int signal = code & 0x7f;
  const StopResult result = stop(self, code, trap_info(self, signal, code), message, kind);
  return result.has_stopped ? result.signal : 0;
}

std::optional<SignalInfo> intercept_signal(Thread& self, const SignalInfo& info) {
  if (info.signal == kSigKill) return info;
  const StopResult result = stop(self, info.signal, info, 0, StopKind::kTrap);
  if (result.signal == 0) return std::nullopt;
  SignalInfo next = result.info.value_or(info);
  if (result.signal != next.signal) {
    const Pid tracer = tracer_of(self);
    next = SignalInfo::from_user(result.signal, tracer, self.user().uid);
  }
  if (self.signal_mask().contains(result.signal)) {
    (void)send_signal_to_thread(self, next);
    return std::nullopt;
  }
  return next;
}

void take_trap(Thread& self) {
  struct Why {
    bool stops = false, seized = false, is_stopped = false;
    int signal = 0;
  };
  const Why why = process_tree().with([&](ProcessTree& tree) {
    self.clear_work(Thread::kTrap);
    const Tracing& tracing = self.tracing;
    const Process::Links& links = self.process().links(tree);
    return Why{.stops = tracing.wants_trap || tracing.was_continued,
               .seized = tracing.seized,
               .is_stopped = links.is_stopped,
               .signal = links.stop_signal};
  });
  if (!why.stops) return;
  const int signal = why.is_stopped ? why.signal : kSigTrap;
  if (!why.seized) {
    (void)stop(self, signal, std::nullopt, 0, StopKind::kGroup);
    return;
  }
  const int code = signal | (kEventStop << 8);
  (void)stop(self, code, trap_info(self, signal, code), 0, StopKind::kGroup);
}

bool stop_with_group(Thread& self) {
  if (!is_traced(self)) return false;
  process_tree().with([&](ProcessTree&) { self.tracing.wants_trap = true; });
  take_trap(self);
  return true;
}

void report_handler(Thread& self) {
  if (self.tracing.step.report == Tracing::Report::kNone) return;
  self.clear_work(Thread::kStep);
  if (const int signal = stop_for(self, kSigTrap, 0); signal != 0)
    (void)send_signal_to_thread(self, SignalInfo::from_kernel(signal));
}

// --- syscall-stops ---

namespace {

void syscall_stop(Thread& self, uint64_t message) {
  const bool is_good = process_tree().with(
      [&](ProcessTree&) { return (self.tracing.options & kOptionSyscallGood) != 0; });
  const int code = is_good ? kSyscallTrap : kSigTrap;
  const StopResult result =
      stop(self, code, trap_info(self, kSigTrap, code), message, StopKind::kTrap);
  if (result.has_stopped && result.signal != 0) {
    (void)send_signal_to_thread(self,
                                SignalInfo::from_user(result.signal, self.pid(), self.user().uid));
  }
}

struct CallWishes {
  bool reports, skips;
};
CallWishes call_wishes(const Thread& self) {
  return process_tree().with([&](ProcessTree&) {
    return CallWishes{.reports = self.tracing.reports_calls, .skips = self.tracing.skips_calls};
  });
}

}  // namespace

// The call is what its number says after the stop; -1 is none, and PTRACE_SYSEMU makes none of any.
bool report_syscall_entry(Thread& self, UserRegisters& registers) {
  registers.original_rax = registers.rax;
  registers.rax = static_cast<uint64_t>(errno_return_value(Errno::kNoSys));
  const CallWishes wishes = call_wishes(self);
  if (wishes.reports || wishes.skips) syscall_stop(self, kMessageEntry);
  if (self.must_die() || wishes.skips || static_cast<int32_t>(registers.original_rax) == -1)
    return false;
  registers.rax = registers.original_rax;
  return true;
}

void report_syscall_exit(Thread& self, UserRegisters& registers, uint64_t number) {
  constexpr uint64_t kRtSigreturn = 15;
  // execve has made new registers, and still was a call.
  if (registers.original_rax == UINT64_MAX && number != kRtSigreturn)
    registers.original_rax = number;
  const CallWishes wishes = call_wishes(self);
  // With PTRACE_SYSEMU_SINGLESTEP a step ends after the next instruction.
  if (!wishes.skips) end_step_with_call(self);
  if (wishes.reports) syscall_stop(self, kMessageExit);
}

}  // namespace occlum::ptrace
