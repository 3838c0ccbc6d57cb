// The range allocator: which linear addresses of user_range() are free. (Address only: pages are page_map.h's.)
//
// All programs share one linear range, so every private area and every object's home owns its part of it. Free ranges
// are kept in a tree by address, joined with their neighbours. Anonymous placement is first fit from kAnonymousBase
// upwards, so freed ranges, whose pages are kept, are used again first; addresses below it are given out only by
// allocate_at, to programs that are linked there. A page stays free between what is placed, so that an overflow of one
// program's memory faults instead of reaching the next.
//
// Giving back must not fail, so each allocation also puts by the node that its release may need.
// Locking: a spin lock (kLinearRanges) inside. Addresses and sizes are multiples of the page size.
#pragma once

#include <cstdint>
#include <optional>

#include "libos/arch/memory.h"
#include "libos/lib/result.h"

namespace occlum {

inline constexpr uint64_t kAnonymousBase = uint64_t{64} << 30;

// Anywhere. `align` is a power of two of at least a page; `slack` bytes stay free behind it, for growth in place, as
// long as nobody else needs them. Errors: kNoMem.
Result<AddressRange> allocate_range(uint64_t size, uint64_t align, uint64_t slack = 0);
// Exactly there. Errors: kNoMem when any of it is taken or outside of user_range().
Result<void> allocate_range_at(AddressRange range);
// All of `range` must be allocated, though not at once. Never fails. (If memory for the bookkeeping of a release that
// splits an allocation is lacking, the addresses are lost, and the log says so.)
void free_range(AddressRange range);

bool is_range_free(AddressRange range);
// The first free range that starts at or after `from`; for reclaim.h.
std::optional<AddressRange> next_free_range(uint64_t from);

struct LinearUse {
  uint64_t free_bytes, largest_free, free_ranges;
};
LinearUse linear_use();

}  // namespace occlum
