// fcntl(2) commands of pipes and memory files: F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS.
#pragma once

#include <cstdint>
#include <optional>

#include "libos/fs/vfs/file.h"

namespace occlum {

// nullopt: not one of these commands. Errors: kBadFd (no pipe), kInval (no memory file), and the command's own.
std::optional<Result<long>> fcntl_ipc(File& file, int command, uint64_t argument);

}  // namespace occlum
