// MemoryObject: the page cache of one file (or of one anonymous shared mapping), shared with mmap.
//
// SGX binds an EPC page to one linear address, so a page cannot be seen at two addresses. A shared object therefore has
// at most one *home range* of linear addresses. Until somebody maps it shared, its pages lie anywhere in LibOS memory;
// the first MAP_SHARED mapping reserves the home range, moves the pages there, and from then on read(), write() and
// every process's mapping use the same bytes: coherence costs nothing. Private mappings are copies of these pages.
//
// A mapping at other addresses is an *alias* (memory_object_alias.cpp): the address space owns those addresses, and a
// page goes to whichever of its addresses is used, one at a time. While it is away at an alias, `Page::address` is a
// page of LibOS memory to which it can come back without fail; the LibOS itself always brings it back first.
//
// The object knows nothing about files: a PageSource below it fills and writes back pages.
//
// Locking: one mutex per object (rank kPageCache), held while pages are filled and written back. It is not held while
// bytes move from or to a program: that may fault, which takes the address space's lock (an earlier rank). Instead
// read() and write() count as *copies in flight*, and whoever takes pages away or moves them (shrinking, punching
// holes, invalidating, establishing the home) first waits until there are none.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "libos/arch/memory.h"
#include "libos/arch/prot.h"
#include "libos/lib/counted.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/tree.h"
#include "libos/lib/vec.h"
#include "libos/mm/data_transfer.h"
#include "libos/mm/homes.h"
#include "libos/mm/reserved_pages.h"

namespace occlum {

// What stands below a page cache. Called with the object's lock held; may sleep.
class PageSource {
 public:
  // Fills the page at `index` (4 KiB units) whole; bytes beyond the end of the file are zero. Errors: kIo, ...
  virtual Result<void> read_page(uint64_t index, std::span<std::byte, 4096> page) = 0;
  // Writes back a dirty page; `size` is the object's size in bytes. Sources without a backing store are never asked.
  virtual Result<void> write_page(uint64_t index, std::span<const std::byte, 4096> page,
                                  uint64_t size) = 0;
  // Pages of a source without a store (tmpfs, anonymous) start as zeroes and are never dropped.
  virtual bool has_store() const = 0;

 protected:
  ~PageSource() = default;
};

class MemoryObject : public RefCounted<MemoryObject>, Counted<MemoryObject> {
 public:
  // `source` may be null: zero-filled, memory only (tmpfs, shared anonymous memory, memfd). It must outlive the object
  // or be detached by detach_source() first.
  static Result<RefPtr<MemoryObject>> create(PageSource* source, uint64_t size);
  ~MemoryObject();

  uint64_t size() const;             // bytes
  uint64_t resident_bytes() const;   // memory held
  uint64_t allocated_bytes() const;  // that and what is reserved, for st_blocks and statfs
  bool has_source() const;           // false: its pages are nowhere else

  // Grows with zeroes, or shrinks: pages beyond are dropped and the tail of the last page zeroed. Mappings beyond the
  // end fault with SIGBUS from now on. Errors: kNoMem, kFBig.
  Result<void> resize(uint64_t size);

  // Copies from the object, stops at its end. Returns the bytes moved (0 at or past the end).
  Result<size_t> read(uint64_t offset, DataSink& sink);
  // Copies into the object and grows it where `offset` + data is beyond the end.
  Result<size_t> write(uint64_t offset, DataSource& source);

  // Frees whole pages and zeroes partial ones in the range, size unchanged (FALLOC_FL_PUNCH_HOLE).
  Result<void> punch_hole(uint64_t offset, uint64_t length);
  // fallocate(2) of an object in memory: the pages of the range are reserved (reserved_pages.h), behind the end, too.
  Result<void> reserve(uint64_t offset, uint64_t length);
  // How many bytes that would add to allocated_bytes().
  uint64_t missing_bytes(uint64_t offset, uint64_t length) const;
  // Where the pages end that are neither there nor reserved, from the page of `offset` on.
  uint64_t end_of_allocated(uint64_t offset) const;
  // First resident (data) or absent (hole) offset at or after `offset`, for SEEK_DATA/SEEK_HOLE of memory-only files.
  // kNxIo when there is none.
  Result<uint64_t> next_data(uint64_t offset);
  Result<uint64_t> next_hole(uint64_t offset);

  // Writes all dirty pages to the source. Pages mapped shared and writable are treated as dirty.
  Result<void> write_back();
  // Drops clean pages that nobody maps; forgets the source.
  void invalidate();
  // The same when memory is short: not if that meant to wait for copies, some of which may wait for memory.
  void drop_clean_pages();
  void detach_source();

  // --- for mm/ only ---
  // Calls `use` with the address of the filled page in LibOS memory, which may be read meanwhile. With the object's
  // lock held: `use` touches no program memory that may fault. kBadMsg past the end: SIGBUS.
  Result<void> with_page(uint64_t index, FunctionRef<Result<void>(uint64_t address)> use);
  bool is_resident(uint64_t index) const;
  bool is_hole(
      uint64_t index) const;  // of an object in memory only: filling it makes a page of zeroes

  // The home range covering at least [0, size()) and `minimum_size` bytes: establishes it on first use, with room to
  // grow. Returns its first address. The lock of no address space may be held. Errors: kNoMem.
  Result<uint64_t> home(uint64_t minimum_size);
  // Makes the part [offset, offset + range.size()) of the home be `range`, which the caller owns and gives up on
  // success. kExist when the object already has that address there: nothing changes hands. kNoMem when it has
  // another home that is mapped, kAgain when copies are in flight.
  Result<void> set_home(AddressRange range, uint64_t offset);
  // Gives up the home: its pages move to LibOS memory. What is mapped there becomes aliases at the same addresses, which
  // are now those of the address spaces; their areas are to be changed before anybody else looks at them. kAgain: copies
  // are in flight, or somebody maps it who is not one of `members`. kNoMem. Nothing has changed then.
  Result<void> give_up_home(FunctionRef<bool(const void* space)> members);
  uint64_t home_if_any() const;                            // 0: none
  bool owns_home(uint64_t offset, uint64_t length) const;  // whether that part of the home is ours
  bool is_mapped_home() const;
  // Calls back for each page of the part that is there: how many mappings it is in (/proc/<pid>/smaps).
  void count_mappings(uint64_t first, uint64_t count,
                      FunctionRef<void(size_t mappings)> page) const;

  // Who maps which pages with which rights; the page table's rights are the union. `space` is an identity only.
  // prepare_mapping_changes makes the next add, change or removal not fail for lack of memory.
  Result<void> prepare_mapping_changes();
  struct MappedPages {
    const void* space;
    uint64_t address;  // of the first
    uint64_t first, count;
    bool is_alias;
    uint64_t base() const { return address - first * 4096; }
    uint64_t last() const { return first + count; }
    AddressRange range() const { return {address, address + count * 4096}; }
  };
  Result<void> add_mapping(const MappedPages& pages, Prot prot);
  Result<void> change_mapping(const MappedPages& pages, Prot prot);
  enum class Unmap { kRevoke, kExit };
  void remove_mapping(const MappedPages& pages, Unmap how);

  // To be called before the first alias is mapped, with the lock of no address space held: from then on read() and
  // write() use no page without our lock, since it may go away.
  void allow_aliases();
  bool allows_aliases() const;
  // A fault at the first page of an alias: brings it there, and as many of the next as come easily. Says how the first
  // was found; kBadMsg as below.
  enum class Found { kAsItMustBe, kElsewhere, kOtherwise };
  Result<Found> fault_alias(const MappedPages& pages, Prot prot);
  // Those of the pages that are at the alias come back.
  void recall(const MappedPages& pages);

  // Makes `pages` pages from `index` (as far as they exist; at least the first) present at their home addresses, with
  // their rights, for a fault in a shared mapping. Says how the first was found. kBadMsg when it is past the end: SIGBUS.
  Result<Found> fault_home_pages(uint64_t index, uint64_t pages);
  void note_shared_writable() { shared_writable_.store(true, std::memory_order_relaxed); }

 private:
  template <typename T, typename... Args>
  friend T* ptr_detail::construct_on_heap(Args&&... args);
  MemoryObject(PageSource* source, uint64_t size);

  struct Page {
    uint64_t address;  // at home, or in LibOS memory
    bool dirty;
    uint64_t alias = 0;  // not 0: the content is there, and `address` is in LibOS memory
  };
  struct Mapping {
    const void* space;
    uint64_t base;         // the linear address of page 0, if it were mapped
    uint64_t first, last;  // pages
    Prot prot;
    bool is_alias;
  };
  struct State {
    State(MemoryObject& object, PageSource* the_source, uint64_t the_size)
        : source(the_source), size(the_size), home_entry(object) {}
    PageSource* source;
    uint64_t size;
    uint64_t home_base = 0;  // linear address of page 0; may be before the window, even below 0
    AddressRange window = {0, 0};  // linear addresses that the object owns: set_window()
    Homes::Entry home_entry;
    Vec<Mapping> mappings;
    Tree<uint64_t, Page> pages;
    bool allows_aliases = false;
    size_t pages_away = 0;  // at aliases
    ReservedPages reserved;
    uint64_t reserved_only = 0;  // of these, those that are not in `pages`

    void set_window(AddressRange range) {
      window = range;
      Homes::set(home_entry, range);
    }
    bool has_home() const { return window.start != window.end; }
    uint64_t home_of(uint64_t index) const { return home_base + index * 4096; }
    // Whether that is where the page belongs, and whether it is there.
    bool at_home(uint64_t index) const { return has_home() && window.contains(home_of(index)); }
    bool is_home(uint64_t index, const Page& page) const {
      return at_home(index) && page.address == home_of(index);
    }
  };
  friend class CachedObjects;
  ListNode cached_node_;  // in the list of all that have a store below
  mutable MutexLocked<State> state_;
  std::atomic<bool> shared_writable_{false};

  // Copies in flight, and whether somebody waits for them to end or is changing the layout.
  static constexpr uint32_t kChanging = 1u << 31;
  std::atomic<uint32_t> copies_{0};
  void begin_copy();
  void end_copy();
  void begin_change();
  bool try_begin_change();
  void end_change();
  friend class ObjectCopy;
  friend class ObjectChange;

  enum class Content { kFill, kZero };
  // Where a page that is not there yet is made.
  enum class Place { kHome, kLibos };
  // The page, where it belongs.
  static Result<Page*> get_page(State& state, uint64_t index, Content absent);
  static Result<Page*> make_page(State& state, uint64_t index, Content absent, Place place);
  static Result<uint64_t> make_memory(State& state, uint64_t index, Place place);
  static void free_page(State& state, uint64_t index, Page& page);
  static void release_home(const State& state, AddressRange pages);
  static Result<void> settle_page(State& state, uint64_t index, Page& page);
  static Result<void> leave_home(State& state, uint64_t index, Page& page);
  static void bring_back(State& state, Page& page);
  static void leave_alias(State& state, Page& page);
  static void drop_pages(State& state, uint64_t first, uint64_t last);
  static uint64_t count_pages(const State& state, uint64_t first, uint64_t last);
  // The first page from `index` on that is neither there nor, as the member says, reserved.
  using EndOfReserved = uint64_t (ReservedPages::*)(uint64_t) const;
  static uint64_t end_of_pages(const State& state, uint64_t index, EndOfReserved end_of_reserved);
  static uint64_t count_reserved_only(const State& state, uint64_t first, uint64_t last);
  static Result<void> drop_reserved(State& state, uint64_t first, uint64_t last);
  static void drop_clean(State& state, bool shared_writable);
  static Result<void> zero_part(State& state, uint64_t start, uint64_t end);
  static bool has_home_mappings(const State& state);
  static bool is_mapped(const State& state, uint64_t index);
  static bool is_mapped_whole(const State& state, const MappedPages& pages);
  static Prot home_rights(const State& state, uint64_t index);
  static void refresh_rights(State& state, uint64_t first, uint64_t last);
  static Result<void> reserve_mappings(State& state, size_t more);
  static void cut_mappings(State& state, const MappedPages& pages);
  static Result<void> reserve_home(State& state, uint64_t bytes);
  static Result<void> move_pages_home(State& state);
  static Result<void> move_pages_out(State& state);
  static void free_window(State& state);
  static bool grow_window(State& state, uint64_t bytes);

  // Runs `use` with the page readable and writable by the LibOS.
  static Result<void> with_access(State& state, uint64_t index, const Page& page,
                                  FunctionRef<Result<void>(uint64_t address)> use);
  // True when the page can be used without the lock, until the layout changes.
  static bool is_accessible(State& state, uint64_t index, const Page& page);
  Result<size_t> read_chunk(uint64_t offset, DataSink& sink);
  Result<size_t> write_chunk(uint64_t offset, DataSource& source);
};

}  // namespace occlum
