// Sending signals (kill(2), tgkill(2), killpg(3)). Safe in timer callbacks and with locks before kProcessTable's held.
#pragma once

#include "libos/lib/result.h"
#include "libos/process/pid.h"
#include "libos/process/signals/signal.h"

namespace occlum {

class Process;
class QueuedSignal;
class Thread;

// To the process: whichever thread does not block it takes it. No permission check. kAgain: a real-time signal, and no
// memory or above RLIMIT_SIGPENDING. Sending to a process that has ended does nothing.
Result<void> send_signal(Process& process, const SignalInfo& info);
Result<void> send_signal_to_thread(Thread& thread, const SignalInfo& info);
// To every member of the process group: Ctrl-C of a terminal. kSrch when there is none.
Result<void> send_signal_to_group(Pid group, const SignalInfo& info);

// A fault of the current thread: cannot be blocked or ignored (it then kills).
void force_signal(Thread& self, const SignalInfo& info);
// SIGPIPE and SIGXFSZ of a write by the current thread.
void send_signal_to_self(int signal);

// kill(2)'s rule: root, or the sender's real or effective uid is the target's real or saved one; SIGCONT within the
// session. Errors: kPerm.
Result<void> check_kill_permission(Thread& sender, Process& target, int signal);

}  // namespace occlum
