// Inode: one file of a file system, whatever its names (inode(7)). Every file system derives its own.
//
// The VFS (lookup.h, operations.h) resolves paths, checks permissions and mount flags, keeps the name cache and calls
// these functions; they implement the file system and check only what is theirs to know (ENOSPC, EROFS, ENOTEMPTY).
// Names are single components, 1..255 bytes, without '/', never "." or "..".
//
// Locking: the VFS holds mutex() of the directory, or of both directories, in create, link, unlink, rmdir and rename
// (and nothing else), and in lookup; it holds mutex() of a regular file in write_at, set_attributes, allocate and add_seals.
// lookup and stat may run at any time, and a union calls its layers without these locks, so each file system guards
// its own state (rank kInode or later). Nothing below the page cache (PageSource) may take kInode locks.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "libos/fs/vfs/credentials.h"
#include "libos/fs/vfs/file.h"
#include "libos/fs/vfs/file_system.h"
#include "libos/fs/vfs/lock_anchor.h"
#include "libos/fs/vfs/stat.h"
#include "libos/lib/counted.h"
#include "libos/lib/function_ref.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"
#include "libos/mm/data_transfer.h"
#include "libos/mm/memory_object.h"

namespace occlum {

struct Path;

// What a new file starts with. mode has the type; the umask is applied already.
struct NewInode {
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;             // devices
  std::string_view target = {};  // symlinks
};

struct DirectoryEntry {
  std::string_view name;
  uint64_t ino;
  FileType type;  // kUnknown is allowed
  uint64_t next;  // the cookie to go on from after this entry
};

// Returns false when it takes no more; the entry was then not taken.
using DirectoryEmitter = FunctionRef<bool(const DirectoryEntry&)>;

// What set_attributes changes; the rest stays. ctime becomes now whenever something changes.
struct AttributeChange {
  std::optional<uint32_t> permissions;  // 07777
  std::optional<uint32_t> uid, gid;
  std::optional<uint64_t> size;  // regular files; also sets mtime
  std::optional<FileTime> atime, mtime;
};

// renameat2(2)'s flags.
constexpr uint32_t kRenameNoReplace = 1, kRenameExchange = 2, kRenameWhiteout = 4;
// setxattr(2)'s flags.
constexpr uint32_t kXattrCreate = 1, kXattrReplace = 2;
// fallocate(2)'s modes.
constexpr uint32_t kFallocKeepSize = 0x01, kFallocPunchHole = 0x02, kFallocCollapseRange = 0x08,
                   kFallocZeroRange = 0x10, kFallocInsertRange = 0x20;

constexpr uint64_t kMaxFileSize = INT64_MAX;

class Inode : public RefCounted<Inode>, Counted<Inode> {
 public:
  virtual ~Inode();

  FileSystem& file_system() const { return *file_system_; }
  FileType type() const { return type_; }
  bool is_directory() const { return type_ == FileType::kDirectory; }
  bool is_regular() const { return type_ == FileType::kRegular; }
  bool is_symlink() const { return type_ == FileType::kSymlink; }

  virtual Result<Stat> stat() = 0;
  // As stat(), cheaper: asked on every step of a walk. Default: from stat().
  virtual Result<Ownership> ownership();

  // --- directories; default kNotDir, or kRoFs where something would change ---
  // kNoEnt when there is no such name.
  virtual Result<RefPtr<Inode>> lookup(std::string_view name);
  // Makes a file of any type. kExist, kNoSpc, kRoFs.
  virtual Result<RefPtr<Inode>> create(std::string_view name, const NewInode& attributes);
  // O_TMPFILE: a regular file without a name. Default kOpNotSupp.
  virtual Result<RefPtr<Inode>> create_unnamed(const NewInode& attributes);
  // `target` is of this file system and no directory. kExist, kMLink.
  virtual Result<void> link(std::string_view name, Inode& target);
  // `child` is what the VFS found under the name: no directory.
  virtual Result<void> unlink(std::string_view name, Inode& child);
  // kNotEmpty.
  virtual Result<void> rmdir(std::string_view name, Inode& child);
  // The VFS has checked the types and that no directory moves below itself; `new_parent` is of this file system and
  // `replaced` (may be null) is what the new name means. kNotEmpty, kXDev; kInval for flags that it does not know.
  virtual Result<void> rename(std::string_view old_name, Inode& child, Inode& new_parent,
                              std::string_view new_name, Inode* replaced, uint32_t flags);
  // Emits entries from `cookie` on, without "." and "..". 0 is the start; other cookies come from entries, are below
  // 2^62, and stay valid while others create and remove names: what was there all the time appears exactly once.
  virtual Result<void> readdir(uint64_t cookie, DirectoryEmitter emit);
  // The cookie behind everything that was there or will be, where a file system has one: who has read to the end stays
  // there, and sees what is created later after rewinddir(3) only.
  virtual std::optional<uint64_t> end_cookie() const { return std::nullopt; }

  // Whether the VFS may keep names of this directory (found and, with kNegative, not found) in its cache.
  enum class NameCaching { kNone, kPositive, kAll };
  virtual NameCaching name_caching() const { return NameCaching::kAll; }
  // For file systems that change from outside: is `child` (null: nothing) still what `name` means? Called before a
  // cached name is used; `last` says that it is the last component of the path. Must be cheap.
  virtual bool needs_revalidation() const { return false; }
  virtual bool revalidate(std::string_view name, Inode* child, bool last);

  // --- symbolic links; default kInval ---
  virtual Result<String> read_link();
  // A link of /proc that leads to an object, not to a name: where it leads. Default: no such link.
  virtual bool is_magic_link() const { return false; }
  virtual Result<Path> magic_target();

  // --- opening ---
  // Makes the open file description. The VFS has checked permissions; `flags` are open(2)'s; truncation is done after.
  // Default: RegularFile, DirectoryFile, a FIFO (hooks.h), a device (hooks.h), kNxIo for sockets, kLoop for symlinks.
  virtual Result<RefPtr<File>> open(const Path& path, uint32_t flags);

  // --- regular files; the defaults work on memory_object() ---
  // The page cache, for mmap, exec and the defaults below. Default kNoDev.
  virtual Result<RefPtr<MemoryObject>> memory_object();
  virtual Result<size_t> read_at(uint64_t offset, DataSink& sink);
  // The file grows as needed. Partial writes return what was written.
  virtual Result<size_t> write_at(uint64_t offset, DataSource& source);
  virtual Result<void> allocate(uint32_t mode, uint64_t offset,
                                uint64_t length);  // default kOpNotSupp
  virtual Result<void> sync(bool data_only);       // default: nothing to do
  // SEEK_DATA and SEEK_HOLE; the default sees one piece of data up to the size. kNxIo at or past the end.
  virtual Result<uint64_t> seek_data(uint64_t offset);
  virtual Result<uint64_t> seek_hole(uint64_t offset);
  // Asked for each mapping of an open file, which may be refused (kPerm) or never become writable. Default: as it is.
  virtual Result<void> limit_mapping(MapSource&, Prot) { return {}; }
  // F_GET_SEALS and F_ADD_SEALS (fcntl(2)). Default kInval: there are none.
  virtual Result<uint32_t> seals() { return Errno::kInval; }
  virtual Result<void> add_seals(uint32_t) { return Errno::kInval; }

  // --- attributes; default kPerm ---
  virtual Result<void> set_attributes(const AttributeChange& change);
  // Relatime: notes an access where the file system cares. Default: nothing.
  virtual void note_access() {}

  // --- extended attributes (xattr(7)); default kOpNotSupp, and an empty list ---
  virtual Result<Vec<std::byte>> get_xattr(std::string_view name);  // kNoData
  virtual Result<void> set_xattr(std::string_view name, std::span<const std::byte> value,
                                 uint32_t flags);
  virtual Result<void> remove_xattr(std::string_view name);
  virtual Result<String> list_xattr();  // names, each with its NUL

  // Serialises changes; see above. Rank kDentry.
  Mutex& mutex() { return mutex_; }

  // Locks of fcntl(2) and flock(2) on this file.
  LockAnchor& lock_anchor() { return locks_; }

  // Who writes to this file and who executes it; made on first use.
  Result<RefPtr<WriteCount>> write_count();
  // WriteCount::value().
  int64_t writers() const;

  // For the FIFO's state, owned by ipc/fifo: the first user sets it, the inode drops it.
  class Attachment {
   public:
    virtual ~Attachment() = default;
  };
  // Returns the attachment, made by `make` when there is none yet.
  Result<Attachment*> attachment(FunctionRef<Result<OwnPtr<Attachment>>()> make);

 protected:
  // The file system lives as long as its inodes.
  Inode(RefPtr<FileSystem> file_system, FileType type);

 private:
  const RefPtr<FileSystem> file_system_;
  const FileType type_;
  Mutex mutex_{LockRank::kDentry};
  LockAnchor locks_;
  std::atomic<WriteCount*> write_count_{nullptr};
  RefPtr<WriteCount> owned_write_count_;
  SpinLocked<OwnPtr<Attachment>> attachment_{LockRank::kSocket};
};

}  // namespace occlum
