// Exchange: another member of a conflict group becomes resident. See conflict_group.h.
#pragma once

#include <cstdint>

#include "libos/arch/memory.h"
#include "libos/lib/result.h"
#include "libos/mm/address_space_state.h"
#include "libos/mm/conflict_group.h"

namespace occlum {

// What a member has for a parted page: its own, else what is common; null when nobody ever had anything else.
const Held* held_of(const ConflictGroup& group, const Areas& areas, uint64_t page);

class Exchange {
 public:
  // `leaving` is null when nobody is resident. The areas of both are locked for change.
  Exchange(ConflictGroup& group, Areas* leaving, Areas& next)
      : group_(group), leaving_(leaving), next_(next) {}

  // Holds the content of the parted pages of the leaving member. Errors: kNoMem, it is still resident.
  Result<void> save();
  // Fills the parted pages for the next one. What cannot be filled is tried again on faults (Areas::lost).
  void load();

 private:
  Result<void> save_page(uint64_t page);
  void load_page(uint64_t page);
  enum class Closing { kHostRights, kGiveBack };
  void close_page(uint64_t page, Closing how);
  void flush();
  void flush_closing();
  bool shows_same_file_page(uint64_t page) const;

  ConflictGroup& group_;
  Areas* const leaving_;
  Areas& next_;
  // Neighbouring pages of one area of the next member that are to be filled, and those that are to be closed: where the
  // next one may look, no page stays with what others have there.
  AddressRange fill_{0, 0};
  AreaSet::Iterator fill_area_;
  AddressRange close_{0, 0};
  Closing closing_ = Closing::kHostRights;
};

}  // namespace occlum
