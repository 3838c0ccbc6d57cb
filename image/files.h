// Files of the untrusted tools: whole reads, exact writes, and outputs that appear complete or not
// at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "image/error.h"

namespace image {

// An open descriptor with the path that its errors name.
class File {
 public:
  File() = default;
  File(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File() { close(); }

  // open(2) with O_CLOEXEC. `purpose` is the verb of the error: "read", "write", "create".
  static Result<File> open(const std::string& path, int flags, unsigned mode = 0,
                           std::string_view purpose = "read");

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  Result<uint64_t> size() const;
  // Reads exactly `data.size()` bytes; an early end is an error ("is truncated").
  Result<void> read_at(uint64_t offset, std::span<std::byte> data) const;
  Result<void> write_at(uint64_t offset, std::span<const std::byte> data) const;
  void close();

 private:
  int fd_ = -1;
  std::string path_;
};

// The whole of a regular file of at most `limit` bytes.
Result<std::string> read_file(const std::string& path, uint64_t limit);

// Replaces `path` with `text`, atomically: a temporary file in the same directory, then rename(2).
// The mode is `mode` whatever the umask.
Result<void> write_file(const std::string& path, std::string_view text, unsigned mode = 0644);

// A file under construction at `<dir>/.<name>.tmp`: commit() renames it to its place, the
// destructor removes it if that did not happen. Only one process may build a given path at a time
// (the instance's build lock sees to that).
class PendingFile {
 public:
  static Result<PendingFile> create(const std::string& path, unsigned mode = 0644);
  PendingFile(PendingFile&& other) noexcept;
  PendingFile& operator=(PendingFile&&) = delete;
  ~PendingFile();

  const File& file() const { return file_; }
  const std::string& temporary_path() const { return file_.path(); }
  Result<void> commit();

 private:
  PendingFile(File file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  File file_;
  std::string path_;
  bool committed_ = false;
};

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace image
