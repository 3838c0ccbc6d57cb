// brk(2). The addresses that the heap may grow over are reserved by exec: an invisible area, of which set_break turns
// a part into the heap and back.
#include <algorithm>

#include "libos/lib/bits.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/reclaim.h"

namespace occlum {
namespace {

// Less than what a jump reaches (kStubReach in process/rewrite): on either side of a program's text is such a reserve,
// and its stubs must find room beyond. malloc(3) goes on with mmap(2).
constexpr uint64_t kReserve = uint64_t{1} << 30;
constexpr uint64_t kSmallestReserve = uint64_t{16} << 20;

// The heap begins where it grew to: the reserve from `from` to `to` becomes heap.
Result<void> grow(Areas& areas, uint64_t from, uint64_t to) {
  const AddressRange range{from, to};
  AreaSet::Iterator reserve = areas.set.first_after(from);
  if (!reserve || reserve->key != from || reserve->value.kind != AreaData::Kind::kReserve ||
      reserve->value.end < to) {
    return Errno::kNoMem;
  }
  TRY(areas.set.split(range, AreaSet::Split::kAnyway));
  const AreaSet::Iterator heap = areas.set.first_after(from);
  AreaData& data = heap->value;
  data.kind = AreaData::Kind::kHeap;
  data.lock = areas.future_lock;
  data.prot = kProtReadWrite;
  if (Result<void> settled = area_ops::settle_kept_pages(areas, heap, range); settled.is_error()) {
    page_map::release(range, page_map::Rights::kRevoke);
    data.kind = AreaData::Kind::kReserve;
    data.lock = PageLock::kNone;
    data.prot = Prot::kNone;
    areas.set.merge(from, to);
    return settled;
  }
  areas.mapped_bytes += range.size();
  areas.set.merge(from, to);
  return {};
}

// Only what is still heap becomes reserve again: the program may have unmapped or replaced parts.
Result<void> shrink(Areas& areas, uint64_t from, uint64_t to) {
  const AddressRange range{to, from};
  TRY(areas.set.split(range, AreaSet::Split::kAnyway));
  TRY(area_ops::part_present(areas, range));
  area_ops::note_drop(areas, range);
  for (auto it = areas.set.first_after(to); it && it->key < from; ++it) {
    if (it->value.kind != AreaData::Kind::kHeap) continue;
    page_map::release(area_ops::range_of(it), page_map::Rights::kRevoke);
    it->value.kind = AreaData::Kind::kReserve;
    it->value.lock = PageLock::kNone;
    it->value.prot = Prot::kNone;
    areas.mapped_bytes -= area_ops::range_of(it).size();
  }
  areas.set.merge(to, from);
  return {};
}

}  // namespace

Result<void> AddressSpace::create_heap() {
  return state_->areas.change([](Areas& areas) -> Result<void> {
    Result<AddressRange> range = Errno::kNoMem;
    // A quarter of what is free at most, so that many processes fit.
    for (uint64_t size = kReserve; size >= kSmallestReserve && range.is_error(); size /= 4) {
      if (size <= linear_use().largest_free / 256 || size / 4 < kSmallestReserve) {
        range = area_ops::acquire(areas, size, 0);
      }
    }
    if (range.is_error()) return range.error();
    const AddressRange reserve = range.value();
    AreaData data;
    data.end = reserve.end;
    data.kind = AreaData::Kind::kReserve;
    data.source = nullptr;
    Result<RefPtr<AreaSource>> source = make_ref<AreaSource>();
    Result<String> name = String::create("[heap]");
    if (!source.is_error() && !name.is_error()) {
      source.value()->name = name.release_value();
      data.source = source.release_value();
    }
    Result<AreaSet::Node> node = AreaSet::prepare(reserve.start, std::move(data));
    if (node.is_error()) {
      area_ops::release(areas, reserve);
      return node.error();
    }
    TRY(area_ops::insert_private(areas, reserve, node.release_value()));
    areas.break_start = areas.break_now = reserve.start;
    return {};
  });
}

uint64_t AddressSpace::set_break(uint64_t address) {
  bool shrunk = false;
  const uint64_t now = state_->areas.change([&](Areas& areas) {
    if (areas.break_start == 0 || address < areas.break_start || address > user_range().end) {
      return areas.break_now;
    }
    const uint64_t before = align_up(areas.break_now, kPageSize);
    const uint64_t after = align_up(address, kPageSize);
    if (after > before && grow(areas, before, after).is_error()) return areas.break_now;
    if (after < before) {
      if (shrink(areas, before, after).is_error()) return areas.break_now;
      shrunk = true;
    }
    areas.break_now = address;
    return areas.break_now;
  });
  if (shrunk) trim_kept_pages();
  return now;
}

}  // namespace occlum
