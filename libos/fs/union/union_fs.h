// union: read-only lower layers under one writable upper layer, seen as one tree (overlayfs: Documentation/filesystems/
// overlayfs.rst, whose on-disk conventions it keeps).
//
// A name is looked for from the top down; directories of the same name are merged. The first change of a lower file
// copies it up, with the directories above it. A removed lower name is hidden by a whiteout: a character device 0/0 in
// the upper layer. A directory that is made where one was removed is opaque (trusted.overlay.opaque=y): what lies below
// does not show through. trusted.overlay.origin remembers the inode number of a file that was copied up, so that st_ino
// does not change; st_dev is the union's everywhere. Open files follow the file when it is copied up; mappings made
// before stay on the lower file, as in overlayfs. Renaming a directory that has a lower part is EXDEV (overlayfs without
// redirect_dir; mv(1) copies then). A lower file with several names loses their connection when it is copied up.
//
// Names of the upper layer change only through here, with the VFS's mutex of the directory held; copying up needs only
// the file's own lock, and minds names that vanish meanwhile.
#pragma once

#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/name_snapshot.h"
#include "libos/lib/hash_map.h"

namespace occlum {

class UnionInode;

class UnionFs final : public FileSystem {
 public:
  // `lowers` from the top down; `upper` writable, with user and trusted xattrs.
  static Result<RefPtr<UnionFs>> create(Vec<RefPtr<FileSystem>> lowers, RefPtr<FileSystem> upper);
  UnionFs(Vec<RefPtr<FileSystem>> lowers, RefPtr<FileSystem> upper);  // for create

  std::string_view type_name() const override { return "overlay"; }
  Result<RefPtr<Inode>> root() override;
  Result<StatFs> statfs() override { return upper_->statfs(); }
  Result<void> sync() override { return upper_->sync(); }
  bool is_read_by_host() const override { return upper_->is_read_by_host(); }

 private:
  friend class UnionInode;
  // Inode numbers of all layers in one space: the layer in the top byte, 0 for the first lower.
  uint64_t number_in(const Inode& layer_inode, uint64_t ino) const;
  // The inode for what the layers have under a name: the known one, when it is of the same files.
  Result<RefPtr<UnionInode>> inode_for(RefPtr<Inode> upper, Vec<RefPtr<Inode>> lowers,
                                       RefPtr<UnionInode> parent, std::string_view name);

  const Vec<RefPtr<FileSystem>> lowers_;
  const RefPtr<FileSystem> upper_;
  SpinLocked<HashMap<uint64_t, UnionInode*>> inodes_{LockRank::kAttributes};
};

class UnionInode final : public Inode {
 public:
  UnionInode(RefPtr<UnionFs> file_system, FileType type, RefPtr<Inode> upper,
             Vec<RefPtr<Inode>> lowers, uint64_t number, bool shared);
  ~UnionInode() override;

  Result<Stat> stat() override;
  Result<Ownership> ownership() override;

  Result<RefPtr<Inode>> lookup(std::string_view name) override;
  Result<RefPtr<Inode>> create(std::string_view name, const NewInode& attributes) override;
  Result<RefPtr<Inode>> create_unnamed(const NewInode& attributes) override;
  Result<void> link(std::string_view name, Inode& target) override;
  Result<void> unlink(std::string_view name, Inode& child) override;
  Result<void> rmdir(std::string_view name, Inode& child) override;
  Result<void> rename(std::string_view old_name, Inode& child, Inode& new_parent,
                      std::string_view new_name, Inode* replaced, uint32_t flags) override;
  Result<void> readdir(uint64_t cookie, DirectoryEmitter emit) override;
  std::optional<uint64_t> end_cookie() const override;
  bool needs_revalidation() const override { return needs_revalidation_; }
  bool revalidate(std::string_view name, Inode* child, bool last) override;

  Result<String> read_link() override;
  Result<RefPtr<File>> open(const Path& path, uint32_t flags) override;

  Result<RefPtr<MemoryObject>> memory_object() override;
  Result<size_t> read_at(uint64_t offset, DataSink& sink) override;
  Result<size_t> write_at(uint64_t offset, DataSource& source) override;
  Result<void> allocate(uint32_t mode, uint64_t offset, uint64_t length) override;
  Result<void> sync(bool data_only) override;
  Result<uint64_t> seek_data(uint64_t offset) override;
  Result<uint64_t> seek_hole(uint64_t offset) override;
  Result<void> set_attributes(const AttributeChange& change) override;
  void note_access() override;

  Result<Vec<std::byte>> get_xattr(std::string_view name) override;
  Result<void> set_xattr(std::string_view name, std::span<const std::byte> value,
                         uint32_t flags) override;
  Result<void> remove_xattr(std::string_view name) override;
  Result<String> list_xattr() override;

 private:
  friend class UnionFs;
  struct Place {
    RefPtr<Inode> upper;
    RefPtr<UnionInode> parent;  // null for the root
    String name;
  };

  UnionFs& fs() const { return static_cast<UnionFs&>(file_system()); }
  RefPtr<Inode> upper() const;
  RefPtr<UnionInode> parent() const;  // null for the root
  // The topmost layer's inode.
  RefPtr<Inode> real() const;
  bool has_lower() const { return !lowers_.is_empty(); }
  void set_place(RefPtr<UnionInode> parent, String name);

  // Copying up; copy_up.cpp. Returns the upper inode.
  enum class Contents { kCopy, kLeave };
  Result<RefPtr<Inode>> copy_up(Contents contents = Contents::kCopy);
  Result<RefPtr<Inode>> copy_one_up(Contents contents);
  Result<RefPtr<Inode>> make_upper(Inode& upper_parent, std::string_view name, Contents contents);

  // Whether a lower layer shows this name when nothing in the upper layer hides it.
  Result<bool> lower_has(std::string_view name);
  // What is in the upper layer under a name: null, or a whiteout or file.
  Result<RefPtr<Inode>> upper_child(std::string_view name);
  // Removes a whiteout; true when there was one.
  Result<bool> clear_whiteout(Inode& upper, std::string_view name);
  Result<void> put_whiteout(Inode& upper, std::string_view name);
  Result<void> check_empty();
  Result<void> drop_whiteouts_inside();
  Result<void> merge_names(NameSnapshot& names);

  const Vec<RefPtr<Inode>> lowers_;
  const uint64_t number_;
  const bool shared_;  // is in the file system's table
  bool needs_revalidation_ = false;
  mutable SpinLocked<Place> place_{LockRank::kAttributes};
  Mutex copy_mutex_{LockRank::kUnion};
  MutexLocked<NameSnapshot> names_{LockRank::kUnion};
};

bool is_whiteout(Inode& inode);
bool is_opaque(Inode& directory);
Result<void> set_opaque(Inode& directory);

inline constexpr std::string_view kOpaqueXattr = "trusted.overlay.opaque",
                                  kOriginXattr = "trusted.overlay.origin",
                                  kPrivateXattrs = "trusted.overlay.";

}  // namespace occlum
