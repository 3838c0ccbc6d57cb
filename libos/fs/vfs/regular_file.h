// RegularFile: an open regular file of any file system: a position over an inode's contents (read(2), write(2), lseek(2)).
//
// O_APPEND is atomic: the position of a write is the size under the inode's mutex. Readers do not take that mutex, the
// page cache's own lock keeps single copies whole.
#pragma once

#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/leases.h"
#include "libos/fs/vfs/mount.h"

namespace occlum {

class RegularFile : public File {
 public:
  RegularFile(Path path, uint32_t flags);
  ~RegularFile() override;

  Result<size_t> read(DataSink& sink) override;
  Result<size_t> write(DataSource& source) override;
  Result<size_t> read_at(uint64_t offset, DataSink& sink) override;
  Result<size_t> write_at(uint64_t offset, DataSource& source) override;
  Result<uint64_t> seek(int64_t offset, Whence whence) override;
  Result<void> truncate(uint64_t size) override;
  Result<void> allocate(int mode, uint64_t offset, uint64_t length) override;
  Result<void> sync(bool data_only) override;
  Result<MapSource> map_source(uint64_t offset, uint64_t length, bool shared, Prot prot) override;
  Inode* inode() override { return path_.dentry->inode(); }
  const Path* path() const override { return &path_; }
  void last_close() override;
  void keep(WriteHold writes) override { writes_ = std::move(writes); }

 protected:
  // The end of what was written goes to `end`.
  struct Written {
    size_t count;
    uint64_t end;
  };
  Result<Written> write_from(uint64_t offset, DataSource& source);

  const Path path_;
  WriteHold writes_;
  Opener opener_;
  MutexLocked<uint64_t> position_;
};

// With the flags of open(): for execve(2), by no descriptor (Linux's __FMODE_EXEC).
constexpr uint32_t kOpenForExecution = 040;

// What read(2) and write(2) may move at once (MAX_RW_COUNT).
constexpr size_t kMaxTransfer = 0x7ffff000;

// lseek(2)'s arithmetic. kInval when the result would be negative, kOverflow beyond the largest offset.
Result<uint64_t> seek_target(uint64_t base, int64_t offset);

}  // namespace occlum
