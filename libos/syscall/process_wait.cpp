// Waiting for children and the accounts of processes (wait4(2), waitid(2), getrusage(2), times(2), getrlimit(2)).
#include "libos/fs/vfs/operations.h"
#include "libos/process/exit.h"
#include "libos/process/pid_file.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/frame.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/time_values.h"

namespace occlum {
namespace {

constexpr uint32_t kNoHang = 1, kStopped = 2, kExited = 4, kContinued = 8, kNoWait = 0x01000000,
                   kNoThread = 0x20000000, kAll = 0x40000000, kClone = 0x80000000;

WaitRequest::Clones clones_of(uint32_t options) {
  if ((options & kAll) != 0) return WaitRequest::Clones::kAll;
  return (options & kClone) != 0 ? WaitRequest::Clones::kOnlyClones
                                 : WaitRequest::Clones::kOrdinary;
}

// Whose children: of this thread only, or of all threads of the process.
Pid thread_of(Thread& self, uint32_t options) {
  return (options & kNoThread) != 0 ? self.tid() : 0;
}

Rusage to_rusage(const ResourceUsage& usage) {
  Rusage result{};
  result.user_time = to_timeval(usage.user_time);
  result.system_time = to_timeval(usage.system_time);
  result.max_rss = static_cast<int64_t>(usage.max_resident / 1024);
  result.minor_faults = static_cast<int64_t>(usage.minor_faults);
  result.major_faults = static_cast<int64_t>(usage.major_faults);
  result.voluntary_switches = static_cast<int64_t>(usage.voluntary_switches);
  result.involuntary_switches = static_cast<int64_t>(usage.involuntary_switches);
  return result;
}

}  // namespace

// wait4(2).
Result<long> sys_wait4(Thread& self, Pid pid, UserOut<int> status, Flags flags,
                       UserOut<Rusage> usage) {
  const uint32_t options = bits(flags);
  if ((options & ~(kNoHang | kStopped | kContinued | kNoThread | kAll | kClone)) != 0)
    return Errno::kInval;
  if (pid == INT32_MIN) return Errno::kSrch;
  WaitRequest request;
  if (pid > 0) {
    request.who = WaitRequest::Who::kPid;
    request.id = pid;
  } else if (pid != -1) {
    request.who = WaitRequest::Who::kGroup;
    request.id = pid == 0 ? self.process().group_id() : -pid;
  }
  request.stopped = (options & kStopped) != 0;
  request.continued = (options & kContinued) != 0;
  request.no_hang = (options & kNoHang) != 0;
  request.clones = clones_of(options);
  request.thread = thread_of(self, options);

  const WaitResult result = TRY(wait_for_child(self, request));
  if (result.pid == 0) return 0;
  if (!status.is_null()) TRY(status.write(result.status));
  if (!usage.is_null()) TRY(usage.write(to_rusage(result.usage)));
  return result.pid;
}

namespace {

Result<WaitRequest> waitid_target(Thread& self, int type, Pid id) {
  constexpr int kTypeAll = 0, kTypePid = 1, kTypeGroup = 2, kTypePidFd = 3;
  WaitRequest request;
  switch (type) {
    case kTypeAll:
      break;
    case kTypePid:
      if (id <= 0) return Errno::kInval;
      request.who = WaitRequest::Who::kPid;
      request.id = id;
      break;
    case kTypeGroup:
      if (id < 0) return Errno::kInval;
      request.who = WaitRequest::Who::kGroup;
      request.id = id == 0 ? self.process().group_id() : id;
      break;
    case kTypePidFd: {
      if (id < 0) return Errno::kInval;
      const RefPtr<File> file = TRY(self.files().get(id));
      request.who = WaitRequest::Who::kPid;
      request.id = TRY(PidFile::process_of(file))->pid();
      request.no_hang = file->is_nonblocking();
      break;
    }
    default:
      return Errno::kInval;
  }
  return request;
}

// The fields that waitid(2) promises, and nothing else of the siginfo_t.
Result<void> write_wait_info(Thread& self, UserAddress address, const WaitResult& result) {
  UserSignalInfo info;
  if (result.pid != 0) info.info = result.info;
  constexpr size_t kFields = 28;  // si_signo, si_errno, si_code, si_pid, si_uid, si_status
  return copy_to_user(self.memory(), address, bytes_of(info).first(kFields));
}

Result<WaitResult> wait_by_id(Thread& self, int type, Pid id, uint32_t options) {
  if ((options &
       ~(kNoHang | kNoWait | kExited | kStopped | kContinued | kNoThread | kAll | kClone)) != 0 ||
      (options & (kExited | kStopped | kContinued)) == 0) {
    return Errno::kInval;
  }
  WaitRequest request = TRY(waitid_target(self, type, id));
  const bool is_nonblocking_fd = request.no_hang;
  request.exited = (options & kExited) != 0;
  request.stopped = (options & kStopped) != 0;
  request.continued = (options & kContinued) != 0;
  request.keep = (options & kNoWait) != 0;
  request.no_hang = request.no_hang || (options & kNoHang) != 0;
  request.clones = clones_of(options);
  request.thread = thread_of(self, options);

  const WaitResult result = TRY(wait_for_child(self, request));
  if (result.pid == 0 && is_nonblocking_fd && (options & kNoHang) == 0) return Errno::kAgain;
  return result;
}

}  // namespace

// waitid(2). The siginfo_t is written when there is an error too: with zeroes.
Result<long> sys_waitid(Thread& self, int type, Pid id, UserAddress info, Flags flags,
                        UserOut<Rusage> usage) {
  const Result<WaitResult> waited = wait_by_id(self, type, id, bits(flags));
  const WaitResult result = waited.is_error() ? WaitResult{} : waited.value();
  if (!usage.is_null() && result.pid != 0) TRY(usage.write(to_rusage(result.usage)));
  if (!info.is_null()) TRY(write_wait_info(self, info, result));
  if (waited.is_error()) return waited.error();
  return 0;
}

// getrusage(2).
Result<long> sys_getrusage(Thread& self, int who, UserOut<Rusage> usage) {
  constexpr int kSelf = 0, kChildren = -1, kThread = 1;
  switch (who) {
    case kSelf:
      TRY(usage.write(to_rusage(self.process().usage())));
      return 0;
    case kChildren:
      TRY(usage.write(to_rusage(self.process().children_usage())));
      return 0;
    case kThread: {
      ResourceUsage own = told_usage(self);
      own.max_resident = self.process().usage().max_resident;
      TRY(usage.write(to_rusage(own)));
      return 0;
    }
    default:
      return Errno::kInval;
  }
}

// times(2): the result is a clock of its own.
Result<long> sys_times(Thread& self, UserOut<ProcessTimes> times) {
  if (!times.is_null()) {
    const auto ticks = [](uint64_t time) {
      return static_cast<int64_t>(time / kNanosecondsPerTick);
    };
    const ResourceUsage own = self.process().usage();
    const ResourceUsage children = self.process().children_usage();
    TRY(times.write({.user = ticks(own.user_time),
                     .system = ticks(own.system_time),
                     .children_user = ticks(children.user_time),
                     .children_system = ticks(children.system_time)}));
  }
  return static_cast<long>(monotonic_now() / kNanosecondsPerTick);
}

namespace {

Result<Resource> resource_of(uint32_t number) {
  if (number >= kResourceCount) return Errno::kInval;
  return static_cast<Resource>(number);
}

// prlimit(2): another process only with the same ids throughout, or CAP_SYS_RESOURCE.
Result<void> check_may_limit(Thread& self, Process& target) {
  if (&target == &self.process() || self.user().has(kCapSysResource)) return {};
  const RefPtr<SharedCredentials> credentials = target.credentials();
  if (!credentials) return Errno::kPerm;
  const UserCredentials& own = self.user();
  const UserCredentials& theirs = credentials->value;
  const bool same_user = own.uid == theirs.uid && own.uid == theirs.euid && own.uid == theirs.suid;
  const bool same_group = own.gid == theirs.gid && own.gid == theirs.egid && own.gid == theirs.sgid;
  if (!same_user || !same_group) return Errno::kPerm;
  return {};
}

// Only the privileged raise a hard limit.
Result<void> set_limit(Thread& self, Process& target, Resource resource, ResourceLimit limit) {
  constexpr uint64_t kMostFiles = 1048576;  // /proc/sys/fs/nr_open
  if (limit.soft > limit.hard) return Errno::kInval;
  if (resource == Resource::kFiles && limit.hard > kMostFiles) return Errno::kPerm;
  if (limit.hard > target.limit(resource).hard && !self.user().has(kCapSysResource))
    return Errno::kPerm;
  target.set_limit(resource, limit);
  return {};
}

}  // namespace

Result<long> sys_getrlimit(Thread& self, uint32_t resource, UserOut<ResourceLimit> limit) {
  TRY(limit.write(self.process().limit(TRY(resource_of(resource)))));
  return 0;
}

Result<long> sys_setrlimit(Thread& self, uint32_t resource, UserIn<ResourceLimit> limit) {
  const ResourceLimit wanted = TRY(limit.read());
  TRY(set_limit(self, self.process(), TRY(resource_of(resource)), wanted));
  return 0;
}

// prlimit(2).
Result<long> sys_prlimit64(Thread& self, Pid pid, uint32_t resource, UserIn<ResourceLimit> limit,
                           UserOut<ResourceLimit> old_limit) {
  std::optional<ResourceLimit> wanted;
  if (!limit.is_null()) wanted = TRY(limit.read());
  RefPtr<Process> target = pid == 0 ? ref_to(self.process()) : find_process(pid);
  if (!target) return Errno::kSrch;
  TRY(check_may_limit(self, *target));
  const Resource which = TRY(resource_of(resource));
  const ResourceLimit old = target->limit(which);
  if (wanted) TRY(set_limit(self, *target, which, *wanted));
  if (!old_limit.is_null()) TRY(old_limit.write(old));
  return 0;
}

}  // namespace occlum
