#include "libos/syscall/trace.h"

#include <array>

#include "libos/process/thread.h"

namespace occlum {
namespace {

constexpr size_t kShownStringBytes = 128;
constexpr long kShowAsAddress = 0x1000000;  // results from here on read better in hexadecimal

constexpr std::array<std::string_view, 32> kSignalNames = {
    "0",         "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
    "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS"};

constexpr std::array<std::string_view, 12> kClockNames = {
    "CLOCK_REALTIME",          "CLOCK_MONOTONIC",     "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID", "CLOCK_MONOTONIC_RAW", "CLOCK_REALTIME_COARSE",
    "CLOCK_MONOTONIC_COARSE",  "CLOCK_BOOTTIME",      "CLOCK_REALTIME_ALARM",
    "CLOCK_BOOTTIME_ALARM",    "CLOCK_SGI_CYCLE",     "CLOCK_TAI"};

}  // namespace

std::string_view signal_name(int signal) {
  if (signal < 0 || static_cast<size_t>(signal) >= kSignalNames.size()) return {};
  return kSignalNames[static_cast<size_t>(signal)];
}

void TraceLine::begin(Pid tid, std::string_view name) { add("[pid {}] {}(", tid, name); }

void TraceLine::end_with(const Result<long>& result) {
  if (result.is_error()) {
    const bool restarts = result.error() >= Errno::kRestartSys;
    add(") = {} {}", restarts ? "?" : "-1", errno_name(result.error()));
  } else if (result.value() >= kShowAsAddress) {
    add(") = 0x{:x}", result.value());
  } else {
    add(") = {}", result.value());
  }
}

void TraceLine::separate() {
  if (std::exchange(has_arguments_, true)) add(", ");
}

void TraceLine::show(Fd fd) {
  separate();
  if (fd == kAtCwd) {
    add("AT_FDCWD");
  } else {
    add("{}", number(fd));
  }
}

void TraceLine::show(Flags flags) {
  separate();
  add("0x{:x}", bits(flags));
}

// Octal, as chmod(1) writes it.
void TraceLine::show(Mode mode) {
  separate();
  std::array<char, 12> digits;
  size_t first = digits.size();
  uint32_t rest = bits(mode);
  while (rest != 0) {
    digits[--first] = static_cast<char>('0' + (rest & 7));
    rest >>= 3;
  }
  digits[--first] = '0';
  const std::span<const char> shown = std::span(digits).subspan(first);
  add("{}", std::string_view(shown.begin(), shown.end()));
}

void TraceLine::show(SignalNumber signal) {
  separate();
  const int value = static_cast<int>(signal);
  if (const std::string_view name = signal_name(value); !name.empty()) {
    add("{}", name);
  } else if (is_valid_signal(value)) {
    add("SIGRT_{}", value - kSigRtMin);
  } else {
    add("{}", value);
  }
}

void TraceLine::show(ClockId clock) {
  separate();
  const auto index = static_cast<size_t>(static_cast<uint32_t>(clock));
  if (index < kClockNames.size()) {
    add("{}", kClockNames[index]);
  } else {
    add("{}", static_cast<int>(clock));
  }
}

void TraceLine::show(UserAddress address) {
  separate();
  if (address.is_null()) {
    add("NULL");
  } else {
    add("0x{:x}", address.value());
  }
}

void TraceLine::show(UserString string) {
  const Result<String> text = string.read(4096);
  if (text.is_error()) return show(string.address());
  separate();
  add_quoted(text.value().view().substr(0, kShownStringBytes));
  if (text.value().size() > kShownStringBytes) add("...");
}

void TraceLine::add_quoted(std::string_view text) {
  add("\"");
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\') {
      add("\\{}", character);
    } else if (character == '\n') {
      add("\\n");
    } else if (character == '\t') {
      add("\\t");
    } else if (byte < 0x20 || byte >= 0x7f) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      add("\\x{}{}", kDigits[byte >> 4], kDigits[byte & 15]);
    } else {
      add("{}", character);
    }
  }
  add("\"");
}

}  // namespace occlum
