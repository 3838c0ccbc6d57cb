// Page faults: making pages of areas present on their first use, with some around them.
//
// A fault brings a cluster: 16 pages (4 of a stack), doubled each time a fault goes on where the last one of the area
// ended, up to 256. Clusters are cut at the area's and the object's end; pages that are present are left alone.
#include <algorithm>
#include <optional>

#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/exchange.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/shortage.h"
#include "libos/mm/stats.h"
#include "libos/sched/scheduler.h"

namespace occlum {
namespace {

constexpr uint32_t kFirstCluster = 16;
constexpr uint32_t kStackCluster = 4;
constexpr uint32_t kLargestCluster = 256;
constexpr uint32_t kGuardedCluster = 16;

FaultResult result_of(Errno error) {
  return error == Errno::kNoMem ? FaultResult::kOutOfMemory : FaultResult::kBusError;
}

// The pages to bring, all within the area.
AddressRange cluster_at(AreaSet::Iterator area, uint64_t page) {
  AreaData& data = area->value;
  const uint32_t first = data.is_stack ? kStackCluster : kFirstCluster;
  const bool up = page == data.next_up;
  const bool down = page == data.next_down;
  data.cluster =
      data.cluster != 0 && (up || down) ? std::min(data.cluster * 2, kLargestCluster) : first;
  const uint64_t bytes = data.cluster * kPageSize;
  uint64_t start = align_down(page, bytes);
  if (up) start = page;
  if (down && page + kPageSize >= bytes) start = page + kPageSize - bytes;
  const AddressRange range{std::max(start, area->key), std::min(start + bytes, data.end)};
  data.next_up = range.end;
  data.next_down = range.start - kPageSize;
  return range;
}

// Calls `copy` with each page of `run` and where its content lies. The end of what was copied: an error unless `needed`
// came before it.
Result<uint64_t> copy_each(MemoryObject& object, uint64_t first_index, AddressRange run,
                           uint64_t needed,
                           FunctionRef<Result<void>(uint64_t page, uint64_t from)> copy) {
  for (uint64_t page = run.start; page < run.end; page += kPageSize) {
    const uint64_t index = first_index + (page - run.start) / kPageSize;
    const Result<void> done =
        object.with_page(index, [&](uint64_t from) -> Result<void> { return copy(page, from); });
    if (done.is_error()) {
      if (page <= needed && needed < run.end) return done.error();
      return page;
    }
  }
  return run.end;
}

// The same pages, which nobody uses before we are done. What was not filled goes back to the host.
Result<void> copy_in_place(MemoryObject& object, uint64_t first_index, AddressRange run, Prot prot,
                           uint64_t needed) {
  uint64_t done = run.start;
  const Result<void> result = [&]() -> Result<void> {
    TRY(page_map::open_for_kernel(run, prot));
    const uint64_t end = TRY(copy_each(object, first_index, run, needed,
                                       [](uint64_t page, uint64_t from) -> Result<void> {
                                         page_map::update(page, PageState::kDirty, 0);
                                         copy_bytes(page_at(page), page_at(from));
                                         return {};
                                       }));
    if (end == run.start) return {};
    TRY(page_map::seal({run.start, end}, prot));
    done = end;
    return {};
  }();
  if (done == run.end) return {};
  const Result<void> given_back = page_map::decommit_kept({done, run.end});
  return result.is_error() ? result : given_back;
}

// Fills the pages of `run`, none of which is committed, from the object. At least the page at `needed` if it is there.
Result<void> fill_run(MemoryObject& object, uint64_t first_index, AddressRange run, Prot prot,
                      uint64_t needed, bool at_once) {
  if (!at_once && has(prot, Prot::kWrite))
    return copy_in_place(object, first_index, run, prot, needed);
  // Straight into the EPCM, which then enforces the rights.
  (void)TRY(copy_each(object, first_index, run, needed, [&](uint64_t page, uint64_t from) {
    return page_map::populate_copy_at_once(page, from, prot);
  }));
  return {};
}

Result<void> fill_from_object(AreaSet::Iterator area, AddressRange cluster, uint64_t needed,
                              bool at_once) {
  MemoryObject& object = *area->value.object();
  const auto index_of = [&](uint64_t page) {
    return (area->value.offset + (page - area->key)) / kPageSize;
  };
  const uint64_t pages = ceil_div(object.size(), kPageSize);
  if (index_of(needed) >= pages) return Errno::kBadMsg;
  if (index_of(cluster.end) > pages) cluster.end -= (index_of(cluster.end) - pages) * kPageSize;
  // A hole that nobody asks for stays one: lseek(2) and fstat(2) tell.
  const auto is_skipped = [&](uint64_t page) {
    return page_map::state_of(page).present() || (page != needed && object.is_hole(index_of(page)));
  };
  for (uint64_t at = cluster.start; at < cluster.end;) {
    if (is_skipped(at)) {
      at += kPageSize;
      continue;
    }
    uint64_t end = at + kPageSize;
    while (end < cluster.end && !is_skipped(end)) end += kPageSize;
    const Result<void> filled =
        fill_run(object, index_of(at), {at, end}, area->value.prot, needed, at_once);
    if (filled.is_error() && at <= needed && needed < end) return filled;
    at = end;
  }
  return {};
}

// Whether the object's page is there, so that it can be copied without waiting for anybody.
bool is_cached(AreaSet::ConstIterator area, uint64_t page) {
  const MemoryObject& object = *area->value.object();
  const uint64_t index = (area->value.offset + (page - area->key)) / kPageSize;
  return index < ceil_div(object.size(), kPageSize) && object.is_resident(index);
}

// A page that could not be filled when this address space became resident.
bool fill_lost(Areas& areas, AreaSet::ConstIterator area, uint64_t page, const Held& held) {
  const AddressRange one = page_range(page);
  const uint64_t from = address_of(held.frame()->bytes().data());
  if (page_map::populate_copy_at_once(page, from, area->value.prot).is_error()) return false;
  page_map::update(page, PageState::kModified, 0);
  areas.lost.remove(one);
  return true;
}

}  // namespace

namespace area_ops {

// A program that is started again finds its text where it was: its pages were left there, and the next one needs them.
void fill_kept_pages(AreaSet::ConstIterator area, AddressRange range) {
  const auto is_wanted = [&](uint64_t page) {
    const PageState state = page_map::state_of(page);
    return state.committed() && !state.present() && is_cached(area, page);
  };
  for (uint64_t at = range.start; at < range.end;) {
    if (!is_wanted(at)) {
      at += kPageSize;
      continue;
    }
    uint64_t end = at + kPageSize;
    while (end < range.end && is_wanted(end)) end += kPageSize;
    const uint64_t index = (area->value.offset + (at - area->key)) / kPageSize;
    (void)copy_in_place(*area->value.object(), index, {at, end}, area->value.prot, UINT64_MAX);
    at = end;
  }
}

Result<void> fill_lost_pages(Areas& areas, AddressRange range) {
  for (;;) {
    std::optional<uint64_t> next;
    areas.lost.for_each([&](uint64_t page, const Held&) {
      if (!next && page >= range.start && page < range.end) next = page;
    });
    if (!next) return {};
    const AreaSet::ConstIterator area = std::as_const(areas.set).find(*next);
    if (!area) {
      areas.lost.remove(page_range(*next));
    } else if (!fill_lost(areas, area, *next, *areas.lost.find(*next))) {
      return Errno::kNoMem;
    }
  }
}

FaultResult fill_private(Areas& areas, AreaSet::Iterator area, uint64_t page) {
  const Prot prot = area->value.prot;
  const PageState state = page_map::state_of(page);
  if (state.present()) {
    memory_counters.spurious_faults.fetch_add(1, std::memory_order_relaxed);
    if (state.effective() == effective_prot(prot)) return FaultResult::kStale;
    // Pages that a fork guarded: some around it are likely to be written as well.
    const uint64_t around = (areas.group ? kGuardedCluster : kLargestCluster) * kPageSize;
    const uint64_t start = align_down(page, around);
    const AddressRange pages{std::max(start, area->key), std::min(start + around, area->value.end)};
    if (Result<void> parted = part_present(areas, pages); parted.is_error())
      return result_of(parted.error());
    const Result<void> set = page_map::set_prot(pages, prot);
    return set.is_error() ? result_of(set.error()) : FaultResult::kResolved;
  }
  const AddressRange cluster = cluster_at(area, page);
  if (areas.is_broken) return FaultResult::kOutOfMemory;
  if (const Held* lost = areas.lost.find(page)) {
    return fill_lost(areas, area, page, *lost) ? FaultResult::kResolved : FaultResult::kOutOfMemory;
  }
  if (Result<void> parted = part_absent(areas, cluster); parted.is_error())
    return result_of(parted.error());
  // Such as an error left behind.
  if (Result<void> clean = page_map::decommit_kept(cluster); clean.is_error())
    return result_of(clean.error());
  const auto fill = [&](AddressRange pages) {
    return area->value.object() == nullptr ? page_map::populate_zero(pages, prot)
                                           : fill_from_object(area, pages, page, areas.has_threads);
  };
  Result<void> filled = fill(cluster);
  if (filled.is_error() && filled.error() == Errno::kNoMem && !page_map::state_of(page).present()) {
    // Perhaps one page is still to be had.
    filled = fill(page_range(page));
  }
  if (!page_map::state_of(page).present()) {
    return filled.is_error() ? result_of(filled.error()) : FaultResult::kBusError;
  }
  return FaultResult::kResolved;
}

FaultResult fill_shared(Areas& areas, AreaSet::Iterator area, uint64_t page) {
  MemoryObject::MappedPages rest = mapped_pages(areas, area, {page, area->value.end});
  rest.count = std::min<uint64_t>(rest.count, kFirstCluster);
  MemoryObject& object = *area->value.object();
  const Result<MemoryObject::Found> found = rest.is_alias
                                                ? object.fault_alias(rest, area->value.prot)
                                                : object.fault_home_pages(rest.first, rest.count);
  if (found.is_error()) return result_of(found.error());
  // What goes from one of its addresses to another may be needed at the first again by the same instruction.
  return found.value() == MemoryObject::Found::kOtherwise ? FaultResult::kResolved
                                                          : FaultResult::kStale;
}

}  // namespace area_ops

FaultResult AddressSpace::handle_fault(uint64_t address, Access access) {
  const FaultResult result = judge_fault(address, access);
  return result == FaultResult::kStale ? FaultResult::kResolved : result;
}

FaultResult AddressSpace::judge_fault(uint64_t address, Access access) {
  RoomRequest room;
  FaultResult result = resolve_fault(address, access);
  while (result == FaultResult::kOutOfMemory && room.ask()) result = resolve_fault(address, access);
  return result;
}

namespace {

// A major fault: the page has to be read from where the file is kept.
bool needs_reading(AreaSet::ConstIterator area, uint64_t page) {
  const MemoryObject* object = area->value.object();
  if (object == nullptr || page_map::state_of(page).present()) return false;
  const uint64_t index = (area->value.offset + (page - area->key)) / kPageSize;
  return index < ceil_div(object->size(), kPageSize) && !object->is_resident(index) &&
         !object->is_hole(index);
}

}  // namespace

FaultResult AddressSpace::resolve_fault(uint64_t address, Access access) {
  const uint64_t page = align_down(address, kPageSize);
  bool is_major = false;
  const FaultResult result = state_->areas.hold([&](Areas& areas) {
    const AreaSet::Iterator area = areas.set.find(page);
    if (!area) return FaultResult::kNoMapping;
    if (!allows(area->value.prot, access)) return FaultResult::kNoPermission;
    is_major = needs_reading(area, page);
    return area->value.shared ? area_ops::fill_shared(areas, area, page)
                              : area_ops::fill_private(areas, area, page);
  });
  if (result == FaultResult::kResolved || result == FaultResult::kStale) {
    memory_counters.faults.fetch_add(1, std::memory_order_relaxed);
    if (runs_task()) current_task().count_fault(is_major);
  } else if (result == FaultResult::kNoMapping) {
    const FaultResult grown = grow_stack(page);
    if (grown == FaultResult::kResolved) return resolve_fault(address, access);
    if (grown == FaultResult::kOutOfMemory) return grown;
    if (user_range().contains(page)) page_map::note_pending(page);
  }
  return result;
}

}  // namespace occlum
