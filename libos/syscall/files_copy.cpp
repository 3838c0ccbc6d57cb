// sendfile(2) and copy_file_range(2): data from file to file through a buffer of the LibOS.
#include <algorithm>
#include <optional>

#include "libos/fs/vfs/regular_file.h"
#include "libos/process/process.h"
#include "libos/syscall/files_common.h"
#include "libos/syscall/splice.h"

namespace occlum {

namespace {

constexpr size_t kChunk = 64 * 1024;

Result<size_t> copy(CopyPlace& from, CopyPlace& to, size_t count) {
  count = std::min(count, kMaxTransfer);
  Vec<std::byte> buffer = TRY(Vec<std::byte>::create(std::min(count, kChunk)));
  size_t total = 0;
  while (total < count) {
    const Result<size_t> got =
        from.read(buffer.span().first(std::min(buffer.size(), count - total)));
    if (got.is_error()) {
      if (total != 0) break;
      return got.error();
    }
    if (got.value() == 0) break;
    const Result<size_t> put = to.write(buffer.span().first(got.value()));
    const size_t written = put.is_error() ? 0 : put.value();
    TRY(from.rewind(got.value() - written));
    total += written;
    if (put.is_error()) {
      if (total != 0) break;
      return put.error();
    }
    if (written < got.value()) break;
  }
  return total;
}

Result<std::optional<int64_t>> read_offset(UserInOut<int64_t> at) {
  if (at.is_null()) return std::optional<int64_t>();
  return std::optional<int64_t>(TRY(at.read()));
}

Result<void> write_offset(UserInOut<int64_t> at, const CopyPlace& place) {
  if (at.is_null()) return {};
  return at.write(static_cast<int64_t>(*place.offset()));
}

Result<uint64_t> position_of(CopyPlace& place) {
  return place.offset() ? Result<uint64_t>(*place.offset()) : place.file().seek(0, Whence::kCur);
}

// How many bytes copy_file_range(2) copies, by what Linux checks in this order before it looks at any of them.
struct CopyEnd {
  uint64_t start;  // a negative offset is beyond all positions
  const Stat& stat;
};
Result<size_t> check_copy(Thread& self, CopyEnd in, CopyEnd out, size_t count) {
  if (!checked_add(in.start, uint64_t{count}) || !checked_add(out.start, uint64_t{count}))
    return Errno::kOverflow;
  const bool is_negative = in.start > kMaxFileSize || out.start > kMaxFileSize;
  // What lies behind the end as it is now is not copied.
  if (in.start <= kMaxFileSize)
    count = std::min<uint64_t>(count, in.stat.size > in.start ? in.stat.size - in.start : 0);
  if (out.start <= kMaxFileSize) {
    const uint64_t limit = self.process().limit(Resource::kFileSize).soft;
    if (out.start >= limit) TRY(refuse_size());
    if (out.start >= kMaxFileSize) return Errno::kFBig;
    count = std::min<uint64_t>(count, std::min(limit, kMaxFileSize) - out.start);
  }
  if (is_negative) return Errno::kInval;
  const uint64_t distance = in.start < out.start ? out.start - in.start : in.start - out.start;
  if (in.stat.ino == out.stat.ino && distance < count) return Errno::kInval;
  return count;
}

}  // namespace

Result<long> sys_sendfile(Thread& self, Fd out, Fd in, UserInOut<int64_t> offset, size_t count) {
  const RefPtr<File> from = TRY(io_file(self, in));
  if (!from->can_read()) return Errno::kBadFd;
  std::optional<uint64_t> start;
  if (!offset.is_null()) {
    const int64_t at = TRY(offset.read());
    if (!has_positions(*from)) return Errno::kSPipe;
    if (at < 0) return Errno::kInval;
    start = static_cast<uint64_t>(at);
  }
  // No range of a file ends behind the largest offset; what has no positions is refused below.
  const Result<uint64_t> position = start ? Result<uint64_t>(*start) : from->seek(0, Whence::kCur);
  if (!position.is_error() && count > static_cast<uint64_t>(INT64_MAX) - position.value())
    return Errno::kInval;
  const RefPtr<File> to = TRY(io_file(self, out));
  if (!to->can_write()) return Errno::kBadFd;
  // The source must be something with pages (sendfile(2)), but into a pipe goes what splice(2) takes.
  const bool is_splice = to->kind() == FileKind::kPipe;
  if (!is_splice) {
    if (from->inode() != nullptr && from->inode()->is_directory()) return Errno::kInval;
    if (from->inode() == nullptr || from->kind() != FileKind::kOther || !can_splice_from(*from))
      return Errno::kInval;
    if ((to->flags() & kOpenAppend) != 0) return Errno::kInval;
    TRY(Result<uint64_t>(position));
  }
  const bool is_onto_itself = !is_splice && from == to && !start;
  if (is_onto_itself) start = position.value();
  CopyPlace source(*from, start);
  CopyPlace target(*to, is_onto_itself ? start : std::nullopt);
  // Into a pipe goes what it has room for.
  const Result<size_t> copied =
      is_splice
          ? splice_to_pipe(source, static_cast<PipeEnd&>(*to).pipe(), std::min(count, kMaxTransfer),
                           to->is_nonblocking() ? Blocking::kNo : Blocking::kYes)
          : copy(source, target, count);
  if (copied.is_error()) return copied.error();
  // Of one description copied onto itself there is one position.
  if (is_onto_itself) TRY(from->seek(static_cast<int64_t>(*source.offset()), Whence::kSet));
  TRY(write_offset(offset, source));
  return static_cast<long>(copied.value());
}

Result<long> sys_copy_file_range(Thread& self, Fd in, UserInOut<int64_t> in_offset, Fd out,
                                 UserInOut<int64_t> out_offset, size_t count, Flags flags) {
  const RefPtr<File> from = TRY(io_file(self, in));
  const RefPtr<File> to = TRY(io_file(self, out));
  const std::optional<int64_t> in_at = TRY(read_offset(in_offset));
  const std::optional<int64_t> out_at = TRY(read_offset(out_offset));
  if (bits(flags) != 0) return Errno::kInval;
  const Stat in_stat = TRY(from->stat()), out_stat = TRY(to->stat());
  for (const Stat& stat : {in_stat, out_stat}) {
    if (type_of_mode(stat.mode) == FileType::kDirectory) return Errno::kIsDir;
  }
  for (const Stat& stat : {in_stat, out_stat}) {
    if (type_of_mode(stat.mode) != FileType::kRegular) return Errno::kInval;
  }
  if (!from->can_read() || !to->can_write() || (to->flags() & kOpenAppend) != 0)
    return Errno::kBadFd;
  if (in_stat.dev != out_stat.dev) return Errno::kXDev;
  CopyPlace source(*from, in_at), target(*to, out_at);
  const uint64_t start = TRY(position_of(source)), out_start = TRY(position_of(target));
  count = TRY(check_copy(self, {start, in_stat}, {out_start, out_stat}, count));
  if (count == 0) return 0;
  const size_t copied = TRY(copy(source, target, count));
  TRY(write_offset(in_offset, source));
  TRY(write_offset(out_offset, target));
  return static_cast<long>(copied);
}

}  // namespace occlum
