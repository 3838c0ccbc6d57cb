// See directory_file.h.
#include "libos/fs/vfs/directory_file.h"

#include "libos/fs/vfs/notify.h"
#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/regular_file.h"

namespace occlum {

constexpr uint64_t kDotEntries = 2;
constexpr uint32_t kDroppedFlags =
    kOpenCreate | kOpenExclusive | kOpenNoCtty | kOpenTruncate | kOpenCloseOnExec;

DirectoryFile::DirectoryFile(Path path, uint32_t flags)
    : File(flags & ~kDroppedFlags),
      path_(std::move(path)),
      position_(LockRank::kFilePosition, 0u) {}

Result<uint64_t> DirectoryFile::seek(int64_t offset, Whence whence) {
  return position_.with([&](uint64_t& position) -> Result<uint64_t> {
    if (whence == Whence::kSet) {
      position = TRY(seek_target(0, offset));
    } else if (whence == Whence::kCur) {
      position = TRY(seek_target(position, offset));
    } else {
      return Errno::kInval;
    }
    return position;
  });
}

Result<void> DirectoryFile::read_entries(FunctionRef<bool(const DirectoryEntry&)> emit) {
  // ".." of a mount's root is outside of it.
  Path parent = path_;
  mount_table().leave_mount(parent);
  if (RefPtr<Dentry> above = parent.dentry->parent()) parent.dentry = std::move(above);
  const uint64_t own_number = TRY(inode()->stat()).ino;
  const uint64_t parent_number = TRY(parent.inode().stat()).ino;
  // A removed directory is empty.
  const bool is_deleted = path_.dentry->is_deleted();
  TRY(position_.with([&](uint64_t& position) -> Result<void> {
    if (is_deleted) return {};
    if (position == 0) {
      if (!emit({".", own_number, FileType::kDirectory, 1})) return {};
      position = 1;
    }
    if (position == 1) {
      if (!emit({"..", parent_number, FileType::kDirectory, kDotEntries})) return {};
      position = kDotEntries;
    }
    bool is_at_end = true;
    TRY(inode()->readdir(position - kDotEntries, [&](const DirectoryEntry& entry) {
      const uint64_t next = entry.next + kDotEntries;
      is_at_end = emit({entry.name, entry.ino, entry.type, next});
      if (is_at_end) position = next;
      return is_at_end;
    }));
    const std::optional<uint64_t> end = inode()->end_cookie();
    if (is_at_end && end) position = *end + kDotEntries;
    return {};
  }));
  notify_file(*path_.dentry, kNotifyAccess);
  return {};
}

void DirectoryFile::last_close() { notify_file(*path_.dentry, kNotifyCloseNoWrite); }

PathFile::PathFile(Path path, uint32_t flags)
    : File(flags & (kOpenPath | kOpenDirectory | kOpenNoFollow)), path_(std::move(path)) {}

}  // namespace occlum
