// Committing, filling and giving back pages of programs. See page_map.h.
#include <algorithm>

#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/page_allocator.h"
#include "libos/mm/page_map.h"
#include "libos/mm/page_protection.h"
#include "libos/mm/reclaim.h"
#include "libos/mm/stats.h"
#include "libos/sched/fault_injection.h"
#include "libos/sched/task.h"

namespace occlum::page_map {
namespace {

constexpr uint64_t kPreemptionPages = 64;

// Calls `visit` with each maximal part of the range in which `property` is the same, in order.
template <typename Property, typename Visit>
Result<void> for_each_run(AddressRange range, Property&& property, Visit&& visit) {
  for (uint64_t at = range.start; at < range.end;) {
    const bool value = property(state_of(at));
    uint64_t end = at;
    while (end < range.end) {
      if (const uint64_t absent_end = absent_until(end); absent_end != end) {
        if (property(PageState(0)) != value) break;
        end = std::min(range.end, absent_end);
      } else {
        if (property(state_of(end)) != value) break;
        end += kPageSize;
      }
    }
    TRY(visit(AddressRange{at, end}, value));
    at = end;
  }
  return {};
}

// Calls `visit` with each part of the range that is not present, and either committed or not. Each series of pages that
// are not present is one request that may fail on purpose, kept pages or not: that they are there is luck.
template <typename Visit>
Result<void> for_each_absent_run(AddressRange range, Visit&& visit) {
  return for_each_run(
      range, [](PageState state) { return state.present(); },
      [&](AddressRange absent, bool present) -> Result<void> {
        if (present) return {};
        if (fail_page_alloc.must_fail()) return Errno::kNoMem;
        return for_each_run(absent, [](PageState state) { return state.committed(); }, visit);
      });
}

// Pages that were never committed and whose host rights were changed along with a neighbour's need them back, or the
// EACCEPT would fault.
Result<void> restore_host_rights(AddressRange range) {
  Result<void> result;
  HostRights runs;
  const auto note = [&](Result<void> step) {
    if (step.is_error() && !result.is_error()) result = step;
  };
  for_each(range, [&](uint64_t page, std::atomic<uint32_t>& bits) {
    if (PageState(bits.load(std::memory_order_relaxed)).host() == kProtAll) {
      note(runs.skip());
    } else {
      note(runs.add(page, kProtAll));
    }
  });
  note(runs.flush());
  return result;
}

// Descriptors of pages that were just committed.
void record_committed(AddressRange range, Prot epcm, uint32_t also_set) {
  for_each(range, [&](uint64_t, std::atomic<uint32_t>& bits) {
    const PageState state(bits.load(std::memory_order_relaxed));
    ASSERT(!state.committed());
    constexpr uint32_t kClear = PageState::kPending | PageState::kDirty | PageState::kModified;
    const PageState after = state.with(PageState::kCommitted | also_set, kClear).with_epcm(epcm);
    bits.store(after.bits(), std::memory_order_release);
  });
}

Result<void> charge_or_reclaim(uint64_t pages) {
  if (!charge(pages, ChargedTo::kProgram).is_error()) return {};
  reclaim_kept_pages(pages);
  return charge(pages, ChargedTo::kProgram);
}

// EACCEPT of a run of uncommitted pages. They are kept pages without old data until they are sealed.
Result<void> commit_run(AddressRange run) {
  const uint64_t pages = run.size() / kPageSize;
  TRY(restore_host_rights(run));
  TRY(charge_or_reclaim(pages));
  memory_counters.commit_calls.fetch_add(1, std::memory_order_relaxed);
  if (Result<void> committed = commit_pages(run.start, pages); committed.is_error()) {
    uncharge(pages);
    return committed;
  }
  record_committed(run, kProtReadWrite, 0);
  memory_counters.user_kept_pages.fetch_add(pages, std::memory_order_relaxed);
  return {};
}

// EACCEPTCOPY of one uncommitted page.
Result<void> commit_copy(uint64_t page, uint64_t from, Prot prot) {
  const AddressRange run = page_range(page);
  TRY(restore_host_rights(run));
  TRY(charge_or_reclaim(1));
  memory_counters.commit_copies.fetch_add(1, std::memory_order_relaxed);
  if (Result<void> committed = commit_page_copy(page, from, prot); committed.is_error()) {
    uncharge(1);
    return committed;
  }
  record_committed(run, prot,
                   PageState::kPresent | PageState::kDirty |
                       (has(prot, Prot::kWrite) ? PageState::kModified : 0u));
  memory_counters.user_present_pages.fetch_add(1, std::memory_order_relaxed);
  return {};
}

// The page that read-only zero pages are copied from.
constinit std::atomic<uint64_t> the_zero_page = 0;

Result<uint64_t> zero_page() {
  if (const uint64_t known = the_zero_page.load(std::memory_order_acquire)) return known;
  const uint64_t fresh = TRY(allocate_page());
  zero_bytes(page_at(fresh));
  uint64_t expected = 0;
  if (the_zero_page.compare_exchange_strong(expected, fresh, std::memory_order_acq_rel))
    return fresh;
  free_pages(fresh, 1);
  return expected;
}

// Committed pages get the rights that the LibOS needs to write them.
Result<void> open_run(AddressRange run, Prot final_prot) {
  Result<void> result;
  const auto note = [&](Result<void> step) {
    if (step.is_error() && !result.is_error()) result = step;
  };
  // The host's rights first: EMODPE itself needs access to the page.
  HostRights host_runs;
  for_each(run, [&](uint64_t page, std::atomic<uint32_t>& bits) {
    const PageState state(bits.load(std::memory_order_relaxed));
    if (has(state.host(), kProtReadWrite)) {
      note(host_runs.skip());
    } else {
      note(host_runs.add(page, kProtReadWrite | final_prot | ~state.epcm()));
    }
  });
  note(host_runs.flush());
  EpcmRights epcm_runs;
  for_each(run, [&](uint64_t page, std::atomic<uint32_t>& bits) {
    const PageState state(bits.load(std::memory_order_relaxed));
    if (!has(state.epcm(), kProtReadWrite)) note(epcm_runs.add(page, kProtReadWrite));
  });
  note(epcm_runs.flush());
  return result;
}

void zero_dirty(AddressRange run) {
  uint64_t since_preemption = 0;
  for (uint64_t page = run.start; page < run.end; page += kPageSize) {
    if (!state_of(page).dirty()) continue;
    zero_bytes(page_at(page));
    update(page, 0, PageState::kDirty);
    if (++since_preemption % kPreemptionPages == 0) preemption_point();
  }
}

}  // namespace

Result<void> commit_kernel(AddressRange range) {
  TRY(create_chunks(range));
  return for_each_run(
      range, [](PageState state) { return state.committed(); },
      [&](AddressRange run, bool committed) -> Result<void> {
        if (committed) return {};
        const uint64_t pages = run.size() / kPageSize;
        TRY(charge(pages, ChargedTo::kLibOs));
        memory_counters.commit_calls.fetch_add(1, std::memory_order_relaxed);
        if (Result<void> done = commit_pages(run.start, pages); done.is_error()) {
          uncharge(pages);
          return done;
        }
        record_committed(run, kProtReadWrite, PageState::kPresent);
        memory_counters.kernel_pages.fetch_add(pages, std::memory_order_relaxed);
        return {};
      });
}

Result<void> open_for_kernel(AddressRange range, Prot final_prot) {
  TRY(create_chunks(range));
  TRY(for_each_absent_run(range, [&](AddressRange run, bool committed) -> Result<void> {
    return committed ? Result<void>() : commit_run(run);
  }));
  return open_run(range, effective_prot(final_prot));
}

Result<void> populate_zero(AddressRange range, Prot prot) {
  const Prot wanted = effective_prot(prot);
  ASSERT(wanted != Prot::kNone);
  TRY(create_chunks(range));
  return for_each_absent_run(range, [&](AddressRange run, bool committed) -> Result<void> {
    if (!committed && !has(wanted, Prot::kWrite)) {
      const uint64_t from = TRY(zero_page());
      for (uint64_t page = run.start; page < run.end; page += kPageSize) {
        TRY(commit_copy(page, from, wanted));
        update(page, 0, PageState::kDirty);
      }
      return {};
    }
    if (committed) {
      TRY(open_run(run, wanted));
      zero_dirty(run);
    } else {
      TRY(commit_run(run));
    }
    return seal(run, wanted);
  });
}

Result<void> populate_kept(AddressRange range, Prot prot) {
  const Prot wanted = effective_prot(prot);
  return for_each_run(
      range, [](PageState state) { return state.committed() && !state.present(); },
      [&](AddressRange run, bool kept) -> Result<void> {
        if (!kept) return {};
        TRY(open_run(run, wanted));
        zero_dirty(run);
        return seal(run, wanted);
      });
}

Result<void> populate_copy(uint64_t address, uint64_t from, Prot prot) {
  const Prot wanted = effective_prot(prot);
  const AddressRange page{address, address + kPageSize};
  TRY(create_chunks(page));
  if (!state_of(address).committed() && !has(wanted, Prot::kWrite)) {
    if (fail_page_alloc.must_fail()) return Errno::kNoMem;
    return commit_copy(address, from, wanted);
  }
  TRY(open_for_kernel(page, wanted));
  update(address, PageState::kDirty, 0);
  copy_bytes(page_at(address), page_at(from));
  return seal(page, wanted);
}

Result<void> populate_copy_at_once(uint64_t address, uint64_t from, Prot prot) {
  const AddressRange page{address, address + kPageSize};
  TRY(create_chunks(page));
  if (fail_page_alloc.must_fail()) return Errno::kNoMem;
  TRY(decommit_kept(page));
  return commit_copy(address, from, effective_prot(prot));
}

Result<void> discard(AddressRange range) {
  uint64_t since_preemption = 0;
  for_each(range, [&](uint64_t page, std::atomic<uint32_t>& bits) {
    const PageState state(bits.load(std::memory_order_relaxed));
    if (!state.present() || !state.dirty()) return;
    if (has(state.effective(), kProtReadWrite)) {
      zero_bytes(page_at(page));
      if (++since_preemption % kPreemptionPages == 0) preemption_point();
      return;
    }
    bits.store(state.with(0, PageState::kPresent | PageState::kModified).bits(),
               std::memory_order_release);
    memory_counters.user_present_pages.fetch_sub(1, std::memory_order_relaxed);
    memory_counters.user_kept_pages.fetch_add(1, std::memory_order_relaxed);
  });
  return decommit_kept(range);
}

Result<void> decommit_kept(AddressRange range) {
  Result<void> done = for_each_run(
      range, [](PageState state) { return state.committed() && !state.present(); },
      [&](AddressRange run, bool kept) -> Result<void> {
        if (!kept) return {};
        const uint64_t pages = run.size() / kPageSize;
        TRY(decommit_pages(run.start, pages));
        for_each(run, [](uint64_t, std::atomic<uint32_t>& bits) {
          const PageState state(bits.load(std::memory_order_relaxed));
          constexpr uint32_t kClear =
              PageState::kCommitted | PageState::kDirty | PageState::kModified;
          bits.store(state.with(0, kClear).with_epcm(Prot::kNone).with_host(kProtAll).bits(),
                     std::memory_order_release);
        });
        uncharge(pages);
        memory_counters.user_kept_pages.fetch_sub(pages, std::memory_order_relaxed);
        memory_counters.decommitted_pages.fetch_add(pages, std::memory_order_relaxed);
        preemption_point();
        return {};
      });
  if (done.is_error()) log_warn("mm: pages cannot be given back: {}", done.error());
  return done;
}

}  // namespace occlum::page_map
