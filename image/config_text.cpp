#include "image/config_text.h"

#include <algorithm>
#include <array>
#include <set>

#include "abi/enclave_image.h"

namespace image {
namespace {

struct KnownKey {
  std::string_view name;
  bool repeats;
};

constexpr std::array<KnownKey, 13> kKeys = {{{"version", false},
                                             {"mode", false},
                                             {"debuggable", false},
                                             {"root.size", false},
                                             {"root.hash", false},
                                             {"root.salt", false},
                                             {"root.hash_offset", false},
                                             {"mount", true},
                                             {"env", true},
                                             {"env.untrusted", true},
                                             {"entry_point", true},
                                             {"stack_size", false},
                                             {"disable_log", false}}};

std::string_view field(const std::string& value) {
  return value.empty() ? std::string_view("-") : std::string_view(value);
}

}  // namespace

std::string instance_config_text(const InstanceConfig& config, const VerityImage& root) {
  std::string text;
  auto line = [&](std::string_view key, std::string_view value) {
    text.append(key).append("=").append(value).append("\n");
  };
  line("version", "1");
  line("mode", "instance");
  line("debuggable", config.debuggable ? "1" : "0");
  line("root.size", std::to_string(root.data_size));
  line("root.hash", hex(root.root_hash));
  line("root.salt", hex(kVeritySalt));
  line("root.hash_offset", std::to_string(root.tree_offset));
  // The root, /proc and /dev are always there and not listed.
  for (const Mount& mount : config.mounts) {
    line("mount", fmt::format("{} {} {} {}", mount.type, field(mount.source), mount.target,
                              field(mount.options)));
  }
  for (const std::string& variable : config.env_default) line("env", variable);
  for (const std::string& name : config.env_untrusted) line("env.untrusted", name);
  for (const std::string& path : config.entry_points) line("entry_point", path);
  line("stack_size", std::to_string(config.stack_size));
  line("disable_log", config.disable_log ? "1" : "0");
  return text;
}

Result<ConfigFacts> check_config_text(std::string_view text, std::string_view name) {
  if (text.size() + sizeof(uint64_t) > abi::kConfigMaxSize) return fail("{} is too large", name);
  if (!text.ends_with('\n')) return fail("{} does not end with a newline", name);
  ConfigFacts facts;
  std::set<std::string_view> seen;
  std::string_view version;
  for (unsigned number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() + 1);
    size_t equals = line.find('=');
    std::string_view key = line.substr(0, equals);
    auto known = std::ranges::find(kKeys, key, &KnownKey::name);
    if (equals == std::string_view::npos || known == kKeys.end()) {
      return fail("{}, line {}: not a known key=value", name, number);
    }
    if (std::ranges::any_of(line, [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
      return fail("{}, line {}: holds a control character", name, number);
    }
    if (!seen.insert(key).second && !known->repeats) {
      return fail("{}, line {}: the key '{}' is given twice", name, number, key);
    }
    std::string_view value = line.substr(equals + 1);
    if (key == "version") version = value;
    if (key == "debuggable") facts.debuggable = value == "1";
  }
  if (version != "1") return fail("{} lacks version=1", name);
  return facts;
}

}  // namespace image
