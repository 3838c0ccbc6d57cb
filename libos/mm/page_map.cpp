// The descriptors of page_map.h: a radix of tables over the linear range, in pages of their own.
//
// The pages of the tables come from the start of kernel_dynamic_range(), one after the other, and are never given
// back: one page of descriptors per 2 MiB of linear addresses ever used, one page of pointers per GiB and one per 512 GiB.
// Lookups take no lock; making a table does.
#include "libos/mm/page_map.h"

#include <algorithm>

#include "libos/arch/host_denial.h"
#include "libos/lib/lock.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"
#include "libos/mm/kernel_memory_raw.h"
#include "libos/mm/stats.h"
#include "libos/sched/fault_injection.h"

namespace occlum::page_map {
namespace {

constexpr uint64_t kTableSpan = kChunkSize * 512;      // 1 GiB
constexpr uint64_t kDirectorySpan = kTableSpan * 512;  // 512 GiB
constexpr size_t kDirectories = 64;                    // 32 TiB of linear addresses
constexpr uint64_t kArenaBatch = 16;                   // pages committed at a time

struct Table {
  std::array<std::atomic<Chunk*>, 512> chunks;
};
static_assert(sizeof(Table) == kPageSize);

struct Directory {
  std::array<std::atomic<Table*>, 512> tables;
};
static_assert(sizeof(Directory) == kPageSize);

// Where the tables' pages come from.
struct Arena {
  uint64_t next = 0;
  uint64_t committed_end = 0;
  uint64_t end = 0;
};

constinit std::array<std::atomic<Directory*>, kDirectories> directories = {};
constinit SpinLocked<Arena> arena(LockRank::kPageMap);

// The linear addresses that have descriptors.
AddressRange span() {
  const AddressRange user = user_range();
  const AddressRange kernel = kernel_dynamic_range();
  return {align_down(std::min(user.start, kernel.start), kTableSpan),
          std::max(user.end, kernel.end)};
}

constinit std::atomic<uint64_t> first_address = 0;
constinit std::atomic<uint64_t> span_size = 0;

// Room for all tables that the linear range can need.
uint64_t arena_size() {
  const AddressRange all = span();
  return (all.size() / kChunkSize + all.size() / kTableSpan + kDirectories + 64) * kPageSize;
}

// The first use sets up the constants; it happens before there is a second vCPU.
void prepare(Arena& state) {
  if (state.end != 0) return;
  const AddressRange all = span();
  ASSERT(all.size() <= kDirectories * kDirectorySpan);
  state.next = state.committed_end = kernel_dynamic_range().start;
  state.end = state.next + arena_size();
  ASSERT(state.end < kernel_dynamic_range().end);
  first_address.store(all.start, std::memory_order_relaxed);
  span_size.store(all.size(), std::memory_order_release);
}

// A zeroed page for a table.
Result<uint64_t> take_page(Arena& state) {
  if (state.next == state.committed_end) {
    const uint64_t batch = std::min(kArenaBatch, (state.end - state.next) / kPageSize);
    if (batch == 0) return Errno::kNoMem;
    TRY(commit_pages(state.next, batch));
    state.committed_end += batch * kPageSize;
    memory_counters.committed_pages.fetch_add(batch, std::memory_order_relaxed);
    memory_counters.metadata_pages.fetch_add(batch, std::memory_order_relaxed);
  }
  const uint64_t page = state.next;
  state.next += kPageSize;
  return page;
}

uint64_t offset_of(uint64_t address) {
  return address - first_address.load(std::memory_order_relaxed);
}

// What a slot of a table leads to; made when there is nothing yet.
template <typename T>
Result<T*> at_slot(Arena& state, std::atomic<T*>& slot) {
  if (T* there = slot.load(std::memory_order_relaxed); there != nullptr) return there;
  T* made = &make_at<T>(TRY(take_page(state)));
  slot.store(made, std::memory_order_release);
  return made;
}

Result<void> create_chunk(uint64_t address) {
  return arena.with([&](Arena& state) -> Result<void> {
    prepare(state);
    const uint64_t offset = offset_of(address);
    Directory* directory = TRY(at_slot(state, directories[offset / kDirectorySpan]));
    Table* table = TRY(at_slot(state, directory->tables[offset / kTableSpan % 512]));
    TRY(at_slot(state, table->chunks[offset / kChunkSize % 512]));
    return {};
  });
}

// Null outside the linear range, too.
Directory* find_directory(uint64_t offset) {
  if (offset >= span_size.load(std::memory_order_acquire)) return nullptr;
  return directories[offset / kDirectorySpan].load(std::memory_order_acquire);
}

Table* find_table(const Directory& directory, uint64_t offset) {
  return directory.tables[offset / kTableSpan % 512].load(std::memory_order_acquire);
}

Chunk* find_chunk_in(const Table& table, uint64_t offset) {
  return table.chunks[offset / kChunkSize % 512].load(std::memory_order_acquire);
}

// From `address` to where the next entry of a table begins that covers `span`.
uint64_t next_of(uint64_t address, uint64_t span) {
  return address + span - offset_of(address) % span;
}

constexpr size_t page_index(uint64_t address) { return address / kPageSize % kChunkPages; }

}  // namespace

uint64_t kernel_pages_start() { return kernel_dynamic_range().start + arena_size(); }

Chunk* find_chunk(uint64_t address) {
  const uint64_t offset = offset_of(address);
  const Directory* directory = find_directory(offset);
  if (directory == nullptr) return nullptr;
  const Table* table = find_table(*directory, offset);
  return table == nullptr ? nullptr : find_chunk_in(*table, offset);
}

Result<void> create_chunks(AddressRange range) {
  for (uint64_t at = align_down(range.start, kChunkSize); at < range.end; at += kChunkSize) {
    if (find_chunk(at) != nullptr) continue;
    if (user_range().contains(at) && fail_page_alloc.must_fail()) return Errno::kNoMem;
    TRY(create_chunk(at));
  }
  return {};
}

PageState state_of(uint64_t address) {
  const Chunk* chunk = find_chunk(address);
  if (chunk == nullptr) return PageState(0);
  return PageState(chunk->states[page_index(address)].load(std::memory_order_acquire));
}

uint32_t& tag_of(uint64_t address) {
  Chunk* chunk = find_chunk(address);
  ASSERT(chunk != nullptr);
  return chunk->tags[page_index(address)];
}

void update(uint64_t address, uint32_t set, uint32_t clear) {
  Chunk* chunk = find_chunk(address);
  ASSERT(chunk != nullptr);
  std::atomic<uint32_t>& state = chunk->states[page_index(address)];
  const PageState before(state.load(std::memory_order_relaxed));
  state.store(before.with(set, clear).bits(), std::memory_order_release);
}

uint64_t absent_until(uint64_t address) {
  const uint64_t offset = offset_of(address);
  const Directory* directory = find_directory(offset);
  if (directory == nullptr) return next_of(address, kDirectorySpan);
  const Table* table = find_table(*directory, offset);
  if (table == nullptr) return next_of(address, kTableSpan);
  return find_chunk_in(*table, offset) == nullptr ? next_of(address, kChunkSize) : address;
}

void for_each(AddressRange range,
              FunctionRef<void(uint64_t address, std::atomic<uint32_t>& state)> visit) {
  for (uint64_t at = range.start; at < range.end;) {
    Chunk* chunk = find_chunk(at);
    if (chunk == nullptr) {
      at = absent_until(at);
      continue;
    }
    const uint64_t chunk_end = std::min(range.end, next_of(at, kChunkSize));
    for (; at < chunk_end; at += kPageSize) visit(at, chunk->states[page_index(at)]);
  }
}

void note_pending(uint64_t address) {
  Chunk* chunk = find_chunk(address);
  if (chunk == nullptr) return;
  std::atomic<uint32_t>& state = chunk->states[page_index(address)];
  if (PageState(state.load(std::memory_order_relaxed)).committed()) return;
  state.fetch_or(PageState::kPending, std::memory_order_relaxed);
}

size_t accessible_prefix(uint64_t address, size_t bytes, Prot needed) {
  const uint64_t end = address + bytes;
  uint64_t at = align_down(address, kPageSize);
  while (at < end) {
    const Chunk* chunk = find_chunk(at);
    if (chunk == nullptr) break;
    const uint64_t chunk_end = std::min(end, align_down(at, kChunkSize) + kChunkSize);
    for (; at < chunk_end; at += kPageSize) {
      const PageState state(chunk->states[page_index(at)].load(std::memory_order_acquire));
      if (!state.present() || !has(state.effective(), needed)) {
        return at <= address ? 0 : at - address;
      }
    }
  }
  return at <= address ? 0 : std::min(at, end) - address;
}

uint64_t present_pages(AddressRange range) {
  uint64_t count = 0;
  for_each(range, [&](uint64_t, std::atomic<uint32_t>& state) {
    if (PageState(state.load(std::memory_order_relaxed)).present()) ++count;
  });
  return count;
}

uint64_t kept_pages(AddressRange range) {
  uint64_t count = 0;
  for_each(range, [&](uint64_t, std::atomic<uint32_t>& state) {
    const PageState page(state.load(std::memory_order_relaxed));
    if (page.committed() && !page.present()) ++count;
  });
  return count;
}

}  // namespace occlum::page_map

namespace occlum {

bool must_be_accessible(uint64_t address, Prot access) {
  const bool managed = user_range().contains(address) || kernel_dynamic_range().contains(address);
  return managed && has(page_map::state_of(align_down(address, kPageSize)).effective(), access);
}

}  // namespace occlum
