// The line discipline: what stands between a terminal's keys and screen and the programs that read
// and write it (termios(3); Linux's n_tty). Pure state, without locks, waiting or devices:
// terminal.h adds those.
//
// Input bytes go through the input flags, signal characters and, in canonical mode, line editing
// into a buffer of entries. An entry is a byte and marks: kLineEnd closes a line (the byte belongs
// to it); kEof closes it without a byte. In canonical mode programs read up to a mark; else
// whatever is there. Output bytes go through the output flags; the column is tracked for tabs and
// for erasing them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "libos/fs/dev/tty/termios.h"
#include "libos/lib/result.h"
#include "libos/lib/vec.h"

namespace occlum {

class LineDiscipline {
 public:
  static constexpr size_t kCapacity = 16 * 1024;  // entries of input
  static constexpr size_t kMaxLine = 4096;        // of an edited line, with its end
  static constexpr size_t kMaxExpansion = 8;      // output bytes that one byte becomes, at most

  // The screen side of input: what echo writes. Processed output; may drop when there is no room.
  class Echo {
   public:
    virtual void put(std::span<const std::byte> bytes) = 0;

   protected:
    ~Echo() = default;
  };

  Result<void> create();

  const Termios& termios() const { return termios_; }
  // Buffered input is kept; a change of canonical mode makes it readable at once or a line of its
  // own, as on Linux.
  void set_termios(const Termios& termios);

  // One byte from the keyboard. Returns the signal for the foreground group, or 0.
  int receive(uint8_t byte, Echo& echo);

  // --- reading ---
  bool is_canonical() const { return (termios_.local & kICanon) != 0; }
  // What a read could take: a line is there, or any byte in raw mode (poll, FIONREAD).
  bool has_input() const;
  size_t readable_bytes() const;
  // Grows with what becomes readable.
  size_t input_end() const { return line_start_; }
  size_t room() const { return kCapacity - (tail_ - head_); }
  // Takes at most out.size() bytes, in canonical mode of one line only. 0 with has_input() was an
  // end of file.
  size_t take(std::span<std::byte> out);
  void flush_input();

  // --- writing ---
  // Output processing of one byte. How many bytes of `out` were set.
  size_t process_output(uint8_t byte, std::span<std::byte, kMaxExpansion> out);
  bool is_output_stopped() const { return output_stopped_; }
  void set_output_stopped(bool stopped) { output_stopped_ = stopped; }

 private:
  using Entry = uint16_t;
  static constexpr Entry kLineEnd = 0x100, kEof = 0x200;

  bool has_flag(LocalFlag flag) const { return (termios_.local & flag) != 0; }
  bool is_char(uint8_t byte, ControlChar which) const;

  int signal_of(uint8_t byte) const;
  bool edit(uint8_t byte, Echo& echo);
  bool handle_flow(uint8_t byte);
  void append(Entry entry, Echo& echo);
  Entry& entry(size_t position) { return buffer_[position % kCapacity]; }
  const Entry& entry(size_t position) const { return buffer_[position % kCapacity]; }

  void erase_char(Echo& echo);
  void erase_word(Echo& echo);
  void erase_line(Echo& echo);
  void drop_last(Echo& echo, bool show);
  size_t columns_of_line() const;
  void reprint(Echo& echo);

  void echo_input(uint8_t byte, Echo& echo);
  void echo_raw(uint8_t byte, Echo& echo);
  void echo_output(uint8_t byte, Echo& echo);

  Termios termios_;
  Vec<Entry> buffer_;
  // Positions only grow. [head, line_start) can be read, [line_start, tail) is the line being
  // edited.
  size_t head_ = 0, line_start_ = 0, tail_ = 0;
  size_t line_column_ = 0;  // of the screen, where the edited line starts
  size_t column_ = 0;
  bool literal_next_ = false;
  bool output_stopped_ = false;
};

}  // namespace occlum
