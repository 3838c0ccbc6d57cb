// The memory in a core file: which parts of the areas are dumped (core(5), "Controlling which mappings are written to the
// core dump"), and their pages.
#pragma once

#include <cstdint>

#include "libos/lib/result.h"
#include "libos/lib/vec.h"
#include "libos/mm/address_space.h"
#include "libos/process/core_dump/core_writer.h"
#include "libos/process/core_dump/filter.h"

namespace occlum {

struct DumpedArea {
  Area area;
  uint64_t size;  // bytes, from its start on; 0: it is only told of
};

// All areas, in order of address; `filter` as filter.h has it. Errors: kNoMem.
Result<Vec<DumpedArea>> dumped_areas(AddressSpace& memory, uint32_t filter);

// Errors: kNoMem; the writer's.
Result<void> write_area(CoreWriter& writer, AddressSpace& memory, const DumpedArea& dumped);

}  // namespace occlum
