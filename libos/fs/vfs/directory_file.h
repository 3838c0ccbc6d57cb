// DirectoryFile: an open directory (getdents64(2), seekdir(3)). PathFile: an O_PATH descriptor of anything (open(2)).
#pragma once

#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/mount.h"

namespace occlum {

class DirectoryFile final : public File {
 public:
  DirectoryFile(Path path, uint32_t flags);

  Result<size_t> read(DataSink&) override { return Errno::kIsDir; }
  Result<size_t> read_at(uint64_t, DataSink&) override { return Errno::kIsDir; }
  Result<uint64_t> seek(int64_t offset, Whence whence) override;
  Result<void> sync(bool data_only) override { return inode()->sync(data_only); }
  Result<void> read_entries(FunctionRef<bool(const DirectoryEntry&)> emit) override;
  Inode* inode() override { return path_.dentry->inode(); }
  const Path* path() const override { return &path_; }
  void last_close() override;

 private:
  const Path path_;
  // 0: at ".", 1: at "..", else the file system's cookie plus 2.
  MutexLocked<uint64_t> position_;
};

// Everything but what names it fails with kBadFd.
class PathFile final : public File {
 public:
  PathFile(Path path, uint32_t flags);
  Result<size_t> read(DataSink&) override { return Errno::kBadFd; }
  Result<size_t> write(DataSource&) override { return Errno::kBadFd; }
  Result<size_t> read_at(uint64_t, DataSink&) override { return Errno::kBadFd; }
  Result<size_t> write_at(uint64_t, DataSource&) override { return Errno::kBadFd; }
  Result<uint64_t> seek(int64_t, Whence) override { return Errno::kBadFd; }
  Result<void> sync(bool) override { return Errno::kBadFd; }
  Result<void> truncate(uint64_t) override { return Errno::kBadFd; }
  Result<void> allocate(int, uint64_t, uint64_t) override { return Errno::kBadFd; }
  Result<long> ioctl(Thread&, uint32_t, uint64_t) override { return Errno::kBadFd; }
  Result<void> read_entries(FunctionRef<bool(const DirectoryEntry&)>) override {
    return Errno::kBadFd;
  }
  Result<MapSource> map_source(uint64_t, uint64_t, bool, Prot) override { return Errno::kBadFd; }
  PollEvents poll(Poller*) override { return kPollNval; }
  Inode* inode() override { return path_.dentry->inode(); }
  const Path* path() const override { return &path_; }

 private:
  const Path path_;
};

}  // namespace occlum
