// See lookup.h. The walk is a loop with the text that is still to go, so links nest without recursion.
#include "libos/fs/vfs/lookup.h"

#include "libos/fs/vfs/dentry_cache.h"
#include "libos/fs/vfs/walker.h"

namespace occlum {

namespace {

std::string_view skip_slashes(std::string_view text) {
  while (!text.empty() && text.front() == '/') text.remove_prefix(1);
  return text;
}

using InodeGuard = lock_detail::Guard<Mutex>;

Result<RefPtr<Dentry>> ask_file_system(const RefPtr<Dentry>& directory, std::string_view name) {
  Inode& inode = *directory->inode();
  const Inode::NameCaching caching = inode.name_caching();
  Result<RefPtr<Inode>> found = inode.lookup(name);
  RefPtr<Inode> child;
  if (!found.is_error()) {
    child = found.release_value();
  } else if (found.error() != Errno::kNoEnt) {
    return found.error();
  }
  const bool keep = caching == Inode::NameCaching::kAll ||
                    (caching == Inode::NameCaching::kPositive && child != nullptr);
  // A directory that was removed while somebody stands in it gets no names.
  return dentry_cache().insert(
      directory, name, std::move(child),
      keep && !directory->is_deleted() ? DentryCache::Keep::kYes : DentryCache::Keep::kNo);
}

// The cached dentry when it still holds.
RefPtr<Dentry> find_valid(const RefPtr<Dentry>& directory, std::string_view name, bool last) {
  RefPtr<Dentry> cached = dentry_cache().find(*directory, name);
  if (cached == nullptr || !directory->inode()->needs_revalidation()) return cached;
  if (directory->inode()->revalidate(name, cached->inode(), last)) return cached;
  dentry_cache().forget(*cached);
  return nullptr;
}

}  // namespace

Result<RefPtr<Dentry>> lookup_child(const RefPtr<Dentry>& directory, std::string_view name,
                                    bool last) {
  if (name.size() > kNameMax) return Errno::kNameTooLong;
  if (RefPtr<Dentry> cached = find_valid(directory, name, last)) return cached;
  InodeGuard guard(directory->inode()->mutex());
  // Somebody else may have asked meanwhile.
  if (RefPtr<Dentry> cached = dentry_cache().find(*directory, name)) return cached;
  return ask_file_system(directory, name);
}

Result<RefPtr<Dentry>> lookup_child_locked(const RefPtr<Dentry>& directory, std::string_view name) {
  if (name.size() > kNameMax) return Errno::kNameTooLong;
  if (RefPtr<Dentry> cached = find_valid(directory, name, true)) return cached;
  return ask_file_system(directory, name);
}

Result<void> Walker::begin(std::string_view path) {
  if (path.size() >= kPathMax) return Errno::kNameTooLong;
  if (path.empty() && (walk_ & kWalkEmptyPath) == 0) return Errno::kNoEnt;
  text_ = TRY(String::create(path));
  rest_ = text_.view();
  at_ = context_.start;
  if (rest_.starts_with('/')) {
    if ((walk_ & kWalkBeneath) != 0) return Errno::kXDev;
    at_ = (walk_ & kWalkInRoot) != 0 ? context_.start : context_.root;
    if ((walk_ & kWalkNoXDev) != 0 && at_.mount != context_.start.mount) return Errno::kXDev;
  } else if (!rest_.empty() && !at_.inode().is_directory()) {
    return Errno::kNotDir;
  }
  return {};
}

Result<void> Walker::check_search() const {
  if (!at_.inode().is_directory()) return Errno::kNotDir;
  if (context_.credentials->has(kCapDacReadSearch)) return {};
  return check_permission(TRY(at_.inode().ownership()), *context_.credentials, kMayExecute);
}

Result<void> Walker::step_up() {
  const bool confined = (walk_ & (kWalkBeneath | kWalkInRoot)) != 0;
  if (at_ == (confined ? context_.start : context_.root)) {
    if ((walk_ & kWalkBeneath) != 0) return Errno::kXDev;
    return {};
  }
  const RefPtr<Mount> before = at_.mount;
  mount_table().leave_mount(at_);
  if ((walk_ & kWalkNoXDev) != 0 && at_.mount != before) return Errno::kXDev;
  // Leaving mounts may have led to the root of a chroot, which a file system is mounted over.
  if (at_ == context_.root) return {};
  if (RefPtr<Dentry> parent = at_.dentry->parent()) at_.dentry = std::move(parent);
  at_ = mount_table().topmost(std::move(at_));
  return {};
}

Result<Path> Walker::child(std::string_view name, bool is_last) {
  Path path{at_.mount, TRY(lookup_child(at_.dentry, name, is_last))};
  if (!path.dentry->is_mountpoint()) return path;
  path = mount_table().topmost(std::move(path));
  if ((walk_ & kWalkNoXDev) != 0 && path.mount != at_.mount) return Errno::kXDev;
  return path;
}

Result<void> Walker::walk_to_parent() {
  last_ = {};
  while (true) {
    rest_ = skip_slashes(rest_);
    if (rest_.empty()) return {};
    TRY(check_search());
    const size_t end = std::min(rest_.find('/'), rest_.size());
    const std::string_view name = rest_.substr(0, end);
    const std::string_view after = skip_slashes(rest_.substr(end));
    if (after.empty()) {
      last_ = name;
      if (end < rest_.size()) must_be_directory_ = true;
      return {};
    }
    rest_ = after;
    if (name == ".") continue;
    if (name == "..") {
      TRY(step_up());
      continue;
    }
    Path next = TRY(child(name, false));
    if (next.dentry->is_negative()) return Errno::kNoEnt;
    if (!next.inode().is_symlink()) {
      if (!next.inode().is_directory()) return Errno::kNotDir;
      at_ = std::move(next);
      continue;
    }
    TRY(follow(next));
  }
}

Result<Path> Walker::look_at_last() {
  if (last_.empty() || last_ == ".") return at_;
  if (last_ == "..") {
    TRY(step_up());
    last_ = {};
    return at_;
  }
  return child(last_, true);
}

Result<bool> Walker::follow(const Path& link) {
  if ((walk_ & kWalkNoSymlinks) != 0) return Errno::kLoop;
  if (++links_ > kMaxSymlinks) return Errno::kLoop;
  if ((link.mount->flags() & kMountNoSymFollow) != 0) return Errno::kLoop;
  // What follows the link in the text stays to be walked, and so does its trailing slash.
  const bool was_last = !last_.empty();
  if (link.inode().is_magic_link()) {
    if ((walk_ & (kWalkNoMagicLinks | kWalkBeneath | kWalkInRoot)) != 0) return Errno::kLoop;
    at_ = TRY(link.inode().magic_target());
    last_ = {};
    if (was_last) rest_ = {};
    return false;
  }
  String target = TRY(link.inode().read_link());
  if (target.is_empty()) return Errno::kNoEnt;
  String text;
  if (was_last) {
    text = std::move(target);
    if (must_be_directory_) TRY(text.append('/'));
  } else {
    text = TRY(String::concat(target.view(), "/", rest_));
  }
  // The rest and the target together may be longer than one path, but not without limit.
  if (text.size() >= 4 * kPathMax) return Errno::kNameTooLong;
  text_ = std::move(text);
  rest_ = text_.view();
  last_ = {};
  if (rest_.starts_with('/')) {
    if ((walk_ & kWalkBeneath) != 0) return Errno::kXDev;
    Path root = (walk_ & kWalkInRoot) != 0 ? context_.start : context_.root;
    if ((walk_ & kWalkNoXDev) != 0 && root.mount != at_.mount) return Errno::kXDev;
    at_ = std::move(root);
  }
  return true;
}

Result<Path> lookup_path(const WalkContext& context, std::string_view path, FollowLast follow,
                         uint32_t walk) {
  Walker walker(context, walk);
  TRY(walker.begin(path));
  while (true) {
    TRY(walker.walk_to_parent());
    Path found = TRY(walker.look_at_last());
    if (found.dentry->is_negative()) return Errno::kNoEnt;
    const bool must_be_directory = walker.must_be_directory() || (walk & kWalkDirectory) != 0;
    if (found.inode().is_symlink() && !walker.last().empty() && walker.last() != "." &&
        (follow == FollowLast::kYes || walker.must_be_directory())) {
      if (TRY(walker.follow(found))) continue;
      found = walker.at();
    }
    if (must_be_directory && !found.inode().is_directory()) return Errno::kNotDir;
    return found;
  }
}

Result<ParentPath> lookup_parent(const WalkContext& context, std::string_view path, uint32_t walk) {
  Walker walker(context, walk);
  TRY(walker.begin(path));
  TRY(walker.walk_to_parent());
  return ParentPath{walker.at(), TRY(String::create(walker.last())), walker.must_be_directory()};
}

}  // namespace occlum
