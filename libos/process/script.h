// The first line of a script: `#! INTERPRETER [ARGUMENT]` (execve(2), "Interpreter scripts"; fs/binfmt_script.c).
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "libos/lib/result.h"

namespace occlum {

// How much of a file's start decides what it is.
constexpr size_t kScriptHeadSize = 256;
// Interpreters of interpreters: beyond it ELOOP.
constexpr int kMaxScriptDepth = 5;

struct ScriptLine {
  std::string_view interpreter;  // never empty
  std::optional<std::string_view> argument;
};

constexpr bool is_script(std::string_view head) { return head.starts_with("#!"); }

// `head` is the start of the file, at most kScriptHeadSize bytes. Errors: kNoExec: no interpreter, or a path that the
// line's limit of 255 bytes cuts off.
Result<ScriptLine> parse_script_line(std::string_view head);

}  // namespace occlum
