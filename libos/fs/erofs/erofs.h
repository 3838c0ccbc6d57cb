// erofs: the read-only file system of the root image, over its verified blocks.
//
// Opening reads the superblock only. Inodes and directory blocks are read through the image's cache of verified blocks
// and parsed from copies; contents go from the verified block straight into the page cache. Layouts: plain and inline
// (tail-packed) files. A file in another layout (compressed, chunked) is listed, but reading it is EIO and a line in the
// log. On-disk facts: erofs_format.h.
#pragma once

#include "libos/fs/erofs/erofs_format.h"
#include "libos/fs/erofs/verified_image.h"
#include "libos/fs/vfs/inode.h"
#include "libos/lib/hash_map.h"

namespace occlum {

class ErofsInode;

class ErofsFs final : public FileSystem {
 public:
  // kInval, and a line in the log, when it is no EROFS that we can read.
  static Result<RefPtr<ErofsFs>> create(OwnPtr<VerifiedImage> image);
  explicit ErofsFs(OwnPtr<VerifiedImage> image) : image_(std::move(image)) {}  // for create

  std::string_view type_name() const override { return "erofs"; }
  Result<RefPtr<Inode>> root() override;
  Result<StatFs> statfs() override;
  bool is_read_only() const override { return true; }

 private:
  friend class ErofsInode;
  friend class ErofsPages;
  struct Super {
    uint64_t root_nid = 0, inodes = 0, blocks = 0, meta_start = 0, xattr_start = 0;
    FileTime build_time;
  };

  Result<void> read_super();
  // kIo when there is no sane inode.
  Result<RefPtr<ErofsInode>> inode_for(uint64_t nid);

  const OwnPtr<VerifiedImage> image_;
  Super super_;
  SpinLocked<HashMap<uint64_t, ErofsInode*>> inodes_{LockRank::kAttributes};
};

// What an on-disk inode says, checked.
struct ErofsNode {
  uint64_t nid = 0;
  uint64_t offset = 0;         // of the inode in the image
  uint64_t size = 0;           // bytes
  uint64_t inline_offset = 0;  // of the packed tail in the image
  uint32_t start_block = 0;    // or the device's number
  uint32_t ino = 0;
  uint32_t nlink = 0, uid = 0, gid = 0;
  uint32_t xattr_size = 0;
  uint16_t mode = 0;
  uint8_t header_size = 0;
  erofs::DataLayout layout = erofs::DataLayout::kFlatPlain;
  FileTime mtime;

  bool is_supported() const {
    return layout == erofs::DataLayout::kFlatPlain || layout == erofs::DataLayout::kFlatInline;
  }
  // Bytes in whole blocks; the rest is the tail.
  uint64_t block_bytes() const;
};

// The page cache of a file needs its source for as long as it is mapped, which may be longer than the inode lives.
class ErofsPages final : public RefCounted<ErofsPages>, public PageSource {
 public:
  static Result<RefPtr<ErofsPages>> create(RefPtr<ErofsFs> file_system, const ErofsNode& node);
  ErofsPages(RefPtr<ErofsFs> file_system, const ErofsNode& node)
      : file_system_(std::move(file_system)), node_(node) {}
  ~ErofsPages() = default;
  // Lets go, but not while it is mapped.
  static void retire(RefPtr<ErofsPages> pages);

  const RefPtr<MemoryObject>& object() const { return object_; }
  Result<void> read_page(uint64_t index, std::span<std::byte, 4096> page) override;
  Result<void> write_page(uint64_t, std::span<const std::byte, 4096>, uint64_t) override {
    return Errno::kRoFs;
  }
  bool has_store() const override { return true; }

 private:
  const RefPtr<ErofsFs> file_system_;
  const ErofsNode node_;
  RefPtr<MemoryObject> object_;
};

class ErofsInode final : public Inode {
 public:
  ErofsInode(RefPtr<ErofsFs> file_system, const ErofsNode& node);
  ~ErofsInode() override;

  Result<Stat> stat() override;
  Result<Ownership> ownership() override { return Ownership{node_.mode, node_.uid, node_.gid}; }
  Result<RefPtr<Inode>> lookup(std::string_view name) override;
  Result<void> readdir(uint64_t cookie, DirectoryEmitter emit) override;
  Result<String> read_link() override;
  Result<RefPtr<MemoryObject>> memory_object() override;
  Result<Vec<std::byte>> get_xattr(std::string_view name) override;
  Result<String> list_xattr() override;

 private:
  friend class ErofsFs;
  ErofsFs& fs() const { return static_cast<ErofsFs&>(file_system()); }
  // Bytes of the contents, through the metadata cache: directories and links. kIo past the end.
  Result<void> read_contents(uint64_t offset, std::span<std::byte> to);
  struct Xattr {
    uint8_t prefix;
    std::string_view name;
    std::span<const std::byte> value;
  };
  // Calls back for each attribute until it returns true.
  Result<void> for_each_xattr(FunctionRef<Result<bool>(const Xattr&)> visit);

  const ErofsNode node_;
  SpinLocked<RefPtr<ErofsPages>> pages_{LockRank::kAttributes};
};

}  // namespace occlum
