// null, zero, full, random and urandom (null(4), zero(4), full(4), random(4)).
#pragma once

#include "libos/fs/vfs/mount.h"

namespace occlum {

// Minor numbers of major 1.
enum class MemoryDeviceKind : uint32_t {
  kNull = 3,
  kZero = 5,
  kFull = 7,
  kRandom = 8,
  kUrandom = 9
};

class MemoryDevice : public File {
 public:
  MemoryDevice(MemoryDeviceKind kind, const Path& path, uint32_t flags)
      : File(flags), kind_(kind), path_(path) {}

  Result<size_t> read(DataSink& sink) override;
  Result<size_t> write(DataSource& source) override;
  Result<size_t> read_at(uint64_t, DataSink& sink) override { return read(sink); }
  Result<size_t> write_at(uint64_t, DataSource& source) override { return write(source); }
  Result<uint64_t> seek(int64_t, Whence) override { return uint64_t{0}; }
  Result<long> ioctl(Thread& self, uint32_t request, uint64_t argument) override;
  Result<MapSource> map_source(uint64_t offset, uint64_t length, bool shared, Prot prot) override;
  Inode* inode() override { return &path_.inode(); }
  const Path* path() const override { return &path_; }
  AsyncLists async_lists() override;

 private:
  bool is_random() const {
    return kind_ == MemoryDeviceKind::kRandom || kind_ == MemoryDeviceKind::kUrandom;
  }

  const MemoryDeviceKind kind_;
  const Path path_;
};

}  // namespace occlum
