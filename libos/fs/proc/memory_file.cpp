// /proc/<pid>/mem: the memory of a process at its own addresses (proc(5)). Who may trace the process may open it. It is
// that of the program that was there then: when another was executed, or none is left, it reads as empty.
#include "libos/fs/proc/process_text.h"
#include "libos/fs/vfs/operations.h"
#include "libos/process/ptrace/ptrace.h"

namespace occlum {
namespace {

constexpr size_t kPart = 4096;

class ProcessMemoryFile final : public File {
 public:
  ProcessMemoryFile(const Path& path, uint32_t flags, RefPtr<Process> process, uint64_t space)
      : File(flags), path_(path), process_(std::move(process)), space_(space) {}

  Result<size_t> read_at(uint64_t offset, DataSink& sink) override {
    const RefPtr<AddressSpace> memory = this->memory();
    if (!memory) return size_t{0};
    Vec<std::byte> buffer;
    TRY(buffer.resize(kPart));
    return transfer(offset, sink, [&](uint64_t at, size_t size) -> Result<void> {
      const std::span<std::byte> part = buffer.span().first(size);
      if (copy_from_user(*memory, part, UserAddress(at)).is_error()) return Errno::kIo;
      return sink.write(part);
    });
  }

  Result<size_t> write_at(uint64_t offset, DataSource& source) override {
    const RefPtr<AddressSpace> memory = this->memory();
    if (!memory) return size_t{0};
    Vec<std::byte> buffer;
    TRY(buffer.resize(kPart));
    return transfer(offset, source, [&](uint64_t at, size_t size) -> Result<void> {
      const std::span<std::byte> part = buffer.span().first(size);
      TRY(source.read(part));
      if (memory->poke(at, part).is_error()) return Errno::kIo;
      return {};
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

  // Any address is a position, also those that are negative as an offset.
  Result<uint64_t> seek(int64_t offset, Whence whence) override {
    return position_.with([&](uint64_t& position) -> Result<uint64_t> {
      if (whence != Whence::kSet && whence != Whence::kCur) return Errno::kInval;
      const uint64_t base = whence == Whence::kCur ? position : 0;
      return position = base + static_cast<uint64_t>(offset);
    });
  }

  Inode* inode() override { return &path_.inode(); }
  const Path* path() const override { return &path_; }

 private:
  RefPtr<AddressSpace> memory() const {
    RefPtr<AddressSpace> memory = process_->memory();
    if (memory && memory->id() != space_) return nullptr;
    return memory;
  }

  // By parts that do not cross a page, so that what is there is moved.
  template <typename Side, typename F>
  static Result<size_t> transfer(uint64_t offset, Side& side, F&& move) {
    size_t done = 0;
    while (side.remaining() != 0) {
      const uint64_t at = offset + done;
      const size_t size = std::min<size_t>(side.remaining(), kPart - at % kPart);
      const Result<void> moved = move(at, size);
      if (moved.is_error()) {
        if (done == 0) return moved.error();
        break;
      }
      done += size;
    }
    return done;
  }

  const Path path_;
  const RefPtr<Process> process_;
  const uint64_t space_;
  MutexLocked<uint64_t> position_{LockRank::kFilePosition, 0u};
};

}  // namespace

Result<RefPtr<File>> open_process_memory(const Subject& subject, const Path& path, uint32_t flags) {
  const RefPtr<Thread> thread = subject.some_thread();
  if (!thread) return Errno::kSrch;
  if (ptrace::check_access(current_thread(), *thread).is_error()) return Errno::kAcces;
  const RefPtr<AddressSpace> memory = thread->share_memory();
  constexpr uint32_t kKept = kOpenAccessMode | kOpenAppend | kOpenNonblock;
  return RefPtr<File>(TRY(make_ref<ProcessMemoryFile>(path, flags & kKept, subject.process,
                                                      memory ? memory->id() : 0)));
}

}  // namespace occlum
