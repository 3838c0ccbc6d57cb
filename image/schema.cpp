#include "image/schema.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace image::json {
namespace {

bool is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

std::string printable(std::string text) {
  std::ranges::replace_if(text, is_control, '?');
  return text;
}

}  // namespace

std::unexpected<std::string> SchemaReader::wrong_kind(const Node& node, std::string_view path,
                                                      std::string_view wanted) const {
  return complain(node, "'{}' must be {}, not {}", path, wanted, node.kind());
}

Check SchemaReader::object(const Node& node, const std::string& path,
                           std::initializer_list<Key> keys) const {
  if (node.object() == nullptr) {
    return wrong_kind(node, path.empty() ? "the configuration" : path, "an object");
  }
  for (const Member& member : *node.object()) {
    std::string full = path.empty() ? member.key : path + "." + member.key;
    auto key = std::ranges::find(keys, std::string_view(member.key), &Key::name);
    if (key == keys.end()) return complain(member.node, "unknown key '{}'", printable(full));
    IMAGE_TRY(key->handler(member.node, full));
  }
  return {};
}

Check SchemaReader::text(const Node& node, const std::string& path, std::string& to) const {
  if (node.string() == nullptr) return wrong_kind(node, path, "a string");
  if (std::ranges::any_of(*node.string(), is_control)) {
    return complain(node, "'{}' holds a control character", path);
  }
  to = *node.string();
  return {};
}

Check SchemaReader::list(const Node& node, const std::string& path,
                         std::vector<std::string>& to) const {
  if (node.array() == nullptr) return wrong_kind(node, path, "a list of strings");
  to.clear();
  for (const Node& element : *node.array()) {
    IMAGE_TRY(text(element, fmt::format("{}[{}]", path, to.size()), to.emplace_back()));
  }
  return {};
}

Handler SchemaReader::flag(bool& to) const {
  return [this, &to](const Node& node, const std::string& path) -> Check {
    if (node.boolean() == nullptr) return wrong_kind(node, path, "true or false");
    to = *node.boolean();
    return {};
  };
}

Handler SchemaReader::size(uint64_t& to) const {
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

Handler SchemaReader::word(std::vector<std::string_view> words, size_t& to) const {
  return [this, words = std::move(words), &to](const Node& node, const std::string& path) -> Check {
    auto found = node.string() == nullptr ? words.end() : std::ranges::find(words, *node.string());
    if (found == words.end()) {
      return complain(node, "'{}' must be \"{}\"", path, fmt::join(words, "\" or \""));
    }
    to = static_cast<size_t>(found - words.begin());
    return {};
  };
}

std::optional<uint64_t> parse_size(std::string_view text) {
  struct Unit {
    std::string_view name;
    unsigned shift;
  };
  constexpr std::array<Unit, 13> kUnits = {{{"KB", 10},
                                            {"MB", 20},
                                            {"GB", 30},
                                            {"TB", 40},
                                            {"B", 0},
                                            {"K", 10},
                                            {"M", 20},
                                            {"G", 30},
                                            {"T", 40},
                                            {"k", 10},
                                            {"m", 20},
                                            {"g", 30},
                                            {"t", 40}}};
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

}  // namespace image::json
