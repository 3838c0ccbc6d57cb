// inotify(7): a queue of what happens to the files that are watched, read as a file. The watches are fs/vfs/notify.h's.
#pragma once

#include "libos/fs/vfs/file.h"
#include "libos/fs/vfs/io_signals.h"
#include "libos/fs/vfs/notify.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/lib/string.h"

namespace occlum {

class InotifyQueue final : public WatchListener {
 public:
  explicit InotifyQueue(uint32_t user) : user_(user) {}
  ~InotifyQueue() override;

  static constexpr size_t kMostEvents = 16384;  // max_queued_events

  void on_event(const Watch& watch, uint32_t mask, uint32_t cookie, std::string_view name) override;

  // As many events as there is room for. kInval when there is none for the first; kAgain when nothing is queued.
  Result<size_t> take(DataSink& sink);
  bool is_empty() const;
  size_t readable_bytes() const;
  WaitQueue& readable() { return readable_; }
  AsyncList& signals() { return signals_; }

 private:
  struct Event {
    ListNode node;
    int watch = 0;
    uint32_t mask = 0, cookie = 0;
    String name;
    size_t name_bytes() const;  // with NULs, as read(2) gives it
    size_t bytes() const;
    bool is_like(const Event& other) const;
  };
  using Events = IntrusiveList<Event, &Event::node>;
  struct State {
    Events events;
    size_t bytes = 0;
    ~State();
  };

  const uint32_t user_;
  mutable SpinLocked<State> state_{LockRank::kPipe};
  WaitQueue readable_;
  AsyncList signals_;
};

class InotifyFile final : public File {
 public:
  // kMFile when the user has too many, kNoMem.
  static Result<RefPtr<File>> create(uint32_t user, uint32_t flags);
  InotifyFile(RefPtr<InotifyQueue> queue, uint32_t flags) : File(flags), queue_(std::move(queue)) {}
  ~InotifyFile() override;

  InotifyQueue& queue() { return *queue_; }
  Result<size_t> read(DataSink& sink) override;
  Result<uint64_t> seek(int64_t, Whence) override { return 0; }
  Result<long> ioctl(Thread& self, uint32_t request, uint64_t argument) override;
  PollEvents poll(Poller* poller) override;
  AsyncLists async_lists() override { return {&queue_->signals(), nullptr}; }
  Result<String> describe() override;
  FileKind kind() const override { return FileKind::kInotify; }

 private:
  const RefPtr<InotifyQueue> queue_;
};

}  // namespace occlum
