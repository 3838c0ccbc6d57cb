#include "libos/syscall/schedule_targets.h"

#include "libos/process/process.h"
#include "libos/process/process_table.h"

namespace occlum {

Result<RefPtr<Thread>> thread_named(Thread& self, Pid pid) {
  RefPtr<Thread> thread = pid == 0 ? ref_to(self) : find_thread(pid);
  if (!thread) return Errno::kSrch;
  return thread;
}

Result<void> each_named(Thread& self, int which, int who, FunctionRef<void(Thread&)> visit) {
  if (which == kPriorityProcess) {
    const RefPtr<Thread> thread = TRY(thread_named(self, who));
    visit(*thread);
    return {};
  }
  if (which != kPriorityGroup && which != kPriorityUser) return Errno::kInval;
  const Pid group = who == 0 ? self.process().group_id() : who;
  const auto user = static_cast<uint32_t>(who);
  bool found = false;
  Result<void> outcome{};
  TRY(for_each_process([&](Process& process) {
    if (process.is_kernel()) return;
    const RefPtr<SharedCredentials> theirs = process.credentials();
    const bool is_meant =
        which == kPriorityGroup ? process.group_id() == group : theirs && theirs->value.uid == user;
    if (!is_meant) return;
    Result<Vec<RefPtr<Thread>>> threads = process.threads();
    if (threads.is_error()) {
      outcome = threads.error();
      return;
    }
    for (const RefPtr<Thread>& thread : threads.value()) {
      found = true;
      visit(*thread);
    }
  }));
  TRY(std::move(outcome));
  if (!found) return Errno::kSrch;
  return {};
}

}  // namespace occlum
