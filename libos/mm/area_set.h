// The areas of one address space: an ordered, non-overlapping set of address ranges and what each shows.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "libos/arch/memory.h"
#include "libos/arch/prot.h"
#include "libos/lib/counted.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"
#include "libos/lib/tree.h"
#include "libos/mm/mapped_object.h"
#include "libos/mm/page_lock.h"

namespace occlum {

// What the pieces of one mapping have in common; they share it when the mapping is split.
struct AreaSource : RefCounted<AreaSource>, MappedObject {
  explicit AreaSource(MappedObject what = {}) : MappedObject(std::move(what)) {}
};

struct AreaCount : Counted<AreaCount> {
  AreaCount() = default;
};

// madvise(2)'s lasting advice, and MAP_NORESERVE. The first two and the last two are kept and have no meaning here,
// except that areas with different advice are different ones, which mremap(2) does not cross.
enum AreaAdvice : uint8_t {
  kRandomReads = 1,
  kSequentialReads = 2,
  kNotForked = 4,
  kWipedOnFork = 8,
  kNotDumped = 16,
  kNotReserved = 32,
  kKeepsSize = 64,  // not advice: MapRequest::keeps_size
};

struct AreaData {
  enum class Kind : uint8_t {
    kOrdinary,
    kHeap,     // brk(2)'s
    kReserve,  // addresses kept for the heap: invisible, nothing is mapped
    kRoom,     // the same below an area that grows down
    kStubs,  // the LibOS's own code for system calls (process/rewrite): no advice of the program's empties it
  };

  uint64_t end = 0;
  uint64_t offset = 0;        // of the start, in the object
  RefPtr<AreaSource> source;  // null: plain anonymous memory
  Prot prot = Prot::kNone;
  bool shared = false;
  bool may_write = true;
  bool grows_down = false;
  bool is_stack = false;  // faults bring few pages
  Kind kind = Kind::kOrdinary;
  bool is_alias = false;  // shared, but not at the object's home: the addresses are ours
  PageLock lock = PageLock::kNone;
  uint8_t advice = 0;  // AreaAdvice
  // Where a fault that goes on with the last one would be, and how many pages that one brought. Changed with the lock
  // held (not alone): readers do not look.
  uint32_t cluster = 0;
  uint64_t next_up = 0, next_down = 0;
  [[no_unique_address]] AreaCount count;

  MemoryObject* object() const { return source ? source->object.get() : nullptr; }
  bool owns_addresses() const { return !shared || is_alias; }
  bool is_at_home_of(const MemoryObject& of) const { return !owns_addresses() && object() == &of; }
  bool is_visible() const { return kind != Kind::kReserve && kind != Kind::kRoom; }
};

class AreaSet {
 public:
  using Map = Tree<uint64_t, AreaData>;  // by start
  using Iterator = Map::Iterator;
  using ConstIterator = Map::ConstIterator;
  using Node = OwnPtr<Map::Node>;

  // The visible area that holds `address`; false when there is none.
  ConstIterator find(uint64_t address) const;
  Iterator find(uint64_t address);
  // The same, through a memory of the last area found: for user copies. Null when there is none.
  const Map::Entry* lookup(uint64_t address) const;
  // The first area, visible or not, that ends after `address`.
  Iterator first_after(uint64_t address);
  ConstIterator first_after(uint64_t address) const;
  Iterator end() { return map_.end(); }
  Iterator begin() { return map_.begin(); }
  ConstIterator begin() const { return map_.begin(); }
  size_t size() const { return map_.size(); }

  // Every byte lies in visible areas.
  bool covers(AddressRange range) const;

  static Result<Node> prepare(uint64_t start, AreaData data) {
    return Map::prepare(start, std::move(data));
  }
  Iterator insert(Node node);
  Iterator remove(Iterator it);

  // vm.max_map_count: with so many, areas are not split any more, and beyond it none are added. Reserves count, too.
  static constexpr size_t kMostAreas = 65530;
  bool is_full() const { return size() > kMostAreas; }

  // Splits areas at both ends of the range, so that each area lies inside or outside of it. On kNoMem an area may
  // have been split, which changes nothing that anybody sees. kAnyway: the parts will be joined to others.
  enum class Split : uint8_t { kIfFewEnough, kAnyway };
  Result<void> split(AddressRange range, Split when = Split::kIfFewEnough);
  // Joins areas that touch and are alike, from the one before `start` to the one at `end`.
  void merge(uint64_t start, uint64_t end);

 private:
  Result<void> split_at(uint64_t address, Split when);

  Map map_;
  // Entries go only in a change, which excludes all lookups, and is forgotten then.
  mutable std::atomic<const Map::Entry*> last_found_ = nullptr;
};

}  // namespace occlum
