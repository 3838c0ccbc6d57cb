// What descriptors without a file answer to fstat(2) and in /proc/<pid>/fd: pipes, sockets, the host's streams.
#pragma once

#include <cstdint>
#include <string_view>

#include "libos/fs/vfs/inode_attributes.h"
#include "libos/fs/vfs/lock_anchor.h"
#include "libos/lib/lock.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"

namespace occlum {

class AnonymousInode {
 public:
  // `mode` with its type bits.
  AnonymousInode(uint32_t mode, uint32_t uid, uint32_t gid);
  // It belongs to the file system user of the thread that makes it.
  explicit AnonymousInode(uint32_t mode);

  // st_ino: unique while the enclave runs.
  uint64_t number() const { return number_; }
  Stat stat() const;
  void change(const AttributeChange& change);
  LockAnchor& lock_anchor() { return locks_; }
  // "pipe:[12]"
  Result<String> describe(std::string_view kind) const;

 private:
  const uint64_t number_;
  SpinLocked<InodeAttributes> attributes_{LockRank::kAttributes};
  LockAnchor locks_;
};

}  // namespace occlum
