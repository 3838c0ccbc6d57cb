// Tracing: what ptrace(2) keeps with each thread. The rest of the LibOS uses ptrace.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "libos/lib/list.h"
#include "libos/lib/ptr.h"
#include "libos/process/pid.h"
#include "libos/process/ptrace/watch.h"
#include "libos/process/signals/signal.h"

namespace occlum {

class AddressSpace;
class Process;
class Thread;

// What only a thread that is traced has: its debug registers, and, when it ended so, its end until its tracer has waited
// for it.
struct TraceeRecord {
  ListNode node;
  RefPtr<Process> process;
  Pid tid = 0;
  Pid tracer = 0;  // the thread
  uint32_t uid = 0;
  int status = 0;          // wait status, unless it is the leader's: then the process has it
  bool is_leader = false;  // it can be waited for when the whole process has ended
  DebugState debug;
};

// Guarded by the process table's lock, except where it says something else. What describes a stop belongs to the tracer
// while `is_stopped`, else to the thread.
struct Tracing {
  Thread* tracer = nullptr;      // null: not traced
  bool seized = false;           // PTRACE_SEIZE
  uint32_t options = 0;          // PTRACE_O_*
  OwnPtr<TraceeRecord> record;   // made when it is attached, so that an end is never without
  RefPtr<AddressSpace> watched;  // whose text is kept as the program has it (process/rewrite)

  // --- the stop ---
  std::atomic<bool> is_stopped{false};
  bool is_listening = false;  // PTRACE_LISTEN: stopped, but not for the tracer's requests
  // What wait(2) reports: a signal, and an event << 8. 0 when it was reported; then the signal to go on with.
  int code = 0;
  std::optional<SignalInfo> info;
  uint64_t message = 0;  // PTRACE_GETEVENTMSG

  // --- what the tracer wants ---
  bool wants_trap =
      false;  // PTRACE_INTERRUPT, a new child that is seized, or attached while stopped
  bool was_continued = false;  // SIGCONT came: a seized thread stops once more
  bool reports_calls = false;  // PTRACE_SYSCALL
  bool skips_calls = false;    // PTRACE_SYSEMU

  // --- a single step; the thread's own (step.cpp) ---
  // What the tracer is told of: nothing where steps are made for the debug registers only.
  enum class Report : uint8_t { kNone, kStep, kBranch };
  struct Step {
    bool is_armed = false;
    Report report = Report::kNone;
    uint64_t start = 0;
    uint64_t trap_at = 0;  // where its int3 is (step_traps.h), 0: none
    bool passes = false;   // RF was set
  };
  Step step;
};

}  // namespace occlum
