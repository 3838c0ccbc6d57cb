// Changing the rights of committed pages: what differs, in as few calls as possible. See page_map.h.
#include "libos/mm/page_protection.h"

#include "libos/lib/log.h"
#include "libos/mm/stats.h"

namespace occlum::page_map {

bool HostRights::can_bridge(uint64_t page) const {
  if (page == end_) return true;
  if (page > end_ + kBridge * kPageSize) return false;
  for (uint64_t gap = end_; gap < page; gap += kPageSize) {
    if (find_chunk(gap) == nullptr || state_of(gap).committed()) return false;
  }
  return true;
}

Result<void> HostRights::add(uint64_t page, Prot host) {
  if (start_ != end_ && (host != host_ || !can_bridge(page))) TRY(flush());
  if (start_ == end_) {
    start_ = page;
    host_ = host;
  }
  end_ = page + kPageSize;
  return {};
}

Result<void> HostRights::flush() {
  if (start_ == end_) return {};
  const AddressRange run{start_, end_};
  start_ = end_ = 0;
  memory_counters.host_protect_calls.fetch_add(1, std::memory_order_relaxed);
  TRY(set_host_protection(run.start, run.size(), host_));
  for_each(run, [&](uint64_t, std::atomic<uint32_t>& state) {
    const PageState before(state.load(std::memory_order_relaxed));
    state.store(before.with_host(host_).bits(), std::memory_order_release);
  });
  return {};
}

Result<void> EpcmRights::add(uint64_t page, Prot epcm) {
  if (start_ != end_ && (epcm != epcm_ || page != end_)) TRY(flush());
  if (start_ == end_) {
    start_ = page;
    epcm_ = epcm;
  }
  end_ = page + kPageSize;
  return {};
}

Result<void> EpcmRights::flush() {
  if (start_ == end_) return {};
  const AddressRange run{start_, end_};
  start_ = end_ = 0;
  memory_counters.extend_calls.fetch_add(1, std::memory_order_relaxed);
  TRY(extend_page_rights(run.start, run.size() / kPageSize, epcm_));
  for_each(run, [&](uint64_t, std::atomic<uint32_t>& state) {
    const PageState before(state.load(std::memory_order_relaxed));
    state.store(before.with_epcm(before.epcm() | epcm_).bits(), std::memory_order_release);
  });
  return {};
}

namespace {

// The host rights that give a page exactly `wanted`, once its EPCM has at least that: rights that the EPCM lacks are
// granted as well, so that widening the EPCM later needs no host call.
Prot host_target(Prot wanted, Prot epcm) { return wanted == Prot::kNone ? wanted : wanted | ~epcm; }

// Brings the pages that `applies` to to the rights `wanted`. The host's rights come first: EMODPE needs access itself.
Result<void> apply(AddressRange range, Prot wanted, FunctionRef<bool(PageState)> applies) {
  Result<void> result;
  const auto note = [&](Result<void> step) {
    if (step.is_error() && !result.is_error()) result = step;
  };
  HostRights host_runs;
  for_each(range, [&](uint64_t page, std::atomic<uint32_t>& bits) {
    const PageState state(bits.load(std::memory_order_relaxed));
    const Prot epcm = state.epcm() | wanted;
    if (!applies(state) || (epcm & state.host()) == wanted) {
      if (state.committed()) note(host_runs.skip());
      return;
    }
    note(host_runs.add(page, host_target(wanted, epcm)));
  });
  note(host_runs.flush());
  if (result.is_error()) return result;
  EpcmRights epcm_runs;
  for_each(range, [&](uint64_t page, std::atomic<uint32_t>& bits) {
    const PageState state(bits.load(std::memory_order_relaxed));
    if (!applies(state) || has(state.epcm(), wanted)) return;
    note(epcm_runs.add(page, wanted));
  });
  note(epcm_runs.flush());
  return result;
}

void mark_present(AddressRange range, Prot wanted) {
  const uint32_t set = PageState::kPresent |
                       (has(wanted, Prot::kWrite) ? PageState::kDirty | PageState::kModified : 0u);
  uint64_t fresh = 0;
  for_each(range, [&](uint64_t, std::atomic<uint32_t>& bits) {
    const PageState state(bits.load(std::memory_order_relaxed));
    if (!state.committed()) return;
    if (!state.present()) ++fresh;
    bits.store(state.with(set).bits(), std::memory_order_release);
  });
  memory_counters.user_present_pages.fetch_add(fresh, std::memory_order_relaxed);
  memory_counters.user_kept_pages.fetch_sub(fresh, std::memory_order_relaxed);
}

}  // namespace

Result<void> seal(AddressRange range, Prot prot) {
  const Prot wanted = effective_prot(prot);
  TRY(apply(range, wanted, [](PageState state) { return state.committed(); }));
  mark_present(range, wanted);
  return {};
}

Result<void> set_prot(AddressRange range, Prot prot) {
  const Prot wanted = effective_prot(prot);
  TRY(apply(range, wanted, [](PageState state) { return state.present(); }));
  if (has(wanted, Prot::kWrite)) {
    for_each(range, [](uint64_t, std::atomic<uint32_t>& bits) {
      const PageState state(bits.load(std::memory_order_relaxed));
      if (state.present())
        bits.store(state.with(PageState::kDirty | PageState::kModified).bits(),
                   std::memory_order_release);
    });
  }
  return {};
}

Result<void> guard_writes(AddressRange range, FunctionRef<bool(uint64_t page)> applies) {
  Result<void> result;
  AddressRange run{0, 0};
  Prot run_epcm = Prot::kNone;
  const auto flush = [&] {
    const AddressRange pages = std::exchange(run, {0, 0});
    if (pages.start == pages.end || result.is_error()) return;
    const Prot kept = run_epcm & ~Prot::kWrite;
    memory_counters.restrict_calls.fetch_add(1, std::memory_order_relaxed);
    result = restrict_page_rights(pages.start, pages.size() / kPageSize, kept);
    if (result.is_error()) return;
    for_each(pages, [&](uint64_t, std::atomic<uint32_t>& bits) {
      const PageState state(bits.load(std::memory_order_relaxed));
      bits.store(state.with_epcm(kept).bits(), std::memory_order_release);
    });
  };
  for_each(range, [&](uint64_t page, std::atomic<uint32_t>& bits) {
    const PageState state(bits.load(std::memory_order_relaxed));
    if (!state.present() || !has(state.epcm(), Prot::kWrite) || !applies(page)) return;
    if (run.end != page || run_epcm != state.epcm()) flush();
    if (run.start == run.end) {
      run.start = page;
      run_epcm = state.epcm();
    }
    run.end = page + kPageSize;
  });
  flush();
  return result;
}

void release(AddressRange range, Rights rights) {
  uint64_t released = 0;
  for_each(range, [&](uint64_t, std::atomic<uint32_t>& bits) {
    const PageState state(bits.load(std::memory_order_relaxed));
    if (!state.present()) return;
    ++released;
    bits.store(state.with(0, PageState::kPresent | PageState::kModified).bits(),
               std::memory_order_release);
  });
  memory_counters.user_present_pages.fetch_sub(released, std::memory_order_relaxed);
  memory_counters.user_kept_pages.fetch_add(released, std::memory_order_relaxed);
  if (rights == Rights::kLeave) return;
  const Result<void> closed = close_kept(range);
  if (closed.is_error()) {
    log_warn("mm: {:x}..{:x} stays accessible: {}", range.start, range.end, closed.error());
  }
}

Result<void> close_kept(AddressRange range) {
  return apply(range, Prot::kNone,
               [](PageState state) { return state.committed() && !state.present(); });
}

}  // namespace occlum::page_map
