// Attributes of files and file systems: chmod(2), chown(2), truncate(2), utimensat(2), access(2), statfs(2). See
// operations.h.
#include "libos/fs/vfs/file_capabilities.h"
#include "libos/fs/vfs/leases.h"
#include "libos/fs/vfs/name_checks.h"
#include "libos/fs/vfs/notify.h"
#include "libos/fs/vfs/operations.h"

namespace occlum {

Result<void> check_writable(const Path& path) {
  if (path.mount->is_read_only()) return Errno::kRoFs;
  return {};
}

Result<void> check_access(const Path& path, const Credentials& credentials, uint32_t request) {
  Inode& inode = path.inode();
  if ((request & kMayWrite) != 0 &&
      (inode.is_regular() || inode.is_directory() || inode.is_symlink())) {
    TRY(check_writable(path));
  }
  if ((request & kMayExecute) != 0 && inode.is_regular() &&
      (path.mount->flags() & kMountNoExec) != 0) {
    return Errno::kAcces;
  }
  if (credentials.has(kCapDacOverride) && (request & kMayExecute) == 0) return {};
  return check_permission(TRY(inode.ownership()), credentials, request);
}

Result<void> change_mode(const Path& path, const Credentials& credentials, uint32_t mode) {
  TRY(check_writable(path));
  Inode& inode = path.inode();
  if (inode.is_symlink()) return Errno::kOpNotSupp;
  InodeGuard guard(inode.mutex());
  const Ownership before = TRY(inode.ownership());
  if (!is_owner(before, credentials)) return Errno::kPerm;
  mode &= kModePermissions;
  if (!may_set_group_id(before.gid, credentials)) mode &= ~kModeSetGid;
  TRY(inode.set_attributes({.permissions = mode}));
  notify_file(*path.dentry, kNotifyAttributes);
  return {};
}

Result<void> change_owner(const Path& path, const Credentials& credentials, uint32_t uid,
                          uint32_t gid) {
  TRY(check_writable(path));
  Inode& inode = path.inode();
  InodeGuard guard(inode.mutex());
  const Ownership before = TRY(inode.ownership());
  AttributeChange change;
  if (uid != UINT32_MAX) {
    if (!credentials.has(kCapChown) && (credentials.fsuid != before.uid || uid != before.uid)) {
      return Errno::kPerm;
    }
    change.uid = uid;
  }
  if (gid != UINT32_MAX) {
    if (!credentials.has(kCapChown) &&
        (credentials.fsuid != before.uid || (gid != before.gid && !credentials.in_group(gid)))) {
      return Errno::kPerm;
    }
    change.gid = gid;
  }
  if (!inode.is_directory()) {
    drop_file_capabilities(inode);
    const uint32_t mode = mode_without_set_id(before, credentials);
    if (mode != (before.mode & kModePermissions)) {
      // Somebody else who changes nothing would still take the bit away.
      if (!change.uid && !change.gid && !is_owner(before, credentials)) return Errno::kPerm;
      change.permissions = mode;
    }
  }
  TRY(inode.set_attributes(change));
  notify_file(*path.dentry, kNotifyAttributes);
  return {};
}

Result<void> truncate_path(const Path& path, const Credentials& credentials, uint64_t size) {
  Inode& inode = path.inode();
  if (inode.is_directory()) return Errno::kIsDir;
  if (!inode.is_regular()) return Errno::kInval;
  TRY(check_access(path, credentials, kMayWrite));
  RefPtr<WriteCount> count = TRY(inode.write_count());
  const Result<WriteHold> writes = WriteHold::take(std::move(count));
  if (writes.is_error()) return writes.error();
  if (size > kMaxFileSize) return Errno::kFBig;
  TRY(break_leases(inode, LeaseBreak::kForWriting, BreakWait::kYes));
  InodeGuard guard(inode.mutex());
  drop_file_capabilities(inode);
  TRY(inode.set_attributes(
      {.permissions = TRY(mode_after_write(inode, credentials)), .size = size}));
  notify_file(*path.dentry, kNotifyModify);
  return {};
}

Result<std::optional<uint32_t>> mode_after_write(Inode& inode, const Credentials& who) {
  if (who.has(kCapFsetid)) return std::optional<uint32_t>();
  const Ownership before = TRY(inode.ownership());
  const uint32_t mode = mode_without_set_id(before, who);
  if (mode == (before.mode & kModePermissions)) return std::optional<uint32_t>();
  return std::optional<uint32_t>(mode);
}

Result<void> drop_set_id(Inode& inode, const Credentials& who) {
  if (!inode.is_regular() || who.has(kCapFsetid)) return {};
  if ((TRY(inode.ownership()).mode & (kModeSetUid | kModeSetGid)) == 0) return {};
  InodeGuard guard(inode.mutex());
  const std::optional<uint32_t> mode = TRY(mode_after_write(inode, who));
  if (!mode) return {};
  return inode.set_attributes({.permissions = mode});
}

Result<void> change_times(const Path& path, const Credentials& credentials,
                          std::optional<FileTime> atime, std::optional<FileTime> mtime,
                          TimesPermission permission) {
  TRY(check_writable(path));
  Inode& inode = path.inode();
  InodeGuard guard(inode.mutex());
  const Ownership before = TRY(inode.ownership());
  if (!is_owner(before, credentials)) {
    if (permission == TimesPermission::kOwner) return Errno::kPerm;
    TRY(check_permission(before, credentials, kMayWrite));
  }
  TRY(inode.set_attributes({.atime = atime, .mtime = mtime}));
  // One time alone looks like what sets it.
  notify_file(*path.dentry, atime && mtime ? kNotifyAttributes
                            : atime        ? kNotifyAccess
                            : mtime        ? kNotifyModify
                                           : 0);
  return {};
}

Result<StatFs> stat_file_system(const Path& path) {
  StatFs result = TRY(path.mount->file_system().statfs());
  const uint32_t flags = path.mount->flags();
  constexpr uint64_t kStValid = 0x20, kStRelatime = 4096;
  result.flags |= kStValid | (flags & (kMountNoSuid | kMountNoDev | kMountNoExec | kMountNoAtime));
  if (path.mount->is_read_only()) result.flags |= kMountReadOnly;
  if ((flags & kMountNoAtime) == 0) result.flags |= kStRelatime;
  result.fsid = path.mount->file_system().device();
  return result;
}

}  // namespace occlum
