// MemoryObject: the page cache of one file (or of one anonymous shared mapping), shared with mmap.
//
// SGX binds an EPC page to one linear address, so a page cannot be seen at two addresses. A shared object therefore has
// at most one *home range* of linear addresses. Until somebody maps it shared, its pages lie anywhere in LibOS memory;
// the first MAP_SHARED mapping reserves the home range, moves the pages there, and from then on read(), write() and
// every process's mapping use the same bytes: coherence costs nothing. Private mappings are copies of these pages.
//
// The object knows nothing about files: a PageSource below it fills and writes back pages. Locking: one mutex per
// object (rank kPageCache), held while pages are copied, filled and written back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/tree.h"
#include "libos/mm/data_transfer.h"

namespace occlum {

// What stands below a page cache. Called with the object's lock held; may sleep.
class PageSource {
 public:
  // Fills the page at `index` (4 KiB units) whole; bytes beyond the end of the file are zero. Errors: kIo, ...
  virtual Result<void> read_page(uint64_t index, std::span<std::byte, 4096> page) = 0;
  // Writes back a dirty page; `size` is the object's size in bytes. Sources without a backing store are never asked.
  virtual Result<void> write_page(uint64_t index, std::span<const std::byte, 4096> page, uint64_t size) = 0;
  // Pages of a source without a store (tmpfs, anonymous) start as zeroes and are never dropped.
  virtual bool has_store() const = 0;

 protected:
  ~PageSource() = default;
};

class MemoryObject : public RefCounted<MemoryObject> {
 public:
  // `source` may be null: zero-filled, memory only (tmpfs, shared anonymous memory, memfd). It must outlive the object
  // or be detached by detach_source() first.
  static Result<RefPtr<MemoryObject>> create(PageSource* source, uint64_t size);
  ~MemoryObject();

  uint64_t size() const;             // bytes
  uint64_t resident_bytes() const;   // memory held, for st_blocks and statfs

  // Grows with zeroes, or shrinks: pages beyond are dropped and the tail of the last page zeroed. Mappings beyond the
  // end fault with SIGBUS from now on. Errors: kNoMem, kFileTooBig.
  Result<void> resize(uint64_t size);

  // Copies from the object, stops at its end. Returns the bytes moved (0 at or past the end).
  Result<size_t> read(uint64_t offset, DataSink& sink);
  // Copies into the object and grows it where `offset` + data is beyond the end.
  Result<size_t> write(uint64_t offset, DataSource& source);

  // Frees whole pages and zeroes partial ones in the range, size unchanged (FALLOC_FL_PUNCH_HOLE).
  Result<void> punch_hole(uint64_t offset, uint64_t length);
  // First resident (data) or absent (hole) offset at or after `offset`, for SEEK_DATA/SEEK_HOLE of memory-only files.
  Result<uint64_t> next_data(uint64_t offset);
  Result<uint64_t> next_hole(uint64_t offset);

  // Writes all dirty pages to the source. Pages mapped shared and writable are treated as dirty.
  Result<void> write_back();
  // Drops clean pages that nobody maps; forgets the source.
  void invalidate();
  void detach_source();

  // --- for mm/ only ---
  // Address of the page in LibOS memory, filled. Valid while the object's lock is not needed: pages move only when the
  // home is established, and are dropped only by resize, punch_hole and invalidate.
  Result<uint64_t> page_address(uint64_t index);
  // The home range covering at least [0, size()): establishes it on first use. Returns its first address.
  Result<uint64_t> home(uint64_t minimum_size);
  // Makes the page present at its home address, for a fault in a shared mapping. kBadMsg past the end: SIGBUS.
  Result<void> fault_home_page(uint64_t index);
  void note_shared_writable() { shared_writable_.store(true, std::memory_order_relaxed); }

 private:
  friend Result<RefPtr<MemoryObject>> make_ref_memory_object(PageSource* source, uint64_t size);
  template <typename T, typename... Args>
  friend Result<RefPtr<T>> make_ref(Args&&... args);
  MemoryObject(PageSource* source, uint64_t size);

  struct Page {
    uint64_t address;
    bool dirty;
  };
  struct State {
    PageSource* source;
    uint64_t size;
    uint64_t home = 0;
    uint64_t home_size = 0;
    Tree<uint64_t, Page> pages;
  };
  mutable MutexLocked<State> state_;
  std::atomic<bool> shared_writable_{false};

  static Result<Page*> get_page(State& state, uint64_t index);
  static void drop_pages(State& state, uint64_t first, uint64_t last);
};

}  // namespace occlum
