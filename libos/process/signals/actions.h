// SignalActions: what a process does on each signal (sigaction(2)); shared by its threads and by CLONE_SIGHAND.
#pragma once

#include <array>
#include <cstdint>

#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/process/signals/signal.h"

namespace occlum {

constexpr uint64_t kSigDfl = 0, kSigIgn = 1;

constexpr uint64_t kSaNoCldStop = 1, kSaNoCldWait = 2, kSaSigInfo = 4, kSaUnsupported = 0x400,
                   kSaExposeTagBits = 0x800, kSaRestorer = 0x04000000, kSaOnStack = 0x08000000,
                   kSaRestart = 0x10000000, kSaNoDefer = 0x40000000, kSaResetHand = 0x80000000;
// The rest is cleared by sigaction(2), so that programs can find out what there is.
constexpr uint64_t kSaKnown = kSaNoCldStop | kSaNoCldWait | kSaSigInfo | kSaExposeTagBits |
                              kSaRestorer | kSaOnStack | kSaRestart | kSaNoDefer | kSaResetHand;

// The kernel's struct sigaction of x86-64.
struct SignalAction {
  uint64_t handler = kSigDfl;
  uint64_t flags = 0;
  uint64_t restorer = 0;
  SignalSet mask;
};
static_assert(sizeof(SignalAction) == 32);

enum class DefaultAction : uint8_t { kTerminate, kCoreDump, kStop, kContinue, kIgnore };
DefaultAction default_action(int signal);

// True when the signal has no effect with this action: SIG_IGN, or SIG_DFL where that is to ignore it.
bool ignores(const SignalAction& action, int signal);

class SignalActions : public RefCounted<SignalActions> {
 public:
  SignalActions() = default;

  SignalAction get(int signal) const;
  // Returns what was there.
  SignalAction set(int signal, const SignalAction& action);
  // Takes the action for delivery: SA_RESETHAND sets it back to the default.
  SignalAction take(int signal);

  Result<RefPtr<SignalActions>> clone() const;  // fork
  void reset_for_exec();  // handlers become SIG_DFL, ignored ones stay ignored
  void reset_all();       // CLONE_CLEAR_SIGHAND
  void ignore(SignalSet signals);

 private:
  using Table = std::array<SignalAction, kSigMax>;
  SpinLocked<Table> table_{LockRank::kSignal};
};

}  // namespace occlum
