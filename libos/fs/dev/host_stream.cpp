#include "libos/fs/dev/host_stream.h"

#include <algorithm>
#include <array>

#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/operations.h"
#include "libos/host/calls.h"
#include "libos/ipc/anonymous_inode.h"
#include "libos/lib/memory.h"
#include "libos/lib/vec.h"
#include "libos/net/host_numbers.h"
#include "libos/process/signals/send.h"
#include "libos/sched/host_files.h"

namespace occlum {

namespace {

constexpr size_t kHostChunk = 64 * 1024;  // of one host call
constexpr size_t kSafeChunk = 4096;  // what a pipe takes without blocking once poll(2) says POLLOUT
constexpr uint64_t kNoWait = 8;      // RWF_NOWAIT
constexpr uint64_t kFilePosition = UINT64_MAX;
constexpr int kGetFlags = 3;  // F_GETFL

struct HostIovec {
  uint64_t base;
  uint64_t length;
};

bool lacks_nowait(Errno error) {
  return error == Errno::kOpNotSupp || error == Errno::kInval || error == Errno::kNoSys ||
         error == Errno::kSPipe;
}

}  // namespace

Result<RefPtr<HostStream>> HostStream::create(int fd) {
  const long host_flags = TRY(host::fcntl(fd, kGetFlags, 0));
  const auto mode = static_cast<uint32_t>(host_flags) & kOpenAccessMode;
  const auto append = static_cast<uint32_t>(host_flags) & kOpenAppend;
  const auto stat = host::fstat(fd);
  const uint32_t told = stat.is_error() ? 0 : stat.value().mode & (kModeTypeMask | 0777);
  const FileType type = type_of_mode(told);
  auto stream =
      TRY(make_ref<HostStream>(fd, (mode == 3 ? kOpenReadWrite : mode) | append,
                               is_known_type(type) ? told : type_bits(FileType::kFifo) | 0600));
  stream->is_seekable_ = type == FileType::kRegular;
  if (stream->is_seekable_) return stream;
  auto watch = HostWatch::create(fd);
  if (!watch.is_error()) {
    stream->watch_ = watch.release_value();
  } else if (watch.error() != Errno::kPerm) {
    return watch.error();
  }
  return stream;
}

Result<void> HostStream::wait(PollEvents events) {
  events |= kPollErr | kPollHup;
  return wait_until(watch_->queue(), kNever, Interruptible::kYes,
                    [&] { return (watch_->current_events() & events) != 0; });
}

Result<size_t> HostStream::try_read(std::span<std::byte> buffer) {
  if (!watch_) return host::read_file(fd_, buffer);
  if (can_nowait_.load(std::memory_order_relaxed)) {
    host::SharedBuffer shared;
    const uint64_t data = TRY(shared.reserve(buffer.size()));
    const HostIovec iovec = {data, buffer.size()};
    const uint64_t vector = TRY(shared.put(object_bytes(iovec)));
    const auto count = host::check(host::system_call(kHostPreadv2, static_cast<uint64_t>(fd_),
                                                     vector, 1, kFilePosition, 0, kNoWait),
                                   static_cast<long>(buffer.size()));
    if (!count.is_error()) {
      TRY(shared.get(data, buffer.first(static_cast<size_t>(count.value()))));
      return static_cast<size_t>(count.value());
    }
    if (!lacks_nowait(count.error())) return count.error();
    can_nowait_.store(false, std::memory_order_relaxed);
  }
  if ((watch_->current_events() & (kPollIn | kPollHup | kPollErr)) == 0) return Errno::kAgain;
  return host::read(fd_, buffer);
}

Result<size_t> HostStream::try_write(std::span<const std::byte> data) {
  if (!watch_) return host::write_file(fd_, data);
  if (can_nowait_.load(std::memory_order_relaxed)) {
    host::SharedBuffer shared;
    const HostIovec iovec = {TRY(shared.put(data)), data.size()};
    const uint64_t vector = TRY(shared.put(object_bytes(iovec)));
    const auto count = host::check(host::system_call(kHostPwritev2, static_cast<uint64_t>(fd_),
                                                     vector, 1, kFilePosition, 0, kNoWait),
                                   static_cast<long>(data.size()));
    if (!count.is_error()) return static_cast<size_t>(count.value());
    if (!lacks_nowait(count.error())) return count.error();
    can_nowait_.store(false, std::memory_order_relaxed);
  }
  if ((watch_->current_events() & (kPollOut | kPollHup | kPollErr)) == 0) return Errno::kAgain;
  return host::write(fd_, data.first(std::min(data.size(), kSafeChunk)));
}

Result<size_t> HostStream::read(DataSink& sink) {
  if (!can_read()) return Errno::kBadFd;
  if (sink.remaining() == 0) return size_t{0};
  auto buffer = TRY(Vec<std::byte>::create(std::min(sink.remaining(), kHostChunk)));
  for (;;) {
    const Result<size_t> count = try_read(buffer.span());
    if (!count.is_error()) {
      TRY(sink.write(buffer.span().first(count.value())));
      return count;
    }
    if (count.error() != Errno::kAgain || is_nonblocking() || !watch_) return count;
    TRY(wait(kPollIn));
  }
}

Result<size_t> HostStream::write(DataSource& source) {
  if (!can_write()) return Errno::kBadFd;
  auto buffer = TRY(Vec<std::byte>::create(std::min(source.remaining(), kHostChunk)));
  size_t total = 0;
  auto failed = [&](Errno error) {
    if (error == Errno::kPipe) send_signal_to_self(kSigPipe);
    return total != 0 ? Result<size_t>(total) : error;
  };
  while (source.remaining() != 0) {
    const std::span<std::byte> chunk =
        buffer.span().first(std::min(buffer.size(), source.remaining()));
    if (const auto copied = source.read(chunk); copied.is_error()) return failed(copied.error());
    for (size_t done = 0; done < chunk.size();) {
      const Result<size_t> count = try_write(chunk.subspan(done));
      if (!count.is_error() && count.value() != 0) {
        done += count.value();
        total += count.value();
        continue;
      }
      if (!count.is_error())
        return failed(Errno::kIo);  // a host that takes nothing and says no error
      if (count.error() != Errno::kAgain || is_nonblocking() || !watch_)
        return failed(count.error());
      if (const auto waited = wait(kPollOut); waited.is_error()) return failed(waited.error());
    }
  }
  return total;
}

Result<size_t> HostStream::read_at(uint64_t offset, DataSink& sink) {
  if (!is_seekable_) return Errno::kSPipe;
  auto buffer = TRY(Vec<std::byte>::create(std::min(sink.remaining(), kHostChunk)));
  const size_t count = TRY(host::pread(fd_, buffer.span(), offset));
  TRY(sink.write(buffer.span().first(count)));
  return count;
}

Result<size_t> HostStream::write_at(uint64_t offset, DataSource& source) {
  if (!is_seekable_) return Errno::kSPipe;
  auto buffer = TRY(Vec<std::byte>::create(std::min(source.remaining(), kHostChunk)));
  TRY(source.read(buffer.span()));
  return host::pwrite(fd_, buffer.span(), offset);
}

Result<uint64_t> HostStream::seek(int64_t offset, Whence whence) {
  if (!is_seekable_) return Errno::kSPipe;
  const long position = TRY(
      host::check(host::system_call(kHostLseek, static_cast<uint64_t>(fd_),
                                    static_cast<uint64_t>(offset), static_cast<uint64_t>(whence)),
                  INT64_MAX));
  return static_cast<uint64_t>(position);
}

Result<void> HostStream::truncate(uint64_t size) {
  if (!is_seekable_) return Errno::kInval;
  TRY(host::check(host::system_call(kHostFtruncate, static_cast<uint64_t>(fd_), size), 0));
  return {};
}

Result<void> HostStream::sync(bool data_only) {
  if (!is_seekable_) return Errno::kInval;
  return host::fsync(fd_, data_only);
}

Result<long> HostStream::ioctl(Thread&, uint32_t request, uint64_t argument) {
  if (request != kFionRead) return Errno::kNotTty;
  int value = 0;
  TRY(host::ioctl_int(fd_, request, value));
  TRY(UserOut<int>(UserAddress(argument)).write(std::max(value, 0)));
  return 0L;
}

PollEvents HostStream::poll(Poller* poller) {
  if (!watch_) return File::poll(poller);
  if (poller != nullptr) (void)poller->watch(watch_->queue());
  return watch_->current_events();
}

Result<Stat> HostStream::stat() {
  const host::HostStat host = TRY(host::fstat(fd_));
  Stat stat = inode_.stat();
  stat.rdev = host.rdev;
  stat.size = host.size;
  stat.blocks = host.blocks;
  // /dev/null is recognised by programs by its number and its zero size; other times and owners are
  // not told.
  return stat;
}

Result<void> HostStream::set_attributes(const AttributeChange& change) {
  inode_.change(change);
  return {};
}

Result<String> HostStream::describe() { return inode_.describe("host"); }

}  // namespace occlum
