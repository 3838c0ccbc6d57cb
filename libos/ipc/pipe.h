// Pipes (pipe(7)): pages between writers and readers inside the enclave; FIFOs use them too (fifo.h).
//
// A pipe is a ring of slots, as many as its capacity has pages. A slot is a page with bytes in a part
// of it. A write adds to the last slot when all of what is not whole pages fits there, and takes new
// slots for the rest; so a write of at most a page (PIPE_BUF) is never torn, and a pipe may be full
// with fewer bytes than its capacity, as on Linux. splice(2) and vmsplice(2) make slots that nothing
// is added to; a packet (O_DIRECT) is a slot that a read empties whole.
//
// A spin lock guards the slots' positions and counts. Bytes are copied without it, because user
// memory may sleep: whoever copies holds the *reading* or the *writing* right, of which there is one
// each. A reader uses the slots from the tail, a writer new pages and the unused end of the last
// slot, so they do not meet. The two rights of one pipe are taken at once or not together; of two
// pipes, the reading right comes first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "libos/fs/vfs/io_signals.h"
#include "libos/fs/vfs/mount.h"
#include "libos/ipc/anonymous_inode.h"
#include "libos/lib/bits.h"
#include "libos/lib/counted.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/vec.h"

namespace occlum {

enum class Blocking { kNo, kYes };

class Pipe : public RefCounted<Pipe>, Counted<Pipe> {
 public:
  static constexpr size_t kDefaultCapacity = 64 * 1024;
  static constexpr size_t kMaxCapacity = 1024 * 1024;  // /proc/sys/fs/pipe-max-size

  Pipe() = default;  // for create()
  static Result<RefPtr<Pipe>> create();

  // read(2): 0 is the end of file. Errors: kAgain, kRestartSys, kFault.
  Result<size_t> read(DataSink& sink, Blocking blocking);
  // write(2). Errors: kPipe (the caller raises SIGPIPE), kAgain, kRestartSys, kFault.
  enum class Packets { kNo, kYes };
  Result<size_t> write(DataSource& source, Blocking blocking, Packets packets = Packets::kNo);

  // --- splice(2) and its kin (pipe_splice.cpp) ---
  // Waits for bytes and hands up to `limit` to `put`, slot by slot, until it takes less than it is
  // given or the pipe is empty. 0 at the end. `put` may sleep; it must not use a pipe.
  using Put = FunctionRef<Result<size_t>(std::span<const std::byte> bytes)>;
  Result<size_t> drain(size_t limit, Blocking blocking, Put put);
  // Waits for a free slot and lets `get` fill slots until it gives 0 bytes or none is free; `room` is
  // what the free slots hold. Errors: kPipe, kAgain, kRestartSys, those of `get`.
  using Get = FunctionRef<Result<size_t>(std::span<std::byte> page, size_t room)>;
  Result<size_t> fill(Blocking blocking, Get get);
  // From one pipe to another: slots move, or are copied (tee(2)). The pipes differ.
  enum class Transfer { kMove, kCopy };
  static Result<size_t> transfer(Pipe& from, Pipe& to, size_t limit, Blocking blocking,
                                 Transfer how);

  size_t readable_bytes() const;  // FIONREAD
  size_t capacity() const;
  // F_SETPIPE_SZ: rounds up to a power of two of pages, returns what it is now. Errors: kBusy (more
  // slots are used), kInval, kPerm (above kMaxCapacity), kNoMem.
  Result<size_t> set_capacity(size_t bytes);

  // POLLHUP is shown when nobody writes and somebody has opened for writing since writers_ever() was
  // `since`.
  PollEvents poll_read_end(Poller* poller, uint32_t since = 0);
  PollEvents poll_write_end(Poller* poller);

  void add_reader();
  void add_writer();
  void remove_reader();
  void remove_writer();
  // An end was closed: those of the other are told when it was the last.
  void note_close();
  // A FIFO starts anew when nobody has it open.
  void reset_when_unused();

  // For FIFOs: waits until the other side is open (or was opened since the call). Errors:
  // kRestartSys.
  Result<void> wait_for_reader();
  Result<void> wait_for_writer();
  bool has_readers() const;
  bool has_writers() const;
  uint32_t writers_ever() const;

  // Of the ends to read and to write.
  AsyncList& reader_signals() { return reader_signals_; }
  AsyncList& writer_signals() { return writer_signals_; }

 private:
  struct Page {
    Page() {}  // left uninitialised
    std::array<std::byte, kPageSize> bytes;
  };
  struct Slot {
    OwnPtr<Page> page;
    uint32_t offset = 0, length = 0;
    bool can_merge = false;  // a write may add to it
    bool packet = false;
  };
  struct State {
    Vec<Slot> slots;                    // a power of two
    uint64_t head = 0;                  // of the next slot to fill
    uint64_t tail = 0;                  // of the oldest
    size_t bytes = 0;                   // in all slots
    std::array<OwnPtr<Page>, 2> spare;  // so that a stream does not allocate all the time
    uint32_t readers = 0, writers = 0;
    uint32_t readers_ever = 0, writers_ever = 0;
    bool reading = false, writing = false;                  // the rights
    bool merging = false;                                   // the last slot is being added to
    bool readers_contend = false, writers_contend = false;  // somebody waits for the right itself
    size_t used() const { return static_cast<size_t>(head - tail); }
    bool is_full() const { return used() >= slots.size(); }
    Slot& at(uint64_t position) { return slots[position & (slots.size() - 1)]; }
  };

  struct ReadTurn {
    bool has_bytes = false;  // false: the end, and no right was taken
    bool waited = false;
  };
  Result<ReadTurn> begin_read(Blocking blocking);
  void end_read(bool waited, bool made_room);
  struct View {
    std::span<const std::byte> bytes;  // empty: nothing there
    bool packet = false;
  };
  View view(size_t index);  // of the slot `index` behind the tail
  enum class Rest { kKeep, kDrop };
  bool consume(size_t bytes, Rest rest);  // true: a full pipe has room again
  enum class PacketEnds { kNo, kYes };
  Result<size_t> take(size_t limit, Blocking blocking, PacketEnds ends, Put put);

  enum class Grant { kBroken, kMerge, kSlot };
  struct WriteTurn {
    Grant grant = Grant::kBroken;  // kBroken: nobody reads, and no right was taken
    bool waited = false;
    std::span<std::byte> room;  // kMerge
  };
  // `merge`: how many bytes would be added to the last slot; 0: none.
  Result<WriteTurn> begin_write(size_t merge, Blocking blocking);
  void end_write(bool waited, bool produced);
  void end_merge(size_t bytes);
  size_t free_slots() const;
  Result<OwnPtr<Page>> take_page();
  void publish(Slot slot);
  Result<size_t> write_all(DataSource& source, Blocking blocking, Packets packets);
  Result<void> write_slots(DataSource& source, Packets packets, size_t& total);

  static Result<size_t> move_slots(Pipe& from, Pipe& to, size_t limit, bool& made_room);
  static Result<size_t> copy_slots(Pipe& from, Pipe& to, size_t limit);
  Result<void> publish_copy(std::span<const std::byte> bytes, bool packet);
  bool take_slot(size_t limit, Slot& slot, bool& made_room);
  Result<void> wait_for_room();

  SpinLocked<State> state_{LockRank::kPipe};
  WaitQueue readable_;
  WaitQueue writable_;
  AsyncList reader_signals_, writer_signals_;
};

// What fstat(2) tells of an unnamed pipe, at either end.
class PipeInode : public RefCounted<PipeInode>, public AnonymousInode {
 public:
  PipeInode() : AnonymousInode(type_bits(FileType::kFifo) | 0600) {}
};

// One end of a pipe, or both (a FIFO opened O_RDWR).
class PipeEnd : public File {
 public:
  struct Pair {
    RefPtr<File> reader, writer;
  };
  // pipe2(2)'s two ends; `flags` may hold O_NONBLOCK and O_DIRECT.
  static Result<Pair> create_pair(uint32_t flags);
  // open(2) of a FIFO; `flags` are open(2)'s. See fifo.h.
  static Result<RefPtr<File>> open(RefPtr<Pipe> pipe, uint32_t flags, const Path& path);
  // For the two above: of a FIFO, and of a pipe. The access mode of `flags` counts in the pipe.
  PipeEnd(RefPtr<Pipe> pipe, uint32_t flags, Path path);
  PipeEnd(RefPtr<Pipe> pipe, uint32_t flags, RefPtr<PipeInode> inode);
  ~PipeEnd() override;

  Result<size_t> read(DataSink& sink) override;
  Result<size_t> write(DataSource& source) override;
  Result<long> ioctl(Thread& self, uint32_t request, uint64_t argument) override;
  Result<long> fcntl(int command, uint64_t argument) override;  // F_SETPIPE_SZ, F_GETPIPE_SZ
  PollEvents poll(Poller* poller) override;
  Inode* inode() override;
  const Path* path() const override { return path_.is_null() ? nullptr : &path_; }
  Result<Stat> stat() override;
  Result<void> set_attributes(const AttributeChange& change) override;
  Result<RefPtr<File>> open_again(uint32_t flags) override;
  Result<String> describe() override;
  LockAnchor& lock_anchor() override;
  FileKind kind() const override { return FileKind::kPipe; }
  AsyncLists async_lists() override;
  void last_close() override;

  Pipe& pipe() { return *pipe_; }

 private:
  void tell(size_t count, uint32_t event);
  Result<void> meet_other_side(bool is_nonblocking);

  RefPtr<Pipe> pipe_;
  Path path_;                  // of a FIFO
  RefPtr<PipeInode> unnamed_;  // of a pipe, whose ends share it
  // A reader that opened without waiting for a writer sees no hang-up until one has come.
  uint32_t writers_before_ = 0;
};

}  // namespace occlum
