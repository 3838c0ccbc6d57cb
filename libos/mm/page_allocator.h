// The page allocator: runs of pages for the LibOS itself, in kernel_dynamic_range().
//
// Free runs are kept in lists by size, the nodes in the free pages themselves; the descriptors of the first and the
// last page of a free run say that it is one (PageState::kFreeRun) and how long (the tag), so that neighbours are
// joined at once (Knuth, volume 1, 2.5, boundary tags). New pages are committed in batches at a frontier. It needs
// nothing but the page map, so it works before everything else.
//
// Any lock may be held (rank kPageMap is taken); nothing sleeps. Pages hold old data.
#pragma once

#include <cstdint>

#include "libos/lib/result.h"

namespace occlum {

// Contiguous committed pages, readable and writable. Errors: kNoMem. `count` is at least 1.
Result<uint64_t> allocate_pages(uint64_t count);
void free_pages(uint64_t address, uint64_t count);
// One page that a system call or a page fault needs, which may fail on purpose (sched/fault_injection.h).
Result<uint64_t> allocate_page();
// The same for what a program has (a cached page, a page held aside): only within the limit, not of the margin that is
// the LibOS's. Makes room by itself first, so no spin lock may be held.
Result<uint64_t> allocate_program_page();

// Linear addresses of the kernel range that are never given back, for stacks: nothing is committed. Errors: kNoMem.
Result<uint64_t> reserve_kernel_addresses(uint64_t pages);

// The stack of a task: kKernelStackPages pages above a page that is never committed, so that an overflow faults.
// Returns the address behind its end, where the stack pointer starts. The pages hold old data.
inline constexpr uint64_t kKernelStackPages = 4;
Result<uint64_t> allocate_kernel_stack();
void free_kernel_stack(uint64_t top);

// Pages of free runs of at least 16 pages go back to the host, largest first, then those of free stacks but for one of
// each, until about `pages` have gone. For reclaim.h only: no spin lock may be held.
uint64_t trim_free_pages(uint64_t pages);

}  // namespace occlum
