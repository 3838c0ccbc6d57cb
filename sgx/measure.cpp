// SHA256_*: no allocation, and no provider start-up, which takes 1 to 2 ms.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sgx/measure.h"

#include <array>
#include <cstring>

namespace sgx {
namespace {

constexpr std::size_t kBlock = 64;
constexpr std::size_t kChunks = kPageSize / kExtendSize;
constexpr std::size_t kChunkRecord = kBlock + kExtendSize;

// One 64-byte block: an eight-character tag, then little-endian fields, zero-filled.
struct Block {
  explicit Block(const char (&tag)[9]) { put(tag, 8); }
  void put(const void* data, std::size_t size) {
    std::memcpy(bytes.data() + used, data, size);
    used += size;
  }
  template <typename T>
  void number(T value) {
    put(&value, sizeof value);  // x86 is little-endian, as the measurement is
  }
  std::array<std::uint8_t, kBlock> bytes{};
  std::size_t used = 0;
};

Block extend_block(std::uint64_t offset) {
  Block block("EEXTEND\0");
  block.number(offset);
  return block;
}

}  // namespace

void Measurement::ecreate(std::uint32_t ssa_frame_size, std::uint64_t size) {
  SHA256_Init(&hash_);
  Block block("ECREATE\0");
  block.number(ssa_frame_size);
  block.number(size);
  SHA256_Update(&hash_, block.bytes.data(), kBlock);
}

void Measurement::eadd(std::uint64_t offset, std::uint64_t secinfo_flags) {
  Block block("EADD\0\0\0\0");
  block.number(offset);
  block.number(
      secinfo_flags);  // the first 48 bytes of SECINFO, of which all but the flags are zero
  SHA256_Update(&hash_, block.bytes.data(), kBlock);
}

void Measurement::eextend(std::uint64_t offset, std::span<const std::byte, kExtendSize> chunk) {
  const Block block = extend_block(offset);
  SHA256_Update(&hash_, block.bytes.data(), kBlock);
  SHA256_Update(&hash_, chunk.data(), chunk.size());
}

void Measurement::eextend_page(std::uint64_t offset, std::span<const std::byte, kPageSize> page) {
  std::array<std::uint8_t, kChunks * kChunkRecord> records;
  for (std::size_t i = 0; i < kChunks; i++) {
    const Block block = extend_block(offset + i * kExtendSize);
    std::memcpy(records.data() + i * kChunkRecord, block.bytes.data(), kBlock);
    std::memcpy(records.data() + i * kChunkRecord + kBlock, page.data() + i * kExtendSize,
                kExtendSize);
  }
  SHA256_Update(&hash_, records.data(), records.size());
}

Hash Measurement::finish() {
  Hash digest;
  SHA256_Final(digest.data(), &hash_);
  return digest;
}

}  // namespace sgx
