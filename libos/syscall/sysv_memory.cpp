// shmget(2), shmat(2), shmdt(2), shmctl(2).
#include "libos/ipc/sysv_memory.h"

#include "libos/lib/bits.h"
#include "libos/process/thread.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/sysv.h"

namespace occlum {

namespace {

constexpr int kLock = 11, kUnlock = 12, kShmStat = 13, kShmInfo = 14, kShmStatAny = 15;

Result<long> segment_status(Thread& self, int id, int command, UserAddress argument) {
  using sysv_memory::Lookup;
  const Lookup lookup = command == kIpcStat   ? Lookup::kById
                        : command == kShmStat ? Lookup::kByIndex
                                              : Lookup::kByIndexUnchecked;
  const SegmentStatus status = TRY(sysv_memory::status(id, lookup, self.user()));
  TRY(UserOut<LinuxSegment>(argument).write({.permission = to_user(status.permission),
                                             .size = status.size,
                                             .attach_time = status.attach_time,
                                             .detach_time = status.detach_time,
                                             .change_time = status.change_time,
                                             .creator = status.creator,
                                             .last = status.last,
                                             .attached = status.attached,
                                             .unused = {}}));
  return command == kIpcStat ? 0L : static_cast<long>(status.id);
}

Result<long> segment_limits(UserAddress argument) {
  TRY(UserOut<LinuxSegmentLimits>(argument).write({.max = sysv_memory::kMaxSize,
                                                   .min = 1,
                                                   .segments = sysv_memory::kMaxSegments,
                                                   .per_process = sysv_memory::kMaxSegments,
                                                   .all = sysv_memory::kMaxSize,
                                                   .unused = {}}));
  return static_cast<long>(sysv_memory::totals().highest_index);
}

Result<long> segment_use(UserAddress argument) {
  const sysv_memory::Totals totals = sysv_memory::totals();
  TRY(UserOut<LinuxSegmentUse>(argument).write({.used_ids = totals.segments,
                                                .padding = 0,
                                                .pages = totals.pages,
                                                .resident = totals.resident_pages,
                                                .swapped = 0,
                                                .swap_attempts = 0,
                                                .swap_successes = 0}));
  return static_cast<long>(totals.highest_index);
}

}  // namespace

Result<long> sys_shmget(Thread& self, int key, size_t size, int flags) {
  return static_cast<long>(
      TRY(sysv_memory::get(key, size, static_cast<uint32_t>(flags), self.user(), self.pid())));
}

Result<long> sys_shmat(Thread& self, int id, UserAddress address, int flag_word) {
  if (id < 0) return Errno::kInval;
  const auto flags = static_cast<uint32_t>(flag_word);
  uint64_t at = address.value();
  if (!is_aligned(at, kPageSize)) {
    if ((flags & sysv_memory::kRound) == 0) return Errno::kInval;
    at = align_down(at, kPageSize);
  }
  if (at == 0 && (flags & sysv_memory::kRemap) != 0) return Errno::kInval;
  return static_cast<long>(TRY(sysv_memory::attach(self, id, at, flags)));
}

Result<long> sys_shmdt(Thread& self, UserAddress address) {
  TRY(sysv_memory::detach(self, address.value()));
  return 0L;
}

Result<long> sys_shmctl(Thread& self, int id, int command, UserAddress argument) {
  if (id < 0 || command < 0) return Errno::kInval;
  switch (command) {
    case kIpcInfo:
      return segment_limits(argument);
    case kShmInfo:
      return segment_use(argument);
    case kIpcStat:
    case kShmStat:
    case kShmStatAny:
      return segment_status(self, id, command, argument);
    case kIpcSet: {
      const LinuxIpcPermission wanted = TRY(UserIn<LinuxSegment>(argument).read()).permission;
      TRY(sysv_memory::change(id, wanted.uid, wanted.gid, wanted.mode, self.user()));
      return 0L;
    }
    case kIpcRemove:
      TRY(sysv_memory::remove(id, self.user()));
      return 0L;
    case kLock:
    case kUnlock:
      TRY(sysv_memory::set_locked(id, command == kLock, self));
      return 0L;
    default:
      return Errno::kInval;
  }
}

}  // namespace occlum
