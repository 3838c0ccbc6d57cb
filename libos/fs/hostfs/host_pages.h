// HostPages: the page cache of one version of a host file.
//
// A version is (dev, ino, size, mtime, ctime): when the host's file changes, the inode starts a new HostPages and lets
// the old one go. Mappings keep the MemoryObject of the old one alive, and that needs its source; so a HostPages that
// is still mapped when its inode lets go is kept aside until the last mapping is gone (retire).
//
// Pages come in chunks of 64 KiB, in a row of 256 KiB; the host descriptor is closed again when many are open and this
// one is not needed.
#pragma once

#include <atomic>

#include "libos/host/calls.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/vec.h"
#include "libos/mm/memory_object.h"

namespace occlum {

struct HostVersion {
  uint64_t size = 0;
  int64_t mtime_s = 0, ctime_s = 0;
  uint32_t mtime_ns = 0, ctime_ns = 0;
  bool operator==(const HostVersion&) const = default;
};
HostVersion version_of(const host::HostStat& stat);

class HostPages final : public RefCounted<HostPages>, public PageSource {
 public:
  static Result<RefPtr<HostPages>> create(const HostVersion& version);
  explicit HostPages(const HostVersion& version)
      : version_(LockRank::kAttributes, version) {}  // for make_ref
  ~HostPages();

  // Gives the pages up, but not while they are mapped.
  static void retire(RefPtr<HostPages> pages);

  const RefPtr<MemoryObject>& object() const { return object_; }
  HostVersion version() const {
    return version_.with([](const HostVersion& version) { return version; });
  }
  // After a change of our own.
  void set_version(const HostVersion& version) {
    version_.with([&](HostVersion& own) { own = version; });
  }

  enum class Need { kRead, kWrite };
  // Whether the descriptor that is needed is there, or is not needed because everything is cached.
  bool is_ready(Need need) const;
  void set_descriptor(HostFd fd, Need opened_for);
  // The number of the descriptor, kBadFd when there is none. It stays open while `pages` is used by an open file.
  Result<int> descriptor(Need need) const;

  // Open files that use it: the descriptor stays open.
  void add_user() { users_.fetch_add(1, std::memory_order_relaxed); }
  void remove_user() { users_.fetch_sub(1, std::memory_order_relaxed); }

  // Before the host's file changes size or loses bytes by our doing: what was read ahead is old, and from now on bytes
  // up to `size` are asked of the host.
  void begin_change(uint64_t size);

  // Writes through: to the host, then to the pages that are cached. Returns the bytes written.
  Result<size_t> write(uint64_t offset, DataSource& source);

  Result<void> read_page(uint64_t index, std::span<std::byte, 4096> page) override;
  Result<void> write_page(uint64_t index, std::span<const std::byte, 4096> page,
                          uint64_t size) override;
  bool has_store() const override { return true; }

 private:
  friend struct HostPagesTable;
  struct State {
    HostFd fd;
    bool writable = false;
    Vec<std::byte> ahead;      // what was read ahead
    uint64_t ahead_start = 0;  // its first byte in the file
    size_t ahead_left = 0;     // pages of it that nobody took yet
    uint64_t next_start = 0;   // where a sequential reader would go on
  };

  Result<void> fill_ahead(State& state, uint64_t index);
  bool can_close() const;
  void close_descriptor();

  mutable MutexLocked<State> state_{LockRank::kBlockStore};
  mutable SpinLocked<HostVersion> version_;
  RefPtr<MemoryObject> object_;
  std::atomic<uint32_t> users_{0};
  ListNode open_node_;  // of those with an open descriptor
};

}  // namespace occlum
