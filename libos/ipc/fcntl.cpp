#include "libos/ipc/fcntl.h"

#include "libos/ipc/memory_file.h"
#include "libos/ipc/pipe.h"

namespace occlum {

namespace {

constexpr int kSetPipeSize = 1031, kGetPipeSize = 1032, kAddSeals = 1033, kGetSeals = 1034;

Result<long> pipe_command(File& file, int command, uint64_t argument) {
  if (file.kind() != FileKind::kPipe) return Errno::kBadFd;
  Pipe& pipe = static_cast<PipeEnd&>(file).pipe();
  if (command == kGetPipeSize) return static_cast<long>(pipe.capacity());
  const auto size = static_cast<uint32_t>(argument);
  if (size > static_cast<uint32_t>(INT32_MAX)) return Errno::kInval;
  return static_cast<long>(TRY(pipe.set_capacity(size)));
}

Result<long> seal_command(File& file, int command, uint64_t argument) {
  if (file.kind() != FileKind::kMemory) return Errno::kInval;
  auto& memory = static_cast<MemoryFile&>(file);
  if (command == kGetSeals) return static_cast<long>(memory.seals());
  TRY(memory.add_seals(static_cast<uint32_t>(argument)));
  return 0L;
}

}  // namespace

std::optional<Result<long>> fcntl_ipc(File& file, int command, uint64_t argument) {
  switch (command) {
    case kSetPipeSize:
    case kGetPipeSize: return pipe_command(file, command, argument);
    case kAddSeals:
    case kGetSeals: return seal_command(file, command, argument);
    default: return std::nullopt;
  }
}

}  // namespace occlum
