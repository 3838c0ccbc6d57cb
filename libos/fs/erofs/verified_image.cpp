// See verified_image.h.
#include "libos/fs/erofs/verified_image.h"

#include <algorithm>

#include "libos/arch/arch.h"
#include "libos/lib/bits.h"
#include "libos/lib/log.h"
#include "libos/lib/memory.h"

namespace occlum {

namespace {

constexpr uint64_t kDigestsPerBlock = VerifiedImage::kBlockSize / kSha256Bytes;

Result<uint8_t> hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return static_cast<uint8_t>(digit - '0');
  if (digit >= 'a' && digit <= 'f') return static_cast<uint8_t>(digit - 'a' + 10);
  if (digit >= 'A' && digit <= 'F') return static_cast<uint8_t>(digit - 'A' + 10);
  return Errno::kInval;
}

Result<void> parse_hex(std::string_view hex, std::span<std::byte> out) {
  if (hex.size() != out.size() * 2) return Errno::kInval;
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] =
        static_cast<std::byte>(TRY(hex_digit(hex[2 * i])) * 16 + TRY(hex_digit(hex[2 * i + 1])));
  }
  return {};
}

// SHA extensions: CPUID leaf 7. A host that lies about it only makes us slow, or stops us at an illegal instruction.
bool has_sha_ni() { return (cpuid(7, 0).ebx & (1u << 29)) != 0; }

}  // namespace

Result<Sha256Digest> VerifiedImage::parse_hash(std::string_view hex) {
  Sha256Digest digest;
  TRY(parse_hex(hex, digest));
  return digest;
}

Result<VerifiedImage::Salt> VerifiedImage::parse_salt(std::string_view hex) {
  Salt salt;
  if (hex == "-" || hex.empty()) return salt;
  if (hex.size() % 2 != 0 || hex.size() / 2 > salt.bytes.size()) return Errno::kInval;
  salt.size = hex.size() / 2;
  TRY(parse_hex(hex, std::span(salt.bytes).first(salt.size)));
  return salt;
}

VerifiedImage::VerifiedImage(OwnPtr<ImageReader> reader, const Layout& layout)
    : reader_(std::move(reader)), layout_(layout), use_sha_ni_(has_sha_ni()) {}

Result<OwnPtr<VerifiedImage>> VerifiedImage::open(OwnPtr<ImageReader> reader,
                                                  const Layout& layout) {
  const uint64_t file_size = reader->size();
  constexpr uint64_t kMostBytes = uint64_t{1} << 46;
  if (layout.data_size == 0 || layout.data_size % kBlockSize != 0 ||
      layout.data_size > kMostBytes) {
    return Errno::kInval;
  }
  if (layout.hash_offset % kBlockSize != 0 || layout.hash_offset < layout.data_size)
    return Errno::kInval;
  OwnPtr<VerifiedImage> image = TRY(make_own<VerifiedImage>(std::move(reader), layout));
  // Levels from the leaves up; in the file the top comes first.
  std::array<uint64_t, kMaxLevels> blocks = {};
  uint64_t below = layout.data_size / kBlockSize;
  do {
    if (image->levels_ == kMaxLevels) return Errno::kInval;
    below = ceil_div(below, kDigestsPerBlock);
    blocks[image->levels_++] = below;
  } while (below > 1);
  uint64_t offset = layout.hash_offset;
  for (size_t level = image->levels_; level-- > 0;) {
    image->level_offset_[level] = offset;
    const std::optional<uint64_t> next = checked_add(offset, blocks[level] * kBlockSize);
    if (!next) return Errno::kInval;
    offset = *next;
  }
  if (offset > file_size) {
    log_error("the root image is shorter than its hash tree: {} of {} bytes", file_size, offset);
    return Errno::kIo;
  }
  return image;
}

void VerifiedImage::report(uint64_t offset, bool is_tree) {
  // Shown at every log level: whoever runs this must learn that the image is not what was measured.
  log_always("the root image was changed: {} block {} at byte {} does not match its hash",
             is_tree ? "hash" : "data",
             (is_tree ? offset - layout_.hash_offset : offset) / kBlockSize, offset);
}

Sha256Digest VerifiedImage::digest_of(std::span<const std::byte, kBlockSize> block) const {
  if (use_sha_ni_) {
    XstateScope xstate;
    return sha256_page_shani(layout_.salt.span(), block);
  }
  Sha256 hash;
  hash.update(layout_.salt.span());
  hash.update(block);
  return hash.finish();
}

Result<VerifiedImage::CachedBlock*> VerifiedImage::remember(Cache& cache, uint64_t key,
                                                            OwnPtr<CachedBlock> block,
                                                            size_t limit) {
  CachedBlock* const kept = block.get();
  if (cache.order.size() < limit) {
    TRY(cache.order.push(key));
  } else {
    cache.blocks.remove(cache.order[cache.next]);
    cache.order[cache.next] = key;
    cache.next = (cache.next + 1) % limit;
  }
  TRY(cache.blocks.insert(key, std::move(block)));
  return kept;
}

Result<const VerifiedImage::Block*> VerifiedImage::tree_block(Cache& cache, size_t level,
                                                              uint64_t index) {
  const uint64_t offset = level_offset_[level] + index * kBlockSize;
  if (OwnPtr<CachedBlock>* known = cache.blocks.find(offset)) return &(*known)->bytes;
  // Which of the blocks above are missing, from here up; then they are read from the top down.
  size_t top = level;
  uint64_t top_index = index;
  while (top + 1 < levels_) {
    const uint64_t above = top_index / kDigestsPerBlock;
    if (cache.blocks.find(level_offset_[top + 1] + above * kBlockSize) != nullptr) break;
    ++top;
    top_index = above;
  }
  const Block* result = nullptr;
  for (size_t at = top + 1; at-- > level;) {
    uint64_t at_index = index;
    for (size_t i = level; i < at; ++i) at_index /= kDigestsPerBlock;
    Sha256Digest expected = layout_.root_hash;
    if (at + 1 < levels_) {
      const uint64_t above = level_offset_[at + 1] + at_index / kDigestsPerBlock * kBlockSize;
      OwnPtr<CachedBlock>* parent = cache.blocks.find(above);
      // Just read, and the cache is larger than the tree is high.
      ASSERT(parent != nullptr);
      const size_t slot = static_cast<size_t>(at_index % kDigestsPerBlock) * kSha256Bytes;
      copy_bytes(expected, std::span((*parent)->bytes).subspan(slot, kSha256Bytes));
    }
    const uint64_t at_offset = level_offset_[at] + at_index * kBlockSize;
    OwnPtr<CachedBlock> fresh = TRY(make_own<CachedBlock>());
    TRY(reader_->read(at_offset, fresh->bytes));
    if (digest_of(fresh->bytes) != expected) {
      report(at_offset, true);
      return Errno::kIo;
    }
    result = &TRY(remember(cache, at_offset, std::move(fresh), kCachedTreeBlocks))->bytes;
  }
  return result;
}

Result<Sha256Digest> VerifiedImage::expected_digest(Cache& cache, uint64_t data_block) {
  const Block* leaf = TRY(tree_block(cache, 0, data_block / kDigestsPerBlock));
  Sha256Digest digest;
  const size_t slot = static_cast<size_t>(data_block % kDigestsPerBlock) * kSha256Bytes;
  copy_bytes(digest, std::span(*leaf).subspan(slot, kSha256Bytes));
  return digest;
}

Result<void> VerifiedImage::read_block(uint64_t index, std::span<std::byte, kBlockSize> to) {
  if (index >= layout_.data_size / kBlockSize) return Errno::kIo;
  const Sha256Digest expected =
      TRY(tree_.with([&](Cache& cache) { return expected_digest(cache, index); }));
  TRY(reader_->read(index * kBlockSize, to));
  const Sha256Digest actual = digest_of(to);
  if (actual != expected) {
    report(index * kBlockSize, false);
    zero_bytes(to);
    return Errno::kIo;
  }
  return {};
}

Result<void> VerifiedImage::read(uint64_t offset, std::span<std::byte> to) {
  const std::optional<uint64_t> end = checked_add(offset, to.size());
  if (!end || *end > layout_.data_size) return Errno::kIo;
  while (!to.empty()) {
    const uint64_t index = offset / kBlockSize;
    const size_t start = static_cast<size_t>(offset % kBlockSize);
    const size_t count = std::min<size_t>(to.size(), kBlockSize - start);
    TRY(data_.with([&](Cache& cache) -> Result<void> {
      OwnPtr<CachedBlock>* known = cache.blocks.find(index * kBlockSize);
      const CachedBlock* block = known != nullptr ? known->get() : nullptr;
      if (block == nullptr) {
        OwnPtr<CachedBlock> fresh = TRY(make_own<CachedBlock>());
        TRY(read_block(index, fresh->bytes));
        block = TRY(remember(cache, index * kBlockSize, std::move(fresh), kCachedDataBlocks));
      }
      copy_bytes(to, std::span(block->bytes).subspan(start, count));
      return {};
    }));
    offset += count;
    to = to.subspan(count);
  }
  return {};
}

}  // namespace occlum
