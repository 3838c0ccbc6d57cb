// See page_allocator.h.
#include "libos/mm/page_allocator.h"

#include <algorithm>
#include <array>
#include <bit>

#include "libos/lib/lock.h"
#include "libos/lib/log.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/page_map.h"
#include "libos/mm/reclaim.h"
#include "libos/mm/stats.h"
#include "libos/sched/fault_injection.h"

namespace occlum {
namespace {

constexpr uint64_t kBatch = 64;     // pages committed ahead at the frontier
constexpr size_t kExactLists = 64;  // lists of runs of exactly 1..64 pages
constexpr size_t kLists = kExactLists + 40;

// At the start of the first page of a free run; that page is always committed.
struct FreeRun {
  FreeRun* previous;
  FreeRun* next;
  uint64_t pages;
  uint64_t uncommitted;  // pages of the run that were given back (not the first)
};

size_t list_of(uint64_t pages) {
  if (pages <= kExactLists) return pages - 1;
  return std::min(kLists - 1, kExactLists + std::bit_width(pages) - std::bit_width(kExactLists));
}

class FreeRuns {
 public:
  // Takes a run of `count` pages out, or returns 0. `holes` says that some may be uncommitted.
  uint64_t take(uint64_t count, bool& holes) {
    for (size_t list = list_of(count); list < kLists; ++list) {
      for (FreeRun* run = lists_[list]; run != nullptr; run = run->next) {
        if (run->pages >= count) return cut(*run, count, holes);
      }
    }
    return 0;
  }

  // Adds a run, joined with its free neighbours.
  void put(uint64_t address, uint64_t pages, uint64_t uncommitted) {
    memory_counters.kernel_free_pages.fetch_add(pages - uncommitted, std::memory_order_relaxed);
    if (is_free(address - kPageSize)) {
      const uint64_t before = page_map::tag_of(address - kPageSize);
      address -= before * kPageSize;
      pages += before;
      uncommitted += object_at<FreeRun>(address).uncommitted;
      remove(object_at<FreeRun>(address));
    }
    const uint64_t end = address + pages * kPageSize;
    if (is_free(end)) {
      FreeRun& behind = object_at<FreeRun>(end);
      pages += behind.pages;
      uncommitted += behind.uncommitted;
      remove(behind);
    }
    insert(address, pages, uncommitted);
  }

  // A large run, taken out; 0 when none has `minimum` committed pages.
  uint64_t take_largest(uint64_t minimum, uint64_t& pages) {
    for (size_t list = kLists; list-- > 0;) {
      for (FreeRun* run = lists_[list]; run != nullptr; run = run->next) {
        if (run->pages - run->uncommitted < minimum) continue;
        pages = run->pages;
        bool holes = false;
        return cut(*run, pages, holes);
      }
    }
    return 0;
  }

 private:
  static bool is_free(uint64_t page) {
    return (page_map::state_of(page).bits() & PageState::kFreeRun) != 0;
  }

  static void mark(uint64_t address, uint64_t pages) {
    const uint64_t last = address + (pages - 1) * kPageSize;
    page_map::update(address, PageState::kFreeRun, 0);
    page_map::update(last, PageState::kFreeRun, 0);
    page_map::tag_of(address) = static_cast<uint32_t>(pages);
    page_map::tag_of(last) = static_cast<uint32_t>(pages);
  }

  static void unmark(uint64_t address, uint64_t pages) {
    page_map::update(address, 0, PageState::kFreeRun);
    page_map::update(address + (pages - 1) * kPageSize, 0, PageState::kFreeRun);
  }

  void insert(uint64_t address, uint64_t pages, uint64_t uncommitted) {
    FreeRun*& head = lists_[list_of(pages)];
    FreeRun& run = make_at<FreeRun>(address, FreeRun{nullptr, head, pages, uncommitted});
    if (head != nullptr) head->previous = &run;
    head = &run;
    mark(address, pages);
  }

  void remove(FreeRun& run) {
    (run.previous != nullptr ? run.previous->next : lists_[list_of(run.pages)]) = run.next;
    if (run.next != nullptr) run.next->previous = run.previous;
    unmark(address_of(&run), run.pages);
  }

  // The end of the run is what is taken: the rest keeps its first page.
  uint64_t cut(FreeRun& run, uint64_t count, bool& holes) {
    const uint64_t address = address_of(&run);
    const uint64_t pages = run.pages;
    uint64_t uncommitted = run.uncommitted;
    remove(run);
    const uint64_t taken = address + (pages - count) * kPageSize;
    if (uncommitted != 0) {
      holes = true;
      const AddressRange part{taken, taken + count * kPageSize};
      uncommitted -= count - (page_map::present_pages(part) + page_map::kept_pages(part));
    }
    if (pages != count) insert(address, pages - count, uncommitted);
    return taken;
  }

  std::array<FreeRun*, kLists> lists_ = {};
};

// Free stacks, the last freed first. Of each the highest page stays committed: its first word is the highest page of the
// next one.
class FreeStacks {
 public:
  // Returns the highest page of one; 0 when there is none.
  uint64_t take() {
    const uint64_t link = first_;
    if (link != 0) first_ = object_at<uint64_t>(link);
    return link;
  }
  void put(uint64_t link) {
    make_at<uint64_t>(link, first_);
    first_ = link;
  }

 private:
  uint64_t first_ = 0;
};

struct Allocator {
  FreeRuns runs;
  uint64_t frontier = 0;
  FreeStacks stacks;
  FreeStacks trimmed_stacks;  // whose other pages were given back
};

constinit SpinLocked<Allocator> allocator(LockRank::kPageMap);

uint64_t take_frontier(Allocator& state, uint64_t pages) {
  if (state.frontier == 0) {
    // One page stays unused, so that no run joins what lies before.
    state.frontier = page_map::kernel_pages_start() + kPageSize;
  }
  if (pages > (kernel_dynamic_range().end - state.frontier) / kPageSize) return 0;
  const uint64_t address = state.frontier;
  state.frontier += pages * kPageSize;
  return address;
}

Result<uint64_t> grow(uint64_t count) {
  if (count > (uint64_t{1} << 31)) return Errno::kNoMem;
  const uint64_t pages = align_up(count, kBatch);
  const uint64_t address =
      allocator.with([&](Allocator& state) { return take_frontier(state, pages); });
  if (address == 0) return Errno::kNoMem;
  const AddressRange range{address, address + pages * kPageSize};
  if (Result<void> committed = page_map::commit_kernel(range); committed.is_error()) {
    // The addresses are lost, which is nothing; what was committed of them is none.
    return committed.error();
  }
  if (pages != count) {
    const uint64_t rest = address + count * kPageSize;
    allocator.with([&](Allocator& state) { state.runs.put(rest, pages - count, 0); });
  }
  return address;
}

}  // namespace

Result<uint64_t> allocate_pages(uint64_t count) {
  ASSERT(count != 0);
  bool holes = false;
  const uint64_t taken =
      allocator.with([&](Allocator& state) { return state.runs.take(count, holes); });
  if (taken == 0) return grow(count);
  const AddressRange range{taken, taken + count * kPageSize};
  if (!holes) {
    memory_counters.kernel_free_pages.fetch_sub(count, std::memory_order_relaxed);
    return taken;
  }
  const uint64_t committed = page_map::present_pages(range);
  memory_counters.kernel_free_pages.fetch_sub(committed, std::memory_order_relaxed);
  if (Result<void> done = page_map::commit_kernel(range); done.is_error()) {
    // The first page may be the one that is missing, so the run cannot be put back as one.
    for (uint64_t page = range.start; page < range.end; page += kPageSize) {
      if (page_map::state_of(page).committed()) free_pages(page, 1);
    }
    return done.error();
  }
  return taken;
}

void free_pages(uint64_t address, uint64_t count) {
  ASSERT(is_aligned(address, kPageSize) && count != 0);
  ASSERT(address >= page_map::kernel_pages_start() && address < kernel_dynamic_range().end);
  allocator.with([&](Allocator& state) {
    ASSERT((page_map::state_of(address).bits() & PageState::kFreeRun) == 0);
    state.runs.put(address, count, 0);
  });
}

Result<uint64_t> allocate_page() {
  if (fail_page_alloc.must_fail()) return Errno::kNoMem;
  return allocate_pages(1);
}

Result<uint64_t> allocate_program_page() {
  if (fail_page_alloc.must_fail()) return Errno::kNoMem;
  if (page_map::has_program_room()) {
    if (Result<uint64_t> page = allocate_pages(1); !page.is_error()) return page;
  }
  reclaim_kept_pages(1);
  if (!page_map::has_program_room()) return Errno::kNoMem;
  return allocate_pages(1);
}

Result<uint64_t> reserve_kernel_addresses(uint64_t pages) {
  const uint64_t address =
      allocator.with([&](Allocator& state) { return take_frontier(state, pages); });
  if (address == 0) return Errno::kNoMem;
  return address;
}

namespace {

// The pages of a stack below its highest one.
constexpr uint64_t kLowerStackPages = kKernelStackPages - 1;
AddressRange lower_stack_pages(uint64_t link) {
  return {link - kLowerStackPages * kPageSize, link};
}

Result<uint64_t> commit_trimmed_stack(uint64_t link) {
  const AddressRange lower = lower_stack_pages(link);
  const uint64_t before = page_map::present_pages(lower);
  if (Result<void> done = page_map::commit_kernel(lower); done.is_error()) {
    memory_counters.kept_stack_pages.fetch_add(page_map::present_pages(lower) - before,
                                               std::memory_order_relaxed);
    allocator.with([&](Allocator& state) { state.trimmed_stacks.put(link); });
    return done.error();
  }
  memory_counters.kept_stack_pages.fetch_sub(1 + before, std::memory_order_relaxed);
  return link + kPageSize;
}

}  // namespace

Result<uint64_t> allocate_kernel_stack() {
  constexpr uint64_t kBytes = kKernelStackPages * kPageSize;
  if (fail_page_alloc.must_fail()) return Errno::kNoMem;
  if (const uint64_t link = allocator.with([](Allocator& state) { return state.stacks.take(); });
      link != 0) {
    memory_counters.kept_stack_pages.fetch_sub(kKernelStackPages, std::memory_order_relaxed);
    return link + kPageSize;
  }
  if (const uint64_t link =
          allocator.with([](Allocator& state) { return state.trimmed_stacks.take(); });
      link != 0) {
    return commit_trimmed_stack(link);
  }
  const uint64_t guard = TRY(reserve_kernel_addresses(kKernelStackPages + 1));
  const AddressRange stack{guard + kPageSize, guard + kPageSize + kBytes};
  TRY(page_map::commit_kernel(stack));
  return stack.end;
}

void free_kernel_stack(uint64_t top) {
  allocator.with([&](Allocator& state) { state.stacks.put(top - kPageSize); });
  memory_counters.kept_stack_pages.fetch_add(kKernelStackPages, std::memory_order_relaxed);
}

namespace {

// Gives back up to `most` committed pages of the range. Returns how many; an error of the host ends it early.
uint64_t decommit_some(AddressRange range, uint64_t most) {
  uint64_t done = 0;
  for (uint64_t at = range.start; at < range.end && done < most;) {
    AddressRange run{at, at};
    while (run.end < range.end && page_map::state_of(run.end).committed() &&
           done + run.size() / kPageSize < most) {
      run.end += kPageSize;
    }
    at = run.end == run.start ? at + kPageSize : run.end;
    if (run.start == run.end) continue;
    const uint64_t count = run.size() / kPageSize;
    if (decommit_pages(run.start, count).is_error()) break;
    page_map::for_each(run, [](uint64_t, std::atomic<uint32_t>& bits) {
      const PageState state(bits.load(std::memory_order_relaxed));
      constexpr uint32_t kClear = PageState::kCommitted | PageState::kPresent | PageState::kDirty;
      bits.store(state.with(0, kClear).with_epcm(Prot::kNone).bits(), std::memory_order_release);
    });
    done += count;
  }
  page_map::uncharge(done);
  memory_counters.kernel_pages.fetch_sub(done, std::memory_order_relaxed);
  memory_counters.decommitted_pages.fetch_add(done, std::memory_order_relaxed);
  return done;
}

uint64_t trim_free_stacks(uint64_t wanted) {
  uint64_t trimmed = 0;
  while (trimmed < wanted) {
    const uint64_t link = allocator.with([](Allocator& state) { return state.stacks.take(); });
    if (link == 0) break;
    const uint64_t gone = decommit_some(lower_stack_pages(link), kLowerStackPages);
    memory_counters.kept_stack_pages.fetch_sub(gone, std::memory_order_relaxed);
    // With pages that the host did not take, too: what is committed stays so.
    allocator.with([&](Allocator& state) { state.trimmed_stacks.put(link); });
    if (gone == 0) break;
    trimmed += gone;
  }
  return trimmed;
}

}  // namespace

uint64_t trim_free_pages(uint64_t wanted) {
  constexpr uint64_t kSmallestRun = 16;
  uint64_t trimmed = 0;
  while (trimmed < wanted) {
    uint64_t pages = 0;
    const uint64_t address = allocator.with(
        [&](Allocator& state) { return state.runs.take_largest(kSmallestRun, pages); });
    if (address == 0) break;
    const AddressRange run{address, address + pages * kPageSize};
    const uint64_t committed = page_map::present_pages(run);
    // The first page stays: it holds the node.
    const uint64_t gone = decommit_some({run.start + kPageSize, run.end}, wanted - trimmed);
    memory_counters.kernel_free_pages.fetch_sub(committed, std::memory_order_relaxed);
    allocator.with(
        [&](Allocator& state) { state.runs.put(address, pages, pages - committed + gone); });
    if (gone == 0) break;
    trimmed += gone;
  }
  return trimmed < wanted ? trimmed + trim_free_stacks(wanted - trimmed) : trimmed;
}

}  // namespace occlum
