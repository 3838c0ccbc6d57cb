// mq_open(2), mq_unlink(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2).
#include <algorithm>

#include "libos/ipc/message_queue.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"
#include "libos/syscall/deadline.h"
#include "libos/syscall/files_common.h"
#include "libos/syscall/time_values.h"

namespace occlum {

namespace {

constexpr uint32_t kMaxPriority = 32768;  // MQ_PRIO_MAX

// A single component: what Linux refuses in its flat directory.
Result<String> read_queue_name(UserString at) {
  String name = TRY(at.read_path());
  if (name.is_empty()) return Errno::kNoEnt;
  if (name == "." || name == ".." || name.view().find('/') != std::string_view::npos)
    return Errno::kAcces;
  if (name.size() > kNameMax) return Errno::kNameTooLong;
  return name;
}

Result<WalkContext> queue_walk(Thread& self) {
  const Path root = TRY(message_queue_root());
  return WalkContext{root, root, &self.credentials()};
}

Result<QueueShape> shape_of(Thread& self, UserIn<MessageQueueAttributes> attributes) {
  constexpr int64_t kMostMessages = 65536, kMostBytes = 16 << 20;
  const QueueLimits limits = queue_limits();
  if (attributes.is_null()) {
    return QueueShape{std::min(limits.messages, limits.default_messages),
                      std::min(limits.message_size, limits.default_message_size)};
  }
  const MessageQueueAttributes wanted = TRY(attributes.read());
  const bool privileged = self.user().has(kCapSysResource);
  const auto messages = privileged ? kMostMessages : static_cast<int64_t>(limits.messages);
  const auto size = privileged ? kMostBytes : static_cast<int64_t>(limits.message_size);
  if (wanted.max_messages <= 0 || wanted.max_messages > messages) return Errno::kInval;
  if (wanted.message_size <= 0 || wanted.message_size > size) return Errno::kInval;
  return QueueShape{static_cast<uint64_t>(wanted.max_messages),
                    static_cast<uint64_t>(wanted.message_size)};
}

Result<void> create_queue(Thread& self, std::string_view name, Mode mode,
                          UserIn<MessageQueueAttributes> attributes) {
  const QueueShape shape = TRY(shape_of(self, attributes));
  const Credentials& who = self.credentials();
  const uint32_t permissions = bits(mode) & kModePermissions & ~self.fs().umask();
  return create_message_queue(
      name,
      {.mode = type_bits(FileType::kRegular) | permissions, .uid = who.fsuid, .gid = who.fsgid},
      shape, self.process().limit(Resource::kMsgQueue).soft);
}

Result<RefPtr<File>> open_queue(Thread& self, std::string_view name, uint32_t flags, Mode mode,
                                UserIn<MessageQueueAttributes> attributes) {
  const WalkContext walk = TRY(queue_walk(self));
  const uint32_t kept = flags & (kOpenAccessMode | kOpenNonblock);
  const bool exclusive = (flags & kOpenCreate) != 0 && (flags & kOpenExclusive) != 0;
  while (true) {
    Result<Path> found = lookup_path(walk, name, FollowLast::kNo);
    if (!found.is_error()) {
      if (exclusive) return Errno::kExist;
      if ((flags & kOpenAccessMode) == kOpenAccessMode) return Errno::kInval;
      return open_path(found.value(), self.credentials(), kept);
    }
    if (found.error() != Errno::kNoEnt || (flags & kOpenCreate) == 0) return found.error();
    const Result<void> made = create_queue(self, name, mode, attributes);
    if (made.is_error() && made.error() == Errno::kExist) continue;
    TRY(made.is_error() ? Result<void>(made.error()) : Result<void>());
    // Who made it may do what it asked for, whatever the mode.
    const Path path = TRY(lookup_path(walk, name, FollowLast::kNo));
    return path.inode().open(path, kept);
  }
}

struct OpenQueue {
  RefPtr<File> file;
  MessageQueue& queue;
};
Result<OpenQueue> get_queue(Thread& self, Fd fd) {
  RefPtr<File> file = TRY(io_file(self, fd));
  MessageQueueFile* const queue = MessageQueueFile::from(*file);
  if (queue == nullptr) return Errno::kBadFd;
  return OpenQueue{std::move(file), queue->queue()};
}

// An absolute time of the real-time clock.
Result<Nanoseconds> realtime_deadline(UserIn<Timespec> timeout) {
  constexpr ClockId kRealtime{0};
  if (timeout.is_null()) return kNever;
  const Nanoseconds at = TRY(to_nanoseconds(TRY(timeout.read())));
  return monotonic_deadline(kRealtime, at);
}

}  // namespace

Result<long> sys_mq_open(Thread& self, UserString name, Flags flags, Mode mode,
                         UserIn<MessageQueueAttributes> attributes) {
  if (!attributes.is_null()) TRY(attributes.read());
  FdReservation reserved = TRY(self.files().reserve(1, CloseOnExec::kYes));
  const String text = TRY(read_queue_name(name));
  RefPtr<File> file = TRY(open_queue(self, text.view(), bits(flags), mode, attributes));
  const int fd = reserved[0];
  reserved.commit(std::move(file));
  return static_cast<long>(fd);
}

Result<long> sys_mq_unlink(Thread& self, UserString name) {
  const String text = TRY(read_queue_name(name));
  TRY(remove_file(TRY(queue_walk(self)), text.view()));
  return 0L;
}

Result<long> sys_mq_timedsend(Thread& self, Fd fd, UserAddress message, size_t size,
                              uint32_t priority, UserIn<Timespec> timeout) {
  const Nanoseconds deadline = TRY(realtime_deadline(timeout));
  if (priority >= kMaxPriority) return Errno::kInval;
  const OpenQueue open = TRY(get_queue(self, fd));
  if (!open.file->can_write()) return Errno::kBadFd;
  if (size > open.queue.shape.message_size) return Errno::kMsgSize;
  auto data = TRY(UserIn<std::byte>(message).read_array(size));
  TRY(open.queue.send(TRY(make_own<QueuedMessage>(priority, std::move(data))),
                      !open.file->is_nonblocking(), deadline));
  return 0L;
}

Result<long> sys_mq_timedreceive(Thread& self, Fd fd, UserAddress message, size_t size,
                                 UserOut<uint32_t> priority, UserIn<Timespec> timeout) {
  const Nanoseconds deadline = TRY(realtime_deadline(timeout));
  const OpenQueue open = TRY(get_queue(self, fd));
  if (!open.file->can_read()) return Errno::kBadFd;
  if (size < open.queue.shape.message_size) return Errno::kMsgSize;
  const OwnPtr<QueuedMessage> received =
      TRY(open.queue.receive(!open.file->is_nonblocking(), deadline));
  if (!priority.is_null()) TRY(priority.write(received->priority));
  TRY(copy_to_user(self.memory(), message, received->data.span()));
  return static_cast<long>(received->data.size());
}

namespace {

// SIGEV_THREAD: the event's value is the address of the cookie, its signal a netlink socket.
Result<RefPtr<NotificationCookie>> read_cookie(Thread& self, const SignalEvent& event) {
  auto data = TRY(Vec<std::byte>::create(NotificationCookie::kSize));
  TRY(copy_from_user(self.memory(), data.span(), UserAddress(event.value)));
  RefPtr<File> file = TRY(self.files().get(event.signal));
  if (file->kind() != FileKind::kSocket) return Errno::kNotSock;
  if (static_cast<Socket&>(*file).domain() != kAfNetlink) return Errno::kInval;
  return make_ref<NotificationCookie>(static_ptr_cast<HostSocket>(std::move(file)),
                                      TRY(make_own<LocalMessage>(std::move(data))));
}

}  // namespace

Result<long> sys_mq_notify(Thread& self, Fd fd, UserIn<SignalEvent> event) {
  constexpr int kSignal = 0, kNone = 1, kThread = 2;
  QueueNotification notification{.process = self.pid()};
  if (!event.is_null()) {
    const SignalEvent wanted = TRY(event.read());
    if (wanted.notify != kSignal && wanted.notify != kNone && wanted.notify != kThread)
      return Errno::kInval;
    if (wanted.notify == kThread) notification.cookie = TRY(read_cookie(self, wanted));
    if (wanted.notify == kSignal && (wanted.signal < 0 || wanted.signal > kSigMax))
      return Errno::kInval;
    notification.by_signal = wanted.notify == kSignal;
    notification.signal = wanted.signal;
    notification.value = wanted.value;
  }
  const OpenQueue open = TRY(get_queue(self, fd));
  if (event.is_null()) {
    open.queue.forget_notification(self.pid());
  } else {
    TRY(open.queue.set_notification(notification));
  }
  return 0L;
}

Result<long> sys_mq_getsetattr(Thread& self, Fd fd, UserIn<MessageQueueAttributes> attributes,
                               UserOut<MessageQueueAttributes> old) {
  MessageQueueAttributes wanted = {};
  if (!attributes.is_null()) {
    wanted = TRY(attributes.read());
    if ((wanted.flags & ~int64_t{kOpenNonblock}) != 0) return Errno::kInval;
  }
  const OpenQueue open = TRY(get_queue(self, fd));
  const MessageQueueAttributes before = {
      .flags = open.file->flags() & kOpenNonblock,
      .max_messages = static_cast<int64_t>(open.queue.shape.max_messages),
      .message_size = static_cast<int64_t>(open.queue.shape.message_size),
      .messages = static_cast<int64_t>(open.queue.messages()),
      .reserved = {}};
  if (!attributes.is_null()) {
    TRY(open.file->set_flags((open.file->flags() & ~kOpenNonblock) |
                             static_cast<uint32_t>(wanted.flags)));
  }
  if (!old.is_null()) TRY(old.write(before));
  return 0L;
}

}  // namespace occlum
