// Attaching and detaching (ptrace(2)).
#include "libos/process/ptrace/attach.h"

#include "libos/process/credentials.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/constants.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/rewrite/rewrite.h"
#include "libos/process/signals/send_locked.h"

namespace occlum::ptrace {

void link(ProcessTree& tree, Thread& tracer, Thread& tracee, bool seized, uint32_t options) {
  Tracing& tracing = tracee.tracing;
  tracing.tracer = &tracer;
  tracing.seized = seized;
  tracing.options = options;
  tracing.wants_trap = tracing.was_continued = tracing.reports_calls = tracing.skips_calls = false;
  tracee.set_work(Thread::kTraced);
  tracer.process().links(tree).tracees.push_back(tracee);
}

void unlink(ProcessTree& tree, Thread& tracee) {
  Tracing& tracing = tracee.tracing;
  tracing.tracer->process().links(tree).tracees.remove(tracee);
  tracing.tracer = nullptr;
  tracing.options = 0;
  tracing.wants_trap = tracing.was_continued = tracing.reports_calls = tracing.skips_calls = false;
  tracee.clear_work(Thread::kTraced | Thread::kTrap);
}

namespace {

// On its own again: as its process is, stopped or running.
void let_go(ProcessTree& tree, Thread& tracee) {
  unlink(tree, tracee);
  Tracing& tracing = tracee.tracing;
  if (tracee.process().links(tree).is_stopped && !tracee.must_count_stop) {
    tracee.set_work(Thread::kStop);
    tracee.interrupt();
  }
  if (!tracing.is_stopped.load(std::memory_order_relaxed)) return;
  tracing.record->debug = {};
  if (tracing.is_stopped.exchange(false)) tracee.unpark();
}

// The thread that made the process, else any of the parent's.
Thread* tracer_for(ProcessTree& tree, Process& process) {
  const Process::Links& links = process.links(tree);
  if (!links.parent || links.parent->is_kernel()) return nullptr;
  const Process::Links& parents = links.parent->links(tree);
  for (Thread& thread : parents.threads) {
    if (thread.tid() == links.creator) return &thread;
  }
  return parents.threads.first();
}

}  // namespace

Result<void> trace_me(Thread& self) {
  OwnPtr<TraceeRecord> death = TRY(make_own<TraceeRecord>());
  TRY(process_tree().with([&](ProcessTree& tree) -> Result<void> {
    Thread* tracer = tracer_for(tree, self.process());
    if (self.tracing.tracer != nullptr || tracer == nullptr) return Errno::kPerm;
    if (!self.tracing.record) std::swap(self.tracing.record, death);
    link(tree, *tracer, self, false, 0);
    return {};
  }));
  note_memory(self, self.share_memory());
  return {};
}

Result<void> attach(Thread& self, Thread& target, Attach how, uint32_t options) {
  if (&target.process() == &self.process()) return Errno::kPerm;
  TRY(check_may_trace(self, target.process(), TracerIds::kReal));
  OwnPtr<TraceeRecord> death = TRY(make_own<TraceeRecord>());
  TRY(process_tree().with([&](ProcessTree& tree) -> Result<void> {
    Tracing& tracing = target.tracing;
    if (target.has_ended() || tracing.tracer != nullptr) return Errno::kPerm;
    if (!tracing.record) std::swap(tracing.record, death);
    link(tree, self, target, how == Attach::kSeize, options);
    Process& process = target.process();
    if (process.links(tree).is_stopped && !target.must_count_stop) {
      tracing.wants_trap = true;
      target.set_work(Thread::kTrap);
      process.stop_queue().wake_all();
    }
    if (how == Attach::kStop)
      (void)send_locked(tree, process, &target, SignalInfo::from_kernel(kSigStop));
    return {};
  }));
  // It may be executing another program just now: then it has seen, or is seen here.
  for (RefPtr<AddressSpace> memory; memory != target.share_memory();) {
    memory = target.share_memory();
    note_memory(target, memory);
  }
  return {};
}

void note_memory(Thread& self, RefPtr<AddressSpace> memory) {
  if (memory) watch_text(*memory);
  process_tree().with([&](ProcessTree&) { std::swap(self.tracing.watched, memory); });
  if (memory) unwatch_text(*memory);
}

void detach(Thread& tracee, int signal) {
  process_tree().with([&](ProcessTree& tree) {
    if (tracee.tracing.tracer == nullptr) return;
    tracee.tracing.code = signal;
    let_go(tree, tracee);
  });
  note_memory(tracee, nullptr);
}

void release_tracees(Thread& tracer) {
  while (true) {
    const RefPtr<Thread> tracee = process_tree().with([&](ProcessTree& tree) -> RefPtr<Thread> {
      for (Thread& thread : tracer.process().links(tree).tracees) {
        if (thread.tracing.tracer != &tracer) continue;
        const bool kills = (thread.tracing.options & kOptionExitKill) != 0;
        RefPtr<Thread> found = ref_to(thread);
        let_go(tree, thread);
        if (kills)
          (void)send_locked(tree, thread.process(), nullptr, SignalInfo::from_kernel(kSigKill));
        return found;
      }
      return nullptr;
    });
    if (!tracee) return;
    note_memory(*tracee, nullptr);
  }
}

void note_continued(ProcessTree& tree, Process& process) {
  for (Thread& thread : process.links(tree).threads) {
    Tracing& tracing = thread.tracing;
    if (!is_traced(thread) || !tracing.seized) continue;
    tracing.was_continued = true;
    thread.set_work(Thread::kTrap);
    if (!tracing.is_stopped.load(std::memory_order_relaxed)) {
      thread.interrupt();
    } else if (tracing.is_listening && tracing.is_stopped.exchange(false)) {
      tracing.code = 0;
      thread.unpark();
    }
  }
}

Pid tracer_of(const Thread& thread) {
  return process_tree().with([&](ProcessTree&) {
    return thread.tracing.tracer != nullptr ? thread.tracing.tracer->tid() : 0;
  });
}

bool is_stopped(const Thread& thread) {
  return thread.tracing.is_stopped.load(std::memory_order_relaxed);
}

}  // namespace occlum::ptrace
