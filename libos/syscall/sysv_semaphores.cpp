// semget(2), semop(2), semtimedop(2), semctl(2).
#include "libos/ipc/sysv_semaphores.h"

#include "libos/process/process.h"
#include "libos/process/thread.h"
#include "libos/syscall/deadline.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/sysv.h"

namespace occlum {

namespace {

constexpr int kGetPid = 11, kGetValue = 12, kGetAll = 13, kCountWaiting = 14, kCountZero = 15,
              kSetValue = 16, kSetAll = 17, kSemStat = 18, kSemInfo = 19, kSemStatAny = 20;

Result<long> set_info(int command, UserAddress argument) {
  constexpr int kUndoSize = 20;
  constexpr auto kSets = static_cast<int>(sysv_semaphores::kMaxSets);
  constexpr auto kOperations = static_cast<int>(sysv_semaphores::kMaxOperations);
  constexpr int kSemaphores = kSets * sysv_semaphores::kMaxPerSet;
  LinuxSemaphoreInfo info = {.map = kSemaphores,
                             .sets = kSets,
                             .semaphores = kSemaphores,
                             .undos = kSemaphores,
                             .per_set = sysv_semaphores::kMaxPerSet,
                             .per_call = kOperations,
                             .undo_entries = kOperations,
                             .undo_size = kUndoSize,
                             .max_value = sysv_semaphores::kMaxValue,
                             .max_adjustment = sysv_semaphores::kMaxValue};
  const sysv_semaphores::Totals totals = sysv_semaphores::totals();
  if (command == kSemInfo) {
    info.undo_size = totals.sets;
    info.max_adjustment = totals.semaphores;
  }
  TRY(UserOut<LinuxSemaphoreInfo>(argument).write(info));
  return static_cast<long>(totals.highest_index);
}

Result<long> set_status(Thread& self, int id, int command, UserAddress argument) {
  using sysv_semaphores::Lookup;
  const Lookup lookup = command == kIpcStat   ? Lookup::kById
                        : command == kSemStat ? Lookup::kByIndex
                                              : Lookup::kByIndexUnchecked;
  const SemaphoreSetStatus status = TRY(sysv_semaphores::status(id, lookup, self.user()));
  TRY(UserOut<LinuxSemaphoreSet>(argument).write({.permission = to_user(status.permission),
                                                  .operation_time = status.operation_time,
                                                  .unused1 = 0,
                                                  .change_time = status.change_time,
                                                  .unused2 = 0,
                                                  .count = status.count,
                                                  .unused3 = {}}));
  return command == kIpcStat ? 0L : static_cast<long>(status.id);
}

Result<long> operate(Thread& self, int id, UserIn<LinuxSemaphoreOperation> operations,
                     uint32_t count, Nanoseconds deadline) {
  static_assert(sizeof(LinuxSemaphoreOperation) == sizeof(SemaphoreOperation));
  if (count > sysv_semaphores::kMaxOperations) return Errno::kTooBig;
  if (count < 1 || id < 0) return Errno::kInval;
  const auto list = TRY(UserIn<SemaphoreOperation>(operations.address()).read_array(count));
  RefPtr<SemaphoreUndo> undo;
  for (const SemaphoreOperation& operation : list) {
    if ((operation.flags & sysv_semaphores::kUndo) != 0) undo = TRY(self.make_semaphore_undo());
  }
  TRY(sysv_semaphores::operate(id, list.span(), deadline, self.pid(), undo.get(), self.user()));
  return 0L;
}

Result<long> set_all(Thread& self, int id, UserAddress argument) {
  const size_t count = TRY(sysv_semaphores::count_for_set(id, self.user()));
  const auto values = TRY(UserIn<uint16_t>(argument).read_array(count));
  TRY(sysv_semaphores::set_values(id, values.span(), self.pid(), self.user()));
  return 0L;
}

}  // namespace

Result<long> sys_semget(Thread& self, int key, int count, int flags) {
  return static_cast<long>(
      TRY(sysv_semaphores::get(key, count, static_cast<uint32_t>(flags), self.user())));
}

Result<long> sys_semop(Thread& self, int id, UserIn<LinuxSemaphoreOperation> operations,
                       uint32_t count) {
  return operate(self, id, operations, count, kNever);
}

Result<long> sys_semtimedop(Thread& self, int id, UserIn<LinuxSemaphoreOperation> operations,
                            uint32_t count, UserIn<Timespec> timeout) {
  if (timeout.is_null()) return operate(self, id, operations, count, kNever);
  const Timespec time = TRY(timeout.read());
  if (count > sysv_semaphores::kMaxOperations) return Errno::kTooBig;
  const Nanoseconds duration = TRY(to_nanoseconds(time));
  const Nanoseconds now = monotonic_now();
  return operate(self, id, operations, count, duration >= kMaxDuration ? kNever : now + duration);
}

Result<long> sys_semctl(Thread& self, int id, int number, int command, UserAddress argument) {
  using sysv_semaphores::Wanted;
  if (id < 0) return Errno::kInval;
  const UserCredentials& who = self.user();
  switch (command) {
    case kIpcInfo:
    case kSemInfo:
      return set_info(command, argument);
    case kIpcStat:
    case kSemStat:
    case kSemStatAny:
      return set_status(self, id, command, argument);
    case kGetValue:
      return static_cast<long>(TRY(sysv_semaphores::semaphore(id, number, who)).value);
    case kGetPid:
      return static_cast<long>(TRY(sysv_semaphores::semaphore(id, number, who)).last);
    case kCountWaiting:
      return static_cast<long>(TRY(sysv_semaphores::waiting(id, number, Wanted::kIncrease, who)));
    case kCountZero:
      return static_cast<long>(TRY(sysv_semaphores::waiting(id, number, Wanted::kZero, who)));
    case kGetAll: {
      const auto values = TRY(sysv_semaphores::values(id, who));
      TRY(UserOut<uint16_t>(argument).write_array(values.span()));
      return 0L;
    }
    case kSetAll:
      return set_all(self, id, argument);
    case kSetValue:
      TRY(sysv_semaphores::set_value(id, number, static_cast<int>(argument.value()), self.pid(),
                                     who));
      return 0L;
    case kIpcSet: {
      const LinuxIpcPermission wanted = TRY(UserIn<LinuxSemaphoreSet>(argument).read()).permission;
      TRY(sysv_semaphores::change(id, wanted.uid, wanted.gid, wanted.mode, who));
      return 0L;
    }
    case kIpcRemove:
      TRY(sysv_semaphores::remove(id, who));
      return 0L;
    default:
      return Errno::kInval;
  }
}

}  // namespace occlum
