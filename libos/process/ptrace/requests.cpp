// Requests on a stopped tracee. Its registers lie on its kernel stack, its vector state in its context: both are the
// tracer's while it is stopped. Each request looks under the lock whether it still is: SIGKILL ends a stop at any time.
#include "libos/process/ptrace/requests.h"

#include "libos/arch/task_context.h"
#include "libos/lib/memory.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/constants.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/signals/frame.h"
#include "libos/process/signals/send_locked.h"

namespace occlum::ptrace {
namespace {

bool is_stopped_for_requests(const Tracing& tracing) {
  return tracing.is_stopped.load(std::memory_order_relaxed) && !tracing.is_listening;
}

template <typename F>
auto while_stopped(Thread& tracee, F&& function) -> Result<void> {
  return process_tree().with([&](ProcessTree&) -> Result<void> {
    if (!is_stopped_for_requests(tracee.tracing)) return Errno::kSrch;
    return function(tracee.context().user_registers());
  });
}

bool is_debug_register(uint64_t offset) {
  return offset >= kDebugRegisters && offset < kDebugRegisters + 8 * sizeof(uint64_t);
}
size_t debug_number(uint64_t offset) { return (offset - kDebugRegisters) / sizeof(uint64_t); }

}  // namespace

Result<void> check_tracee(Thread& self, const Thread& tracee, Need need) {
  return process_tree().with([&](ProcessTree&) -> Result<void> {
    if (tracee.tracing.tracer != &self) return Errno::kSrch;
    if (need == Need::kStopped && !is_stopped_for_requests(tracee.tracing)) return Errno::kSrch;
    return {};
  });
}

Result<void> resume(Thread& tracee, Resume how, int signal) {
  return while_stopped(tracee, [&](UserRegisters&) -> Result<void> {
    Tracing& tracing = tracee.tracing;
    tracing.code = signal;
    tracing.reports_calls = how == Resume::kSystemCall;
    tracing.skips_calls = how == Resume::kEmulate || how == Resume::kEmulateStep;
    tracing.step.report = how == Resume::kBranch ? Tracing::Report::kBranch
                          : how == Resume::kStep || how == Resume::kEmulateStep
                              ? Tracing::Report::kStep
                              : Tracing::Report::kNone;
    if (tracing.step.report != Tracing::Report::kNone) tracee.set_work(Thread::kStep);
    tracing.is_stopped.store(false, std::memory_order_release);
    tracee.unpark();
    return {};
  });
}

Result<void> interrupt(Thread& tracee) {
  return process_tree().with([&](ProcessTree&) -> Result<void> {
    Tracing& tracing = tracee.tracing;
    if (tracing.tracer == nullptr || !tracing.seized) return Errno::kIo;
    if (tracing.is_listening) {
      // A stop is a stop: it reports once more.
      tracing.is_listening = false;
      tracing.wants_trap = true;
      tracee.set_work(Thread::kTrap);
      tracing.code = 0;
      if (tracing.is_stopped.exchange(false)) tracee.unpark();
      return {};
    }
    tracing.wants_trap = true;
    tracee.set_work(Thread::kTrap);
    tracee.interrupt();
    tracee.process().stop_queue().wake_all();
    return {};
  });
}

Result<void> listen(Thread& tracee) {
  return while_stopped(tracee, [&](UserRegisters&) -> Result<void> {
    Tracing& tracing = tracee.tracing;
    if (!tracing.seized || !tracing.info || (tracing.info->code >> 8) != kEventStop)
      return Errno::kIo;
    if (tracing.was_continued) {
      tracee.set_work(Thread::kTrap);
      tracing.is_stopped.store(false, std::memory_order_release);
      tracee.unpark();
    } else {
      tracing.is_listening = true;
    }
    return {};
  });
}

void kill(Thread& tracee) {
  process_tree().with([&](ProcessTree& tree) {
    (void)send_locked(tree, tracee.process(), nullptr, SignalInfo::from_kernel(kSigKill));
  });
}

Result<uint64_t> peek(Thread& tracee, uint64_t address) {
  const RefPtr<AddressSpace> memory = tracee.share_memory();
  uint64_t word = 0;
  if (!memory || copy_from_user(*memory, bytes_of(word), UserAddress(address)).is_error())
    return Errno::kIo;
  return word;
}

Result<void> poke(Thread& tracee, uint64_t address, uint64_t word) {
  const RefPtr<AddressSpace> memory = tracee.share_memory();
  if (!memory || memory->poke(address, bytes_of(word)).is_error()) return Errno::kIo;
  return {};
}

Result<uint64_t> peek_user(Thread& tracee, uint64_t offset) {
  if (offset % sizeof(uint64_t) != 0 || offset >= kUserSize) return Errno::kIo;
  const size_t index = offset / sizeof(uint64_t);
  if (index < kRegisterWords) return TRY(registers(tracee))[index];
  if (!is_debug_register(offset)) return uint64_t{0};
  uint64_t word = 0;
  TRY(while_stopped(tracee, [&](UserRegisters&) -> Result<void> {
    word = debug_register(tracee.tracing.record->debug, debug_number(offset));
    return {};
  }));
  return word;
}

Result<void> poke_user(Thread& tracee, uint64_t offset, uint64_t word) {
  if (offset % sizeof(uint64_t) != 0 || offset >= kUserSize) return Errno::kIo;
  const size_t index = offset / sizeof(uint64_t);
  if (index >= kRegisterWords && !is_debug_register(offset)) return Errno::kIo;
  return while_stopped(tracee, [&](UserRegisters& registers) -> Result<void> {
    if (index < kRegisterWords) return set_word(registers, index, word);
    return set_debug_register(tracee.tracing.record->debug, debug_number(offset), word);
  });
}

Result<RegisterWords> registers(Thread& tracee) {
  RegisterWords words;
  TRY(while_stopped(tracee, [&](UserRegisters& registers) -> Result<void> {
    words = words_of(registers);
    return {};
  }));
  return words;
}

Result<void> set_registers(Thread& tracee, std::span<const uint64_t> words) {
  return while_stopped(tracee, [&](UserRegisters& registers) -> Result<void> {
    UserRegisters next = registers;
    for (size_t i = 0; i < words.size(); ++i) TRY(set_word(next, i, words[i]));
    registers = next;
    return {};
  });
}

Result<void> read_xstate(Thread& tracee, std::span<std::byte> to) {
  return while_stopped(tracee, [&](UserRegisters&) { return copy_xstate(tracee.context(), to); });
}

Result<void> write_xstate(Thread& tracee, std::span<const std::byte> from) {
  return while_stopped(tracee, [&](UserRegisters&) -> Result<void> {
    const std::span<std::byte> area = tracee.context().xstate();
    if (from.size() > area.size()) return Errno::kInval;
    constexpr uint64_t kX87AndSse = 3;
    const uint64_t present = TRY(read_object<uint64_t>(area.subspan(kLegacyXstateSize)));
    copy_bytes(area.first(from.size()), from);
    if (from.size() <= kLegacyXstateSize)
      TRY(write_object(area.subspan(kLegacyXstateSize), present | kX87AndSse));
    return sanitize_xstate(area);
  });
}

Result<SignalInfo> signal_info(Thread& tracee) {
  SignalInfo info;
  TRY(while_stopped(tracee, [&](UserRegisters&) -> Result<void> {
    if (!tracee.tracing.info) return Errno::kInval;
    info = *tracee.tracing.info;
    return {};
  }));
  return info;
}

Result<void> set_signal_info(Thread& tracee, const SignalInfo& info) {
  return while_stopped(tracee, [&](UserRegisters&) -> Result<void> {
    if (!tracee.tracing.info) return Errno::kInval;
    tracee.tracing.info = info;
    return {};
  });
}

std::optional<SignalInfo> queued_signal(Thread& tracee, Queue queue, uint64_t index) {
  const auto look = [&](const PendingSignals& pending) { return pending.at(index); };
  return queue == Queue::kShared ? tracee.process().shared_pending().with(look)
                                 : tracee.own_pending().with(look);
}

uint64_t event_message(Thread& tracee) {
  return process_tree().with([&](ProcessTree&) { return tracee.tracing.message; });
}

void set_options(Thread& tracee, uint32_t options) {
  process_tree().with([&](ProcessTree&) { tracee.tracing.options = options; });
}

SizedSyscallInfo syscall_info(Thread& tracee) {
  constexpr uint32_t kArchX8664 = 0xc000003e;
  SizedSyscallInfo sized{.info = {}, .size = offsetof(SyscallInfo, entry)};
  SyscallInfo& info = sized.info;
  (void)while_stopped(tracee, [&](UserRegisters& r) -> Result<void> {
    const Tracing& tracing = tracee.tracing;
    info.arch = kArchX8664;
    info.instruction_pointer = r.rip;
    info.stack_pointer = r.rsp;
    if (!tracing.info || tracing.info->code != kSyscallTrap) return {};
    if (tracing.message == kMessageEntry) {
      info.op = 1;
      info.entry = {.number = r.original_rax,
                    .arguments = {{r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9}}};
      sized.size = sizeof(info.entry) + offsetof(SyscallInfo, entry);
    } else if (tracing.message == kMessageExit) {
      info.op = 2;
      const auto result = static_cast<int64_t>(r.rax);
      info.exit.result = result;
      info.exit.is_error = result < 0 && result >= -4095;
      sized.size = offsetof(SyscallInfo, exit) + 9;
    }
    return {};
  });
  return sized;
}

}  // namespace occlum::ptrace
