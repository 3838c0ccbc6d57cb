// See hooks.h.
#include "libos/fs/vfs/hooks.h"

#include <atomic>

namespace occlum {

namespace {
constinit std::atomic<FifoOpener> fifo_opener{nullptr};
constinit std::atomic<DeviceOpener> device_opener{nullptr};
}  // namespace

void set_fifo_opener(FifoOpener opener) { fifo_opener.store(opener, std::memory_order_release); }
void set_device_opener(DeviceOpener opener) {
  device_opener.store(opener, std::memory_order_release);
}

Result<RefPtr<File>> open_fifo(const Path& path, uint32_t flags) {
  const FifoOpener opener = fifo_opener.load(std::memory_order_acquire);
  if (opener == nullptr) return Errno::kNxIo;
  return opener(path, flags);
}

Result<RefPtr<File>> open_device(const Path& path, FileType type, uint64_t device, uint32_t flags) {
  if ((path.mount->flags() & kMountNoDev) != 0) return Errno::kAcces;
  const DeviceOpener opener = device_opener.load(std::memory_order_acquire);
  if (opener == nullptr) return Errno::kNxIo;
  return opener(path, type, device, flags);
}

}  // namespace occlum
