// JSON with positions: a tree in which every value and every key knows its line and column, so that
// a complaint about a configuration can point at it. nlohmann's SAX parser does the parsing; the
// positions come from counting the bytes that it has consumed. Duplicate keys are errors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "image/error.h"

namespace image::json {

struct Position {
  unsigned line = 1;    // from 1
  unsigned column = 1;  // from 1, in bytes
};

struct Node;
struct Member;
using Array = std::vector<Node>;
using Object = std::vector<Member>;  // in the order of the text

struct Node {
  // For a member of an object this is the position of its key, else of the value.
  Position position;
  std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string, Array, Object> value;

  const bool* boolean() const { return std::get_if<bool>(&value); }
  const std::string* string() const { return std::get_if<std::string>(&value); }
  const Array* array() const { return std::get_if<Array>(&value); }
  const Object* object() const { return std::get_if<Object>(&value); }
  // "a string", "an object", for messages.
  std::string_view kind() const;
};

struct Member {
  std::string key;
  Node node;
};

// The error is "NAME, line L, column C: ...".
Result<Node> parse(std::string_view text, std::string_view name);

std::string at(std::string_view name, Position position);

}  // namespace image::json
