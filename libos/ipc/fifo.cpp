#include "libos/ipc/fifo.h"

#include "libos/fs/vfs/hooks.h"
#include "libos/ipc/pipe.h"

namespace occlum {

namespace {

constexpr uint32_t kNonBlock = 04000;
constexpr uint32_t kCreationFlags = 0100 | 0200 | 0400 | 01000 | 0200000 | 0400000 | 02000000;

// The pipe stays with the inode; it starts anew whenever both sides are closed.
struct FifoAttachment : Inode::Attachment {
  RefPtr<Pipe> pipe;
};

}  // namespace

Result<RefPtr<File>> open_fifo_at(const Path& path, uint32_t flags) {
  auto* attachment = TRY(path.inode().attachment([]() -> Result<OwnPtr<Inode::Attachment>> {
    auto made = TRY(make_own<FifoAttachment>());
    made->pipe = TRY(Pipe::create());
    return OwnPtr<Inode::Attachment>(std::move(made));
  }));
  RefPtr<Pipe> pipe = static_cast<FifoAttachment*>(attachment)->pipe;
  const bool nonblocking = (flags & kNonBlock) != 0;
  // The end counts as open while it waits, so that two openers find each other; it goes again when
  // the wait fails.
  auto end = TRY(PipeEnd::create(pipe, flags & ~kCreationFlags, path));
  if (end->can_read() && end->can_write()) return RefPtr<File>(end);
  if (end->can_read()) {
    if (!nonblocking) {
      TRY(pipe->wait_for_writer());
    } else if (!pipe->has_writers()) {
      end->expect_writer();
    }
  } else if (end->can_write()) {
    if (nonblocking && !pipe->has_readers()) return Errno::kNxIo;
    TRY(pipe->wait_for_reader());
  } else {
    return Errno::kInval;
  }
  return RefPtr<File>(end);
}

void register_fifos() { set_fifo_opener(open_fifo_at); }

}  // namespace occlum
