// RangeCounts: how many members of a conflict group have which linear addresses.
#pragma once

#include <cstdint>

#include "libos/arch/memory.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/result.h"
#include "libos/lib/tree.h"

namespace occlum {

// No lock of its own. Ranges are page-aligned.
class RangeCounts {
 public:
  // One more member has the range. Errors: kNoMem, nothing has changed.
  Result<void> add(AddressRange range);
  // One member less has it; all of it must be counted. Calls `freed` for the parts that nobody has now. Never fails:
  // where memory for the bookkeeping is lacking, parts stay counted for good, and the log says so.
  void remove(AddressRange range, FunctionRef<void(AddressRange)> freed);

  // Calls `visit` for the parts of the range in order, with how many have them (0 too).
  void for_each(AddressRange range,
                FunctionRef<void(AddressRange part, uint32_t count)> visit) const;
  uint32_t count_at(uint64_t address) const;
  // Whether somebody besides the one who asks, and has all of the range, has some of it.
  bool is_shared(AddressRange range) const;

  // Moves what `other` counts here; they have nothing in common.
  void take_from(RangeCounts& other);

 private:
  struct Segment {
    uint64_t end;
    uint32_t count;
  };
  using Segments = Tree<uint64_t, Segment>;

  Result<void> split_at(uint64_t address);
  void merge(AddressRange range);

  Segments segments_;
};

}  // namespace occlum
