// What a tracer asks of a tracee that is stopped. The caller is the tracer's thread.
#pragma once

#include <cstdint>
#include <span>

#include "libos/lib/result.h"
#include "libos/mm/user.h"
#include "libos/process/ptrace/registers.h"
#include "libos/process/thread.h"

namespace occlum::ptrace {

enum class Need { kStopped, kAny };
// Errors: kSrch: not a tracee of the caller's, or not stopped.
Result<void> check_tracee(Thread& self, const Thread& tracee, Need need);

// kBranch: a step as far as the next branch; kEmulate: up to a system call, which is not made.
enum class Resume { kContinue, kSystemCall, kStep, kBranch, kEmulate, kEmulateStep };
Result<void> resume(Thread& tracee, Resume how, int signal);
Result<void> interrupt(Thread& tracee);  // kIo: not seized
Result<void> listen(Thread& tracee);     // kIo: not in a stop of PTRACE_EVENT_STOP
void kill(Thread& tracee);

// A word of its memory, whatever the rights of its pages are. Errors: kIo.
Result<uint64_t> peek(Thread& tracee, uint64_t address);
Result<void> poke(Thread& tracee, uint64_t address, uint64_t word);
// A word of struct user. Errors: kIo; kInval: no value for a debug register.
Result<uint64_t> peek_user(Thread& tracee, uint64_t offset);
Result<void> poke_user(Thread& tracee, uint64_t offset, uint64_t word);

Result<RegisterWords> registers(Thread& tracee);
Result<void> set_registers(Thread& tracee, std::span<const uint64_t> words);
// The legacy area, and the whole of it (XSAVE's standard format).
Result<void> read_xstate(Thread& tracee, std::span<std::byte> to);
Result<void> write_xstate(Thread& tracee, std::span<const std::byte> from);

Result<SignalInfo> signal_info(Thread& tracee);  // kInval: a group-stop
Result<void> set_signal_info(Thread& tracee, const SignalInfo& info);
// What is sent to the thread, or to its process, and not yet delivered: the oldest first.
enum class Queue { kOwn, kShared };
std::optional<SignalInfo> queued_signal(Thread& tracee, Queue queue, uint64_t index);
uint64_t event_message(Thread& tracee);
void set_options(Thread& tracee, uint32_t options);

struct SyscallInfo {  // struct ptrace_syscall_info
  struct Entry {
    uint64_t number;
    std::array<uint64_t, 6> arguments;
  };
  struct Exit {
    int64_t result;
    uint8_t is_error;
  };
  uint8_t op;  // 0 none, 1 entry, 2 exit
  std::array<uint8_t, 3> padding;
  uint32_t arch;
  uint64_t instruction_pointer, stack_pointer;
  union {
    Entry entry;
    Exit exit;
  };
};
static_assert(sizeof(SyscallInfo) == 80);
struct SizedSyscallInfo {
  SyscallInfo info;
  size_t size;  // what of it is meant
};
SizedSyscallInfo syscall_info(Thread& tracee);

}  // namespace occlum::ptrace
