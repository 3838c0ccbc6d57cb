// What the VFS needs from parts above it or beside it, as hooks that they set at start.
#pragma once

#include <cstdint>

#include "libos/fs/vfs/mount.h"

namespace occlum {

// Opens a FIFO (fifo(7)): ipc/fifo.cpp sets it. Its state belongs in inode.attachment(). Unset: kNxIo.
using FifoOpener = Result<RefPtr<File>> (*)(const Path& path, uint32_t flags);
void set_fifo_opener(FifoOpener opener);

// Opens a device node by its number, whatever file system it lies on: fs/dev sets it. Unset: kNxIo.
using DeviceOpener = Result<RefPtr<File>> (*)(const Path& path, FileType type, uint64_t device,
                                              uint32_t flags);
void set_device_opener(DeviceOpener opener);

Result<RefPtr<File>> open_fifo(const Path& path, uint32_t flags);
Result<RefPtr<File>> open_device(const Path& path, FileType type, uint64_t device, uint32_t flags);

}  // namespace occlum
