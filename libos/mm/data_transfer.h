// DataSink and DataSource: where the bytes of a read go to and where those of a write come from.
//
// A file's read() fills a DataSink and does not know whether that is a program's buffer, an iovec or a buffer of the
// LibOS; a write() drains a DataSource. Both keep a position, so that a file hands over its data chunk by chunk
// without a copy in between. User memory is checked and copied as in mm/user.h.
#pragma once

#include <cstddef>
#include <span>

#include "libos/lib/result.h"
#include "libos/lib/vec.h"
#include "libos/mm/user.h"

namespace occlum {

struct UserSegment {
  UserAddress address;
  size_t size;
};

class DataSink {
 public:
  explicit DataSink(std::span<std::byte> kernel_buffer);
  DataSink(UserAddress address, size_t size);    // the current task's memory
  explicit DataSink(Vec<UserSegment> segments);  // iovec, sizes already summed and checked
  DataSink(DataSink&&) = default;
  DataSink(const DataSink&) = delete;

  size_t remaining() const { return remaining_; }
  size_t transferred() const { return transferred_; }

  // Takes all of `data`, which must not be longer than remaining(). On kFault the bytes before the bad page may have
  // been stored and count as transferred(); callers that have a transferred() > 0 return that instead of the error.
  Result<void> write(std::span<const std::byte> data);
  Result<void> write_zeroes(size_t count);

  // Never more than `limit` bytes from now on.
  void truncate(size_t limit) {
    if (limit < remaining_) remaining_ = limit;
  }

 private:
  std::span<std::byte> kernel_;
  Vec<UserSegment> segments_;  // empty for a kernel buffer or a single user segment
  UserSegment current_{};
  size_t next_segment_ = 0;
  size_t remaining_ = 0;
  size_t transferred_ = 0;
  bool is_user_ = false;
  Result<void> step(size_t count, std::span<const std::byte> data, bool zero);
};

class DataSource {
 public:
  explicit DataSource(std::span<const std::byte> kernel_buffer);
  DataSource(UserAddress address, size_t size);
  explicit DataSource(Vec<UserSegment> segments);
  DataSource(DataSource&&) = default;
  DataSource(const DataSource&) = delete;

  size_t remaining() const { return at_.remaining; }
  size_t transferred() const { return at_.transferred; }

  // Fills all of `to`, which must not be longer than remaining(). Or nothing counts as transferred(): on kFault,
  // remaining() is what can be had.
  Result<void> read(std::span<std::byte> to);

  void truncate(size_t limit) {
    if (limit < at_.remaining) at_.remaining = limit;
  }

  // For what was read and could not be used: it is read again.
  struct Position {
    UserSegment current{};
    size_t next_segment = 0;
    size_t remaining = 0;
    size_t transferred = 0;
  };
  Position position() const { return at_; }
  void go_back(const Position& position) { at_ = position; }

 private:
  std::span<const std::byte> kernel_;
  Vec<UserSegment> segments_;
  Position at_;
  bool is_user_ = false;
};

// Reads and checks an iovec array of the current task (IOV_MAX 1024, total at most SSIZE_MAX).
// Errors: kFault, kInval.
Result<Vec<UserSegment>> read_iovec(UserAddress iov, size_t count);

}  // namespace occlum
