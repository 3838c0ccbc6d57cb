// Homes: which linear addresses are those of shared objects, to find out who has an address that somebody needs.
#pragma once

#include "libos/arch/memory.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"

namespace occlum {

class MemoryObject;

class Homes {
 public:
  // Part of an object.
  struct Entry {
    explicit Entry(MemoryObject& the_object) : object(the_object) {}
    ListNode node;
    MemoryObject& object;
    AddressRange window = {0, 0};
  };
  // An empty window: the object has no home (any more).
  static void set(Entry& entry, AddressRange window);
  // An object, still alive, with a home that has some of the range.
  static RefPtr<MemoryObject> find(AddressRange range);

 private:
  using List = IntrusiveList<Entry, &Entry::node>;
  static SpinLocked<List> homes;
};

}  // namespace occlum
