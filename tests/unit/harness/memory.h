// What tests of mm/ need of the rest of the LibOS: a program to be, and its accesses to its memory.
#pragma once

#include <cstdint>

#include "libos/mm/address_space.h"

namespace occlum::testing {

// Whose memory current_memory() is, for this thread.
void set_current_memory(AddressSpace* memory);

// An access of the program itself: by the machine's rules first (the page's rights), then through handle_fault, like a
// program's load or store. kResolved when it was made.
FaultResult program_load(AddressSpace& memory, uint64_t address, uint8_t& value);
FaultResult program_store(AddressSpace& memory, uint64_t address, uint8_t value);
// Whether the machine would allow it at this moment, without a fault.
bool machine_can_load(uint64_t address);
bool machine_can_store(uint64_t address);

}  // namespace occlum::testing
