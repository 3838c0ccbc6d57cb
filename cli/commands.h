// The commands, without their command line: each takes its options and gives the exit status, or
// one sentence.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "image/error.h"

namespace cli {

using image::Result;

// The status of `occlum` itself failing, as with docker: 126 and 127 are what a shell says of a
// program that cannot be executed or found, and come from the LibOS.
inline constexpr int kOwnFailure = 125;

struct BuildOptions {
  std::optional<std::string> sign_key;
  std::optional<std::string> compression;
  bool force = false;
  // Of the predecessor.
  std::optional<std::string> sign_tool;
  std::optional<std::string> sgx_mode;
  std::optional<std::string> enable_edmm;
  std::optional<std::string> image_key;
  bool buildin_image_key = false;
};

// What `run` and `do` have in common.
struct StartOptions {
  std::vector<std::string> argv;
  bool quiet = false;
  unsigned cpus = 0;
  std::string memory;  // a size; empty: no limit
  std::string cost_model = "off";
  bool strict = false;
  uint64_t strict_seed = 1;
};

Result<int> command_new(const std::string& directory);
Result<int> command_init();
Result<int> command_build(const BuildOptions& options);
Result<int> command_run(const StartOptions& options);
// `writable`: host directories that --rw names.
Result<int> command_do(const StartOptions& options, const std::vector<std::string>& writable);
// `what` is "mrenclave" or "mrsigner"; of `file`, or of the instance in the working directory.
Result<int> command_print(const std::string& what, const std::optional<std::string>& file);
Result<int> command_status();
Result<int> command_gen_sign_key(const std::string& path);

}  // namespace cli
