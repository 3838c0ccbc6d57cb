#include "cli/settings.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <utility>

namespace cli {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : static_cast<char>(c);
  });
  return result;
}

// A value as it may stand in a message of one line.
std::string printable(std::string text) {
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

}  // namespace

Result<host::SgxMode> parse_sgx_mode(std::string_view word, std::string_view source) {
  std::string mode = lower(word);
  if (mode == "hw") return host::SgxMode::kHardware;
  if (mode == "sim") return host::SgxMode::kSimulation;
  return image::fail("{} is '{}': it must be HW or SIM", source, printable(std::string(word)));
}

Result<host::SgxMode> sgx_mode_from_environment() {
  const char* value = std::getenv("SGX_MODE");
  if (value == nullptr || *value == '\0') return host::SgxMode::kAuto;
  return parse_sgx_mode(value, "SGX_MODE");
}

Result<std::string> log_level_from_environment() {
  const char* value = std::getenv("OCCLUM_LOG_LEVEL");
  if (value == nullptr || *value == '\0') return "off";
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kLevels = {
      {{"off", "off"},
       {"error", "error"},
       {"warn", "warn"},
       {"info", "info"},
       {"debug", "debug"},
       {"trace", "trace"},
       {"panic", "error"},
       {"fatal", "error"},
       {"warning", "warn"}}};
  std::string word = lower(value);
  for (const auto& [name, level] : kLevels) {
    if (word == name) return std::string(level);
  }
  return image::fail("OCCLUM_LOG_LEVEL is '{}': it must be off, error, warn, info, debug or trace",
                     printable(value));
}

Result<host::FileIoOptions> file_io_from_environment() {
  const char* value = std::getenv("OCCLUM_ASYNC_IO");
  if (value == nullptr || *value == '\0') return host::FileIoOptions{};
  using When = host::FileIoOptions::When;
  constexpr std::array<std::pair<std::string_view, When>, 4> kWords = {{{"auto", When::kAuto},
                                                                        {"never", When::kNever},
                                                                        {"always", When::kAlways},
                                                                        {"pairs", When::kPairs}}};
  constexpr std::string_view kThreads = ",threads";
  std::string_view word = value;
  const bool threads = word.ends_with(kThreads);
  if (threads) word.remove_suffix(kThreads.size());
  for (const auto& [name, when] : kWords) {
    if (word == name) return host::FileIoOptions{.when = when, .threads = threads};
  }
  return image::fail(
      "OCCLUM_ASYNC_IO is '{}': it must be auto, never, always or pairs, and may end in ,threads",
      printable(value));
}

bool will_be_emulated(host::SgxMode mode) {
  if (mode != host::SgxMode::kAuto) return mode == host::SgxMode::kSimulation;
  return access("/dev/sgx_enclave", F_OK) != 0;
}

Result<std::string> installed_file(std::string_view name) {
  std::string prefix;
  if (const char* value = std::getenv("OCCLUM_PREFIX"); value != nullptr && *value != '\0') {
    prefix = value;
  } else {
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path);
    if (length <= 0) return image::fail_errno(errno, "cannot tell where this program is installed");
    std::string_view self(path, static_cast<size_t>(length));
    std::string_view bin = self.substr(0, self.rfind('/'));
    prefix = bin.substr(0, bin.rfind('/'));
  }
  std::string file = fmt::format("{}/share/occlum/{}", prefix, name);
  if (access(file.c_str(), R_OK) != 0) {
    return image::fail_errno(
        errno, "cannot read {} (set OCCLUM_PREFIX if Occlum is installed elsewhere)", file);
  }
  return file;
}

}  // namespace cli
