// All objects that cache pages of files, for when memory is short: what is clean and not mapped can be read again.
#pragma once

#include <cstdint>

#include "libos/lib/lock.h"
#include "libos/mm/memory_object.h"

namespace occlum {

class CachedObjects {
 public:
  static void add(MemoryObject& object);
  static void remove(MemoryObject& object);
  static uint64_t drop_clean_pages();

 private:
  using List = IntrusiveList<MemoryObject, &MemoryObject::cached_node_>;
  static SpinLocked<List> objects;
};

// Drops clean pages of files. Returns how many. No locks may be held.
uint64_t drop_cached_pages();

}  // namespace occlum
