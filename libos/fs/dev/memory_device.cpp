#include "libos/fs/dev/memory_device.h"

#include <algorithm>
#include <array>

#include "libos/fs/vfs/io_signals.h"
#include "libos/lib/bits.h"
#include "libos/lib/random.h"
#include "libos/sched/task.h"

namespace occlum {

namespace {
constexpr size_t kChunk = 1024;
[[clang::no_destroy]] constinit AsyncList randomness;  // there always is enough: no events
constexpr uint32_t kRandomGetCount = 0x80045200;       // RNDGETENTCNT
}  // namespace

File::AsyncLists MemoryDevice::async_lists() {
  return {is_random() ? &randomness : nullptr, nullptr};
}

Result<size_t> MemoryDevice::read(DataSink& sink) {
  const size_t wanted = sink.remaining();
  switch (kind_) {
    case MemoryDeviceKind::kNull:
      return size_t{0};
    case MemoryDeviceKind::kZero:
    case MemoryDeviceKind::kFull: {
      const Result<void> done = sink.write_zeroes(wanted);
      if (done.is_error() && sink.transferred() == 0) return done.error();
      return sink.transferred();
    }
    case MemoryDeviceKind::kRandom:
    case MemoryDeviceKind::kUrandom: {
      std::array<std::byte, kChunk> bytes;
      size_t total = 0;
      while (total < wanted) {
        const std::span<std::byte> some = std::span(bytes).first(std::min(kChunk, wanted - total));
        random_bytes(some);
        if (const auto done = sink.write(some); done.is_error()) {
          return total != 0 ? Result<size_t>(total) : done.error();
        }
        total += some.size();
        preemption_point();
      }
      return total;
    }
  }
  return Errno::kNxIo;
}

Result<size_t> MemoryDevice::write(DataSource& source) {
  if (kind_ == MemoryDeviceKind::kFull) return Errno::kNoSpc;
  return source.remaining();
}

Result<long> MemoryDevice::ioctl(Thread&, uint32_t request, uint64_t argument) {
  if (!is_random() || request != kRandomGetCount) return Errno::kNotTty;
  TRY(UserOut<int>(UserAddress(argument)).write(256));
  return 0L;
}

Result<MapSource> MemoryDevice::map_source(uint64_t offset, uint64_t length, bool shared, Prot) {
  if (kind_ != MemoryDeviceKind::kZero) return Errno::kNoDev;
  MapSource source;
  if (!shared) {  // anonymous memory that shows the device
    const Stat stat = TRY(path_.inode().stat());
    source.offset = offset;
    source.name = TRY(describe());
    source.device = stat.dev;
    source.inode = stat.ino;
    return source;
  }
  const auto size = checked_align_up<uint64_t>(length, kPageSize);
  if (!size) return Errno::kNoMem;
  source.object = TRY(MemoryObject::create(nullptr, *size));
  source.shared = true;
  return source;
}

}  // namespace occlum
