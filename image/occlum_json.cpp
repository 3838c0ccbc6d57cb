#include "image/occlum_json.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "image/schema.h"

namespace image {
namespace {

using json::Check;
using json::Handler;
using json::Node;

// Reads one document: each method reads the object of its name and returns the first complaint in
// the text's order.
class Reader : json::SchemaReader {
 public:
  using SchemaReader::SchemaReader;

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

  // The objects.
  Check resource_limits(const Node& node, const std::string& path) {
    return object(node, path,
                  {{"kernel_space_heap_size", idle_size()},
                   {"kernel_space_heap_max_size", idle_size()},
                   {"kernel_space_stack_size", idle_size()},
                   {"user_space_size", idle_size()},
                   {"user_space_max_size", [this](auto& n, auto& p) { return memory_limit(n, p); }},
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

  Check memory_limit(const Node& node, const std::string& path) {
    IMAGE_TRY(size(config_.memory_limit)(node, path));
    if (config_.memory_limit < kLeastMemoryLimit)
      return complain(node, "'{}' must be at least 16MB", path);
    return {};
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
    size_t compression = 0;
    size_t owners = 0;
    IMAGE_TRY(object(node, path,
                     {{"compression", word({"none", "lz4"}, compression)},
                      {"owners", word({"root", "keep"}, owners)}}));
    config_.compression = compression == 1 ? Compression::kLz4 : Compression::kNone;
    config_.owners = owners == 1 ? Owners::kKeep : Owners::kRoot;
    return {};
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

  InstanceConfig config_;
  uint64_t ignored_size_ = 0;
};

}  // namespace

Result<InstanceConfig> parse_occlum_json(std::string_view text, std::string_view name) {
  Node root = IMAGE_TRY(json::parse(text, name));
  Reader reader(name);
  IMAGE_TRY(reader.document(root));
  return std::move(reader).take();
}

}  // namespace image
