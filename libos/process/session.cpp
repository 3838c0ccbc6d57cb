#include "libos/process/session.h"

#include "libos/fs/vfs/file.h"

namespace occlum {

namespace {
constinit std::atomic<Session::EndHook> end_hook = nullptr;
}  // namespace

Session::~Session() = default;

void Session::set_end_hook(EndHook hook) { end_hook.store(hook); }

void Session::leader_has_ended() {
  if (const EndHook hook = end_hook.load()) hook(*this);
}

RefPtr<File> Session::terminal() const {
  return terminal_.with([](const Terminal& terminal) { return terminal.file; });
}

uint64_t Session::terminal_device() const {
  return terminal_.with([](const Terminal& terminal) { return terminal.device; });
}

RefPtr<File> Session::set_terminal(RefPtr<File> file, uint64_t device) {
  return terminal_.with([&](Terminal& terminal) {
    terminal.device = device;
    return std::exchange(terminal.file, std::move(file));
  });
}

RefPtr<File> Session::lose_terminal(Pid foreground) {
  return terminal_.with([&](Terminal& terminal) {
    terminal.device = 0;
    terminal.lost_foreground = foreground;
    return std::exchange(terminal.file, nullptr);
  });
}

Pid Session::take_lost_foreground() {
  return terminal_.with(
      [](Terminal& terminal) { return std::exchange(terminal.lost_foreground, 0); });
}

}  // namespace occlum
