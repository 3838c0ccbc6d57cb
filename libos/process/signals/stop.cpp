#include "libos/process/signals/stop.h"

#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/signals/send_locked.h"

namespace occlum {

void begin_stop(Thread& self, int signal, uint32_t continues) {
  Process& process = self.process();
  process_tree().with([&](ProcessTree& tree) {
    Process::Links& links = process.links(tree);
    if (links.is_stopped || links.is_exiting || process.continues.load() != continues) return;
    if (signal != kSigStop && tree.is_orphaned(links.group, nullptr)) return;
    links.is_stopped = true;
    links.stop_signal = signal;
    links.stopping_threads = links.live_threads;
    for (Thread& thread : links.threads) {
      thread.must_count_stop = true;
      thread.set_work(Thread::kStop);
      thread.interrupt();
    }
  });
}

void wait_while_stopped(Thread& self) {
  if (ptrace::stop_with_group(self)) return;
  Process& process = self.process();
  const Thread::OnlyFatalInterrupts only_fatal(self);
  // Woken by SIGCONT, or interrupted by SIGKILL: the caller looks which. The process may have been continued and stopped
  // again before this thread ran: then it counts for the new stop.
  (void)wait_until(process.stop_queue(), kNever, Interruptible::kYes, [&] {
    process_tree().with([&](ProcessTree& tree) { note_stopped(tree, self); });
    return (self.work() & (Thread::kStop | Thread::kTrap)) != Thread::kStop;
  });
}

void note_stopped(ProcessTree& tree, Thread& thread) {
  Process::Links& links = thread.process().links(tree);
  if (!thread.must_count_stop) return;
  thread.must_count_stop = false;
  if (--links.stopping_threads != 0) return;
  links.report_stop = true;
  links.report_continue = false;
  notify_parent_of_job_control(tree, thread.process(), kCldStopped, links.stop_signal);
}

}  // namespace occlum
