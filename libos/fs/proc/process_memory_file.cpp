// /proc/<pid>/mem (proc(5)): the memory of a process as a file. Whoever opens it must be allowed to look into the
// process; the memory that it had then is meant: once it has ended, or executed another program, there is nothing left
// to read (what is left of that memory goes with the file). Writing does not ask for the rights of private pages, as
// debuggers want it.
#include <algorithm>

#include "libos/fs/proc/proc_nodes.h"
#include "libos/fs/vfs/operations.h"
#include "libos/lib/bits.h"
#include "libos/process/credentials.h"

namespace occlum {

namespace {

constexpr size_t kPart = 4096;

class ProcessMemoryFile final : public File {
 public:
  ProcessMemoryFile(const Path& path, uint32_t flags, RefPtr<Process> process)
      : File(flags), path_(path), process_(std::move(process)), memory_(process_->memory()) {}

  Result<size_t> read_at(uint64_t offset, DataSink& sink) override {
    return move(offset, sink.remaining(),
                [&](uint64_t at, std::span<std::byte> part) { return read_part(at, part, sink); });
  }
  Result<size_t> write_at(uint64_t offset, DataSource& source) override {
    return move(offset, source.remaining(),
                [&](uint64_t at, std::span<std::byte> part) -> Result<void> {
                  TRY(source.read(part));
                  Result<void> written = memory_->poke(at, part);
                  if (written.is_error()) return Errno::kIo;
                  return written;
                });
  }
  Result<size_t> read(DataSink& sink) override {
    return position_.with([&](uint64_t& position) -> Result<size_t> {
      const size_t count = TRY(read_at(position, sink));
      position += count;
      return count;
    });
  }
  Result<size_t> write(DataSource& source) override {
    return position_.with([&](uint64_t& position) -> Result<size_t> {
      const size_t count = TRY(write_at(position, source));
      position += count;
      return count;
    });
  }
  Result<uint64_t> seek(int64_t offset, Whence whence) override {
    return position_.with([&](uint64_t& position) -> Result<uint64_t> {
      // The whole of 64 bits is there: a sum that wraps is as good as another.
      if (whence != Whence::kSet && whence != Whence::kCur) return Errno::kInval;
      const uint64_t base = whence == Whence::kCur ? position : 0;
      return position = base + static_cast<uint64_t>(offset);
    });
  }
  Inode* inode() override { return &path_.inode(); }
  const Path* path() const override { return &path_; }

 private:
  Result<void> read_part(uint64_t at, std::span<std::byte> part, DataSink& sink) {
    if (copy_from_user(*memory_, part, UserAddress(at)).is_error()) return Errno::kIo;
    return sink.write(part);
  }

  // Page by page, so that what can be moved is.
  template <typename Step>
  Result<size_t> move(uint64_t offset, size_t count, Step&& step) {
    if (memory_ == nullptr || process_->memory() != memory_) return size_t{0};
    auto buffer = TRY(Vec<std::byte>::create(std::min(count, kPart)));
    size_t total = 0;
    while (total < count) {
      const uint64_t at = offset + total;
      const size_t size = std::min<size_t>(count - total, kPart - (at & kPageMask));
      const Result<void> done = step(at, buffer.span().first(size));
      if (done.is_error()) return total != 0 ? Result<size_t>(total) : done.error();
      total += size;
    }
    return total;
  }

  const Path path_;
  const RefPtr<Process> process_;
  const RefPtr<AddressSpace> memory_;
  MutexLocked<uint64_t> position_{LockRank::kFilePosition, 0u};
};

class ProcessMemoryInode final : public ProcInode {
 public:
  ProcessMemoryInode(RefPtr<FileSystem> file_system, uint64_t ino, Subject subject)
      : ProcInode(std::move(file_system), FileType::kRegular, ino, 0600, std::move(subject)) {}
  Result<RefPtr<File>> open(const Path& path, uint32_t flags) override {
    TRY(check_look(ProcEntry::Needs::kTrace, subject()));
    return RefPtr<File>(
        TRY(make_ref<ProcessMemoryFile>(path, flags & kOpenStatus, subject().process)));
  }
};

}  // namespace

Result<RefPtr<Inode>> make_memory_inode(RefPtr<FileSystem> file_system, const Subject& subject,
                                        uint64_t ino) {
  return RefPtr<Inode>(TRY(make_ref<ProcessMemoryInode>(std::move(file_system), ino, subject)));
}

}  // namespace occlum
