#include "libos/mm/homes.h"

#include "libos/mm/memory_object.h"

namespace occlum {

// Never held together with the free ranges, whose rank this is.
constinit SpinLocked<Homes::List> Homes::homes(LockRank::kLinearRanges);

void Homes::set(Entry& entry, AddressRange window) {
  homes.with([&](List& list) {
    if (list.contains(entry)) list.remove(entry);
    entry.window = window;
    if (window.size() != 0) list.push_front(entry);
  });
}

RefPtr<MemoryObject> Homes::find(AddressRange range) {
  return homes.with([&](List& list) {
    for (Entry& entry : list) {
      if (entry.window.start < range.end && range.start < entry.window.end &&
          entry.object.try_ref())
        return RefPtr<MemoryObject>::adopt(entry.object);
    }
    return RefPtr<MemoryObject>();
  });
}

}  // namespace occlum
