// What is behind an AddressSpace, and the steps that its operations are made of. For mm/'s own files.
#pragma once

#include <algorithm>
#include <atomic>
#include <optional>
#include <type_traits>
#include <utility>

#include "libos/mm/address_space.h"
#include "libos/mm/area_set.h"
#include "libos/mm/conflict_group.h"
#include "libos/mm/held_pages.h"
#include "libos/mm/page_map.h"
#include "libos/mm/shared_locked.h"

namespace occlum {

// What a mapping has to have for an access.
constexpr Prot right_for(Access access) {
  switch (access) {
    case Access::kRead:
      return Prot::kRead;
    case Access::kWrite:
      return Prot::kRead | Prot::kWrite;
    case Access::kExecute:
      return Prot::kRead | Prot::kExec;
  }
  return kProtAll;
}

constexpr bool allows(Prot prot, Access access) {
  return has(effective_prot(prot), right_for(access));
}

// A number and the most that it has been.
class Watermark {
 public:
  Watermark() = default;
  explicit Watermark(uint64_t value) : value_(value), peak_(value) {}
  uint64_t peak() const { return peak_; }
  operator uint64_t() const { return value_; }
  Watermark& operator+=(uint64_t more) {
    value_ += more;
    peak_ = std::max(peak_, value_);
    return *this;
  }
  Watermark& operator-=(uint64_t less) {
    value_ -= less;
    return *this;
  }

 private:
  uint64_t value_ = 0, peak_ = 0;
};

// Reached only through AddressSpace::State::areas. User copies and owner checks read; faults hold; everything that
// adds, removes or restricts areas changes. So while a copy goes on (which is a read), no page under it can be taken
// away or given to another process.
struct Areas {
  AreaSet set;
  const void* space = nullptr;  // who we are, for the objects that we map
  uint64_t break_start = 0;
  uint64_t break_now = 0;  // exact; the heap area ends at the page behind it
  Watermark mapped_bytes;  // of visible areas
  // The most pages that were present when we looked, and how many have gone since: area_ops::note_drop.
  uint64_t most_pages = 0, pages_gone = 0;
  // Others may execute here while a page is filled: it must not be accessible before it is complete.
  bool has_threads = false;
  bool has_aliases = false;                // or had
  PageLock future_lock = PageLock::kNone;  // of new areas: mlockall(2)

  RefPtr<ConflictGroup> group;  // null: alone
  bool resident = true;         // false: nothing may be done with pages of private areas
  // Pages that could not be filled when we became resident: faults try again. And when not even that could be noted.
  HeldPages lost;
  bool is_broken = false;
  // While away: our content of the group's pages, where it is not the common one. While resident: what it was.
  HeldPages held;
};

// The lock of the areas. read, hold and change wait until the address space is resident; the others do not.
class ResidentAreas {
 public:
  explicit ResidentAreas(AddressSpace& space) : space_(space) {}

  template <typename F>
  auto read(F&& function) const {
    return when_resident<const Areas>(
        [&](auto&& body) -> decltype(auto) { return lock_.read(body); }, function);
  }
  template <typename F>
  auto hold(F&& function) {
    return when_resident<Areas>([&](auto&& body) -> decltype(auto) { return lock_.hold(body); },
                                function);
  }
  template <typename F>
  auto change(F&& function) {
    return when_resident<Areas>([&](auto&& body) -> decltype(auto) { return lock_.change(body); },
                                function);
  }

  // Questions about areas, not about pages.
  template <typename F>
  auto peek(F&& function) const {
    return lock_.read(function);
  }
  template <typename F>
  auto peek_long(F&& function) const {
    return lock_.hold([&](Areas& areas) { return function(std::as_const(areas)); });
  }
  // For residency itself.
  template <typename F>
  auto change_anyway(F&& function) {
    return lock_.change(function);
  }
  template <typename F>
  auto change_second(F&& function) {
    return lock_.change_second(function);
  }

 private:
  // Keeps the address space resident, once it is, until the operation is done or the slice is over.
  class Visit {
   public:
    explicit Visit(AddressSpace& space) : space_(space) { space_.note_runnable(); }
    Visit(const Visit&) = delete;
    ~Visit() { space_.note_waiting(); }

   private:
    AddressSpace& space_;
  };

  template <typename A, typename Enter, typename F>
  auto when_resident(Enter&& enter, F&& function) const {
    using R = decltype(function(std::declval<A&>()));
    std::optional<Visit> visit;
    while (true) {
      if constexpr (std::is_void_v<R>) {
        const bool done = enter([&](A& areas) {
          if (areas.resident) function(areas);
          return areas.resident;
        });
        if (done) return;
      } else {
        std::optional<R> result = enter([&](A& areas) -> std::optional<R> {
          if (!areas.resident) return std::nullopt;
          return std::optional<R>(function(areas));
        });
        if (result) return R(std::move(*result));
      }
      if (!visit) visit.emplace(space_);
      space_.await_residency();
    }
  }

  AddressSpace& space_;
  mutable SharedLocked<Areas> lock_{LockRank::kAddressSpace};
};

struct AddressSpace::State {
  explicit State(AddressSpace& space) : areas(space) {}
  ResidentAreas areas;
};

namespace area_ops {

constexpr AddressRange range_of(AreaSet::ConstIterator it) { return {it->key, it->value.end}; }
// First and number of the object's pages that `part` of the area shows.
struct ObjectPages {
  uint64_t first, count;
};
inline ObjectPages object_pages(AreaSet::ConstIterator it, AddressRange part) {
  return {(it->value.offset + (part.start - it->key)) / kPageSize, part.size() / kPageSize};
}

inline MemoryObject::MappedPages mapped_pages(const Areas& areas, AreaSet::ConstIterator it,
                                              AddressRange part) {
  const ObjectPages pages = object_pages(it, part);
  return {areas.space, part.start, pages.first, pages.count, it->value.is_alias};
}

// Whether program memory may lie there: page-aligned start, no wrap, within user_range(). Rounds the length up.
Result<AddressRange> checked_range(uint64_t address, uint64_t length, Errno error);

// Whether some of the range is in areas.
bool has_areas(const Areas& areas, AddressRange range);

enum class Addresses {
  kFree,  // go back to the range allocator
  kKeep,  // stay ours: something else is put there at once
};
// Splits areas at the range's ends, so that drop_areas cannot fail. Errors: kNoMem.
Result<void> prepare_drop(Areas& areas, AddressRange range);
// How many pages of visible areas are present.
uint64_t count_present(const Areas& areas);
// Before pages of the range go: the peak is noted, once enough of them do.
void note_drop(Areas& areas, AddressRange range);
// Takes all areas in the range away, after prepare_drop.
void drop_areas(Areas& areas, AddressRange range, Addresses addresses, page_map::Rights rights);
// All of a member of a conflict group that ends; what others have as well stays in place.
void drop_member_areas(Areas& areas);
// Pages of the range that could not be filled when the program became resident get their content. kNoMem: some may have.
Result<void> fill_lost_pages(Areas& areas, AddressRange range);
// Takes the pages of a part of a private area, which show the object again, or nothing. After part_present.
Result<void> drop_pages(Areas& areas, AreaSet::ConstIterator it, AddressRange part);
// Splits and drops: munmap(2).
Result<void> unmap(Areas& areas, AddressRange range);

// The addresses of private areas, which members of a conflict group may share (group_pages.cpp).
Result<AddressRange> acquire(Areas& areas, uint64_t size, uint64_t slack);
// Exactly these: free ones, and those that other members of our group have. kExist: an area of ours is there. kBusy:
// somebody else has some.
Result<void> acquire_at(Areas& areas, AddressRange range);
// Gives addresses back that acquire gave; no pages there may be present.
void release(Areas& areas, AddressRange range);
// They become a shared object's: false when other members of the group have some.
bool hand_over(Areas& areas, AddressRange range);
// Before the present pages of the range change (content, rights, presence): what other members have there is held.
enum class Which { kAll, kWritable };
Result<void> part_present(Areas& areas, AddressRange range, Which which = Which::kAll);
// Before pages that are not present are filled.
Result<void> part_absent(Areas& areas, AddressRange range);

// Makes all addresses of the range ours; areas stay in place until drop_areas, for which they are prepared. Errors: kBusy
// when a shared object's home, or somebody who is not in our group, has some (ConflictGroup::make_way); kNoMem.
Result<void> claim(Areas& areas, AddressRange range);

// Undoes that: addresses in the range where no area is go back.
void unclaim(Areas& areas, AddressRange range);

// Areas that grow down (grow_down.cpp). Whether a touch of `page`, in no visible area, makes one grow, if limits allow it.
bool may_grow_to(const Areas& areas, uint64_t page);
// Addresses for such an area, with up to `room` bytes below it that are kept for it.
Result<AddressRange> acquire_above_room(Areas& areas, uint64_t size, uint64_t room);
// The same below an area that has its place, as far as the addresses are free.
void keep_room_below(Areas& areas, uint64_t address, uint64_t room);
// What is kept right below `address` goes back.
void drop_room_below(Areas& areas, uint64_t address);
// Whether the first area in the range is one that grows down, all of it.
bool has_whole_grower(const Areas& areas, AddressRange range);

// Puts a private area in place, on addresses that are ours and where no area is, and settles kept pages.
Result<void> insert_private(Areas& areas, AddressRange range, AreaSet::Node node);
// A shared area, on its object's home, where no area is.
Result<void> insert_shared(Areas& areas, AddressRange range, const AreaData& data);
// A shared area elsewhere, on addresses that are ours and where no area is; the object allows aliases. On an error the
// addresses go back.
Result<void> insert_alias(Areas& areas, AddressRange range, AreaData data);
// Kept pages in the range, which is (part of) an area that came into being or became accessible. Some are filled at once,
// the others go back to the host: what they hold is old, and the host's page tables are all that could hide it. On an
// error some are still there. Where the program may not look, they just lose the host's rights.
Result<void> settle_kept_pages(Areas& areas, AreaSet::ConstIterator area, AddressRange range);
// Those whose content is in the page cache get it.
void fill_kept_pages(AreaSet::ConstIterator area, AddressRange range);

// Makes pages around `address` present. `access` was checked.
FaultResult fill_private(Areas& areas, AreaSet::Iterator area, uint64_t address);
FaultResult fill_shared(Areas& areas, AreaSet::Iterator area, uint64_t address);

}  // namespace area_ops
}  // namespace occlum
