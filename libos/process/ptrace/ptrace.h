// ptrace(2), as the rest of the LibOS meets it: the places where a traced thread may stop, and who hears of it.
//
// A thread that is traced has the work bit kTraced: that is all an untraced one ever looks at. A *stop* (stop.cpp) parks
// the thread, with its registers on its kernel stack and its vector state in memory, and tells the tracer, whose
// requests (requests.cpp) work on both. The words are ptrace(2)'s: signal-delivery-stop, group-stop, event stop,
// syscall-stop.
#pragma once

#include <cstdint>
#include <optional>

#include "libos/arch/registers.h"
#include "libos/lib/result.h"
#include "libos/process/exit.h"
#include "libos/process/pid.h"
#include "libos/process/process.h"
#include "libos/process/signals/signal.h"
#include "libos/process/thread.h"

namespace occlum {

struct ProcessTree;
struct CloneRequest;

namespace ptrace {

inline bool is_traced(const Thread& thread) { return (thread.work() & Thread::kTraced) != 0; }

// --- stops of the calling thread; all return at once when nobody traces it or it is being killed ---

// Signal-delivery-stop. What is left to deliver: the tracer may change it, or take it away.
std::optional<SignalInfo> intercept_signal(Thread& self, const SignalInfo& info);
// The first thing on the way back to the program: a step that is over becomes a SIGTRAP.
void settle_step(Thread& self, UserRegisters& registers);
// kTrap is set: an event stop that the tracer asked for, or a group-stop.
void take_trap(Thread& self);
// kStop is set: group-stop. False: not traced.
bool stop_with_group(Thread& self);
// The last thing before the program goes on: prepares a step that the tracer wants. It may be done with it at once.
void begin_step(Thread& self, UserRegisters& registers);
// A handler's frame was made: a step ends here.
void report_handler(Thread& self);
// An int3 at registers.rip that no program or debugger wrote: true when it was a step's.
bool take_step_trap(Thread& self, const UserRegisters& registers);

// Syscall-stops. False: the call is skipped, with the result that is in RAX.
bool report_syscall_entry(Thread& self, UserRegisters& registers);
void report_syscall_exit(Thread& self, UserRegisters& registers, uint64_t number);

// --- clone, exec, exit ---

// Before the child is linked. Errors: kNoMem.
Result<void> prepare_child(Thread& self, Thread& child, const CloneRequest& request);
// While it is linked: it is traced from its start if its parent's tracer wants that.
void inherit(Thread& self, Thread& child, const CloneRequest& request, ProcessTree& tree);
void report_clone(Thread& self, const CloneRequest& request, Pid child);
void report_vfork_done(Thread& self, Pid child);
// The new program is in place; `former_tid` is what the thread was called before.
void report_exec(Thread& self, Pid former_tid);
// The thread, which may be traced, gets other memory, or none.
void note_memory(Thread& self, RefPtr<AddressSpace> memory);
// The thread became its process's leader: the old one's end is nobody's business.
void forget_leader(ProcessTree& tree, Process& process);
// The thread ends; `code` is exit(2)'s. It stops for PTRACE_EVENT_EXIT and lets its tracees go.
void leave(Thread& self, int code);
// It leaves the process table: from now on its end is what its tracer waits for.
void note_exit(ProcessTree& tree, Thread& self, int code);
// The last thread of the process has left. True: a tracer is to hear of it before its parent does.
bool holds_back(ProcessTree& tree, Process& process);
// The process has ended: nobody waits for what it traced any more.
void end_tracer(Process& process);

// --- signals and job control ---

// SIGCONT came: seized threads report it.
void note_continued(ProcessTree& tree, Process& process);

// --- waiting ---

// True when a thread of `parent` traces the child's leader: its stops are found among the tracees.
bool is_tracee_of(ProcessTree& tree, Process& parent, Process& child);
struct TraceeLook {
  bool has_tracees = false;
  std::optional<WaitResult> found;
  OwnPtr<TraceeRecord> death;  // dropped without the lock
  RefPtr<Process> gone;        // likewise
};
TraceeLook look_for_tracee(ProcessTree& tree, Process& tracer, const WaitRequest& request);

// --- for /proc ---

Pid tracer_of(const Thread& thread);  // 0: not traced
bool is_stopped(const Thread& thread);

}  // namespace ptrace
}  // namespace occlum
