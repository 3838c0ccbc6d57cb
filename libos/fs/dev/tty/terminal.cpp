#include "libos/fs/dev/tty/terminal.h"

#include <algorithm>
#include <array>

#include "libos/lib/memory.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/send.h"
#include "libos/process/thread.h"

namespace occlum {

namespace {

constexpr Nanoseconds kTenthOfSecond = 100'000'000;
constexpr size_t kReadChunk = LineDiscipline::kMaxLine;
constexpr size_t kWriteChunk = 2048;
constexpr size_t kKeysAtOnce = 256;  // under the spin lock

}  // namespace

// What echo writes goes to the screen after the lock is let go.
class Terminal::EchoBuffer : public LineDiscipline::Echo {
 public:
  void put(std::span<const std::byte> bytes) override {
    if (bytes_.append(bytes).is_error()) return;  // no memory: the screen misses an echo
  }
  std::span<const std::byte> bytes() const { return bytes_.span(); }

 private:
  Vec<std::byte> bytes_;
};

Result<void> Terminal::create(const Termios& termios) {
  first_termios_ = termios;
  return state_.with([&](State& state) {
    state.discipline.set_termios(termios);
    return state.discipline.create();
  });
}

size_t Terminal::input_room() const {
  return state_.with([](const State& state) { return state.discipline.room(); });
}

Terminal::Era Terminal::era() const {
  return state_.with([](const State& state) { return state.era; });
}

bool Terminal::is_hung_up() const {
  return state_.with([](const State& state) { return state.is_gone; });
}

bool Terminal::is_hung_up(Era era) const {
  return state_.with([&](const State& state) { return state.hung_up(era); });
}

Pid Terminal::foreground_group() const {
  return state_.with([](const State& state) { return state.foreground; });
}

// --- keyboard ---

void Terminal::receive(std::span<const std::byte> keys) {
  while (!keys.empty()) {
    const std::span<const std::byte> some = keys.first(std::min(keys.size(), kKeysAtOnce));
    keys = keys.subspan(some.size());
    EchoBuffer echo;
    SignalSet signals;
    bool has_input = false, has_more = false, stopped = false;
    uint8_t cleared = 0, told = 0;
    const auto tell = [&](uint8_t clear, uint8_t set) {
      cleared |= clear;
      told = static_cast<uint8_t>((told & ~clear) | set);
    };
    Pid group = 0;
    state_.with([&](State& state) {
      const size_t before = state.discipline.input_end();
      for (const std::byte key : some) {
        const bool was_stopped = state.discipline.is_output_stopped();
        const int signal = state.discipline.receive(std::to_integer<uint8_t>(key), echo);
        if (signal != 0) {
          signals.add(signal);
          if ((state.discipline.termios().local & kNoFlush) == 0)
            tell(0, kPacketFlushRead | kPacketFlushWrite);
        }
        if (state.discipline.is_output_stopped() != was_stopped)
          was_stopped ? tell(kPacketStop, kPacketStart) : tell(kPacketStart, kPacketStop);
      }
      has_input = state.discipline.has_input();
      has_more = has_input && state.discipline.input_end() != before;
      stopped = state.discipline.is_output_stopped();
      group = state.foreground;
    });
    if (told != 0) tell_status(cleared, told);
    if (!echo.bytes().empty()) (void)put_screen(echo.bytes());
    for (; !signals.is_empty(); signals.remove(signals.first())) {
      if (group > 0) (void)send_signal_to_group(group, SignalInfo::from_kernel(signals.first()));
    }
    if (has_input) readable_.wake_all(kReadable);
    if (has_more) signals_.post(IoReason::kIn);
    if (!stopped) writable_.wake_all(kWritable);
  }
}

// --- job control ---

// A process outside of the foreground group of its terminal gets `signal` (SIGTTIN, SIGTTOU) and
// tries again later.
Result<void> Terminal::check_background(int signal) {
  Thread& self = current_thread();
  Process& process = self.process();
  if (!is_controlling(self)) return {};
  const Pid group = process.group_id();
  const Pid foreground = foreground_group();
  if (foreground == 0 || foreground == group) return {};
  const bool unwanted =
      self.signal_mask().contains(signal) || ignores(process.actions().get(signal), signal);
  if (unwanted && signal == kSigTtou) return {};
  if (unwanted || is_orphaned_group(group)) return Errno::kIo;
  (void)send_signal_to_group(group, SignalInfo::from_kernel(signal));
  return Errno::kRestartSys;
}

bool Terminal::is_controlling(Thread& self) const {
  const RefPtr<Session> session = self.process().session();
  if (session == nullptr || session->terminal_device() != device_) return false;
  return state_.with([&](const State& state) { return state.session == session->id(); });
}

Result<void> Terminal::take_for(Process& process, const RefPtr<TtyFile>& file) {
  const RefPtr<Session> session = process.session();
  if (session == nullptr) return Errno::kPerm;
  const Pid group = process.group_id();
  state_.with([&](State& state) {
    state.session = session->id();
    state.foreground = group;
  });
  session->set_terminal(file, device_);
  return {};
}

namespace {

// The session of a number, when its terminal is this one.
RefPtr<Session> session_with(Pid id, uint64_t device) {
  RefPtr<Session> session = find_session(id);
  return session != nullptr && session->terminal_device() == device ? session : nullptr;
}

// Hook: the leader of a session has ended.
void end_session(Session& session) {
  const RefPtr<File> file = session.set_terminal(nullptr, 0);
  if (file != nullptr && file->kind() == FileKind::kTerminal) {
    static_cast<TtyFile&>(*file).terminal().release_session(session.id(),
                                                            Terminal::Release::kAtExit);
    return;
  }
  const Pid group = session.take_lost_foreground();
  if (group <= 0) return;
  (void)send_signal_to_group(group, SignalInfo::from_kernel(kSigHup));
  (void)send_signal_to_group(group, SignalInfo::from_kernel(kSigCont));
}

}  // namespace

void register_terminals() { Session::set_end_hook(end_session); }

bool Terminal::become_controlling(Process& process, TtyFile& file, Steal steal) {
  const RefPtr<Session> session = process.session();
  if (session == nullptr || session->id() != process.pid() || session->terminal() != nullptr)
    return false;
  const Pid owner = state_.with([](const State& state) { return state.session; });
  if (owner != 0 && owner != session->id()) {
    if (const RefPtr<Session> other = session_with(owner, device_)) {
      if (steal == Steal::kNo) return false;
      const RefPtr<File> taken = other->set_terminal(nullptr, 0);
    }
  }
  // The session's own reference does not count as an open slave (pty.h).
  auto reference =
      make_ref<TtyFile>(ref_to(*this), 2u, file.path() != nullptr ? *file.path() : Path());
  if (reference.is_error()) return false;
  return !take_for(process, reference.value()).is_error();
}

void Terminal::release_session(Pid session, Release why) {
  const Pid group = state_.with([&](State& state) {
    if (state.session != session) return 0;
    state.session = 0;
    return std::exchange(state.foreground, 0);
  });
  if (group <= 0) return;
  (void)send_signal_to_group(group, SignalInfo::from_kernel(kSigHup));
  if (why == Release::kByIoctl)
    (void)send_signal_to_group(group, SignalInfo::from_kernel(kSigCont));
}

void Terminal::hang_up(HangUp how) {
  Pid session = 0, foreground = 0;
  state_.with([&](State& state) {
    if (how == HangUp::kForEver) {
      state.is_gone = true;
    } else {
      ++state.era;
      state.discipline.flush_input();
      state.discipline.set_termios(first_termios_);
      state.discipline.set_output_stopped(false);
    }
    session = std::exchange(state.session, 0);
    foreground = std::exchange(state.foreground, 0);
  });
  if (const RefPtr<Session> lost = session_with(session, device_)) {
    const RefPtr<File> file = lost->lose_terminal(foreground);
    const RefPtr<Process> leader = find_process(session);
    if (leader != nullptr && !leader->has_ended()) {
      (void)send_signal(*leader, SignalInfo::from_kernel(kSigHup));
      (void)send_signal(*leader, SignalInfo::from_kernel(kSigCont));
    } else {
      end_session(*lost);
    }
  }
  input_taken();
  readable_.wake_all(kReadable | kPollHup);
  writable_.wake_all(kWritable | kPollHup);
}

void Terminal::change_window_size(WindowSize& window, const WindowSize& size) {
  if (window == size) return;
  if (const Pid group = foreground_group(); group > 0)
    (void)send_signal_to_group(group, SignalInfo::from_kernel(kSigWinch));
  window = size;
}

void Terminal::set_window_size(const WindowSize& size) {
  window_.with([&](WindowSize& window) { change_window_size(window, size); });
}

WindowSize Terminal::update_window_size() {
  return window_.with([&](WindowSize& window) {
    if (const auto size = take_new_window_size()) change_window_size(window, *size);
    return window;
  });
}

// --- reading ---

// Moves what there is, at most `limit` bytes, to the sink. `end`: a line or the end of file was
// taken.
Result<size_t> Terminal::take_input(DataSink& sink, size_t limit, bool& end) {
  auto buffer = TRY(Vec<std::byte>::create(std::min(limit, kReadChunk)));
  size_t count = 0;
  bool more = false;
  state_.with([&](State& state) {
    const bool available = state.discipline.has_input();
    count = state.discipline.take(buffer.span());
    end = available && state.discipline.is_canonical();
    more = state.discipline.has_input();
  });
  if (count != 0 || end) input_taken();
  if (more) readable_.wake_one(kReadable);
  TRY(sink.write(buffer.span().first(count)));
  return count;
}

Result<size_t> Terminal::read(DataSink& sink, Blocking blocking, Era era) {
  TRY(check_background(kSigTtin));
  const size_t wanted = sink.remaining();
  if (wanted == 0) return size_t{0};
  const Nanoseconds start = monotonic_now();
  Nanoseconds last_byte = start;
  size_t total = 0;
  for (;;) {
    bool end = false;
    if (era != this->era()) return total;
    const Result<size_t> count = take_input(sink, wanted - total, end);
    if (count.is_error()) return total != 0 ? Result<size_t>(total) : count.error();
    total += count.value();
    if (end || total == wanted) return total;
    if (count.value() != 0) last_byte = monotonic_now();

    Termios termios;
    bool hung_up = false;
    state_.with([&](const State& state) {
      termios = state.discipline.termios();
      hung_up = state.hung_up(era);
    });
    if (hung_up) return total;
    Nanoseconds deadline = kNever;
    if ((termios.local & kICanon) == 0) {
      const size_t minimum = termios.chars[kVMin];
      const Nanoseconds time = termios.chars[kVTime] * kTenthOfSecond;
      if (total >= std::min(minimum, wanted) && (total != 0 || time == 0)) return total;
      if (time != 0 && minimum == 0) deadline = start + time;
      if (time != 0 && minimum != 0 && total != 0) deadline = last_byte + time;
    }
    if (blocking == Blocking::kNo) return total != 0 ? Result<size_t>(total) : Errno::kAgain;
    const Result<void> waited = wait_until(readable_, deadline, Interruptible::kYes, [&] {
      return state_.with(
          [&](const State& state) { return state.discipline.has_input() || state.hung_up(era); });
    });
    if (!waited.is_error()) {
      if (total == 0) TRY(check_background(kSigTtin));
      continue;
    }
    if (waited.error() == Errno::kTimedOut || total != 0) return total;
    return waited.error();
  }
}

// --- writing ---

void Terminal::made_room(uint32_t events) {
  writable_.wake_all(events);
  if (misses_room_.load(std::memory_order_relaxed) && screen_room() != 0 &&
      misses_room_.exchange(false)) {
    signals_.post(IoReason::kOut);
  }
}

Result<size_t> Terminal::write(DataSource& source, Blocking blocking, Era era) {
  const Termios termios =
      state_.with([](const State& state) { return state.discipline.termios(); });
  if ((termios.local & kToStop) != 0) TRY(check_background(kSigTtou));
  const size_t expansion = !processes_output()                     ? 1
                           : (termios.output & kTabMask) == kXTabs ? LineDiscipline::kMaxExpansion
                                                                   : 2;
  auto chunk = TRY(Vec<std::byte>::create(std::min(source.remaining(), kWriteChunk)));
  auto output = TRY(Vec<std::byte>::create(chunk.size() * 2 + LineDiscipline::kMaxExpansion));
  size_t total = 0;
  auto partial = [&](Errno error) {
    misses_room_.store(true, std::memory_order_relaxed);
    return total != 0 ? Result<size_t>(total) : error;
  };
  while (source.remaining() != 0) {
    size_t room = 0;
    bool hung_up = false;
    auto is_ready = [&] {
      const bool stopped = state_.with([&](const State& state) {
        hung_up = state.hung_up(era);
        return state.discipline.is_output_stopped();
      });
      room = stopped ? 0 : screen_room();
      return hung_up || room >= LineDiscipline::kMaxExpansion;
    };
    if (!is_ready()) {
      if (blocking == Blocking::kNo) return partial(Errno::kAgain);
      const Result<void> waited = wait_until(writable_, kNever, Interruptible::kYes, is_ready);
      if (waited.is_error()) return partial(waited.error());
    }
    if (hung_up) return partial(Errno::kIo);
    const size_t fits = room / expansion;  // however much they grow
    const size_t count = std::min({source.remaining(), chunk.size(), std::max<size_t>(fits, 1)});
    if (const auto copied = source.read(chunk.span().first(count)); copied.is_error()) {
      return partial(copied.error());
    }
    size_t done = 0;
    while (done < count) {
      size_t filled = 0;
      if (processes_output()) {
        state_.with([&](State& state) {
          while (done < count && filled + LineDiscipline::kMaxExpansion <= output.size()) {
            filled += state.discipline.process_output(
                std::to_integer<uint8_t>(chunk[done++]),
                output.span().subspan(filled).first<LineDiscipline::kMaxExpansion>());
          }
        });
      } else {
        copy_bytes(output.span(), chunk.span().first(count));
        filled = done = count;
      }
      if (const auto put = put_screen(output.span().first(filled)); put.is_error())
        return partial(put.error());
    }
    total += count;
  }
  return total;
}

PollEvents Terminal::poll(Poller* poller, Era era) {
  if (poller != nullptr) {
    (void)poller->watch(readable_);
    (void)poller->watch(writable_);
    join_screen(*poller);
  }
  bool stopped = false;
  PollEvents events = state_.with([&](const State& state) -> PollEvents {
    stopped = state.discipline.is_output_stopped();
    if (state.hung_up(era)) return kReadable | kWritable | kPollErr | kPollHup;
    const Termios& termios = state.discipline.termios();
    const bool raw_minimum = !state.discipline.is_canonical() && termios.chars[kVTime] == 0;
    const size_t minimum = raw_minimum ? std::max<size_t>(termios.chars[kVMin], 1) : 1;
    const bool ready =
        minimum > 1 ? state.discipline.readable_bytes() >= minimum : state.discipline.has_input();
    return ready ? kReadable : 0;
  });
  if (!stopped && screen_room() >= LineDiscipline::kMaxExpansion) events |= kWritable;
  return events;
}

}  // namespace occlum
