// RangeCounts: how many members of a conflict group have which linear addresses.
#pragma once

#include <array>
#include <cstdint>

#include "libos/arch/memory.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/tree.h"

namespace occlum {

// No lock of its own. Ranges are page-aligned.
class RangeCounts {
 public:
  // One more member has the range. Errors: kNoMem, nothing has changed.
  Result<void> add(AddressRange range);
  // One member less has it; all of it must be counted. Calls `freed` for the parts that nobody has now. Never fails: the
  // nodes that it needs when there is no memory were put by. Should these be used up too, the range stays counted for
  // good, and the log says so.
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
  // A node that is put by gets its key when it is used; in the tree the key never changes.
  struct Start {
    mutable uint64_t address = 0;
    operator uint64_t() const { return address; }
  };
  using Segments = Tree<Start, Segment>;
  using Node = OwnPtr<Segments::Node>;
  static constexpr size_t kPutBy = 8;

  void put_by(Node node);
  void put_nodes_by();
  Node node_for(uint64_t start, Segment segment);  // null: no memory
  Result<void> split_at(uint64_t address);
  void merge(AddressRange range);

  Segments segments_;
  std::array<Node, kPutBy> spare_;
};

}  // namespace occlum
