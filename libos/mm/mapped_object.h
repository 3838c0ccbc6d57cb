// What a mapping shows, and what the pieces of one have in common when it is split.
#pragma once

#include <cstdint>

#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"
#include "libos/mm/memory_object.h"
#include "libos/mm/write_count.h"

namespace occlum {

struct MappedObject {
  RefPtr<MemoryObject> object;  // null: anonymous and private
  String name;                  // path, for /proc/<pid>/maps
  uint64_t device = 0, inode = 0;
  bool is_quiet = false;    // nobody had the file open for writing
  WriteHold writes;         // when the file was opened for writing
  WriteHold shared_writes;  // of a file that can be sealed: as long as the mapping may be written

  Result<MappedObject> another() const;  // the same once more. Errors: kNoMem.
};

}  // namespace occlum
