#include "libos/mm/exchange.h"

#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/stats.h"

namespace occlum {
namespace {

// The private area of a member that has the page, if there is one.
AreaSet::Iterator private_area(Areas& areas, uint64_t page) {
  const AreaSet::Iterator area = areas.set.find(page);
  return area && !area->value.shared ? area : AreaSet::Iterator();
}

// The page is what its file says: it can be had again, and is the same for all who map that.
bool is_file_page(AreaSet::ConstIterator area, PageState state) {
  return area->value.object() != nullptr && !state.modified();
}

uint64_t file_offset(AreaSet::ConstIterator area, uint64_t page) {
  return area->value.offset + (page - area->key);
}

bool is_readable(PageState state) { return has(state.effective(), Prot::kRead); }

}  // namespace

const Held* held_of(const ConflictGroup& group, const Areas& areas, uint64_t page) {
  if (const Held* own = areas.held.find(page)) return own;
  return group.base.find(page);
}

// --- the leaving member ---

// Both map the same page of the same file there, and the leaving one has not changed it.
bool Exchange::shows_same_file_page(uint64_t page) const {
  if (leaving_ == nullptr) return false;
  const PageState state = page_map::state_of(page);
  const AreaSet::ConstIterator before = private_area(*leaving_, page);
  const AreaSet::ConstIterator after = private_area(next_, page);
  return before && after && state.present() && is_file_page(before, state) &&
         after->value.object() == before->value.object() &&
         file_offset(after, page) == file_offset(before, page) &&
         !has(after->value.prot, Prot::kWrite);
}

Result<void> Exchange::save_page(uint64_t page) {
  const AreaSet::ConstIterator area = private_area(*leaving_, page);
  if (!area) return {};
  const PageState state = page_map::state_of(page);
  const Held* known = held_of(group_, *leaving_, page);
  if (!state.present()) {
    if (const Held* lost = leaving_->lost.find(page)) return leaving_->held.set(page, *lost);
    if (known != nullptr && known->is_absent()) return {};
    return leaving_->held.set(page, Held::absent());
  }
  if (shows_same_file_page(page)) {
    if (known != nullptr && known->is_absent()) return {};
    return leaving_->held.set(page, Held::absent());
  }
  if (!is_readable(state)) TRY(page_map::open_for_kernel(page_range(page), kProtReadWrite));
  if (known != nullptr && known->frame() != nullptr &&
      bytes_equal(known->frame()->bytes(), page_at(page))) {
    return {};
  }
  return leaving_->held.set(page, Held::content(TRY(Frame::copy_of(page))));
}

Result<void> Exchange::save() {
  if (leaving_ == nullptr) return {};
  // Nobody else's addresses show pages that are at an alias of ours.
  for (auto it = leaving_->has_aliases ? leaving_->set.begin() : AreaSet::Iterator(); it; ++it) {
    if (it->value.is_alias)
      it->value.object()->recall(area_ops::mapped_pages(*leaving_, it, area_ops::range_of(it)));
  }
  Result<void> result;
  group_.base.for_each([&](uint64_t page, const Held&) {
    if (!result.is_error()) result = save_page(page);
  });
  if (!result.is_error()) leaving_->lost.clear();
  return result;
}

// --- the next one ---

void Exchange::flush() {
  const AddressRange run = std::exchange(fill_, {0, 0});
  if (run.start == run.end) return;
  const Prot prot = fill_area_->value.prot;
  Result<void> done = page_map::open_for_kernel(run, prot);
  if (!done.is_error()) {
    for (uint64_t page = run.start; page < run.end; page += kPageSize) {
      page_map::update(page, PageState::kDirty | PageState::kModified, 0);
      copy_bytes(page_at(page), held_of(group_, next_, page)->frame()->bytes());
    }
    done = page_map::seal(run, prot);
    memory_counters.exchanged_pages.fetch_add(run.size() / kPageSize, std::memory_order_relaxed);
  }
  if (!done.is_error()) return;
  log_warn("mm: {:x}..{:x} cannot be filled: {}", run.start, run.end, done.error());
  page_map::release(run, page_map::Rights::kLeave);
  (void)page_map::decommit_kept(run);
  for (uint64_t page = run.start; page < run.end; page += kPageSize) {
    if (next_.lost.set(page, *held_of(group_, next_, page)).is_error()) next_.is_broken = true;
  }
}

void Exchange::flush_closing() {
  const AddressRange run = std::exchange(close_, {0, 0});
  if (run.start == run.end) return;
  const bool stays = closing_ == Closing::kHostRights;
  page_map::release(run, stays ? page_map::Rights::kRevoke : page_map::Rights::kLeave);
  if (!stays) (void)page_map::decommit_kept(run);
}

void Exchange::close_page(uint64_t page, Closing how) {
  if (close_.end != page || closing_ != how) flush_closing();
  if (close_.start == close_.end) close_.start = page;
  close_.end = page + kPageSize;
  closing_ = how;
}

void Exchange::load_page(uint64_t page) {
  const AreaSet::Iterator area = private_area(next_, page);
  const PageState state = page_map::state_of(page);
  if (!area) {
    if (state.present()) close_page(page, Closing::kHostRights);  // it was unmapped here
    return;
  }
  const Held* held = held_of(group_, next_, page);
  const Prot wanted = effective_prot(area->value.prot);
  if ((held == nullptr || held->frame() == nullptr) && shows_same_file_page(page)) {
    if (state.effective() == wanted || !page_map::set_prot(page_range(page), wanted).is_error())
      return;
  }
  if (held == nullptr || held->frame() == nullptr) {
    if (!state.present()) return;
    if (area->value.object() == nullptr && has(wanted, Prot::kWrite) &&
        has(state.effective(), kProtReadWrite)) {
      // Cheaper than taking the rights away: a page of zeroes is as good as none.
      zero_bytes(page_at(page));
      return;
    }
    close_page(page, Closing::kGiveBack);
    return;
  }
  const Held* before = leaving_ != nullptr && private_area(*leaving_, page)
                           ? held_of(group_, *leaving_, page)
                           : nullptr;
  const bool is_same = before != nullptr && before->frame() == held->frame();
  if (is_same && state.present() && state.effective() == wanted) return;
  if (fill_.end != page || fill_area_ != area) flush();
  if (fill_.start == fill_.end) {
    fill_.start = page;
    fill_area_ = area;
  }
  fill_.end = page + kPageSize;
}

void Exchange::load() {
  memory_counters.exchanges.fetch_add(1, std::memory_order_relaxed);
  group_.base.for_each([&](uint64_t page, const Held&) { load_page(page); });
  flush();
  flush_closing();
}

}  // namespace occlum
