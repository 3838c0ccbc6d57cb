// The line discipline, against what Linux's n_tty does with the same keys.
#include "libos/fs/dev/tty/line_discipline.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "libos/process/signals/signal.h"

namespace occlum {
namespace {

class Screen : public LineDiscipline::Echo {
 public:
  void put(std::span<const std::byte> bytes) override {
    for (const std::byte byte : bytes) text += static_cast<char>(byte);
  }
  std::string text;
};

class LineDisciplineTest : public ::testing::Test {
 protected:
  void SetUp() override { MUST(tty_.create()); }

  // Returns the last signal.
  int type(std::string_view keys) {
    int signal = 0;
    for (const char key : keys) {
      if (const int one = tty_.receive(static_cast<uint8_t>(key), screen_)) signal = one;
    }
    return signal;
  }
  std::string read(size_t most = 4096) {
    std::string out(most, '\0');
    out.resize(tty_.take(std::as_writable_bytes(std::span(out))));
    return out;
  }
  std::string echoed() { return std::exchange(screen_.text, {}); }
  std::string written(std::string_view text) {
    std::string out;
    for (const char c : text) {
      std::array<std::byte, LineDiscipline::kMaxExpansion> bytes;
      const size_t count = tty_.process_output(static_cast<uint8_t>(c), bytes);
      for (size_t i = 0; i < count; ++i) out += static_cast<char>(bytes[i]);
    }
    return out;
  }
  void set(void (*change)(Termios&)) {
    Termios termios = tty_.termios();
    change(termios);
    tty_.set_termios(termios);
  }

  LineDiscipline tty_;
  Screen screen_;
};

TEST_F(LineDisciplineTest, ALineIsReadableWhenItEnds) {
  type("hello");
  EXPECT_FALSE(tty_.has_input());
  type("\r");
  EXPECT_TRUE(tty_.has_input());
  EXPECT_EQ(tty_.readable_bytes(), 6u);
  EXPECT_EQ(echoed(), "hello\r\n");
  EXPECT_EQ(read(), "hello\n");
  EXPECT_FALSE(tty_.has_input());
}

TEST_F(LineDisciplineTest, ReadsOneLineAtATimeAndInPieces) {
  type("one\rtwo\r");
  EXPECT_EQ(read(2), "on");
  EXPECT_EQ(read(), "e\n");
  EXPECT_EQ(read(), "two\n");
}

TEST_F(LineDisciplineTest, EditsTheLine) {
  type("ab\x7f");
  EXPECT_EQ(echoed(), "ab\b \b");
  type("c\r");
  EXPECT_EQ(read(), "ac\n");
  type("\x7f\x7f");  // nothing to erase
  echoed();
  type("foo bar  \x17");
  EXPECT_EQ(echoed(), "foo bar  \b \b\b \b\b \b\b \b\b \b");
  type("\x15");
  EXPECT_EQ(echoed(), "\b \b\b \b\b \b\b \b");
  type("x\r");
  EXPECT_EQ(read(), "x\n");
}

TEST_F(LineDisciplineTest, ErasesControlCharactersAndTabs) {
  EXPECT_EQ(written("$ "), "$ ");
  type("\x01");
  EXPECT_EQ(echoed(), "^A");
  type("\x7f");
  EXPECT_EQ(echoed(), "\b \b\b \b");
  type("a\t");
  echoed();
  type("\x7f");
  EXPECT_EQ(echoed(), "\b\b\b\b\b");
}

TEST_F(LineDisciplineTest, ErasesWholeUtf8Characters) {
  set([](Termios& t) { t.input |= kIUtf8; });
  type("a\xc3\xa9\x7f\r");
  EXPECT_EQ(read(), "a\n");
  EXPECT_EQ(echoed(), "a\xc3\xa9\b \b\r\n");
}

TEST_F(LineDisciplineTest, EndOfFile) {
  type("\x04");
  EXPECT_TRUE(tty_.has_input());
  EXPECT_EQ(read(), "");
  EXPECT_FALSE(tty_.has_input());
  type("ab\x04");
  EXPECT_EQ(read(), "ab");
  EXPECT_FALSE(tty_.has_input());
}

TEST_F(LineDisciplineTest, Signals) {
  type("half");
  EXPECT_EQ(type("\x03"), kSigInt);
  EXPECT_EQ(echoed(), "half^C");
  type("\r");
  EXPECT_EQ(read(), "\n");  // the line was thrown away
  EXPECT_EQ(type("\x1c"), kSigQuit);
  EXPECT_EQ(type("\x1a"), kSigTstp);
  set([](Termios& t) { t.local &= ~uint32_t{kISig}; });
  EXPECT_EQ(type("\x03\r"), 0);
  EXPECT_EQ(read(), "\x03\n");
}

TEST_F(LineDisciplineTest, LiteralNext) {
  type("\x16\x03\r");
  EXPECT_EQ(read(), "\x03\n");
  EXPECT_EQ(echoed(), "^\b^C\r\n");
}

TEST_F(LineDisciplineTest, RawMode) {
  set([](Termios& t) {
    t.local = 0;
    t.input = 0;
    t.output = 0;
  });
  type("a\r\x03\x7f");
  EXPECT_EQ(read(), "a\r\x03\x7f");
  EXPECT_EQ(echoed(), "");
  EXPECT_EQ(written("a\n"), "a\n");
}

TEST_F(LineDisciplineTest, ChangingTheModeKeepsWhatWasTyped) {
  type("abc");
  set([](Termios& t) { t.local &= ~uint32_t{kICanon}; });
  EXPECT_EQ(read(1), "a");
  set([](Termios& t) { t.local |= kICanon; });
  EXPECT_TRUE(tty_.has_input());
  EXPECT_EQ(read(), "bc");
}

TEST_F(LineDisciplineTest, OutputProcessing) {
  EXPECT_EQ(written("a\nb\tc"), "a\r\nb\tc");
  set([](Termios& t) { t.output |= kXTabs; });
  EXPECT_EQ(written("\n12\t|"), "\r\n12      |");
}

TEST_F(LineDisciplineTest, FlowControl) {
  type("\x13");
  EXPECT_TRUE(tty_.is_output_stopped());
  type("\x11");
  EXPECT_FALSE(tty_.is_output_stopped());
}

TEST_F(LineDisciplineTest, AFullLineTakesItsEndOnly) {
  type(std::string(5000, 'x'));
  type("\r");
  EXPECT_EQ(read(10000).size(), LineDiscipline::kMaxLine);
}

// No keys and settings, however mixed, break the buffer.
TEST_F(LineDisciplineTest, AnyKeysAndSettings) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    Termios termios;
    termios.input = random();
    termios.output = random();
    termios.local = random();
    for (uint8_t& c : termios.chars) c = static_cast<uint8_t>(random());
    tty_.set_termios(termios);
    for (int i = 0; i < 2000; ++i) {
      (void)tty_.receive(static_cast<uint8_t>(random()), screen_);
      if (random() % 97 == 0) (void)read(random() % 50);
      if (random() % 501 == 0) tty_.flush_input();
      ASSERT_LE(tty_.readable_bytes(), LineDiscipline::kCapacity);
    }
    echoed();
  }
}

}  // namespace
}  // namespace occlum
