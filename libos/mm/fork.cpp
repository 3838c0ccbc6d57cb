// fork(2): a second address space with the same areas and the same content.
//
// Both become members of a conflict group, so nothing is at two addresses. Pages that can be written are parted at once:
// a copy of each is held, and both go on from it. All others are common, and parted when somebody changes them.
#include "libos/lib/memory.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/exchange.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/sched/task.h"

namespace occlum {
namespace {

// What the parent has for a parted page becomes what the child has.
Result<void> copy_parted_page(ConflictGroup& group, Areas& parent, Areas& child, uint64_t page) {
  const AreaSet::ConstIterator area = std::as_const(parent.set).find(page);
  if (!area || area->value.shared) return {};
  const PageState state = page_map::state_of(page);
  const Held* known = held_of(group, parent, page);
  if (const Held* lost = parent.lost.find(page)) {
    TRY(parent.held.set(page, *lost));
  } else if (!state.present()) {
    if (!known->is_absent()) TRY(parent.held.set(page, Held::absent()));
  } else {
    const AddressRange one = page_range(page);
    const bool is_readable = has(state.effective(), Prot::kRead);
    if (!is_readable) TRY(page_map::set_prot(one, Prot::kRead));
    Result<void> done;
    if (known->frame() == nullptr || !bytes_equal(known->frame()->bytes(), page_at(page))) {
      Result<RefPtr<Frame>> frame = Frame::copy_of(page);
      done = frame.is_error() ? Result<void>(frame.error())
                              : parent.held.set(page, Held::content(frame.release_value()));
    }
    if (!is_readable) (void)page_map::set_prot(one, area->value.prot);
    TRY(std::move(done));
  }
  if (const Held* own = parent.held.find(page)) return child.held.set(page, *own);
  return {};
}

// Up to so many pages that can be written are copied at once. Of more the right to write is taken, and a page is copied
// when somebody writes to it.
constexpr uint64_t kCopiedAtOnce = 128;

Result<void> part_pages(ConflictGroup& group, Areas& parent, Areas& child) {
  Result<void> result;
  group.base.for_each([&](uint64_t page, const Held&) {
    if (!result.is_error()) result = copy_parted_page(group, parent, child, page);
  });
  TRY(std::move(result));
  const auto is_common = [&](uint64_t page) { return !group.base.contains(page); };
  uint64_t writable = 0;
  for (auto it = parent.set.begin(); it; ++it) {
    if (it->value.shared || !has(it->value.prot, Prot::kWrite)) continue;
    page_map::for_each(area_ops::range_of(it), [&](uint64_t page, std::atomic<uint32_t>& bits) {
      const PageState state(bits.load(std::memory_order_relaxed));
      if (state.present() && has(state.epcm(), Prot::kWrite) && is_common(page)) ++writable;
    });
  }
  for (auto it = parent.set.begin(); it; ++it) {
    if (it->value.shared || !has(it->value.prot, Prot::kWrite)) continue;
    const AddressRange range = area_ops::range_of(it);
    if (writable <= kCopiedAtOnce || page_map::guard_writes(range, is_common).is_error())
      TRY(area_ops::part_present(parent, range, area_ops::Which::kWritable));
  }
  return {};
}

Result<void> copy_areas(Areas& parent, Areas& child) {
  for (auto it = parent.set.begin(); it; ++it) {
    AreaData data = it->value;
    data.cluster = 0;
    data.lock = PageLock::kNone;
    data.next_up = data.next_down = 0;
    const AddressRange range = area_ops::range_of(it);
    auto node = TRY(AreaSet::prepare(range.start, std::move(data)));
    if (it->value.shared) {
      TRY(it->value.object()->add_mapping(area_ops::mapped_pages(child, it, range),
                                          it->value.prot));
    }
    if (it->value.owns_addresses()) {
      TRY(child.group->ranges.with([&](RangeCounts& counts) { return counts.add(range); }));
    }
    child.set.insert(std::move(node));
  }
  child.break_start = parent.break_start;
  child.break_now = parent.break_now;
  // Its peaks begin here.
  child.mapped_bytes = Watermark(parent.mapped_bytes);
  child.has_aliases = parent.has_aliases;
  return {};
}

struct WithheldAreas {
  Vec<AddressRange> not_forked, wiped;
};

Result<WithheldAreas> withheld_areas(const Areas& parent) {
  WithheldAreas withheld;
  for (auto it = parent.set.begin(); it; ++it) {
    if ((it->value.advice & kNotForked) != 0) {
      TRY(withheld.not_forked.push(area_ops::range_of(it)));
    } else if ((it->value.advice & kWipedOnFork) != 0) {
      TRY(withheld.wiped.push(area_ops::range_of(it)));
    }
  }
  return withheld;
}

}  // namespace

Result<RefPtr<AddressSpace>> AddressSpace::fork() {
  RefPtr<AddressSpace> child = TRY(create());
  child->layout = layout;
  child->program = program.another();
  child->auxv = TRY(auxv.clone());
  TRY(ConflictGroup::add(*this, *child));
  WithheldAreas withheld;
  TRY(state_->areas.change([&](Areas& parent) -> Result<void> {
    if (!parent.group) return Errno::kNoMem;  // it was abandoned meanwhile
    const Nanoseconds start = monotonic_now();
    Freeze freeze(*this);
    ConflictGroup& group = *parent.group;
    const Result<void> copied =
        child->state_->areas.change_second([&](Areas& areas) -> Result<void> {
          TRY(copy_areas(parent, areas));
          withheld = TRY(withheld_areas(parent));
          return part_pages(group, parent, areas);
        });
    group.start_slice(monotonic_now() - start);
    return copied;
  }));
  // MADV_DONTFORK, MADV_WIPEONFORK: rare enough to be copied first.
  constexpr int kDontNeed = 4;
  for (const AddressRange& range : withheld.not_forked)
    TRY(child->unmap(range.start, range.size()));
  for (const AddressRange& range : withheld.wiped)
    TRY(child->advise(range.start, range.size(), kDontNeed));
  return child;
}

}  // namespace occlum
