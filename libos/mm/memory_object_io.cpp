// read(), write() and write-back of a MemoryObject. See memory_object.h for what is locked when.
#include <algorithm>
#include <array>
#include <optional>

#include "libos/lib/bits.h"
#include "libos/lib/memory.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/memory_object.h"
#include "libos/mm/memory_object_guards.h"
#include "libos/mm/page_allocator.h"
#include "libos/mm/page_map.h"
#include "libos/mm/shortage.h"
#include "libos/mm/stats.h"
#include "libos/sched/task.h"

namespace occlum {
namespace {

// A copy is made again, and goes another way then, when it faulted (kAgain) because those who map the page changed its
// rights meanwhile, and not because of the program's buffer.
constexpr int kMostRetries = 64;
constexpr Errno final_error(Errno error) { return error == Errno::kAgain ? Errno::kFault : error; }

// A page of LibOS memory for a copy that must not go straight to the cache page.
class BouncePage {
 public:
  static Result<BouncePage> create() { return BouncePage(TRY(allocate_page())); }
  BouncePage(BouncePage&& other) : address_(std::exchange(other.address_, 0)) {}
  ~BouncePage() {
    if (address_ != 0) free_pages(address_, 1);
  }
  std::span<std::byte> bytes(size_t size) { return page_at(address_).first(size); }

 private:
  explicit BouncePage(uint64_t address) : address_(address) {}
  uint64_t address_;
};

// After so many pages others run, and caches go when memory is low: a program's buffer that is not there yet must not
// be what meets the limit, since nothing of this object can go while it is copied.
constexpr uint64_t kRelaxedPages = 64;

// Between two copies. Nobody is killed for a page of a file; without room the call ends.
bool make_room(RoomRequest& room, MemoryObject& object, std::optional<ObjectCopy>& copy) {
  copy.reset();
  const bool has_room = room.ask(RoomRequest::How::kGently);
  copy.emplace(object);
  return has_room;
}

// Where the bytes of a chunk are: at `address` (0: a hole), `size` of them; or only reachable with the lock held.
struct Chunk {
  uint64_t address = 0;
  size_t size = 0;
  bool locked_only = false;
};

}  // namespace

// Moves the part of one page. Returns 0 at the end.
Result<size_t> MemoryObject::read_chunk(uint64_t offset, DataSink& sink) {
  const uint64_t index = offset / kPageSize;
  const size_t in_page = offset % kPageSize;
  const Chunk chunk = TRY(state_.with([&](State& state) -> Result<Chunk> {
    if (offset >= state.size) return Chunk{};
    const size_t size =
        std::min({kPageSize - in_page, sink.remaining(), static_cast<size_t>(state.size - offset)});
    const bool has_store = state.source != nullptr && state.source->has_store();
    if (!has_store && !state.pages.contains(index)) return Chunk{0, size, false};
    const Page* page = TRY(get_page(state, index, Content::kFill));
    return Chunk{page->address + in_page, size,
                 state.allows_aliases || !is_accessible(state, index, *page)};
  }));
  if (chunk.size == 0) return size_t{0};
  if (chunk.locked_only) {
    BouncePage bounce = TRY(BouncePage::create());
    TRY(with_page(index, [&](uint64_t address) -> Result<void> {
      copy_bytes(bounce.bytes(chunk.size), memory_at(address + in_page, chunk.size));
      return {};
    }));
    TRY(sink.write(bounce.bytes(chunk.size)));
  } else if (chunk.address == 0) {
    TRY(sink.write_zeroes(chunk.size));
  } else {
    TRY(sink.write(memory_at(chunk.address, chunk.size)));
  }
  return chunk.size;
}

Result<size_t> MemoryObject::read(uint64_t offset, DataSink& sink) {
  const size_t before = sink.transferred();
  std::optional<ObjectCopy> copy(std::in_place, *this);
  RoomRequest room;
  int retries = 0;
  for (uint64_t count = 1; sink.remaining() != 0; ++count) {
    const uint64_t at = offset + (sink.transferred() - before);
    const Result<size_t> moved = read_chunk(at, sink);
    if (moved.is_error()) {
      if (moved.error() == Errno::kAgain && ++retries < kMostRetries) continue;
      if (moved.error() == Errno::kNoMem && make_room(room, *this, copy)) continue;
      if (sink.transferred() == before) return final_error(moved.error());
      break;
    }
    if (moved.value() == 0) break;
    if (count % kRelaxedPages == 0) {
      preemption_point();
      RoomRequest caches;
      if (page_map::is_low()) make_room(caches, *this, copy);
    }
  }
  return sink.transferred() - before;
}

// Moves the part of one page. What the store below has is not given up for what is still to come: its page is made when
// all bytes are there.
Result<size_t> MemoryObject::write_chunk(uint64_t offset, DataSource& source) {
  const uint64_t index = offset / kPageSize;
  const size_t in_page = offset % kPageSize;
  const size_t size = std::min(kPageSize - in_page, source.remaining());
  const auto content = [&](const State& state) {
    const bool whole = in_page == 0 && (size == kPageSize || offset + size >= state.size);
    return whole || index * kPageSize >= state.size ? Content::kZero : Content::kFill;
  };
  const Chunk chunk = TRY(state_.with([&](State& state) -> Result<Chunk> {
    const bool has_store = state.source != nullptr && state.source->has_store();
    const bool is_below = has_store && index * kPageSize < state.size;
    if (is_below && content(state) == Content::kZero && !state.pages.contains(index))
      return Chunk{0, size, true};
    const Page* page = TRY(get_page(state, index, content(state)));
    return Chunk{page->address + in_page, size,
                 state.allows_aliases || !is_accessible(state, index, *page)};
  }));
  const auto note = [&](State& state) {
    if (Page* page = state.pages.find(index)) page->dirty = true;
    state.size = std::max(state.size, offset + size);
  };
  if (!chunk.locked_only) {
    TRY(source.read(memory_at(chunk.address, size)));
    state_.with(note);
    return size;
  }
  BouncePage bounce = TRY(BouncePage::create());
  const DataSource::Position before = source.position();
  TRY(source.read(bounce.bytes(size)));
  const Result<void> copied = state_.with([&](State& state) -> Result<void> {
    const Page* page = TRY(get_page(state, index, content(state)));
    TRY(with_access(state, index, *page, [&](uint64_t address) -> Result<void> {
      copy_bytes(memory_at(address + in_page, size), bounce.bytes(size));
      return {};
    }));
    note(state);
    return {};
  });
  if (copied.is_error()) {
    source.go_back(before);
    return copied.error();
  }
  return size;
}

Result<size_t> MemoryObject::write(uint64_t offset, DataSource& source) {
  const size_t before = source.transferred();
  constexpr uint64_t kLargest = uint64_t{1} << 62;
  if (offset >= kLargest || source.remaining() > kLargest - offset) return Errno::kFBig;
  std::optional<ObjectCopy> copy(std::in_place, *this);
  RoomRequest room;
  int retries = 0;
  for (uint64_t count = 1; source.remaining() != 0; ++count) {
    const uint64_t at = offset + (source.transferred() - before);
    const Result<size_t> moved = write_chunk(at, source);
    if (moved.is_error()) {
      if (moved.error() == Errno::kAgain && ++retries < kMostRetries) continue;
      if (moved.error() == Errno::kNoMem && make_room(room, *this, copy)) continue;
      // The part of the chunk that lies before the bad page is written: that is what remains.
      if (moved.error() == Errno::kFault && source.remaining() != 0) continue;
      if (source.transferred() == before) return final_error(moved.error());
      break;
    }
    if (count % kRelaxedPages == 0) {
      preemption_point();
      RoomRequest caches;
      if (page_map::is_low()) make_room(caches, *this, copy);
    }
  }
  return source.transferred() - before;
}

Result<void> MemoryObject::write_back() {
  return state_.with([&](State& state) -> Result<void> {
    if (state.source == nullptr || !state.source->has_store()) return {};
    const bool shared_writable = shared_writable_.load(std::memory_order_relaxed);
    const uint64_t end = ceil_div(state.size, kPageSize);
    for (auto it = state.pages.begin(); it && it->key < end; ++it) {
      Page& page = it->value;
      if (!page.dirty && !(shared_writable && (state.at_home(it->key) || page.alias != 0)))
        continue;
      TRY(settle_page(state, it->key, page));
      page.dirty = false;
      const Result<void> written =
          with_access(state, it->key, page, [&](uint64_t address) -> Result<void> {
            return state.source->write_page(it->key, page_at(address), state.size);
          });
      if (written.is_error()) {
        page.dirty = true;
        return written;
      }
    }
    for (const Mapping& mapping : state.mappings) {
      if (has(mapping.prot, Prot::kWrite)) return {};
    }
    shared_writable_.store(false, std::memory_order_relaxed);
    return {};
  });
}

}  // namespace occlum
