// Names come and go: mkdir(2), mknod(2), symlink(2), link(2), unlink(2), rmdir(2), rename(2). See operations.h.
//
// The order of the checks is Linux's (fs/namei.c), because programs look at which error they get.
#include "libos/fs/vfs/dentry_cache.h"
#include "libos/fs/vfs/name_checks.h"
#include "libos/fs/vfs/notify.h"
#include "libos/fs/vfs/operations.h"

namespace occlum {

Result<void> check_may_create(const Path& directory, const Credentials& who) {
  if (directory.dentry->is_deleted()) return Errno::kNoEnt;
  return check_permission(TRY(directory.inode().ownership()), who, kMayWrite | kMayExecute);
}

Result<void> check_may_remove(const Path& directory, const Dentry& child, const Credentials& who) {
  const Ownership parent = TRY(directory.inode().ownership());
  TRY(check_permission(parent, who, kMayWrite | kMayExecute));
  if ((parent.mode & kModeSticky) != 0 && who.fsuid != parent.uid &&
      !is_owner(TRY(child.inode()->ownership()), who)) {
    return Errno::kPerm;
  }
  if (child.is_mountpoint()) return Errno::kBusy;
  return {};
}

Result<NewInode> owned_by(const Path& directory, const Credentials& who, NewInode wanted) {
  const Ownership parent = TRY(directory.inode().ownership());
  wanted.uid = who.fsuid;
  wanted.gid = who.fsgid;
  if ((parent.mode & kModeSetGid) != 0) {
    wanted.gid = parent.gid;
    if (type_of_mode(wanted.mode) == FileType::kDirectory) {
      wanted.mode |= kModeSetGid;
    } else if ((wanted.mode & kModeSetGid) != 0 && (wanted.mode & kModeGroupExecute) != 0 &&
               !may_set_group_id(wanted.gid, who)) {
      wanted.mode &= ~kModeSetGid;
    }
  }
  return wanted;
}

namespace {

constinit Mutex rename_mutex{LockRank::kRename};

// Whether there is a place for a new name, before it is asked who wants it. The caller holds the directory's mutex.
Result<void> check_place(const ParentPath& where, bool for_directory) {
  const RefPtr<Dentry> child = TRY(lookup_child_locked(where.parent.dentry, where.name.view()));
  if (!child->is_negative()) return Errno::kExist;
  if (where.trailing_slash && !for_directory) return Errno::kNoEnt;
  return check_writable(where.parent);
}

Result<void> note_created(const ParentPath& where, RefPtr<Inode> inode) {
  notify_name(where.parent.inode(), where.name.view(), *inode, kNotifyCreate);
  if (where.parent.inode().name_caching() == Inode::NameCaching::kNone) return {};
  TRY(dentry_cache().insert(where.parent.dentry, where.name.view(), std::move(inode),
                            DentryCache::Keep::kYes));
  return {};
}

Result<void> create_at(const ParentPath& where, const Credentials& who, NewInode attributes) {
  if (where.is_special()) return Errno::kExist;
  const FileType type = type_of_mode(attributes.mode);
  InodeGuard guard(where.parent.inode().mutex());
  TRY(check_place(where, type == FileType::kDirectory));
  TRY(check_may_create(where.parent, who));
  const bool is_device =
      type == FileType::kBlockDevice ||
      (type == FileType::kCharDevice && attributes.rdev != 0);  // 0:0 is a whiteout
  if (is_device && !who.has(kCapMknod)) return Errno::kPerm;
  attributes = TRY(owned_by(where.parent, who, attributes));
  return note_created(where, TRY(where.parent.inode().create(where.name.view(), attributes)));
}

}  // namespace

Result<void> check_node_type(uint32_t mode) {
  switch (mode & kModeTypeMask) {
    case 0:
    case type_bits(FileType::kRegular):
    case type_bits(FileType::kFifo):
    case type_bits(FileType::kSocket):
    case type_bits(FileType::kCharDevice):
    case type_bits(FileType::kBlockDevice):
      return {};
    case type_bits(FileType::kDirectory):
      return Errno::kPerm;
    default:
      return Errno::kInval;
  }
}

Result<void> make_node(const WalkContext& context, std::string_view path, NewInode attributes,
                       uint32_t umask) {
  TRY(check_node_type(attributes.mode));
  attributes.mode &= ~(umask & 0777);
  return create_at(TRY(lookup_parent(context, path)), *context.credentials, attributes);
}

Result<void> make_directory(const WalkContext& context, std::string_view path, uint32_t mode,
                            uint32_t umask) {
  const uint32_t permissions = mode & (0777 | kModeSticky) & ~umask;
  return create_at(TRY(lookup_parent(context, path)), *context.credentials,
                   {.mode = type_bits(FileType::kDirectory) | permissions});
}

Result<void> make_symlink(const WalkContext& context, std::string_view target,
                          std::string_view path) {
  if (target.empty()) return Errno::kNoEnt;
  if (target.size() >= kPathMax) return Errno::kNameTooLong;
  return create_at(TRY(lookup_parent(context, path)), *context.credentials,
                   {.mode = type_bits(FileType::kSymlink) | 0777, .target = target});
}

namespace {

// proc(5), /proc/sys/fs/protected_hardlinks: nobody keeps a name of what is not his and not his to write.
Result<void> check_may_link(Inode& target, const Credentials& who) {
  const Ownership file = TRY(target.ownership());
  if (is_owner(file, who)) return {};
  const bool has_set_id = (file.mode & kModeSetUid) != 0 ||
                          ((file.mode & kModeSetGid) != 0 && (file.mode & kModeGroupExecute) != 0);
  if (!target.is_regular() || has_set_id ||
      check_permission(file, who, kMayRead | kMayWrite).is_error()) {
    return Errno::kPerm;
  }
  return {};
}

}  // namespace

Result<void> make_link(const Path& target, const WalkContext& context, std::string_view path) {
  const ParentPath where = TRY(lookup_parent(context, path));
  if (where.is_special()) return Errno::kExist;
  InodeGuard guard(where.parent.inode().mutex());
  TRY(check_place(where, false));
  if (target.mount != where.parent.mount) return Errno::kXDev;
  TRY(check_may_link(target.inode(), *context.credentials));
  TRY(check_may_create(where.parent, *context.credentials));
  if (target.inode().is_directory()) return Errno::kPerm;
  TRY(where.parent.inode().link(where.name.view(), target.inode()));
  notify_inode(target.inode(), kNotifyAttributes);
  return note_created(where, ref_to(target.inode()));
}

namespace {

// Without the mutex: the last reference frees the file. Who watches the file hears of its end before who watches the
// directory.
Result<void> finish_removal(const ParentPath& where, RefPtr<Dentry> child) {
  const RefPtr<Inode> inode = ref_to(*child->inode());
  child = nullptr;
  notify_name(where.parent.inode(), where.name.view(), *inode, kNotifyDelete);
  return {};
}

}  // namespace

Result<void> remove_file(const WalkContext& context, std::string_view path) {
  const ParentPath where = TRY(lookup_parent(context, path));
  if (where.is_special()) return Errno::kIsDir;
  TRY(check_writable(where.parent));
  return finish_removal(where, TRY([&]() -> Result<RefPtr<Dentry>> {
                          InodeGuard guard(where.parent.inode().mutex());
                          RefPtr<Dentry> child =
                              TRY(lookup_child_locked(where.parent.dentry, where.name.view()));
                          if (child->is_negative()) return Errno::kNoEnt;
                          if (where.trailing_slash)
                            return child->inode()->is_directory() ? Errno::kIsDir : Errno::kNotDir;
                          TRY(check_may_remove(where.parent, *child, *context.credentials));
                          if (child->inode()->is_directory()) return Errno::kIsDir;
                          TRY(where.parent.inode().unlink(where.name.view(), *child->inode()));
                          dentry_cache().remove(*child);
                          notify_inode(*child->inode(), kNotifyAttributes);
                          return child;
                        }()));
}

Result<void> remove_directory(const WalkContext& context, std::string_view path) {
  const ParentPath where = TRY(lookup_parent(context, path));
  if (where.name == ".") return Errno::kInval;
  if (where.name == "..") return Errno::kNotEmpty;
  if (where.is_special()) return Errno::kBusy;
  TRY(check_writable(where.parent));
  return finish_removal(where, TRY([&]() -> Result<RefPtr<Dentry>> {
                          InodeGuard guard(where.parent.inode().mutex());
                          RefPtr<Dentry> child =
                              TRY(lookup_child_locked(where.parent.dentry, where.name.view()));
                          if (child->is_negative()) return Errno::kNoEnt;
                          TRY(check_may_remove(where.parent, *child, *context.credentials));
                          if (!child->inode()->is_directory()) return Errno::kNotDir;
                          TRY(where.parent.inode().rmdir(where.name.view(), *child->inode()));
                          dentry_cache().remove(*child);
                          return child;
                        }()));
}

namespace {

// With both directories locked.
Result<void> rename_locked(const ParentPath& from, const ParentPath& to, const Credentials& who,
                           uint32_t flags) {
  const bool exchange = (flags & kRenameExchange) != 0;
  RefPtr<Dentry> moved = TRY(lookup_child_locked(from.parent.dentry, from.name.view()));
  if (moved->is_negative()) return Errno::kNoEnt;
  RefPtr<Dentry> target = TRY(lookup_child_locked(to.parent.dentry, to.name.view()));
  if ((flags & kRenameNoReplace) != 0 && !target->is_negative()) return Errno::kExist;
  if (exchange && target->is_negative()) return Errno::kNoEnt;
  const bool is_directory = moved->inode()->is_directory();
  if (!is_directory && (from.trailing_slash || (!exchange && to.trailing_slash)))
    return Errno::kNotDir;
  if (exchange && to.trailing_slash && !target->inode()->is_directory()) return Errno::kNotDir;
  const bool moves = from.parent.dentry != to.parent.dentry;
  if (moves) {
    if (dentry_cache().is_ancestor(*moved, *to.parent.dentry)) return Errno::kInval;
    if (!target->is_negative() && dentry_cache().is_ancestor(*target, *from.parent.dentry)) {
      return exchange ? Errno::kInval : Errno::kNotEmpty;
    }
  }
  // Two names of one file: nothing to do (rename(2)).
  if (moved->inode() == target->inode()) return {};

  TRY(check_may_remove(from.parent, *moved, who));
  if (target->is_negative()) {
    TRY(check_may_create(to.parent, who));
  } else {
    TRY(check_may_remove(to.parent, *target, who));
    if (!exchange) {
      if (is_directory && !target->inode()->is_directory()) return Errno::kNotDir;
      if (!is_directory && target->inode()->is_directory()) return Errno::kIsDir;
    }
  }
  // A directory that moves gets another "..": that is a write.
  if (moves && is_directory) {
    TRY(check_permission(TRY(moved->inode()->ownership()), who, kMayWrite));
  }
  DentryCache::Move prepared = TRY(dentry_cache().prepare_move(to.name.view()));
  TRY(from.parent.inode().rename(from.name.view(), *moved->inode(), to.parent.inode(),
                                 to.name.view(), target->inode(), flags));
  if (exchange) {
    dentry_cache().exchange(*moved, *target);
  } else {
    if (!target->is_negative()) dentry_cache().remove(*target);
    dentry_cache().move(*moved, to.parent.dentry, std::move(prepared));
  }
  notify_renamed(from.parent.inode(), from.name.view(), to.parent.inode(), to.name.view(),
                 *moved->inode(), exchange ? nullptr : target->inode());
  if (exchange) {
    notify_renamed(to.parent.inode(), to.name.view(), from.parent.inode(), from.name.view(),
                   *target->inode(), nullptr);
  }
  return {};
}

// Two inodes' mutexes in the order of their addresses.
class PairGuard {
 public:
  PairGuard(Inode& a, Inode& b) OCCLUM_NO_THREAD_SAFETY_ANALYSIS
      : first_(std::less<Inode*>()(&a, &b) ? a : b),
        second_(std::less<Inode*>()(&a, &b) ? b : a) {
    first_.mutex().lock();
    if (&first_ != &second_) second_.mutex().lock(LockRankStack::Order::kSecond);
  }
  ~PairGuard() OCCLUM_NO_THREAD_SAFETY_ANALYSIS {
    if (&first_ != &second_) second_.mutex().unlock();
    first_.mutex().unlock();
  }
  PairGuard(const PairGuard&) = delete;

 private:
  Inode& first_;
  Inode& second_;
};

}  // namespace

Result<void> check_rename_flags(uint32_t flags) {
  if ((flags & ~(kRenameNoReplace | kRenameExchange | kRenameWhiteout)) != 0) return Errno::kInval;
  if ((flags & kRenameExchange) != 0 && (flags & (kRenameNoReplace | kRenameWhiteout)) != 0)
    return Errno::kInval;
  return {};
}

Result<void> rename_path(const WalkContext& from_context, std::string_view from_path,
                         const WalkContext& to_context, std::string_view to_path, uint32_t flags) {
  TRY(check_rename_flags(flags));
  const ParentPath from = TRY(lookup_parent(from_context, from_path));
  const ParentPath to = TRY(lookup_parent(to_context, to_path));
  return rename_between(from, to, *from_context.credentials, flags);
}

Result<void> rename_between(const ParentPath& from, const ParentPath& to, const Credentials& who,
                            uint32_t flags) {
  if (from.parent.mount != to.parent.mount) return Errno::kXDev;
  if (from.is_special()) return Errno::kBusy;
  if (to.is_special()) return (flags & kRenameNoReplace) != 0 ? Errno::kExist : Errno::kBusy;
  TRY(check_writable(from.parent));
  // Dentries stay as they are while a directory may move, so that "is below itself" can be judged.
  lock_detail::Guard<Mutex> rename_guard(rename_mutex);
  PairGuard directories(from.parent.inode(), to.parent.inode());
  return rename_locked(from, to, who, flags);
}

}  // namespace occlum
