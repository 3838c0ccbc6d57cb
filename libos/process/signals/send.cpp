// Sending signals: who gets one, what sending has as side effects, and who is woken (kernel/signal.c).
//
// Everything happens under the process table's lock, which keeps the set of threads; pending sets have their own. A
// signal is recorded first; then the target's work bit is set; then it is woken: so a thread that clears the bit and
// looks at its sets afterwards (Thread::update_signal_work) misses none.
#include "libos/process/signals/send.h"

#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/signals/send_locked.h"

namespace occlum {
namespace {

bool has_blocked(const Thread& thread, int signal) { return thread.signal_mask().contains(signal); }

// sigtimedwait() unblocks what it waits for, so that a sender wakes it; the signal still counts as blocked.
bool waits_for(const Thread& thread, int signal) {
  return SignalSet(thread.waited_signals.load(std::memory_order_acquire)).contains(signal);
}

void discard_everywhere(ProcessTree& tree, Process& process, SignalSet signals) {
  process.shared_pending().with([&](PendingSignals& pending) { pending.discard(signals); });
  for (Thread& thread : process.links(tree).threads) {
    thread.own_pending().with([&](PendingSignals& pending) { pending.discard(signals); });
  }
}

// A stop signal takes back SIGCONT and the other way round; SIGCONT starts a stopped process again even when it is
// blocked or ignored.
void apply_job_control(ProcessTree& tree, Process& process, int signal) {
  if (kStopSignals.contains(signal)) {
    discard_everywhere(tree, process, SignalSet::of(kSigCont));
  } else if (signal == kSigCont) {
    discard_everywhere(tree, process, kStopSignals);
    continue_process(tree, process);
  }
}

// The process is ending already, but its core file may take long: that is what it ends by now.
void stop_core_dump(ProcessTree& tree, Process& process) {
  Process::Links& links = process.links(tree);
  Thread* const dumper = links.dumper;
  if (dumper == nullptr) return;
  links.group_status = kSigKill;
  dumper->set_work(Thread::kDie);
  dumper->interrupt();
}

bool is_dropped(ProcessTree& tree, Process& process, const Thread* target, int signal) {
  if (process.is_kernel()) return true;
  const Process::Links& links = process.links(tree);
  if (links.is_zombie || links.is_exiting) return true;
  const Thread* judge = target != nullptr ? target : links.threads.first();
  if (judge == nullptr) return true;
  if (has_blocked(*judge, signal) || waits_for(*judge, signal)) return false;
  if (ptrace::is_traced(*judge) && signal != kSigKill) return false;  // a tracer hears of all
  return ignores(process.actions().get(signal), signal);
}

// A thread that takes the signal at once: the leader by preference, else one without other work.
Thread* choose_thread(ProcessTree& tree, Process& process, int signal) {
  Thread* chosen = nullptr;
  for (Thread& thread : process.links(tree).threads) {
    if (thread.has_ended() || (has_blocked(thread, signal) && signal != kSigKill)) continue;
    if (thread.is_leader()) return &thread;
    if (chosen == nullptr ||
        ((chosen->work() & Thread::kSignal) != 0 && (thread.work() & Thread::kSignal) == 0)) {
      chosen = &thread;
    }
  }
  return chosen;
}

// Null when there is no memory, or when the user has as many queued as the limit allows. What kill(2) and the LibOS send
// among the standard signals is queued whatever the limit is.
RefPtr<QueuedSignal> make_node(ProcessTree& tree, Process& process, const SignalInfo& info) {
  const Thread* thread = process.links(tree).threads.first();
  const RefPtr<SharedCredentials> credentials =
      thread != nullptr ? thread->share_credentials() : nullptr;
  const bool is_limited = is_realtime_signal(info.signal) || info.code < 0;
  Result<RefPtr<QueuedSignal>> node =
      QueuedSignal::create(info, credentials ? credentials->value.uid : 0,
                           is_limited ? process.limit(Resource::kSigPending).soft : UINT64_MAX);
  return node.is_error() ? nullptr : node.release_value();
}

bool kills_at_once(Process& process, const Thread& target, int signal) {
  if (signal == kSigKill) return true;
  if (waits_for(target, signal) || ptrace::is_traced(target)) return false;
  const SignalAction action = process.actions().get(signal);
  return action.handler == kSigDfl && default_action(signal) == DefaultAction::kTerminate;
}

}  // namespace

void wake_for_signal(Thread& thread) {
  thread.set_work(Thread::kSignal);
  thread.interrupt();
}

void pass_on_signals(ProcessTree& tree, Thread& leaving, SignalSet signals) {
  // Most threads leave nothing: then the others, who may be thousands, are not looked at.
  if (signals.is_empty()) return;
  for (Thread& thread : leaving.process().links(tree).threads) {
    if (&thread == &leaving) continue;
    const SignalSet taken = signals & ~thread.signal_mask();
    if (taken.is_empty()) continue;
    wake_for_signal(thread);
    signals = signals & ~taken;
  }
}

void begin_group_exit(ProcessTree& tree, Process& process, int wait_status) {
  Process::Links& links = process.links(tree);
  if (links.is_exiting) return;
  links.is_exiting = true;
  links.group_status = wait_status;
  for (Thread& thread : links.threads) {
    thread.set_work(Thread::kDie);
    thread.interrupt();
  }
}

void continue_process(ProcessTree& tree, Process& process) {
  Process::Links& links = process.links(tree);
  process.continues.fetch_add(1, std::memory_order_relaxed);
  ptrace::note_continued(tree, process);
  if (!links.is_stopped) return;
  const bool was_complete = links.stopping_threads == 0;
  links.is_stopped = false;
  links.stopping_threads = 0;
  links.report_stop = false;
  for (Thread& thread : links.threads) {
    thread.clear_work(Thread::kStop);
    thread.must_count_stop = false;
  }
  process.stop_queue().wake_all();
  if (!was_complete) return;
  links.report_continue = true;
  notify_parent_of_job_control(tree, process, kCldContinued, kSigCont);
}

void notify_parent_of_job_control(ProcessTree& tree, Process& process, int code, int status) {
  const RefPtr<Process>& parent = process.links(tree).parent;
  if (!parent || parent->is_kernel()) return;
  const SignalAction action = parent->actions().get(kSigChld);
  if ((action.flags & kSaNoCldStop) == 0 && action.handler != kSigIgn) {
    (void)send_locked(tree, *parent, nullptr, child_info(tree, process, kSigChld, code, status));
  }
  parent->child_queue().wake_all();
}

SignalInfo child_info(ProcessTree& tree, Process& process, int signal, int code, int status) {
  Process::Links& links = process.links(tree);
  const ResourceUsage usage = links.usage();
  const RefPtr<SharedCredentials> credentials = links.threads.is_empty()
                                                    ? links.last_credentials
                                                    : links.threads.first()->share_credentials();
  SignalInfo info;
  info.signal = signal;
  info.code = code;
  info.child = {.pid = process.pid(),
                .uid = credentials ? credentials->value.uid : 0,
                .status = status,
                .padding = 0,
                .user_time = static_cast<int64_t>(usage.user_time / kNanosecondsPerTick),
                .system_time = static_cast<int64_t>(usage.system_time / kNanosecondsPerTick)};
  return info;
}

Result<void> send_locked(ProcessTree& tree, Process& process, Thread* target,
                         const SignalInfo& info, RefPtr<QueuedSignal> node) {
  const int signal = info.signal;
  if (!process.is_kernel()) apply_job_control(tree, process, signal);
  if (signal == kSigKill) stop_core_dump(tree, process);
  if (is_dropped(tree, process, target, signal)) return {};

  const bool may_fail = is_realtime_signal(signal) && info.code != kSiUser;
  SpinLocked<PendingSignals>& pending =
      target != nullptr ? target->own_pending() : process.shared_pending();
  const bool is_pending_already = !is_realtime_signal(signal) && pending.with([&](auto& signals) {
    return signals.set().contains(signal);
  });
  if (is_pending_already) return {};
  if (!node) node = make_node(tree, process, info);
  if (!node && may_fail) return Errno::kAgain;
  pending.with([&](PendingSignals& signals) {
    if (node) {
      (void)signals.add(std::move(node));
    } else {
      signals.add_bare(signal);
    }
  });
  process.signal_queue().wake_all();

  Thread* taker = target;
  if (taker == nullptr) taker = choose_thread(tree, process, signal);
  if (taker == nullptr || (has_blocked(*taker, signal) && signal != kSigKill)) return {};
  // A stopped process dies of nothing but SIGKILL before it goes on.
  const bool may_die = signal == kSigKill || !process.links(tree).is_stopped;
  if (may_die && kills_at_once(process, *taker, signal)) {
    begin_group_exit(tree, process, signal);
  } else {
    wake_for_signal(*taker);
  }
  return {};
}

Result<void> send_signal(Process& process, const SignalInfo& info) {
  return process_tree().with(
      [&](ProcessTree& tree) { return send_locked(tree, process, nullptr, info); });
}

Result<void> send_signal_to_thread(Thread& thread, const SignalInfo& info) {
  return process_tree().with(
      [&](ProcessTree& tree) { return send_locked(tree, thread.process(), &thread, info); });
}

Result<void> send_signal_to_group(Pid group, const SignalInfo& info) {
  return process_tree().with([&](ProcessTree& tree) -> Result<void> {
    bool found = false;
    for (auto& [pid, process] : tree.processes) {
      if (process->is_kernel() || process->links(tree).group != group) continue;
      found = true;
      (void)send_locked(tree, *process, nullptr, info);
    }
    if (!found) return Errno::kSrch;
    return {};
  });
}

void send_signal_to_self(int signal) {
  Thread& self = current_thread();
  (void)send_signal_to_thread(self, SignalInfo::from_user(signal, self.pid(), self.user().uid));
}

// A handler that is ignored or blocked cannot be asked: the default action takes place.
void force_signal(Thread& self, const SignalInfo& info) {
  SignalActions& actions = self.process().actions();
  const SignalAction action = actions.get(info.signal);
  const bool blocked = has_blocked(self, info.signal);
  if (blocked || action.handler == kSigIgn) {
    actions.set(info.signal, SignalAction{});
    SignalSet mask = self.signal_mask();
    mask.remove(info.signal);
    self.set_signal_mask(mask);
  }
  (void)send_signal_to_thread(self, info);
}

Result<void> check_kill_permission(Thread& sender, Process& target, int signal) {
  const UserCredentials& from = sender.user();
  if (from.has(kCapKill) || &sender.process() == &target) return {};
  const RefPtr<SharedCredentials> credentials = target.credentials();
  if (!credentials) return Errno::kPerm;
  const UserCredentials& to = credentials->value;
  for (const uint32_t uid : {from.euid, from.uid}) {
    if (uid == to.uid || uid == to.suid) return {};
  }
  if (signal == kSigCont && sender.process().session_id() == target.session_id()) return {};
  return Errno::kPerm;
}

}  // namespace occlum
