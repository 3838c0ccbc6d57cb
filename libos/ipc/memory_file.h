// memfd_create(2): an unnamed file in memory, with seals (fcntl(2), "File Sealing").
#pragma once

#include "libos/fs/vfs/file.h"
#include "libos/fs/vfs/inode.h"
#include "libos/ipc/anonymous_inode.h"
#include "libos/lib/lock.h"
#include "libos/lib/string.h"
#include "libos/mm/memory_object.h"

namespace occlum {

// F_SEAL_*.
constexpr uint32_t kSealSeal = 1, kSealShrink = 2, kSealGrow = 4, kSealWrite = 8,
                   kSealFutureWrite = 16, kSealExec = 32;
constexpr uint32_t kAllSeals = 63;

class MemoryFile : public File {
 public:
  // `seals` is kSealSeal when none may be added.
  static Result<RefPtr<MemoryFile>> create(String name, uint32_t seals);
  MemoryFile(String name, RefPtr<MemoryObject> object, uint32_t seals);

  uint32_t seals() const { return seals_.load(std::memory_order_acquire); }
  Result<void> add_seals(uint32_t seals);  // kPerm, kInval

  Result<size_t> read(DataSink& sink) override;
  Result<size_t> write(DataSource& source) override;
  Result<size_t> read_at(uint64_t offset, DataSink& sink) override;
  Result<size_t> write_at(uint64_t offset, DataSource& source) override;
  Result<uint64_t> seek(int64_t offset, Whence whence) override;
  Result<void> truncate(uint64_t size) override;
  Result<void> allocate(int mode, uint64_t offset, uint64_t length) override;
  Result<void> sync(bool) override { return {}; }
  Result<long> fcntl(int command, uint64_t argument) override;  // F_ADD_SEALS, F_GET_SEALS
  Result<MapSource> map_source(uint64_t offset, uint64_t length, bool shared, Prot prot) override;
  Result<Stat> stat() override;
  Result<void> set_attributes(const AttributeChange& change) override;
  Result<String> describe() override;
  LockAnchor& lock_anchor() override { return inode_.lock_anchor(); }
  FileKind kind() const override { return FileKind::kMemory; }

 private:
  bool has_seal(uint32_t seal) const { return (seals() & seal) != 0; }

  const String name_;
  const RefPtr<MemoryObject> object_;
  AnonymousInode inode_;
  std::atomic<uint32_t> seals_;
  // Position; held while data moves, so that reads and writes at the position follow each other.
  struct Position {
    uint64_t offset = 0;
  };
  MutexLocked<Position> position_{LockRank::kInode};
};

}  // namespace occlum
