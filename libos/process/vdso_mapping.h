// The vDSO in the memory of programs (vdso(7)).
#pragma once

#include <cstdint>

#include "libos/lib/result.h"
#include "libos/mm/address_space.h"

namespace occlum {

// Maps the vDSO and returns where its ELF header is, for AT_SYSINFO_EHDR. Errors: kNoMem.
Result<uint64_t> map_vdso(AddressSpace& memory);

}  // namespace occlum
