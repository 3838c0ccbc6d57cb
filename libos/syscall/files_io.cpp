// read(2), write(2) and their relatives: decode, make a sink or a source, call the file.
#include <algorithm>

#include "libos/lib/bits.h"

#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/regular_file.h"
#include "libos/process/process.h"
#include "libos/syscall/files_common.h"

namespace occlum {

namespace {

// RWF_*: HIPRI, DSYNC, SYNC, NOWAIT, APPEND.
constexpr uint32_t kRwfDsync = 2, kRwfSync = 4, kRwfAppend = 16, kRwfKnown = 31;

// What has no read(2) or no write(2) at all says so first, also when nothing is to be moved.
bool has_read(const File& file) {
  return file.kind() != FileKind::kEpoll && file.kind() != FileKind::kProcess;
}
bool has_write(const File& file) {
  switch (file.kind()) {
    case FileKind::kTimer:
    case FileKind::kSignal:
      return false;
    default:
      return has_read(file);
  }
}

Result<RefPtr<File>> readable(Thread& self, Fd fd) {
  RefPtr<File> file = TRY(io_file(self, fd));
  if (!file->can_read()) return Errno::kBadFd;
  if (!has_read(*file)) return Errno::kInval;
  return file;
}

Result<RefPtr<File>> writable(Thread& self, Fd fd) {
  RefPtr<File> file = TRY(io_file(self, fd));
  if (!file->can_write()) return Errno::kBadFd;
  if (!has_write(*file)) return Errno::kInval;
  return file;
}

// For pread and pwrite: that a file has no positions is found before that it is open for the other direction.
Result<RefPtr<File>> positioned(Thread& self, Fd fd) {
  RefPtr<File> file = TRY(io_file(self, fd));
  if (!has_positions(*file)) return Errno::kSPipe;
  return file;
}

// What moved before a failure counts (read(2), write(2)).
template <typename Transfer>
Result<long> finish(Result<size_t> result, const Transfer& transfer) {
  if (!result.is_error()) return static_cast<long>(result.value());
  if (transfer.transferred() != 0 && result.error() == Errno::kFault)
    return static_cast<long>(transfer.transferred());
  return result.error();
}

Result<long> write_source(Thread& self, File& file, const uint64_t* offset, DataSource source) {
  source.truncate(kMaxTransfer);
  TRY(limit_file_size(self, file, offset, source));
  if (file.inode() != nullptr && source.remaining() != 0)
    TRY(drop_set_id(*file.inode(), self.credentials()));
  Result<size_t> result = offset != nullptr ? file.write_at(*offset, source) : file.write(source);
  const Result<long> count = finish(std::move(result), source);
  Thread::count(self.io.writes, 1);
  if (!count.is_error()) Thread::count(self.io.bytes_written, static_cast<uint64_t>(count.value()));
  return count;
}

Result<long> read_sink(Thread& self, File& file, const uint64_t* offset, DataSink sink) {
  sink.truncate(kMaxTransfer);
  const Result<long> count =
      finish(offset != nullptr ? file.read_at(*offset, sink) : file.read(sink), sink);
  Thread::count(self.io.reads, 1);
  if (!count.is_error()) Thread::count(self.io.bytes_read, static_cast<uint64_t>(count.value()));
  return count;
}

// At most kMaxTransfer bytes are moved; a range that reaches out of a program's half of the addresses is refused whole.
Result<size_t> checked_count(UserAddress buffer, size_t count) {
  const auto end = checked_add(buffer.value(), uint64_t{count});
  if (!end || *end > kTaskSizeMax) return Errno::kFault;
  return std::min(count, kMaxTransfer);
}

// A range of a file ends before the largest offset.
Result<void> check_end(uint64_t offset, size_t count) {
  if (count > static_cast<uint64_t>(INT64_MAX) - offset) return Errno::kInval;
  return {};
}

Result<uint64_t> checked_offset(int64_t offset) {
  if (offset < 0) return Errno::kInval;
  return static_cast<uint64_t>(offset);
}

}  // namespace

Result<long> sys_read(Thread& self, Fd fd, UserAddress buffer, size_t count) {
  const RefPtr<File> file = TRY(readable(self, fd));
  return read_sink(self, *file, nullptr, DataSink(buffer, TRY(checked_count(buffer, count))));
}

Result<long> sys_write(Thread& self, Fd fd, UserAddress buffer, size_t count) {
  const RefPtr<File> file = TRY(writable(self, fd));
  return write_source(self, *file, nullptr, DataSource(buffer, TRY(checked_count(buffer, count))));
}

Result<long> sys_pread64(Thread& self, Fd fd, UserAddress buffer, size_t count, int64_t offset) {
  const uint64_t start = TRY(checked_offset(offset));
  TRY(positioned(self, fd));
  const RefPtr<File> file = TRY(readable(self, fd));
  const size_t size = TRY(checked_count(buffer, count));
  TRY(check_end(start, count));
  return read_sink(self, *file, &start, DataSink(buffer, size));
}

Result<long> sys_pwrite64(Thread& self, Fd fd, UserAddress buffer, size_t count, int64_t offset) {
  const uint64_t start = TRY(checked_offset(offset));
  TRY(positioned(self, fd));
  const RefPtr<File> file = TRY(writable(self, fd));
  const size_t size = TRY(checked_count(buffer, count));
  TRY(check_end(start, count));
  return write_source(self, *file, &start, DataSource(buffer, size));
}

Result<long> sys_readv(Thread& self, Fd fd, UserAddress iov, size_t count) {
  const RefPtr<File> file = TRY(readable(self, fd));
  DataSink sink(TRY(read_iovec(iov, count)));
  if (sink.remaining() == 0) return 0;  // the file is not asked
  return read_sink(self, *file, nullptr, std::move(sink));
}

Result<long> sys_writev(Thread& self, Fd fd, UserAddress iov, size_t count) {
  const RefPtr<File> file = TRY(writable(self, fd));
  DataSource source(TRY(read_iovec(iov, count)));
  if (source.remaining() == 0) return 0;
  return write_source(self, *file, nullptr, std::move(source));
}

Result<long> sys_preadv(Thread& self, Fd fd, UserAddress iov, size_t count, int64_t offset) {
  const uint64_t start = TRY(checked_offset(offset));
  TRY(positioned(self, fd));
  const RefPtr<File> file = TRY(readable(self, fd));
  DataSink sink(TRY(read_iovec(iov, count)));
  if (sink.remaining() == 0) return 0L;  // the file is not asked
  TRY(check_end(start, sink.remaining()));
  sink.truncate(kMaxTransfer);
  return read_sink(self, *file, &start, std::move(sink));
}

Result<long> sys_pwritev(Thread& self, Fd fd, UserAddress iov, size_t count, int64_t offset) {
  const uint64_t start = TRY(checked_offset(offset));
  TRY(positioned(self, fd));
  const RefPtr<File> file = TRY(writable(self, fd));
  DataSource source(TRY(read_iovec(iov, count)));
  if (source.remaining() == 0) return 0L;
  TRY(check_end(start, source.remaining()));
  return write_source(self, *file, &start, std::move(source));
}

namespace {

// Unknown flags are an error only where there is something to move.
Result<void> check_rwf(UserAddress iov, size_t count, int64_t offset, uint32_t flags) {
  const DataSink all(TRY(read_iovec(iov, count)));
  if (all.remaining() == 0) return {};
  if (offset >= 0) TRY(check_end(static_cast<uint64_t>(offset), all.remaining()));
  if ((flags & ~kRwfKnown) != 0) return Errno::kOpNotSupp;
  return {};
}

}  // namespace

Result<long> sys_preadv2(Thread& self, Fd fd, UserAddress iov, size_t count, int64_t offset,
                         uint64_t, Flags flags) {
  if (offset < -1) return Errno::kInval;
  if (offset >= 0) TRY(positioned(self, fd));
  TRY(readable(self, fd));
  TRY(check_rwf(iov, count, offset, bits(flags)));
  if (offset == -1) return sys_readv(self, fd, iov, count);
  return sys_preadv(self, fd, iov, count, offset);
}

Result<long> sys_pwritev2(Thread& self, Fd fd, UserAddress iov, size_t count, int64_t offset,
                          uint64_t, Flags flags) {
  if (offset < -1) return Errno::kInval;
  if (offset >= 0) TRY(positioned(self, fd));
  const RefPtr<File> file = TRY(writable(self, fd));
  TRY(check_rwf(iov, count, offset, bits(flags)));
  // RWF_APPEND: where the end is now. Not atomic against other writers without O_APPEND.
  std::optional<uint64_t> before;
  if ((bits(flags) & kRwfAppend) != 0 && file->inode() != nullptr) {
    if (offset == -1) {
      before = TRY(file->seek(0, Whence::kCur));
      TRY(file->seek(0, Whence::kEnd));
    } else {
      offset = static_cast<int64_t>(TRY(file->stat()).size);
    }
  }
  const Result<long> result =
      offset == -1 ? sys_writev(self, fd, iov, count) : sys_pwritev(self, fd, iov, count, offset);
  // What writes nothing leaves the position where it was.
  if (before && (result.is_error() || result.value() == 0))
    TRY(file->seek(static_cast<int64_t>(*before), Whence::kSet));
  const long written = TRY(Result<long>(result));
  const bool has_store = file->kind() == FileKind::kOther && file->inode() != nullptr;
  if (has_store && (bits(flags) & (kRwfDsync | kRwfSync)) != 0)
    TRY(file->sync((bits(flags) & kRwfSync) == 0));
  return written;
}

Result<long> sys_lseek(Thread& self, Fd fd, int64_t offset, int whence) {
  const RefPtr<File> file = TRY(io_file(self, fd));
  if (whence < 0 || whence > static_cast<int>(Whence::kHole)) return Errno::kInval;
  return static_cast<long>(TRY(file->seek(offset, static_cast<Whence>(whence))));
}

Result<long> sys_fsync(Thread& self, Fd fd) { return done(TRY(io_file(self, fd))->sync(false)); }
Result<long> sys_fdatasync(Thread& self, Fd fd) { return done(TRY(io_file(self, fd))->sync(true)); }

Result<long> sys_sync_file_range(Thread& self, Fd fd, int64_t offset, int64_t length, Flags flags) {
  const RefPtr<File> file = TRY(io_file(self, fd));
  if ((bits(flags) & ~7u) != 0 || offset < 0 || !checked_add(offset, length) ||
      offset + length < offset) {
    return Errno::kInval;
  }
  const Inode* inode = file->inode();
  const bool has_pages = inode != nullptr && (inode->is_regular() || inode->is_directory());
  if (file->kind() == FileKind::kProcess) return 0L;  // a regular file, as far as Linux goes
  if (!has_pages) return Errno::kSPipe;
  return done(file->sync(true));
}

Result<long> sys_ftruncate(Thread& self, Fd fd, int64_t length) {
  if (length < 0) return Errno::kInval;
  const RefPtr<File> file = TRY(io_file(self, fd));
  if (!file->can_write()) return Errno::kInval;
  if (file->inode() != nullptr) {
    TRY(check_file_size(self, *file->inode(), static_cast<uint64_t>(length)));
    TRY(drop_set_id(*file->inode(), self.credentials()));
  }
  return done(file->truncate(static_cast<uint64_t>(length)));
}

namespace {

// What a mode can be at all, whatever the file: one way, and FALLOC_FL_KEEP_SIZE where it has a meaning.
Result<void> check_fallocate_mode(uint32_t mode) {
  constexpr uint32_t kInsert = 0x20, kUnshare = 0x40, kWriteZeroes = 0x80;
  const bool keeps_size = (mode & kFallocKeepSize) != 0;
  switch (mode & ~uint32_t{kFallocKeepSize}) {
    case 0:
    case kUnshare:
    case kFallocZeroRange:
      return {};
    case kFallocPunchHole:
      return keeps_size ? Result<void>() : Errno::kOpNotSupp;
    case kFallocCollapseRange:
    case kInsert:
    case kWriteZeroes:
      return keeps_size ? Errno::kOpNotSupp : Result<void>();
    default:
      return Errno::kOpNotSupp;
  }
}

}  // namespace

Result<long> sys_fallocate(Thread& self, Fd fd, int mode, int64_t offset, int64_t length) {
  const RefPtr<File> file = TRY(io_file(self, fd));
  if (offset < 0 || length <= 0) return Errno::kInval;
  TRY(check_fallocate_mode(static_cast<uint32_t>(mode)));
  if (!file->can_write()) return Errno::kBadFd;
  if (file->kind() == FileKind::kPipe) return Errno::kSPipe;
  constexpr uint32_t kNoGrowth = kFallocPunchHole | kFallocCollapseRange;
  const auto end = checked_add(static_cast<uint64_t>(offset), static_cast<uint64_t>(length));
  if ((static_cast<uint32_t>(mode) & kNoGrowth) == 0 && end && file->inode() != nullptr)
    TRY(check_file_size(self, *file->inode(), *end));
  TRY(file->allocate(mode, static_cast<uint64_t>(offset), static_cast<uint64_t>(length)));
  if (file->inode() != nullptr) TRY(drop_set_id(*file->inode(), self.credentials()));
  return 0L;
}

Result<long> sys_fadvise64(Thread& self, Fd fd, int64_t, int64_t length, int advice) {
  const RefPtr<File> file = TRY(io_file(self, fd));
  if (file->kind() == FileKind::kPipe) return Errno::kSPipe;
  if (length < 0 || advice < 0 || advice > 5) return Errno::kInval;
  return 0;
}

Result<long> sys_readahead(Thread& self, Fd fd, int64_t, size_t) {
  const RefPtr<File> file = TRY(io_file(self, fd));
  if (!file->can_read()) return Errno::kBadFd;
  const bool has_pages = file->inode() != nullptr && file->inode()->is_regular();
  return has_pages ? Result<long>(0) : Errno::kInval;
}

}  // namespace occlum
