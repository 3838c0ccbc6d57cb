// The part of sending that runs under the process table's lock, for exit, wait, stop and timers. Ranks: the pending
// sets (kSignal), wait queues and the scheduler come after it.
#pragma once

#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/process/signals/pending.h"
#include "libos/process/signals/signal.h"

namespace occlum {

class Process;
class Thread;
struct ProcessTree;

// `target` null: to the process. `node`: the sender's own, which must not be queued; made when null.
Result<void> send_locked(ProcessTree& tree, Process& process, Thread* target,
                         const SignalInfo& info, RefPtr<QueuedSignal> node = nullptr);

// `leaving` no longer takes these pending signals of its process (it blocks them, or ends): wakes threads that do.
void pass_on_signals(ProcessTree& tree, Thread& leaving, SignalSet signals);

// Something that the thread has to look at is pending.
void wake_for_signal(Thread& thread);

// Ends all threads of the process with this wait status: exit_group(2), fatal signals. The first caller's status holds.
void begin_group_exit(ProcessTree& tree, Process& process, int wait_status);

// SIGCONT.
void continue_process(ProcessTree& tree, Process& process);

// The thread stops, or ends: one less to wait for until the whole process counts as stopped.
void note_stopped(ProcessTree& tree, Thread& thread);

// SIGCHLD's siginfo about `process`.
SignalInfo child_info(ProcessTree& tree, Process& process, int signal, int code, int status);
void notify_parent_of_job_control(ProcessTree& tree, Process& process, int code, int status);

}  // namespace occlum
