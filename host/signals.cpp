// See signals.h.
#include "host/signals.h"

#include <signal.h>

#include <initializer_list>

namespace host {

StartSignals start_signals() {
  StartSignals found;
  sigset_t blocked;
  sigemptyset(&blocked);
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  for (int signal = 1; signal < _NSIG; ++signal) {
    const uint64_t bit = uint64_t{1} << (signal - 1);
    struct sigaction action{};
    // The C library does not tell of the two that it keeps for itself.
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
      found.ignored |= bit;
    if (sigismember(&blocked, signal) == 1) found.blocked |= bit;
  }
  return found;
}

void unblock_exceptions() {
  sigset_t exceptions;
  sigemptyset(&exceptions);
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP})
    sigaddset(&exceptions, signal);
  pthread_sigmask(SIG_UNBLOCK, &exceptions, nullptr);
}

}  // namespace host
