// SHA-256, both implementations: NIST's vectors (FIPS 180-4 examples, CAVP SHA256ShortMsg), and
// each against the other.
#include "libos/lib/sha256.h"

#include <cpuid.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "libos/lib/memory.h"

namespace occlum {
namespace {

std::string hex(const Sha256Digest& digest) {
  std::string result;
  for (const std::byte byte : digest) {
    for (const int nibble : {std::to_integer<int>(byte) >> 4, std::to_integer<int>(byte) & 15}) {
      result += "0123456789abcdef"[nibble];
    }
  }
  return result;
}

bool has_sha_instructions() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & (1u << 29)) != 0;
}

struct Vector {
  std::string message;
  const char* digest;
};
const std::vector<Vector> kVectors = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
     "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    {std::string(1000000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    {std::string("\xd3", 1), "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1"},
    {std::string(1, '\xbd'), "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"},
};

TEST(Sha256, Vectors) {
  for (const Vector& vector : kVectors) {
    EXPECT_EQ(hex(Sha256::of(text_bytes(vector.message))), vector.digest);
  }
}

TEST(Sha256, ShaniVectors) {
  if (!has_sha_instructions()) GTEST_SKIP() << "no SHA instructions";
  for (const Vector& vector : kVectors) {
    EXPECT_EQ(hex(sha256_shani({}, text_bytes(vector.message))), vector.digest);
  }
}

TEST(Sha256, PiecesDoNotMatter) {
  std::mt19937 random(7);
  std::vector<std::byte> message(1000);
  for (std::byte& byte : message) byte = static_cast<std::byte>(random());
  for (std::size_t size = 0; size < 300; ++size) {
    const std::span<const std::byte> part = std::span(message).first(size);
    const Sha256Digest expected = Sha256::of(part);
    Sha256 hash;
    for (std::span<const std::byte> rest = part; !rest.empty();) {
      const std::size_t taken = std::min<std::size_t>(rest.size(), random() % 130);
      hash.update(rest.first(taken));
      rest = rest.subspan(taken);
    }
    EXPECT_EQ(hash.finish(), expected);
    EXPECT_EQ(hex(hash.finish()), kVectors[0].digest) << "finish starts anew";
    if (!has_sha_instructions()) continue;
    const std::size_t split = random() % (size + 1);
    EXPECT_EQ(sha256_shani(part.first(split), part.subspan(split)), expected) << size;
  }
}

TEST(Sha256, SaltedPage) {
  if (!has_sha_instructions()) GTEST_SKIP() << "no SHA instructions";
  std::array<std::byte, 32> salt;
  fill(salt, std::byte{9});
  std::array<std::byte, kPageSize> page;
  fill(page, std::byte{3});
  Sha256 hash;
  hash.update(salt);
  hash.update(page);
  EXPECT_EQ(sha256_page_shani(salt, page), hash.finish());
}

}  // namespace
}  // namespace occlum
