// The page map: what the LibOS knows of every linear page that it manages. (docs/architecture.md, "Memory")
//
// SGX binds an EPC page to one linear address, so there is one descriptor per linear page of user_range() and
// kernel_dynamic_range(), in a radix of 2 MiB chunks whose tables lie in pages at the start of the kernel range. This
// is the only caller of arch/memory.h: it knows which pages are committed, what their EPCM and host rights are, and
// computes from these what a change of protection needs: EMODPE where the EPCM lacks a right, and as few host calls as
// possible (one per run) where the host page table grants too much or too little.
//
// A committed page is *present* when it holds live content of its owner. A page that is committed but not present was
// used before and is kept for reuse: it may hold old data (dirty) and, inside an area, must not be accessible.
// A page that was never committed has the host rights RWX, so that committing it needs no host call.
//
// Locking: whoever owns a range (an address space's or object's lock holder, the page allocator for free kernel runs,
// the range allocator's trimmer for free user ranges) is the only one that changes its descriptors; all may read them.
// So no lock is held across an EACCEPT or a host call. Only the pending bit is set by others; it is a hint.
// Functions on ranges take page-aligned ranges and may run preemption points unless they say otherwise.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "libos/arch/memory.h"
#include "libos/arch/prot.h"
#include "libos/lib/bits.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/result.h"

namespace occlum {

constexpr Prot kProtReadWrite = Prot::kRead | Prot::kWrite;
constexpr Prot kProtAll = Prot::kRead | Prot::kWrite | Prot::kExec;
constexpr Prot operator~(Prot a) { return static_cast<Prot>(~static_cast<uint8_t>(a) & 7); }
// What x86 page tables make of it: writable or executable means readable.
constexpr Prot effective_prot(Prot prot) { return prot == Prot::kNone ? prot : prot | Prot::kRead; }

// One descriptor, read at one moment.
class PageState {
 public:
  constexpr explicit PageState(uint32_t bits) : bits_(bits) {}

  static constexpr uint32_t kCommitted = 1, kPresent = 2, kDirty = 4, kPending = 8;
  static constexpr unsigned kEpcmShift = 4;        // EPCM rights, 0 when not committed
  static constexpr unsigned kHostDeniedShift = 8;  // rights that the host page table lacks
  static constexpr uint32_t kFreeRun =
      1u << 12;  // first or last page of a free run of the page allocator
  // A page of a program that could be written since it was filled: it may differ from its file.
  static constexpr uint32_t kModified = 1u << 13;

  constexpr uint32_t bits() const { return bits_; }
  constexpr bool committed() const { return (bits_ & kCommitted) != 0; }
  constexpr bool present() const { return (bits_ & kPresent) != 0; }
  constexpr bool dirty() const { return (bits_ & kDirty) != 0; }
  constexpr bool modified() const { return (bits_ & kModified) != 0; }
  constexpr Prot epcm() const { return static_cast<Prot>((bits_ >> kEpcmShift) & 7); }
  constexpr Prot host() const { return ~static_cast<Prot>((bits_ >> kHostDeniedShift) & 7); }
  constexpr Prot effective() const { return committed() ? epcm() & host() : Prot::kNone; }

  constexpr PageState with(uint32_t set, uint32_t clear = 0) const {
    return PageState((bits_ & ~clear) | set);
  }
  constexpr PageState with_epcm(Prot prot) const {
    return with(static_cast<uint32_t>(prot) << kEpcmShift, 7u << kEpcmShift);
  }
  constexpr PageState with_host(Prot prot) const {
    return with(static_cast<uint32_t>(~prot) << kHostDeniedShift, 7u << kHostDeniedShift);
  }

 private:
  uint32_t bits_;
};

constexpr AddressRange page_range(uint64_t page) { return {page, page + kPageSize}; }

namespace page_map {

inline constexpr uint64_t kChunkSize = 2 * 1024 * 1024;
inline constexpr size_t kChunkPages = kChunkSize / kPageSize;

// One page of descriptors.
struct Chunk {
  std::array<std::atomic<uint32_t>, kChunkPages> states;
  std::array<uint32_t, kChunkPages> tags;  // the owner's: the page allocator keeps run lengths here
};
static_assert(sizeof(Chunk) == kPageSize);

// --- descriptors ---
Chunk* find_chunk(uint64_t address);  // null: every page of it is as at the start
Result<void> create_chunks(
    AddressRange range);  // makes later changes in the range infallible; never sleeps
PageState state_of(uint64_t address);
uint32_t& tag_of(uint64_t address);                           // the chunk must exist
void update(uint64_t address, uint32_t set, uint32_t clear);  // the chunk must exist
// `address` where its chunk exists, else an address up to which no page has one.
uint64_t absent_until(uint64_t address);
// Visits the pages whose chunk exists, in order; `visit` may change the descriptor.
void for_each(AddressRange range,
              FunctionRef<void(uint64_t address, std::atomic<uint32_t>& state)> visit);
// First address of the part of kernel_dynamic_range() that is not the page map's own.
uint64_t kernel_pages_start();

// --- kernel memory: usable at once, no preemption points, any lock may be held ---
// Commits the uncommitted pages of the range: readable and writable, zero if they were uncommitted. All or nothing.
Result<void> commit_kernel(AddressRange range);

// --- program memory ---
// Every page of the range becomes committed and writable by the LibOS, whatever it holds; pages that are not committed
// come zeroed. `final_prot` is what the caller will seal with: it saves host calls. On an error some pages may have
// been opened; they are not present.
Result<void> open_for_kernel(AddressRange range, Prot final_prot);
// Gives all committed pages of the range the rights `prot`, marks them present.
Result<void> seal(AddressRange range, Prot prot);
// Makes the not present pages of the range present and zero, with rights `prot` (not kNone).
Result<void> populate_zero(AddressRange range, Prot prot);
// The same for the kept pages of the range only.
Result<void> populate_kept(AddressRange range, Prot prot);
// Makes a page that is not present a copy of the LibOS's page at `from`.
Result<void> populate_copy(uint64_t address, uint64_t from, Prot prot);
// The same, and nobody sees the page before it is complete.
Result<void> populate_copy_at_once(uint64_t address, uint64_t from, Prot prot);

// Changes the rights of the present pages.
Result<void> set_prot(AddressRange range, Prot prot);
// Takes the right to write from the present pages of the range for which `applies`, in the EPCM: a write faults
// whatever the host does. On an error some may have lost it.
Result<void> guard_writes(AddressRange range, FunctionRef<bool(uint64_t page)> applies);
// What becomes of the rights of pages that lose their content: taken away now (munmap: a later use faults), or left
// (exit: nobody is there to use them; the next owner closes or fills them).
enum class Rights { kRevoke, kLeave };
// Present pages become kept pages. Does not fail: a host call that fails is logged and the rights stay.
void release(AddressRange range, Rights rights);
// Takes the host's rights away from kept pages of the range: it is a program's now, but nothing that the program may use.
// Against wild pointers, not against the host: see area_ops::settle_kept_pages.
Result<void> close_kept(AddressRange range);
// MADV_DONTNEED on private anonymous pages: zeroes what is writable, gives the rest back.
Result<void> discard(AddressRange range);
// Gives the kept pages of the range back to the host. They do not show what they hold meanwhile. On an error, which is
// logged, some are still there. Errors: kIo, kNoMem: the host does not do it.
Result<void> decommit_kept(AddressRange range);

// A stray access made the driver add the page at `address`: it is pending. A hint for statistics; harmless if wrong.
void note_pending(uint64_t address);

// --- questions ---
// How many bytes from `address` (at most `bytes`) can be accessed without a fault, as far as is known.
size_t accessible_prefix(uint64_t address, size_t bytes, Prot needed);
uint64_t present_pages(AddressRange range);
uint64_t kept_pages(AddressRange range);

}  // namespace page_map
}  // namespace occlum
