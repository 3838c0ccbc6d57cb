// Lines of the system call trace.
#include <gtest/gtest.h>

#include <array>

#include "libos/syscall/trace.cpp"

namespace occlum {
namespace {

template <typename... Args>
std::string traced(Result<long> result, Args... args) {
  std::array<char, 256> buffer;
  TraceLine line(buffer);
  line.begin(7, "call");
  (line.show(args), ...);
  line.end_with(result);
  return std::string(line.text());
}

TEST(Trace, Arguments) {
  EXPECT_EQ(traced(3L, kAtCwd, Fd{4}, Flags{0x241}, Mode{0644}),
            "[pid 7] call(AT_FDCWD, 4, 0x241, 0644) = 3");
  EXPECT_EQ(traced(0L, Mode{0}, -1, uint64_t{9}), "[pid 7] call(0, -1, 9) = 0");
  EXPECT_EQ(traced(0L, UserAddress(), UserOut<int>(UserAddress(0x1234))),
            "[pid 7] call(NULL, 0x1234) = 0");
  EXPECT_EQ(traced(0L, SignalNumber{kSigTerm}, SignalNumber{34}, SignalNumber{99}),
            "[pid 7] call(SIGTERM, SIGRT_2, 99) = 0");
  EXPECT_EQ(traced(0L, ClockId{1}, ClockId{-6}), "[pid 7] call(CLOCK_MONOTONIC, -6) = 0");
}

TEST(Trace, Results) {
  EXPECT_EQ(traced(Errno::kNoEnt), "[pid 7] call() = -1 ENOENT");
  EXPECT_EQ(traced(Errno::kRestartSys), "[pid 7] call() = ? ERESTARTSYS");
  EXPECT_EQ(traced(0x7fff0000L), "[pid 7] call() = 0x7fff0000");
}

TEST(Trace, Quotes) {
  std::array<char, 64> buffer;
  TraceLine line(buffer);
  line.add_quoted("a\"b\\c\n\t\x01\xff");
  EXPECT_EQ(line.text(), "\"a\\\"b\\\\c\\n\\t\\x01\\xff\"");
}

TEST(Trace, CutsOff) {
  std::array<char, 10> buffer;
  TraceLine line(buffer);
  line.begin(1, "a_long_name");
  line.show(Flags{1});
  EXPECT_EQ(line.text().size(), 10u);
}

}  // namespace
}  // namespace occlum
