#include "image/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace image::json {
namespace {

constexpr size_t kMaxDepth = 64;

// A forward iterator over the text that leaves, in `*consumed`, how far the parser has read.
struct CountingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* here;
  const char* begin;
  size_t* consumed;

  reference operator*() const { return *here; }
  CountingIterator& operator++() {
    ++here;
    *consumed = std::max(*consumed, static_cast<size_t>(here - begin));
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const CountingIterator& other) const { return here == other.here; }
};

class TreeBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  TreeBuilder(std::string_view text, std::string_view name, const size_t& consumed)
      : text_(text), name_(name), consumed_(consumed) {}

  bool null() override { return add({.position = here(), .value = nullptr}); }
  bool boolean(bool value) override { return add({.position = here(), .value = value}); }
  bool number_integer(number_integer_t value) override {
    return add({.position = here(), .value = int64_t{value}});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return add({.position = here(), .value = uint64_t{value}});
  }
  bool number_float(number_float_t value, const string_t&) override {
    return add({.position = here(), .value = double{value}});
  }
  bool string(string_t& value) override {
    return add({.position = string_start(), .value = std::move(value)});
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open({.position = here(), .value = Object{}}); }
  bool start_array(std::size_t) override { return open({.position = here(), .value = Array{}}); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    Frame& frame = frames_.back();
    frame.key_position = string_start();
    for (const Member& member : std::get<Object>(frame.node.value)) {
      if (member.key == name) {
        return stop(frame.key_position, fmt::format("the key '{}' is given twice", name));
      }
    }
    frame.key = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& exception) override {
    return stop(position_of(position == 0 ? 0 : position - 1),
                fmt::format("not valid JSON{}: {}", place(), reason(exception.what())));
  }

  std::string error;
  Node root;

 private:
  struct Frame {
    Node node;
    std::string key;
    Position key_position;
  };

  // Counts on from the last position that was asked for: the whole text is counted about once.
  Position position_of(size_t offset) {
    offset = std::min(offset, text_.size());
    if (offset < counted_) {
      counted_ = 0;
      position_ = {};
    }
    for (char c : text_.substr(counted_, offset - counted_)) {
      position_.column = c == '\n' ? 1 : position_.column + 1;
      position_.line += c == '\n';
    }
    counted_ = offset;
    return position_;
  }

  // The reason within "[json.exception...] parse error at line 1, column 2: syntax error while
  // parsing value - REASON; last read: '...'; expected ...".
  static std::string reason(std::string what) {
    if (size_t colon = what.find(": "); colon != std::string::npos) what.erase(0, colon + 2);
    if (size_t dash = what.find(" - "); dash != std::string::npos) what.erase(0, dash + 3);
    if (size_t read = what.find("; last read: "); read != std::string::npos) {
      what.erase(read, std::max(what.find("; expected", read), read) - read);
    }
    return what;
  }

  // " in 'env.default'": where the parser is.
  std::string place() const {
    std::string path;
    for (const Frame& frame : frames_) {
      if (!frame.key.empty()) path += (path.empty() ? "" : ".") + frame.key;
    }
    return path.empty() ? path : fmt::format(" in '{}'", path);
  }

  // Of the last byte of the token just read. A number has been read one byte too far.
  Position here() { return position_of(consumed_ == 0 ? 0 : consumed_ - 1); }

  // Of the opening quote of the string that was just read: strings hold no raw newline, so it is on
  // this line.
  Position string_start() {
    size_t offset = consumed_ < 2 ? 0 : consumed_ - 2;
    while (offset > 0) {
      if (text_[offset] == '"') {
        size_t slashes = 0;
        while (slashes < offset && text_[offset - 1 - slashes] == '\\') ++slashes;
        if (slashes % 2 == 0) break;
      }
      --offset;
    }
    return position_of(offset);
  }

  bool stop(Position position, std::string_view what) {
    error = fmt::format("{}: {}", at(name_, position), what);
    return false;
  }

  bool open(Node node) {
    if (frames_.size() >= kMaxDepth) return stop(node.position, "nested too deeply");
    frames_.push_back({.node = std::move(node), .key = {}, .key_position = {}});
    return true;
  }

  bool close() {
    Node node = std::move(frames_.back().node);
    frames_.pop_back();
    return add(std::move(node));
  }

  bool add(Node node) {
    if (frames_.empty()) {
      root = std::move(node);
      return true;
    }
    Frame& frame = frames_.back();
    if (Object* object = std::get_if<Object>(&frame.node.value)) {
      node.position = frame.key_position;
      object->push_back({.key = std::exchange(frame.key, {}), .node = std::move(node)});
    } else {
      std::get<Array>(frame.node.value).push_back(std::move(node));
    }
    return true;
  }

  std::string_view text_;
  std::string_view name_;
  const size_t& consumed_;
  std::vector<Frame> frames_;
  size_t counted_ = 0;
  Position position_;
};

}  // namespace

std::string_view Node::kind() const {
  constexpr std::string_view kKinds[] = {"null",     "true or false", "a number", "a number",
                                         "a number", "a string",      "a list",   "an object"};
  return kKinds[value.index()];
}

std::string at(std::string_view name, Position position) {
  return fmt::format("{}, line {}, column {}", name, position.line, position.column);
}

Result<Node> parse(std::string_view text, std::string_view name) {
  size_t consumed = 0;
  TreeBuilder builder(text, name, consumed);
  CountingIterator begin{text.data(), text.data(), &consumed};
  CountingIterator end{text.data() + text.size(), text.data(), &consumed};
  if (!nlohmann::json::sax_parse(begin, end, &builder)) return std::unexpected(builder.error);
  return std::move(builder.root);
}

}  // namespace image::json
