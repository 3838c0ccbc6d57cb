// See kernel_heap.h. Raw because it makes untyped memory.
//
// Invariant: a slab is one page: a Slab header, then slots of its class's size. A slot is either handed out or on the
// slab's free list (through its first 8 bytes), never both; used + free slots = capacity. A slab with free slots is on
// its class's list, a full one on none. What is freed must have come from here with the same size (checked: magic
// number, class, slot boundary, and in debug builds the poison).
#include "libos/mm/kernel_heap.h"

#include <array>
#include <cstdint>

#include "libos/lib/bits.h"
#include "libos/lib/lock.h"
#include "libos/lib/log.h"
#include "libos/mm/page_allocator.h"
#include "libos/mm/stats.h"

#pragma clang unsafe_buffer_usage begin

namespace occlum::kernel_heap {
namespace {

constexpr uint64_t kMagic = 0x62616c536d6d6b1d;
constexpr size_t kHeader = 64;
constexpr size_t kRoom = kPageSize - kHeader;
constexpr size_t kEmptySlabsKept = 4;  // per class
#ifdef OCCLUM_DEBUG_LOCKS
constexpr bool kPoison = true;
#else
constexpr bool kPoison = false;
#endif

constexpr std::array<uint16_t, 26> kSizes = {16,  32,  48,  64,  80,  96,  112,  128, 144,
                                             160, 176, 192, 224, 256, 288, 320,  352, 384,
                                             448, 496, 576, 672, 800, 992, 1344, 2016};
constexpr size_t kLargest = 2016;

struct Slot {
  Slot* next;
};

struct Slab {
  uint64_t magic;
  Slab* previous;
  Slab* next;
  Slot* free;
  uint32_t used;
  uint32_t capacity;
  uint32_t size_class;
};
static_assert(sizeof(Slab) <= kHeader);

struct SizeClass {
  Slab* partial = nullptr;  // slabs with free slots, empty ones last
  size_t empty = 0;         // of these, without used slots
};

template <size_t... I>
constexpr std::array<SpinLocked<SizeClass>, sizeof...(I)> make_classes(std::index_sequence<I...>) {
  return {((void)I, SpinLocked<SizeClass>(LockRank::kHeap))...};
}
constinit std::array<SpinLocked<SizeClass>, kSizes.size()> classes =
    make_classes(std::make_index_sequence<kSizes.size()>());

// From the size in units of 16 bytes to the class.
constexpr auto kClassOf = [] {
  std::array<uint8_t, kLargest / 16 + 1> table = {};
  size_t size_class = 0;
  for (size_t unit = 0; unit < table.size(); ++unit) {
    while (kSizes[size_class] < unit * 16) ++size_class;
    table[unit] = static_cast<uint8_t>(size_class);
  }
  return table;
}();

Slab* slab_of(void* memory) {
  return reinterpret_cast<Slab*>(reinterpret_cast<uint64_t>(memory) & ~uint64_t{kPageMask});
}

void link(SizeClass& list, Slab* slab) {
  slab->previous = nullptr;
  slab->next = list.partial;
  if (list.partial != nullptr) list.partial->previous = slab;
  list.partial = slab;
}

void unlink(SizeClass& list, Slab* slab) {
  (slab->previous != nullptr ? slab->previous->next : list.partial) = slab->next;
  if (slab->next != nullptr) slab->next->previous = slab->previous;
}

void poison(Slot* slot, size_t size) {
  if constexpr (kPoison) {
    if (size > sizeof(Slot)) __builtin_memset(slot + 1, 0xdf, size - sizeof(Slot));
  }
}

// Use after free, when a freed slot is handed out and is not as it was left.
void check_poison(const Slot* slot, size_t size) {
  if constexpr (kPoison) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(slot + 1);
    for (size_t i = 0; i + sizeof(Slot) < size; ++i) {
      if (bytes[i] != 0xdf)
        panic("heap: an object of {} bytes was written after it was freed", size);
    }
  }
}

Slab* make_slab(size_t size_class) {
  const Result<uint64_t> page = allocate_pages(1);
  if (page.is_error()) return nullptr;
  auto* slab = reinterpret_cast<Slab*>(page.value());
  const size_t size = kSizes[size_class];
  *slab = Slab{.magic = kMagic,
               .previous = nullptr,
               .next = nullptr,
               .free = nullptr,
               .used = 0,
               .capacity = static_cast<uint32_t>(kRoom / size),
               .size_class = static_cast<uint32_t>(size_class)};
  for (size_t i = slab->capacity; i-- > 0;) {
    auto* slot = reinterpret_cast<Slot*>(page.value() + kHeader + i * size);
    poison(slot, size);
    slot->next = slab->free;
    slab->free = slot;
  }
  return slab;
}

void* take_slot(SizeClass& list) {
  Slab* slab = list.partial;
  if (slab == nullptr) return nullptr;
  Slot* slot = slab->free;
  ASSERT(slot != nullptr);  // A slab without free slots is not on the list.
  slab->free = slot->next;
  if (slab->used == 0) --list.empty;
  if (++slab->used == slab->capacity) unlink(list, slab);
  return slot;
}

void* allocate_small(size_t size_class) {
  SpinLocked<SizeClass>& locked = classes[size_class];
  void* slot = locked.with([](SizeClass& list) { return take_slot(list); });
  if (slot == nullptr) {
    Slab* fresh = make_slab(size_class);
    if (fresh == nullptr) return nullptr;
    slot = locked.with([&](SizeClass& list) {
      link(list, fresh);
      ++list.empty;
      return take_slot(list);
    });
  }
  check_poison(static_cast<Slot*>(slot), kSizes[size_class]);
  memory_counters.heap_bytes.fetch_add(kSizes[size_class], std::memory_order_relaxed);
  return slot;
}

// True when the slab, now empty, shall go back to the page allocator.
bool put_slot(SizeClass& list, Slab* slab, Slot* slot) {
  ASSERT(slab->used != 0);
  if (slab->used == slab->capacity) link(list, slab);
  slot->next = slab->free;
  slab->free = slot;
  if (--slab->used != 0) return false;
  if (list.empty >= kEmptySlabsKept) {
    unlink(list, slab);
    return true;
  }
  ++list.empty;
  return false;
}

constexpr bool fits_slab(size_t bytes, size_t align) {
  return bytes <= kLargest && align <= kHeader;
}

// The class whose slots are large enough and aligned; slots start at 64 + n * size.
size_t class_for(size_t bytes, size_t align) {
  size_t size_class = kClassOf[(bytes + 15) / 16];
  while (size_class < kSizes.size() && kSizes[size_class] % align != 0) ++size_class;
  return size_class;
}

constexpr size_t pages_for(size_t bytes) { return (bytes + kPageSize - 1) / kPageSize; }

}  // namespace

void* allocate(std::size_t bytes, std::size_t align) {
  if (bytes == 0 || align > kPageSize || bytes > static_cast<size_t>(PTRDIFF_MAX)) return nullptr;
  if (fits_slab(bytes, align)) {
    const size_t size_class = class_for(bytes, align);
    if (size_class < kSizes.size()) return allocate_small(size_class);
  }
  const Result<uint64_t> pages = allocate_pages(pages_for(bytes));
  if (pages.is_error()) return nullptr;
  memory_counters.heap_bytes.fetch_add(pages_for(bytes) * kPageSize, std::memory_order_relaxed);
  return reinterpret_cast<void*>(pages.value());
}

void free(void* memory, std::size_t bytes) {
  if (memory == nullptr) return;
  const auto address = reinterpret_cast<uint64_t>(memory);
  if (is_aligned(address, kPageSize)) {
    memory_counters.heap_bytes.fetch_sub(pages_for(bytes) * kPageSize, std::memory_order_relaxed);
    free_pages(address, pages_for(bytes));
    return;
  }
  Slab* slab = slab_of(memory);
  ASSERT(slab->magic == kMagic && slab->size_class < kSizes.size());
  const size_t size = kSizes[slab->size_class];
  ASSERT(bytes <= size && (address % kPageSize - kHeader) % size == 0);
  memory_counters.heap_bytes.fetch_sub(size, std::memory_order_relaxed);
  auto* slot = static_cast<Slot*>(memory);
  poison(slot, size);
  const bool give_back =
      classes[slab->size_class].with([&](SizeClass& list) { return put_slot(list, slab, slot); });
  if (!give_back) return;
  slab->magic = 0;
  free_pages(reinterpret_cast<uint64_t>(slab), 1);
}

}  // namespace occlum::kernel_heap

#pragma clang unsafe_buffer_usage end
