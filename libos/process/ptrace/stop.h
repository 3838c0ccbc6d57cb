// The stop itself, for ptrace/'s own files.
#pragma once

#include <cstdint>
#include <optional>

#include "libos/process/pid.h"
#include "libos/process/ptrace/constants.h"
#include "libos/process/signals/signal.h"

namespace occlum {

class Process;
class Thread;
struct ProcessTree;

namespace ptrace {

enum class StopKind {
  kTrap,
  kGroup,  // a job control stop: the thread counts as stopped for its process
  kExit,   // it is ending already: only its tracer makes it go on
};

struct StopResult {
  bool has_stopped = false;
  int signal = 0;                  // the one to go on with
  std::optional<SignalInfo> info;  // as the tracer left it
};

// Stops the calling thread, with `code` as wait(2) shows it (a signal | event << 8), until the tracer resumes it or it
// is killed.
StopResult stop(Thread& self, int code, std::optional<SignalInfo> info, uint64_t message,
                StopKind kind);
// SIGTRAP | code << 8, as ptrace_notify() of Linux: events and syscall-stops. The signal to go on with.
int stop_for(Thread& self, int code, uint64_t message, StopKind kind = StopKind::kTrap);

// A system call has been made: a step ends with it, also one that was asked for within it.
void end_step_with_call(Thread& self);

// SIGCHLD, and a wake-up, for who traces the thread. `status` is si_status.
void notify_tracer(ProcessTree& tree, Process& tracer, Process& process, Pid tid, int code,
                   int status);

}  // namespace ptrace
}  // namespace occlum
