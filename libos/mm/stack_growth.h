// Areas that grow down: [stack] and MAP_GROWSDOWN (mmap(2)).
//
// A touch below such an area, by the program or by a user copy for it, makes the area longer, down to the page that was
// touched and a little further. What its owner has below it stays kStackGap away. Addresses to grow into are kept from
// the start (AreaData::Kind::kRoom), as other programs live in the same linear range; beyond them it grows as long as
// the addresses are free.
#pragma once

#include <cstdint>

#include "libos/arch/memory.h"

namespace occlum {

class AddressSpace;

// Linux's stack_guard_gap: nothing that can be accessed is nearer below.
inline constexpr uint64_t kStackGap = 256 * kPageSize;

// The addresses that are kept for a stack of `limit` bytes (RLIMIT_STACK): as Linux's mmap_base() at least 128 MiB, so that
// the limit can be raised later. The most is set by the rewriting of system calls, which has to find addresses in reach
// of a program's text on the other side of this and of the heap's reserve.
uint64_t stack_room(uint64_t limit);

// An area would be `size` bytes long, `more` of it new.
struct StackGrowth {
  uint64_t size, more;
  bool is_locked;  // mlock(2)
};
// Whether whoever touches it may have that: RLIMIT_STACK and others. Before a rule is set, areas grow up to 8 MiB.
using GrowthRule = bool (*)(AddressSpace& memory, const StackGrowth& growth);
void set_growth_rule(GrowthRule rule);
bool may_grow(AddressSpace& memory, const StackGrowth& growth);

}  // namespace occlum
