// Questions to an AddressSpace, for /proc, mincore, futexes and owner checks.
#include "libos/mm/address_space.h"

#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/kernel_memory_raw.h"

namespace occlum {
namespace {

Area without_name(AreaSet::ConstIterator it) {
  const AreaData& data = it->value;
  return Area{.start = it->key,
              .end = data.end,
              .prot = data.prot,
              .shared = data.shared,
              .may_write = data.may_write,
              .grows_down = data.grows_down,
              .object = data.source ? data.source->object : RefPtr<MemoryObject>(),
              .offset = data.object() != nullptr ? data.offset : 0,
              .name = String(),
              .device = data.source ? data.source->device : 0,
              .inode = data.source ? data.source->inode : 0,
              .lock = data.lock,
              .is_not_dumped = (data.advice & kNotDumped) != 0};
}

}  // namespace

bool AddressSpace::may_access(uint64_t address, uint64_t length, Access access) const {
  const auto end = checked_add(address, length);
  if (!end) return false;
  return state_->areas.peek([&](const Areas& areas) {
    uint64_t at = address;
    while (at < *end) {
      const AreaSet::Map::Entry* area = areas.set.lookup(at);
      if (area == nullptr || !allows(area->value.prot, access)) return false;
      at = area->value.end;
    }
    return true;
  });
}

Result<void> AddressSpace::check_mapped(uint64_t address, uint64_t length) {
  if (length == 0) return {};
  const AddressRange range =
      TRY(area_ops::checked_range(align_down(address, kPageSize), length, Errno::kNoMem));
  const bool covered =
      state_->areas.peek([&](const Areas& areas) { return areas.set.covers(range); });
  return covered ? Result<void>() : Errno::kNoMem;
}

Result<void> AddressSpace::residency(uint64_t address, uint64_t length,
                                     FunctionRef<void(bool)> page) {
  if (!is_aligned(address, kPageSize)) return Errno::kInval;
  if (length == 0) return {};
  const AddressRange range = TRY(area_ops::checked_range(address, length, Errno::kNoMem));
  return state_->areas.hold([&](Areas& areas) -> Result<void> {
    if (!areas.set.covers(range)) return Errno::kNoMem;
    for (auto it = areas.set.first_after(range.start); it && it->key < range.end; ++it) {
      const uint64_t start = std::max(it->key, range.start);
      const uint64_t end = std::min(it->value.end, range.end);
      for (uint64_t at = start; at < end; at += kPageSize) {
        // A page of a file counts when its cache has it, as on Linux.
        const uint64_t index = (it->value.offset + (at - it->key)) / kPageSize;
        const MemoryObject* object = it->value.object();
        page(page_map::state_of(at).present() || (object != nullptr && object->is_resident(index)));
      }
    }
    return {};
  });
}

uint64_t AddressSpace::next_present_page(uint64_t start, uint64_t end) {
  return state_->areas.hold([&](Areas&) {
    uint64_t at = start;
    while (at < end && !page_map::state_of(at).present())
      at = std::max(at + kPageSize, page_map::absent_until(at));
    return std::min(at, end);
  });
}

bool AddressSpace::has_modified_page(uint64_t start, uint64_t end) {
  bool found = false;
  state_->areas.hold([&](Areas&) {
    page_map::for_each({start, end}, [&](uint64_t, const std::atomic<uint32_t>& state) {
      const PageState page(state.load(std::memory_order_relaxed));
      found = found || (page.present() && page.modified());
    });
  });
  return found;
}

Result<Vec<Area>> AddressSpace::areas() const {
  return state_->areas.peek_long([&](const Areas& areas) -> Result<Vec<Area>> {
    Vec<Area> result;
    TRY(result.reserve(areas.set.size()));
    for (auto it = areas.set.begin(); it; ++it) {
      if (!it->value.is_visible()) continue;
      Area area = without_name(it);
      if (it->value.source) area.name = TRY(it->value.source->name.clone());
      TRY(result.push(std::move(area)));
    }
    return result;
  });
}

std::optional<Area> AddressSpace::find_area(uint64_t address) const {
  return state_->areas.peek_long([&](const Areas& areas) -> std::optional<Area> {
    const auto it = areas.set.find(address);
    if (!it) return std::nullopt;
    return without_name(it);
  });
}

Result<MapSource> AddressSpace::source_at(uint64_t address) const {
  return state_->areas.peek_long([&](const Areas& areas) -> Result<MapSource> {
    const auto it = areas.set.find(address);
    if (!it) return Errno::kInval;
    const AreaSource* const from = it->value.source.get();
    MapSource source;
    if (from != nullptr) {
      source = MapSource(TRY(from->another()));
      source.offset = it->value.offset + (align_down(address, kPageSize) - it->key);
    }
    source.shared = it->value.shared;
    source.may_write = it->value.may_write;
    return source;
  });
}

bool AddressSpace::has_stubs(uint64_t address) const {
  return state_->areas.peek_long([&](const Areas& areas) {
    const auto it = areas.set.find(address);
    return it && it->value.kind == AreaData::Kind::kStubs;
  });
}

uint64_t AddressSpace::id() const { return address_of(this); }

uint64_t AddressSpace::mapped_bytes() const {
  return state_->areas.peek([](const Areas& areas) -> uint64_t { return areas.mapped_bytes; });
}

uint64_t AddressSpace::committed_bytes() const {
  return state_->areas.peek_long(
      [](const Areas& areas) { return area_ops::count_present(areas) * kPageSize; });
}

uint64_t AddressSpace::peak_mapped_bytes() const {
  return state_->areas.peek([](const Areas& areas) { return areas.mapped_bytes.peak(); });
}

uint64_t AddressSpace::peak_committed_bytes() const {
  return state_->areas.peek_long([](const Areas& areas) {
    return std::max(areas.most_pages, area_ops::count_present(areas)) * kPageSize;
  });
}

uint64_t AddressSpace::footprint() const {
  const size_t held = state_->areas.peek_long([](const Areas& areas) { return areas.held.size(); });
  return committed_bytes() + held * kPageSize;
}

Result<AddressSpace::FutexKey> AddressSpace::futex_key(uint64_t address,
                                                       bool process_private) const {
  if (process_private) return FutexKey{id(), address};
  return state_->areas.peek([&](const Areas& areas) -> Result<FutexKey> {
    const AreaSet::Map::Entry* area = areas.set.lookup(address);
    if (area == nullptr) return Errno::kFault;
    // Anonymous memory that cannot be written never changes: Linux has no use for waiting there.
    if (!area->value.shared && !area->value.source && !allows(area->value.prot, Access::kWrite))
      return Errno::kFault;
    if (!area->value.shared) return FutexKey{id(), address};
    return FutexKey{address_of(area->value.object()), area->value.offset + (address - area->key)};
  });
}

}  // namespace occlum
