// HostTerminal: the host's terminal behind the runtime's descriptors 0..2, as /dev/console.
//
// The runtime has put the real terminal into raw mode when its stdin is one, so keys arrive one by
// one and our line discipline does the rest. A task of its own, the pump, waits for keys (so that
// Ctrl-C works while nobody reads), for room on the screen and for changes of the size. It leaves
// keys alone while the host has us in the background. What the host says here is what a user types:
// any bytes are possible anyway.
#pragma once

#include "libos/fs/dev/tty/terminal.h"
#include "libos/sched/host_events.h"

namespace occlum {

class HostTerminal : public Terminal {
 public:
  struct Descriptors {
    int input = -1;  // -1: keys are not read
    int output = -1;
  };
  static Result<RefPtr<HostTerminal>> create(Descriptors descriptors);
  explicit HostTerminal(Descriptors descriptors);

  Result<String> name() const override;
  // Sets the size anew soon. With any locks held before kWaitQueue.
  void size_may_have_changed();

  // The pump's work; never returns.
  [[noreturn]] void pump();

 protected:
  size_t screen_room() override;
  Result<void> put_screen(std::span<const std::byte> output) override;
  bool processes_output() const override { return descriptors_.input >= 0; }
  std::optional<WindowSize> take_new_window_size() override;
  void input_taken() override;

 private:
  bool has_keys();
  bool is_in_foreground() const;
  void read_keys();

  const Descriptors descriptors_;
  OwnPtr<HostWatch> input_watch_, output_watch_;
  WaitQueue pump_queue_;
  std::atomic<bool> size_changed_{false};
  WindowSize host_size_;      // as last heard; the program may have set another
  bool input_ended_ = false;  // the pump's
};

}  // namespace occlum
