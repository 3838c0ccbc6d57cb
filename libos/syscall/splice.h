// What splice(2) and sendfile(2) share.
#pragma once

#include <optional>

#include "libos/fs/vfs/file.h"
#include "libos/ipc/pipe.h"

namespace occlum {

// Where one side of a copy reads or writes: an explicit offset, or the file's position.
class CopyPlace {
 public:
  CopyPlace(File& file, std::optional<uint64_t> offset) : file_(file), offset_(offset) {}

  Result<size_t> read(std::span<std::byte> buffer);
  Result<size_t> write(std::span<const std::byte> data);
  // Gives back what was read and could not be written.
  Result<void> rewind(size_t bytes);
  std::optional<uint64_t> offset() const { return offset_; }
  File& file() { return file_; }

 private:
  File& file_;
  std::optional<uint64_t> offset_;
};

// Whether the file has what splice(2) needs to read from it: file data, sockets, terminals.
bool can_splice_from(File& file);

// Fills the pipe's free slots from the file, page by page of the file where it has pages. Waits for
// a free slot, but not for more. Errors: kPipe (SIGPIPE was raised), kAgain, those of reading.
Result<size_t> splice_to_pipe(CopyPlace& from, Pipe& to, size_t limit, Blocking blocking);

}  // namespace occlum
