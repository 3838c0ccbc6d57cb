// open(2) and its relatives: see operations.h.
#include <array>

#include "libos/fs/vfs/anonymous.h"
#include "libos/fs/vfs/dentry_cache.h"
#include "libos/fs/vfs/directory_file.h"
#include "libos/fs/vfs/file_capabilities.h"
#include "libos/fs/vfs/leases.h"
#include "libos/fs/vfs/name_checks.h"
#include "libos/fs/vfs/notify.h"
#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/walker.h"
#include "libos/lib/log.h"

namespace occlum {

namespace {

uint32_t requested_access(uint32_t flags) {
  uint32_t request = 0;
  switch (flags & kOpenAccessMode) {
    case kOpenReadOnly:
      request = kMayRead;
      break;
    case kOpenWriteOnly:
      request = kMayWrite;
      break;
    default:
      request = kMayRead | kMayWrite;
      break;
  }
  if ((flags & kOpenTruncate) != 0) request |= kMayWrite;
  return request;
}

bool is_writer(uint32_t flags) {
  const uint32_t mode = flags & kOpenAccessMode;
  return mode == kOpenWriteOnly || mode == kOpenReadWrite;
}
bool may_write(uint32_t flags) { return is_writer(flags) || (flags & kOpenTruncate) != 0; }

enum class Origin { kExisting, kCreated };

Result<RefPtr<File>> finish_open(const Path& path, const Credentials& credentials, uint32_t flags,
                                 Origin origin) {
  Inode& inode = path.inode();
  if (inode.is_symlink()) return Errno::kLoop;
  const uint32_t request = requested_access(flags);
  if (inode.is_directory() && (request & kMayWrite) != 0) return Errno::kIsDir;
  if (origin == Origin::kExisting) {
    TRY(check_access(path, credentials, request));
    if ((flags & kOpenNoAtime) != 0 && !is_owner(TRY(inode.ownership()), credentials))
      return Errno::kPerm;
  }
  // Before a union copies up what is to be written to.
  WriteHold write_hold;
  if (inode.is_regular() && may_write(flags))
    write_hold = TRY(WriteHold::take(TRY(inode.write_count())));
  RefPtr<File> file = TRY(inode.open(path, flags));
  if ((flags & kOpenDirect) != 0 && !inode.is_regular()) return Errno::kInval;
  if (inode.is_regular()) {
    const bool writes = (flags & kOpenAccessMode) != kOpenReadOnly;
    TRY(break_leases(inode, writes ? LeaseBreak::kForWriting : LeaseBreak::kForReading,
                     (flags & kOpenNonblock) != 0 ? BreakWait::kNo : BreakWait::kYes));
  }
  if (inode.is_regular() || inode.is_directory() || inode.type() == FileType::kFifo)
    notify_file(*path.dentry, kNotifyOpen);
  if ((flags & kOpenTruncate) != 0 && inode.is_regular() && origin == Origin::kExisting) {
    InodeGuard guard(inode.mutex());
    drop_file_capabilities(inode);
    TRY(inode.set_attributes(
        {.permissions = TRY(mode_after_write(inode, credentials)), .size = 0}));
    notify_file(*path.dentry, kNotifyModify);
  }
  if (is_writer(flags)) file->keep(std::move(write_hold));
  return file;
}

// The last component does not exist: makes it, unless somebody else did meanwhile (then the path is what they made).
struct Created {
  Path path;
  Origin origin;
};
Result<Created> create_last(const Path& directory, std::string_view name,
                            const Credentials& credentials, uint32_t mode) {
  InodeGuard guard(directory.inode().mutex());
  RefPtr<Dentry> child = TRY(lookup_child_locked(directory.dentry, name));
  if (!child->is_negative()) {
    return Created{mount_table().topmost({directory.mount, std::move(child)}), Origin::kExisting};
  }
  TRY(check_writable(directory));
  TRY(check_may_create(directory, credentials));
  const NewInode attributes = TRY(owned_by(
      directory, credentials, {.mode = type_bits(FileType::kRegular) | (mode & kModePermissions)}));
  RefPtr<Inode> inode = TRY(directory.inode().create(name, attributes));
  notify_name(directory.inode(), name, *inode, kNotifyCreate);
  const DentryCache::Keep keep = directory.inode().name_caching() == Inode::NameCaching::kNone
                                     ? DentryCache::Keep::kNo
                                     : DentryCache::Keep::kYes;
  child = TRY(dentry_cache().insert(directory.dentry, name, std::move(inode), keep));
  return Created{{directory.mount, std::move(child)}, Origin::kCreated};
}

Result<RefPtr<File>> open_unnamed(const WalkContext& context, std::string_view path, uint32_t flags,
                                  uint32_t mode, uint32_t walk) {
  if ((flags & kOpenAccessMode) == kOpenReadOnly) return Errno::kInval;
  const Path directory = TRY(lookup_path(context, path, FollowLast::kYes, walk | kWalkDirectory));
  TRY(check_writable(directory));
  TRY(check_may_create(directory, *context.credentials));
  const NewInode attributes =
      TRY(owned_by(directory, *context.credentials,
                   {.mode = type_bits(FileType::kRegular) | (mode & kModePermissions)}));
  RefPtr<Inode> inode = TRY(directory.inode().create_unnamed(attributes));
  std::array<char, 24> name;
  const std::string_view text = format_to(name, "#{}", TRY(inode->stat()).ino);
  RefPtr<Dentry> dentry =
      TRY(dentry_cache().insert(directory.dentry, text, std::move(inode), DentryCache::Keep::kNo));
  dentry_cache().remove(*dentry);  // it has no name: shown as deleted
  return finish_open({directory.mount, std::move(dentry)}, *context.credentials, flags,
                     Origin::kCreated);
}

}  // namespace

Result<void> check_open_flags(uint32_t flags) {
  constexpr uint32_t kUnnamed = kOpenTmpFile & ~kOpenDirectory;
  if ((flags & kOpenPath) != 0) return {};
  if ((flags & kOpenDirectory) != 0 && (flags & kOpenCreate) != 0) return Errno::kInval;
  if ((flags & kUnnamed) == 0) return {};
  const bool writes = (flags & kOpenAccessMode) != kOpenReadOnly;
  return (flags & kOpenDirectory) != 0 && writes ? Result<void>() : Errno::kInval;
}

Result<RefPtr<File>> open_file(const WalkContext& context, std::string_view path, uint32_t flags,
                               uint32_t mode, uint32_t umask, uint32_t walk) {
  mode &= ~umask;
  if ((flags & kOpenPath) != 0)
    flags &= kOpenPath | kOpenDirectory | kOpenNoFollow | kOpenCloseOnExec;
  TRY(check_open_flags(flags));
  if ((flags & kOpenTmpFile) == kOpenTmpFile) return open_unnamed(context, path, flags, mode, walk);
  const bool create = (flags & kOpenCreate) != 0;
  const bool exclusive = create && (flags & kOpenExclusive) != 0;

  Walker walker(context, walk);
  TRY(walker.begin(path));
  while (true) {
    TRY(walker.walk_to_parent());
    const bool is_special = walker.last().empty() || walker.last() == "." || walker.last() == "..";
    if (create && is_special) {
      TRY(walker.look_at_last());  // it may be beyond what openat2(2) allows
      return exclusive ? Errno::kExist : Errno::kIsDir;
    }
    if (create && walker.must_be_directory()) return Errno::kIsDir;
    Path found = TRY(walker.look_at_last());
    Origin origin = Origin::kExisting;
    if (found.dentry->is_negative()) {
      if (!create) return Errno::kNoEnt;
      Created created = TRY(create_last(walker.at(), walker.last(), *context.credentials, mode));
      found = std::move(created.path);
      origin = created.origin;
    }
    if (exclusive && origin == Origin::kExisting) return Errno::kExist;
    if (found.inode().is_symlink() && !is_special) {
      if ((flags & kOpenNoFollow) == 0 || walker.must_be_directory()) {
        if (TRY(walker.follow(found))) continue;
        found = walker.at();
      } else if ((flags & kOpenPath) == 0) {
        return (flags & kOpenDirectory) != 0 ? Errno::kNotDir : Errno::kLoop;
      }
    }
    const bool must_be_directory = walker.must_be_directory() || (flags & kOpenDirectory) != 0;
    if (must_be_directory && !found.inode().is_directory()) return Errno::kNotDir;
    if (create && found.inode().is_directory()) return Errno::kIsDir;
    if ((flags & kOpenPath) != 0) return TRY(make_ref<PathFile>(std::move(found), flags));
    return finish_open(found, *context.credentials, flags, origin);
  }
}

Result<RefPtr<File>> open_path(const Path& path, const Credentials& credentials, uint32_t flags) {
  return finish_open(path, credentials, flags, Origin::kExisting);
}

Result<Path> path_of_file(const RefPtr<File>& file) {
  if (const Path* path = file->path()) return *path;
  const String description = TRY(file->describe());
  if (Inode* inode = file->inode()) return anonymous_path(ref_to(*inode), description.view());
  return anonymous_path(TRY(inode_of_file(file)), description.view());
}

}  // namespace occlum
