// Small parsing helpers over std::string_view. Nothing allocates; what is returned lies in what was
// given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "libos/lib/result.h"

namespace occlum {

// All of `text` is a number: decimal digits. kInval when it is not one, kRange when it does not
// fit.
Result<std::uint64_t> parse_u64(std::string_view text);
// Hexadecimal digits of either case, with or without 0x.
Result<std::uint64_t> parse_u64_hex(std::string_view text);
// Decimal, with an optional sign.
Result<std::int64_t> parse_i64(std::string_view text);

// Without blanks (spaces, tabs, newlines) at both ends.
std::string_view trim(std::string_view text);

// Takes the front of `rest` up to `separator` off it, with the separator; the last part is what
// remains. nullopt when everything was taken: `rest` is then data() == nullptr. An empty text has
// one empty part, as in other languages.
//
//     for (std::string_view rest = text; auto line = next_part(rest, '\n');) ...
std::optional<std::string_view> next_part(std::string_view& rest, char separator);

// As next_part, for fields that one or more blanks separate: never yields an empty field.
std::optional<std::string_view> next_field(std::string_view& rest);

}  // namespace occlum
