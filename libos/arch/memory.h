// EPC memory as mm/ uses it: committing, protecting and giving back pages of the dynamic range. (SDM 38, EACCEPT,
// EACCEPTCOPY, EMODPE; EDMM)
//
// A page is *uncommitted* (EPCM invalid, or pending after a stray access made the driver EAUG it) or *committed*. Two
// permissions hold at once: the EPCM's, which only the enclave can widen, and the host page table's, set by a host call
// and initially RWX everywhere. The effective right is the AND. The callers (mm/page_map) remember both for each page
// and never ask for a page twice: EACCEPT of a committed page is a bug and panics.
#pragma once

#include <cstdint>

#include "libos/arch/prot.h"
#include "libos/lib/result.h"

namespace occlum {

struct AddressRange {
  uint64_t start, end;  // bytes, page-aligned
  constexpr uint64_t size() const { return end - start; }
  constexpr bool contains(uint64_t address) const { return address >= start && address < end; }
};

// Where programs live: [64 KiB, ...). Where the LibOS's own dynamic memory lives. Both uncommitted at start.
AddressRange user_range();
AddressRange kernel_dynamic_range();

// EACCEPT of fresh pages: zeroed, EPCM RW. `count` pages from `address`. Errors: kNoMem when the host gives none.
Result<void> commit_pages(uint64_t address, uint64_t count);
// EACCEPTCOPY: a fresh page that starts as a copy of the page at `from`, EPCM `prot` (at least R). The host page table
// must allow writing at that moment.
Result<void> commit_page_copy(uint64_t address, uint64_t from, Prot prot);
// EMODPE: adds EPCM rights to committed pages.
Result<void> extend_page_rights(uint64_t address, uint64_t count, Prot prot);
// EMODPR and EACCEPT: committed pages that have all the same EPCM rights keep `prot` of them. One host call. On an error
// the rights of some may be gone. Errors: kIo when the host does not do it.
Result<void> restrict_page_rights(uint64_t address, uint64_t count, Prot prot);
// The host page table's rights: one host call. Untrusted: a lying host can only suppress faults.
Result<void> set_host_protection(uint64_t address, uint64_t length, Prot prot);
// Gives committed pages back to the host (trim, EACCEPT, remove); they are uncommitted afterwards, with all host rights.
Result<void> decommit_pages(uint64_t address, uint64_t count);

// --- implemented by mm/, called by arch ---
// Before anything allocates. `limit`: bytes of enclave memory that programs and the LibOS may use together, 0: no limit;
// beyond it allocations fail with kNoMem.
void initialize_memory(uint64_t limit);
// Contiguous committed pages, readable and writable. Errors: kNoMem.
Result<uint64_t> allocate_pages(uint64_t count);
// The stack of a task above a page that is never committed. Returns the address behind its end.
Result<uint64_t> allocate_kernel_stack();
void free_kernel_stack(uint64_t top);

}  // namespace occlum
