// msgget(2), msgsnd(2), msgrcv(2), msgctl(2).
#include "libos/ipc/sysv_messages.h"

#include <algorithm>

#include "libos/process/thread.h"
#include "libos/syscall/dispatch.h"
#include "libos/syscall/sysv.h"

namespace occlum {

namespace {

constexpr int kMsgStat = 11, kMsgInfo = 12, kMsgStatAny = 13;

LinuxMessageQueue to_user(const MessageQueueStatus& status) {
  return {.permission = to_user(status.permission),
          .send_time = status.send_time,
          .receive_time = status.receive_time,
          .change_time = status.change_time,
          .bytes = status.bytes,
          .messages = status.messages,
          .max_bytes = status.max_bytes,
          .last_sender = status.last_sender,
          .last_receiver = status.last_receiver,
          .unused = {}};
}

// IPC_INFO tells the limits, MSG_INFO in some of their places what is used.
Result<long> queue_info(int command, UserAddress argument) {
  constexpr int kSegmentSize = 16, kSegments = 0xffff;
  constexpr auto kQueueBytes = static_cast<int>(sysv_messages::kMaxQueue);
  constexpr auto kQueues = static_cast<int>(sysv_messages::kMaxQueues);
  LinuxMessageInfo info = {.pool = static_cast<int>(int64_t{kQueues} * kQueueBytes / 1024),
                           .map = kQueueBytes,
                           .max = static_cast<int>(sysv_messages::kMaxMessage),
                           .max_bytes = kQueueBytes,
                           .max_queues = kQueues,
                           .segment_size = kSegmentSize,
                           .headers = kQueueBytes,
                           .segments = kSegments};
  const sysv_messages::Totals totals = sysv_messages::totals();
  if (command == kMsgInfo) {
    info.pool = totals.queues;
    info.map = totals.messages;
    info.headers = totals.bytes;
  }
  TRY(UserOut<LinuxMessageInfo>(argument).write(info));
  return static_cast<long>(totals.highest_index);
}

Result<long> queue_status(Thread& self, int id, int command, UserAddress argument) {
  using sysv_messages::Lookup;
  const Lookup lookup = command == kIpcStat   ? Lookup::kById
                        : command == kMsgStat ? Lookup::kByIndex
                                              : Lookup::kByIndexUnchecked;
  const MessageQueueStatus status = TRY(sysv_messages::status(id, lookup, self.user()));
  TRY(UserOut<LinuxMessageQueue>(argument).write(to_user(status)));
  return command == kIpcStat ? 0L : static_cast<long>(status.id);
}

}  // namespace

Result<long> sys_msgget(Thread& self, int key, int flags) {
  return static_cast<long>(TRY(sysv_messages::get(key, static_cast<uint32_t>(flags), self.user())));
}

Result<long> sys_msgsnd(Thread& self, int id, UserAddress message, size_t size, int flags) {
  const int64_t type = TRY(UserIn<int64_t>(message).read());
  if (id < 0 || size > sysv_messages::kMaxMessage || type < 1) return Errno::kInval;
  auto data = TRY(UserIn<std::byte>(message + sizeof(type)).read_array(size));
  TRY(sysv_messages::send(id, TRY(make_own<SysvMessage>(type, std::move(data))),
                          static_cast<uint32_t>(flags), self.user(), self.pid()));
  return 0L;
}

Result<long> sys_msgrcv(Thread& self, int id, UserAddress message, size_t size, int64_t type,
                        int flags) {
  if (id < 0 || size > static_cast<size_t>(INT64_MAX)) return Errno::kInval;
  const OwnPtr<SysvMessage> received = TRY(sysv_messages::receive(
      id, size, type, static_cast<uint32_t>(flags), self.user(), self.pid()));
  TRY(UserOut<int64_t>(message).write(received->type));
  const auto bytes = received->data.span().first(std::min(size, received->data.size()));
  TRY(copy_to_user(self.memory(), message + sizeof(received->type), bytes));
  return static_cast<long>(bytes.size());
}

Result<long> sys_msgctl(Thread& self, int id, int command, UserAddress argument) {
  if (id < 0 || command < 0) return Errno::kInval;
  switch (command) {
    case kIpcInfo:
    case kMsgInfo:
      return queue_info(command, argument);
    case kIpcStat:
    case kMsgStat:
    case kMsgStatAny:
      return queue_status(self, id, command, argument);
    case kIpcSet: {
      const LinuxMessageQueue wanted = TRY(UserIn<LinuxMessageQueue>(argument).read());
      const LinuxIpcPermission& permission = wanted.permission;
      TRY(sysv_messages::change(
          id, {permission.uid, permission.gid, permission.mode, wanted.max_bytes}, self.user()));
      return 0L;
    }
    case kIpcRemove:
      TRY(sysv_messages::remove(id, self.user()));
      return 0L;
    default:
      return Errno::kInval;
  }
}

}  // namespace occlum
