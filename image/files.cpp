#include "image/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace image {

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
  }
  return *this;
}

void File::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<File> File::open(const std::string& path, int flags, unsigned mode,
                        std::string_view purpose) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return fail_errno(errno, "cannot {} {}", purpose, path);
  return File(fd, path);
}

Result<uint64_t> File::size() const {
  struct stat status{};
  if (fstat(fd_, &status) != 0) return fail_errno(errno, "cannot read {}", path_);
  if (S_ISDIR(status.st_mode)) return fail_errno(EISDIR, "cannot read {}", path_);
  if (!S_ISREG(status.st_mode)) return fail("cannot read {}: not a regular file", path_);
  return static_cast<uint64_t>(status.st_size);
}

Result<void> File::read_at(uint64_t offset, std::span<std::byte> data) const {
  while (!data.empty()) {
    ssize_t n = pread(fd_, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot read {}", path_);
    if (n == 0) return fail("{} is truncated", path_);
    data = data.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<void> File::write_at(uint64_t offset, std::span<const std::byte> data) const {
  while (!data.empty()) {
    ssize_t n = pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot write {}", path_);
    data = data.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<std::string> read_file(const std::string& path, uint64_t limit) {
  // O_NONBLOCK: a FIFO of that name must not hang us; size() refuses it.
  File file = IMAGE_TRY(File::open(path, O_RDONLY | O_NONBLOCK));
  uint64_t size = IMAGE_TRY(file.size());
  if (size > limit) return fail("{} is too large ({} bytes; at most {})", path, size, limit);
  std::string text(size, '\0');
  IMAGE_TRY(file.read_at(0, std::as_writable_bytes(std::span(text.data(), text.size()))));
  return text;
}

Result<void> write_file(const std::string& path, std::string_view text, unsigned mode) {
  PendingFile file = IMAGE_TRY(PendingFile::create(path, mode));
  IMAGE_TRY(file.file().write_at(0, bytes_of(text)));
  return file.commit();
}

Result<PendingFile> PendingFile::create(const std::string& path, unsigned mode) {
  std::filesystem::path place(path);
  std::string temporary =
      (place.parent_path() / ("." + place.filename().string() + ".tmp")).string();
  // What a killed build left behind is replaced, never followed: it might be a link by now.
  if (unlink(temporary.c_str()) != 0 && errno != ENOENT) {
    return fail_errno(errno, "cannot replace {}", temporary);
  }
  File file =
      IMAGE_TRY(File::open(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, "create"));
  PendingFile pending(std::move(file), path);
  if (fchmod(pending.file_.fd(), mode) != 0) {
    return fail_errno(errno, "cannot set the mode of {}", temporary);
  }
  return pending;
}

PendingFile::PendingFile(PendingFile&& other) noexcept
    : file_(std::move(other.file_)),
      path_(std::move(other.path_)),
      committed_(std::exchange(other.committed_, true)) {}

PendingFile::~PendingFile() {
  if (!committed_) unlink(file_.path().c_str());
}

Result<void> PendingFile::commit() {
  if (rename(file_.path().c_str(), path_.c_str()) != 0) {
    return fail_errno(errno, "cannot write {}", path_);
  }
  committed_ = true;
  return {};
}

}  // namespace image
