// What a program starts with: the line of a script, argument lists, the first bytes of the stack, the environment.
#include <gtest/gtest.h>

#include <string>

#include "libos/process/arguments.cpp"
#include "libos/process/boot_config.cpp"
#include "libos/process/program_stack.cpp"
#include "libos/process/script.cpp"

namespace occlum {
namespace {

std::string shown(std::string_view head) {
  const Result<ScriptLine> line = parse_script_line(head);
  if (line.is_error()) return std::string(errno_name(line.error()));
  std::string text(line.value().interpreter);
  if (line.value().argument) text += "|" + std::string(*line.value().argument);
  return text;
}

TEST(Script, Lines) {
  EXPECT_EQ(shown("#!/bin/sh\necho"), "/bin/sh");
  EXPECT_EQ(shown("#! /bin/sh  \n"), "/bin/sh");
  EXPECT_EQ(shown("#!/usr/bin/env  python3 -u \nx"), "/usr/bin/env|python3 -u");
  EXPECT_EQ(shown("#!\t/bin/awk\t-f\n"), "/bin/awk|-f");
  EXPECT_EQ(shown("#!/bin/true"), "/bin/true");
  EXPECT_EQ(shown("#!\n"), "ENOEXEC");
  EXPECT_EQ(shown("#!   \n/bin/sh"), "ENOEXEC");
  // A NUL ends the name, at the latest behind the file's end: it is an empty path, the current directory.
  EXPECT_EQ(shown("#!"), "EACCES");
  EXPECT_EQ(shown("#"), "ENOEXEC");
  EXPECT_EQ(shown(""), "ENOEXEC");
}

// 255 bytes count: a path that they cut off is no path, an argument may be cut.
TEST(Script, TheLimit) {
  EXPECT_EQ(shown("#!/" + std::string(300, 'x') + "\n").substr(0, 7), "ENOEXEC");
  const std::string long_argument =
      shown(("#!/bin/sh " + std::string(300, 'y') + "\n").substr(0, kScriptHeadSize));
  EXPECT_EQ(long_argument.substr(0, 9), "/bin/sh|y");
  EXPECT_LT(long_argument.size(), 256u);
  EXPECT_EQ(shown("#!/" + std::string(252, 'x') + "\n"), "/" + std::string(252, 'x'));
}

ArgumentList list_of(std::initializer_list<std::string_view> texts) {
  ArgumentList list;
  for (std::string_view text : texts) EXPECT_FALSE(list.add(text).is_error());
  return list;
}

TEST(Arguments, PrependAndRemove) {
  ArgumentList list = list_of({"script", "a", ""});
  list.remove_first();
  ASSERT_FALSE(list.prepend("/path/script").is_error());
  ASSERT_FALSE(list.prepend("/bin/sh").is_error());
  EXPECT_EQ(list.count(), 4u);
  EXPECT_EQ(list.first(), "/bin/sh");
  EXPECT_EQ(list.text(), std::string_view("/bin/sh\0/path/script\0a\0\0", 24));
  EXPECT_EQ(list.add(std::string(kLongestArgument, 'x')).error(), Errno::kTooBig);
  EXPECT_EQ(argument_room(8 << 20), size_t{2} << 20);
  EXPECT_EQ(argument_room(UINT64_MAX), kMostArgumentRoom);
  EXPECT_EQ(argument_room(4096), kLeastArgumentRoom);
}

class StackReader {
 public:
  explicit StackReader(const ProgramStack& stack) : stack_(stack) {}
  uint64_t word(uint64_t address) const { return load_le<uint64_t>(at(address)); }
  std::string text(uint64_t address) const {
    const std::string_view rest = bytes_text(at(address));
    return std::string(rest.substr(0, rest.find('\0')));
  }

 private:
  std::span<const std::byte> at(uint64_t address) const {
    return stack_.bytes.span().subspan(address - stack_.stack_pointer);
  }
  const ProgramStack& stack_;
};

TEST(ProgramStack, AsLinuxLaysItOut) {
  constexpr uint64_t kTop = 0x7fff0000;
  const ArgumentList argv = list_of({"prog", "one", ""});
  const ArgumentList env = list_of({"A=1", "B=22"});
  std::array<std::byte, 16> random;
  random.fill(std::byte{0xab});
  const AuxEntry aux[] = {{kAtPagesz, 4096}};
  const Result<ProgramStack> built = build_program_stack(kTop, argv, env, "/bin/prog", aux, random);
  ASSERT_FALSE(built.is_error());
  const ProgramStack& stack = built.value();
  const StackReader reader(stack);
  EXPECT_EQ(stack.stack_pointer % 16, 0u);
  EXPECT_EQ(stack.stack_pointer + stack.bytes.size(), kTop);
  EXPECT_EQ(reader.word(kTop - 8), 0u);

  uint64_t at = stack.stack_pointer;
  EXPECT_EQ(reader.word(at), 3u);
  EXPECT_EQ(reader.text(reader.word(at + 8)), "prog");
  EXPECT_EQ(reader.word(at + 8), stack.args_start);
  EXPECT_EQ(reader.text(reader.word(at + 16)), "one");
  EXPECT_EQ(reader.text(reader.word(at + 24)), "");
  EXPECT_EQ(reader.word(at + 32), 0u);
  EXPECT_EQ(reader.text(reader.word(at + 40)), "A=1");
  EXPECT_EQ(reader.text(reader.word(at + 48)), "B=22");
  EXPECT_EQ(reader.word(at + 56), 0u);
  at += 64;
  EXPECT_EQ(reader.word(at), kAtPagesz);
  EXPECT_EQ(reader.word(at + 8), 4096u);
  bool found_random = false, found_name = false;
  for (at += 16; reader.word(at) != kAtNull; at += 16) {
    const uint64_t value = reader.word(at + 8);
    if (reader.word(at) == kAtRandom) found_random = reader.word(value) == 0xabababababababab;
    if (reader.word(at) == kAtExecfn) found_name = reader.text(value) == "/bin/prog";
    if (reader.word(at) == kAtPlatform) EXPECT_EQ(reader.text(value), "x86_64");
  }
  EXPECT_TRUE(found_random);
  EXPECT_TRUE(found_name);
  // ps reads the arguments as one piece, the environment behind them.
  EXPECT_EQ(stack.args_end, stack.env_start);
  EXPECT_EQ(stack.args_end - stack.args_start, argv.bytes());
  EXPECT_EQ(stack.env_end - stack.env_start, env.bytes());
}

TEST(ProgramStack, AlignedForEveryCount) {
  for (size_t count = 0; count < 9; ++count) {
    ArgumentList argv;
    for (size_t i = 0; i < count; ++i) ASSERT_FALSE(argv.add(std::string(i * 3, 'x')).is_error());
    const Result<ProgramStack> built =
        build_program_stack(0x10000, argv, ArgumentList(), std::string(count, 'n'), {}, {});
    ASSERT_FALSE(built.is_error());
    EXPECT_EQ(built.value().stack_pointer % 16, 0u);
  }
}

TEST(BootConfig, EnvironmentOfAnInstance) {
  const BootConfig config(
      "version=1\nmode=instance\nenv=PATH=/bin\nenv=LANG=C\nenv.untrusted=LANG\nenv.untrusted=TZ\n"
      "entry_point=/bin\nentry_point=/opt/app/\nstack_size=65536\n");
  Vec<String> host;
  for (std::string_view text : {"LANG=de", "TZ=UTC", "LD_PRELOAD=/evil.so"}) {
    ASSERT_FALSE(host.push(MUST(String::create(text))).is_error());
  }
  const Result<ArgumentList> env = config.environment(host);
  ASSERT_FALSE(env.is_error());
  EXPECT_EQ(environment_value(env.value(), "PATH"), "/bin");
  EXPECT_EQ(environment_value(env.value(), "LANG"), "de");
  EXPECT_EQ(environment_value(env.value(), "TZ"), "UTC");
  EXPECT_EQ(environment_value(env.value(), "LD_PRELOAD"), "");
  EXPECT_EQ(env.value().count(), 3u);
  EXPECT_EQ(config.stack_size(), 65536u);
  EXPECT_TRUE(config.allows_entry("/bin/ls"));
  EXPECT_TRUE(config.allows_entry("/opt/app/x"));
  EXPECT_FALSE(config.allows_entry("/binary"));
  EXPECT_FALSE(config.allows_entry("/usr/bin/ls"));
}

TEST(BootConfig, DoModeTakesEverything) {
  const BootConfig config("mode=do\nentry_point=/bin\n");
  EXPECT_TRUE(config.allows_entry("/anything"));
  EXPECT_EQ(config.stack_size(), kDefaultStackSize);
  Vec<String> host;
  ASSERT_FALSE(host.push(MUST(String::create("X=1"))).is_error());
  EXPECT_EQ(MUST(config.environment(host)).text(), std::string_view("X=1\0", 4));
}

}  // namespace
}  // namespace occlum
