#include "libos/ipc/memory_file.h"

#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/operations.h"
#include "libos/lib/bits.h"

namespace occlum {

constexpr uint32_t kExecutable = 0111;

MemoryFile::MemoryFile(String name, RefPtr<MemoryObject> object, uint32_t seals)
    : File(2 | kOpenLargeFile),
      name_(std::move(name)),
      object_(std::move(object)),
      inode_(type_bits(FileType::kRegular) | ((seals & kSealExec) != 0 ? 0666 : 0777)),
      seals_(seals) {}

Result<RefPtr<MemoryFile>> MemoryFile::create(String name, uint32_t seals) {
  return make_ref<MemoryFile>(std::move(name), TRY(MemoryObject::create(nullptr, 0)), seals);
}

Result<void> MemoryFile::add_seals(uint32_t seals) {
  if ((seals & ~kAllSeals) != 0) return Errno::kInval;
  // What stays executable is not written to either.
  if ((seals & kSealExec) != 0 && (inode_.stat().mode & kExecutable) != 0)
    seals |= kSealShrink | kSealGrow | kSealWrite | kSealFutureWrite;
  uint32_t before = seals_.load(std::memory_order_relaxed);
  do {
    if ((before & kSealSeal) != 0) return Errno::kPerm;
  } while (!seals_.compare_exchange_weak(before, before | seals, std::memory_order_acq_rel));
  return {};
}

Result<size_t> MemoryFile::read_at(uint64_t offset, DataSink& sink) {
  return object_->read(offset, sink);
}

Result<size_t> MemoryFile::write_at(uint64_t offset, DataSource& source) {
  if (source.remaining() == 0) return size_t{0};
  if (has_seal(kSealWrite | kSealFutureWrite)) return Errno::kPerm;
  const auto end = checked_add<uint64_t>(offset, source.remaining());
  if (!end || *end > kMaxFileSize) return Errno::kFBig;
  if (has_seal(kSealGrow)) {
    const uint64_t size = object_->size();
    if (offset >= size) return Errno::kPerm;
    if (*end > size) source.truncate(size - offset);
  }
  return object_->write(offset, source);
}

Result<size_t> MemoryFile::read(DataSink& sink) {
  return position_.with([&](Position& position) -> Result<size_t> {
    const size_t count = TRY(read_at(position.offset, sink));
    position.offset += count;
    return count;
  });
}

Result<size_t> MemoryFile::write(DataSource& source) {
  return position_.with([&](Position& position) -> Result<size_t> {
    if ((flags() & 02000) != 0) position.offset = object_->size();
    const size_t count = TRY(write_at(position.offset, source));
    position.offset += count;
    return count;
  });
}

Result<uint64_t> MemoryFile::seek(int64_t offset, Whence whence) {
  return position_.with([&](Position& position) -> Result<uint64_t> {
    const uint64_t size = object_->size();
    int64_t base = 0;
    switch (whence) {
      case Whence::kSet:
        break;
      case Whence::kCur:
        base = static_cast<int64_t>(position.offset);
        break;
      case Whence::kEnd:
        base = static_cast<int64_t>(size);
        break;
      case Whence::kData:
      case Whence::kHole: {
        if (offset < 0 || static_cast<uint64_t>(offset) >= size) return Errno::kNxIo;
        const auto from = static_cast<uint64_t>(offset);
        position.offset =
            TRY(whence == Whence::kData ? object_->next_data(from) : object_->next_hole(from));
        return position.offset;
      }
    }
    const auto target = checked_add(base, offset);
    if (!target || *target < 0) return Errno::kInval;
    position.offset = static_cast<uint64_t>(*target);
    return position.offset;
  });
}

Result<void> MemoryFile::truncate(uint64_t size) {
  const uint64_t before = object_->size();
  if (size > kMaxFileSize) return Errno::kFBig;
  if (size < before && has_seal(kSealShrink)) return Errno::kPerm;
  if (size > before && has_seal(kSealGrow)) return Errno::kPerm;
  return object_->resize(size);
}

Result<void> MemoryFile::allocate(int mode, uint64_t offset, uint64_t length) {
  const auto flags = static_cast<uint32_t>(mode);
  const auto end = checked_add(offset, length);
  if (!end || *end > kMaxFileSize) return Errno::kFBig;
  if (length == 0) return Errno::kInval;
  if (flags == (kFallocPunchHole | kFallocKeepSize)) {
    if (has_seal(kSealWrite | kSealFutureWrite)) return Errno::kPerm;
    return object_->punch_hole(offset, length);
  }
  if ((flags & ~kFallocKeepSize) != 0) return Errno::kOpNotSupp;
  const bool is_behind = *end > object_->size();
  if (is_behind && has_seal(kSealGrow)) return Errno::kPerm;
  TRY(object_->reserve(offset, length));
  return is_behind && (flags & kFallocKeepSize) == 0 ? object_->resize(*end) : Result<void>();
}

Result<long> MemoryFile::fcntl(int command, uint64_t argument) {
  constexpr int kAddSeals = 1033, kGetSeals = 1034;
  if (command == kGetSeals) return static_cast<long>(seals());
  if (command != kAddSeals) return File::fcntl(command, argument);
  TRY(add_seals(static_cast<uint32_t>(argument)));
  return 0L;
}

Result<MapSource> MemoryFile::map_source(uint64_t offset, uint64_t, bool shared, Prot prot) {
  const bool sealed = has_seal(kSealWrite | kSealFutureWrite);
  if (shared && sealed && has(prot, Prot::kWrite)) return Errno::kPerm;
  MapSource source;
  source.object = object_;
  source.offset = offset;
  source.shared = shared;
  source.may_write = !shared || !sealed;
  source.name = TRY(describe());
  source.inode = inode_.number();
  return source;
}

Result<void> MemoryFile::set_attributes(const AttributeChange& change) {
  if (has_seal(kSealExec) && change.permissions &&
      ((*change.permissions ^ inode_.stat().mode) & kExecutable) != 0) {
    return Errno::kPerm;
  }
  inode_.change(change);
  return {};
}

Result<Stat> MemoryFile::stat() {
  Stat stat = inode_.stat();
  stat.nlink = 0;
  stat.size = object_->size();
  stat.blocks = object_->allocated_bytes() / 512;
  return stat;
}

Result<String> MemoryFile::describe() {
  return String::concat("/memfd:", name_.view(), " (deleted)");
}

}  // namespace occlum
