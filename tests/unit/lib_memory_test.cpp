// Memory through spans, bits, byte orders, and the enclave's own memcpy and friends (renamed
// occlum_*).
#include <gtest/gtest.h>

#include <array>
#include <climits>
#include <random>
#include <vector>

#include "libos/lib/bits.h"
#include "libos/lib/bytes.h"

extern "C" {
void* occlum_memcpy(void* to, const void* from, size_t count);
void* occlum_memmove(void* to, const void* from, size_t count);
void* occlum_memset(void* to, int value, size_t count);
int occlum_memcmp(const void* a, const void* b, size_t count);
int occlum_bcmp(const void* a, const void* b, size_t count);
size_t occlum_strlen(const char* text);
void* occlum_memchr(const void* bytes, int value, size_t count);
}

namespace occlum {
namespace {

std::vector<unsigned char> random_vector(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<unsigned char> result(size);
  for (unsigned char& byte : result) byte = static_cast<unsigned char>(random());
  return result;
}

// All sizes around every branch, the source before, at and behind the destination.
TEST(MemoryFunctions, MoveMatchesTheDefinition) {
  constexpr std::size_t kBase = 700;
  for (std::size_t count = 0; count < 600; count += count < 300 ? 1 : 37) {
    for (const int distance :
         {-600, -64, -33, -32, -31, -9, -8, -7, -1, 0, 1, 3, 7, 8, 9, 16, 31, 32, 33, 255, 600}) {
      std::vector<unsigned char> actual = random_vector(2000, static_cast<unsigned>(count));
      std::vector<unsigned char> expected = actual;
      const std::vector<unsigned char> source(expected.begin() + kBase,
                                              expected.begin() + static_cast<long>(kBase + count));
      const std::size_t to = static_cast<std::size_t>(static_cast<int>(kBase) + distance);
      std::copy(source.begin(), source.end(), expected.begin() + static_cast<long>(to));
      EXPECT_EQ(occlum_memmove(&actual[to], &actual[kBase], count), &actual[to]);
      ASSERT_EQ(actual, expected) << count << " bytes over " << distance;
    }
  }
}

TEST(MemoryFunctions, CopyAndSetTouchNothingElse) {
  const std::vector<unsigned char> source = random_vector(9000, 1);
  for (std::size_t count : {0,  1,  2,  3,  4,  7,   8,   9,   15,  16,   17,  31,
                            32, 33, 63, 64, 65, 100, 255, 256, 257, 4096, 8191}) {
    for (std::size_t offset = 0; offset < 9; ++offset) {
      std::vector<unsigned char> actual(9000, 0xee);
      std::vector<unsigned char> expected = actual;
      EXPECT_EQ(occlum_memcpy(&actual[offset], &source[3], count), &actual[offset]);
      std::copy_n(source.begin() + 3, count, expected.begin() + static_cast<long>(offset));
      ASSERT_EQ(actual, expected) << count;
      EXPECT_EQ(occlum_memset(&actual[offset + 1], 0x1a5, count), &actual[offset + 1]);
      std::fill_n(expected.begin() + static_cast<long>(offset) + 1, count, 0xa5);
      ASSERT_EQ(actual, expected) << count;
    }
  }
}

TEST(MemoryFunctions, CompareAndSearch) {
  std::vector<unsigned char> a = random_vector(100, 5);
  for (std::size_t size = 0; size < 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::vector<unsigned char> b = a;
      EXPECT_EQ(occlum_memcmp(a.data(), b.data(), size), 0);
      b[at] ^= 0x80;
      const bool less = a[at] < b[at];
      EXPECT_EQ(occlum_memcmp(a.data(), b.data(), size) < 0, less);
      EXPECT_EQ(occlum_memcmp(b.data(), a.data(), size) < 0, !less);
      EXPECT_NE(occlum_bcmp(a.data(), b.data(), size), 0);
      EXPECT_EQ(occlum_memcmp(a.data(), b.data(), at), 0);
    }
  }
  EXPECT_EQ(occlum_strlen(""), 0u);
  EXPECT_EQ(occlum_strlen("abc"), 3u);
  const char text[] = "abcb";
  EXPECT_EQ(occlum_memchr(text, 'b' | 0x100, 4), text + 1);
  EXPECT_EQ(occlum_memchr(text, 'x', 4), nullptr);
  EXPECT_EQ(occlum_memchr(text, 'a', 0), nullptr);
}

TEST(Memory, SpanHelpers) {
  std::array<std::byte, 8> bytes = {};
  fill(bytes, std::byte{7});
  EXPECT_EQ(bytes[7], std::byte{7});
  zero_bytes(std::span(bytes).first(4));
  EXPECT_EQ(load_le<std::uint64_t>(bytes), 0x0707070700000000u);
  copy_bytes(std::span(bytes).first(4), std::span(bytes).last(4));
  copy_bytes({}, {});
  EXPECT_EQ(load_be<std::uint32_t>(bytes), 0x07070707u);
  store_be<std::uint16_t>(bytes, 0x0102);
  EXPECT_EQ(bytes[0], std::byte{1});
  store_le<std::uint16_t>(std::span(bytes).subspan(6), 0x0102);
  EXPECT_EQ(bytes[7], std::byte{1});
  secure_zero(bytes);
  EXPECT_EQ(load_le<std::int64_t>(bytes), 0);
  EXPECT_TRUE(constant_time_equal(bytes, bytes));
  EXPECT_TRUE(constant_time_equal({}, {}));
  std::array<std::byte, 8> other = bytes;
  other[7] = std::byte{1};
  EXPECT_FALSE(constant_time_equal(bytes, other));
  EXPECT_FALSE(constant_time_equal(bytes, std::span(bytes).first(7)));
  EXPECT_FALSE(bytes_equal(bytes, other));
  EXPECT_TRUE(bytes_equal({}, {}));
  EXPECT_EQ(bytes_text(text_bytes("abc")), "abc");
  std::array<char, 4> text;
  copy_text(text, "abcd");
  EXPECT_EQ(text[3], 'd');
}

struct Header {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t flags;
};

TEST(Memory, ObjectsFromBytes) {
  const Header header{1, 2, 3};
  std::array<std::byte, 9> bytes = {};
  MUST(write_object(std::span(bytes).subspan(1), header));
  const Header copy = MUST(read_object<Header>(std::span(bytes).subspan(1)));
  EXPECT_EQ(copy.version, 2);
  EXPECT_EQ(copy.flags, 3);
  EXPECT_EQ(read_object<Header>(std::span(bytes).first(7)).error(), Errno::kInval);
  EXPECT_EQ(write_object(std::span(bytes).first(7), header).error(), Errno::kInval);
}

TEST(MemoryDeathTest, SizesAreChecked) {
  std::array<std::byte, 4> small = {};
  std::array<std::byte, 8> large = {};
  EXPECT_DEATH(copy_bytes(small, large), "dst.size\\(\\) >= src.size\\(\\)");
  EXPECT_DEATH((void)load_le<std::uint64_t>(small), "");
}

TEST(Bits, Alignment) {
  static_assert(align_down(0x1fffu, 0x1000u) == 0x1000);
  static_assert(align_up(std::uint64_t{0x1001}, kPageSize) == 0x2000);
  static_assert(align_up(0u, 8u) == 0);
  static_assert(is_aligned(std::uint64_t{0x2000}, kPageSize));
  static_assert(!is_aligned(7u, 8u));
  static_assert(checked_align_up(UINT64_MAX, 4096) == std::nullopt);
  static_assert(checked_align_up(UINT64_MAX - 4095, 4096) == UINT64_MAX - 4095);
  static_assert(ceil_div(UINT64_MAX, 2) == std::uint64_t{1} << 63);
  static_assert(ceil_div(0u, 3u) == 0);
  EXPECT_DEATH((void)align_up(UINT64_MAX, std::uint64_t{8}), "panic");
  EXPECT_DEATH((void)align_down(8u, 3u), "panic");
}

TEST(Bits, CheckedArithmetic) {
  static_assert(checked_add(UINT64_MAX, 1) == std::nullopt);
  static_assert(checked_add(1, 2) == 3);
  static_assert(checked_sub(1u, 2u) == std::nullopt);
  static_assert(checked_sub(1, 2) == -1);
  static_assert(checked_mul(std::size_t{1} << 32, std::size_t{1} << 32) == std::nullopt);
  static_assert(checked_mul(INT_MIN, -1) == std::nullopt);
}

}  // namespace
}  // namespace occlum
