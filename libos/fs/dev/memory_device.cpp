#include "libos/fs/dev/memory_device.h"

#include <algorithm>
#include <array>

#include "libos/lib/bits.h"
#include "libos/lib/random.h"
#include "libos/sched/task.h"

namespace occlum {

namespace {
constexpr size_t kChunk = 1024;
constexpr uint32_t kRandomGetCount = 0x80045200;  // RNDGETENTCNT
}  // namespace

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

Result<MapSource> MemoryDevice::map_source(uint64_t, uint64_t length, bool shared, Prot) {
  if (kind_ != MemoryDeviceKind::kZero) return Errno::kNoDev;
  MapSource source;
  if (!shared) return source;
  const auto size = checked_align_up<uint64_t>(length, kPageSize);
  if (!size) return Errno::kNoMem;
  source.object = TRY(MemoryObject::create(nullptr, *size));
  source.shared = true;
  return source;
}

}  // namespace occlum
