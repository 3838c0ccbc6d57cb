// Pipes (pipe(7)): a byte ring between writers and readers inside the enclave; FIFOs use it too
// (fifo.h).
//
// The ring is made of pages that come when they are first needed and mostly go when the pipe runs
// empty. A spin lock guards the positions and counts only. Bytes are copied without it, because
// user memory may sleep: whoever copies holds the *reading* or the *writing* right, of which there
// is one each, so the part of the ring it works on is its own. A write of at most kAtomicWrite
// bytes waits until all of it fits (PIPE_BUF). Both sides wake each other only when somebody waits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "libos/fs/vfs/mount.h"
#include "libos/lib/bits.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/vec.h"

namespace occlum {

enum class Blocking { kNo, kYes };

class Pipe : public RefCounted<Pipe> {
 public:
  static constexpr size_t kDefaultCapacity = 64 * 1024;
  static constexpr size_t kMaxCapacity = 1024 * 1024;  // /proc/sys/fs/pipe-max-size
  static constexpr size_t kAtomicWrite = 4096;         // PIPE_BUF

  Pipe() = default;  // for create()
  static Result<RefPtr<Pipe>> create();

  // read(2): 0 is the end of file. Errors: kAgain, kRestartSys, kFault.
  Result<size_t> read(DataSink& sink, Blocking blocking);
  // write(2). Errors: kPipe (the caller raises SIGPIPE), kAgain, kRestartSys, kFault.
  Result<size_t> write(DataSource& source, Blocking blocking);

  size_t readable_bytes() const;  // FIONREAD
  size_t capacity() const;
  // F_SETPIPE_SZ: rounds up to a power of two of pages, returns what it is now. Errors: kBusy (more
  // bytes are in it), kInval, kPerm (above kMaxCapacity), kNoMem.
  Result<size_t> set_capacity(size_t bytes);

  PollEvents poll_read_end(Poller* poller);
  PollEvents poll_write_end(Poller* poller);

  void add_reader();
  void add_writer();
  void remove_reader();
  void remove_writer();

  // For FIFOs: waits until the other side is open (or was opened since the call). Errors:
  // kRestartSys.
  Result<void> wait_for_reader();
  Result<void> wait_for_writer();
  bool has_readers() const;

 private:
  struct Page {
    Page() {}  // left uninitialised
    std::array<std::byte, kPageSize> bytes;
  };
  struct State {
    size_t capacity = kDefaultCapacity;  // bytes, a power of two of pages
    uint64_t head = 0;  // of the next byte to read; only ever grows, except when the pipe is empty
    uint64_t tail = 0;  // of the next byte to write
    uint32_t readers = 0, writers = 0;
    uint32_t readers_ever = 0, writers_ever = 0;
    bool reading = false, writing = false;                  // the rights
    bool readers_contend = false, writers_contend = false;  // somebody waits for the right itself
    size_t used() const { return static_cast<size_t>(tail - head); }
    size_t free() const { return capacity - used(); }
  };
  // What a side may work on, once it has its right.
  struct Turn {
    uint64_t position = 0;
    size_t bytes = 0;  // 0: the other side is gone
  };

  Result<Turn> begin_read(Blocking blocking);
  void end_read(size_t consumed);
  Result<Turn> begin_write(size_t size, Blocking blocking);
  void end_write(size_t produced);

  Result<void> copy_out(Turn turn, DataSink& sink);
  Result<size_t> copy_in(Turn turn, DataSource& source);
  Result<void> move_ring(const State& state, Vec<OwnPtr<Page>>& to);
  Result<std::span<std::byte>> page_at(uint64_t position);

  SpinLocked<State> state_{LockRank::kPipe};
  // The ring. Slots are written by the holder of the writing right, replaced by who holds both.
  Vec<OwnPtr<Page>> pages_;
  size_t allocated_pages_ = 0;
  WaitQueue readable_;
  WaitQueue writable_;
};

// One end of a pipe, or both (a FIFO opened O_RDWR).
class PipeEnd : public File {
 public:
  struct Pair {
    RefPtr<File> reader, writer;
  };
  // pipe2(2)'s two ends; `flags` may hold O_NONBLOCK.
  static Result<Pair> create_pair(uint32_t flags);
  // `flags` hold the access mode. Counts itself in the pipe.
  static Result<RefPtr<PipeEnd>> create(RefPtr<Pipe> pipe, uint32_t flags, Path path);
  PipeEnd(RefPtr<Pipe> pipe, uint32_t flags, Path path, uint64_t number);  // for the two above
  ~PipeEnd() override;

  Result<size_t> read(DataSink& sink) override;
  Result<size_t> write(DataSource& source) override;
  Result<long> ioctl(Thread& self, uint32_t request, uint64_t argument) override;
  Result<long> fcntl(int command, uint64_t argument) override;  // F_SETPIPE_SZ, F_GETPIPE_SZ
  PollEvents poll(Poller* poller) override;
  Inode* inode() override;
  const Path* path() const override { return path_.is_null() ? nullptr : &path_; }
  Result<Stat> stat() override;
  Result<String> describe() override;
  FileKind kind() const override { return FileKind::kPipe; }

  Pipe& pipe() { return *pipe_; }

 private:
  RefPtr<Pipe> pipe_;
  Path path_;        // of a FIFO
  uint64_t number_;  // st_ino of a pipe
};

}  // namespace occlum
