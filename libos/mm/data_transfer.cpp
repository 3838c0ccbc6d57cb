// See data_transfer.h.
#include "libos/mm/data_transfer.h"

#include <algorithm>
#include <array>

#include "libos/lib/bits.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/memory.h"
#include "libos/mm/address_space.h"

namespace occlum {
namespace {

size_t total(const Vec<UserSegment>& segments) {
  size_t bytes = 0;
  for (const UserSegment& segment : segments) bytes += segment.size;
  return bytes;
}

// Moves on to the next segment that is not empty. There is one: the caller has bytes left.
void next_segment(UserSegment& current, const Vec<UserSegment>& segments, size_t& next) {
  while (current.size == 0) {
    current = segments[next];
    ++next;
  }
}

void advance(UserSegment& segment, size_t bytes) {
  segment.address = segment.address + bytes;
  segment.size -= bytes;
}

// A copy of `count` bytes failed: how far it goes, page by page, as Linux counts it.
size_t bytes_before_fault(
    UserAddress at, size_t count,
    FunctionRef<Result<void>(UserAddress at, size_t skip, size_t bytes)> copy) {
  size_t done = 0;
  while (done < count) {
    const size_t in_page = kPageSize - (at + done).value() % kPageSize;
    const size_t bytes = std::min(in_page, count - done);
    if (copy(at + done, done, bytes).is_error()) break;
    done += bytes;
  }
  return done;
}

}  // namespace

DataSink::DataSink(std::span<std::byte> kernel_buffer)
    : kernel_(kernel_buffer), remaining_(kernel_buffer.size()) {}

DataSink::DataSink(UserAddress address, size_t size)
    : current_{address, size}, remaining_(size), is_user_(true) {}

DataSink::DataSink(Vec<UserSegment> segments)
    : segments_(std::move(segments)), remaining_(total(segments_)), is_user_(true) {}

// Stores `count` bytes, all within the current segment: `data`, or zeroes.
Result<void> DataSink::step(size_t count, std::span<const std::byte> data, bool zero) {
  if (!is_user_) {
    const std::span<std::byte> to = kernel_.subspan(transferred_, count);
    if (zero) {
      zero_bytes(to);
    } else {
      copy_bytes(to, data);
    }
  } else {
    const auto store = [&](UserAddress to, size_t skip, size_t bytes) {
      return zero ? zero_user(current_memory(), to, bytes)
                  : copy_to_user(current_memory(), to, data.subspan(skip, bytes));
    };
    const Result<void> stored = store(current_.address, 0, count);
    if (stored.is_error()) {
      const size_t good = bytes_before_fault(current_.address, count, store);
      advance(current_, good);
      transferred_ += good;
      remaining_ -= good;
      return stored;
    }
    advance(current_, count);
  }
  transferred_ += count;
  remaining_ -= count;
  return {};
}

Result<void> DataSink::write(std::span<const std::byte> data) {
  ASSERT(data.size() <= remaining_);
  while (!data.empty()) {
    if (is_user_) next_segment(current_, segments_, next_segment_);
    const size_t count = is_user_ ? std::min(data.size(), current_.size) : data.size();
    TRY(step(count, data.first(count), false));
    data = data.subspan(count);
  }
  return {};
}

Result<void> DataSink::write_zeroes(size_t bytes) {
  ASSERT(bytes <= remaining_);
  while (bytes != 0) {
    if (is_user_) next_segment(current_, segments_, next_segment_);
    const size_t count = is_user_ ? std::min(bytes, current_.size) : bytes;
    TRY(step(count, {}, true));
    bytes -= count;
  }
  return {};
}

DataSource::DataSource(std::span<const std::byte> kernel_buffer)
    : kernel_(kernel_buffer), at_{.remaining = kernel_buffer.size()} {}

DataSource::DataSource(UserAddress address, size_t size)
    : at_{.current = {address, size}, .remaining = size}, is_user_(true) {}

DataSource::DataSource(Vec<UserSegment> segments)
    : segments_(std::move(segments)), at_{.remaining = total(segments_)}, is_user_(true) {}

Result<void> DataSource::read(std::span<std::byte> to) {
  ASSERT(to.size() <= at_.remaining);
  const Position before = at_;
  while (!to.empty()) {
    size_t count = to.size();
    if (is_user_) {
      next_segment(at_.current, segments_, at_.next_segment);
      count = std::min(count, at_.current.size);
      // All or nothing: the file takes only whole reads from us. What it could have had is what remains.
      const auto load = [&](UserAddress from, size_t skip, size_t bytes) {
        return copy_from_user(current_memory(), to.subspan(skip, bytes), from);
      };
      if (Result<void> loaded = load(at_.current.address, 0, count); loaded.is_error()) {
        const size_t good = at_.transferred - before.transferred +
                            bytes_before_fault(at_.current.address, count, load);
        at_ = before;
        at_.remaining = good;
        return loaded;
      }
      advance(at_.current, count);
    } else {
      copy_bytes(to, kernel_.subspan(at_.transferred, count));
    }
    to = to.subspan(count);
    at_.transferred += count;
    at_.remaining -= count;
  }
  return {};
}

Result<Vec<UserSegment>> read_iovec(UserAddress iov, size_t count) {
  constexpr size_t kMostSegments = 1024;       // IOV_MAX
  constexpr uint64_t kMostBytes = 0x7ffff000;  // MAX_RW_COUNT
  struct IoVec {
    uint64_t base;
    uint64_t length;
  };
  if (count > kMostSegments) return Errno::kInval;
  Vec<UserSegment> segments;
  TRY(segments.reserve(count));
  bool outside = false;
  std::array<IoVec, 16> part = {};
  for (size_t done = 0; done < count;) {
    const std::span<IoVec> some = std::span(part).first(std::min(part.size(), count - done));
    TRY(copy_from_user(current_memory(), std::as_writable_bytes(some), iov + done * sizeof(IoVec)));
    for (const IoVec& entry : some) {
      if (entry.length > static_cast<uint64_t>(INT64_MAX)) return Errno::kInval;
      // One segment is cut to what one call moves before it is looked at; several are not (import_iovec in Linux).
      const uint64_t length =
          count == 1 ? std::min(entry.length, uint64_t{kMostBytes}) : entry.length;
      if (entry.base > kTaskSizeMax || length > kTaskSizeMax - entry.base) outside = true;
      segments.push_reserved({UserAddress(entry.base), length});
    }
    done += some.size();
  }
  if (outside) return Errno::kFault;
  return segments;
}

}  // namespace occlum
