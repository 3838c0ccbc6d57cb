#include "image/occlum_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <initializer_list>
#include <limits>

#include "image/json.h"

namespace image {
namespace {

using json::Node;
using Check = Result<void>;

// Reads one document: each method reads the object of its name and returns the first complaint in
// the text's order.
class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}

  Check document(const Node& root) {
    return object(root, "",
                  {{"resource_limits", [&](auto& n, auto& p) { return resource_limits(n, p); }},
                   {"process", [&](auto& n, auto& p) { return process(n, p); }},
                   {"entry_points", [&](auto& n, auto& p) { return entry_points(n, p); }},
                   {"env", [&](auto& n, auto& p) { return env(n, p); }},
                   {"metadata", [&](auto& n, auto& p) { return metadata(n, p); }},
                   {"feature", [&](auto& n, auto& p) { return feature(n, p); }},
                   {"image", [&](auto& n, auto& p) { return image(n, p); }},
                   {"mount", [&](auto& n, auto& p) { return mounts(n, p); }}});
  }

  InstanceConfig take() && {
    config_.disable_log = config_.disable_log || !config_.debuggable;
    return std::move(config_);
  }

 private:
  using Handler = std::function<Check(const Node&, const std::string& path)>;
  struct Key {
    std::string_view name;
    Handler handler;
  };

  template <typename... Args>
  std::unexpected<std::string> complain(const Node& node, fmt::format_string<Args...> format,
                                        Args&&... args) const {
    return std::unexpected(json::at(name_, node.position) + ": " +
                           fmt::format(format, std::forward<Args>(args)...));
  }

  std::unexpected<std::string> wrong_kind(const Node& node, std::string_view path,
                                          std::string_view wanted) const {
    return complain(node, "'{}' must be {}, not {}", path, wanted, node.kind());
  }

  Check object(const Node& node, const std::string& path, std::initializer_list<Key> keys) {
    if (node.object() == nullptr) {
      return wrong_kind(node, path.empty() ? "the configuration" : path, "an object");
    }
    for (const json::Member& member : *node.object()) {
      std::string full = path.empty() ? member.key : path + "." + member.key;
      auto key = std::ranges::find(keys, std::string_view(member.key), &Key::name);
      if (key == keys.end()) return complain(member.node, "unknown key '{}'", full);
      IMAGE_TRY(key->handler(member.node, full));
    }
    return {};
  }

  // Handlers for plain values.
  Handler flag(bool& to) {
    return [this, &to](const Node& node, const std::string& path) -> Check {
      if (node.boolean() == nullptr) return wrong_kind(node, path, "true or false");
      to = *node.boolean();
      return {};
    };
  }

  template <typename T>
  Handler number(T& to, uint64_t most) {
    return [this, &to, most](const Node& node, const std::string& path) -> Check {
      const uint64_t* value = std::get_if<uint64_t>(&node.value);
      if (value == nullptr || *value > most) {
        return complain(node, "'{}' must be a whole number from 0 to {}", path, most);
      }
      to = static_cast<T>(*value);
      return {};
    };
  }

  Handler size(uint64_t& to) {
    return [this, &to](const Node& node, const std::string& path) -> Check {
      if (node.string() == nullptr) {
        return wrong_kind(node, path, "a size in quotes, such as \"32MB\"");
      }
      std::optional<uint64_t> value = parse_size(*node.string());
      if (!value) {
        return complain(node, "'{}' is '{}', which is not a size such as 32MB", path,
                        printable(*node.string()));
      }
      to = *value;
      return {};
    };
  }

  // The value is checked and then changes nothing.
  Handler no_effect(Handler check) {
    return [this, check = std::move(check)](const Node& node, const std::string& path) -> Check {
      IMAGE_TRY(check(node, path));
      config_.without_effect.push_back(path);
      return {};
    };
  }
  Handler idle_size() { return no_effect(size(ignored_size_)); }
  Handler idle_number(uint64_t most) { return no_effect(number(ignored_size_, most)); }

  // A value that asks for nothing when it is 0 is not worth a warning.
  Handler idle_switch(uint64_t most) {
    return [this, most](const Node& node, const std::string& path) -> Check {
      uint64_t value = 0;
      IMAGE_TRY(number(value, most)(node, path));
      if (value != 0) config_.without_effect.push_back(path);
      return {};
    };
  }

  // Text goes into the measured configuration, which has lines and no escapes.
  Check text(const Node& node, const std::string& path, std::string& to) {
    if (node.string() == nullptr) return wrong_kind(node, path, "a string");
    const std::string& value = *node.string();
    if (std::ranges::any_of(value, [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
      return complain(node, "'{}' holds a control character", path);
    }
    to = value;
    return {};
  }

  Check list(const Node& node, const std::string& path, std::vector<std::string>& to) {
    if (node.array() == nullptr) return wrong_kind(node, path, "a list of strings");
    to.clear();
    for (const Node& element : *node.array()) {
      IMAGE_TRY(text(element, fmt::format("{}[{}]", path, to.size()), to.emplace_back()));
    }
    return {};
  }

  static std::string printable(std::string text) {
    std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
    return text;
  }

  // The objects.
  Check resource_limits(const Node& node, const std::string& path) {
    return object(node, path,
                  {{"kernel_space_heap_size", idle_size()},
                   {"kernel_space_heap_max_size", idle_size()},
                   {"kernel_space_stack_size", idle_size()},
                   {"user_space_size", idle_size()},
                   {"user_space_max_size", idle_size()},
                   {"max_num_of_threads", idle_number(std::numeric_limits<uint32_t>::max())},
                   {"init_num_of_threads", idle_number(std::numeric_limits<uint32_t>::max())},
                   {"marshal_buffer_size", no_effect([this](auto& n, auto& p) -> Check {
                      std::string ignored;
                      return text(n, p, ignored);
                    })}});
  }

  Check process(const Node& node, const std::string& path) {
    return object(node, path,
                  {{"default_stack_size", [this](auto& n, auto& p) { return stack_size(n, p); }},
                   {"default_heap_size", idle_size()},
                   {"default_mmap_size", idle_size()}});
  }

  Check stack_size(const Node& node, const std::string& path) {
    constexpr uint64_t kLeast = 128 << 10;
    constexpr uint64_t kMost = uint64_t{1} << 30;
    uint64_t value = 0;
    IMAGE_TRY(size(value)(node, path));
    if (value < kLeast || value > kMost)
      return complain(node, "'{}' must be from 128KB to 1GB", path);
    config_.stack_size = value;
    return {};
  }

  Check entry_points(const Node& node, const std::string& path) {
    IMAGE_TRY(list(node, path, config_.entry_points));
    for (size_t i = 0; i < config_.entry_points.size(); ++i) {
      IMAGE_TRY(
          absolute(node.array()->at(i), fmt::format("{}[{}]", path, i), config_.entry_points[i]));
    }
    return {};
  }

  Check absolute(const Node& node, const std::string& path, const std::string& value) {
    if (!value.starts_with('/')) return complain(node, "'{}' must be an absolute path", path);
    if (("/" + value + "/").find("/../") != std::string::npos) {
      return complain(node, "'{}' must not hold '..'", path);
    }
    return {};
  }

  Check env(const Node& node, const std::string& path) {
    return object(node, path,
                  {{"default", [this](auto& n, auto& p) { return env_default(n, p); }},
                   {"untrusted", [this](auto& n, auto& p) { return env_untrusted(n, p); }}});
  }

  Check env_default(const Node& node, const std::string& path) {
    IMAGE_TRY(list(node, path, config_.env_default));
    for (size_t i = 0; i < config_.env_default.size(); ++i) {
      if (config_.env_default[i].find('=') == std::string::npos ||
          config_.env_default[i].starts_with('=')) {
        return complain(node.array()->at(i), "'{}[{}]' must be NAME=VALUE", path, i);
      }
    }
    return {};
  }

  Check env_untrusted(const Node& node, const std::string& path) {
    IMAGE_TRY(list(node, path, config_.env_untrusted));
    for (size_t i = 0; i < config_.env_untrusted.size(); ++i) {
      const std::string& name = config_.env_untrusted[i];
      if (name.empty() || name.find('=') != std::string::npos) {
        return complain(node.array()->at(i), "'{}[{}]' must be the name of a variable", path, i);
      }
    }
    return {};
  }

  Check metadata(const Node& node, const std::string& path) {
    auto identifier = [this](sgx::Bytes<16>& to) -> Handler {
      return [this, &to](const Node& n, const std::string& p) { return identifier128(n, p, to); };
    };
    return object(node, path,
                  {{"product_id", number(config_.product_id, 0xffff)},
                   {"version_number", number(config_.version_number, 0xffff)},
                   {"debuggable", flag(config_.debuggable)},
                   {"disable_log", flag(config_.disable_log)},
                   {"enable_kss", flag(config_.enable_kss)},
                   {"family_id", identifier(config_.family_id)},
                   {"ext_prod_id", identifier(config_.ext_prod_id)}});
  }

  // {"high": "0x..", "low": "0x.."}: 128 bits, little-endian.
  Check identifier128(const Node& node, const std::string& path, sgx::Bytes<16>& to) {
    auto half = [this](uint8_t* to_half) -> Handler {
      return [this, to_half](const Node& n, const std::string& p) -> Check {
        std::string digits;
        IMAGE_TRY(text(n, p, digits));
        std::string_view view = digits;
        if (view.starts_with("0x") || view.starts_with("0X")) view.remove_prefix(2);
        uint64_t value = 0;
        auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value, 16);
        if (error != std::errc() || end != view.data() + view.size()) {
          return complain(n, "'{}' must be up to 16 hexadecimal digits", p);
        }
        for (size_t i = 0; i < 8; ++i) to_half[i] = static_cast<uint8_t>(value >> (8 * i));
        return {};
      };
    };
    return object(node, path, {{"low", half(to.data())}, {"high", half(to.data() + 8)}});
  }

  Check feature(const Node& node, const std::string& path) {
    bool ignored = false;  // always on here: EDMM is the baseline, shared mappings are real
    return object(node, path,
                  {{"amx", idle_switch(2)},
                   {"pkru", idle_switch(2)},
                   {"io_uring", idle_switch(16)},
                   {"enable_edmm", flag(ignored)},
                   {"enable_posix_shm", flag(ignored)}});
  }

  Check image(const Node& node, const std::string& path) {
    return object(node, path,
                  {{"compression",
                    [this](auto& n, auto& p) -> Check {
                      std::string word;
                      IMAGE_TRY(text(n, p, word));
                      if (word != "none" && word != "lz4") {
                        return complain(n, "'{}' must be \"none\" or \"lz4\"", p);
                      }
                      config_.compression = word == "lz4" ? Compression::kLz4 : Compression::kNone;
                      return {};
                    }},
                   {"owners", [this](auto& n, auto& p) -> Check {
                      std::string word;
                      IMAGE_TRY(text(n, p, word));
                      if (word != "root" && word != "keep") {
                        return complain(n, "'{}' must be \"root\" or \"keep\"", p);
                      }
                      config_.owners = word == "keep" ? Owners::kKeep : Owners::kRoot;
                      return {};
                    }}});
  }

  Check mounts(const Node& node, const std::string& path) {
    if (node.array() == nullptr) return wrong_kind(node, path, "a list of mounts");
    size_t index = 0;
    for (const Node& element : *node.array()) {
      IMAGE_TRY(one_mount(element, fmt::format("{}[{}]", path, index++)));
    }
    return {};
  }

  struct MountOptions {
    bool temporary = false;
    bool layers = false;
    std::vector<std::string> idle;
  };

  Check mount_options(const Node& node, const std::string& path, MountOptions& options) {
    auto idle = [&options](Handler check) -> Handler {
      return [&options, check = std::move(check)](const Node& n, const std::string& p) -> Check {
        IMAGE_TRY(check(n, p));
        options.idle.push_back(p);
        return {};
      };
    };
    return object(
        node, path,
        {{"temporary", flag(options.temporary)},
         {"cache_size", idle(size(ignored_size_))},
         {"disk_size", idle(size(ignored_size_))},
         {"MAC",
          [this](auto& n, auto& p) -> Check {
            std::string
                ignored;  // filled in by the predecessor's tools; here the root hash does it
            return text(n, p, ignored);
          }},
         {"layers", [this, &options](auto& n, auto& p) -> Check {
            options.layers = true;
            return layers(n, p);
          }}});
  }

  // The predecessor's default root is a union of two: the image below, a sefs above. We check the
  // shape; the image layer and the layer above it are always there.
  Check layers(const Node& node, const std::string& path) {
    if (node.array() == nullptr) return wrong_kind(node, path, "a list of mounts");
    size_t index = 0;
    for (const Node& element : *node.array()) {
      RawMount ignored;
      IMAGE_TRY(raw_mount(element, fmt::format("{}[{}]", path, index++), ignored));
    }
    return {};
  }

  struct RawMount {
    std::string type, source, target;
    MountOptions options;
  };

  Check raw_mount(const Node& node, const std::string& path, RawMount& mount) {
    auto word = [this](std::string& to) -> Handler {
      return [this, &to](const Node& n, const std::string& p) -> Check {
        IMAGE_TRY(text(n, p, to));
        if (to.find(' ') != std::string::npos) return complain(n, "'{}' must not hold a space", p);
        return {};
      };
    };
    IMAGE_TRY(object(
        node, path,
        {{"target", word(mount.target)},
         {"type", word(mount.type)},
         {"source", word(mount.source)},
         {"options", [&](auto& n, auto& p) { return mount_options(n, p, mount.options); }}}));
    if (mount.type.empty()) return complain(node, "'{}' has no type", path);
    if (mount.target.empty()) return complain(node, "'{}' has no target", path);
    return absolute(node, path + ".target", mount.target);
  }

  Check one_mount(const Node& node, const std::string& path) {
    RawMount raw;
    IMAGE_TRY(raw_mount(node, path, raw));
    for (std::string& key : raw.options.idle) config_.without_effect.push_back(std::move(key));
    if (raw.target == "/") {
      if (raw.type != "unionfs") {
        return complain(node, "'{}': the root can only be of type unionfs", path);
      }
      return {};
    }
    Mount mount{.type = raw.type, .source = raw.source, .target = raw.target, .options = ""};
    if (raw.type == "ramfs" || raw.type == "tmpfs" ||
        (raw.type == "sefs" && raw.options.temporary)) {
      mount.type = "tmpfs";
      mount.source.clear();
    } else if (raw.type == "procfs" || raw.type == "proc") {
      mount.type = "proc";
      mount.source.clear();
    } else if (raw.type == "devfs" || raw.type == "dev") {
      mount.type = "dev";
      mount.source.clear();
    } else if (raw.type == "hostfs") {
      if (mount.source.empty()) return complain(node, "'{}' needs a source", path);
    } else if (raw.type == "sefs" || raw.type == "unionfs" || raw.type == "ext2") {
      // Silently falling back to memory would lose data.
      return complain(node, "'{}': file systems of type {} at {} are not supported yet", path,
                      raw.type, raw.target);
    } else {
      return complain(node, "'{}': unknown file system type '{}'", path, raw.type);
    }
    for (const Mount& other : config_.mounts) {
      if (other.target == mount.target) {
        return complain(node, "'{}': {} is mounted twice", path, mount.target);
      }
    }
    config_.mounts.push_back(std::move(mount));
    return {};
  }

  std::string_view name_;
  InstanceConfig config_;
  uint64_t ignored_size_ = 0;
};

}  // namespace

std::optional<uint64_t> parse_size(std::string_view text) {
  struct Unit {
    std::string_view name;
    unsigned shift;
  };
  constexpr std::array<Unit, 5> kUnits = {
      {{"KB", 10}, {"MB", 20}, {"GB", 30}, {"TB", 40}, {"B", 0}}};
  for (const Unit& unit : kUnits) {
    if (!text.ends_with(unit.name)) continue;
    std::string_view digits = text.substr(0, text.size() - unit.name.size());
    while (digits.ends_with(' ')) digits.remove_suffix(1);
    uint64_t value = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    if (value > (std::numeric_limits<uint64_t>::max() >> unit.shift)) return std::nullopt;
    return value << unit.shift;
  }
  return std::nullopt;
}

Result<InstanceConfig> parse_occlum_json(std::string_view text, std::string_view name) {
  Node root = IMAGE_TRY(json::parse(text, name));
  Reader reader(name);
  IMAGE_TRY(reader.document(root));
  return std::move(reader).take();
}

}  // namespace image
