// ABI structures and constants of the file system calls (uapi: asm/stat.h, asm/statfs.h, linux/stat.h, linux/openat2.h,
// asm-generic/fcntl.h, linux/dirent.h). Included by linux_types.h.
#pragma once

#include <array>
#include <cstdint>

namespace occlum {

struct LinuxStat {
  uint64_t dev, ino, nlink;
  uint32_t mode, uid, gid, padding0;
  uint64_t rdev;
  int64_t size, blksize, blocks;
  int64_t atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns;
  std::array<int64_t, 3> unused;
};
static_assert(sizeof(LinuxStat) == 144);

struct LinuxStatFs {
  int64_t type, block_size;
  uint64_t blocks, blocks_free, blocks_available, files, files_free;
  std::array<int32_t, 2> fsid;
  int64_t name_max, fragment_size, flags;
  std::array<int64_t, 4> spare;
};
static_assert(sizeof(LinuxStatFs) == 120);

struct StatxTime {
  int64_t seconds;
  uint32_t nanoseconds;
  int32_t reserved;
};
struct LinuxStatx {
  uint32_t mask, blksize;
  uint64_t attributes;
  uint32_t nlink, uid, gid;
  uint16_t mode, spare0;
  uint64_t ino, size, blocks, attributes_mask;
  StatxTime atime, btime, ctime, mtime;
  uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
  uint64_t mount_id;
  std::array<uint64_t, 13> spare;
};
static_assert(sizeof(LinuxStatx) == 256);

struct OpenHow {
  uint64_t flags, mode, resolve;
};
static_assert(sizeof(OpenHow) == 24);

struct LinuxFlock {
  int16_t type, whence;
  int32_t padding0;
  int64_t start, length;
  int32_t pid, padding1;
};
static_assert(sizeof(LinuxFlock) == 32);

struct UtimeBuffer {
  int64_t access_time, modification_time;
};
static_assert(sizeof(UtimeBuffer) == 16);

// The AT_* flags of the calls that take a directory descriptor.
constexpr uint32_t kAtSymlinkNoFollow = 0x100, kAtRemoveDir = 0x200, kAtEffectiveAccess = 0x200,
                   kAtSymlinkFollow = 0x400, kAtNoAutomount = 0x800, kAtEmptyPath = 0x1000,
                   kAtStatxMask = 0x6000;

}  // namespace occlum
