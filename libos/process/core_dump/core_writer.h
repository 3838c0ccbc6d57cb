// Writes a core file from its start to its end, through a buffer, with holes.
#pragma once

#include <cstdint>
#include <span>

#include "libos/fs/vfs/file.h"
#include "libos/lib/memory.h"
#include "libos/lib/result.h"
#include "libos/lib/vec.h"

namespace occlum {

class CoreWriter {
 public:
  // Errors: kNoMem.
  static Result<CoreWriter> create(Thread& self, File& file);

  // Errors: kFBig: more than the limits allow; kIntr: the process was killed; the file's.
  Result<void> write(std::span<const std::byte> bytes);
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  Result<void> write_object(const T& object) {
    return write(object_bytes(object));
  }
  // A hole.
  Result<void> skip(uint64_t bytes);
  // To the next multiple.
  Result<void> align(uint64_t alignment) {
    return skip((alignment - position() % alignment) % alignment);
  }
  // What is in the buffer, and a hole at the end, belong to the file from now on.
  Result<void> finish();

 private:
  CoreWriter(Thread& self, File& file, Vec<std::byte> buffer);
  uint64_t position() const { return at_ + filled_; }
  Result<void> flush();

  Thread* self_;
  File* file_;
  Vec<std::byte> buffer_;
  size_t filled_ = 0;
  uint64_t at_ = 0;       // where the buffer belongs
  uint64_t written_ = 0;  // bytes; holes are free
  uint64_t most_written_;
  uint64_t end_;
};

}  // namespace occlum
