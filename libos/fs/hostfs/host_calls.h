// The host's system calls that only hostfs makes, beyond libos/host/calls.h.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "libos/fs/vfs/stat.h"
#include "libos/host/calls.h"

namespace occlum::host_calls {

constexpr int kAtCwd = -100;
constexpr int kReadOnly = 0, kReadWrite = 2, kCreate = 0100, kExclusive = 0200, kNonblock = 04000,
              kDirectory = 0200000, kNoFollow = 0400000, kPath = 010000000;
constexpr int kSymlinkNoFollow = 0x100, kRemoveDir = 0x200;

// One component of a path, that cannot lead out of a directory.
bool is_plain_name(std::string_view name);

Result<void> fstatfs(int fd, std::span<std::byte> out);
Result<void> mkdirat(int directory, std::string_view name, uint32_t mode);
Result<void> mknodat(int directory, std::string_view name, uint32_t mode);
Result<void> symlinkat(std::string_view target, int directory, std::string_view name);
Result<void> linkat(int from_directory, std::string_view from, int to_directory,
                    std::string_view to);
Result<void> unlinkat(int directory, std::string_view name, int flags);
Result<void> renameat2(int from_directory, std::string_view from, int to_directory,
                       std::string_view to, uint32_t flags);
Result<void> fchownat(int directory, std::string_view name, uint32_t uid, uint32_t gid);
// nullopt leaves a time as it is.
Result<void> utimensat(int directory, std::string_view name, std::optional<FileTime> atime,
                       std::optional<FileTime> mtime);
Result<void> fchmod(int fd, uint32_t mode);
Result<void> ftruncate(int fd, uint64_t size);
Result<HostFd> duplicate(int fd);

}  // namespace occlum::host_calls
