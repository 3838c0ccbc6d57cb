// What descriptors without a file answer to fstat(2) and in /proc/<pid>/fd: pipes, sockets,
// eventfds, ...
#pragma once

#include <cstdint>
#include <string_view>

#include "libos/fs/vfs/stat.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"

namespace occlum {

// st_ino of pipes and sockets: unique while the enclave runs.
uint64_t next_anonymous_number();

// `mode` with its type bits (0 for anon_inodes, as on Linux).
Stat anonymous_stat(uint32_t mode, uint64_t number);

// "pipe:[12]"
Result<String> describe_anonymous(std::string_view kind, uint64_t number);

}  // namespace occlum
