// VerifiedImage: the root image under its dm-verity hash tree: blocks that were checked before anybody parses them.
//
// The host maps the image file; it may change any byte at any time. Every 4 KiB block is copied in, hashed with the salt
// in front (dm-verity format 1, SHA-256) and compared with its entry in the tree's leaf block, which was checked the same
// way up to the root hash of the measured configuration. Checked tree blocks and metadata blocks are kept.
// (Documentation/admin-guide/device-mapper/verity.rst; veritysetup(8))
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "libos/fs/vfs/file_system.h"
#include "libos/lib/hash_map.h"
#include "libos/lib/lock.h"
#include "libos/lib/sha256.h"
#include "libos/lib/vec.h"

namespace occlum {

// Reads bytes of the image file; hostile. Tests have their own.
class ImageReader {
 public:
  virtual ~ImageReader() = default;
  virtual uint64_t size() const = 0;
  virtual Result<void> read(uint64_t offset, std::span<std::byte> to) = 0;
};

class VerifiedImage {
 public:
  static constexpr uint64_t kBlockSize = 4096;
  struct Salt {
    std::array<std::byte, 256> bytes = {};
    size_t size = 0;
    std::span<const std::byte> span() const { return std::span(bytes).first(size); }
  };
  struct Layout {
    uint64_t data_size = 0;    // bytes, whole blocks
    uint64_t hash_offset = 0;  // bytes, of the tree's top block
    Sha256Digest root_hash = {};
    Salt salt;
  };
  static Result<Sha256Digest> parse_hash(std::string_view hex);
  static Result<Salt> parse_salt(std::string_view hex);

  // O(1): nothing is read yet. kInval for a layout that does not fit the file.
  static Result<OwnPtr<VerifiedImage>> open(OwnPtr<ImageReader> reader, const Layout& layout);
  VerifiedImage(OwnPtr<ImageReader> reader, const Layout& layout);  // for open

  uint64_t size() const { return layout_.data_size; }

  // A verified block. kIo, and one line in the log that names it, when the host changed it.
  Result<void> read_block(uint64_t index, std::span<std::byte, kBlockSize> to);
  // Verified bytes, through a cache of blocks: for metadata. kIo beyond the end.
  Result<void> read(uint64_t offset, std::span<std::byte> to);

 private:
  using Block = std::array<std::byte, kBlockSize>;
  struct CachedBlock {
    Block bytes;
  };
  // Keyed by the offset in the file.
  struct Cache {
    HashMap<uint64_t, OwnPtr<CachedBlock>> blocks;
    Vec<uint64_t> order;  // a ring of what was cached, oldest at `next`
    size_t next = 0;
  };
  static constexpr size_t kCachedTreeBlocks = 4096, kCachedDataBlocks = 4096;
  static constexpr size_t kMaxLevels = 8;

  Sha256Digest digest_of(std::span<const std::byte, kBlockSize> block) const;
  // The digest that the tree has for a data block. With the lock.
  Result<Sha256Digest> expected_digest(Cache& cache, uint64_t data_block);
  Result<const Block*> tree_block(Cache& cache, size_t level, uint64_t index);
  static Result<CachedBlock*> remember(Cache& cache, uint64_t key, OwnPtr<CachedBlock> block,
                                       size_t limit);
  void report(uint64_t offset, bool is_tree);

  const OwnPtr<ImageReader> reader_;
  const Layout layout_;
  size_t levels_ = 0;
  std::array<uint64_t, kMaxLevels> level_offset_ = {};  // in the file; level 0 is next to the data
  const bool use_sha_ni_;
  MutexLocked<Cache> data_{LockRank::kVerifiedData};  // taken before tree_
  MutexLocked<Cache> tree_{LockRank::kVerifiedTree};
};

// The file system of the image that arch maps.
Result<RefPtr<FileSystem>> open_root_image(const VerifiedImage::Layout& layout);

}  // namespace occlum
