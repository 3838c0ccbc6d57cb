// Storing program text that other vCPUs may be executing.
//
// Invariant: as in kernel_memory_raw.h, the memory is committed and writable by the LibOS while it is stored to.
#pragma once

#include <cstdint>
#include <span>

#include "libos/lib/bits.h"
#include "libos/lib/memory.h"
#include "libos/mm/kernel_memory_raw.h"

namespace occlum {

// Bytes within one aligned 16 bytes change all at once (CMPXCHG16B), so that nobody fetches half of an instruction.
// More of them are copied in any order.
inline void store_text(uint64_t address, std::span<const std::byte> data) {
  constexpr size_t kBlock = sizeof(unsigned __int128);
  const size_t start = address % kBlock;
  if (start + data.size() > kBlock) return copy_bytes(memory_at(address, data.size()), data);
  auto& block = object_at<unsigned __int128>(address - start);
  unsigned __int128 before = __sync_val_compare_and_swap(&block, 0, 0);
  while (true) {
    unsigned __int128 after = before;
    copy_bytes(writable_object_bytes(after).subspan(start), data);
    const unsigned __int128 found = __sync_val_compare_and_swap(&block, before, after);
    if (found == before) return;
    before = found;
  }
}

}  // namespace occlum
