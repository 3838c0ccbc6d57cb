// A runtime that starts nothing: it prints what it was asked to start, as JSON, and ends as the
// first argument of the program says (`status N`, `fail WORDS`). Tests only.
#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>

#include "host/runtime.h"

namespace host {

std::expected<int, std::string> run(const RunOptions& options) {
  if (options.argv.size() > 1 && options.argv[0] == "fail") return std::unexpected(options.argv[1]);
  if (options.argv.size() > 1 && options.argv[0] == "status")
    return std::atoi(options.argv[1].c_str());
  if (options.argv.size() > 1 && options.argv[0] == "system")
    return std::system(options.argv[1].c_str());
  nlohmann::json record = {
      {"enclave_image", options.enclave_image},
      {"argv", options.argv},
      {"env", options.env},
      {"cwd", options.cwd},
      {"mode", static_cast<int>(options.mode)},
      {"log_level", options.log_level},
      {"file_io", {static_cast<int>(options.file_io.when), options.file_io.threads}},
      {"vcpus", options.vcpus},
      {"writable_dirs", options.writable_dirs},
      {"cost_model", options.cost_model},
      {"strict", options.strict},
      {"strict_seed", options.strict_seed}};
  if (options.root_image) record["root_image"] = *options.root_image;
  std::puts(record.dump().c_str());
  return 0;
}

}  // namespace host
