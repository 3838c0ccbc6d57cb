// The patched system calls of one address space: which stubs there are, and when a site is worth one.
//
// A stub page lies in the program's own memory, as the area [syscall stubs], readable and executable, within reach of
// the text that jumps to it, where no mmap of the program's would go by itself. Stubs are never
// changed or freed before the address space goes: a thread may stand in one. So looking a stub up
// needs no lock, and when a program unmaps text, its stubs are forgotten by everybody (at most
// kMaxPages pages of them). If the same text comes back at the same address, they are used again.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "libos/arch/registers.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/mm/address_space.h"
#include "libos/process/rewrite/syscall_site.h"

namespace occlum {

class SyscallStubs final : public AddressSpace::Companion {
 public:
  // fork(2): the same memory, with the same stubs. Errors: kNoMem.
  Result<RefPtr<AddressSpace>> fork(AddressSpace& memory);

  // The site whose stub `rip` lies in.
  std::optional<SyscallSite> site_of(uint64_t rip) const;

  // The system call at registers.rip (which may be patched already, or be no site at all) has trapped. May sleep.
  void note_trap(AddressSpace& memory, const UserRegisters& registers);

  // A page for stubs in reach of `text`, if there is none and addresses are free.
  void make_room(AddressSpace& memory, uint64_t text);

  // While it is watched (counted), no site is patched; those that were get their own text back. May sleep.
  void watch(AddressSpace& memory);
  void unwatch();

 private:
  static constexpr size_t kSlotSize = 32;
  static constexpr size_t kSlots = 4096 / kSlotSize;
  static constexpr size_t kMaxPages = 32;
  static constexpr uint8_t kTrapsBeforePatch = 4;
  static constexpr size_t kSets = 16, kWays = 4;

  struct Page {
    uint64_t address = 0;
    std::atomic<uint32_t> used{0};
    std::array<SyscallSite, kSlots> sites;
  };
  // Sites that trap and are not patched: a small cache, the one with the fewest traps gives way.
  struct Candidate {
    uint64_t rip = 0;
    uint8_t traps = 0;
  };
  struct State {
    std::array<OwnPtr<Page>, kMaxPages> owned;
    std::array<std::array<Candidate, kWays>, kSets> candidates;
    uint32_t watchers = 0;
  };

  static void restore(AddressSpace& memory, const SyscallSite& site, uint64_t stub);
  static Candidate& candidate(State& state, uint64_t rip);
  std::optional<uint64_t> find_stub(AddressSpace& memory, const SyscallSite& site) const;
  Result<uint64_t> make_stub(State& state, AddressSpace& memory, const SyscallSite& site);
  Result<Page*> page_with_room(State& state, AddressSpace& memory, uint64_t near);
  Result<void> patch(State& state, AddressSpace& memory, const SyscallSite& site);

  std::array<std::atomic<Page*>, kMaxPages> pages_ = {};
  std::atomic<uint32_t> page_count_{0};
  MutexLocked<State> state_{LockRank::kProgramText};
};

}  // namespace occlum
