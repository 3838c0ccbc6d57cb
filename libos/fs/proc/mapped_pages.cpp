// Mapped of /proc/meminfo: pages of files and of shared memory that programs map. A private mapping has copies, which are
// its own.
#include <algorithm>

#include "libos/fs/proc/process_text.h"
#include "libos/lib/address.h"
#include "libos/process/process_table.h"

namespace occlum {

namespace {

using Objects = Vec<RefPtr<MemoryObject>>;

Result<Objects> shared_objects() {
  Objects objects;
  Result<void> added;
  TRY(for_each_process([&](Process& process) {
    const RefPtr<AddressSpace> memory = process.memory();
    if (memory == nullptr || added.is_error()) return;
    auto areas = memory->areas();
    if (areas.is_error()) {
      added = areas.error();
      return;
    }
    for (Area& area : areas.value()) {
      if (area.shared && area.object != nullptr && !added.is_error())
        added = objects.push(std::move(area.object));
    }
  }));
  TRY(Result<void>(added));
  return objects;
}

}  // namespace

Result<uint64_t> mapped_object_bytes() {
  Objects objects = TRY(shared_objects());
  const auto place = [](const RefPtr<MemoryObject>& object) { return address_of(object.get()); };
  std::ranges::sort(objects, {}, place);
  uint64_t bytes = 0;
  const MemoryObject* last = nullptr;
  for (const RefPtr<MemoryObject>& object : objects) {
    if (object.get() == last) continue;
    last = object.get();
    object->count_mappings(0, UINT64_MAX,
                           [&](size_t mappings) { bytes += mappings != 0 ? kPageSize : 0; });
  }
  return bytes;
}

}  // namespace occlum
