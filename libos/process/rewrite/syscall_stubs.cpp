#include "libos/process/rewrite/syscall_stubs.h"

#include <algorithm>

#include "libos/arch/arch.h"
#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/mm/range_allocator.h"
#include "libos/mm/user.h"
#include "libos/process/rewrite/rewrite.h"
#include "libos/sched/task.h"

namespace occlum {

constinit RewriteCounters rewrite_counters;

namespace {

// Below this, bad pointers shall go on to fault.
constexpr uint64_t kLowestStub = 1024 * 1024;
// A free page stays on each side.
constexpr uint64_t kRoom = kRoomForStubs;
constexpr int kPlacementTries = 8;
constexpr uint64_t kCommonStubs = 64 * 1024 * 1024;
constexpr std::string_view kAreaName = "[syscall stubs]";

using IsTaken = FunctionRef<bool(uint64_t page)>;

// A page for stubs at or above `at`, not above `last`, for which `is_taken` is false.
std::optional<uint64_t> find_room_from(uint64_t at, uint64_t last, IsTaken is_taken) {
  while (at <= last) {
    if (is_range_free({at, at + kRoom})) {
      if (!is_taken(at + kPageSize)) return at + kPageSize;
      at += kPageSize;
      continue;
    }
    const std::optional<AddressRange> next = next_free_range(at + kPageSize);
    if (!next) break;
    at = next->start;
  }
  return std::nullopt;
}

// In reach of `near`: if possible right below what mmap places, where one page serves a program and its libraries.
std::optional<uint64_t> find_room(uint64_t near, IsTaken is_taken) {
  const uint64_t lowest = align_up(
      std::max(kLowestStub, near > kStubReach ? near - kStubReach + kPageSize : 0), kPageSize);
  const uint64_t last = near + kStubReach - kRoom;
  const uint64_t common = std::max(lowest, kAnonymousBase - kCommonStubs);
  if (common < last) {
    if (const std::optional<uint64_t> room = find_room_from(common, last, is_taken)) return room;
  }
  return find_room_from(lowest, last, is_taken);
}

Result<uint64_t> map_stub_page(AddressSpace& memory, uint64_t near, IsTaken is_taken) {
  for (int attempt = 0; attempt < kPlacementTries; ++attempt) {
    const std::optional<uint64_t> address = find_room(near, is_taken);
    if (!address) return Errno::kNoMem;
    MapRequest request;
    request.address = *address;
    request.length = kPageSize;
    request.prot = Prot::kRead | Prot::kExec;
    request.placement = Placement::kFixedNoReplace;
    request.is_stubs = true;
    request.source.name = TRY(String::create(kAreaName));
    const Result<uint64_t> mapped = memory.map(std::move(request));
    if (!mapped.is_error() || mapped.error() != Errno::kExist)
      return mapped;  // kExist: somebody was faster
  }
  return Errno::kNoMem;
}

// Whether the program has left a page of stubs where it was put: what it maps there instead is its own.
bool is_in_place(AddressSpace& memory, uint64_t page) { return memory.has_stubs(page); }

// Text of a file, mapped privately: the pages are this process's own copies. Anonymous text is left alone: it is
// generated code, which its program may change at any time.
bool is_patchable_text(const std::optional<Area>& area, const SyscallSite& site) {
  return area && !area->shared && area->object && has(area->prot, Prot::kExec) &&
         !has(area->prot, Prot::kWrite) && area->start <= site.start &&
         site.return_address() <= area->end;
}

// Nobody may execute half of a jump. The store is atomic; or nobody else executes this memory, as
// its only references are the two of the one thread that uses it, which is the caller; or no
// program runs meanwhile. kBusy: none of these now.
Result<void> store_jump(AddressSpace& memory, const SyscallSite& site,
                        std::span<const std::byte, kJumpSize> code) {
  if (is_atomic_store(site.jump_at(), kJumpSize) || memory.reference_count() <= 2) {
    return memory.poke(site.jump_at(), code);
  }
  Result<void> stored = Errno::kBusy;
  (void)while_programs_pause([&] { stored = memory.poke(site.jump_at(), code); });
  return stored;
}

// What can be patched at the system call that trapped, as its text is now.
std::optional<SyscallSite> site_at(AddressSpace& memory, const UserRegisters& registers) {
  constexpr uint64_t kSyscallSize = 2;
  std::array<std::byte, kSiteWindow + kSyscallSize> text;
  const uint64_t rip = registers.rip;
  if (rip < kSiteWindow) return std::nullopt;
  if (copy_from_user(memory, text, UserAddress(rip - kSiteWindow)).is_error()) return std::nullopt;
  return find_syscall_site(std::span(text).first<kSiteWindow>(), rip, registers.rax, registers.r8);
}

}  // namespace

std::optional<SyscallSite> SyscallStubs::site_of(uint64_t rip) const {
  const uint32_t count = page_count_.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < count; ++i) {
    const Page& page = *pages_[i].load(std::memory_order_relaxed);
    if (rip - page.address >= kPageSize) continue;
    const size_t slot = (rip - page.address) / kSlotSize;
    if (slot >= page.used.load(std::memory_order_acquire)) return std::nullopt;
    return page.sites[slot];
  }
  return std::nullopt;
}

// No site is patched meanwhile, so that the stubs are those that the memory has.
Result<RefPtr<AddressSpace>> SyscallStubs::fork(AddressSpace& memory) {
  OwnPtr<SyscallStubs> copy = TRY(make_own<SyscallStubs>());
  State pages;
  RefPtr<AddressSpace> child;
  TRY(state_.with([&](State& state) -> Result<void> {
    child = TRY(memory.fork());
    const uint32_t count = page_count_.load(std::memory_order_relaxed);
    for (uint32_t i = 0; i < count; ++i) {
      const Page& page = *state.owned[i];
      OwnPtr<Page> same = TRY(make_own<Page>());
      same->address = page.address;
      same->sites = page.sites;
      same->used.store(page.used.load(std::memory_order_relaxed), std::memory_order_relaxed);
      copy->pages_[i].store(same.get(), std::memory_order_relaxed);
      pages.owned[i] = std::move(same);
    }
    copy->page_count_.store(count, std::memory_order_release);
    return {};
  }));
  copy->state_.with([&](State& state) { state.owned = std::move(pages.owned); });
  child->companion = std::move(copy);
  return child;
}

SyscallStubs::Candidate& SyscallStubs::candidate(State& state, uint64_t rip) {
  auto& set = state.candidates[(rip / 16 ^ rip / 4096) % kSets];
  const auto known = std::ranges::find(set, rip, &Candidate::rip);
  if (known != set.end()) return *known;
  Candidate& weakest = *std::ranges::min_element(set, {}, &Candidate::traps);
  weakest = {.rip = rip, .traps = 0};
  return weakest;
}

std::optional<uint64_t> SyscallStubs::find_stub(AddressSpace& memory,
                                                const SyscallSite& site) const {
  for (uint32_t i = 0; i < page_count_.load(std::memory_order_relaxed); ++i) {
    const Page& page = *pages_[i].load(std::memory_order_relaxed);
    const auto used = std::span(page.sites).first(page.used.load(std::memory_order_relaxed));
    const auto found = std::ranges::find(used, site);
    if (found != used.end() && is_in_place(memory, page.address))
      return page.address + static_cast<uint64_t>(found - used.begin()) * kSlotSize;
  }
  return std::nullopt;
}

Result<SyscallStubs::Page*> SyscallStubs::page_with_room(State& state, AddressSpace& memory,
                                                         uint64_t near) {
  const uint32_t count = page_count_.load(std::memory_order_relaxed);
  for (const OwnPtr<Page>& page : std::span(state.owned).first(count)) {
    if (page->used.load(std::memory_order_relaxed) < kSlots && is_in_reach(page->address, near) &&
        is_in_place(memory, page->address))
      return page.get();
  }
  if (count == kMaxPages) return Errno::kNoSpc;
  OwnPtr<Page> page = TRY(make_own<Page>());
  // Text that was patched still jumps to pages that the program took away: no other stubs come to their addresses.
  page->address = TRY(map_stub_page(memory, near, [&](uint64_t address) {
    return std::ranges::any_of(std::span(state.owned).first(count),
                               [&](const OwnPtr<Page>& old) { return old->address == address; });
  }));
  Page* result = page.get();
  state.owned[count] = std::move(page);
  pages_[count].store(result, std::memory_order_relaxed);
  page_count_.store(count + 1, std::memory_order_release);
  rewrite_counters.stub_pages.fetch_add(1, std::memory_order_relaxed);
  return result;
}

Result<uint64_t> SyscallStubs::make_stub(State& state, AddressSpace& memory,
                                         const SyscallSite& site) {
  if (const std::optional<uint64_t> known = find_stub(memory, site)) return *known;
  Page& page = *TRY(page_with_room(state, memory, site.start));
  const uint32_t slot = page.used.load(std::memory_order_relaxed);
  const uint64_t stub = page.address + slot * kSlotSize;
  TRY(memory.poke(stub, encode_stub(site, stub)));
  page.sites[slot] = site;
  page.used.store(slot + 1, std::memory_order_release);
  return stub;
}

Result<void> SyscallStubs::patch(State& state, AddressSpace& memory, const SyscallSite& site) {
  if (!is_patchable_text(memory.find_area(site.start), site)) return Errno::kAcces;
  const uint64_t stub = TRY(make_stub(state, memory, site));
  TRY(store_jump(memory, site, encode_jump(site, stub)));
  rewrite_counters.patched_sites.fetch_add(1, std::memory_order_relaxed);
  return {};
}

// Thousands of threads may trap at one site before the first of them has patched it, and all come here: so the text is
// looked at again when the lock is held, or each would patch it anew.
void SyscallStubs::note_trap(AddressSpace& memory, const UserRegisters& registers) {
  const uint64_t rip = registers.rip;
  if (!site_at(memory, registers)) return;
  state_.with([&](State& state) {
    if (state.watchers != 0) return;
    Candidate& seen = candidate(state, rip);
    if (++seen.traps < kTrapsBeforePatch) return;
    seen.traps = 0;  // after a failure: not at once again
    const std::optional<SyscallSite> site = site_at(memory, registers);
    if (!site) return;
    const Result<void> patched = patch(state, memory, *site);
    if (!patched.is_error()) {
      seen.rip = 0;
    } else {
      log_debug("the system call at {:x} stays a trap: {}", rip, patched.error());
    }
  });
}

void SyscallStubs::make_room(AddressSpace& memory, uint64_t text) {
  state_.with([&](State& state) { (void)page_with_room(state, memory, text); });
}

// The stub stays: a thread may stand in it. Where programs never come in long enough, the site stays patched, and only
// looks odd.
void SyscallStubs::restore(AddressSpace& memory, const SyscallSite& site, uint64_t stub) {
  constexpr int kTries = 50;
  constexpr Nanoseconds kPause = 200'000;
  std::array<std::byte, kJumpSize> now;
  if (copy_from_user(memory, now, UserAddress(site.jump_at())).is_error()) return;
  if (now != encode_jump(site, stub)) return;
  for (int i = 0; i < kTries; ++i) {
    const Result<void> stored = store_jump(memory, site, encode_mov(site));
    if (!stored.is_error() || stored.error() != Errno::kBusy) return;
    (void)park(monotonic_now() + kPause, Interruptible::kNo);
  }
}

void SyscallStubs::watch(AddressSpace& memory) {
  state_.with([&](State& state) {
    if (state.watchers++ != 0) return;
    for (uint32_t i = 0; i < page_count_.load(std::memory_order_relaxed); ++i) {
      const Page& page = *state.owned[i];
      const uint32_t used = page.used.load(std::memory_order_relaxed);
      for (uint32_t slot = 0; slot < used; ++slot) {
        restore(memory, page.sites[slot], page.address + slot * kSlotSize);
      }
    }
  });
}

void SyscallStubs::unwatch() {
  state_.with([](State& state) { --state.watchers; });
}

}  // namespace occlum
