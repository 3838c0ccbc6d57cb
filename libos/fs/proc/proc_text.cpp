#include "libos/fs/proc/proc_text.h"

#include <algorithm>
#include <array>

namespace occlum {

ProcText& ProcText::number(uint64_t value, unsigned base, size_t width, char fill, Case letters) {
  const std::string_view alphabet =
      letters == Case::kUpper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::array<char, 64> digits = {};
  size_t count = 0;
  do {
    digits[count++] = alphabet[value % base];
    value /= base;
  } while (value != 0);
  for (size_t i = count; i < width; ++i) note(text_.append(fill));
  while (count != 0) note(text_.append(digits[--count]));
  return *this;
}

ProcText& ProcText::pad_line_to(size_t column) {
  const std::string_view all = text_.view();
  const size_t newline = all.rfind('\n');
  const size_t length = newline == std::string_view::npos ? all.size() : all.size() - newline - 1;
  for (size_t i = length; i < column; ++i) note(text_.append(' '));
  return *this;
}

ProcText& ProcText::kilobytes(std::string_view name, uint64_t bytes, size_t name_width,
                              size_t width) {
  text(name);
  pad_line_to(name_width);
  return decimal(bytes / 1024, width).text(" kB\n");
}

}  // namespace occlum
