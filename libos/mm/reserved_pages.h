// ReservedPages: what fallocate(2) gave to an object in memory. Such a page counts as the object's own and reads as
// zeroes; memory comes with the first write. To SEEK_HOLE it is a hole until it is written, or given once more: so
// Linux' tmpfs has it. That a page has come since does not change what is noted here.
#pragma once

#include <cstdint>

#include "libos/lib/function_ref.h"
#include "libos/lib/result.h"
#include "libos/lib/vec.h"

namespace occlum {

// Ranges of pages are from `first` to `last` - 1.
class ReservedPages {
 public:
  Result<void> add(uint64_t first, uint64_t last);     // kNoMem: nothing has changed
  Result<void> remove(uint64_t first, uint64_t last);  // the same

  bool is_empty() const { return ranges_.is_empty(); }
  bool contains(uint64_t page) const { return find(page) != nullptr; }
  // Where the reserved pages end that begin at `page`; `page` itself when it is none.
  uint64_t end_of(uint64_t page) const;
  // The same of those that are data.
  uint64_t end_of_data(uint64_t page) const;
  // The first that is data, at or after `page`; UINT64_MAX: none.
  uint64_t next_data(uint64_t page) const;
  void for_each(uint64_t first, uint64_t last,
                FunctionRef<void(uint64_t first, uint64_t last)> use) const;

 private:
  struct Range {
    uint64_t first, last;
    bool is_data;
  };
  const Range* find(uint64_t page) const;
  enum class Inside { kReserve, kDrop };
  Result<void> rebuild(uint64_t first, uint64_t last, Inside inside);

  Vec<Range> ranges_;  // in order
};

}  // namespace occlum
