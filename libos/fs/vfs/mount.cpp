// See mount.h.
#include "libos/fs/vfs/mount.h"

#include <algorithm>
#include <array>

#include "libos/fs/vfs/anonymous.h"
#include "libos/fs/vfs/dentry_cache.h"
#include "libos/fs/vfs/file.h"
#include "libos/fs/vfs/lookup.h"
#include "libos/fs/vfs/mount_events.h"
#include "libos/fs/vfs/notify.h"

namespace occlum {

namespace {
[[clang::no_destroy]] constinit MountTable table;
[[clang::no_destroy]] constinit MountEvents events;
}  // namespace

MountTable& mount_table() { return table; }
MountEvents& mount_events() { return events; }

void MountEvents::post() {
  count.fetch_add(1, std::memory_order_release);
  changed.wake_all(kReadable | kPollErr | kPollPri);
}

Mount::Mount(RefPtr<FileSystem> file_system, RefPtr<Dentry> root, uint32_t flags, String source,
             uint32_t id)
    : file_system_(std::move(file_system)),
      root_(std::move(root)),
      source_(std::move(source)),
      id_(id),
      flags_(flags) {}

Mount::~Mount() = default;

RefPtr<Mount> Mount::parent() const {
  const Path at = table.mountpoint(*this);
  return at.mount;
}

Result<RefPtr<Mount>> MountTable::attach(RefPtr<FileSystem> file_system, RefPtr<Dentry> root,
                                         const Path* at, std::string_view source, uint32_t flags) {
  const uint32_t id = state_.with([](State& state) { return state.next_id++; });
  RefPtr<Mount> mount = TRY(make_ref<Mount>(std::move(file_system), std::move(root), flags,
                                            TRY(String::create(source)), id));
  TRY(state_.with([&](State& state) -> Result<void> {
    if (at == nullptr && !state.mounts.is_empty()) return Errno::kBusy;
    TRY(state.mounts.push(mount));
    if (at != nullptr) {
      mount->parent_ = at->mount;
      mount->mountpoint_ = at->dentry;
      at->dentry->mounts_.fetch_add(1, std::memory_order_relaxed);
    }
    return {};
  }));
  mount_events().post();
  return mount;
}

Result<Path> MountTable::mount_root(RefPtr<FileSystem> file_system, std::string_view source,
                                    uint32_t flags) {
  RefPtr<Dentry> root = TRY(Dentry::create_root(TRY(file_system->root()), "/"));
  RefPtr<Mount> mount = TRY(attach(std::move(file_system), root, nullptr, source, flags));
  return Path{std::move(mount), std::move(root)};
}

Path MountTable::root() const {
  return state_.with([](const State& state) -> Path {
    if (state.mounts.is_empty()) return {};
    const RefPtr<Mount>& first = state.mounts.first();
    return {first, first->root_};
  });
}

Result<RefPtr<Mount>> MountTable::mount(RefPtr<FileSystem> file_system, const Path& at,
                                        std::string_view source, uint32_t flags) {
  RefPtr<Inode> inode = TRY(file_system->root());
  if (inode->is_directory() != at.inode().is_directory()) return Errno::kNotDir;
  RefPtr<Dentry> root = TRY(Dentry::create_root(std::move(inode), "/"));
  return attach(std::move(file_system), std::move(root), &at, source, flags);
}

Result<RefPtr<Mount>> MountTable::bind(const Path& what, const Path& at, uint32_t flags) {
  if (what.inode().is_directory() != at.inode().is_directory()) return Errno::kNotDir;
  return attach(RefPtr<FileSystem>(&what.mount->file_system()), what.dentry, &at,
                what.mount->source(), flags | what.mount->flags());
}

Result<void> MountTable::unmount(const Path& at, Unmount how) {
  RefPtr<Mount> removed, parent;
  RefPtr<Dentry> mountpoint;
  bool is_last = false;
  TRY(state_.with([&](State& state) -> Result<void> {
    if (at.dentry != at.mount->root_) return Errno::kInval;
    if (at.mount->parent_ == nullptr) return Errno::kBusy;
    size_t index = state.mounts.size();
    for (size_t i = 0; i < state.mounts.size(); ++i) {
      if (state.mounts[i] == at.mount) index = i;
      if (state.mounts[i]->parent_ == at.mount) return Errno::kBusy;
    }
    if (index == state.mounts.size()) return Errno::kInval;
    // The table's reference and the caller's path; every open file and working directory has one more.
    if (how == Unmount::kIfIdle && at.mount->reference_count() > 2) return Errno::kBusy;
    removed = state.mounts.remove(index);
    parent = std::move(removed->parent_);
    mountpoint = std::move(removed->mountpoint_);
    mountpoint->mounts_.fetch_sub(1, std::memory_order_relaxed);
    is_last = std::ranges::none_of(state.mounts, [&](const RefPtr<Mount>& other) {
      return &other->file_system() == &removed->file_system();
    });
    return {};
  }));
  mount_events().post();
  // Those who still use a mount that was detached do so unwatched.
  if (is_last) notify_unmounted(removed->file_system());
  return {};
}

Result<void> MountTable::remount(const Path& at, uint32_t flags) {
  if (at.dentry.get() != &at.mount->root()) return Errno::kInval;
  at.mount->flags_.store(flags & ~kMountRemount, std::memory_order_relaxed);
  mount_events().post();
  return {};
}

Path MountTable::topmost(Path path) const {
  while (path.dentry->is_mountpoint()) {
    Path above = state_.with([&](const State& state) -> Path {
      // The last one mounted here is on top.
      for (size_t i = state.mounts.size(); i-- > 0;) {
        const RefPtr<Mount>& mount = state.mounts[i];
        if (mount->parent_ == path.mount && mount->mountpoint_ == path.dentry)
          return {mount, mount->root_};
      }
      return {};
    });
    if (above.is_null()) break;
    path = std::move(above);
  }
  return path;
}

Path MountTable::mountpoint(const Mount& mount) const {
  return state_.with([&](const State&) -> Path { return {mount.parent_, mount.mountpoint_}; });
}

bool MountTable::leave_mount(Path& path) const {
  bool left = false;
  while (path.dentry.get() == &path.mount->root()) {
    Path below = mountpoint(*path.mount);
    if (below.is_null()) return left;
    path = std::move(below);
    left = true;
  }
  return left;
}

Result<Vec<RefPtr<Mount>>> MountTable::all() const {
  return state_.with([](const State& state) { return state.mounts.clone(); });
}

// Fills a buffer from its end with the components of a path.
class PathBuilder {
 public:
  static Result<PathBuilder> create() {
    PathBuilder builder;
    TRY(builder.text_.resize(kPathMax));
    builder.start_ = kPathMax;
    return builder;
  }

  // Puts the names from `from` up to (without) `top` or a dentry without a parent in front. Returns where it stopped.
  Result<RefPtr<Dentry>> climb(const RefPtr<Dentry>& from, const Dentry& top,
                               const Dentry* also_stop_at) {
    RefPtr<Dentry> stopped;
    const bool fits = dentry_cache().state_.with([&](DentryCache::State&) {
      const RefPtr<Dentry>* at = &from;
      while (at->get() != &top && at->get() != also_stop_at && (*at)->parent_ != nullptr) {
        if (!prepend((*at)->name_.view()) || !prepend("/")) return false;
        at = &(*at)->parent_;
      }
      stopped = *at;
      return true;
    });
    if (!fits) return Errno::kNameTooLong;
    return stopped;
  }

  bool prepend(std::string_view part) {
    if (part.size() > start_) return false;
    start_ -= part.size();
    copy_text(text_.span().subspan(start_), part);
    return true;
  }

  std::string_view view() const {
    const std::span<const char> all = std::span(text_.span()).subspan(start_);
    return std::string_view(all.begin(), all.end());
  }

 private:
  Vec<char> text_;
  size_t start_ = 0;
};

Result<String> path_to_string(const Path& path, const Path& root, DeletedNames deleted) {
  PathBuilder builder = TRY(PathBuilder::create());
  if (path.dentry->is_deleted()) {
    if (deleted == DeletedNames::kRefuse) return Errno::kNoEnt;
    builder.prepend(" (deleted)");
  }
  if (is_anonymous(*path.mount)) return path.dentry->name();
  Path at = path;
  while (at != root) {
    const bool in_root_mount = at.mount == root.mount;
    at.dentry = TRY(
        builder.climb(at.dentry, at.mount->root(), in_root_mount ? root.dentry.get() : nullptr));
    if (at == root) break;
    if (!mount_table().leave_mount(at)) {
      // The tree's root, or a detached one, without having met `root`.
      const Path top = mount_table().root();
      if (at != top || root != top) {
        if (!builder.prepend("(unreachable)")) return Errno::kNameTooLong;
      }
      break;
    }
  }
  std::string_view text = builder.view();
  if (text.empty() || text.starts_with(" (")) {
    if (!builder.prepend("/")) return Errno::kNameTooLong;
    text = builder.view();
  }
  return String::create(text);
}

}  // namespace occlum
