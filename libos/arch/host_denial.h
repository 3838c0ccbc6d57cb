// Whether a fault of the LibOS on its own memory is the host's doing. Implemented by mm/, called by arch.
#pragma once

#include <cstdint>

#include "libos/arch/prot.h"

namespace occlum {

// Whether the page is committed with rights that allow the access, if the host has done what it said. Of what programs
// have, and of the LibOS's dynamic memory. Takes no lock: phase 1 asks, too.
bool must_be_accessible(uint64_t address, Prot access);

}  // namespace occlum
