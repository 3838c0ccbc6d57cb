// PipeEnd: a descriptor of a pipe or a FIFO (pipe.h).
#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/notify.h"
#include "libos/fs/vfs/operations.h"
#include "libos/ipc/pipe.h"
#include "libos/mm/user.h"
#include "libos/process/signals/send.h"

namespace occlum {

PipeEnd::PipeEnd(RefPtr<Pipe> pipe, uint32_t flags, Path path)
    : File(flags), pipe_(std::move(pipe)), path_(std::move(path)) {
  if (can_read()) pipe_->add_reader();
  if (can_write()) pipe_->add_writer();
}

PipeEnd::PipeEnd(RefPtr<Pipe> pipe, uint32_t flags, RefPtr<PipeInode> inode)
    : PipeEnd(std::move(pipe), flags, Path()) {
  unnamed_ = std::move(inode);
}

PipeEnd::~PipeEnd() {
  if (can_read()) pipe_->remove_reader();
  if (can_write()) pipe_->remove_writer();
  pipe_->note_close();
  if (!path_.is_null()) pipe_->reset_when_unused();
}

// What fcntl(2), F_GETFL tells of open(2)'s flags.
static uint32_t kept_flags(uint32_t flags) {
  return flags & ~(kOpenCreate | kOpenExclusive | kOpenNoCtty | kOpenTruncate | kOpenDirectory |
                   kOpenNoFollow | kOpenCloseOnExec);
}

// The end counts as open while it waits, so that two openers find each other; it goes again when the wait fails.
Result<void> PipeEnd::meet_other_side(bool is_nonblocking) {
  if (can_read() && can_write()) return {};
  if (can_read()) {
    if (!is_nonblocking) return pipe_->wait_for_writer();
    if (!pipe_->has_writers()) writers_before_ = pipe_->writers_ever();
    return {};
  }
  if (!can_write()) return Errno::kInval;
  if (is_nonblocking && !pipe_->has_readers()) return Errno::kNxIo;
  return pipe_->wait_for_reader();
}

Result<RefPtr<File>> PipeEnd::open(RefPtr<Pipe> pipe, uint32_t flags, const Path& path) {
  const auto end = TRY(make_ref<PipeEnd>(std::move(pipe), kept_flags(flags), path));
  TRY(end->meet_other_side((flags & kOpenNonblock) != 0));
  return RefPtr<File>(end);
}

// A description of its own, as of a FIFO; but nobody is waited for. (A FIFO's end has an inode, and is not asked.)
Result<RefPtr<File>> PipeEnd::open_again(uint32_t flags) {
  const auto end = TRY(make_ref<PipeEnd>(pipe_, kept_flags(flags), unnamed_));
  if (!end->can_read() && !end->can_write()) return Errno::kInval;
  return RefPtr<File>(end);
}

Result<PipeEnd::Pair> PipeEnd::create_pair(uint32_t flags) {
  constexpr uint32_t kReadOnly = 0, kWriteOnly = 1;
  auto pipe = TRY(Pipe::create());
  auto inode = TRY(make_ref<PipeInode>());
  Pair pair;
  // Packets are the writer's doing.
  pair.reader = TRY(make_ref<PipeEnd>(pipe, (flags & ~kOpenDirect) | kReadOnly, inode));
  pair.writer = TRY(make_ref<PipeEnd>(pipe, flags | kWriteOnly, inode));
  return pair;
}

Result<size_t> PipeEnd::read(DataSink& sink) {
  const size_t count = TRY(pipe_->read(sink, is_nonblocking() ? Blocking::kNo : Blocking::kYes));
  tell(count, kNotifyAccess);
  return count;
}

// What goes through a FIFO is told to who watches it, and not to who watches its directory: as on Linux, where that was
// a way to time what others type.
void PipeEnd::tell(size_t count, uint32_t event) {
  if (count != 0 && !path_.is_null()) notify_inode(path_.inode(), event);
}

// A write that finds no reader raises SIGPIPE, also when a part of it was taken.
Result<size_t> PipeEnd::write(DataSource& source) {
  const Result<size_t> written =
      pipe_->write(source, is_nonblocking() ? Blocking::kNo : Blocking::kYes,
                   (flags() & kOpenDirect) != 0 ? Pipe::Packets::kYes : Pipe::Packets::kNo);
  if (!written.is_error()) tell(written.value(), kNotifyModify);
  if (written.is_error() ? written.error() == Errno::kPipe
                         : source.remaining() != 0 && !pipe_->has_readers()) {
    send_signal_to_self(kSigPipe);
  }
  return written;
}

Result<long> PipeEnd::ioctl(Thread&, uint32_t request, uint64_t argument) {
  if (request != kFionRead) return Errno::kNotTty;
  TRY(UserOut<int>(UserAddress(argument)).write(static_cast<int>(pipe_->readable_bytes())));
  return 0L;
}

Result<long> PipeEnd::fcntl(int command, uint64_t argument) {
  constexpr int kSetPipeSize = 1031, kGetPipeSize = 1032;
  if (command == kGetPipeSize) return static_cast<long>(pipe_->capacity());
  if (command != kSetPipeSize) return File::fcntl(command, argument);
  return static_cast<long>(TRY(pipe_->set_capacity(static_cast<uint32_t>(argument))));
}

PollEvents PipeEnd::poll(Poller* poller) {
  PollEvents events = 0;
  if (can_read()) events |= pipe_->poll_read_end(poller, writers_before_);
  if (can_write()) events |= pipe_->poll_write_end(poller);
  return events;
}

File::AsyncLists PipeEnd::async_lists() {
  if (!can_write()) return {&pipe_->reader_signals(), nullptr};
  if (!can_read()) return {&pipe_->writer_signals(), nullptr};
  return {&pipe_->reader_signals(), &pipe_->writer_signals()};
}

void PipeEnd::last_close() {
  if (!path_.is_null())
    notify_file(*path_.dentry, can_write() ? kNotifyCloseWrite : kNotifyCloseNoWrite);
}

Inode* PipeEnd::inode() { return path_.is_null() ? nullptr : &path_.inode(); }

Result<Stat> PipeEnd::stat() {
  if (!path_.is_null()) return File::stat();
  return unnamed_->stat();
}

Result<void> PipeEnd::set_attributes(const AttributeChange& change) {
  if (!path_.is_null()) return File::set_attributes(change);
  unnamed_->change(change);
  return {};
}

LockAnchor& PipeEnd::lock_anchor() {
  return path_.is_null() ? unnamed_->lock_anchor() : File::lock_anchor();
}

Result<String> PipeEnd::describe() {
  if (!path_.is_null()) return File::describe();
  return unnamed_->describe("pipe");
}

}  // namespace occlum
