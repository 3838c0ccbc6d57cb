#define OPENSSL_SUPPRESS_DEPRECATED  // SHA256_*: no allocation per block, no provider start-up (1 \
                                     // to 2 ms)
#include "image/verity.h"

#include <openssl/sha.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

namespace image {
namespace {

constexpr uint64_t kDigestsPerBlock = kVerityBlock / sgx::kHashSize;
constexpr uint64_t kBatch = uint64_t{1} << 20;  // bytes read and hashed by a thread at a time

// struct verity_sb of cryptsetup. All numbers are little-endian.
struct Superblock {
  char signature[8];
  uint32_t version;
  uint32_t hash_type;
  std::array<uint8_t, 16> uuid;
  char algorithm[32];
  uint32_t data_block_size;
  uint32_t hash_block_size;
  uint64_t data_blocks;
  uint16_t salt_size;
  uint8_t reserved1[6];
  uint8_t salt[256];
  uint8_t reserved2[168];
};
static_assert(sizeof(Superblock) == 512);

// SHA-256(salt || block). The salted state is computed once and copied.
class BlockHash {
 public:
  BlockHash() {
    SHA256_Init(&salted_);
    SHA256_Update(&salted_, kVeritySalt.data(), kVeritySalt.size());
  }
  void hash(std::span<const std::byte> block, std::byte* digest) const {
    SHA256_CTX context = salted_;
    SHA256_Update(&context, block.data(), block.size());
    SHA256_Final(reinterpret_cast<unsigned char*>(digest), &context);
  }

 private:
  SHA256_CTX salted_{};
};

unsigned usable_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::clamp(CPU_COUNT(&set), 1, 64);
}

uint64_t blocks_for(uint64_t digests) {
  return (digests + kDigestsPerBlock - 1) / kDigestsPerBlock;
}

// The lowest level: the digests of the data blocks, in whole hash blocks.
class DataHasher {
 public:
  DataHasher(const File& file, uint64_t size, const std::function<void(uint64_t)>& progress)
      : file_(file),
        size_(size),
        progress_(progress),
        level_(blocks_for(size / kVerityBlock) * kVerityBlock) {}

  Result<std::vector<std::byte>> run() {
    std::vector<std::jthread> threads;
    uint64_t useful = std::min<uint64_t>(usable_cpus(), (size_ + kBatch - 1) / kBatch);
    for (uint64_t i = 1; i < useful; ++i) threads.emplace_back([this] { work(); });
    work();
    threads.clear();
    if (!error_.empty()) return std::unexpected(error_);
    return std::move(level_);
  }

 private:
  void work() {
    BlockHash hash;
    std::vector<std::byte> buffer(kBatch);
    for (;;) {
      uint64_t start = next_.fetch_add(kBatch, std::memory_order_relaxed);
      if (start >= size_) return;
      auto batch = std::span(buffer).first(std::min(kBatch, size_ - start));
      if (auto read = file_.read_at(start, batch); !read) {
        std::lock_guard guard(mutex_);
        error_ = read.error();
        next_ = size_;
        return;
      }
      for (uint64_t at = 0; at < batch.size(); at += kVerityBlock) {
        hash.hash(batch.subspan(at, kVerityBlock),
                  level_.data() + (start + at) / kVerityBlock * sgx::kHashSize);
      }
      uint64_t done = done_.fetch_add(batch.size(), std::memory_order_relaxed) + batch.size();
      std::lock_guard guard(mutex_);
      progress_(done);
    }
  }

  const File& file_;
  uint64_t size_;
  const std::function<void(uint64_t)>& progress_;
  std::vector<std::byte> level_;
  std::atomic<uint64_t> next_ = 0;
  std::atomic<uint64_t> done_ = 0;
  std::mutex mutex_;
  std::string error_;  // under mutex_
};

// The level above `lower`.
std::vector<std::byte> level_above(std::span<const std::byte> lower) {
  BlockHash hash;
  uint64_t digests = lower.size() / kVerityBlock;
  std::vector<std::byte> level(blocks_for(digests) * kVerityBlock);
  for (uint64_t i = 0; i < digests; ++i) {
    hash.hash(lower.subspan(i * kVerityBlock, kVerityBlock), level.data() + i * sgx::kHashSize);
  }
  return level;
}

Superblock superblock(uint64_t data_size) {
  Superblock sb{};
  std::memcpy(sb.signature, "verity\0\0", sizeof sb.signature);
  sb.version = 1;
  sb.hash_type = 1;
  sb.uuid = kVerityUuid;
  std::memcpy(sb.algorithm, "sha256", 6);
  sb.data_block_size = kVerityBlock;
  sb.hash_block_size = kVerityBlock;
  sb.data_blocks = data_size / kVerityBlock;
  sb.salt_size = kVeritySalt.size();
  std::ranges::copy(kVeritySalt, sb.salt);
  return sb;
}

}  // namespace

Result<VerityImage> append_verity_tree(const File& file,
                                       const std::function<void(uint64_t)>& progress) {
  uint64_t size = IMAGE_TRY(file.size());
  VerityImage image;
  image.data_size = std::max((size + kVerityBlock - 1) / kVerityBlock, uint64_t{2}) * kVerityBlock;
  if (image.data_size != size && ftruncate(file.fd(), static_cast<off_t>(image.data_size)) != 0) {
    return fail_errno(errno, "cannot write {}", file.path());
  }

  std::vector<std::vector<std::byte>> levels;
  levels.push_back(IMAGE_TRY(DataHasher(file, image.data_size, progress).run()));
  while (levels.back().size() > kVerityBlock) levels.push_back(level_above(levels.back()));

  std::vector<std::byte> header(kVerityBlock);
  Superblock sb = superblock(image.data_size);
  std::memcpy(header.data(), &sb, sizeof sb);
  IMAGE_TRY(file.write_at(image.data_size, header));
  image.tree_offset = image.data_size + kVerityBlock;
  uint64_t offset = image.tree_offset;
  for (auto level = levels.rbegin(); level != levels.rend(); ++level) {
    IMAGE_TRY(file.write_at(offset, *level));
    offset += level->size();
  }
  image.file_size = offset;
  BlockHash().hash(levels.back(), reinterpret_cast<std::byte*>(image.root_hash.data()));
  return image;
}

std::string hex(std::span<const uint8_t> bytes) {
  std::string text;
  for (uint8_t byte : bytes) fmt::format_to(std::back_inserter(text), "{:02x}", byte);
  return text;
}

}  // namespace image
