// See host_pages.h.
#include "libos/fs/hostfs/host_pages.h"

#include <algorithm>
#include <array>

#include "libos/lib/bits.h"
#include "libos/lib/memory.h"
#include "libos/sched/host_files.h"

namespace occlum {

// Which HostPages have open descriptors, and which are only kept for their mappings.
struct HostPagesTable {
  IntrusiveList<HostPages, &HostPages::open_node_> open;  // least recently opened first
  Vec<RefPtr<HostPages>> retired;
};

namespace {

[[clang::no_destroy]] constinit SpinLocked<HostPagesTable> table{LockRank::kDentryCache};

constexpr size_t kMostOpenDescriptors = 256;
constexpr uint64_t kChunk = 64 * 1024, kLongChunk = 256 * 1024 - kPageSize;

// Retired pages whose mappings are gone. At most a few at a time; the caller drops them without the lock.
std::array<RefPtr<HostPages>, 16> take_unmapped() {
  std::array<RefPtr<HostPages>, 16> gone;
  size_t count = 0;
  table.with([&](HostPagesTable& all) {
    for (size_t i = 0; i < all.retired.size() && count < gone.size();) {
      if (all.retired[i]->object()->reference_count() == 1) {
        gone[count++] = all.retired.swap_remove(i);
      } else {
        ++i;
      }
    }
  });
  return gone;
}

}  // namespace

HostVersion version_of(const host::HostStat& stat) {
  return {stat.size, stat.mtime_s, stat.ctime_s, stat.mtime_ns, stat.ctime_ns};
}

Result<RefPtr<HostPages>> HostPages::create(const HostVersion& version) {
  RefPtr<HostPages> pages = TRY(make_ref<HostPages>(version));
  pages->object_ = TRY(MemoryObject::create(pages.get(), version.size));
  return pages;
}

HostPages::~HostPages() {
  table.with([&](HostPagesTable& all) {
    if (all.open.contains(*this)) all.open.remove(*this);
  });
}

void HostPages::retire(RefPtr<HostPages> pages) {
  if (pages == nullptr) return;
  if (!pages->descriptor(Need::kWrite).is_error()) {
    // Stores through mappings are only in the pages.
    static_cast<void>(pages->object_->write_back().is_error());
  }
  take_unmapped();
  if (pages->object_->reference_count() == 1) return;
  const bool kept =
      table.with([&](HostPagesTable& all) { return !all.retired.push(pages).is_error(); });
  if (kept) return;
  // No memory to remember it by: it stays for good rather than leave mappings without a source.
  static_cast<void>(pages.leak());
}

bool HostPages::is_ready(Need need) const {
  if (!descriptor(need).is_error()) return true;
  if (need == Need::kWrite) return false;
  return object_->resident_bytes() >= align_up(version().size, kPageSize);
}

Result<int> HostPages::descriptor(Need need) const {
  return state_.with([&](const State& state) -> Result<int> {
    if (!state.fd.is_open() || (need == Need::kWrite && !state.writable)) return Errno::kBadFd;
    return state.fd.number();
  });
}

bool HostPages::can_close() const {
  if (users_.load(std::memory_order_relaxed) != 0) return false;
  return object_->reference_count() == 1 ||
         object_->resident_bytes() >= align_up(version().size, kPageSize);
}

void HostPages::close_descriptor() {
  HostFd closed;
  state_.with([&](State& state) {
    std::swap(closed, state.fd);
    state.writable = false;
    state.ahead.clear();
    state.ahead_left = 0;
  });
}

void HostPages::set_descriptor(HostFd fd, Need opened_for) {
  HostFd old;
  state_.with([&](State& state) {
    old = std::move(state.fd);
    state.fd = std::move(fd);
    state.writable = opened_for == Need::kWrite;
  });
  std::array<RefPtr<HostPages>, 32> idle;
  table.with([&](HostPagesTable& all) {
    if (all.open.contains(*this)) all.open.remove(*this);
    all.open.push_back(*this);
    if (all.open.size() <= kMostOpenDescriptors) return;
    size_t count = 0, looked = 0;
    for (HostPages* pages = all.open.first();
         pages != nullptr && count < idle.size() && looked < 512; ++looked) {
      HostPages* next = all.open.next(*pages);
      if (pages != this && pages->try_ref()) {
        idle[count++] = RefPtr<HostPages>::adopt(*pages);
        all.open.remove(*pages);
      }
      pages = next;
    }
  });
  for (const RefPtr<HostPages>& pages : idle) {
    if (pages == nullptr) continue;
    if (pages->can_close()) {
      pages->close_descriptor();
    } else {
      table.with([&](HostPagesTable& all) {
        if (!all.open.contains(*pages)) all.open.push_back(*pages);
      });
    }
  }
}

// Reads the chunk around a page: 64 KiB, or 256 KiB for those who read on.
Result<void> HostPages::fill_ahead(State& state, uint64_t index) {
  if (!state.fd.is_open()) return Errno::kStale;
  const uint64_t size = version().size;
  const uint64_t offset = index * kPageSize;
  const bool sequential = offset == state.next_start && offset != 0;
  const uint64_t start = sequential ? offset : align_down(offset, kChunk);
  const uint64_t end = std::min(start + (sequential ? kLongChunk : kChunk),
                                align_up(std::max(size, offset + 1), kPageSize));
  const size_t length = static_cast<size_t>(end - start);
  state.ahead_left = 0;
  TRY(state.ahead.resize(length));
  // Not past the size that we go by, or the host would be asked twice: what is behind it is zero, and so is what the
  // host's file does not have any more.
  const size_t wanted =
      static_cast<size_t>(std::min<uint64_t>(length, size > start ? size - start : 0));
  const size_t count = TRY(host::pread(state.fd.number(), state.ahead.span().first(wanted), start));
  zero_bytes(state.ahead.span().subspan(count));
  state.ahead_start = start;
  state.ahead_left = length / kPageSize;
  state.next_start = end;
  return {};
}

Result<void> HostPages::read_page(uint64_t index, std::span<std::byte, 4096> page) {
  return state_.with([&](State& state) -> Result<void> {
    const uint64_t offset = index * kPageSize;
    const bool is_there = state.ahead_left != 0 && offset >= state.ahead_start &&
                          offset - state.ahead_start < state.ahead.size();
    if (!is_there) TRY(fill_ahead(state, index));
    copy_bytes(page, state.ahead.span().subspan(static_cast<size_t>(offset - state.ahead_start),
                                                kPageSize));
    if (--state.ahead_left == 0) state.ahead.clear();
    return {};
  });
}

Result<void> HostPages::write_page(uint64_t index, std::span<const std::byte, 4096> page,
                                   uint64_t size) {
  const uint64_t offset = index * kPageSize;
  if (offset >= size) return {};
  const size_t length = static_cast<size_t>(std::min<uint64_t>(kPageSize, size - offset));
  return state_.with([&](State& state) -> Result<void> {
    if (!state.fd.is_open() || !state.writable) return Errno::kIo;
    TRY(host::pwrite(state.fd.number(), page.first(length), offset));
    return {};
  });
}

void HostPages::begin_change(uint64_t size) {
  version_.with([&](HostVersion& version) { version.size = size; });
  state_.with([](State& state) {
    state.ahead.clear();
    state.ahead_left = 0;
  });
}

Result<size_t> HostPages::write(uint64_t offset, DataSource& source) {
  const int fd = TRY(descriptor(Need::kWrite));
  Vec<std::byte> buffer = TRY(Vec<std::byte>::create(std::min<size_t>(source.remaining(), kChunk)));
  size_t total = 0;
  while (source.remaining() != 0) {
    const std::span<std::byte> piece =
        buffer.span().first(std::min(buffer.size(), source.remaining()));
    if (const Result<void> copied = source.read(piece); copied.is_error()) {
      // What lies before the bad page is what remains.
      if (copied.error() == Errno::kFault && source.remaining() != 0) continue;
      if (total != 0) break;
      return copied.error();
    }
    const Result<size_t> written = host::pwrite(fd, piece, offset);
    if (written.is_error()) {
      if (total != 0) break;
      return written.error();
    }
    const size_t count = written.value();
    begin_change(std::max(version().size, offset + count));
    if (offset + count > object_->size()) TRY(object_->resize(offset + count));
    // Only pages that are cached need the new bytes; the others come from the host when they are asked for.
    for (size_t done = 0; done < count;) {
      const uint64_t at = offset + done;
      const size_t step = std::min<size_t>(count - done, kPageSize - at % kPageSize);
      if (object_->is_resident(at / kPageSize)) {
        DataSource slice(piece.subspan(done, step));
        TRY(object_->write(at, slice));
      }
      done += step;
    }
    offset += count;
    total += count;
    if (count < piece.size()) break;
  }
  return total;
}

}  // namespace occlum
