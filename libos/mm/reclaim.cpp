// See reclaim.h. Kept pages of programs lie in free linear ranges. To give them back a range is allocated for the time
// being, which makes us the owner of its descriptors.
#include "libos/mm/reclaim.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "libos/lib/bits.h"
#include "libos/mm/page_allocator.h"
#include "libos/mm/page_map.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/stats.h"

namespace occlum {
namespace {

constexpr uint64_t kStep = 64 * 1024 * 1024;  // linear bytes looked at with one allocation

constinit std::atomic<uint64_t> margin_pages = 64 * 1024 * 1024 / kPageSize;
constinit std::atomic<uint64_t> recent_peak = 0;  // pages, decaying
constinit std::atomic<bool> busy =
    false;  // one trimmer at a time: the others have better things to do
constinit std::atomic<uint64_t> cursor = 0;  // where the last one stopped

// Gives back the kept pages of one part of one free range.
void give_back(AddressRange part) {
  if (page_map::kept_pages(part) == 0) return;
  if (allocate_range_at(part).is_error()) return;
  (void)page_map::decommit_kept(part);
  free_range(part);
}

void give_back_user_pages(uint64_t pages) {
  const uint64_t kept = memory_counters.user_kept_pages.load(std::memory_order_relaxed);
  const uint64_t target = kept > pages ? kept - pages : 0;
  uint64_t at = cursor.load(std::memory_order_relaxed);
  for (int round = 0; round < 2; ++round) {
    while (memory_counters.user_kept_pages.load(std::memory_order_relaxed) > target) {
      const std::optional<AddressRange> range = next_free_range(at);
      if (!range) break;
      for (uint64_t start = range->start; start < range->end;) {
        if (const uint64_t used = page_map::absent_until(start); used != start) {
          start = used;
          continue;
        }
        const uint64_t end = range->end - start > kStep ? start + kStep : range->end;
        give_back({start, end});
        start = end;
        if (memory_counters.user_kept_pages.load(std::memory_order_relaxed) <= target) break;
      }
      at = range->end;
    }
    if (round == 0) at = 0;
  }
  cursor.store(at, std::memory_order_relaxed);
}

bool begin() { return !busy.exchange(true, std::memory_order_acquire); }
void end() { busy.store(false, std::memory_order_release); }

}  // namespace

void set_kept_margin(uint64_t bytes) {
  margin_pages.store(bytes / kPageSize, std::memory_order_relaxed);
}

void trim_kept_pages() {
  const uint64_t kernel_free = memory_counters.kernel_free_pages.load(std::memory_order_relaxed);
  const uint64_t user_kept = memory_counters.user_kept_pages.load(std::memory_order_relaxed);
  const uint64_t stacks = memory_counters.kept_stack_pages.load(std::memory_order_relaxed);
  const uint64_t kept = user_kept + kernel_free + stacks;
  const uint64_t committed = memory_counters.committed_pages.load(std::memory_order_relaxed);
  const uint64_t live = committed > kept ? committed - kept : 0;
  const uint64_t before = recent_peak.load(std::memory_order_relaxed);
  const uint64_t peak = live >= before ? live : before - (before - live) / 256;
  recent_peak.store(peak, std::memory_order_relaxed);
  const uint64_t allowed = peak + margin_pages.load(std::memory_order_relaxed);
  if (committed <= allowed || !begin()) return;
  const uint64_t excess = committed - allowed;
  if (user_kept != 0) give_back_user_pages(std::min(excess, user_kept));
  const uint64_t now = memory_counters.committed_pages.load(std::memory_order_relaxed);
  if (now > allowed) trim_free_pages(now - allowed);
  end();
}

void reclaim_kept_pages(uint64_t pages) {
  if (!begin()) return;
  const uint64_t before = memory_counters.committed_pages.load(std::memory_order_relaxed);
  give_back_user_pages(pages);
  const uint64_t now = memory_counters.committed_pages.load(std::memory_order_relaxed);
  if (now + pages > before) trim_free_pages(now + pages - before);
  end();
}

}  // namespace occlum
