// clone, exec and exit as a tracer sees them: event stops, children that are traced from their start, and the ends of
// tracees (kernel/fork.c, ptrace_init_task; kernel/exit.c, exit_notify and release_task).
#include "libos/process/clone.h"
#include "libos/process/exit.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/attach.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/ptrace/stop.h"
#include "libos/process/signals/send.h"
#include "libos/process/signals/send_locked.h"

namespace occlum::ptrace {
namespace {

// Under the lock, or for the thread itself: only a stop can change what is true of it.
bool reports(const Thread& thread, Event event) {
  return is_traced(thread) && (thread.tracing.options & option_of(event)) != 0;
}

std::optional<Event> event_of(const Thread& self, const CloneRequest& request) {
  if ((request.flags & kCloneUntraced) != 0) return std::nullopt;
  const Event event = (request.flags & kCloneVfork) != 0 ? kEventVfork
                      : request.exit_signal != kSigChld  ? kEventClone
                                                         : kEventFork;
  if (!reports(self, event)) return std::nullopt;
  return event;
}

bool starts_traced(const Thread& self, const CloneRequest& request) {
  return is_traced(self) && ((request.flags & kClonePtrace) != 0 || event_of(self, request));
}

}  // namespace

Result<void> prepare_child(Thread& self, Thread& child, const CloneRequest& request) {
  if (!starts_traced(self, request)) return {};
  child.tracing.record = TRY(make_own<TraceeRecord>());
  note_memory(child, child.share_memory());
  return {};
}

void inherit(Thread& self, Thread& child, const CloneRequest& request, ProcessTree& tree) {
  if (!child.tracing.record) return;
  Thread* tracer = self.tracing.tracer;
  if (tracer == nullptr || !starts_traced(self, request)) return;
  link(tree, *tracer, child, self.tracing.seized, self.tracing.options);
  // DR6 and DR7 read as before, but nothing is watched.
  const DebugState& debug = self.tracing.record->debug;
  child.tracing.record->debug.status = debug.status;
  child.tracing.record->debug.control = debug.control;
  if (child.tracing.seized) {
    child.tracing.wants_trap = true;
    child.set_work(Thread::kTrap);
  } else {
    child.own_pending().with([](PendingSignals& pending) { pending.add_bare(kSigStop); });
    child.set_work(Thread::kSignal);
  }
}

void report_clone(Thread& self, const CloneRequest& request, Pid child) {
  const std::optional<Event> event = event_of(self, request);
  if (!event) return;
  if (const int signal = stop_for(self, kSigTrap | (*event << 8), static_cast<uint64_t>(child));
      signal != 0) {
    (void)send_signal_to_thread(self, SignalInfo::from_kernel(signal));
  }
}

void report_vfork_done(Thread& self, Pid child) {
  if (!reports(self, kEventVforkDone)) return;
  (void)stop_for(self, kSigTrap | (kEventVforkDone << 8), static_cast<uint64_t>(child));
}

void report_exec(Thread& self, Pid former_tid) {
  if (!is_traced(self)) return;
  process_tree().with([&](ProcessTree&) { self.tracing.record->debug = {}; });
  if (reports(self, kEventExec)) {
    (void)stop_for(self, kSigTrap | (kEventExec << 8), static_cast<uint64_t>(former_tid));
  } else if (!self.tracing.seized) {
    (void)send_signal_to_thread(self, SignalInfo::from_user(kSigTrap, self.pid(), self.user().uid));
  }
}

void forget_leader(ProcessTree& tree, Process& process) {
  Process::Links& links = process.links(tree);
  if (!links.awaits_tracer) return;
  for (auto& [pid, tracer] : tree.processes) {
    TraceeRecord* found = nullptr;
    for (TraceeRecord& death : tracer->links(tree).tracee_deaths) {
      if (death.process == &process && death.is_leader) found = &death;
    }
    if (found == nullptr) continue;
    tracer->links(tree).tracee_deaths.remove(*found);
    links.awaits_tracer = false;
    // The process is the caller's: its reference is not the last.
    const OwnPtr<TraceeRecord> gone = OwnPtr<TraceeRecord>::adopt(*found);
    return;
  }
}

void leave(Thread& self, int code) {
  if (reports(self, kEventExit)) {
    const int status = process_tree().with([&](ProcessTree& tree) {
      const Process::Links& links = self.process().links(tree);
      return links.is_exiting ? links.group_status : exited_status(code);
    });
    (void)stop_for(self, kSigTrap | (kEventExit << 8), static_cast<uint64_t>(status),
                   StopKind::kExit);
  }
  release_tracees(self);
}

void note_exit(ProcessTree& tree, Thread& self, int code) {
  Tracing& tracing = self.tracing;
  if (tracing.tracer == nullptr) return;
  Process& process = self.process();
  Process::Links& links = process.links(tree);
  Process& tracer = tracing.tracer->process();
  OwnPtr<TraceeRecord> death = std::move(tracing.record);
  death->tracer = tracing.tracer->tid();
  unlink(tree, self);
  // Who is the parent as well waits for the process in the ordinary way.
  if (self.is_leader() && links.parent == &tracer) return;
  death->process = ref_to(process);
  death->tid = self.tid();
  death->uid = self.user().uid;
  death->is_leader = self.is_leader();
  death->status = links.is_exiting ? links.group_status : exited_status(code);
  const int status = death->status;
  if (death->is_leader) {
    links.awaits_tracer = true;
  } else {
    ++links.unreported_deaths;
  }
  const bool is_leader = death->is_leader;
  tracer.links(tree).tracee_deaths.push_back(*death.leak());
  if (is_leader) return;
  const ChildEnd end = child_end(status);
  notify_tracer(tree, tracer, process, self.tid(), end.code, end.status);
}

bool holds_back(ProcessTree& tree, Process& process) {
  const Process::Links& links = process.links(tree);
  if (!links.awaits_tracer || links.unreported_deaths != 0)
    return links.awaits_tracer || links.unreported_deaths != 0;
  for (auto& [pid, tracer] : tree.processes) {
    for (const TraceeRecord& death : tracer->links(tree).tracee_deaths) {
      if (death.process != &process || !death.is_leader) continue;
      const ChildEnd end = child_end(links.exit_status);
      notify_tracer(tree, *tracer, process, death.tid, end.code, end.status);
      return true;
    }
  }
  return true;
}

}  // namespace occlum::ptrace
