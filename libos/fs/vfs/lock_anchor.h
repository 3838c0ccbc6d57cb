// LockAnchor: what a file has where its locks (file_locks.h) hang, made on first use: a member of inodes, and of what
// takes their place for files without a name.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/lib/result.h"

namespace occlum {

class FileLocks;

class LockAnchor {
 public:
  constexpr LockAnchor() = default;
  LockAnchor(const LockAnchor&) = delete;
  ~LockAnchor();

  // Null: there are none.
  FileLocks* existing() const { return locks_.load(std::memory_order_acquire); }
  // Those of the file with this identity. Errors: kNoMem.
  Result<FileLocks*> get(uint64_t device, uint64_t inode);

 private:
  std::atomic<FileLocks*> locks_{nullptr};  // owned
};

}  // namespace occlum
