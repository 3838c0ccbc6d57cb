// Seals of a file in memory (fcntl(2), "File Sealing"): what can never be done to it again. They only grow.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/mm/address_space.h"
#include "libos/mm/write_count.h"

namespace occlum {

// F_SEAL_*.
constexpr uint32_t kSealSeal = 1, kSealShrink = 2, kSealGrow = 4, kSealWrite = 8,
                   kSealFutureWrite = 16, kSealExec = 32;
constexpr uint32_t kAllSeals = 63;

class Seals {
 public:
  static Result<OwnPtr<Seals>> create(uint32_t first);
  Seals(uint32_t first, RefPtr<WriteCount> mappings);

  uint32_t value() const { return value_.load(std::memory_order_acquire); }
  // With the inode's mutex held, as all that checks seals before a change, but mappings. `permissions` are the file's: one
  // that can be executed is not written to once nobody may change that. Errors: kInval, kPerm, and kBusy (F_SEAL_WRITE
  // while it is mapped so that it may be written).
  Result<void> add(uint32_t seals, uint32_t permissions);

  Result<void> check_resize(uint64_t before, uint64_t after) const;       // kPerm
  Result<void> check_permissions(uint32_t before, uint32_t after) const;  // kPerm
  Result<void> check_hole() const;                                        // kPerm
  // Lets `source` be written as far as it may at `offset`, of a file of `size` bytes. kPerm: not at all.
  Result<void> limit_write(uint64_t offset, uint64_t size, DataSource& source) const;
  // kPerm, or the mapping may not become writable, or it counts among those that may be.
  Result<void> limit_mapping(MapSource& source, Prot prot) const;

 private:
  bool is_sealed(uint32_t any) const { return (value() & any) != 0; }

  std::atomic<uint32_t> value_;
  const RefPtr<WriteCount> mappings_;  // shared ones that may be written
  ExecutionHold none_mapped_;          // F_SEAL_WRITE: there are none
};

}  // namespace occlum
