#include "libos/process/signals/actions.h"

namespace occlum {

// signal(7), "Standard signals"; real-time signals terminate.
DefaultAction default_action(int signal) {
  switch (signal) {
    case kSigChld:
    case kSigUrg:
    case kSigWinch:
      return DefaultAction::kIgnore;
    case kSigCont:
      return DefaultAction::kContinue;
    case kSigStop:
    case kSigTstp:
    case kSigTtin:
    case kSigTtou:
      return DefaultAction::kStop;
    case kSigQuit:
    case kSigIll:
    case kSigTrap:
    case kSigAbrt:
    case kSigBus:
    case kSigFpe:
    case kSigSegv:
    case kSigXCpu:
    case kSigXFsz:
    case kSigSys:
      return DefaultAction::kCoreDump;
    default:
      return DefaultAction::kTerminate;
  }
}

bool ignores(const SignalAction& action, int signal) {
  if (action.handler == kSigIgn) return true;
  if (action.handler != kSigDfl) return false;
  const DefaultAction by_default = default_action(signal);
  return by_default == DefaultAction::kIgnore || by_default == DefaultAction::kContinue;
}

SignalAction SignalActions::get(int signal) const {
  return table_.with([&](const Table& table) { return table[static_cast<size_t>(signal) - 1]; });
}

SignalAction SignalActions::set(int signal, const SignalAction& action) {
  return table_.with(
      [&](Table& table) { return std::exchange(table[static_cast<size_t>(signal) - 1], action); });
}

SignalAction SignalActions::take(int signal) {
  return table_.with([&](Table& table) {
    SignalAction& action = table[static_cast<size_t>(signal) - 1];
    const SignalAction taken = action;
    if ((taken.flags & kSaResetHand) != 0 && taken.handler > kSigIgn) action.handler = kSigDfl;
    return taken;
  });
}

Result<RefPtr<SignalActions>> SignalActions::clone() const {
  RefPtr<SignalActions> copy = TRY(make_ref<SignalActions>());
  const Table all = table_.with([](const Table& table) { return table; });
  copy->table_.with([&](Table& table) { table = all; });
  return copy;
}

void SignalActions::reset_for_exec() {
  table_.with([](Table& table) {
    for (SignalAction& action : table) {
      action = SignalAction{.handler = action.handler == kSigIgn ? kSigIgn : kSigDfl};
    }
  });
}

void SignalActions::reset_all() { reset_for_exec(); }

void SignalActions::ignore(SignalSet signals) {
  for (; !signals.is_empty(); signals.remove(signals.first()))
    set(signals.first(), SignalAction{.handler = kSigIgn});
}

}  // namespace occlum
