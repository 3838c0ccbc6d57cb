// Names: mkdir(2), mknod(2), link(2), symlink(2), unlink(2), rmdir(2), rename(2); and where a process stands: chdir(2),
// chroot(2), umask(2).
#include "libos/syscall/files_common.h"

namespace occlum {

Result<long> sys_mkdirat(Thread& self, Fd directory, UserString path, Mode mode) {
  const String text = TRY(read_name(path));
  const WalkContext context = TRY(walk_at(self, directory, text.view()));
  return done(make_directory(context, text.view(), bits(mode), self.fs().umask()));
}
Result<long> sys_mkdir(Thread& self, UserString path, Mode mode) {
  return sys_mkdirat(self, kAtCwd, path, mode);
}

// What mode can be made is judged before the name (may_mknod in Linux).
Result<long> sys_mknodat(Thread& self, Fd directory, UserString path, Mode mode, uint32_t device) {
  TRY(check_node_type(bits(mode)));
  const String text = TRY(read_name(path));
  const WalkContext context = TRY(walk_at(self, directory, text.view()));
  NewInode wanted{.mode = bits(mode) & (kModeTypeMask | kModePermissions), .rdev = device};
  if ((wanted.mode & kModeTypeMask) == 0) wanted.mode |= type_bits(FileType::kRegular);
  return done(make_node(context, text.view(), wanted, self.fs().umask()));
}
Result<long> sys_mknod(Thread& self, UserString path, Mode mode, uint32_t device) {
  return sys_mknodat(self, kAtCwd, path, mode, device);
}

Result<long> sys_symlinkat(Thread& self, UserString target, Fd directory, UserString path) {
  const String target_text = TRY(read_name(target));
  const String text = TRY(read_name(path));
  const WalkContext context = TRY(walk_at(self, directory, text.view()));
  return done(make_symlink(context, target_text.view(), text.view()));
}
Result<long> sys_symlink(Thread& self, UserString target, UserString path) {
  return sys_symlinkat(self, target, kAtCwd, path);
}

namespace {
// Whose descriptor gives a file a name without the right to find it by one: who opened it. Asked of any directory that a
// path starts at, though it matters for an empty path alone.
Result<void> check_opener(Thread& self, Fd directory, UserString path) {
  const String text = path.is_null() ? String() : TRY(path.read_path());
  if (directory == kAtCwd || text.view().starts_with('/')) return {};
  const RefPtr<File> file = TRY(self.files().get(number(directory)));
  if (file->opened_as() == 0 || file->opened_as() == self.credentials_number()) return {};
  if (!self.user().has(kCapDacReadSearch)) return Errno::kNoEnt;
  return {};
}
}  // namespace

Result<long> sys_linkat(Thread& self, Fd from_directory, UserString from, Fd to_directory,
                        UserString to, Flags flags) {
  if ((bits(flags) & ~(kAtSymlinkFollow | kAtEmptyPath)) != 0) return Errno::kInval;
  const FollowLast follow =
      (bits(flags) & kAtSymlinkFollow) != 0 ? FollowLast::kYes : FollowLast::kNo;
  if ((bits(flags) & kAtEmptyPath) != 0) TRY(check_opener(self, from_directory, from));
  const Path target =
      TRY(resolve_at(self, from_directory, from, follow, bits(flags) & kAtEmptyPath));
  const String text = TRY(read_name(to));
  const WalkContext context = TRY(walk_at(self, to_directory, text.view()));
  return done(make_link(target, context, text.view()));
}
Result<long> sys_link(Thread& self, UserString from, UserString to) {
  return sys_linkat(self, kAtCwd, from, kAtCwd, to, Flags{0});
}

Result<long> sys_unlinkat(Thread& self, Fd directory, UserString path, Flags flags) {
  if ((bits(flags) & ~kAtRemoveDir) != 0) return Errno::kInval;
  const String text = TRY(read_name(path));
  const WalkContext context = TRY(walk_at(self, directory, text.view()));
  if ((bits(flags) & kAtRemoveDir) != 0) return done(remove_directory(context, text.view()));
  return done(remove_file(context, text.view()));
}
Result<long> sys_unlink(Thread& self, UserString path) {
  return sys_unlinkat(self, kAtCwd, path, Flags{0});
}
Result<long> sys_rmdir(Thread& self, UserString path) {
  return sys_unlinkat(self, kAtCwd, path, Flags{kAtRemoveDir});
}

Result<long> sys_renameat2(Thread& self, Fd from_directory, UserString from, Fd to_directory,
                           UserString to, Flags flags) {
  TRY(check_rename_flags(bits(flags)));
  // One side wholly before the other: which error comes first is seen.
  const String from_text = TRY(read_name(from));
  const WalkContext from_context = TRY(walk_at(self, from_directory, from_text.view()));
  const ParentPath from_place = TRY(lookup_parent(from_context, from_text.view()));
  const String to_text = TRY(read_name(to));
  const WalkContext to_context = TRY(walk_at(self, to_directory, to_text.view()));
  const ParentPath to_place = TRY(lookup_parent(to_context, to_text.view()));
  return done(rename_between(from_place, to_place, self.credentials(), bits(flags)));
}
Result<long> sys_renameat(Thread& self, Fd from_directory, UserString from, Fd to_directory,
                          UserString to) {
  return sys_renameat2(self, from_directory, from, to_directory, to, Flags{0});
}
Result<long> sys_rename(Thread& self, UserString from, UserString to) {
  return sys_renameat2(self, kAtCwd, from, kAtCwd, to, Flags{0});
}

namespace {
Result<void> check_enterable(Thread& self, const Path& path) {
  if (!path.inode().is_directory()) return Errno::kNotDir;
  return check_access(path, self.credentials(), kMayExecute);
}
}  // namespace

Result<long> sys_chdir(Thread& self, UserString path) {
  Path found = TRY(resolve_at(self, kAtCwd, path, FollowLast::kYes));
  TRY(check_enterable(self, found));
  self.fs().set_cwd(std::move(found));
  return 0;
}
Result<long> sys_fchdir(Thread& self, Fd fd) {
  Path found = TRY(path_of_fd(self, fd));
  TRY(check_enterable(self, found));
  self.fs().set_cwd(std::move(found));
  return 0;
}
Result<long> sys_chroot(Thread& self, UserString path) {
  Path found = TRY(resolve_at(self, kAtCwd, path, FollowLast::kYes));
  TRY(check_enterable(self, found));
  if (!self.credentials().has(kCapSysChroot)) return Errno::kPerm;
  self.fs().set_root(std::move(found));
  return 0;
}
Result<long> sys_umask(Thread& self, Mode mask) { return self.fs().set_umask(bits(mask)); }

}  // namespace occlum
