// tmpfs: files in memory (tmpfs(5)). Also the writable layer of a union.
//
// Contents are MemoryObjects without a source, so holes cost nothing and mmap shares them. A directory keeps its
// entries twice: by name for lookup, and by a number that grows with every new entry for readdir, which is the cookie:
// what is created or removed meanwhile never makes another entry appear twice or not at all. All names of one tmpfs are
// under one spin lock, so a rename is atomic whatever it involves.
#pragma once

#include "libos/fs/vfs/inode_attributes.h"
#include "libos/lib/hash_map.h"
#include "libos/lib/tree.h"

namespace occlum {

class Seals;
class TmpInode;

class TmpFs final : public FileSystem {
 public:
  // What the root directory is made with.
  struct Options {
    uint64_t max_bytes = 0;   // 0: no limit
    uint64_t max_inodes = 0;  // 0: no limit
    uint32_t root_mode = 01777;
    uint32_t root_uid = 0, root_gid = 0;
  };
  static Result<RefPtr<TmpFs>> create(const Options& options);
  // mount(2)'s options: size=N[k|m|g|%], nr_inodes=N, mode=OCTAL, uid=N, gid=N; others are ignored.
  static Result<RefPtr<FileSystem>> from_arguments(const MountArguments& arguments);

  // A file without a name that seals may be added to.
  Result<RefPtr<Inode>> create_sealable(const NewInode& attributes, uint32_t seals);

  explicit TmpFs(const Options& options) : limits_(options) {}  // for make_ref

  std::string_view type_name() const override { return "tmpfs"; }
  Result<RefPtr<Inode>> root() override;
  Result<StatFs> statfs() override;
  Result<String> options() const override;

 private:
  friend class TmpInode;
  struct Names {};

  // Bytes of contents, as they were last counted.
  std::atomic<uint64_t> used_bytes_{0};
  std::atomic<uint64_t> used_inodes_{0};
  std::atomic<uint64_t> next_ino_{1};
  const Options limits_;
  SpinLocked<Names> names_{LockRank::kInode};
};

class TmpInode final : public Inode {
 public:
  TmpInode(RefPtr<TmpFs> file_system, const NewInode& attributes);
  ~TmpInode() override;

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
  std::optional<uint64_t> end_cookie() const override { return kEndCookie; }

  Result<String> read_link() override;

  Result<RefPtr<MemoryObject>> memory_object() override;
  Result<size_t> read_at(uint64_t offset, DataSink& sink) override;
  Result<size_t> write_at(uint64_t offset, DataSource& source) override;
  Result<void> allocate(uint32_t mode, uint64_t offset, uint64_t length) override;
  Result<uint64_t> seek_data(uint64_t offset) override;
  Result<uint64_t> seek_hole(uint64_t offset) override;
  Result<void> limit_mapping(MapSource& source, Prot prot) override;
  Result<uint32_t> seals() override;
  Result<void> add_seals(uint32_t seals) override;

  Result<void> set_attributes(const AttributeChange& change) override;
  void note_access() override;

  Result<Vec<std::byte>> get_xattr(std::string_view name) override;
  Result<void> set_xattr(std::string_view name, std::span<const std::byte> value,
                         uint32_t flags) override;
  Result<void> remove_xattr(std::string_view name) override;
  Result<String> list_xattr() override;

 private:
  friend class TmpFs;
  // With "." and ".." before it, the position that Linux' tmpfs has there: 2^31 - 1.
  static constexpr uint64_t kEndCookie = 0x7fffffff - 2;
  struct Xattr {
    String name;
    Vec<std::byte> value;
  };
  struct Attributes : InodeAttributes {
    Vec<Xattr> xattrs;
  };
  struct Entry {
    String name;
    RefPtr<TmpInode> inode;
  };

  TmpFs& fs() const { return static_cast<TmpFs&>(file_system()); }
  static Result<RefPtr<TmpInode>> make(TmpFs& fs, const NewInode& attributes);
  // With the names' lock:
  Result<void> add_entry(std::string_view name, RefPtr<TmpInode> inode);
  Entry take_entry(std::string_view name);
  TmpInode* find_entry(std::string_view name);
  // How many names it has; a directory, one more for "." and one for each subdirectory.
  void changed_names();
  void touch_ctime();
  void count_bytes();

  const uint64_t number_;
  const FileTime btime_;
  uint64_t rdev_ = 0;
  String target_;
  RefPtr<MemoryObject> object_;
  OwnPtr<Seals> seals_;  // null: kSealSeal alone

  // Under the file system's names_:
  std::atomic<uint32_t> nlink_{0};
  bool removed_ = false;   // a directory that rmdir took away
  bool linkable_ = false;  // O_TMPFILE
  uint64_t next_cookie_ = 1;
  HashMap<String, uint64_t> by_name_;
  Tree<uint64_t, Entry> by_cookie_;

  std::atomic<uint64_t> counted_bytes_{0};
  mutable SpinLocked<Attributes> attributes_;
};

}  // namespace occlum
