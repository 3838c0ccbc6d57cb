#include "libos/fs/dev/tty/line_discipline.h"

#include <algorithm>

#include "libos/process/signals/signal.h"

namespace occlum {

namespace {

constexpr uint8_t kBell = 7, kBackspace = 8, kTab = 9, kNewline = 10, kReturn = 13, kDelete = 127;

bool is_control(uint8_t byte) { return byte < 32 || byte == kDelete; }
bool is_continuation(uint16_t entry) { return (entry & 0xc0) == 0x80; }
bool is_word_char(uint8_t byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= 'a' && byte <= 'z') || byte == '_' || byte >= 0x80;
}

}  // namespace

Result<void> LineDiscipline::create() { return buffer_.resize(kCapacity); }

bool LineDiscipline::is_char(uint8_t byte, ControlChar which) const {
  const uint8_t configured = termios_.chars[which];
  return configured != 0 && byte == configured;  // 0 is _POSIX_VDISABLE
}

void LineDiscipline::set_termios(const Termios& termios) {
  const bool was_canonical = is_canonical();
  termios_ = termios;
  if (was_canonical == is_canonical()) return;
  line_start_ = tail_;
  if (is_canonical()) {
    // What was typed raw is a line of its own.
    if (tail_ != head_) entry(tail_ - 1) |= kLineEnd;
    line_column_ = column_;
  }
  literal_next_ = false;
}

// --- input ---

int LineDiscipline::signal_of(uint8_t byte) const {
  if (!has_flag(kISig)) return 0;
  if (is_char(byte, kVIntr)) return kSigInt;
  if (is_char(byte, kVQuit)) return kSigQuit;
  if (is_char(byte, kVSusp)) return kSigTstp;
  return 0;
}

bool LineDiscipline::handle_flow(uint8_t byte) {
  if ((termios_.input & kIXOn) == 0) return false;
  if (is_char(byte, kVStart)) {
    output_stopped_ = false;
    return true;
  }
  if (is_char(byte, kVStop)) {
    output_stopped_ = true;
    return true;
  }
  if ((termios_.input & kIXAny) != 0) output_stopped_ = false;
  return false;
}

int LineDiscipline::receive(uint8_t byte, Echo& echo) {
  if (tail_ == line_start_) line_column_ = column_;
  if ((termios_.input & kIStrip) != 0) byte &= 0x7f;
  if (literal_next_) {
    if (has_flag(kEcho)) echo_input(byte, echo);
    literal_next_ = false;
    append(byte, echo);
    return 0;
  }
  if (handle_flow(byte)) return 0;
  if (const int signal = signal_of(byte); signal != 0) {
    if (!has_flag(kNoFlush)) flush_input();
    output_stopped_ = false;
    if (has_flag(kEcho)) echo_input(byte, echo);
    return signal;
  }
  if (byte == kReturn) {
    if ((termios_.input & kIgnCr) != 0) return 0;
    if ((termios_.input & kICrNl) != 0) byte = kNewline;
  } else if (byte == kNewline && (termios_.input & kINlCr) != 0) {
    byte = kReturn;
  }
  if (is_canonical() && edit(byte, echo)) return 0;
  if (has_flag(kEcho)) echo_input(byte, echo);
  append(byte, echo);
  return 0;
}

// Canonical mode's special characters. False: an ordinary one.
bool LineDiscipline::edit(uint8_t byte, Echo& echo) {
  const bool extended = has_flag(kIExten);
  if (is_char(byte, kVErase)) return erase_char(echo), true;
  if (is_char(byte, kVKill)) return erase_line(echo), true;
  if (extended && is_char(byte, kVWErase)) return erase_word(echo), true;
  if (extended && is_char(byte, kVLNext)) {
    literal_next_ = true;
    if (has_flag(kEcho) && has_flag(kEchoCtl)) {
      echo_raw('^', echo);
      echo_raw(kBackspace, echo);
    }
    return true;
  }
  if (extended && has_flag(kEcho) && is_char(byte, kVReprint)) return reprint(echo), true;
  if (byte == kNewline) {
    if (has_flag(kEcho) || has_flag(kEchoNl)) echo_output(byte, echo);
    append(byte | kLineEnd, echo);
    return true;
  }
  if (is_char(byte, kVEof)) {
    append(kLineEnd | kEof, echo);
    return true;
  }
  if (is_char(byte, kVEol) || (extended && is_char(byte, kVEol2))) {
    if (has_flag(kEcho)) echo_input(byte, echo);
    append(byte | kLineEnd, echo);
    return true;
  }
  return false;
}

void LineDiscipline::append(Entry value, Echo& echo) {
  if (!is_canonical()) {
    if (room() == 0) return;  // the keyboard's owner holds back before this (room())
    entry(tail_++) = value;
    line_start_ = tail_;
    return;
  }
  const bool is_end = (value & kLineEnd) != 0;
  // One place stays free for the line's end.
  const bool fits = is_end ? room() != 0 : tail_ - line_start_ < kMaxLine - 1 && room() > 1;
  if (!fits) {
    if (!is_end && (termios_.input & kIMaxBel) != 0) echo_raw(kBell, echo);
    return;
  }
  entry(tail_++) = value;
  if (is_end) {
    line_start_ = tail_;
    line_column_ = column_;
  }
}

// --- editing ---

size_t LineDiscipline::columns_of_line() const {
  size_t column = line_column_;
  for (size_t position = line_start_; position != tail_; ++position) {
    const auto byte = static_cast<uint8_t>(entry(position));
    if (byte == kTab) {
      column = (column | 7) + 1;
    } else if (is_control(byte)) {
      column += has_flag(kEchoCtl) ? 2 : 0;
    } else if ((termios_.input & kIUtf8) == 0 || !is_continuation(byte)) {
      ++column;
    }
  }
  return column;
}

// Takes the last character (all bytes of it) off the line and, with `show`, off the screen.
void LineDiscipline::drop_last(Echo& echo, bool show) {
  const size_t before = columns_of_line();
  if ((termios_.input & kIUtf8) != 0) {
    while (tail_ - line_start_ > 1 && is_continuation(entry(tail_ - 1))) --tail_;
  }
  const auto byte = static_cast<uint8_t>(entry(tail_ - 1));
  --tail_;
  if (!show) return;
  const size_t after = columns_of_line();
  for (size_t column = before; column > after; --column) {
    echo_raw(kBackspace, echo);
    if (byte != kTab) {
      echo_raw(' ', echo);
      echo_raw(kBackspace, echo);
    }
  }
}

void LineDiscipline::erase_char(Echo& echo) {
  if (tail_ == line_start_) return;
  if (!has_flag(kEchoE)) {
    drop_last(echo, false);
    if (has_flag(kEcho)) echo_input(termios_.chars[kVErase], echo);
    return;
  }
  drop_last(echo, has_flag(kEcho));
}

void LineDiscipline::erase_word(Echo& echo) {
  bool seen = false;
  while (tail_ != line_start_) {
    const bool is_word = is_word_char(static_cast<uint8_t>(entry(tail_ - 1)));
    if (!is_word && seen) break;
    seen = seen || is_word;
    drop_last(echo, has_flag(kEcho));
  }
}

void LineDiscipline::erase_line(Echo& echo) {
  if (!has_flag(kEcho)) {
    tail_ = line_start_;
    return;
  }
  if (has_flag(kEchoK) && has_flag(kEchoKE) && has_flag(kEchoE)) {
    while (tail_ != line_start_) drop_last(echo, true);
    return;
  }
  tail_ = line_start_;
  echo_input(termios_.chars[kVKill], echo);
  if (has_flag(kEchoK)) echo_output(kNewline, echo);
}

void LineDiscipline::reprint(Echo& echo) {
  echo_input(termios_.chars[kVReprint], echo);
  echo_output(kNewline, echo);
  line_column_ = column_;
  for (size_t position = line_start_; position != tail_; ++position) {
    echo_input(static_cast<uint8_t>(entry(position)), echo);
  }
}

// --- echo ---

void LineDiscipline::echo_raw(uint8_t byte, Echo& echo) {
  if (byte == kBackspace) {
    column_ -= column_ != 0 ? 1 : 0;
  } else if (!is_control(byte)) {
    ++column_;
  }
  const std::byte one{byte};
  echo.put(std::span(&one, 1));
}

void LineDiscipline::echo_output(uint8_t byte, Echo& echo) {
  std::array<std::byte, kMaxExpansion> out;
  const size_t count = process_output(byte, out);
  echo.put(std::span<const std::byte>(out).first(count));
}

// A typed character: control characters as ^X.
void LineDiscipline::echo_input(uint8_t byte, Echo& echo) {
  if (has_flag(kEchoCtl) && is_control(byte) && byte != kTab &&
      (byte != kNewline || literal_next_)) {
    echo_raw('^', echo);
    echo_raw(byte ^ 0x40, echo);
    return;
  }
  echo_output(byte, echo);
}

// --- reading ---

bool LineDiscipline::has_input() const { return line_start_ != head_; }

size_t LineDiscipline::readable_bytes() const {
  size_t count = 0;
  for (size_t position = head_; position != line_start_; ++position) {
    if ((entry(position) & kEof) == 0) ++count;
  }
  return count;
}

size_t LineDiscipline::take(std::span<std::byte> out) {
  size_t count = 0;
  while (head_ != line_start_) {
    const Entry next = entry(head_);
    if ((next & kEof) != 0) {
      // An end of file behind bytes that were just taken only ends this read; alone it is a read of
      // 0 bytes.
      ++head_;
      if (is_canonical()) break;
      continue;
    }
    if (count == out.size()) break;
    out[count++] = std::byte{static_cast<uint8_t>(next)};
    ++head_;
    if (is_canonical() && (next & kLineEnd) != 0) break;
  }
  return count;
}

void LineDiscipline::flush_input() {
  head_ = line_start_ = tail_;
  line_column_ = column_;
  literal_next_ = false;
}

// --- writing ---

size_t LineDiscipline::process_output(uint8_t byte, std::span<std::byte, kMaxExpansion> out) {
  out[0] = std::byte{byte};
  if ((termios_.output & kOPost) == 0) return 1;
  switch (byte) {
    case kNewline:
      if ((termios_.output & kONlRet) != 0) column_ = 0;
      if ((termios_.output & kONlCr) == 0) return 1;
      column_ = 0;
      out[0] = std::byte{kReturn};
      out[1] = std::byte{kNewline};
      return 2;
    case kReturn:
      if ((termios_.output & kONoCr) != 0 && column_ == 0) return 0;
      if ((termios_.output & kOCrNl) != 0) {
        out[0] = std::byte{kNewline};
        if ((termios_.output & kONlRet) != 0) column_ = 0;
        return 1;
      }
      column_ = 0;
      return 1;
    case kTab: {
      const size_t spaces = 8 - (column_ & 7);
      column_ += spaces;
      if ((termios_.output & kTabMask) != kXTabs) return 1;
      std::ranges::fill(out.first(spaces), std::byte{' '});
      return spaces;
    }
    case kBackspace:
      column_ -= column_ != 0 ? 1 : 0;
      return 1;
    default:
      if (!is_control(byte) && ((termios_.input & kIUtf8) == 0 || !is_continuation(byte)))
        ++column_;
      return 1;
  }
}

}  // namespace occlum
