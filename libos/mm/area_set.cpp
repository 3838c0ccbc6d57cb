// See area_set.h.
#include "libos/mm/area_set.h"

namespace occlum {
namespace {

AreaData tail_of(const AreaData& data, uint64_t start, uint64_t address) {
  AreaData tail;
  tail.end = data.end;
  tail.offset = data.source ? data.offset + (address - start) : 0;
  tail.source = data.source;
  tail.prot = data.prot;
  tail.shared = data.shared;
  tail.may_write = data.may_write;
  tail.grows_down = data.grows_down;
  tail.is_stack = data.is_stack;
  tail.kind = data.kind;
  tail.is_alias = data.is_alias;
  tail.lock = data.lock;
  tail.advice = data.advice;
  return tail;
}

bool can_join(uint64_t start, const AreaData& a, uint64_t next, const AreaData& b) {
  if (a.end != next || a.kind != b.kind || a.prot != b.prot || a.shared != b.shared) return false;
  if (a.may_write != b.may_write || a.is_stack != b.is_stack || a.is_alias != b.is_alias)
    return false;
  if (a.lock != b.lock || a.advice != b.advice) return false;
  if (a.grows_down != b.grows_down || a.source.get() != b.source.get()) return false;
  return a.object() == nullptr || a.offset + (next - start) == b.offset;
}

}  // namespace

AreaSet::ConstIterator AreaSet::find(uint64_t address) const {
  const auto it = map_.last_at_most(address);
  if (!it || address >= it->value.end || !it->value.is_visible()) return {};
  return it;
}

AreaSet::Iterator AreaSet::find(uint64_t address) {
  const auto it = map_.last_at_most(address);
  if (!it || address >= it->value.end || !it->value.is_visible()) return {};
  return it;
}

const AreaSet::Map::Entry* AreaSet::lookup(uint64_t address) const {
  const Map::Entry* last = last_found_.load(std::memory_order_relaxed);
  if (last != nullptr && last->key <= address && address < last->value.end) return last;
  const ConstIterator it = find(address);
  if (!it) return nullptr;
  last_found_.store(&*it, std::memory_order_relaxed);
  return &*it;
}

AreaSet::Iterator AreaSet::first_after(uint64_t address) {
  const auto it = map_.last_at_most(address);
  if (it && it->value.end > address) return it;
  return map_.upper_bound(address);
}

AreaSet::ConstIterator AreaSet::first_after(uint64_t address) const {
  return const_cast<AreaSet*>(this)->first_after(address);
}

bool AreaSet::covers(AddressRange range) const {
  uint64_t at = range.start;
  for (auto it = first_after(at); it && at < range.end; ++it) {
    if (it->key > at || !it->value.is_visible()) return false;
    at = it->value.end;
  }
  return at >= range.end;
}

AreaSet::Iterator AreaSet::insert(Node node) { return map_.insert(std::move(node)); }

AreaSet::Iterator AreaSet::remove(Iterator it) {
  last_found_.store(nullptr, std::memory_order_relaxed);
  return map_.remove(it);
}

Result<void> AreaSet::split_at(uint64_t address, Split when) {
  const Iterator it = map_.last_at_most(address);
  if (!it || it->key == address || address >= it->value.end) return {};
  if (when == Split::kIfFewEnough && size() >= kMostAreas) return Errno::kNoMem;
  Node tail = TRY(prepare(address, tail_of(it->value, it->key, address)));
  it->value.end = address;
  map_.insert(std::move(tail));
  return {};
}

Result<void> AreaSet::split(AddressRange range, Split when) {
  TRY(split_at(range.start, when));
  return split_at(range.end, when);
}

void AreaSet::merge(uint64_t start, uint64_t end) {
  Iterator it = map_.last_at_most(start == 0 ? 0 : start - 1);
  if (!it) it = map_.begin();
  while (it && it->key <= end) {
    const Iterator next = it.next();
    if (!next || next->key > end) break;
    if (can_join(it->key, it->value, next->key, next->value)) {
      it->value.end = next->value.end;
      remove(next);
    } else {
      it = next;
    }
  }
}

}  // namespace occlum
