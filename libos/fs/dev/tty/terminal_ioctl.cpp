// ioctl(2) of terminals: settings, sizes, the controlling terminal, flushing (tty_ioctl(4)).
#include <algorithm>

#include "libos/fs/dev/tty/terminal.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/send.h"
#include "libos/process/thread.h"

namespace occlum {

Result<void> Terminal::wait_for_drain() {
  return wait_until(writable_, kNever, Interruptible::kYes,
                    [&] { return screen_pending() == 0 || is_hung_up(); });
}

constexpr int kInput = 0, kOutput = 1, kBoth = 2;  // TCIFLUSH, TCOFLUSH, TCIOFLUSH

void Terminal::flush(int queue) {
  if (queue == kInput || queue == kBoth) {
    state_.with([](State& state) { state.discipline.flush_input(); });
    tell_status(0, kPacketFlushRead);
    input_taken();
  }
  if (queue == kOutput || queue == kBoth) flush_screen();
}

void Terminal::stop_output(bool stopped) {
  const bool changed = state_.with([&](State& state) {
    const bool before = state.discipline.is_output_stopped();
    state.discipline.set_output_stopped(stopped);
    return before != stopped;
  });
  if (changed)
    stopped ? tell_status(kPacketStart, kPacketStop) : tell_status(kPacketStop, kPacketStart);
}

namespace {

enum SetHow : uint32_t { kNow, kAfterDrain, kAfterDrainAndFlush };

// ^S and ^Q stop and start the output, so that the other side may do it itself.
bool has_usual_flow_control(const Termios& termios) {
  return (termios.input & kIXOn) != 0 && termios.chars[kVStop] == 023 &&
         termios.chars[kVStart] == 021;
}

}  // namespace

Result<void> Terminal::set_termios(UserAddress from, size_t size, uint32_t how) {
  TRY(check_background(kSigTtou));
  Termios termios;
  if (size == sizeof(Termio)) {
    const Termio old = TRY(UserIn<Termio>(from).read());
    termios = state_.with([](const State& state) { return state.discipline.termios(); });
    constexpr uint32_t kHigh = 0xffff0000;
    termios.input = (termios.input & kHigh) | old.input;
    termios.output = (termios.output & kHigh) | old.output;
    termios.control = (termios.control & kHigh) | old.control;
    termios.local = (termios.local & kHigh) | old.local;
    std::ranges::copy(old.chars, termios.chars.begin());
  } else {
    termios = TRY(UserIn<Termios>(from).read());
  }
  if (how != kNow) TRY(wait_for_drain());
  if (how == kAfterDrainAndFlush) flush(kInput);
  const Termios before = state_.with([&](State& state) {
    const Termios old = state.discipline.termios();
    state.discipline.set_termios(termios);
    return old;
  });
  const bool flow = has_usual_flow_control(termios);
  if (flow != has_usual_flow_control(before))
    tell_status(kPacketDoStop | kPacketNoStop, flow ? kPacketDoStop : kPacketNoStop);
  if (((before.local | termios.local) & kExtProc) != 0) tell_status(0, kPacketIoctl);
  if ((termios.input & kIXOn) == 0 && (before.input & kIXOn) != 0) stop_output(false);
  readable_.wake_all(kReadable);
  writable_.wake_all(kWritable);
  return {};
}

Result<void> Terminal::set_foreground(Thread& self, Pid group) {
  const Result<void> turn = check_background(kSigTtou);
  if (turn.is_error()) return turn.error() == Errno::kIo ? Errno::kNotTty : turn.error();
  if (group < 0) return Errno::kInval;
  if (!is_controlling(self)) return Errno::kNotTty;
  const Pid session = session_of_group(group);
  if (session == 0) return Errno::kSrch;
  if (session != self.process().session_id()) return Errno::kPerm;
  state_.with([&](State& state) { state.foreground = group; });
  return {};
}

Result<void> Terminal::check_open(const Thread& self) const {
  const bool is_refused =
      is_exclusive_.load(std::memory_order_relaxed) && !self.user().has(kCapSysAdmin);
  return is_refused ? Result<void>(Errno::kBusy) : Result<void>();
}

constinit std::atomic<bool> Terminal::anybody_may_type{true};  // CONFIG_LEGACY_TIOCSTI

// A key that nobody pressed (TIOCSTI).
Result<void> Terminal::type(Thread& self, UserAddress key) {
  if (!self.user().has(kCapSysAdmin)) {
    if (!anybody_may_type.load(std::memory_order_relaxed)) return Errno::kIo;
    if (!is_controlling(self)) return Errno::kPerm;
  }
  const auto byte = TRY(UserIn<std::byte>(key).read());
  receive(std::span(&byte, 1));
  return {};
}

Result<long> Terminal::shared_ioctl(Thread& self, uint32_t request, uint64_t argument) {
  const UserAddress address(argument);
  switch (request) {
    case kTcGets:
    case kTcGets2: {
      Termios2 termios;
      termios.base = state_.with([](const State& state) { return state.discipline.termios(); });
      if (request == kTcGets) {
        TRY(UserOut<Termios>(address).write(termios.base));
      } else {
        TRY(UserOut<Termios2>(address).write(termios));
      }
      return 0L;
    }
    case kTcGetA: {
      const Termios termios =
          state_.with([](const State& state) { return state.discipline.termios(); });
      Termio old = {static_cast<uint16_t>(termios.input),
                    static_cast<uint16_t>(termios.output),
                    static_cast<uint16_t>(termios.control),
                    static_cast<uint16_t>(termios.local),
                    termios.line,
                    {}};
      std::ranges::copy(std::span(termios.chars).first(old.chars.size()), old.chars.begin());
      TRY(UserOut<Termio>(address).write(old));
      return 0L;
    }
    case kTcSets:
    case kTcSetsW:
    case kTcSetsF:
      TRY(set_termios(address, sizeof(Termios), request - kTcSets));
      return 0L;
    case kTcSets2:
    case kTcSetsW2:
    case kTcSetsF2:
      TRY(set_termios(address, sizeof(Termios), request - kTcSets2));
      return 0L;
    case kTcSetA:
    case kTcSetAW:
    case kTcSetAF:
      TRY(set_termios(address, sizeof(Termio), request - kTcSetA));
      return 0L;
    case kTiocGWinSz:
      TRY(UserOut<WindowSize>(address).write(update_window_size()));
      return 0L;
    case kTiocSWinSz:
      set_window_size(TRY(UserIn<WindowSize>(address).read()));
      return 0L;
    case kTiocGPgrp:
      TRY(UserOut<Pid>(address).write(foreground_group()));
      return 0L;
    case kTiocSPgrp:
      TRY(set_foreground(self, TRY(UserIn<Pid>(address).read())));
      return 0L;
    case kTiocGSid: {
      const Pid session = state_.with([](const State& state) { return state.session; });
      if (session == 0) return Errno::kNotTty;
      TRY(UserOut<Pid>(address).write(session));
      return 0L;
    }
    case kTiocOutQueue:
      TRY(UserOut<int>(address).write(static_cast<int>(screen_pending())));
      return 0L;
    case kTcFlush:
      if (argument > 2) return Errno::kInval;
      flush(static_cast<int>(argument));
      return 0L;
    case kTcXOnc:
      if (argument > 3) return Errno::kInval;
      if (argument < 2) stop_output(argument == 0);
      writable_.wake_all(kWritable);
      return 0L;
    case kTcSBrk:
    case kTcSBrkP:
      TRY(wait_for_drain());
      return 0L;
    default:
      return Errno::kNotTty;
  }
}

Result<long> Terminal::ioctl(Thread& self, TtyFile& file, uint32_t request, uint64_t argument) {
  const UserAddress address(argument);
  switch (request) {
    case kTiocGPgrp:
    case kTiocGSid:
      if (!is_controlling(self)) return Errno::kNotTty;
      return shared_ioctl(self, request, argument);
    case kTiocSCtty: {
      const RefPtr<Session> session = self.process().session();
      if (session != nullptr && session->id() == self.pid() && is_controlling(self)) return 0L;
      const bool steals = argument == 1 && self.user().has(kCapSysAdmin);
      if (!file.can_read() && !self.user().has(kCapSysTtyConfig)) return Errno::kPerm;
      if (become_controlling(self.process(), file, steals ? Steal::kYes : Steal::kNo)) return 0L;
      return Errno::kPerm;
    }
    case kTiocNotty: {
      if (!is_controlling(self)) return Errno::kNotTty;
      const RefPtr<Session> session = self.process().session();
      if (session->id() != self.pid()) return 0L;
      release_session(session->id(), Release::kByIoctl);
      session->set_terminal(nullptr, 0);
      return 0L;
    }
    case kFionRead: {
      const size_t count =
          state_.with([](const State& state) { return state.discipline.readable_bytes(); });
      TRY(UserOut<int>(address).write(static_cast<int>(count)));
      return 0L;
    }
    case kTiocGetD:
      TRY(UserOut<int>(address).write(0));
      return 0L;
    case kTiocExcl:
    case kTiocNxcl:
      is_exclusive_.store(request == kTiocExcl, std::memory_order_relaxed);
      return 0L;
    case kTiocGExcl:
      TRY(UserOut<int>(address).write(is_exclusive_.load(std::memory_order_relaxed) ? 1 : 0));
      return 0L;
    case kTiocSti:
      TRY(type(self, address));
      return 0L;
    default:
      return shared_ioctl(self, request, argument);
  }
}

}  // namespace occlum
