// Threads: making and ending them, their words and lists (clone(2), set_tid_address(2), get_robust_list(2)).
#include "libos/process/clone.h"
#include "libos/process/exit.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/time_values.h"

namespace occlum {

// clone(2), the raw call of x86-64.
Result<long> sys_clone(Thread& self, uint64_t flags, UserAddress stack, UserAddress parent_tid,
                       UserAddress child_tid, uint64_t tls) {
  flags &= UINT32_MAX;
  // Both store through parent_tid.
  if ((flags & kClonePidFd) != 0 && (flags & kCloneParentSetTid) != 0) return Errno::kInval;
  CloneRequest request{.flags = flags & ~kCloneSignalMask,
                       .exit_signal = static_cast<int>(flags & kCloneSignalMask),
                       .stack_pointer = stack.value(),
                       .tls = tls,
                       .parent_tid = parent_tid.value(),
                       .child_tid = child_tid.value(),
                       .pidfd = parent_tid.value()};
  return TRY(clone_thread(self, request));
}

Result<long> sys_fork(Thread& self) {
  return TRY(clone_thread(self, CloneRequest{.exit_signal = kSigChld}));
}

Result<long> sys_vfork(Thread& self) {
  return TRY(
      clone_thread(self, CloneRequest{.flags = kCloneVm | kCloneVfork, .exit_signal = kSigChld}));
}

// clone3(2).
Result<long> sys_clone3(Thread& self, UserAddress arguments, size_t size) {
  constexpr size_t kFirstSize = 64;  // CLONE_ARGS_SIZE_VER0
  if (size > 4096) return Errno::kTooBig;
  if (size < kFirstSize) return Errno::kInval;
  CloneArguments given{};
  AddressSpace& memory = self.memory();
  TRY(copy_from_user(memory, bytes_of(given).first(std::min(size, sizeof(given))), arguments));
  for (size_t at = sizeof(given); at < size; ++at) {
    // What we do not know must be zero.
    if (TRY(UserIn<uint8_t>(arguments + at).read()) != 0) return Errno::kTooBig;
  }
  constexpr uint64_t kMostLevels = 32;  // MAX_PID_NS_LEVEL; there is one
  if (given.set_tid_size > kMostLevels || (given.set_tid == 0) != (given.set_tid_size == 0))
    return Errno::kInval;
  if ((given.flags & (kCloneDetached | (kCloneSignalMask & ~kCloneNewTime))) != 0)
    return Errno::kInval;
  if ((given.flags >> 34) != 0) return Errno::kInval;
  if (given.exit_signal > kSigMax) return Errno::kInval;
  if ((given.flags & (kCloneThread | kCloneParent)) != 0 && given.exit_signal != 0)
    return Errno::kInval;
  if ((given.stack == 0) != (given.stack_size == 0)) return Errno::kInval;
  std::optional<Pid> tid;
  if (given.set_tid_size != 0) {
    tid = TRY(UserIn<Pid>(UserAddress(given.set_tid)).read());
    if (given.set_tid_size > 1) tid = 0;  // kInval, when its turn comes
  }
  return TRY(clone_thread(self, CloneRequest{.flags = given.flags,
                                             .exit_signal = static_cast<int>(given.exit_signal),
                                             .stack_pointer = given.stack + given.stack_size,
                                             .tls = given.tls,
                                             .parent_tid = given.parent_tid,
                                             .child_tid = given.child_tid,
                                             .pidfd = given.pidfd,
                                             .tid = tid}));
}

Result<long> sys_exit(Thread& self, int status) { exit_thread(self, status); }

// exit_group(2): every thread notices on its way back to the program; this one at once.
Result<long> sys_exit_group(Thread& self, int status) {
  exit_process(self, exited_status(status));
  exit_thread(self, status);
}

Result<long> sys_gettid(Thread& self) { return self.tid(); }

Result<long> sys_set_tid_address(Thread& self, UserAddress word) {
  self.clear_child_tid = word.value();
  return self.tid();
}

namespace {
constexpr size_t kRobustListSize = 24;  // of struct robust_list_head
}  // namespace

Result<long> sys_set_robust_list(Thread& self, UserAddress head, size_t size) {
  if (size != kRobustListSize) return Errno::kInval;
  self.robust_list = head.value();
  return 0;
}

Result<long> sys_get_robust_list(Thread& self, Pid tid, UserOut<uint64_t> head,
                                 UserOut<uint64_t> size) {
  const RefPtr<Thread> thread = tid == 0 ? ref_to(self) : find_thread(tid);
  if (!thread) return Errno::kSrch;
  if (&thread->process() != &self.process() && !self.user().has(kCapSysPtrace)) return Errno::kPerm;
  TRY(size.write(kRobustListSize));
  TRY(head.write(thread->robust_list));
  return 0;
}

}  // namespace occlum
