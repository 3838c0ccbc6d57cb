#include "libos/process/script.h"

#include <algorithm>

namespace occlum {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kTerminators{" \t\0", 3};

std::string_view without_leading_blanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text;
}

std::string_view without_trailing_blanks(std::string_view text) {
  const size_t last = text.find_last_not_of(kBlanks);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

}  // namespace

Result<ScriptLine> parse_script_line(std::string_view head) {
  if (!is_script(head)) return Errno::kNoExec;
  std::string_view line = head.substr(2, kScriptHeadSize - 2);
  const size_t newline = line.find('\n');
  if (newline != std::string_view::npos) {
    line = line.substr(0, newline);
  } else {
    const bool is_cut_off = head.size() >= kScriptHeadSize;
    line = line.substr(0, kScriptHeadSize - 3);
    const std::string_view name = without_leading_blanks(line);
    if (is_cut_off && name.find_first_of(kTerminators) == std::string_view::npos)
      return Errno::kNoExec;
  }
  line = without_trailing_blanks(without_leading_blanks(line));
  const size_t end = std::min(line.find_first_of(kTerminators), line.size());
  ScriptLine script{.interpreter = line.substr(0, end), .argument = std::nullopt};
  if (script.interpreter.empty()) {
    // A name that a NUL ends, be it that behind the file's end, is an empty path: the current directory.
    const bool has_end = newline == std::string_view::npos || end < line.size();
    return has_end ? Errno::kAcces : Errno::kNoExec;
  }
  if (end == line.size() || line[end] == '\0') return script;
  // One argument: the rest of the line, up to a NUL.
  std::string_view argument = without_leading_blanks(line.substr(end));
  argument = argument.substr(0, argument.find('\0'));
  if (!argument.empty()) script.argument = argument;
  return script;
}

}  // namespace occlum
