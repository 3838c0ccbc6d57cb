// System V message queues (msgget(2), msgop(2), msgctl(2)).
#pragma once

#include "libos/ipc/sysv_table.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/list.h"
#include "libos/process/pid.h"
#include "libos/sched/wait_queue.h"

namespace occlum {

class SysvMessage {
 public:
  SysvMessage(int64_t type, Vec<std::byte> data) : type(type), data(std::move(data)) {}
  ListNode node;
  const int64_t type;
  const Vec<std::byte> data;
};

// What IPC_STAT tells of a queue.
struct MessageQueueStatus {
  IpcPermission permission;
  int id = 0;
  int64_t send_time = 0, receive_time = 0, change_time = 0;
  uint64_t bytes = 0, messages = 0, max_bytes = 0;
  Pid last_sender = 0, last_receiver = 0;
};

namespace sysv_messages {

constexpr size_t kMaxMessage = 8192;  // kernel.msgmax
constexpr size_t kMaxQueue = 16384;   // kernel.msgmnb
constexpr size_t kMaxQueues = 32000;  // kernel.msgmni
constexpr uint32_t kNoError = 010000, kExcept = 020000, kCopy = 040000;

// Errors of all: as the manual pages have them; kInval for an id that is not there.
Result<int> get(int key, uint32_t flags, const UserCredentials& who);
// kAgain, kIdRm, kRestartNoHand.
Result<void> send(int id, OwnPtr<SysvMessage> message, uint32_t flags, const UserCredentials& who,
                  Pid sender);
// Takes the message that `type` and `flags` choose, or copies it (MSG_COPY: the `type`th).
Result<OwnPtr<SysvMessage>> receive(int id, size_t room, int64_t type, uint32_t flags,
                                    const UserCredentials& who, Pid receiver);

struct Change {
  uint32_t uid, gid, mode;
  uint64_t max_bytes;
};
Result<void> change(int id, const Change& change, const UserCredentials& who);
Result<void> remove(int id, const UserCredentials& who);
// IPC_STAT, MSG_STAT (`by_index`), MSG_STAT_ANY (without a check of permission).
enum class Lookup { kById, kByIndex, kByIndexUnchecked };
Result<MessageQueueStatus> status(int id, Lookup lookup, const UserCredentials& who);

struct Totals {
  int highest_index = 0;
  int queues = 0, messages = 0, bytes = 0;
};
Totals totals();
// For /proc/sysvipc/msg, in order.
Result<Vec<MessageQueueStatus>> all();

}  // namespace sysv_messages
}  // namespace occlum
