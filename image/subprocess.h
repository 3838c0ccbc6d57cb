// Running an external tool, with its complaints at hand.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "image/error.h"

namespace image {

// The path of `tool`, looked for in $PATH and then where Debian keeps it.
Result<std::string> find_tool(std::string_view tool, std::string_view package);

// Runs argv[0] (a path) with an environment of its own (C locale, UTC) and waits for it; `tick` is
// called ten times a second meanwhile. Success is exit status 0; else the error is the tool's last
// line on stderr.
Result<void> run_tool(const std::vector<std::string>& argv, const std::function<void()>& tick);

}  // namespace image
