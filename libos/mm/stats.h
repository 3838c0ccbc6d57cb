// Counters of the memory of the enclave, for /proc/meminfo, /proc/occlum/stats and tests; and the limit on it.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/lib/result.h"

namespace occlum {

struct MemoryCounters {
  std::atomic<uint64_t> committed_pages = 0;  // EPC pages that the LibOS holds, its image excluded
  std::atomic<uint64_t> user_present_pages =
      0;                                      // of these: live pages of programs and mapped objects
  std::atomic<uint64_t> user_kept_pages = 0;  // of these: freed pages of programs, kept for reuse
  std::atomic<uint64_t> kernel_pages = 0;     // of these: the LibOS's own, free ones included
  std::atomic<uint64_t> kernel_free_pages = 0;  // of these: free runs of the page allocator
  std::atomic<uint64_t> kept_stack_pages = 0;   // of these: stacks of tasks that have ended
  std::atomic<uint64_t> metadata_pages = 0;     // of these: the page map's tables
  std::atomic<uint64_t> heap_bytes = 0;  // of kernel pages: what the kernel heap has handed out
  std::atomic<uint64_t> object_pages =
      0;  // pages of page caches and shared memory, wherever they lie
  std::atomic<uint64_t> shared_memory_pages = 0;  // of these: of objects with nothing below them
  std::atomic<uint64_t> held_pages = 0;       // contents held aside for members of conflict groups
  std::atomic<uint64_t> exchanges = 0;        // how often another member became resident
  std::atomic<uint64_t> exchanged_pages = 0;  // pages that were filled for that
  std::atomic<uint64_t> alias_moves = 0;  // pages of shared objects that went to another address
  std::atomic<uint64_t> faults = 0;       // page faults that were resolved
  std::atomic<uint64_t> spurious_faults = 0;  // of these: nothing had to be done
  std::atomic<uint64_t> host_protect_calls = 0;
  std::atomic<uint64_t> extend_calls = 0;       // EMODPE runs
  std::atomic<uint64_t> restrict_calls = 0;     // EMODPR runs
  std::atomic<uint64_t> commit_calls = 0;       // EACCEPT runs
  std::atomic<uint64_t> commit_copies = 0;      // EACCEPTCOPY pages
  std::atomic<uint64_t> decommitted_pages = 0;  // given back to the host
};
extern constinit MemoryCounters memory_counters;

// At most this many bytes of enclave memory; 0 (the default) for no limit. Kept pages are given back before a request
// fails with kNoMem.
void set_memory_limit(uint64_t bytes);
uint64_t memory_limit();

// For sysinfo(2) and /proc/meminfo: what there is in all (the limit, or the size of the user range), and what is free.
struct MemoryTotals {
  uint64_t total_bytes, free_bytes, used_bytes, cached_bytes;
  uint64_t shared_bytes;  // of these, what is in memory only: tmpfs and shared memory
};
MemoryTotals memory_totals();

namespace page_map {
// Accounting around commits: kNoMem when the limit does not allow `pages` more (reclaim.h may make room).
// The LibOS itself, which cannot make room while it holds spin locks, may go a little beyond it.
enum class ChargedTo { kProgram, kLibOs };
Result<void> charge(uint64_t pages, ChargedTo who);
void uncharge(uint64_t pages);
// Whether `pages` more could be committed now; true without a limit.
bool has_room(uint64_t pages);
// Whether what is in use leaves programs a page of the limit, committed or not.
bool has_program_room();
// Whether so little of the limit is left that caches should go.
bool is_low();
}  // namespace page_map

}  // namespace occlum
