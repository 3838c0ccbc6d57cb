// File: an open file description (open(2), "Open file descriptions"), whatever is behind it.
//
// One class per kind of descriptor derives from it (regular file, directory, pipe end, eventfd, socket, tty, ...) and
// implements what makes sense; the rest answers what Linux answers. A File is shared by duplicated descriptors and by
// processes; it guards its own state. All operations may block unless the file is non-blocking, and may fail with
// kIntr (kRestartSys) when a signal comes.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/lib/counted.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/mm/address_space.h"
#include "libos/mm/data_transfer.h"
#include "libos/sched/wait_queue.h"

namespace occlum {

class AsyncList;
class FileLocks;
class Inode;
class IoSignals;
class LockAnchor;
class Thread;
struct AttributeChange;
struct Path;
struct Stat;
struct StatFs;
struct DirectoryEntry;

// Event bits are poll(2)'s: POLLIN 0x1, POLLPRI 0x2, POLLOUT 0x4, POLLERR 0x8, POLLHUP 0x10, POLLRDHUP 0x2000, ...
using PollEvents = uint32_t;
constexpr PollEvents kPollIn = 0x001, kPollPri = 0x002, kPollOut = 0x004, kPollErr = 0x008,
                     kPollHup = 0x010, kPollNval = 0x020, kPollRdNorm = 0x040, kPollRdBand = 0x080,
                     kPollWrNorm = 0x100, kPollWrBand = 0x200, kPollRdHup = 0x2000;
constexpr PollEvents kReadable = kPollIn | kPollRdNorm, kWritable = kPollOut | kPollWrNorm;

// ioctl_tty(2): bytes that a read takes, bytes that were written and not taken yet.
constexpr uint32_t kFionRead = 0x541b, kTiocOutQueue = 0x5411;

// Collects the wait queues that a poll must sit in. poll(), epoll and blocking reads implement it.
class Poller {
 public:
  // Joins `queue`. Called by File::poll before it looks at its state, so that no change is missed. kNoMem.
  virtual Result<void> watch(WaitQueue& queue) = 0;

 protected:
  ~Poller() = default;
};

// What a File is, for the calls that work on one kind only (epoll_ctl, timerfd_settime, bind, F_SETPIPE_SZ): there is
// no RTTI. `static_cast` to the class is right when kind() says so.
enum class FileKind : uint8_t {
  kOther,
  kPipe,
  kEvent,
  kTimer,
  kSignal,
  kEpoll,
  kSocket,
  kTerminal,
  kProcess,
  kInotify
};

enum class Whence : int { kSet = 0, kCur = 1, kEnd = 2, kData = 3, kHole = 4 };

class File : public RefCounted<File>, Counted<File> {
 public:
  virtual ~File();

  // --- data ---
  // read(2) and write(2): at the file position where there is one. A sink that takes 0 bytes is fine.
  virtual Result<size_t> read(DataSink& sink);                      // default kInval
  virtual Result<size_t> write(DataSource& source);                 // default kInval
  virtual Result<size_t> read_at(uint64_t offset, DataSink& sink);  // pread(2); default kSpipe
  virtual Result<size_t> write_at(uint64_t offset,
                                  DataSource& source);           // pwrite(2); default kSpipe
  virtual Result<uint64_t> seek(int64_t offset, Whence whence);  // default kSpipe
  virtual Result<void> truncate(uint64_t size);                  // default kInval
  virtual Result<void> allocate(int mode, uint64_t offset,
                                uint64_t length);  // fallocate(2); default kNoDev
  virtual Result<void> sync(bool data_only);       // default kInval
  virtual Result<long> ioctl(Thread& self, uint32_t request, uint64_t argument);  // default kNoTty
  virtual Result<MapSource> map_source(uint64_t offset, uint64_t length, bool shared,
                                       Prot prot);  // default kNoDev

  // fcntl(2)'s commands of one kind of file: F_SETPIPE_SZ, ... Default kInval.
  virtual Result<long> fcntl(int command, uint64_t argument);
  // getdents64(2): emits entries, with "." and "..", from the position on until `emit` returns false, and moves the
  // position behind what it took. Default kNotDir.
  virtual Result<void> read_entries(FunctionRef<bool(const DirectoryEntry&)> emit);

  // Current events; joins the poller's queues first when `poller` is not null.
  virtual PollEvents poll(Poller* poller);  // default: kPollIn | kPollOut, always ready

  // The inode behind it where there is one (regular files, directories, FIFOs, devices): fstat, fchmod, ... use it.
  virtual Inode* inode() { return nullptr; }
  // The path that it was opened by, for files of the tree: fchdir, openat and friends start there.
  virtual const Path* path() const { return nullptr; }
  virtual Result<Stat> stat();  // default: asks inode(), else an anonymous inode's answer

  // fchmod(2), fchown(2) and times, for files without an inode. Default kOpNotSupp, as anonymous inodes say since
  // Linux 6.16: before, one inode served all eventfds, epolls, timerfds, ...
  virtual Result<void> set_attributes(const AttributeChange& change);

  // Regular files that were opened for writing keep this until they are closed, and hand it on to mappings.
  virtual void keep(WriteHold) {}

  // Where locks of fcntl(2) and flock(2) on it hang. Default: at the inode; all that have none share one place, as
  // Linux' anonymous inodes do.
  virtual LockAnchor& lock_anchor();
  Result<FileLocks*> locks();  // made on first use. kNoMem

  virtual FileKind kind() const { return FileKind::kOther; }

  // open(2) of /proc/<pid>/fd/N, for files without an inode. Default: kNxIo for what has no open(2) of its own (sockets,
  // eventfds, ...); else the same description.
  virtual Result<RefPtr<File>> open_again(uint32_t flags);

  // The text of /proc/<pid>/fd/N: "pipe:[12]", "anon_inode:[eventfd]", a path, ...
  virtual Result<String> describe();

  // The last descriptor that refers to this description was closed. The destructor does the rest.
  virtual void last_close() {}
  // Each descriptor (and each file in flight over a socket) counts itself; the last to go calls last_close().
  void add_descriptor() { descriptors_.fetch_add(1, std::memory_order_relaxed); }
  void remove_descriptor() {
    if (descriptors_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (watched_by_epoll_.load(std::memory_order_acquire)) leave_epolls();
    if (io_signals() != nullptr) leave_async_lists();
    release_locks();
    last_close();
  }

  // --- flags of open(2)/fcntl(2): the access mode and status flags, without O_CLOEXEC and creation flags ---
  uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  // F_SETFL: only O_APPEND, O_DIRECT, O_NOATIME, O_NONBLOCK change.
  virtual Result<void> set_flags(uint32_t flags);
  bool is_nonblocking() const;
  bool can_read() const;
  bool can_write() const;
  // Number of the credentials that it was opened with by its name (linkat(2), AT_EMPTY_PATH); 0: it has no name.
  uint64_t opened_as() const { return opened_as_.load(std::memory_order_relaxed); }
  void set_opened_as(uint64_t credentials) {
    opened_as_.store(credentials, std::memory_order_relaxed);
  }

  // --- signals (io_signals.h) ---
  // Who tells of what happens to it. None: O_ASYNC cannot be set.
  struct AsyncLists {
    AsyncList* first = nullptr;
    AsyncList* second = nullptr;
  };
  virtual AsyncLists async_lists() { return {}; }
  // Whom O_ASYNC makes the owner when there is none: a terminal's foreground group; 0: whoever sets it.
  virtual int32_t default_signal_group() { return 0; }
  // Null until something was set.
  IoSignals* io_signals() const { return io_signals_.load(std::memory_order_acquire); }
  Result<IoSignals*> make_io_signals();
  // Whether O_ASYNC is in force: said by those who know.
  void note_async(bool on);

 protected:
  explicit File(uint32_t flags) : flags_(flags) {}
  std::atomic<uint32_t> flags_;

 private:
  friend class EpollRegistry;
  // epoll sets forget a file when its last descriptor is closed (ipc/epoll_registry.cpp).
  void leave_epolls();
  void release_locks();
  std::atomic<bool> watched_by_epoll_{false};
  void leave_async_lists();
  std::atomic<IoSignals*> io_signals_{nullptr};  // owned
  std::atomic<uint32_t> descriptors_{0};
  std::atomic<uint64_t> opened_as_{0};
};

// Blocks on a file that is not ready: waits until file.poll() shows one of `events` (or kPollErr | kPollHup), honours
// `deadline`. Errors: kIntr (kRestartSys), kTimedOut. For files whose blocking operations are "try, else wait".
Result<void> wait_for_events(File& file, PollEvents events, Nanoseconds deadline);

}  // namespace occlum
