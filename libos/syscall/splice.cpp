// splice(2), tee(2), vmsplice(2). The order of the checks is Linux's.
#include "libos/syscall/splice.h"

#include <algorithm>

#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/operations.h"
#include "libos/ipc/pipe.h"
#include "libos/lib/memory.h"
#include "libos/net/socket.h"
#include "libos/process/signals/send.h"
#include "libos/syscall/files_common.h"

namespace occlum {

Result<size_t> CopyPlace::read(std::span<std::byte> buffer) {
  DataSink sink(buffer);
  if (!offset_) return file_.read(sink);
  const size_t count = TRY(file_.read_at(*offset_, sink));
  *offset_ += count;
  return count;
}

Result<size_t> CopyPlace::write(std::span<const std::byte> data) {
  DataSource source(data);
  Thread& self = current_thread();
  TRY(limit_file_size(self, file_, offset_ ? &*offset_ : nullptr, source));
  if (file_.inode() != nullptr) TRY(drop_set_id(*file_.inode(), self.credentials()));
  if (!offset_) return file_.write(source);
  const size_t count = TRY(file_.write_at(*offset_, source));
  *offset_ += count;
  return count;
}

Result<void> CopyPlace::rewind(size_t bytes) {
  if (bytes == 0) return {};
  if (offset_) {
    *offset_ -= bytes;
    return {};
  }
  TRY(file_.seek(-static_cast<int64_t>(bytes), Whence::kCur));
  return {};
}

namespace {

constexpr uint32_t kSpliceMove = 1, kSpliceNonblock = 2, kSpliceMore = 4, kSpliceGift = 8;
constexpr uint32_t kSpliceAll = kSpliceMove | kSpliceNonblock | kSpliceMore | kSpliceGift;
constexpr size_t kMaxSplice = 0x7ffff000;

bool has_pages(File& file) { return file.inode() != nullptr && file.inode()->is_regular(); }

bool is_stream(File& file) {
  return file.kind() == FileKind::kSocket || file.kind() == FileKind::kTerminal;
}

Pipe* pipe_of(File& file) {
  return file.kind() == FileKind::kPipe ? &static_cast<PipeEnd&>(file).pipe() : nullptr;
}

Blocking blocking_of(uint32_t flags) {
  return (flags & kSpliceNonblock) != 0 ? Blocking::kNo : Blocking::kYes;
}

Result<size_t> raise_broken_pipe(Result<size_t> result) {
  if (result.is_error() && result.error() == Errno::kPipe) send_signal_to_self(kSigPipe);
  return result;
}

// One read of what has no pages, which then fills slots.
Result<Vec<std::byte>> read_once(CopyPlace& from, size_t size, Blocking blocking) {
  auto buffer = TRY(Vec<std::byte>::create(size));
  size_t count = 0;
  if (from.file().kind() == FileKind::kSocket && blocking == Blocking::kNo) {
    DataSink sink(buffer.span());
    IncomingMessage message{.data = sink, .flags = kMsgDontWait};
    count = TRY(static_cast<Socket&>(from.file()).receive(message));
  } else {
    count = TRY(from.read(buffer.span()));
  }
  TRY(buffer.resize(count));
  return buffer;
}

Result<size_t> fill_from_pages(CopyPlace& from, Pipe& to, size_t limit, Blocking blocking) {
  uint64_t position = from.offset() ? *from.offset() : TRY(from.file().seek(0, Whence::kCur));
  size_t left = limit;
  return to.fill(blocking, [&](std::span<std::byte> page, size_t) -> Result<size_t> {
    const size_t count = std::min<size_t>(left, kPageSize - (position & kPageMask));
    if (count == 0) return size_t{0};
    const size_t got = TRY(from.read(page.first(count)));
    position += got;
    left -= got;
    return got;
  });
}

Result<size_t> fill_from_stream(CopyPlace& from, Pipe& to, size_t limit, Blocking blocking) {
  Vec<std::byte> buffer;
  size_t used = 0;
  bool has_read = false;
  return to.fill(blocking, [&](std::span<std::byte> page, size_t room) -> Result<size_t> {
    // The source is looked at when there is room.
    if (limit == 0) return size_t{0};
    if (!has_read && !can_splice_from(from.file())) return Errno::kInval;
    if (!has_read) buffer = TRY(read_once(from, std::min(limit, room), blocking));
    has_read = true;
    const size_t count = std::min(page.size(), buffer.size() - used);
    copy_bytes(page.first(count), std::as_const(buffer).span().subspan(used, count));
    used += count;
    return count;
  });
}

Result<size_t> splice_from_pipe(Pipe& from, CopyPlace& to, size_t limit, Blocking blocking) {
  return from.drain(limit, blocking,
                    [&](std::span<const std::byte> bytes) { return to.write(bytes); });
}

Result<std::optional<uint64_t>> read_splice_offset(UserInOut<int64_t> at, File& file) {
  if (at.is_null()) return std::optional<uint64_t>();
  const int64_t offset = TRY(at.read());
  if (is_stream(file) || offset < 0) return Errno::kInval;
  return std::optional<uint64_t>(static_cast<uint64_t>(offset));
}

// The bytes asked for must lie below 2^63, before anybody looks whether there are any.
Result<void> check_range(CopyPlace& place, size_t count) {
  uint64_t start = place.offset().value_or(0);
  if (!place.offset()) {
    // What cannot be sought is at 0.
    const Result<uint64_t> position = place.file().seek(0, Whence::kCur);
    if (!position.is_error()) start = position.value();
  }
  if (count > kMaxFileSize || start > kMaxFileSize - count) return Errno::kInval;
  return {};
}

bool can_splice_to(File& file) {
  return has_pages(file) || is_stream(file) ||
         (file.kind() == FileKind::kOther && file.inode() != nullptr &&
          !file.inode()->is_directory());
}

Result<size_t> splice_files(File& in, UserInOut<int64_t> in_offset, File& out,
                            UserInOut<int64_t> out_offset, size_t count, uint32_t flags) {
  Pipe* const from_pipe = pipe_of(in);
  Pipe* const to_pipe = pipe_of(out);
  if (from_pipe != nullptr && !in_offset.is_null()) return Errno::kSPipe;
  if (to_pipe != nullptr && !out_offset.is_null()) return Errno::kSPipe;
  if (!out_offset.is_null()) TRY(out_offset.read());
  if (!in_offset.is_null()) TRY(in_offset.read());
  if (!in.can_read() || !out.can_write()) return Errno::kBadFd;
  if (from_pipe != nullptr && in.is_nonblocking()) flags |= kSpliceNonblock;
  if (to_pipe != nullptr && out.is_nonblocking()) flags |= kSpliceNonblock;
  const Blocking blocking = blocking_of(flags);
  if (from_pipe != nullptr && to_pipe != nullptr) {
    if (from_pipe == to_pipe) return Errno::kInval;
    return raise_broken_pipe(Pipe::transfer(*from_pipe, *to_pipe, std::min(count, kMaxSplice),
                                            blocking, Pipe::Transfer::kMove));
  }
  if (from_pipe != nullptr) {
    CopyPlace place(out, TRY(read_splice_offset(out_offset, out)));
    if ((out.flags() & kOpenAppend) != 0 || !can_splice_to(out)) return Errno::kInval;
    TRY(check_range(place, count));
    const size_t done =
        TRY(splice_from_pipe(*from_pipe, place, std::min(count, kMaxSplice), blocking));
    if (place.offset()) TRY(out_offset.write(static_cast<int64_t>(*place.offset())));
    return done;
  }
  if (to_pipe != nullptr) {
    CopyPlace place(in, TRY(read_splice_offset(in_offset, in)));
    TRY(check_range(place, count));
    const size_t done = TRY(splice_to_pipe(place, *to_pipe, std::min(count, kMaxSplice), blocking));
    if (place.offset()) TRY(in_offset.write(static_cast<int64_t>(*place.offset())));
    return done;
  }
  return Errno::kInval;
}

// Memory of the program, page by page, into slots.
Result<size_t> splice_user_memory(Vec<UserSegment> segments, Pipe& to, Blocking blocking) {
  size_t index = 0;
  return to.fill(blocking, [&](std::span<std::byte> page, size_t) -> Result<size_t> {
    while (index < segments.size() && segments[index].size == 0) ++index;
    if (index == segments.size()) return size_t{0};
    UserSegment& segment = segments[index];
    const size_t count =
        std::min<size_t>(segment.size, kPageSize - (segment.address.value() & kPageMask));
    TRY(copy_from_user(current_memory(), page.first(count), segment.address));
    segment.address = segment.address + count;
    segment.size -= count;
    return count;
  });
}

}  // namespace

// Of the devices, /dev/null can only be spliced to.
bool can_splice_from(File& file) {
  constexpr uint64_t kNullDevice = make_device(1, 3);
  if (!can_splice_to(file)) return false;
  if (file.inode() == nullptr || file.inode()->type() != FileType::kCharDevice) return true;
  const Result<Stat> stat = file.stat();
  return !stat.is_error() && stat.value().rdev != kNullDevice;
}

Result<size_t> splice_to_pipe(CopyPlace& from, Pipe& to, size_t limit, Blocking blocking) {
  return raise_broken_pipe(has_pages(from.file()) ? fill_from_pages(from, to, limit, blocking)
                                                  : fill_from_stream(from, to, limit, blocking));
}

Result<long> sys_splice(Thread& self, Fd in, UserInOut<int64_t> in_offset, Fd out,
                        UserInOut<int64_t> out_offset, size_t count, Flags flags) {
  if (count == 0) return 0L;
  if ((bits(flags) & ~kSpliceAll) != 0) return Errno::kInval;
  const RefPtr<File> from = TRY(io_file(self, in));
  const RefPtr<File> to = TRY(io_file(self, out));
  return static_cast<long>(
      TRY(splice_files(*from, in_offset, *to, out_offset, count, bits(flags))));
}

Result<long> sys_tee(Thread& self, Fd in, Fd out, size_t count, Flags flags) {
  if ((bits(flags) & ~kSpliceAll) != 0) return Errno::kInval;
  if (count == 0) return 0L;
  const RefPtr<File> from = TRY(io_file(self, in));
  const RefPtr<File> to = TRY(io_file(self, out));
  if (!from->can_read() || !to->can_write()) return Errno::kBadFd;
  Pipe* const from_pipe = pipe_of(*from);
  Pipe* const to_pipe = pipe_of(*to);
  if (from_pipe == nullptr || to_pipe == nullptr || from_pipe == to_pipe) return Errno::kInval;
  const bool is_nonblocking = from->is_nonblocking() || to->is_nonblocking();
  const Blocking blocking = is_nonblocking ? Blocking::kNo : blocking_of(bits(flags));
  return static_cast<long>(TRY(raise_broken_pipe(
      Pipe::transfer(*from_pipe, *to_pipe, count, blocking, Pipe::Transfer::kCopy))));
}

Result<long> sys_vmsplice(Thread& self, Fd fd, UserAddress iov, size_t count, Flags flags) {
  if ((bits(flags) & ~kSpliceAll) != 0) return Errno::kInval;
  const RefPtr<File> file = TRY(io_file(self, fd));
  const bool to_pipe = file->can_write();
  if (!to_pipe && !file->can_read()) return Errno::kBadFd;
  Vec<UserSegment> segments = TRY(read_iovec(iov, count));
  size_t total = 0;
  for (const UserSegment& segment : segments) total += segment.size;
  if (total == 0) return 0L;
  Pipe* const pipe = pipe_of(*file);
  if (pipe == nullptr) return Errno::kBadFd;
  const Blocking blocking = blocking_of(bits(flags));
  if (to_pipe) {
    return static_cast<long>(
        TRY(raise_broken_pipe(splice_user_memory(std::move(segments), *pipe, blocking))));
  }
  DataSink sink(std::move(segments));
  return static_cast<long>(
      TRY(pipe->drain(total, blocking, [&](std::span<const std::byte> bytes) -> Result<size_t> {
        TRY(sink.write(bytes));
        return bytes.size();
      })));
}

}  // namespace occlum
