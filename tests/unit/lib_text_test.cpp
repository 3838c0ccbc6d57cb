// Formatting, the log, and parsing.
#include <gtest/gtest.h>

#include <array>
#include <climits>
#include <string>

#include "libos/lib/log.h"
#include "libos/lib/text.h"
#include "tests/unit/harness/heap.h"

namespace occlum {
namespace {

enum class Plain { kTwo = 2 };
enum class Letter : char { kA = 'a' };
enum class Flag : bool { kOn = true };
enum class Big : std::uint64_t { kAll = ~std::uint64_t{0} };

template <typename... Args>
std::string formatted(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
  std::array<char, 200> buffer;
  return std::string(format_to(buffer, format, args...));
}

TEST(Format, Arguments) {
  EXPECT_EQ(formatted("plain"), "plain");
  EXPECT_EQ(formatted(""), "");
  EXPECT_EQ(formatted("{} {} {}", 1, -1, 0u), "1 -1 0");
  EXPECT_EQ(formatted("{} {}", LONG_MIN, ULONG_MAX), "-9223372036854775808 18446744073709551615");
  EXPECT_EQ(formatted("{:x} {:x} {:x}", 255, -1, std::int8_t{-1}), "ff ffffffff ff");
  EXPECT_EQ(formatted("{:x}", LONG_MIN), "8000000000000000");
  EXPECT_EQ(formatted("{}{}{}", true, 'c', false), "truecfalse");
  EXPECT_EQ(formatted("{} {}", std::uint8_t{65}, std::int8_t{65}), "65 65");
  EXPECT_EQ(formatted("{}, {}", Errno::kNoEnt, static_cast<Errno>(999)), "ENOENT, E?");
  EXPECT_EQ(formatted("{} {} {} {:x}", Plain::kTwo, Letter::kA, Flag::kOn, Big::kAll),
            "2 97 1 ffffffffffffffff");
  int target = 0;
  EXPECT_TRUE(formatted("{}", &target).starts_with("0x"));
  EXPECT_EQ(formatted("{}", static_cast<void*>(nullptr)), "0x0");
  const char* text = "text";
  const char* none = nullptr;
  EXPECT_EQ(formatted("{}{}{}{}", text, std::string_view("-"), "literal", none),
            "text-literal(null)");
  EXPECT_EQ(formatted("{}", MUST(String::create("string"))), "string");
  EXPECT_EQ(formatted("{{{}}} {{}}", 1), "{1} {}");
}

TEST(Format, CutsOff) {
  std::array<char, 5> buffer;
  EXPECT_EQ(format_to(buffer, "{}{}", 123, 456), "12345");
  EXPECT_EQ(format_to(std::span<char>(), "{}", 1), "");
  EXPECT_EQ(format_to(buffer, "123456789"), "12345");
}

TEST(Format, AppendsToStrings) {
  String text = MUST(String::create("a "));
  MUST(append_format(text, "{} {}", 1, "b"));
  EXPECT_EQ(text, "a 1 b");
  testing::with_each_allocation_failing([] {
    String out;
    Result<void> result = append_format(out, "{} {}", "0123456789", "0123456789");
    if (result.is_error()) EXPECT_EQ(result.error(), Errno::kNoMem);
  });
}

TEST(Log, LevelsAndLines) {
  log_level = LogLevel::kInfo;
  ::testing::internal::CaptureStderr();
  log_error("e {}", 1);
  log_info("i");
  log_debug("d");
  log_level = LogLevel::kOff;
  log_error("off");
  log_level = LogLevel::kTrace;
  log_warn("{}", std::string_view(std::string(2000, 'x')));
  const std::string out = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(out.starts_with("<1> e 1\n<3> i\n<2> xxx"));
  EXPECT_EQ(out.size(), std::string_view("<1> e 1\n<3> i\n<2> \n").size() + kLogLineBytes);
  log_level = LogLevel::kError;
}

TEST(LogDeathTest, Panics) {
  EXPECT_DEATH(panic("no {} for {:x}", "way", 255), "panic: no way for ff");
  EXPECT_DEATH(ASSERT(1 == 2), "lib_text_test.cpp:[0-9]+: assertion failed: 1 == 2");
}

TEST(Parse, Unsigned) {
  EXPECT_EQ(parse_u64("0").value(), 0u);
  EXPECT_EQ(parse_u64("18446744073709551615").value(), UINT64_MAX);
  EXPECT_EQ(parse_u64("18446744073709551616").error(), Errno::kRange);
  EXPECT_EQ(parse_u64("184467440737095516150").error(), Errno::kRange);
  EXPECT_EQ(parse_u64("99999999999999999999x").error(), Errno::kInval);
  EXPECT_EQ(parse_u64("0000000000000000000000000012").value(), 12u);
  for (const char* bad : {"", " 1", "1 ", "+1", "-1", "a", "0x1"}) {
    EXPECT_EQ(parse_u64(bad).error(), Errno::kInval) << bad;
  }
  EXPECT_EQ(parse_u64_hex("0xfF").value(), 255u);
  EXPECT_EQ(parse_u64_hex("ffffffffffffffff").value(), UINT64_MAX);
  EXPECT_EQ(parse_u64_hex("10000000000000000").error(), Errno::kRange);
  EXPECT_EQ(parse_u64_hex("0x").error(), Errno::kInval);
  EXPECT_EQ(parse_u64_hex("g").error(), Errno::kInval);
}

TEST(Parse, Signed) {
  EXPECT_EQ(parse_i64("-9223372036854775808").value(), INT64_MIN);
  EXPECT_EQ(parse_i64("9223372036854775807").value(), INT64_MAX);
  EXPECT_EQ(parse_i64("9223372036854775808").error(), Errno::kRange);
  EXPECT_EQ(parse_i64("-9223372036854775809").error(), Errno::kRange);
  EXPECT_EQ(parse_i64("+5").value(), 5);
  EXPECT_EQ(parse_i64("-").error(), Errno::kInval);
  EXPECT_EQ(parse_i64("--1").error(), Errno::kInval);
}

TEST(Split, PartsAndFields) {
  std::string joined;
  std::string_view rest = "a,b,,c,";
  while (auto part = next_part(rest, ',')) joined += "[" + std::string(*part) + "]";
  EXPECT_EQ(joined, "[a][b][][c][]");
  rest = "";
  EXPECT_EQ(next_part(rest, ','), "");
  EXPECT_EQ(next_part(rest, ','), std::nullopt);

  joined.clear();
  rest = "  one\ttwo  three ";
  while (auto field = next_field(rest)) joined += "[" + std::string(*field) + "]";
  EXPECT_EQ(joined, "[one][two][three]");
  EXPECT_EQ(trim(" \tx y\n"), "x y");
  EXPECT_EQ(trim(" "), "");
}

}  // namespace
}  // namespace occlum
