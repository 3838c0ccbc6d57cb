// Formatting, and the lines of the log; see log.h.
#include "libos/lib/log.h"

#include <algorithm>
#include <array>

#include "libos/lib/memory.h"

namespace occlum {

constinit std::atomic<LogLevel> log_level = LogLevel::kError;

namespace format_detail {
namespace {

// Collects pieces in a fixed buffer; what does not fit is dropped.
class BufferSink {
 public:
  explicit BufferSink(std::span<char> out) : out_(out) {}

  void operator()(std::string_view piece) {
    piece = piece.substr(0, out_.size() - used_);
    copy_text(out_.subspan(used_), piece);
    used_ += piece.size();
  }

  std::string_view text() const { return bytes_text(std::as_bytes(out_.first(used_))); }

 private:
  std::span<char> out_;
  std::size_t used_ = 0;
};

using Emit = FunctionRef<void(std::string_view)>;

// 20 decimal digits, or "0x" and 16 hexadecimal ones, or a sign and 19 digits.
using NumberBuffer = std::array<char, 24>;

std::string_view digits_of(NumberBuffer& buffer, std::uint64_t number, unsigned base,
                           std::string_view prefix) {
  std::size_t at = buffer.size();
  do {
    buffer[--at] = std::string_view("0123456789abcdef")[number % base];
    number /= base;
  } while (number != 0);
  at -= prefix.size();
  copy_text(std::span(buffer).subspan(at), prefix);
  return bytes_text(std::as_bytes(std::span(buffer).subspan(at)));
}

void emit_argument(Emit emit, const FormatArgument& argument, bool hexadecimal) {
  NumberBuffer buffer;
  std::uint64_t number = argument.number();
  switch (argument.kind()) {
    case FormatArgument::Kind::kText:
      return emit(argument.text());
    case FormatArgument::Kind::kBool:
      return emit(number != 0 ? "true" : "false");
    case FormatArgument::Kind::kPointer:
      return emit(digits_of(buffer, number, 16, "0x"));
    case FormatArgument::Kind::kUnsigned:
      return emit(digits_of(buffer, number, hexadecimal ? 16 : 10, ""));
    case FormatArgument::Kind::kSigned: {
      if (hexadecimal) {
        // The type's own two's complement, so that an int -1 is ffffffff.
        if (argument.bits() < 64) number &= (std::uint64_t{1} << argument.bits()) - 1;
        return emit(digits_of(buffer, number, 16, ""));
      }
      const bool negative = static_cast<std::int64_t>(number) < 0;
      return emit(digits_of(buffer, negative ? 0 - number : number, 10, negative ? "-" : ""));
    }
    case FormatArgument::Kind::kChar: {
      if (hexadecimal) return emit(digits_of(buffer, number, 16, ""));
      const char character = static_cast<char>(number);
      return emit(bytes_text(object_bytes(character)));
    }
  }
}

}  // namespace

void format_pieces(Emit emit, std::string_view format, std::span<const FormatArgument> arguments) {
  std::size_t used = 0;
  while (!format.empty()) {
    const std::size_t special = std::min(format.find_first_of("{}"), format.size());
    if (special != 0) emit(format.substr(0, special));
    format.remove_prefix(special);
    if (format.empty()) return;
    if (format.starts_with("{{") || format.starts_with("}}")) {
      emit(format.substr(0, 1));
      format.remove_prefix(2);
      continue;
    }
    // FormatString has checked that this is {} or {:x}, and that the argument is there.
    const bool hexadecimal = format.starts_with("{:x}");
    emit_argument(emit, arguments[used], hexadecimal);
    ++used;
    format.remove_prefix(hexadecimal ? 4 : 2);
  }
}

std::string_view format_into(std::span<char> out, std::string_view format,
                             std::span<const FormatArgument> arguments) {
  BufferSink sink(out);
  format_pieces(sink, format, arguments);
  return sink.text();
}

Result<void> format_append(String& out, std::string_view format,
                           std::span<const FormatArgument> arguments) {
  Result<void> result;
  format_pieces(
      [&](std::string_view piece) {
        if (!result.is_error()) result = out.append(piece);
      },
      format, arguments);
  return result;
}

[[gnu::noinline]] void log_line(LogLevel level, std::string_view format,
                                std::span<const FormatArgument> arguments) {
  std::array<char, kLogLineBytes> buffer;
  log_write(level, format_into(buffer, format, arguments));
}

[[gnu::noinline, gnu::cold]] void panic_line(std::string_view format,
                                             std::span<const FormatArgument> arguments) {
  std::array<char, kLogLineBytes> buffer;
  panic_write(format_into(buffer, format, arguments));
}

}  // namespace format_detail
}  // namespace occlum
