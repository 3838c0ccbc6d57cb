// See range_allocator.h.
#include "libos/mm/range_allocator.h"

#include <algorithm>
#include <array>
#include <bit>

#include "libos/lib/bits.h"
#include "libos/lib/lock.h"
#include "libos/lib/log.h"
#include "libos/lib/tree.h"

namespace occlum {
namespace {

// A node that is put by gets its key when it is used; in the tree the key never changes.
struct Start {
  mutable uint64_t address = 0;
  friend bool operator<(const Start& a, const Start& b) { return a.address < b.address; }
  friend bool operator<(const Start& a, uint64_t b) { return a.address < b; }
  friend bool operator<(uint64_t a, const Start& b) { return a < b.address; }
};

using Ranges = Tree<Start, uint64_t>;  // start -> end
using Node = OwnPtr<Ranges::Node>;

constexpr uint64_t kGuard = kPageSize;

// Cutting a range out and releasing one need a node each and must not fail, so some are put by: enough for every vCPU to
// be between the two steps, and for releases while the heap is exhausted.
constexpr size_t kNodesPutBy = 128;

class FreeRanges {
 public:
  // Puts a node by; what is more than enough goes back to the heap.
  void keep(Node node) {
    if (spare_.size() > 2 * kNodesPutBy) return;
    node->entry().key.address = spare_key_++;
    spare_.insert(std::move(node));
  }

  size_t spare_count() const { return spare_.size(); }

  void prepare() {
    if (ready_) return;
    ready_ = true;
    add(user_range());
  }

  std::optional<AddressRange> take_first_fit(uint64_t size, uint64_t align, uint64_t slack) {
    const uint64_t base = anonymous_base();
    const uint64_t needed = size + 2 * kGuard + slack;
    uint64_t& hint = hints_[std::bit_width(needed)];
    Ranges::Iterator it = free_.last_at_most(std::max(hint, base));
    if (!it) it = free_.lower_bound(base);
    bool first_large = true;
    for (; it; ++it) {
      const uint64_t low = std::max(it->key.address, base);
      if (it->value <= low) continue;
      // From here on ranges of this class exist: the next search need not look below.
      if (first_large && it->value - low >= (uint64_t{1} << (std::bit_width(needed) - 1))) {
        hint = it->key.address;
        first_large = false;
      }
      const uint64_t start = align_up(low + kGuard, align);
      if (start > it->value || it->value - start < size + kGuard + slack) continue;
      const AddressRange range{start, start + size};
      cut(it, range);
      return range;
    }
    return std::nullopt;
  }

  bool take_at(AddressRange range) {
    Ranges::Iterator it = free_.last_at_most(range.start);
    if (!it || it->value < range.end) return false;
    cut(it, range);
    return true;
  }

  bool is_free(AddressRange range) const {
    const auto it = free_.last_at_most(range.start);
    return it && it->value >= range.end;
  }

  void add(AddressRange range) {
    Ranges::Iterator before = free_.last_at_most(range.start);
    Ranges::Iterator after = before ? before.next() : free_.first();
    ASSERT(!before || before->value <= range.start);
    ASSERT(!after || range.end <= after->key.address);
    if (before && before->value == range.start) {
      before->value = range.end;
      if (after && after->key.address == range.end) {
        before->value = after->value;
        keep(free_.extract(after));
      }
      range = {before->key.address, before->value};
    } else if (after && after->key.address == range.end) {
      range.end = after->value;
      Node node = free_.extract(after);
      insert(std::move(node), range);
    } else {
      Node node = spare();
      if (node == nullptr) {
        log_warn("mm: {} kB of linear addresses are lost: no memory", range.size() / 1024);
        return;
      }
      insert(std::move(node), range);
    }
    // Searches of all classes that fit must look here again.
    for (size_t width = 0; width <= static_cast<size_t>(std::bit_width(range.size())); ++width) {
      hints_[width] = std::min(hints_[width], range.start);
    }
  }

  std::optional<AddressRange> next(uint64_t from) const {
    const auto it = free_.lower_bound(from);
    if (!it) return std::nullopt;
    return AddressRange{it->key.address, it->value};
  }

  LinearUse use() const {
    LinearUse result{0, 0, free_.size()};
    for (const auto& [start, end] : free_) {
      result.free_bytes += end - start.address;
      result.largest_free = std::max(result.largest_free, end - start.address);
    }
    return result;
  }

 private:
  static uint64_t anonymous_base() {
    return std::max(user_range().start, user_range().contains(kAnonymousBase) ? kAnonymousBase : 0);
  }

  Node spare() { return spare_.is_empty() ? Node() : spare_.extract(spare_.last()); }

  void insert(Node node, AddressRange range) {
    node->entry().key.address = range.start;
    node->entry().value = range.end;
    free_.insert(std::move(node));
  }

  // Takes `range` out of the free range that holds it. Needs a node when it is in the middle: callers put one by.
  void cut(Ranges::Iterator it, AddressRange range) {
    const AddressRange whole{it->key.address, it->value};
    if (whole.start < range.start) {
      it->value = range.start;
      if (range.end < whole.end) {
        Node node = spare();
        ASSERT(node != nullptr);
        insert(std::move(node), {range.end, whole.end});
      }
      return;
    }
    Node node = free_.extract(it);
    if (range.end < whole.end) {
      insert(std::move(node), {range.end, whole.end});
    } else {
      keep(std::move(node));
    }
  }

  Ranges free_;
  Ranges spare_;
  uint64_t spare_key_ = 0;
  // By the width of the size: below this address no free range is that large.
  std::array<uint64_t, 65> hints_ = {};
  bool ready_ = false;
};

constinit SpinLocked<FreeRanges> ranges(LockRank::kLinearRanges);

Result<void> put_nodes_by() {
  while (ranges.with([](FreeRanges& state) { return state.spare_count() < kNodesPutBy; })) {
    Node node = TRY(Ranges::prepare(Start(), 0));
    ranges.with([&](FreeRanges& state) { state.keep(std::move(node)); });
  }
  ranges.with([](FreeRanges& state) { state.prepare(); });
  return {};
}

}  // namespace

Result<AddressRange> allocate_range(uint64_t size, uint64_t align, uint64_t slack) {
  ASSERT(size != 0 && is_aligned(size, kPageSize) && align >= kPageSize);
  if (size > user_range().size() || slack > user_range().size()) return Errno::kNoMem;
  TRY(put_nodes_by());
  const std::optional<AddressRange> range =
      ranges.with([&](FreeRanges& state) { return state.take_first_fit(size, align, slack); });
  if (!range) return Errno::kNoMem;
  return *range;
}

Result<void> allocate_range_at(AddressRange range) {
  ASSERT(range.start < range.end && is_aligned(range.start | range.end, kPageSize));
  if (range.start < user_range().start || range.end > user_range().end) return Errno::kNoMem;
  TRY(put_nodes_by());
  if (!ranges.with([&](FreeRanges& state) { return state.take_at(range); })) return Errno::kNoMem;
  return {};
}

void free_range(AddressRange range) {
  ASSERT(range.start < range.end && is_aligned(range.start | range.end, kPageSize));
  (void)put_nodes_by();  // a failure is harmless while some are left
  ranges.with([&](FreeRanges& state) { state.add(range); });
}

bool is_range_free(AddressRange range) {
  return ranges.with([&](FreeRanges& state) {
    state.prepare();
    return state.is_free(range);
  });
}

std::optional<AddressRange> next_free_range(uint64_t from) {
  return ranges.with([&](FreeRanges& state) { return state.next(from); });
}

LinearUse linear_use() {
  return ranges.with([](FreeRanges& state) { return state.use(); });
}

}  // namespace occlum
