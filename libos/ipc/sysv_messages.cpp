// One lock for all queues. A receiver or sender that must wait looks again whenever its queue has
// changed; who removes or changes a queue wakes everybody.
#include "libos/ipc/sysv_messages.h"

#include <algorithm>
#include <optional>

namespace occlum::sysv_messages {

namespace {

constexpr uint32_t kAnyEvent = UINT32_MAX;

struct Queue final : IpcObject {
  ~Queue() override {
    while (SysvMessage* message = messages.pop_front()) (void)OwnPtr<SysvMessage>::adopt(*message);
  }

  IntrusiveList<SysvMessage, &SysvMessage::node> messages;
  uint64_t bytes = 0, max_bytes = kMaxQueue;
  int64_t send_time = 0, receive_time = 0, change_time = 0;
  Pid last_sender = 0, last_receiver = 0;
  WaitQueue senders, receivers;

  bool fits(size_t size) const {
    return bytes + size <= max_bytes && messages.size() + 1 <= max_bytes;
  }
};

[[clang::no_destroy]] constinit SpinLocked<IpcTable> queues{LockRank::kPipe};

Result<RefPtr<Queue>> find_queue(int id) {
  return queues.with([&](IpcTable& table) -> Result<RefPtr<Queue>> {
    return static_ptr_cast<Queue>(TRY(table.find(id)));
  });
}

// Which message a receiver takes (msgop(2)).
SysvMessage* choose(Queue& queue, int64_t type, uint32_t flags) {
  SysvMessage* best = nullptr;
  int64_t position = 0;
  const int64_t limit = type == INT64_MIN ? INT64_MAX : -type;
  for (SysvMessage& message : queue.messages) {
    if ((flags & kCopy) != 0) {
      if (position++ == type) return &message;
    } else if (type == 0) {
      return &message;
    } else if (type < 0) {
      if (message.type <= limit && (best == nullptr || message.type < best->type)) best = &message;
    } else if (((flags & kExcept) != 0) != (message.type == type)) {
      return &message;
    }
  }
  return best;
}

Result<OwnPtr<SysvMessage>> copy_of(const SysvMessage& message) {
  return make_own<SysvMessage>(message.type, TRY(message.data.clone()));
}

MessageQueueStatus describe(const Queue& queue) {
  return {.permission = queue.permission,
          .id = queue.id,
          .send_time = queue.send_time,
          .receive_time = queue.receive_time,
          .change_time = queue.change_time,
          .bytes = queue.bytes,
          .messages = queue.messages.size(),
          .max_bytes = queue.max_bytes,
          .last_sender = queue.last_sender,
          .last_receiver = queue.last_receiver};
}

// Repeats `attempt` until it has a result, sleeping in `queue` in between.
template <typename Attempt>
Result<void> repeat(WaitQueue& queue, uint32_t flags, Errno would_block, Attempt attempt) {
  std::optional<Result<void>> result;
  auto try_once = [&] {
    result = attempt();
    return result.has_value();
  };
  if (!try_once()) {
    if ((flags & kIpcNoWait) != 0) return would_block;
    if (wait_until(queue, kNever, Interruptible::kYes, try_once).is_error())
      return Errno::kRestartNoHand;
  }
  return *result;
}

}  // namespace

Result<int> get(int key, uint32_t flags, const UserCredentials& who) {
  RefPtr<Queue> fresh = TRY(make_ref<Queue>());
  fresh->change_time = ipc_time();
  return queues.with([&](IpcTable& table) {
    return get_ipc_object(
        table, key, flags, who, [](IpcObject&) { return Result<void>(); },
        [&] { return table.add(fresh, key, flags, who, kMaxQueues); });
  });
}

Result<void> send(int id, OwnPtr<SysvMessage> message, uint32_t flags, const UserCredentials& who,
                  Pid sender) {
  const RefPtr<Queue> queue = TRY(find_queue(id));
  TRY(repeat(queue->senders, flags, Errno::kAgain, [&] {
    return queues.with([&](IpcTable&) -> std::optional<Result<void>> {
      if (queue->removed) return Result<void>(Errno::kIdRm);
      if (const auto allowed = check_ipc_access(queue->permission, who, kIpcMayWrite);
          allowed.is_error()) {
        return allowed;
      }
      const size_t size = message->data.size();
      if (!queue->fits(size)) return std::nullopt;
      queue->messages.push_back(*message.leak());
      queue->bytes += size;
      queue->last_sender = sender;
      queue->send_time = ipc_time();
      return Result<void>();
    });
  }));
  queue->receivers.wake_all(kAnyEvent);
  return {};
}

Result<OwnPtr<SysvMessage>> receive(int id, size_t room, int64_t type, uint32_t flags,
                                    const UserCredentials& who, Pid receiver) {
  if ((flags & kCopy) != 0 && ((flags & kExcept) != 0 || (flags & kIpcNoWait) == 0))
    return Errno::kInval;
  const RefPtr<Queue> queue = TRY(find_queue(id));
  OwnPtr<SysvMessage> taken;
  const bool is_copy = (flags & kCopy) != 0;
  TRY(repeat(queue->receivers, flags, Errno::kNoMsg, [&] {
    return queues.with([&](IpcTable&) -> std::optional<Result<void>> {
      if (queue->removed) return Result<void>(Errno::kIdRm);
      if (const auto allowed = check_ipc_access(queue->permission, who, kIpcMayRead);
          allowed.is_error()) {
        return allowed;
      }
      SysvMessage* const found = choose(*queue, type, flags);
      if (found == nullptr) return std::nullopt;
      if (found->data.size() > room && (flags & kNoError) == 0) return Result<void>(Errno::kTooBig);
      if (is_copy) {
        if (found->data.size() > room) return Result<void>(Errno::kInval);
        auto copy = copy_of(*found);
        if (copy.is_error()) return Result<void>(copy.error());
        taken = copy.release_value();
        return Result<void>();
      }
      queue->messages.remove(*found);
      taken = OwnPtr<SysvMessage>::adopt(*found);
      queue->bytes -= found->data.size();
      queue->last_receiver = receiver;
      queue->receive_time = ipc_time();
      return Result<void>();
    });
  }));
  if (!is_copy) queue->senders.wake_all(kAnyEvent);
  return taken;
}

Result<void> change(int id, const Change& change, const UserCredentials& who) {
  const RefPtr<Queue> queue = TRY(find_queue(id));
  TRY(queues.with([&](IpcTable&) -> Result<void> {
    if (queue->removed) return Errno::kIdRm;
    TRY(check_ipc_owner(queue->permission, who));
    if (change.max_bytes > kMaxQueue && !who.has(kCapSysResource)) return Errno::kPerm;
    TRY(change_ipc_owner(queue->permission, change.uid, change.gid, change.mode));
    queue->max_bytes = change.max_bytes;
    queue->change_time = ipc_time();
    return {};
  }));
  // Permission may be lost, and room may be there.
  queue->receivers.wake_all(kAnyEvent);
  queue->senders.wake_all(kAnyEvent);
  return {};
}

Result<void> remove(int id, const UserCredentials& who) {
  const RefPtr<Queue> queue = TRY(find_queue(id));
  TRY(queues.with([&](IpcTable& table) -> Result<void> {
    if (queue->removed) return Errno::kIdRm;
    TRY(check_ipc_owner(queue->permission, who));
    table.remove(*queue);
    return {};
  }));
  queue->receivers.wake_all(kAnyEvent);
  queue->senders.wake_all(kAnyEvent);
  return {};
}

Result<MessageQueueStatus> status(int id, Lookup lookup, const UserCredentials& who) {
  return queues.with([&](IpcTable& table) -> Result<MessageQueueStatus> {
    const RefPtr<IpcObject> found = TRY(lookup == Lookup::kById ? table.find(id) : table.at(id));
    if (lookup != Lookup::kByIndexUnchecked)
      TRY(check_ipc_access(found->permission, who, kIpcMayRead));
    return describe(static_cast<Queue&>(*found));
  });
}

Totals totals() {
  return queues.with([](IpcTable& table) {
    Totals sum{.highest_index = table.highest_index(), .queues = static_cast<int>(table.count())};
    for (size_t i = 0; i < table.size(); ++i) {
      const auto* queue = static_cast<Queue*>(table.slot(i));
      if (queue == nullptr) continue;
      sum.messages += static_cast<int>(queue->messages.size());
      sum.bytes += static_cast<int>(queue->bytes);
    }
    return sum;
  });
}

Result<Vec<MessageQueueStatus>> all() {
  return queues.with([](IpcTable& table) -> Result<Vec<MessageQueueStatus>> {
    Vec<MessageQueueStatus> list;
    for (size_t i = 0; i < table.size(); ++i) {
      const auto* queue = static_cast<Queue*>(table.slot(i));
      if (queue != nullptr) TRY(list.push(describe(*queue)));
    }
    return list;
  });
}

}  // namespace occlum::sysv_messages
