// What is behind an AddressSpace, and the steps that its operations are made of. For mm/'s own files.
#pragma once

#include <atomic>

#include "libos/mm/address_space.h"
#include "libos/mm/area_set.h"
#include "libos/mm/page_map.h"
#include "libos/mm/shared_locked.h"

namespace occlum {

// Reached only through AddressSpace::State::areas. User copies and owner checks read; faults hold; everything that
// adds, removes or restricts areas changes. So while a copy goes on (which is a read), no page under it can be taken
// away or given to another process.
struct Areas {
  AreaSet set;
  const void* space = nullptr;  // who we are, for the objects that we map
  uint64_t break_start = 0;
  uint64_t break_now = 0;     // exact; the heap area ends at the page behind it
  uint64_t mapped_bytes = 0;  // of visible areas
};

struct AddressSpace::State {
  SharedLocked<Areas> areas{LockRank::kAddressSpace};
};

namespace area_ops {

constexpr AddressRange range_of(AreaSet::ConstIterator it) { return {it->key, it->value.end}; }
// First and number of the object's pages that `part` of the area shows.
struct ObjectPages {
  uint64_t first, count;
};
inline ObjectPages object_pages(AreaSet::ConstIterator it, AddressRange part) {
  return {(it->value.offset + (part.start - it->key)) / kPageSize, part.size() / kPageSize};
}

// Whether program memory may lie there: page-aligned start, no wrap, within user_range(). Rounds the length up.
Result<AddressRange> checked_range(uint64_t address, uint64_t length, Errno error);

enum class Addresses {
  kFree,  // go back to the range allocator
  kKeep,  // stay ours: something else is put there at once
};
// A shared object that is mapped twice has one address; munmap takes one of the two away, MAP_FIXED and exit both.
enum class Uses { kOne, kAll };
// Takes all areas in the range away. They must have been split at its ends. Cannot fail.
void drop_areas(Areas& areas, AddressRange range, Addresses addresses, Uses uses,
                page_map::Rights rights);
// Splits and drops: munmap(2).
Result<void> unmap(Areas& areas, AddressRange range);

// Makes all addresses of the range ours and leaves them free of shared mappings; private areas stay in place until
// drop_areas. Areas are split at the range's ends. Errors: kNoMem when somebody else owns some; kAgain.
Result<void> claim(Areas& areas, AddressRange range);

// Undoes that: addresses in the range where no area is go back.
void unclaim(Areas& areas, AddressRange range);

// Puts a private area in place, on addresses that are ours and where no area is, and makes kept pages safe.
Result<void> insert_private(Areas& areas, AddressRange range, AreaSet::Node node);
// A shared area, on its object's home. Where the object is mapped already, the area is used once more.
Result<void> insert_shared(Areas& areas, AddressRange range, const AreaData& data);
// Kept pages in the range, which became part of an area: few are filled at once, many lose their rights.
Result<void> settle_kept_pages(AddressRange range, const AreaData& data);

// Makes pages around `address` present. `access` was checked.
FaultResult fill_private(Areas& areas, AreaSet::Iterator area, uint64_t address);
FaultResult fill_shared(Areas& areas, AreaSet::Iterator area, uint64_t address);

}  // namespace area_ops
}  // namespace occlum
