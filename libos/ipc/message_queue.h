// POSIX message queues (mq_overview(7)) and the file system that shows them (type "mqueue", on
// /dev/mqueue): one for all, its files are the queues.
#pragma once

#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/mount.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/net/host_socket.h"
#include "libos/process/pid.h"
#include "libos/sched/wait_queue.h"

namespace occlum {

struct QueueLimits {  // /proc/sys/fs/mqueue
  uint64_t queues = 256;
  uint64_t messages = 10, message_size = 8192;  // for who lacks CAP_SYS_RESOURCE
  uint64_t default_messages = 10, default_message_size = 8192;
};
QueueLimits queue_limits();
enum class QueueLimit { kQueues, kMessages, kMessageSize, kDefaultMessages, kDefaultMessageSize };
// kInval when the value is out of Linux's range.
Result<void> set_queue_limit(QueueLimit which, uint64_t value);

struct QueueShape {
  uint64_t max_messages = 0, message_size = 0;
};

struct QueuedMessage {
  QueuedMessage(uint32_t priority, Vec<std::byte> data)
      : priority(priority), data(std::move(data)) {}
  ListNode node;
  const uint32_t priority;
  const Vec<std::byte> data;
};

// What SIGEV_THREAD sends to the C library's thread, which waits at a netlink socket: a cookie of the library's, with what
// happened in its last byte. Sent once.
class NotificationCookie : public RefCounted<NotificationCookie> {
 public:
  static constexpr size_t kSize = 32;  // NOTIFY_COOKIE_LEN
  enum class News : uint8_t { kMessage = 1, kRemoved = 2 };
  NotificationCookie(RefPtr<HostSocket> socket, OwnPtr<LocalMessage> message)
      : socket_(std::move(socket)), message_(std::move(message)) {}
  void send(News news);

 private:
  const RefPtr<HostSocket> socket_;
  OwnPtr<LocalMessage> message_;
};

// How a process wants to be told of a message in an empty queue, once.
struct QueueNotification {
  Pid process = 0;  // 0: nobody
  bool by_signal = false;
  int signal = 0;
  uint64_t value = 0;
  RefPtr<NotificationCookie> cookie;  // SIGEV_THREAD
};

class MessageQueue : public RefCounted<MessageQueue> {
 public:
  explicit MessageQueue(QueueShape shape) : shape(shape) {}
  ~MessageQueue();
  const QueueShape shape;

  // `deadline` is monotonic. kAgain, kTimedOut, kRestartSys.
  Result<void> send(OwnPtr<QueuedMessage> message, bool blocking, Nanoseconds deadline);
  Result<OwnPtr<QueuedMessage>> receive(bool blocking, Nanoseconds deadline);
  size_t messages() const;
  uint64_t queued_bytes() const;
  PollEvents poll(Poller* poller);

  Result<void> set_notification(const QueueNotification& notification);  // kBusy
  void forget_notification(Pid process);
  QueueNotification notification() const;

 private:
  struct State {
    IntrusiveList<QueuedMessage, &QueuedMessage::node> list;  // highest priority first
    uint64_t bytes = 0;
    uint32_t receivers = 0;  // that wait
    QueueNotification notification;
  };
  mutable SpinLocked<State> state_{LockRank::kPipe};
  WaitQueue readable_, writable_;
};

// An open queue.
class MessageQueueFile final : public File {
 public:
  MessageQueueFile(RefPtr<MessageQueue> queue, Path path, uint32_t flags)
      : File(flags), queue_(std::move(queue)), path_(std::move(path)) {}
  // Null when the file is of another kind.
  static MessageQueueFile* from(File& file);

  MessageQueue& queue() { return *queue_; }
  Result<size_t> read(DataSink& sink) override;  // a line of text about it
  PollEvents poll(Poller* poller) override { return queue_->poll(poller); }
  Inode* inode() override { return &path_.inode(); }
  const Path* path() const override { return &path_; }
  void last_close() override;

 private:
  const RefPtr<MessageQueue> queue_;
  const Path path_;
  std::atomic<uint64_t> position_{0};
};

// The directory of all queues, for mq_open(2) and mq_unlink(2).
Result<Path> message_queue_root();
// A new queue in it. kExist, kNoSpc, kMFile (RLIMIT_MSGQUEUE of `limit` bytes), kNoMem.
Result<void> create_message_queue(std::string_view name, const NewInode& attributes,
                                  QueueShape shape, uint64_t byte_limit);

void register_message_queues();

}  // namespace occlum
