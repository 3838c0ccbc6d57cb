// See text.h.
#include "libos/lib/text.h"

#include <algorithm>
#include <limits>

#include "libos/lib/bits.h"

namespace occlum {
namespace {

constexpr std::string_view kBlanks = " \t\n\r\v\f";

// 16 or more for what is no digit.
unsigned digit_value(char character) {
  if (character >= '0' && character <= '9') return static_cast<unsigned>(character - '0');
  if (character >= 'a' && character <= 'f') return static_cast<unsigned>(character - 'a') + 10;
  if (character >= 'A' && character <= 'F') return static_cast<unsigned>(character - 'A') + 10;
  return 16;
}

Result<std::uint64_t> parse_digits(std::string_view text, unsigned base) {
  if (text.empty()) return Errno::kInval;
  bool fits = true;
  std::uint64_t number = 0;
  for (const char character : text) {
    const unsigned digit = digit_value(character);
    if (digit >= base) return Errno::kInval;
    const auto shifted = checked_mul<std::uint64_t>(number, base);
    const auto sum = shifted ? checked_add(*shifted, digit) : std::nullopt;
    fits = fits && sum.has_value();
    number = sum.value_or(0);
  }
  if (!fits) return Errno::kRange;
  return number;
}

}  // namespace

Result<std::uint64_t> parse_u64(std::string_view text) { return parse_digits(text, 10); }

Result<std::uint64_t> parse_u64_hex(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
  return parse_digits(text, 16);
}

Result<std::int64_t> parse_i64(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const std::uint64_t magnitude = TRY(parse_digits(text, 10));
  constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (magnitude > kMax + (negative ? 1 : 0)) return Errno::kRange;
  return static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::optional<std::string_view> next_part(std::string_view& rest, char separator) {
  if (rest.data() == nullptr) return std::nullopt;
  const std::size_t end = rest.find(separator);
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

std::optional<std::string_view> next_field(std::string_view& rest) {
  const std::size_t first = rest.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(first);
  const std::string_view field = rest.substr(0, rest.find_first_of(kBlanks));
  rest.remove_prefix(field.size());
  return field;
}

}  // namespace occlum
