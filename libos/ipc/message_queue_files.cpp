// The file system of message queues: one flat directory. Its inodes hold the queues; a queue lives as
// long as its name or an open file does.
#include <algorithm>
#include <array>

#include "libos/fs/vfs/inode_attributes.h"
#include "libos/fs/vfs/operations.h"
#include "libos/ipc/message_queue.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/process/process.h"
#include "libos/process/thread.h"

namespace occlum {

namespace {

constexpr uint64_t kMessageOverhead = 48 + 48;  // what Linux counts for each besides its bytes
constexpr size_t kTextSize = 80;                // st_size of a queue on Linux
constexpr uint64_t kRootIno = 1;

struct Limits {
  QueueLimits values;
};
constinit SpinLocked<Limits> limits{LockRank::kPipe};

class QueueFileSystem final : public FileSystem {
 public:
  std::string_view type_name() const override { return "mqueue"; }
  Result<RefPtr<Inode>> root() override;
  Result<StatFs> statfs() override {
    StatFs stat;
    stat.type = 0x19800202;  // MQUEUE_MAGIC
    return stat;
  }
  uint64_t next_ino() { return next_ino_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> next_ino_{kRootIno + 1};
};

// Owner, mode and times of a directory or a queue.
class QueueNode : public Inode {
 public:
  QueueNode(RefPtr<FileSystem> file_system, const NewInode& attributes, uint64_t ino)
      : Inode(std::move(file_system), type_of_mode(attributes.mode)), ino_(ino) {
    const FileTime now = current_file_time();
    attributes_.with([&](InodeAttributes& own) {
      own = {attributes.mode, attributes.uid, attributes.gid, now, now, now};
    });
  }

  Result<Stat> stat() override {
    Stat stat;
    stat.dev = file_system().device();
    stat.ino = ino_;
    stat.nlink = is_directory() ? 2 : linked.load(std::memory_order_relaxed) ? 1 : 0;
    stat.size = is_directory() ? 0 : kTextSize;
    attributes_.with([&](const InodeAttributes& own) { own.tell(stat); });
    return stat;
  }

  Result<void> set_attributes(const AttributeChange& change) override {
    const FileTime now = current_file_time();
    attributes_.with([&](InodeAttributes& own) { own.apply(change, now); });
    return {};
  }

  uint64_t ino() const { return ino_; }
  std::atomic<bool> linked{true};

 private:
  const uint64_t ino_;
  SpinLocked<InodeAttributes> attributes_{LockRank::kAttributes};
};

class QueueInode final : public QueueNode {
 public:
  QueueInode(RefPtr<FileSystem> file_system, const NewInode& attributes, uint64_t ino,
             RefPtr<MessageQueue> queue)
      : QueueNode(std::move(file_system), attributes, ino), queue_(std::move(queue)) {}

  Result<RefPtr<File>> open(const Path& path, uint32_t flags) override {
    return RefPtr<File>(
        TRY(make_ref<MessageQueueFile>(queue_, path, flags & (kOpenAccessMode | kOpenNonblock))));
  }
  const MessageQueue& queue() const { return *queue_; }

 private:
  const RefPtr<MessageQueue> queue_;
};

class QueueDirectory final : public QueueNode {
 public:
  explicit QueueDirectory(RefPtr<FileSystem> file_system)
      : QueueNode(std::move(file_system), {.mode = type_bits(FileType::kDirectory) | 01777},
                  kRootIno) {}
  NameCaching name_caching() const override { return NameCaching::kNone; }

  Result<RefPtr<Inode>> lookup(std::string_view name) override {
    return entries_.with([&](Entries& entries) -> Result<RefPtr<Inode>> {
      const auto entry =
          std::ranges::find(entries.list, name, [](const Entry& each) { return each.name.view(); });
      if (entry == entries.list.end()) return Errno::kNoEnt;
      return RefPtr<Inode>(entry->inode);
    });
  }

  // creat(2) of a name in the mounted file system makes a queue of the usual shape.
  Result<RefPtr<Inode>> create(std::string_view name, const NewInode& attributes) override {
    if (type_of_mode(attributes.mode) != FileType::kRegular) return Errno::kPerm;
    const QueueLimits current = queue_limits();
    const uint64_t limit = current_thread().process().limit(Resource::kMsgQueue).soft;
    return make(name, attributes,
                {std::min(current.default_messages, current.messages),
                 std::min(current.default_message_size, current.message_size)},
                limit);
  }

  Result<RefPtr<Inode>> make(std::string_view name, const NewInode& attributes, QueueShape shape,
                             uint64_t byte_limit) {
    auto& fs = static_cast<QueueFileSystem&>(file_system());
    auto queue = TRY(make_ref<MessageQueue>(shape));
    auto inode = TRY(make_ref<QueueInode>(ref_to(file_system()), attributes, fs.next_ino(), queue));
    Entry entry{TRY(String::create(name)), inode, attributes.uid, cost(shape)};
    const uint64_t max_queues = queue_limits().queues;
    const bool unlimited = current_thread().user().has(kCapSysResource);
    TRY(entries_.with([&](Entries& entries) -> Result<void> {
      uint64_t used = entry.cost;
      for (const Entry& each : entries.list) {
        if (each.name.view() == name) return Errno::kExist;
        if (each.uid == entry.uid) used += each.cost;
      }
      if (entries.list.size() >= max_queues && !unlimited) return Errno::kNoSpc;
      if (used > byte_limit) return Errno::kMFile;
      return entries.list.push(std::move(entry));
    }));
    return RefPtr<Inode>(std::move(inode));
  }

  Result<void> unlink(std::string_view name, Inode&) override {
    RefPtr<QueueInode> gone;
    TRY(entries_.with([&](Entries& entries) -> Result<void> {
      for (size_t i = 0; i < entries.list.size(); ++i) {
        if (entries.list[i].name.view() != name) continue;
        gone = std::move(entries.list[i].inode);
        entries.list.remove(i);
        return {};
      }
      return Errno::kNoEnt;
    }));
    gone->linked.store(false, std::memory_order_relaxed);
    return {};
  }

  Result<void> readdir(uint64_t cookie, DirectoryEmitter emit) override {
    entries_.with([&](Entries& entries) {
      // In order of their numbers, which are the cookies.
      for (const Entry& entry : entries.list) {
        const uint64_t ino = entry.inode->ino();
        if (ino < cookie) continue;
        if (!emit({entry.name.view(), ino, FileType::kRegular, ino + 1})) return;
      }
    });
    return {};
  }

 private:
  struct Entry {
    String name;
    RefPtr<QueueInode> inode;
    uint32_t uid;
    uint64_t cost;  // against RLIMIT_MSGQUEUE
  };
  struct Entries {
    Vec<Entry> list;
  };
  static uint64_t cost(QueueShape shape) {
    return shape.max_messages * (shape.message_size + kMessageOverhead);
  }

  SpinLocked<Entries> entries_{LockRank::kInode};
};

struct Root {
  RefPtr<Inode> inode;
  Path path;
};
[[clang::no_destroy]] constinit SpinLocked<Root> the_root{LockRank::kMount};

Result<void> make_root() {
  if (the_root.with([](Root& root) { return root.inode != nullptr; })) return {};
  RefPtr<FileSystem> fs = TRY(make_ref<QueueFileSystem>());
  RefPtr<Inode> inode = TRY(make_ref<QueueDirectory>(std::move(fs)));
  Path path = TRY(anonymous_path(inode, "mqueue"));
  the_root.with([&](Root& root) {
    if (root.inode != nullptr) return;
    root.inode = std::move(inode);
    root.path = std::move(path);
  });
  return {};
}

Result<RefPtr<Inode>> root_inode() {
  TRY(make_root());
  return the_root.with([](Root& root) { return root.inode; });
}

Result<RefPtr<Inode>> QueueFileSystem::root() { return root_inode(); }

Result<RefPtr<FileSystem>> make_queue_file_system(const MountArguments&) {
  return ref_to(TRY(root_inode())->file_system());
}

}  // namespace

QueueLimits queue_limits() {
  return limits.with([](const Limits& all) { return all.values; });
}

Result<void> set_queue_limit(QueueLimit which, uint64_t value) {
  constexpr uint64_t kMostQueues = INT32_MAX, kMostMessages = 65536, kMostBytes = 16 << 20,
                     kLeastBytes = 128;
  uint64_t least = 1, most = kMostMessages;
  if (which == QueueLimit::kQueues) least = 0, most = kMostQueues;
  if (which == QueueLimit::kMessageSize || which == QueueLimit::kDefaultMessageSize)
    least = kLeastBytes, most = kMostBytes;
  if (value < least || value > most) return Errno::kInval;
  limits.with([&](Limits& all) {
    switch (which) {
      case QueueLimit::kQueues:
        all.values.queues = value;
        break;
      case QueueLimit::kMessages:
        all.values.messages = value;
        break;
      case QueueLimit::kMessageSize:
        all.values.message_size = value;
        break;
      case QueueLimit::kDefaultMessages:
        all.values.default_messages = value;
        break;
      case QueueLimit::kDefaultMessageSize:
        all.values.default_message_size = value;
        break;
    }
  });
  return {};
}

Result<Path> message_queue_root() {
  TRY(make_root());
  return the_root.with([](Root& root) { return root.path; });
}

Result<void> create_message_queue(std::string_view name, const NewInode& attributes,
                                  QueueShape shape, uint64_t byte_limit) {
  const RefPtr<Inode> root = TRY(root_inode());
  TRY(static_cast<QueueDirectory&>(*root).make(name, attributes, shape, byte_limit));
  return {};
}

MessageQueueFile* MessageQueueFile::from(File& file) {
  constexpr uint32_t kPathOnly = kOpenPath;
  Inode* const inode = file.inode();
  if (inode == nullptr || !inode->is_regular() || (file.flags() & kPathOnly) != 0 ||
      inode->file_system().type_name() != "mqueue") {
    return nullptr;
  }
  return static_cast<MessageQueueFile*>(&file);
}

// The format of mq_overview(7).
Result<size_t> MessageQueueFile::read(DataSink& sink) {
  const QueueNotification notification = queue_->notification();
  String text;
  const auto add = [&](std::string_view label, uint64_t value, size_t width) -> Result<void> {
    TRY(text.append(label));
    const size_t start = text.size();
    TRY(append_format(text, "{}", value));
    while (text.size() - start < width) TRY(text.append(' '));
    return {};
  };
  TRY(add("QSIZE:", queue_->queued_bytes(), 10));
  TRY(add(" NOTIFY:",
          notification.process == 0 || notification.by_signal ? 0u
          : notification.cookie                               ? 2u
                                                              : 1u,
          5));
  TRY(add(" SIGNO:", notification.by_signal ? static_cast<uint64_t>(notification.signal) : 0, 5));
  TRY(add(" NOTIFY_PID:", static_cast<uint64_t>(notification.process), 6));
  TRY(text.append('\n'));
  const uint64_t position = position_.load(std::memory_order_relaxed);
  if (position >= text.size()) return size_t{0};
  const std::string_view rest = text.view().substr(position, sink.remaining());
  TRY(sink.write(std::as_bytes(std::span(rest))));
  position_.fetch_add(rest.size(), std::memory_order_relaxed);
  return rest.size();
}

void MessageQueueFile::last_close() { queue_->forget_notification(current_thread().pid()); }

void register_message_queues() { register_file_system("mqueue", make_queue_file_system); }

}  // namespace occlum
