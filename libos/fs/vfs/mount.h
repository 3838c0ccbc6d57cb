// Dentries, mounts and paths: where a file stands in the tree (path_resolution(7), mount(2)).
//
// A Dentry is a name in a directory of one file system, with the inode that it means; a negative one says that there
// is none. Dentries of names that the file system lets the VFS keep are in a global table (dentry_cache.h). Its parent
// and name change by rename, so they are read through functions that take the table's lock; its inode never changes.
// A Mount puts the root dentry of a file system over a dentry of another mount. A Path is both, so that ".." at the root
// of a mount leads out of it. There is one mount tree for all processes (no namespaces).
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "libos/fs/vfs/inode.h"
#include "libos/lib/counted.h"
#include "libos/lib/list.h"
#include "libos/lib/ptr.h"
#include "libos/lib/string.h"
#include "libos/lib/vec.h"

namespace occlum {

class DentryCache;
class PathBuilder;
class MountTable;

class Dentry : public RefCounted<Dentry>, Counted<Dentry> {
 public:
  // For make_ref: dentries are made by create_root and by the cache.
  Dentry(RefPtr<Dentry> parent, String name, RefPtr<Inode> inode);
  ~Dentry();

  // A dentry without a parent: a file system's root, or an object that has no name in the tree (`name` then describes
  // it: "pipe:[12]").
  static Result<RefPtr<Dentry>> create_root(RefPtr<Inode> inode, std::string_view name);

  // Null for a negative dentry.
  Inode* inode() const { return inode_.get(); }
  bool is_negative() const { return inode_ == nullptr; }

  // Null for a root.
  RefPtr<Dentry> parent() const;
  Result<String> name() const;
  // The name was unlinked, or replaced by a rename.
  bool is_deleted() const { return deleted_.load(std::memory_order_relaxed); }
  bool is_mountpoint() const { return mounts_.load(std::memory_order_relaxed) != 0; }

 private:
  friend class DentryCache;
  friend class PathBuilder;
  friend class MountTable;
  const RefPtr<Inode> inode_;
  // Under the cache's lock:
  RefPtr<Dentry> parent_;
  String name_;
  uint64_t hash_ = 0;
  ListNode lru_node_;
  bool hashed_ = false;
  bool recently_used_ = false;
  std::atomic<bool> deleted_{false};
  std::atomic<uint32_t> mounts_{0};
};

// Mount flags, as mount(2)'s MS_*.
constexpr uint32_t kMountReadOnly = 1, kMountNoSuid = 2, kMountNoDev = 4, kMountNoExec = 8,
                   kMountRemount = 32, kMountNoSymFollow = 256, kMountNoAtime = 1024,
                   kMountRelatime = 1 << 21;

class Mount : public RefCounted<Mount> {
 public:
  // For make_ref: mounts are made by the table.
  Mount(RefPtr<FileSystem> file_system, RefPtr<Dentry> root, uint32_t flags, String source,
        uint32_t id);
  ~Mount();
  FileSystem& file_system() const { return *file_system_; }
  Dentry& root() const { return *root_; }
  uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  bool is_read_only() const {
    return (flags() & kMountReadOnly) != 0 || file_system_->is_read_only();
  }
  uint32_t id() const { return id_; }
  std::string_view source() const { return source_.view(); }
  // A mount outside of the tree, for anonymous_path().
  static Result<RefPtr<Mount>> create_anonymous(RefPtr<FileSystem> file_system, RefPtr<Dentry> root,
                                                uint32_t flags) {
    return make_ref<Mount>(std::move(file_system), std::move(root), flags, String(), 0u);
  }
  // Null for the root mount and for one that was unmounted.
  RefPtr<Mount> parent() const;

 private:
  friend class MountTable;
  const RefPtr<FileSystem> file_system_;
  const RefPtr<Dentry> root_;
  const String source_;
  const uint32_t id_;
  std::atomic<uint32_t> flags_;
  // Under the mount table's lock:
  RefPtr<Mount> parent_;
  RefPtr<Dentry> mountpoint_;
};

struct Path {
  RefPtr<Mount> mount;
  RefPtr<Dentry> dentry;

  bool is_null() const { return dentry == nullptr; }
  Inode& inode() const { return *dentry->inode(); }
  friend bool operator==(const Path&, const Path&) = default;
};

class MountTable {
 public:
  constexpr MountTable() = default;

  // The first mount: the root of the tree. kBusy when there is one.
  Result<Path> mount_root(RefPtr<FileSystem> file_system, std::string_view source, uint32_t flags);
  Path root() const;

  // kNotDir, kBusy. `at` is a directory (or a file, for a file's root).
  Result<RefPtr<Mount>> mount(RefPtr<FileSystem> file_system, const Path& at,
                              std::string_view source, uint32_t flags);
  // bind: the tree below `what` also appears at `at`.
  Result<RefPtr<Mount>> bind(const Path& what, const Path& at, uint32_t flags);
  // kInval when `at` is no mount's root; kBusy when something is mounted below or used (unless `detach`).
  enum class Unmount { kIfIdle, kDetach };
  Result<void> unmount(const Path& at, Unmount how);
  // Changes flags of the mount whose root is `at`.
  Result<void> remount(const Path& at, uint32_t flags);

  // What is mounted on this path, followed to the topmost; the path itself when nothing is.
  Path topmost(Path path) const;
  // From the root of a mount to where it is mounted, repeatedly; false when it is the tree's root.
  bool leave_mount(Path& path) const;

  // A snapshot in the order of mounting, for /proc/mounts and sync.
  Result<Vec<RefPtr<Mount>>> all() const;
  // Where a mount is mounted; null path for the root.
  Path mountpoint(const Mount& mount) const;

 private:
  struct State {
    Vec<RefPtr<Mount>> mounts;
    uint32_t next_id = 1;
  };
  mutable SpinLocked<State> state_{LockRank::kMount};

  Result<RefPtr<Mount>> attach(RefPtr<FileSystem> file_system, RefPtr<Dentry> root, const Path* at,
                               std::string_view source, uint32_t flags);
};

MountTable& mount_table();

// The path as text seen from `root` ("/a/b"); getcwd(2), /proc/<pid>/fd. A file that has no name any more gets
// " (deleted)" with kMarkDeleted, else kNoEnt. A path outside of `root` starts with "(unreachable)".
enum class DeletedNames { kMarkDeleted, kRefuse };
Result<String> path_to_string(const Path& path, const Path& root, DeletedNames deleted);

// A path for an object that is not in the tree (a pipe's end in /proc/self/fd): its file system is never shown.
Result<Path> anonymous_path(RefPtr<Inode> inode, std::string_view description);

}  // namespace occlum
