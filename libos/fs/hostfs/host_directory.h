// What a host directory claims to contain: the parser of getdents64(2) records, which are hostile bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "libos/fs/vfs/stat.h"
#include "libos/host/calls.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/result.h"

namespace occlum {

// `name` is 1..255 bytes without '/' and NUL, not "." or "..".
struct HostEntry {
  std::string_view name;
  uint64_t ino;
  FileType type;  // kUnknown when the host says something that is none
};
using HostEntryVisitor = FunctionRef<Result<void>(const HostEntry&)>;

// All records of one buffer. kIo when a record is malformed; errors of the visitor.
Result<void> parse_host_entries(std::span<const std::byte> records, HostEntryVisitor visit);

// Reads the directory that `fd` is open on (for reading) from its start. kIo when it never ends.
Result<void> read_host_directory(int fd, HostEntryVisitor visit);

}  // namespace occlum
