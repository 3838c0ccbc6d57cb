// See regular_file.h.
#include "libos/fs/vfs/regular_file.h"

#include "libos/fs/vfs/file_capabilities.h"
#include "libos/fs/vfs/notify.h"
#include "libos/fs/vfs/operations.h"

namespace occlum {

using InodeGuard = lock_detail::Guard<Mutex>;

// Creation flags and O_CLOEXEC are not kept (fcntl(2), F_GETFL).
constexpr uint32_t kKeptFlags =
    ~(kOpenCreate | kOpenExclusive | kOpenNoCtty | kOpenTruncate | kOpenCloseOnExec);

RegularFile::RegularFile(Path path, uint32_t flags)
    : File(flags & kKeptFlags),
      path_(std::move(path)),
      opener_(*this, *path_.dentry->inode(), can_read()),
      position_(LockRank::kFilePosition, 0u) {}

// What was executed has no descriptor that could be closed last.
RegularFile::~RegularFile() {
  if ((flags() & kOpenForExecution) != 0) notify_file(*path_.dentry, kNotifyCloseNoWrite);
}

Result<size_t> RegularFile::read(DataSink& sink) {
  return position_.with([&](uint64_t& position) -> Result<size_t> {
    if (sink.remaining() > kMaxFileSize - std::min(position, kMaxFileSize)) return Errno::kInval;
    const size_t count = TRY(read_at(position, sink));
    position += count;
    return count;
  });
}

Result<size_t> RegularFile::read_at(uint64_t offset, DataSink& sink) {
  if (!can_read()) return Errno::kBadFd;
  sink.truncate(kMaxTransfer);
  const Result<size_t> read = inode()->read_at(offset, sink);
  // That the program's buffer is bad is found when the file has been looked at.
  const bool was_read = !read.is_error() || read.error() == Errno::kFault;
  if (was_read && (flags() & kOpenNoAtime) == 0 && (path_.mount->flags() & kMountNoAtime) == 0)
    inode()->note_access();
  const size_t count = TRY(Result<size_t>(read));
  if (count != 0) notify_file(*path_.dentry, kNotifyAccess);
  return count;
}

Result<size_t> RegularFile::write(DataSource& source) {
  return position_.with([&](uint64_t& position) -> Result<size_t> {
    if (source.remaining() > kMaxFileSize - std::min(position, kMaxFileSize)) return Errno::kInval;
    const Written written = TRY(write_from(position, source));
    position = written.end;
    return written.count;
  });
}

Result<size_t> RegularFile::write_at(uint64_t offset, DataSource& source) {
  return TRY(write_from(offset, source)).count;
}

Result<RegularFile::Written> RegularFile::write_from(uint64_t offset, DataSource& source) {
  if (!can_write()) return Errno::kBadFd;
  source.truncate(kMaxTransfer);
  if (source.remaining() == 0) return Written{0, offset};
  Written written = TRY([&]() -> Result<Written> {
    InodeGuard guard(inode()->mutex());
    // pwrite(2) appends as well, whatever its offset (BUGS there).
    if ((flags() & kOpenAppend) != 0) offset = TRY(inode()->stat()).size;
    if (offset >= kMaxFileSize) return Errno::kFBig;
    if (source.remaining() > kMaxFileSize - offset) source.truncate(kMaxFileSize - offset);
    drop_file_capabilities(*inode());
    const size_t count = TRY(inode()->write_at(offset, source));
    return Written{count, offset + count};
  }());
  if (written.count != 0) notify_file(*path_.dentry, kNotifyModify);
  if ((flags() & kOpenDsync) != 0) TRY(inode()->sync((flags() & kOpenSync) != kOpenSync));
  return written;
}

Result<uint64_t> seek_target(uint64_t base, int64_t offset) {
  const std::optional<int64_t> target = checked_add(static_cast<int64_t>(base), offset);
  if (!target) return Errno::kInval;
  if (*target < 0) return Errno::kInval;
  return static_cast<uint64_t>(*target);
}

Result<uint64_t> RegularFile::seek(int64_t offset, Whence whence) {
  return position_.with([&](uint64_t& position) -> Result<uint64_t> {
    switch (whence) {
      case Whence::kSet:
        position = TRY(seek_target(0, offset));
        return position;
      case Whence::kCur:
        position = TRY(seek_target(position, offset));
        return position;
      case Whence::kEnd:
        position = TRY(seek_target(TRY(inode()->stat()).size, offset));
        return position;
      case Whence::kData:
        if (offset < 0) return Errno::kNxIo;
        position = TRY(inode()->seek_data(static_cast<uint64_t>(offset)));
        return position;
      case Whence::kHole:
        if (offset < 0) return Errno::kNxIo;
        position = TRY(inode()->seek_hole(static_cast<uint64_t>(offset)));
        return position;
    }
    return Errno::kInval;
  });
}

Result<void> RegularFile::truncate(uint64_t size) {
  if (!can_write()) return Errno::kInval;
  if (size > kMaxFileSize) return Errno::kFBig;
  InodeGuard guard(inode()->mutex());
  drop_file_capabilities(*inode());
  TRY(inode()->set_attributes({.size = size}));
  notify_file(*path_.dentry, kNotifyModify);
  return {};
}

Result<void> RegularFile::allocate(int mode, uint64_t offset, uint64_t length) {
  if (!can_write()) return Errno::kBadFd;
  if (length == 0 || offset > kMaxFileSize) return Errno::kInval;
  if (length > kMaxFileSize - offset) return Errno::kFBig;
  InodeGuard guard(inode()->mutex());
  TRY(inode()->allocate(static_cast<uint32_t>(mode), offset, length));
  drop_file_capabilities(*inode());
  notify_file(*path_.dentry, kNotifyModify);
  return {};
}

Result<void> RegularFile::sync(bool data_only) { return inode()->sync(data_only); }

Result<MapSource> RegularFile::map_source(uint64_t offset, uint64_t, bool shared, Prot prot) {
  if (!can_read()) return Errno::kAcces;
  if (shared && has(prot, Prot::kWrite) && !can_write()) return Errno::kAcces;
  if (has(prot, Prot::kExec) && (path_.mount->flags() & kMountNoExec) != 0) return Errno::kPerm;
  MapSource source;
  source.object = TRY(inode()->memory_object());
  source.offset = offset;
  source.shared = shared;
  source.may_write = !shared || can_write();
  source.name = TRY(path_to_string(path_, mount_table().root(), DeletedNames::kMarkDeleted));
  const Stat stat = TRY(inode()->stat());
  source.device = stat.dev;
  source.inode = stat.ino;
  source.is_quiet = inode()->writers() <= 0;
  source.writes = writes_.another();
  TRY(inode()->limit_mapping(source, prot));
  return source;
}

void RegularFile::last_close() {
  notify_file(*path_.dentry, can_write() ? kNotifyCloseWrite : kNotifyCloseNoWrite);
}

}  // namespace occlum
