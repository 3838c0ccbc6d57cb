#include "libos/ipc/fifo.h"

#include "libos/fs/vfs/hooks.h"
#include "libos/ipc/pipe.h"

namespace occlum {

namespace {

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
  return PipeEnd::open(std::move(pipe), flags, path);
}

void register_fifos() { set_fifo_opener(open_fifo_at); }

}  // namespace occlum
