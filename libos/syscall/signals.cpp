// Dispositions, masks, stacks and waiting (sigaction(2), sigprocmask(2), sigaltstack(2), sigwaitinfo(2), ...).
#include "libos/process/exit.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/frame.h"
#include "libos/process/signals/send.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/time_values.h"

namespace occlum {
namespace {

// What must be told as the size of a signal set.
Result<void> check_set_size(size_t size) {
  if (size != sizeof(SignalSet)) return Errno::kInval;
  return {};
}

// Ignored signals do not stay pending (sigaction(2)).
void discard_pending(Process& process, int signal) {
  const SignalSet only = SignalSet::of(signal);
  process_tree().with([&](ProcessTree& tree) {
    process.shared_pending().with([&](PendingSignals& pending) { pending.discard(only); });
    for (Thread& thread : process.links(tree).threads) {
      thread.own_pending().with([&](PendingSignals& pending) { pending.discard(only); });
    }
  });
}

Result<void> sleep_until_signal() {
  while (park(kNever, Interruptible::kYes) != ParkResult::kInterrupted) {
  }
  return Errno::kRestartNoHand;
}

}  // namespace

// rt_sigaction(2).
Result<long> sys_rt_sigaction(Thread& self, SignalNumber number, UserIn<SignalAction> action,
                              UserOut<SignalAction> old_action, size_t set_size) {
  TRY(check_set_size(set_size));
  const int signal = static_cast<int>(number);
  if (!is_valid_signal(signal)) return Errno::kInval;
  if (!action.is_null() && kUnblockable.contains(signal)) return Errno::kInval;
  Process& process = self.process();
  SignalAction old;
  if (action.is_null()) {
    old = process.actions().get(signal);
  } else {
    SignalAction wanted = TRY(action.read());
    wanted.flags &= kSaKnown;
    wanted.mask = wanted.mask & ~kUnblockable;
    old = process.actions().set(signal, wanted);
    if (ignores(wanted, signal)) discard_pending(process, signal);
  }
  if (!old_action.is_null()) TRY(old_action.write(old));
  return 0;
}

// rt_sigprocmask(2).
Result<long> sys_rt_sigprocmask(Thread& self, int how, UserIn<SignalSet> set,
                                UserOut<SignalSet> old_set, size_t set_size) {
  constexpr int kBlock = 0, kUnblock = 1, kSet = 2;
  TRY(check_set_size(set_size));
  const SignalSet old = self.signal_mask();
  if (!set.is_null()) {
    const SignalSet given = TRY(set.read());
    switch (how) {
      case kBlock:
        self.set_signal_mask(old | given);
        break;
      case kUnblock:
        self.set_signal_mask(old & ~given);
        break;
      case kSet:
        self.set_signal_mask(given);
        break;
      default:
        return Errno::kInval;
    }
  }
  if (!old_set.is_null()) TRY(old_set.write(old));
  return 0;
}

Result<long> sys_rt_sigpending(Thread& self, UserAddress set, size_t set_size) {
  if (set_size > sizeof(SignalSet)) return Errno::kInval;
  const SignalSet pending = self.pending_signals() & self.signal_mask();
  TRY(copy_to_user(self.memory(), set, bytes_of(pending).first(set_size)));
  return 0;
}

// rt_sigsuspend(2): never returns 0.
Result<long> sys_rt_sigsuspend(Thread& self, UserIn<SignalSet> mask, size_t set_size) {
  TRY(check_set_size(set_size));
  self.set_temporary_signal_mask(TRY(mask.read()));
  TRY(sleep_until_signal());
  return 0;
}

Result<long> sys_pause(Thread&) {
  TRY(sleep_until_signal());
  return 0;
}

namespace {

// Takes one of `wanted` as soon as it comes. The signals are unblocked meanwhile so that senders wake this thread;
// waited_signals says that they count as blocked all the same.
std::optional<SignalInfo> wait_for_signal(Thread& self, SignalSet wanted, Nanoseconds deadline,
                                          bool& interrupted) {
  const SignalSet mask = self.signal_mask();
  self.waited_signals.store((wanted & mask).bits(), std::memory_order_release);
  self.set_signal_mask(mask & ~wanted);
  std::optional<SignalInfo> info = self.take_signal(wanted);
  while (!info) {
    const ParkResult result = park(deadline, Interruptible::kYes);
    info = self.take_signal(wanted);
    if (result == ParkResult::kUnparked) continue;
    interrupted = result == ParkResult::kInterrupted;
    break;
  }
  self.waited_signals.store(0, std::memory_order_release);
  self.set_signal_mask(mask);
  return info;
}

}  // namespace

// rt_sigtimedwait(2): the signal's number.
Result<long> sys_rt_sigtimedwait(Thread& self, UserIn<SignalSet> set, UserAddress info_address,
                                 UserIn<Timespec> timeout, size_t set_size) {
  TRY(check_set_size(set_size));
  const SignalSet wanted = TRY(set.read()) & ~kUnblockable;
  const Nanoseconds deadline = TRY(read_timeout(timeout));
  bool interrupted = false;
  const std::optional<SignalInfo> info = wait_for_signal(self, wanted, deadline, interrupted);
  if (!info) return interrupted ? Errno::kIntr : Errno::kAgain;
  if (!info_address.is_null()) {
    TRY(UserOut<UserSignalInfo>(info_address).write(UserSignalInfo{.info = *info}));
  }
  return info->signal;
}

// sigaltstack(2).
Result<long> sys_sigaltstack(Thread& self, UserIn<SignalStack> stack,
                             UserOut<SignalStack> old_stack) {
  constexpr uint64_t kLeastSize = 2048;  // MINSIGSTKSZ
  const uint64_t stack_pointer = self.context().user_registers().rsp;
  const bool is_on = is_on_signal_stack(self.signal_stack, stack_pointer);
  SignalStack old = self.signal_stack;
  old.flags =
      (old.flags & kStackAutoDisarm) | (old.size == 0 ? kStackDisable : (is_on ? kOnStack : 0));
  if (!stack.is_null()) {
    SignalStack wanted = TRY(stack.read());
    if (is_on) return Errno::kPerm;
    const int32_t mode = wanted.flags & ~kStackAutoDisarm;
    if (mode != 0 && mode != kOnStack && mode != kStackDisable) return Errno::kInval;
    const SignalStack& now = self.signal_stack;
    const bool is_the_same =
        wanted.address == now.address && wanted.size == now.size && wanted.flags == now.flags;
    if (mode == kStackDisable) {
      wanted = SignalStack{};
    } else if (!is_the_same) {  // of no size too: what a program starts with may be asked for again
      if (wanted.size < kLeastSize) return Errno::kNoMem;
      wanted.flags &= kStackAutoDisarm;
    }
    wanted.padding = 0;
    self.signal_stack = wanted;
  }
  if (!old_stack.is_null()) TRY(old_stack.write(old));
  return 0;
}

// rt_sigreturn(2): what RAX was when the handler was called is the result.
Result<long> sys_rt_sigreturn(Thread& self) {
  UserRegisters& registers = self.context().user_registers();
  if (pop_signal_frame(self, registers).is_error()) {
    registers.original_rax = UINT64_MAX;
    force_signal(self, SignalInfo::from_kernel(kSigSegv));
    return 0;
  }
  return static_cast<long>(registers.rax);
}

// restart_syscall(2): entered only by the LibOS's own restart (signals/deliver.cpp).
Result<long> sys_restart_syscall(Thread& self) {
  const RestartBlock::Resume resume = std::exchange(self.restart_block.resume, nullptr);
  if (resume == nullptr) return Errno::kIntr;
  return resume(self);
}

}  // namespace occlum
