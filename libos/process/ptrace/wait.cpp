// wait(2) by tracers: their tracees' stops, whatever the options say, and their ends (kernel/exit.c).
#include "libos/process/exit.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/ptrace/stop.h"
#include "libos/process/signals/send_locked.h"

namespace occlum::ptrace {
namespace {

// Clones or not is no question for tracees.
bool is_meant(ProcessTree& tree, Process& process, Pid tid, const WaitRequest& request) {
  switch (request.who) {
    case WaitRequest::Who::kAny:
      return true;
    case WaitRequest::Who::kPid:
      return tid == request.id;
    case WaitRequest::Who::kGroup:
      return process.links(tree).group == request.id;
  }
  return false;
}

void look_at_stop(ProcessTree& tree, Thread& tracee, const WaitRequest& request, TraceeLook& look) {
  Tracing& tracing = tracee.tracing;
  if (!tracing.is_stopped.load(std::memory_order_relaxed) || tracing.code == 0) return;
  WaitResult result{.pid = tracee.tid(),
                    .status = (tracing.code << 8) | 0x7f,
                    .info = child_info(tree, tracee.process(), kSigChld, kCldTrapped, tracing.code),
                    .usage = {}};
  result.info.child.pid = tracee.tid();
  result.usage = told_thread_usage(tree, tracee);
  look.found = result;
  if (!request.keep) tracing.code = 0;
}

bool is_reportable(ProcessTree& tree, const TraceeRecord& death) {
  if (!death.is_leader) return true;
  const Process::Links& links = death.process->links(tree);
  return links.is_zombie && links.unreported_deaths == 0;
}

// Nobody else waits for it any more: the process may be reported to its parent.
void consume(ProcessTree& tree, Process& tracer, TraceeRecord& death, TraceeLook& look) {
  tracer.links(tree).tracee_deaths.remove(death);
  look.death = OwnPtr<TraceeRecord>::adopt(death);
  Process& process = *death.process;
  Process::Links& links = process.links(tree);
  if (death.is_leader) {
    links.awaits_tracer = false;
  } else {
    --links.unreported_deaths;
  }
  if (links.is_zombie && !holds_back(tree, process)) announce_end(tree, process, look.gone);
}

void look_at_death(ProcessTree& tree, Process& tracer, TraceeRecord& death,
                   const WaitRequest& request, TraceeLook& look) {
  Process& process = *death.process;
  const int status = death.is_leader ? process.links(tree).exit_status : death.status;
  const ChildEnd end = child_end(status);
  WaitResult result{.pid = death.tid,
                    .status = status,
                    .info = child_info(tree, process, kSigChld, end.code, end.status),
                    .usage = {}};
  result.info.child.pid = death.tid;
  result.info.child.uid = death.uid;
  look.found = result;
  if (!request.keep) consume(tree, tracer, death, look);
}

}  // namespace

bool is_tracee_of(ProcessTree& tree, Process& parent, Process& child) {
  for (const Thread& thread : parent.links(tree).tracees) {
    if (&thread.process() == &child && thread.is_leader()) return true;
  }
  return false;
}

TraceeLook look_for_tracee(ProcessTree& tree, Process& tracer, const WaitRequest& request) {
  TraceeLook look;
  Process::Links& links = tracer.links(tree);
  for (Thread& tracee : links.tracees) {
    if (request.thread != 0 && tracee.tracing.tracer->tid() != request.thread) continue;
    if (!is_meant(tree, tracee.process(), tracee.tid(), request)) continue;
    look.has_tracees = true;
    look_at_stop(tree, tracee, request, look);
    if (look.found) return look;
  }
  for (TraceeRecord& death : links.tracee_deaths) {
    if (request.thread != 0 && death.tracer != request.thread) continue;
    if (!is_meant(tree, *death.process, death.tid, request)) continue;
    look.has_tracees = true;
    if (!request.exited || !is_reportable(tree, death)) continue;
    look_at_death(tree, tracer, death, request, look);
    return look;
  }
  return look;
}

void end_tracer(Process& process) {
  while (true) {
    TraceeLook look;
    const bool more = process_tree().with([&](ProcessTree& tree) {
      TraceeRecord* death = process.links(tree).tracee_deaths.first();
      if (death == nullptr) return false;
      consume(tree, process, *death, look);
      return true;
    });
    if (!more) return;
  }
}

}  // namespace occlum::ptrace
