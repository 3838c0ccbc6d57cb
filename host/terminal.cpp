// See terminal.h. (termios(3), tcsetpgrp(3), signal-safety(7): tcsetattr is async-signal-safe)
#include "host/terminal.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>

namespace host {
namespace {

termios original;
std::atomic<bool> is_raw{false};

void die(int signal) {
  terminal_restore();
  ::signal(signal, SIG_DFL);
  raise(signal);
}

}  // namespace

void terminal_raw() {
  if (is_raw || isatty(STDIN_FILENO) == 0) return;
  // From the background the kernel would stop us with SIGTTOU, and the terminal is not ours to change.
  if (tcgetpgrp(STDIN_FILENO) != getpgrp()) return;
  if (tcgetattr(STDIN_FILENO, &original) != 0) return;
  termios raw = original;
  cfmakeraw(&raw);
  if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0) is_raw = true;
}

void terminal_restore() {
  if (!is_raw.exchange(false)) return;
  tcsetattr(STDIN_FILENO, TCSADRAIN, &original);
}

void terminal_restore_on_fatal_signals() {
  if (isatty(STDIN_FILENO) == 0) return;
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) {
    struct sigaction action{};
    action.sa_handler = die;
    action.sa_flags = SA_RESETHAND | SA_NODEFER;
    sigaction(signal, &action, nullptr);
  }
}

}  // namespace host
