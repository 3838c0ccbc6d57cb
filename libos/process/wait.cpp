// wait(2): looking for a child that has something to report, and sleeping until one has.
#include "libos/process/exit.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/signals/send_locked.h"

namespace occlum {
namespace {

// What one look at the children found.
struct Look {
  bool has_children = false;
  bool found = false;
  WaitResult result;
  RefPtr<Process> reaped;  // dropped without the lock
  ptrace::TraceeLook tracee;
};

bool is_meant(const ProcessTree& tree, const Process& child, const WaitRequest& request) {
  const Process::Links& links = child.links(tree);
  if (request.thread != 0 && links.creator != request.thread) return false;
  const bool is_clone = links.exit_signal != kSigChld;
  if (request.clones != WaitRequest::Clones::kAll &&
      is_clone != (request.clones == WaitRequest::Clones::kOnlyClones)) {
    return false;
  }
  switch (request.who) {
    case WaitRequest::Who::kAny:
      return true;
    case WaitRequest::Who::kPid:
      return child.pid() == request.id;
    case WaitRequest::Who::kGroup:
      return links.group == request.id;
  }
  return false;
}

ResourceUsage usage_of(Process::Links& links) {
  ResourceUsage usage = links.usage();
  usage.add(links.waited_children);
  return usage;
}

void report(ProcessTree& tree, Process& child, int status, int code, int signal_status,
            Look& look) {
  look.found = true;
  look.result = WaitResult{.pid = child.pid(),
                           .status = status,
                           .info = child_info(tree, child, kSigChld, code, signal_status),
                           .usage = usage_of(child.links(tree))};
}

void report_exit(ProcessTree& tree, Process& parent, Process& child, const WaitRequest& request,
                 Look& look) {
  Process::Links& links = child.links(tree);
  const int status = links.exit_status;
  const ChildEnd end = child_end(status);
  report(tree, child, status, end.code, end.status, look);
  if (request.keep) return;
  parent.links(tree).waited_children.add(look.result.usage);
  parent.links(tree).children.remove(child);
  links.is_reaped = true;
  links.parent = nullptr;
  if (std::optional<RefPtr<Process>> entry = tree.processes.take(child.pid()))
    look.reaped = std::move(*entry);
}

// True when this child has something to report.
bool look_at(ProcessTree& tree, Process& parent, Process& child, const WaitRequest& request,
             Look& look) {
  Process::Links& links = child.links(tree);
  if (links.is_zombie) {
    if (!request.exited || links.awaits_tracer || links.unreported_deaths != 0) return false;
    report_exit(tree, parent, child, request, look);
  } else if (request.stopped && links.report_stop && !ptrace::is_tracee_of(tree, parent, child)) {
    report(tree, child, (links.stop_signal << 8) | 0x7f, kCldStopped, links.stop_signal, look);
    if (!request.keep) links.report_stop = false;
  } else if (request.continued && links.report_continue) {
    report(tree, child, 0xffff, kCldContinued, kSigCont, look);
    if (!request.keep) links.report_continue = false;
  } else {
    return false;
  }
  return true;
}

Look look_for_child(Process& parent, const WaitRequest& request) {
  Look look;
  process_tree().with([&](ProcessTree& tree) {
    for (Process& child : parent.links(tree).children) {
      if (!is_meant(tree, child, request)) continue;
      // Of a zombie nothing but its end can be waited for.
      const Process::Links& links = child.links(tree);
      if (links.is_zombie && !request.exited && !links.awaits_tracer) continue;
      look.has_children = true;
      if (look_at(tree, parent, child, request, look)) return;
    }
    look.tracee = ptrace::look_for_tracee(tree, parent, request);
    look.has_children = look.has_children || look.tracee.has_tracees;
    if (!look.tracee.found) return;
    look.found = true;
    look.result = *look.tracee.found;
  });
  return look;
}

}  // namespace

Result<WaitResult> wait_for_child(Thread& self, const WaitRequest& request) {
  Process& parent = self.process();
  Look look;
  const auto is_over = [&] {
    look = look_for_child(parent, request);
    return look.found || !look.has_children || request.no_hang;
  };
  TRY(wait_until(parent.child_queue(), kNever, Interruptible::kYes, is_over));
  if (!look.found && !look.has_children) return Errno::kChild;
  return look.result;
}

}  // namespace occlum
