// String: owned bytes, usually text. No terminator and no encoding: Linux names are bytes. Growing
// may fail; the rest is std::string_view's business (`view()`). The view ends with the next change
// to the String.
#pragma once

#include <compare>
#include <cstddef>
#include <span>
#include <string_view>

#include "libos/lib/result.h"
#include "libos/lib/vec.h"

namespace occlum {

class String {
 public:
  constexpr String() = default;

  static Result<String> create(std::string_view text) {
    String result;
    TRY(result.chars_.reserve(text.size()));
    TRY(result.append(text));
    return result;
  }

  // One after the other: `String::concat(directory, "/", name)`.
  template <typename... Parts>
  static Result<String> concat(const Parts&... parts) {
    String result;
    TRY(result.chars_.reserve((std::string_view(parts).size() + ... + 0)));
    for (std::string_view part : {std::string_view(parts)...}) TRY(result.append(part));
    return result;
  }

  Result<String> clone() const { return create(view()); }

  Result<void> append(std::string_view text) { return chars_.append(std::span(text)); }
  Result<void> append(char character) { return chars_.push(character); }
  Result<void> reserve(std::size_t size) { return chars_.reserve(size); }
  void truncate(std::size_t size) { chars_.truncate(size); }
  void clear() { chars_.clear(); }

  std::size_t size() const { return chars_.size(); }
  bool is_empty() const { return chars_.is_empty(); }
  std::string_view view() const {
    const std::span<const char> all = chars_.span();
    return std::string_view(all.begin(), all.end());
  }
  std::span<char> span() { return chars_.span(); }
  explicit operator std::string_view() const { return view(); }

  friend bool operator==(const String& a, const String& b) { return a.view() == b.view(); }
  friend bool operator==(const String& a, std::string_view b) { return a.view() == b; }
  friend auto operator<=>(const String& a, const String& b) { return a.view() <=> b.view(); }
  friend auto operator<=>(const String& a, std::string_view b) { return a.view() <=> b; }

 private:
  Vec<char> chars_;
};

}  // namespace occlum
