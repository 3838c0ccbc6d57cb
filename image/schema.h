// Reading a configuration by a schema: objects whose keys each have a handler, and handlers for the
// plain values. The first complaint in the order of the text ends the reading; it names line,
// column and key ("dotted.path[0]").
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/json.h"

namespace image::json {

using Check = Result<void>;
using Handler = std::function<Check(const Node& node, const std::string& path)>;

struct Key {
  std::string_view name;
  Handler handler;
};

class SchemaReader {
 public:
  // `name` is the document's name for messages.
  explicit SchemaReader(std::string_view name) : name_(name) {}

 protected:
  template <typename... Args>
  std::unexpected<std::string> complain(const Node& node, fmt::format_string<Args...> format,
                                        Args&&... args) const {
    return std::unexpected(at(name_, node.position) + ": " +
                           fmt::format(format, std::forward<Args>(args)...));
  }
  std::unexpected<std::string> wrong_kind(const Node& node, std::string_view path,
                                          std::string_view wanted) const;

  // Runs the handler of each key; a key without one is unknown. `path` is empty for the document
  // itself.
  Check object(const Node& node, const std::string& path, std::initializer_list<Key> keys) const;
  // A string without control characters: texts end up in the measured configuration, which has
  // lines and no escapes.
  Check text(const Node& node, const std::string& path, std::string& to) const;
  Check list(const Node& node, const std::string& path, std::vector<std::string>& to) const;

  // Handlers that store a value. What they store to must outlive them.
  Handler flag(bool& to) const;
  template <typename T>
  Handler number(T& to, uint64_t most) const {
    return [this, &to, most](const Node& node, const std::string& path) -> Check {
      const uint64_t* value = std::get_if<uint64_t>(&node.value);
      if (value == nullptr || *value > most) {
        return complain(node, "'{}' must be a whole number from 0 to {}", path, most);
      }
      to = static_cast<T>(*value);
      return {};
    };
  }
  // A size such as "32MB", in bytes.
  Handler size(uint64_t& to) const;
  // One of the words, as its index.
  Handler word(std::vector<std::string_view> words, size_t& to) const;

 private:
  std::string_view name_;
};

// "32MB" and the like, in bytes: a number with the unit B, KB, MB, GB or TB (powers of 1024), or as docker(1) writes it, k, m,
// g or t, in either case.
std::optional<uint64_t> parse_size(std::string_view text);

}  // namespace image::json
