// ptrace(2). The order of checks is Linux's (kernel/ptrace.c, arch/x86/kernel/ptrace.c): whose tracee it is, whether it
// is stopped, then the request. What there is not (seccomp's requests) is EIO, as for a request that does not exist.
#include "libos/process/ptrace/ptrace.h"
#include "libos/arch/task_context.h"
#include "libos/lib/vec.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/attach.h"
#include "libos/process/ptrace/constants.h"
#include "libos/process/ptrace/requests.h"
#include "libos/process/signals/frame.h"
#include "libos/syscall/dispatch.h"

namespace occlum {

using ptrace::Request;

namespace {

struct Call {
  Thread& tracee;
  uint64_t address;
  UserAddress data;  // often a number
  uint64_t number() const { return data.value(); }
};

Result<long> resume(const Call& call, ptrace::Resume how) {
  if (call.number() > kSigMax) return Errno::kIo;
  TRY(ptrace::resume(call.tracee, how, static_cast<int>(call.number())));
  return 0;
}

Result<long> detach(const Call& call) {
  if (call.number() > kSigMax) return Errno::kIo;
  ptrace::detach(call.tracee, static_cast<int>(call.number()));
  return 0;
}

Result<long> set_options(const Call& call) {
  if ((call.number() & ~uint64_t{ptrace::kOptionMask}) != 0) return Errno::kInval;
  if ((call.number() & ptrace::kOptionSuspendSeccomp) != 0) return Errno::kInval;
  ptrace::set_options(call.tracee, static_cast<uint32_t>(call.number()));
  return 0;
}

// --- register sets ---

Result<long> get_words(const Call& call) {
  TRY(UserOut<ptrace::RegisterWords>(call.data).write(TRY(ptrace::registers(call.tracee))));
  return 0;
}

Result<long> set_words(const Call& call) {
  const ptrace::RegisterWords words = TRY(UserIn<ptrace::RegisterWords>(call.data).read());
  TRY(ptrace::set_registers(call.tracee, words));
  return 0;
}

Result<long> get_state(Thread& self, const Call& call, UserAddress to, size_t area, size_t size) {
  Vec<std::byte> bytes;
  TRY(bytes.resize(area));
  TRY(ptrace::read_xstate(call.tracee, bytes.span()));
  TRY(copy_to_user(self.memory(), to, bytes.span().first(size)));
  return 0;
}

Result<long> set_state(Thread& self, const Call& call, UserAddress from, size_t size) {
  Vec<std::byte> bytes;
  TRY(bytes.resize(size));
  TRY(copy_from_user(self.memory(), bytes.span(), from));
  TRY(ptrace::write_xstate(call.tracee, bytes.span()));
  return 0;
}

struct IoVector {
  uint64_t base, length;
};

// PTRACE_GETREGSET, PTRACE_SETREGSET: as much as both sides have.
Result<long> register_set(Thread& self, const Call& call, bool sets) {
  const UserInOut<IoVector> vector(call.data);
  IoVector room = TRY(vector.read());
  const size_t whole = call.address == ptrace::kNotePrStatus ? sizeof(ptrace::RegisterWords)
                       : call.address == ptrace::kNoteFloat  ? ptrace::kFloatSize
                       : call.address == ptrace::kNoteXstate ? xstate_size()
                                                             : 0;
  if (whole == 0 || room.length % sizeof(uint64_t) != 0) return Errno::kInval;
  const size_t size = std::min<uint64_t>(room.length, whole);
  const UserAddress base(room.base);
  if (call.address != ptrace::kNotePrStatus) {
    if (sets && call.address == ptrace::kNoteXstate && size != whole) return Errno::kFault;
    TRY(sets ? set_state(self, call, base, size) : get_state(self, call, base, whole, size));
  } else if (sets) {
    ptrace::RegisterWords words = {};
    TRY(copy_from_user(self.memory(), bytes_of(words).first(size), base));
    TRY(ptrace::set_registers(call.tracee, std::span(words).first(size / sizeof(uint64_t))));
  } else {
    const ptrace::RegisterWords words = TRY(ptrace::registers(call.tracee));
    TRY(copy_to_user(self.memory(), base, bytes_of(words).first(size)));
  }
  room.length = size;
  TRY(UserOut<IoVector>(call.data).write(room));
  return 0;
}

// --- signals ---

Result<long> get_signal_info(const Call& call) {
  UserSignalInfo info;
  info.info = TRY(ptrace::signal_info(call.tracee));
  TRY(UserOut<UserSignalInfo>(call.data).write(info));
  return 0;
}

Result<long> set_signal_info(const Call& call) {
  const UserSignalInfo info = TRY(UserIn<UserSignalInfo>(call.data).read());
  TRY(ptrace::set_signal_info(call.tracee, info.info));
  return 0;
}

Result<long> get_signal_mask(const Call& call) {
  if (call.address != sizeof(SignalSet)) return Errno::kInval;
  TRY(UserOut<SignalSet>(call.data).write(call.tracee.signal_mask()));
  return 0;
}

Result<long> set_signal_mask(const Call& call) {
  if (call.address != sizeof(SignalSet)) return Errno::kInval;
  const SignalSet mask = TRY(UserIn<SignalSet>(call.data).read());
  call.tracee.set_signal_mask(mask);
  return 0;
}

struct PeekSignals {  // struct ptrace_peeksiginfo_args
  uint64_t offset;
  uint32_t flags;
  int32_t count;
};

Result<long> peek_signals(const Call& call) {
  constexpr uint32_t kShared = 1;
  const PeekSignals wanted = TRY(UserIn<PeekSignals>(UserAddress(call.address)).read());
  if ((wanted.flags & ~kShared) != 0 || wanted.count < 0) return Errno::kInval;
  const ptrace::Queue queue =
      (wanted.flags & kShared) != 0 ? ptrace::Queue::kShared : ptrace::Queue::kOwn;
  const UserOut<UserSignalInfo> to(call.data);
  for (int32_t i = 0; i < wanted.count; ++i) {
    UserSignalInfo user;
    const uint64_t index = static_cast<uint64_t>(i);
    if (wanted.offset > UINT64_MAX - index) return i;
    const std::optional<SignalInfo> found =
        ptrace::queued_signal(call.tracee, queue, wanted.offset + index);
    if (!found) return i;
    user.info = *found;
    const Result<void> written = to.write_at(index, user);
    if (written.is_error() && i == 0) return written.error();
    if (written.is_error()) return i;
  }
  return wanted.count;
}

// --- the rest ---

struct RseqConfiguration {  // struct ptrace_rseq_configuration
  uint64_t address;
  uint32_t size, signature, flags, padding;
};

Result<long> get_rseq(Thread& self, const Call& call) {
  const RestartableSequences& rseq = call.tracee.rseq;
  const RseqConfiguration found{.address = rseq.address,
                                .size = rseq.size,
                                .signature = rseq.signature,
                                .flags = 0,
                                .padding = 0};
  const size_t room = std::min<uint64_t>(call.address, sizeof(found));
  TRY(copy_to_user(self.memory(), call.data, bytes_of(found).first(room)));
  return static_cast<long>(sizeof(found));
}

// The tracee's arch_prctl(2), with the arguments the other way round. GS is the LibOS's.
Result<long> arch_prctl(const Call& call) {
  constexpr uint64_t kSetFs = 0x1002, kGetFs = 0x1003, kGetGs = 0x1004;
  const UserOut<uint64_t> to{UserAddress(call.address)};
  switch (call.number()) {
    case kSetFs:
      if (ptrace::poke_user(call.tracee, ptrace::kFsBaseOffset, call.address).is_error())
        return Errno::kPerm;
      return 0;
    case kGetFs:
      TRY(to.write(TRY(ptrace::peek_user(call.tracee, ptrace::kFsBaseOffset))));
      return 0;
    case kGetGs:
      TRY(to.write(0));
      return 0;
    default:
      return Errno::kInval;
  }
}

Result<long> get_syscall_info(Thread& self, const Call& call) {
  const ptrace::SizedSyscallInfo sized = ptrace::syscall_info(call.tracee);
  const size_t room = std::min<uint64_t>(call.address, sized.size);
  TRY(copy_to_user(self.memory(), call.data, bytes_of(sized.info).first(room)));
  return static_cast<long>(sized.size);
}

Result<long> on_stopped(Thread& self, Request request, const Call& call) {
  switch (request) {
    case Request::kPeekText:
    case Request::kPeekData:
      TRY(UserOut<uint64_t>(call.data).write(TRY(ptrace::peek(call.tracee, call.address))));
      return 0;
    case Request::kPokeText:
    case Request::kPokeData:
      TRY(ptrace::poke(call.tracee, call.address, call.number()));
      return 0;
    case Request::kPeekUser:
      TRY(UserOut<uint64_t>(call.data).write(TRY(ptrace::peek_user(call.tracee, call.address))));
      return 0;
    case Request::kPokeUser:
      TRY(ptrace::poke_user(call.tracee, call.address, call.number()));
      return 0;
    case Request::kContinue:
      return resume(call, ptrace::Resume::kContinue);
    case Request::kSystemCall:
      return resume(call, ptrace::Resume::kSystemCall);
    case Request::kSingleStep:
      return resume(call, ptrace::Resume::kStep);
    case Request::kSingleBlock:
      return resume(call, ptrace::Resume::kBranch);
    case Request::kEmulate:
      return resume(call, ptrace::Resume::kEmulate);
    case Request::kEmulateStep:
      return resume(call, ptrace::Resume::kEmulateStep);
    case Request::kDetach:
      return detach(call);
    case Request::kGetRegisters:
      return get_words(call);
    case Request::kSetRegisters:
      return set_words(call);
    case Request::kGetFloatRegisters:
      return get_state(self, call, call.data, ptrace::kFloatSize, ptrace::kFloatSize);
    case Request::kSetFloatRegisters:
      return set_state(self, call, call.data, ptrace::kFloatSize);
    case Request::kGetRegisterSet:
    case Request::kSetRegisterSet:
      return register_set(self, call, request == Request::kSetRegisterSet);
    case Request::kSetOptions:
      return set_options(call);
    case Request::kGetEventMessage:
      TRY(UserOut<uint64_t>(call.data).write(ptrace::event_message(call.tracee)));
      return 0;
    case Request::kGetSignalInfo:
      return get_signal_info(call);
    case Request::kSetSignalInfo:
      return set_signal_info(call);
    case Request::kGetSignalMask:
      return get_signal_mask(call);
    case Request::kSetSignalMask:
      return set_signal_mask(call);
    case Request::kPeekSignals:
      return peek_signals(call);
    case Request::kArchPrctl:
      return arch_prctl(call);
    case Request::kGetRseqConfiguration:
      return get_rseq(self, call);
    case Request::kListen:
      TRY(ptrace::listen(call.tracee));
      return 0;
    case Request::kGetSyscallInfo:
      return get_syscall_info(self, call);
    default:
      return Errno::kIo;
  }
}

}  // namespace

Result<long> sys_ptrace(Thread& self, int64_t request, int64_t pid, uint64_t address,
                        uint64_t data) {
  const auto kind = static_cast<Request>(request);
  if (kind == Request::kTraceMe) {
    TRY(ptrace::trace_me(self));
    return 0;
  }
  const RefPtr<Thread> tracee = find_thread(static_cast<Pid>(pid));
  if (!tracee) return Errno::kSrch;
  if (kind == Request::kAttach) {
    TRY(ptrace::attach(self, *tracee, ptrace::Attach::kStop, 0));
    return 0;
  }
  if (kind == Request::kSeize) {
    if (address != 0 || (data & ~uint64_t{ptrace::kOptionMask}) != 0) return Errno::kIo;
    TRY(ptrace::attach(self, *tracee, ptrace::Attach::kSeize, static_cast<uint32_t>(data)));
    return 0;
  }
  const bool runs = kind == Request::kKill || kind == Request::kInterrupt;
  TRY(ptrace::check_tracee(self, *tracee, runs ? ptrace::Need::kAny : ptrace::Need::kStopped));
  if (kind == Request::kInterrupt) {
    TRY(ptrace::interrupt(*tracee));
    return 0;
  }
  if (kind == Request::kKill) {
    ptrace::kill(*tracee);
    return 0;
  }
  return on_stopped(self, kind,
                    Call{.tracee = *tracee, .address = address, .data = UserAddress(data)});
}

}  // namespace occlum
