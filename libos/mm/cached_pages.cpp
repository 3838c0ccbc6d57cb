#include "libos/mm/cached_pages.h"

#include "libos/mm/stats.h"

namespace occlum {

constinit SpinLocked<CachedObjects::List> CachedObjects::objects(LockRank::kDentryCache);

void CachedObjects::add(MemoryObject& object) {
  objects.with([&](List& list) { list.push_back(object); });
}

void CachedObjects::remove(MemoryObject& object) {
  objects.with([&](List& list) {
    if (list.contains(object)) list.remove(object);
  });
}

// Each object that is there now is looked at once: it goes to the end of the list.
uint64_t CachedObjects::drop_clean_pages() {
  const uint64_t before = memory_counters.object_pages.load(std::memory_order_relaxed);
  const size_t count = objects.with([](List& list) { return list.size(); });
  for (size_t i = 0; i < count; ++i) {
    const RefPtr<MemoryObject> object = objects.with([](List& list) -> RefPtr<MemoryObject> {
      MemoryObject* first = list.first();
      if (first == nullptr) return nullptr;
      list.remove(*first);
      list.push_back(*first);
      return first->try_ref() ? RefPtr<MemoryObject>::adopt(*first) : nullptr;
    });
    if (object) object->drop_clean_pages();
  }
  const uint64_t after = memory_counters.object_pages.load(std::memory_order_relaxed);
  return before > after ? before - after : 0;
}

uint64_t drop_cached_pages() { return CachedObjects::drop_clean_pages(); }

}  // namespace occlum
