// Resource limits of memory that are asked for in more than one place (getrlimit(2)).
#pragma once

#include <cstdint>

#include "libos/lib/result.h"

namespace occlum {

class AddressSpace;
class Thread;
struct StackGrowth;

// RLIMIT_MEMLOCK: kAgain when `more` bytes would be too much.
Result<void> check_lock_limit(Thread& self, uint64_t more);

// What the caller's limits say of an area that grows down: RLIMIT_STACK, RLIMIT_AS and RLIMIT_MEMLOCK.
bool may_grow_stack(AddressSpace& memory, const StackGrowth& growth);

}  // namespace occlum
