#include "libos/fs/dev/tty/host_terminal.h"

#include <algorithm>
#include <array>

#include "libos/host/calls.h"
#include "libos/ipc/task_poller.h"
#include "libos/lib/memory.h"
#include "libos/net/host_numbers.h"

namespace occlum {

namespace {

constexpr size_t kHostKeyChunk = 1024;
constexpr size_t kScreenChunk = 2048;  // of one host write: the terminal's own buffer is larger
constexpr Nanoseconds kBackgroundRetry = 200'000'000;
constexpr Nanoseconds kScreenRetry = 50'000'000;
constexpr long kHostGetpgid = 121;

class Pump : public Task {
 public:
  explicit Pump(RefPtr<HostTerminal> terminal) : terminal_(std::move(terminal)) {}
  [[noreturn]] void run() override { terminal_->pump(); }

 private:
  const RefPtr<HostTerminal> terminal_;
};

}  // namespace

HostTerminal::HostTerminal(Descriptors descriptors)
    : Terminal(make_device(5, 1)), descriptors_(descriptors) {}

Result<RefPtr<HostTerminal>> HostTerminal::create(Descriptors descriptors) {
  auto terminal = TRY(make_ref<HostTerminal>(descriptors));
  Termios termios;
  termios.input |= kIUtf8;  // as terminal emulators set it
  TRY(terminal->Terminal::create(termios));
  if (descriptors.input >= 0) terminal->input_watch_ = TRY(HostWatch::create(descriptors.input));
  terminal->output_watch_ = TRY(HostWatch::create(descriptors.output));
  (void)terminal->update_window_size();
  auto pump = TRY(make_ref<Pump>(terminal));
  TRY(pump->context().create());
  start_task(RefPtr<Task>(std::move(pump)));
  return terminal;
}

Result<String> HostTerminal::name() const { return String::create("/dev/console"); }

void HostTerminal::size_may_have_changed() {
  size_changed_.store(true, std::memory_order_release);
  pump_queue_.wake_all();
}

void HostTerminal::input_taken() { pump_queue_.wake_all(); }

size_t HostTerminal::screen_room() {
  return (output_watch_->current_events() & (kPollOut | kPollErr | kPollHup)) != 0 ? kScreenChunk
                                                                                   : 0;
}

Result<void> HostTerminal::put_screen(std::span<const std::byte> output) {
  while (!output.empty()) {
    const auto count =
        host::write(descriptors_.output, output.first(std::min(output.size(), kScreenChunk)));
    if (!count.is_error() && count.value() != 0) {
      output = output.subspan(count.value());
      continue;
    }
    if (!count.is_error() || count.error() != Errno::kAgain)
      return count.is_error() ? count.error() : Errno::kIo;
    // The description is non-blocking, somebody else's doing.
    (void)wait_until(output_watch_->queue(), monotonic_now() + kScreenRetry, Interruptible::kNo,
                     [&] { return screen_room() != 0; });
  }
  return {};
}

std::optional<WindowSize> HostTerminal::take_new_window_size() {
  host::SharedBuffer shared;
  const auto address = shared.reserve(sizeof(WindowSize));
  if (address.is_error()) return std::nullopt;
  const auto asked =
      host::check(host::system_call(kHostIoctl, static_cast<uint64_t>(descriptors_.output),
                                    kTiocGWinSz, address.value()),
                  0);
  WindowSize answer;  // any size is harmless: programs get such from users
  if (asked.is_error() || shared.get(address.value(), writable_object_bytes(answer)).is_error())
    return std::nullopt;
  if (answer == host_size_) return std::nullopt;
  host_size_ = answer;
  return answer;
}

bool HostTerminal::is_in_foreground() const {
  int foreground = 0;
  if (host::ioctl_int(descriptors_.input, kTiocGPgrp, foreground).is_error())
    return true;  // not its controlling one
  const auto group = host::check(host::system_call(kHostGetpgid, 0), INT32_MAX);
  return group.is_error() || group.value() == foreground;
}

bool HostTerminal::has_keys() {
  return !input_ended_ && input_watch_ && input_room() >= kHostKeyChunk &&
         (input_watch_->current_events() & (kPollIn | kPollHup | kPollErr)) != 0;
}

void HostTerminal::read_keys() {
  std::array<std::byte, kHostKeyChunk> keys;
  const auto count = host::read(descriptors_.input, keys);
  if (count.is_error() && count.error() == Errno::kAgain) return;
  if (count.is_error() || count.value() == 0) {
    input_ended_ = true;
    hang_up(HangUp::kForEver);
    return;
  }
  receive(std::span<const std::byte>(keys).first(count.value()));
}

void HostTerminal::pump() {
  TaskPoller poller;
  if (input_watch_) (void)poller.watch(input_watch_->queue());
  (void)poller.watch(output_watch_->queue());
  (void)poller.watch(pump_queue_);
  for (;;) {
    Nanoseconds deadline = kNever;
    if (size_changed_.exchange(false, std::memory_order_acquire)) (void)update_window_size();
    made_room(kPollOut | kPollWrNorm);
    if (has_keys()) {
      if (is_in_foreground()) {
        read_keys();
        continue;
      }
      deadline = monotonic_now() + kBackgroundRetry;
    }
    (void)park(deadline, Interruptible::kNo);
  }
}

}  // namespace occlum
