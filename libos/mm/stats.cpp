// See stats.h. The limit is checked before pages are committed; kept pages make room first (reclaim.h).
#include "libos/mm/stats.h"

#include <algorithm>

#include "libos/arch/memory.h"
#include "libos/lib/bits.h"

namespace occlum {

constinit MemoryCounters memory_counters;

namespace {
constinit std::atomic<uint64_t> limit_pages = 0;
}

void set_memory_limit(uint64_t bytes) {
  limit_pages.store(bytes / kPageSize, std::memory_order_relaxed);
}

void initialize_memory(uint64_t limit) { set_memory_limit(limit); }

uint64_t memory_limit() { return limit_pages.load(std::memory_order_relaxed) * kPageSize; }

MemoryTotals memory_totals() {
  const auto bytes = [](const std::atomic<uint64_t>& pages) {
    return pages.load(std::memory_order_relaxed) * kPageSize;
  };
  const uint64_t limit = memory_limit();
  // Without a limit it is the host's memory that ends; programs size caches by this, so it is not the address space.
  constexpr uint64_t kUnlimited = uint64_t{16} << 30;
  const uint64_t free_kept =
      bytes(memory_counters.user_kept_pages) + bytes(memory_counters.kernel_free_pages);
  const uint64_t committed = bytes(memory_counters.committed_pages);
  const uint64_t used = committed > free_kept ? committed - free_kept : 0;
  const uint64_t total = limit != 0 ? limit : std::max(kUnlimited, used * 2);
  return {.total_bytes = total,
          .free_bytes = total > used ? total - used : 0,
          .used_bytes = used,
          .cached_bytes = bytes(memory_counters.object_pages),
          .shared_bytes = bytes(memory_counters.shared_memory_pages)};
}

namespace page_map {

Result<void> charge(uint64_t pages, ChargedTo who) {
  const uint64_t before =
      memory_counters.committed_pages.fetch_add(pages, std::memory_order_relaxed);
  const uint64_t limit = limit_pages.load(std::memory_order_relaxed);
  const uint64_t margin = who == ChargedTo::kLibOs ? limit / 32 : 0;
  if (limit == 0 || before + pages <= limit + margin) return {};
  uncharge(pages);
  return Errno::kNoMem;
}

void uncharge(uint64_t pages) {
  memory_counters.committed_pages.fetch_sub(pages, std::memory_order_relaxed);
}

bool has_room(uint64_t pages) {
  const uint64_t limit = limit_pages.load(std::memory_order_relaxed);
  return limit == 0 ||
         memory_counters.committed_pages.load(std::memory_order_relaxed) + pages <= limit;
}

namespace {
bool leaves(uint64_t pages) {
  const uint64_t limit = limit_pages.load(std::memory_order_relaxed);
  if (limit == 0) return true;
  const uint64_t free = memory_counters.user_kept_pages.load(std::memory_order_relaxed) +
                        memory_counters.kernel_free_pages.load(std::memory_order_relaxed);
  return memory_counters.committed_pages.load(std::memory_order_relaxed) + pages <= limit + free;
}
}  // namespace

bool has_program_room() { return leaves(1); }
bool is_low() { return !leaves(limit_pages.load(std::memory_order_relaxed) / 16); }

}  // namespace page_map
}  // namespace occlum
