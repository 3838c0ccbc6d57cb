// hostfs: a directory of the host, untrusted: its names, types, sizes and contents are what the host says.
//
// Nothing outside of its root is reached: every name is a single component given to the host relative to a directory's
// own O_PATH descriptor, always with O_NOFOLLOW, and links are resolved by our walk over read_link(). Devices and sockets
// of the host are shown but not opened (ENXIO). Of FIFOs only the names are the host's: programs of the enclave meet there,
// and nobody else. Set-id bits do not exist. st_dev is ours; st_ino is the host's, mixed with an index of the host's device where the directory spans several.
//
// The host's files may change at any time. Names are cached but checked: the last component of a path by a stat of
// the host (or by the open, when the stat is very young), the directories on the way once a second. Pages are cached by
// version (host_pages.h). Writing goes through to the host.
#pragma once

#include "libos/fs/hostfs/host_pages.h"
#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/name_snapshot.h"
#include "libos/lib/hash_map.h"
#include "libos/sched/task.h"

namespace occlum {

class HostInode;

enum class HostWrites : uint8_t { kForbidden, kAllowed };

class HostFs final : public FileSystem {
 public:
  // `path` is a directory of the host, absolute. kNotDir, kNoEnt, kAcces.
  static Result<RefPtr<HostFs>> create(std::string_view path, HostWrites writes);
  // mount(2): the source is the path.
  static Result<RefPtr<FileSystem>> from_arguments(const MountArguments& arguments);

  HostFs(HostFd root, HostWrites writes);  // for make_ref
  ~HostFs() override;

  std::string_view type_name() const override { return "hostfs"; }
  Result<RefPtr<Inode>> root() override;
  Result<StatFs> statfs() override;
  Result<void> sync() override;
  bool is_read_only() const override { return writes_ == HostWrites::kForbidden; }
  bool is_read_by_host() const override { return true; }

 private:
  friend class HostInode;
  struct Key {
    uint64_t device, ino;
    uint64_t hash() const { return hash_combine(hash_integer(device), hash_integer(ino)); }
    bool operator==(const Key&) const = default;
  };
  struct State {
    HashMap<Key, HostInode*> inodes;  // not owned: an inode takes itself off
    Vec<uint64_t> devices;            // of the host, by index
  };

  // The one inode of a host file.
  Result<RefPtr<HostInode>> inode_for(const host::HostStat& stat, RefPtr<HostInode> parent,
                                      std::string_view name);
  uint64_t device_index(State& state, uint64_t device);

  const HostFd root_;
  const HostWrites writes_;
  SpinLocked<State> state_{LockRank::kAttributes};
};

class HostInode final : public Inode {
 public:
  HostInode(RefPtr<HostFs> file_system, FileType type, const host::HostStat& stat, uint64_t number);
  ~HostInode() override;

  Result<Stat> stat() override;
  Result<RefPtr<Inode>> lookup(std::string_view name) override;
  Result<RefPtr<Inode>> create(std::string_view name, const NewInode& attributes) override;
  Result<void> link(std::string_view name, Inode& target) override;
  Result<void> unlink(std::string_view name, Inode& child) override;
  Result<void> rmdir(std::string_view name, Inode& child) override;
  Result<void> rename(std::string_view old_name, Inode& child, Inode& new_parent,
                      std::string_view new_name, Inode* replaced, uint32_t flags) override;
  Result<void> readdir(uint64_t cookie, DirectoryEmitter emit) override;
  bool needs_revalidation() const override { return true; }
  bool revalidate(std::string_view name, Inode* child, bool last) override;

  Result<String> read_link() override;
  Result<RefPtr<File>> open(const Path& path, uint32_t flags) override;
  Result<RefPtr<MemoryObject>> memory_object() override;
  Result<size_t> read_at(uint64_t offset, DataSink& sink) override;
  Result<size_t> write_at(uint64_t offset, DataSource& source) override;
  Result<void> allocate(uint32_t mode, uint64_t offset, uint64_t length) override;
  Result<void> sync(bool data_only) override;
  Result<void> set_attributes(const AttributeChange& change) override;

  // The pages of the host's present version, with a descriptor where one is needed. kStale when the host's file is
  // another one now.
  Result<RefPtr<HostPages>> use_pages(HostPages::Need need);

 private:
  friend class HostFs;
  struct Location {
    RefPtr<HostInode> parent;  // null for the root
    String name;
  };
  struct State {
    host::HostStat stat;
    Nanoseconds checked = 0;  // when `stat` was had
    Location location;
    HostFd directory;  // O_PATH, of directories
    String target;     // of symlinks, once read
    RefPtr<HostPages> pages;
    RefPtr<HostPages> outdated;  // of the version before, for its descriptor
    NameSnapshot names;
    HostVersion names_version;
    bool has_names = false;
  };

  HostFs& fs() const { return static_cast<HostFs&>(file_system()); }
  bool is_same_file(const host::HostStat& stat) const;
  Location location() const;
  void set_location(RefPtr<HostInode> parent, String name);
  // Notes what the host said just now; drops pages of another version.
  void note_stat(const host::HostStat& stat);
  // It got or lost a name: what is known of it is old.
  void note_links(int change);
  Result<int> directory_fd();
  Result<HostFd> open_host(int flags);
  Result<host::HostStat> fetch_stat();
  // The attributes, at most `age` old.
  Result<host::HostStat> fresh_stat(Nanoseconds age);
  Result<void> note_own_change();
  Result<RefPtr<HostPages>> current_pages();
  Result<void> refresh_names();
  Result<RefPtr<Inode>> created(std::string_view name);
  // Where the host finds it: its directory's descriptor and its name in it.
  struct HostName {
    RefPtr<HostInode> parent;  // keeps the descriptor open
    int directory;
    String name;
  };
  Result<HostName> host_name();
  Result<void> remove(std::string_view name, Inode& child, int flags);
  Result<void> check_writes() const;

  const uint64_t device_, ino_, number_;
  mutable MutexLocked<State> state_;
};

}  // namespace occlum
