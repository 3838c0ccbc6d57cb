// ioprio_get(2) and ioprio_set(2). Priorities are kept, inherited and told. Nothing obeys them, as on a Linux whose disks
// have the scheduler `none`: what reaches a disk, and in which order, is the host's business.
#include <algorithm>

#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/schedule_targets.h"

namespace occlum {
namespace {

enum class IoClass : int { kNone, kRealtime, kBestEffort, kIdle };
constexpr int kClassShift = 13, kClassMask = 7, kLevelMask = 7;
constexpr int kFirstWhich = 1;  // IOPRIO_WHO_PROCESS

IoClass class_of(int priority) {
  return static_cast<IoClass>(priority >> kClassShift & kClassMask);
}

Result<void> check_priority(Thread& self, int priority) {
  switch (class_of(priority)) {
    case IoClass::kRealtime:
      if (!self.user().has(kCapSysAdmin) && !self.user().has(kCapSysNice)) return Errno::kPerm;
      return {};
    case IoClass::kBestEffort:
    case IoClass::kIdle:
      return {};
    case IoClass::kNone:
      if ((priority & kLevelMask) != 0) return Errno::kInval;
      return {};
  }
  return Errno::kInval;
}

// Of a thread without one it follows from how it is scheduled.
int effective_priority(Thread& thread) {
  constexpr int kNiceOffset = 20, kNiceValuesPerLevel = 5;
  const int own = thread.io_priority();
  if (class_of(own) != IoClass::kNone) return own;
  const Scheduling scheduling = thread.scheduling();
  const IoClass derived = scheduling.is_realtime()                       ? IoClass::kRealtime
                          : scheduling.policy == SchedulingPolicy::kIdle ? IoClass::kIdle
                                                                         : IoClass::kBestEffort;
  return static_cast<int>(derived) << kClassShift |
         (scheduling.nice + kNiceOffset) / kNiceValuesPerLevel;
}

Result<void> set_priority(Thread& self, Thread& target, uint16_t priority) {
  const RefPtr<SharedCredentials> theirs = target.share_credentials();
  if (!theirs) return Errno::kSrch;
  const uint32_t owner = theirs->value.uid;
  if (owner != self.user().uid && owner != self.user().euid && !self.user().has(kCapSysNice))
    return Errno::kPerm;
  return target.set_io_priority(priority);
}

bool is_known_which(int which) {
  return which >= kFirstWhich && which <= kFirstWhich + kPriorityUser;
}

}  // namespace

// Of one thread what was set; of several the highest that is in effect. User 0 is root here, not the caller's, whatever the
// manual says.
Result<long> sys_ioprio_get(Thread& self, int which, int who) {
  if (!is_known_which(which)) return Errno::kInval;
  which -= kFirstWhich;
  if (which == kPriorityProcess && who == kReaperPid) return 0;
  if (which == kPriorityProcess) return TRY(thread_named(self, who))->io_priority();
  int best = UINT16_MAX;  // a lower number comes first
  TRY(each_named(self, which, who,
                 [&](Thread& thread) { best = std::min(best, effective_priority(thread)); }));
  return best;
}

Result<long> sys_ioprio_set(Thread& self, int which, int who, int priority) {
  TRY(check_priority(self, priority));
  if (!is_known_which(which)) return Errno::kInval;
  Result<void> outcome{};
  TRY(each_named(self, which - kFirstWhich, who, [&](Thread& thread) {
    if (outcome.is_error()) return;  // the first refusal ends it
    outcome = set_priority(self, thread, static_cast<uint16_t>(priority));
  }));
  return done(outcome);
}

}  // namespace occlum
