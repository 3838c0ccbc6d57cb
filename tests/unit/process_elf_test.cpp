// ELF headers under hostile changes: every truncation, every byte replaced, and the rules that Linux has.
#include <gtest/gtest.h>

#include <vector>

#include "libos/process/elf.cpp"

namespace occlum {
namespace {

constexpr uint64_t kLimit = uint64_t{1} << 40;

template <typename T>
void put(std::vector<std::byte>& file, size_t offset, T value) {
  store_le<T>(std::span(file).subspan(offset), value);
}

struct Segment {
  uint32_t type, flags;
  uint64_t offset, address, file_size, memory_size, alignment;
};

std::vector<std::byte> make_elf(ElfType type, const std::vector<Segment>& segments,
                                size_t size = 0x3000) {
  std::vector<std::byte> file(size);
  put<uint32_t>(file, 0, 0x464c457f);
  file[4] = std::byte{2};
  file[5] = std::byte{1};
  file[6] = std::byte{1};
  put<uint16_t>(file, 16, static_cast<uint16_t>(type));
  put<uint16_t>(file, 18, 62);
  put<uint64_t>(file, 24, 0x1040);
  put<uint64_t>(file, 32, 64);
  put<uint16_t>(file, 54, 56);
  put<uint16_t>(file, 56, static_cast<uint16_t>(segments.size()));
  for (size_t i = 0; i < segments.size(); ++i) {
    const size_t at = 64 + i * 56;
    put(file, at, segments[i].type);
    put(file, at + 4, segments[i].flags);
    put(file, at + 8, segments[i].offset);
    put(file, at + 16, segments[i].address);
    put(file, at + 32, segments[i].file_size);
    put(file, at + 40, segments[i].memory_size);
    put(file, at + 48, segments[i].alignment);
  }
  return file;
}

std::vector<std::byte> good_elf() {
  return make_elf(ElfType::kDynamic, {{6, 4, 64, 64, 4 * 56, 4 * 56, 8},
                                      {3, 4, 0x400, 0x400, 28, 28, 1},
                                      {1, 5, 0, 0, 0x1500, 0x1500, 0x1000},
                                      {1, 6, 0x1e00, 0x2e00, 0x300, 0x900, 0x1000}});
}

Result<ElfImage> parse(std::span<const std::byte> file) {
  const ElfHeader header =
      TRY(parse_elf_header(file.first(std::min<size_t>(file.size(), 256)), file.size()));
  return parse_elf_program(header, file.subspan(header.table_offset, header.table_bytes()),
                           file.size(), kLimit);
}

Errno error_of(const std::vector<std::byte>& file) {
  const Result<ElfImage> image = parse(file);
  return image.is_error() ? image.error() : static_cast<Errno>(0);
}

TEST(Elf, ReadsAGoodOne) {
  const std::vector<std::byte> file = good_elf();
  const Result<ElfImage> image = parse(file);
  ASSERT_FALSE(image.is_error());
  const ElfImage& elf = image.value();
  EXPECT_EQ(elf.segments.size(), 2u);
  EXPECT_EQ(elf.start, 0u);
  EXPECT_EQ(elf.end, 0x4000u);
  EXPECT_EQ(elf.headers_address, 64u);
  ASSERT_TRUE(elf.interpreter.has_value());
  EXPECT_EQ(elf.interpreter->offset, 0x400u);
  EXPECT_FALSE(elf.has_executable_stack);
}

TEST(Elf, EveryTruncationIsRefused) {
  const std::vector<std::byte> file = good_elf();
  for (size_t size = 0; size < 0x2100; ++size) {
    const std::vector<std::byte> cut(file.begin(), file.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_EQ(error_of(cut), Errno::kNoExec) << size;
  }
}

// Whatever is accepted lies in the file and below the limit.
TEST(Elf, EveryByteReplaced) {
  const std::vector<std::byte> original = good_elf();
  for (size_t at = 0; at < 64 + 4 * 56; ++at) {
    for (int value = 0; value < 256; ++value) {
      std::vector<std::byte> file = original;
      file[at] = static_cast<std::byte>(value);
      const Result<ElfImage> image = parse(file);
      if (image.is_error()) continue;
      uint64_t previous = 0;
      for (const ElfSegment& segment : image.value().segments) {
        EXPECT_GE(segment.address, previous);
        EXPECT_LE(segment.end(), kLimit);
        EXPECT_LE(segment.file_size, segment.memory_size);
        EXPECT_LE(segment.offset + segment.file_size, file.size());
        previous = segment.end();
      }
      EXPECT_LE(image.value().end, kLimit);
    }
  }
}

TEST(Elf, RefusesWhatLinuxRefuses) {
  std::vector<std::byte> foreign = good_elf();
  put<uint16_t>(foreign, 18, 183);  // AArch64
  EXPECT_EQ(error_of(foreign), Errno::kNoExec);
  std::vector<std::byte> small = good_elf();
  small[4] = std::byte{1};  // ELFCLASS32
  EXPECT_EQ(error_of(small), Errno::kNoExec);
  std::vector<std::byte> object = good_elf();
  put<uint16_t>(object, 16, 1);  // ET_REL
  EXPECT_EQ(error_of(object), Errno::kNoExec);
  EXPECT_EQ(error_of(make_elf(ElfType::kDynamic, {{3, 4, 0x400, 0x400, 28, 28, 1}})),
            Errno::kNoExec);
  // More in the file than in memory; an end that wraps; an address that does not fit its offset.
  EXPECT_EQ(error_of(make_elf(ElfType::kDynamic, {{1, 5, 0, 0, 0x1000, 0x800, 0x1000}})),
            Errno::kInval);
  EXPECT_EQ(error_of(make_elf(ElfType::kExecutable,
                              {{1, 5, 0, UINT64_MAX - 0xfff, 0x100, 0x2000, 0x1000}})),
            Errno::kInval);
  EXPECT_EQ(
      error_of(make_elf(ElfType::kExecutable, {{1, 5, 0x10, 0x400000, 0x100, 0x100, 0x1000}})),
      Errno::kInval);
}

TEST(Elf, FindsHeadersThroughTheSegmentThatMapsThem) {
  const Result<ElfImage> image =
      parse(make_elf(ElfType::kExecutable, {{1, 5, 0, 0x400000, 0x1000, 0x1000, 0x1000}}));
  ASSERT_FALSE(image.is_error());
  EXPECT_EQ(image.value().headers_address, 0x400040u);
}

}  // namespace
}  // namespace occlum
