// Stat and StatFs: what a file and a file system say about themselves (inode(7), stat(2), statx(2), statfs(2)).
//
// In the LibOS's own shape; syscall/files_stat.cpp turns them into the ABI's structures. Also here: file types, mode
// bits and device numbers in Linux's encoding.
#pragma once

#include <cstdint>
#include <optional>

namespace occlum {

// S_IFMT's values shifted right by 12, which are also the DT_* of getdents64(2).
enum class FileType : uint8_t {
  kUnknown = 0,
  kFifo = 1,
  kCharDevice = 2,
  kDirectory = 4,
  kBlockDevice = 6,
  kRegular = 8,
  kSymlink = 10,
  kSocket = 12,
};

constexpr uint32_t kModeTypeMask = 0170000;
constexpr uint32_t kModeSetUid = 04000, kModeSetGid = 02000, kModeSticky = 01000;
constexpr uint32_t kModeGroupExecute = 010;
constexpr uint32_t kModePermissions = 07777;  // with set-id and sticky bits

constexpr uint32_t type_bits(FileType type) { return static_cast<uint32_t>(type) << 12; }
constexpr FileType type_of_mode(uint32_t mode) {
  return static_cast<FileType>((mode & kModeTypeMask) >> 12);
}
// False for mode bits that name no type.
constexpr bool is_known_type(FileType type) {
  switch (type) {
    case FileType::kFifo:
    case FileType::kCharDevice:
    case FileType::kDirectory:
    case FileType::kBlockDevice:
    case FileType::kRegular:
    case FileType::kSymlink:
    case FileType::kSocket:
      return true;
    case FileType::kUnknown:
      return false;
  }
  return false;
}

// dev_t as programs see it (glibc's makedev).
constexpr uint64_t make_device(uint32_t major, uint32_t minor) {
  return (uint64_t{minor} & 0xff) | ((uint64_t{major} & 0xfff) << 8) |
         ((uint64_t{minor} & ~uint64_t{0xff}) << 12) | ((uint64_t{major} & ~uint64_t{0xfff}) << 32);
}
constexpr uint32_t device_major(uint64_t device) {
  return static_cast<uint32_t>(((device >> 8) & 0xfff) | ((device >> 32) & ~uint64_t{0xfff}));
}
constexpr uint32_t device_minor(uint64_t device) {
  return static_cast<uint32_t>((device & 0xff) | ((device >> 12) & 0xffffff00));
}

// A point of CLOCK_REALTIME.
struct FileTime {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  auto operator<=>(const FileTime&) const = default;
};

// Now, by realtime_now().
FileTime current_file_time();

struct Stat {
  uint64_t dev = 0;
  uint64_t ino = 0;
  uint32_t mode = 0;  // with the type
  uint32_t nlink = 1;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  uint64_t size = 0;
  uint32_t blksize = 4096;
  uint64_t blocks = 0;  // of 512 bytes
  FileTime atime, mtime, ctime;
  std::optional<FileTime> btime;

  FileType type() const { return type_of_mode(mode); }
};

struct StatFs {
  uint64_t type = 0;  // the magic number of statfs(2)
  uint64_t block_size = 4096;
  uint64_t blocks = 0, blocks_free = 0, blocks_available = 0;
  uint64_t files = 0, files_free = 0;
  uint64_t fsid = 0;
  uint64_t name_max = 255;
  uint64_t flags = 0;  // ST_*; the mount's flags are added
};

}  // namespace occlum
