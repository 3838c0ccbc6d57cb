#include "libos/process/core_dump/core_writer.h"

#include <algorithm>

#include "libos/process/process.h"

namespace occlum {
namespace {

constexpr size_t kBufferSize = 64 * 1024;

}  // namespace

CoreWriter::CoreWriter(Thread& self, File& file, Vec<std::byte> buffer)
    : self_(&self),
      file_(&file),
      buffer_(std::move(buffer)),
      most_written_(self.process().limit(Resource::kCore).soft),
      end_(self.process().limit(Resource::kFileSize).soft) {}

Result<CoreWriter> CoreWriter::create(Thread& self, File& file) {
  return CoreWriter(self, file, TRY(Vec<std::byte>::create(kBufferSize)));
}

Result<void> CoreWriter::flush() {
  if (self_->must_die()) return Errno::kIntr;
  DataSource source(std::span<const std::byte>(buffer_.span().first(filled_)));
  while (source.remaining() != 0) {
    const size_t moved = TRY(file_->write_at(at_, source));
    if (moved == 0) return Errno::kNoSpc;
    at_ += moved;
  }
  filled_ = 0;
  return {};
}

Result<void> CoreWriter::write(std::span<const std::byte> bytes) {
  if (bytes.size() > most_written_ - written_ || position() > end_ ||
      bytes.size() > end_ - position()) {
    TRY(finish());
    return Errno::kFBig;
  }
  written_ += bytes.size();
  while (!bytes.empty()) {
    const size_t part = std::min(bytes.size(), buffer_.size() - filled_);
    copy_bytes(buffer_.span().subspan(filled_), bytes.first(part));
    filled_ += part;
    bytes = bytes.subspan(part);
    if (filled_ == buffer_.size()) TRY(flush());
  }
  return {};
}

Result<void> CoreWriter::skip(uint64_t bytes) {
  if (bytes == 0) return {};
  TRY(flush());
  at_ += bytes;
  return {};
}

Result<void> CoreWriter::finish() {
  TRY(flush());
  if (TRY(file_->stat()).size < at_ && at_ <= end_) TRY(file_->truncate(at_));
  return {};
}

}  // namespace occlum
