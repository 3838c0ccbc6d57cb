// ProcText: builds the text of a file of /proc. Running out of memory is remembered, not reported
// at each step.
#pragma once

#include <string_view>

#include "libos/lib/log.h"
#include "libos/lib/string.h"

namespace occlum {

enum class Case : uint8_t { kLower, kUpper };

class ProcText {
 public:
  template <typename... Args>
  ProcText& add(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
    note(append_format<Args...>(text_, format, args...));
    return *this;
  }
  ProcText& text(std::string_view piece) {
    note(text_.append(piece));
    return *this;
  }
  // Right-aligned decimal; zero-padded hexadecimal and octal.
  ProcText& decimal(uint64_t value, size_t width) { return number(value, 10, width, ' '); }
  ProcText& padded(uint64_t value, size_t width) { return number(value, 10, width, '0'); }
  ProcText& hex(uint64_t value, size_t width, Case letters = Case::kLower) {
    return number(value, 16, width, '0', letters);
  }
  ProcText& hex(uint64_t value, size_t width, char fill) { return number(value, 16, width, fill); }
  ProcText& octal(uint64_t value, size_t width = 1) { return number(value, 8, width, '0'); }
  // Fills with spaces until the last line is `column` long.
  ProcText& pad_line_to(size_t column);
  // "Name:      123 kB"
  ProcText& kilobytes(std::string_view name, uint64_t bytes, size_t name_width, size_t width);

  Result<String> take() {
    if (failed_) return Errno::kNoMem;
    return std::move(text_);
  }
  size_t size() const { return text_.size(); }

 private:
  ProcText& number(uint64_t value, unsigned base, size_t width, char fill,
                   Case letters = Case::kLower);
  void note(const Result<void>& result) { failed_ = failed_ || result.is_error(); }

  String text_;
  bool failed_ = false;
};

}  // namespace occlum
