// Signals that the runtime got for the program: what a person or a service manager sends to the host's command goes to
// the first program, as `docker run` passes them on. A change of the terminal's size concerns the terminal.
#include "libos/arch/arch.h"
#include "libos/fs/dev/standard_streams.h"
#include "libos/process/process_table.h"
#include "libos/process/signals/send.h"

namespace occlum {
namespace {
constexpr Pid kFirstProgram = kReaperPid + 1;
}  // namespace

void on_host_signal(int signal) {
  if (signal == kSigWinch) {
    on_host_window_change();
    return;
  }
  if (!is_valid_signal(signal)) return;
  if (const RefPtr<Process> first = find_process(kFirstProgram)) {
    (void)send_signal(*first, SignalInfo::from_user(signal, 0, 0));
  }
}

}  // namespace occlum
