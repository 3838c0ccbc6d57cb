// `occlum run` and `occlum do`: hand a program to the runtime.
//
// Nothing about the program is looked at here: what it is, and whether it may run, is found out
// inside the enclave. These are on the fast path (`occlum do /bin/true` is to take less than 40 ms
// with everything), so they read one header and one signature, and no configuration.
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "cli/commands.h"
#include "cli/instance.h"
#include "cli/settings.h"
#include "host/runtime.h"
#include "image/enclave_file.h"
#include "image/occlum_json.h"
#include "image/schema.h"

namespace cli {
namespace {

constexpr std::string_view kEmulated = "this is emulated SGX: no confidentiality";
constexpr std::string_view kDebuggable = "the enclave is debuggable: the host can read it";

std::vector<std::string> whole_environment() {
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

Result<uint64_t> memory_limit(const std::string& text) {
  if (text.empty()) return 0;
  const std::optional<uint64_t> size = image::json::parse_size(text);
  if (!size) return image::fail("--memory {}: it is not a size such as 512MB", text);
  if (*size < image::kLeastMemoryLimit)
    return image::fail("--memory {}: at least 16MB are needed", text);
  return *size;
}

Result<host::RunOptions> run_options(const StartOptions& options) {
  host::RunOptions run;
  run.argv = options.argv;
  run.env = whole_environment();
  run.mode = IMAGE_TRY(sgx_mode_from_environment());
  run.log_level = IMAGE_TRY(log_level_from_environment());
  run.file_io = IMAGE_TRY(file_io_from_environment());
  run.vcpus = options.cpus;
  run.memory_limit = IMAGE_TRY(memory_limit(options.memory));
  run.cost_model = options.cost_model;
  run.strict = options.strict;
  run.strict_seed = options.strict_seed;
  return run;
}

Result<uint64_t> instance_memory_limit() {
  const std::string path(kMemoryLimit);
  if (access(path.c_str(), F_OK) != 0) return 0;
  std::string text = IMAGE_TRY(image::read_file(path, 64));
  while (text.ends_with('\n')) text.pop_back();
  return memory_limit(text);
}

// What the user must know about the protection of this start; empty if there is nothing to say.
std::string_view weakness(const host::RunOptions& run, const image::EnclaveFile& enclave) {
  if (will_be_emulated(run.mode)) return kEmulated;
  return enclave.debuggable() ? kDebuggable : std::string_view();
}

Result<std::string> working_directory() {
  char path[PATH_MAX];
  if (getcwd(path, sizeof path) == nullptr) {
    return image::fail_errno(errno, "cannot tell the working directory");
  }
  return std::string(path);
}

Result<std::string> writable_directory(const std::string& given) {
  char path[PATH_MAX];
  struct stat status{};
  if (realpath(given.c_str(), path) == nullptr || stat(path, &status) != 0) {
    return image::fail_errno(errno, "cannot use --rw {}", given);
  }
  if (!S_ISDIR(status.st_mode)) return image::fail("cannot use --rw {}: not a directory", given);
  return std::string(path);
}

}  // namespace

Result<int> command_run(const StartOptions& options) {
  if (IMAGE_TRY(instance_state()) != InstanceState::kBuilt) {
    return image::fail("this instance is not built yet: run 'occlum build'");
  }
  host::RunOptions run = IMAGE_TRY(run_options(options));
  if (options.memory.empty()) run.memory_limit = IMAGE_TRY(instance_memory_limit());
  run.enclave_image = kEnclaveImage;
  run.root_image = std::string(kRootImage);
  image::EnclaveFile enclave = IMAGE_TRY(image::inspect_enclave_file(run.enclave_image));
  if (access(run.root_image->c_str(), R_OK) != 0) {
    return image::fail_errno(errno, "cannot read {}", *run.root_image);
  }
  image::File lock = IMAGE_TRY(lock_directory(kRunDirectory, LockKind::kShared,
                                              "this instance is locked by another process"));
  if (std::string_view words = weakness(run, enclave); !options.quiet && !words.empty()) {
    fmt::print(stderr, "occlum run: {}\n", words);
  }
  return host::run(run);
}

Result<int> command_do(const StartOptions& options, const std::vector<std::string>& writable) {
  host::RunOptions run = IMAGE_TRY(run_options(options));
  run.enclave_image = IMAGE_TRY(installed_file("do.enclave"));
  run.cwd = IMAGE_TRY(working_directory());
  for (const std::string& directory : writable) {
    run.writable_dirs.push_back(IMAGE_TRY(writable_directory(directory)));
  }
  image::EnclaveFile enclave = IMAGE_TRY(image::inspect_enclave_file(run.enclave_image));
  if (!options.quiet) {
    std::string_view words = weakness(run, enclave);
    fmt::print(stderr,
               "occlum do: host files are read-only and untrusted; writes are discarded{}{}{}{}\n",
               run.writable_dirs.empty() ? "" : " except below ",
               fmt::join(run.writable_dirs, ", "), words.empty() ? "" : "; ", words);
  }
  return host::run(run);
}

}  // namespace cli
