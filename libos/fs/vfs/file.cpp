// See file.h: what a file answers that does not say otherwise.
#include "libos/fs/vfs/file.h"

#include <array>

#include "libos/fs/vfs/anonymous.h"
#include "libos/fs/vfs/file_locks.h"
#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/io_signals.h"
#include "libos/fs/vfs/mount.h"
#include "libos/fs/vfs/operations.h"

namespace occlum {

File::~File() {
  if (IoSignals* signals = io_signals()) (void)OwnPtr<IoSignals>::adopt(*signals);
}

Result<size_t> File::read(DataSink&) { return Errno::kInval; }
Result<size_t> File::write(DataSource&) { return Errno::kInval; }
Result<size_t> File::read_at(uint64_t, DataSink&) { return Errno::kSPipe; }
Result<size_t> File::write_at(uint64_t, DataSource&) { return Errno::kSPipe; }
// What the kernel makes without a file system has one position, 0.
Result<uint64_t> File::seek(int64_t, Whence) {
  switch (kind()) {
    case FileKind::kEvent:
    case FileKind::kTimer:
    case FileKind::kSignal:
    case FileKind::kEpoll:
    case FileKind::kInotify:
      return uint64_t{0};
    default:
      return Errno::kSPipe;
  }
}
Result<void> File::truncate(uint64_t) { return Errno::kInval; }
Result<void> File::allocate(int, uint64_t, uint64_t) { return Errno::kNoDev; }
Result<void> File::sync(bool) { return Errno::kInval; }
Result<long> File::ioctl(Thread&, uint32_t, uint64_t) { return Errno::kNotTty; }
Result<long> File::fcntl(int, uint64_t) { return Errno::kInval; }
// What lies in no tree of names is on a mount that nothing is executed from, which Linux looks at first.
Result<MapSource> File::map_source(uint64_t, uint64_t, bool, Prot prot) {
  return has(prot, Prot::kExec) && inode() == nullptr ? Errno::kPerm : Errno::kNoDev;
}
Result<void> File::read_entries(FunctionRef<bool(const DirectoryEntry&)>) { return Errno::kNotDir; }

PollEvents File::poll(Poller*) { return kPollIn | kPollOut | kPollRdNorm | kPollWrNorm; }

Result<Stat> File::stat() {
  if (Inode* node = inode()) return node->stat();
  Stat stat;
  stat.mode = 0600;
  stat.dev = TRY(anonymous_file_system())->device();
  stat.ino = 1;
  stat.atime = stat.mtime = stat.ctime = current_file_time();
  return stat;
}

namespace {
[[clang::no_destroy]] constinit LockAnchor nameless_anchor;
}  // namespace

LockAnchor& File::lock_anchor() {
  Inode* const node = inode();
  return node != nullptr ? node->lock_anchor() : nameless_anchor;
}

Result<FileLocks*> File::locks() {
  LockAnchor& anchor = lock_anchor();
  if (FileLocks* const there = anchor.existing()) return there;
  const Stat now = TRY(stat());
  return anchor.get(now.dev, now.ino);
}

void File::release_locks() {
  if (FileLocks* const locks = lock_anchor().existing()) locks->release_description(*this);
}

Result<void> File::set_attributes(const AttributeChange&) { return Errno::kOpNotSupp; }

Result<RefPtr<File>> File::open_again(uint32_t) {
  switch (kind()) {
    case FileKind::kSocket:
    case FileKind::kEvent:
    case FileKind::kTimer:
    case FileKind::kSignal:
    case FileKind::kEpoll:
    case FileKind::kInotify:
    case FileKind::kProcess:
      return Errno::kNxIo;
    default:
      return ref_to(*this);
  }
}

Result<String> File::describe() {
  if (const Path* where = path()) {
    return path_to_string(*where, mount_table().root(), DeletedNames::kMarkDeleted);
  }
  return String::create("anon_inode:[file]");
}

Result<void> File::set_flags(uint32_t flags) {
  constexpr uint32_t kChangeable = kOpenAppend | kOpenDirect | kOpenNoAtime | kOpenNonblock;
  uint32_t old = flags_.load(std::memory_order_relaxed);
  while (!flags_.compare_exchange_weak(old, (old & ~kChangeable) | (flags & kChangeable),
                                       std::memory_order_relaxed)) {
  }
  return {};
}

Result<IoSignals*> File::make_io_signals() {
  if (IoSignals* existing = io_signals()) return existing;
  OwnPtr<IoSignals> fresh = TRY(make_own<IoSignals>(*this));
  IoSignals* expected = nullptr;
  if (!io_signals_.compare_exchange_strong(expected, fresh.get(), std::memory_order_acq_rel))
    return expected;
  return fresh.leak();
}

void File::leave_async_lists() { io_signals()->leave(); }

void File::note_async(bool on) {
  if (on) {
    flags_.fetch_or(kOpenAsync, std::memory_order_relaxed);
  } else {
    flags_.fetch_and(~kOpenAsync, std::memory_order_relaxed);
  }
}

bool File::is_nonblocking() const { return (flags() & kOpenNonblock) != 0; }
// Access mode 3 is for neither: for ioctl(2) alone.
bool File::can_read() const {
  const uint32_t mode = flags() & (kOpenAccessMode | kOpenPath);
  return mode == kOpenReadOnly || mode == kOpenReadWrite;
}
bool File::can_write() const {
  const uint32_t mode = flags() & (kOpenAccessMode | kOpenPath);
  return mode == kOpenWriteOnly || mode == kOpenReadWrite;
}

namespace {

// Joins the queues of one file for one waiting task. Files have few queues.
class EventPoller final : public Poller {
 public:
  EventPoller() = default;
  ~EventPoller() { leave(); }

  Result<void> watch(WaitQueue& queue) override {
    if (count_ == watches_.size()) return Errno::kNoMem;
    Watch& watch = watches_[count_++];
    watch.queue = &queue;
    queue.add(watch);
    return {};
  }
  void leave() {
    for (Watch& watch : watches_) {
      if (watch.queue != nullptr) watch.queue->remove(watch);
      watch.queue = nullptr;
    }
    count_ = 0;
  }

 private:
  struct Watch final : Waiter {
    bool on_wake(uint32_t) override {
      task.unpark();
      return false;
    }
    Task& task = current_task();
    WaitQueue* queue = nullptr;
  };
  std::array<Watch, 4> watches_;
  size_t count_ = 0;
};

}  // namespace

Result<void> wait_for_events(File& file, PollEvents events, Nanoseconds deadline) {
  events |= kPollErr | kPollHup;
  EventPoller poller;
  if ((file.poll(&poller) & events) != 0) return {};
  while (true) {
    if (current_task().has_interrupt()) return Errno::kRestartSys;
    const ParkResult result = park(deadline, Interruptible::kYes);
    if ((file.poll(nullptr) & events) != 0) return {};
    if (result == ParkResult::kTimedOut) return Errno::kTimedOut;
    if (result == ParkResult::kInterrupted) return Errno::kRestartSys;
  }
}

}  // namespace occlum
