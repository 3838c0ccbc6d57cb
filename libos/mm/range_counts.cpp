#include "libos/mm/range_counts.h"

#include <algorithm>

#include "libos/lib/log.h"

namespace occlum {

void RangeCounts::put_by(Node node) {
  for (Node& place : spare_) {
    if (place != nullptr) continue;
    place = std::move(node);
    return;
  }
}

// As many as the heap gives.
void RangeCounts::put_nodes_by() {
  for (Node& place : spare_) {
    if (place != nullptr) continue;
    Result<Node> node = Segments::prepare(Start(), Segment{});
    if (node.is_error()) return;
    place = node.release_value();
  }
}

RangeCounts::Node RangeCounts::node_for(uint64_t start, Segment segment) {
  Result<Node> made = Segments::prepare(Start{start}, segment);
  if (!made.is_error()) return made.release_value();
  for (Node& place : spare_) {
    if (place == nullptr) continue;
    place->entry().key.address = start;
    place->entry().value = segment;
    return std::move(place);
  }
  return nullptr;
}

Result<void> RangeCounts::split_at(uint64_t address) {
  const auto it = segments_.last_at_most(address);
  if (!it || it->key == address || it->value.end <= address) return {};
  Node node = node_for(address, it->value);
  if (node == nullptr) return Errno::kNoMem;
  it->value.end = address;
  segments_.insert(std::move(node));
  return {};
}

// Joins neighbours of one count, from the one before the range to the one behind it.
void RangeCounts::merge(AddressRange range) {
  auto it = segments_.last_at_most(range.start);
  if (it && it->key == range.start && it.previous()) it = it.previous();
  if (!it) it = segments_.lower_bound(range.start);
  while (it && it->key <= range.end) {
    const auto next = it.next();
    if (!next) return;
    if (next->key == it->value.end && next->value.count == it->value.count) {
      it->value.end = next->value.end;
      put_by(segments_.extract(next));
    } else {
      it = next;
    }
  }
}

Result<void> RangeCounts::add(AddressRange range) {
  put_nodes_by();
  TRY(split_at(range.start));
  TRY(split_at(range.end));
  // The gaps first: they need memory.
  Segments gaps;
  uint64_t at = range.start;
  for (auto it = segments_.lower_bound(range.start); at < range.end; ++it) {
    const uint64_t gap_end = it ? std::min<uint64_t>(it->key, range.end) : range.end;
    if (at < gap_end) gaps.insert(TRY(Segments::prepare(Start{at}, Segment{gap_end, 1})));
    if (!it || it->key >= range.end) break;
    at = it->value.end;
  }
  for (auto it = segments_.lower_bound(range.start); it && it->key < range.end; ++it) {
    ++it->value.count;
  }
  while (!gaps.is_empty()) segments_.insert(gaps.extract(gaps.first()));
  merge(range);
  return {};
}

void RangeCounts::remove(AddressRange range, FunctionRef<void(AddressRange)> freed) {
  if (split_at(range.start).is_error() || split_at(range.end).is_error()) {
    log_warn("mm: {} kB of linear addresses are lost: no memory", range.size() / 1024);
    return;
  }
  uint64_t at = range.start;
  for (auto it = segments_.lower_bound(range.start); it && it->key < range.end;) {
    ASSERT(it->key == at);
    at = it->value.end;
    if (--it->value.count != 0) {
      ++it;
      continue;
    }
    const AddressRange part{it->key, it->value.end};
    it = segments_.remove(it);
    freed(part);
  }
  ASSERT(at == range.end);
  merge(range);
}

void RangeCounts::for_each(AddressRange range,
                           FunctionRef<void(AddressRange part, uint32_t count)> visit) const {
  auto it = segments_.last_at_most(range.start);
  if (!it) it = segments_.first();
  uint64_t at = range.start;
  for (; it && it->key < range.end; ++it) {
    if (it->value.end <= at) continue;
    if (at < it->key) visit({at, it->key}, 0);
    const uint64_t start = std::max<uint64_t>(at, it->key);
    at = std::min(it->value.end, range.end);
    visit({start, at}, it->value.count);
  }
  if (at < range.end) visit({at, range.end}, 0);
}

uint32_t RangeCounts::count_at(uint64_t address) const {
  const auto it = segments_.last_at_most(address);
  return it && address < it->value.end ? it->value.count : 0;
}

bool RangeCounts::is_shared(AddressRange range) const {
  bool shared = false;
  for_each(range, [&](AddressRange, uint32_t count) { shared = shared || count > 1; });
  return shared;
}

void RangeCounts::take_from(RangeCounts& other) {
  while (!other.segments_.is_empty()) {
    segments_.insert(other.segments_.extract(other.segments_.first()));
  }
}

}  // namespace occlum
