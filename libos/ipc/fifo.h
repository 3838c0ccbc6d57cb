// FIFOs (fifo(7)): a pipe that is found through an inode of type FIFO.
#pragma once

#include <cstdint>

#include "libos/fs/vfs/mount.h"
#include "libos/lib/ptr.h"

namespace occlum {

// open(2) of a FIFO: `flags` are open(2)'s. Blocks until the other side is open, except with
// O_RDWR; with O_NONBLOCK a reader opens at once and a writer without a reader gets kNxIo. Errors:
// kRestartSys, kNoMem, kNxIo.
Result<RefPtr<File>> open_fifo_at(const Path& path, uint32_t flags);

// Tells the VFS (fs/vfs/hooks.h).
void register_fifos();

}  // namespace occlum
