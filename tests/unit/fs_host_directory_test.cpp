// Hostile getdents64(2) records: names, lengths and ends that no kernel gives.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "libos/fs/hostfs/host_directory.h"

namespace occlum {
namespace {

using std::string;
using Bytes = std::vector<std::byte>;

void add(Bytes& to, const string& name, uint8_t type = 8, size_t length = 0) {
  const size_t needed = 19 + name.size() + 1;
  if (length == 0) length = (needed + 7) / 8 * 8;
  Bytes record(std::max(length, needed));
  const uint64_t ino = 77;
  const uint16_t claimed = static_cast<uint16_t>(length);
  std::memcpy(record.data(), &ino, 8);
  std::memcpy(record.data() + 16, &claimed, 2);
  record[18] = static_cast<std::byte>(type);
  std::memcpy(record.data() + 19, name.data(), name.size());
  record.resize(length);
  to.insert(to.end(), record.begin(), record.end());
}

Result<std::vector<string>> parse(const Bytes& records) {
  std::vector<string> names;
  TRY(parse_host_entries(records, [&](const HostEntry& entry) -> Result<void> {
    EXPECT_FALSE(entry.name.empty());
    EXPECT_LE(entry.name.size(), 255u);
    EXPECT_EQ(entry.name.find('/'), std::string_view::npos);
    EXPECT_EQ(entry.name.find('\0'), std::string_view::npos);
    EXPECT_NE(entry.name, ".");
    EXPECT_NE(entry.name, "..");
    names.emplace_back(entry.name);
    return {};
  }));
  return names;
}

TEST(HostDirectory, ParsesWhatAKernelGives) {
  Bytes records;
  add(records, ".", 4);
  add(records, "..", 4);
  add(records, "file");
  add(records, string(255, 'n'));
  const auto names = MUST(parse(records));
  EXPECT_EQ(names, (std::vector<string>{"file", string(255, 'n')}));
}

TEST(HostDirectory, RefusesWhatItDoesNot) {
  const auto refused = [](const Bytes& records) {
    const auto result = parse(records);
    return result.is_error() && result.error() == Errno::kIo;
  };
  Bytes slash, too_long, empty, no_end, zero_length, beyond, cut;
  add(slash, "a/b");
  EXPECT_TRUE(refused(slash));
  add(too_long, string(256, 'n'));
  EXPECT_TRUE(refused(too_long));
  add(empty, "");
  EXPECT_TRUE(refused(empty));
  add(no_end, "abcde", 8, 24);
  no_end.back() = std::byte{'x'};
  EXPECT_TRUE(refused(no_end));
  add(zero_length, "a");
  zero_length[16] = zero_length[17] = std::byte{0};
  EXPECT_TRUE(refused(zero_length));
  add(beyond, "a");
  beyond[16] = std::byte{200};
  EXPECT_TRUE(refused(beyond));
  add(cut, "a");
  cut.resize(10);
  EXPECT_TRUE(refused(cut));
}

TEST(HostDirectory, UnknownTypesAreUnknown) {
  Bytes records;
  add(records, "a", 200);
  add(records, "b", 14);
  MUST(parse_host_entries(records, [](const HostEntry& entry) -> Result<void> {
    EXPECT_EQ(entry.type, FileType::kUnknown);
    return {};
  }));
}

TEST(HostDirectory, RandomBytesDoNoHarm) {
  std::mt19937 random(3);
  for (int round = 0; round < 20000; ++round) {
    Bytes records;
    const int count = static_cast<int>(random() % 5);
    for (int i = 0; i < count; ++i) add(records, string(1 + random() % 20, 'a'));
    for (int i = 0; i < 6 && !records.empty(); ++i) {
      records[random() % records.size()] = static_cast<std::byte>(random());
    }
    static_cast<void>(parse(records).is_error());
  }
}

}  // namespace
}  // namespace occlum
