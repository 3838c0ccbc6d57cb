// The end of threads and processes. In order: what the thread owes to its program (robust futexes, CLEARTID), what it
// holds (files, memory), then its place in the process table; a process whose last thread is gone becomes a zombie,
// gives its children to the reaper and tells its parent.
#include "libos/process/exit.h"

#include <algorithm>

#include "libos/arch/arch.h"
#include "libos/fs/vfs/mount.h"
#include "libos/ipc/futex.h"
#include "libos/ipc/sysv_memory.h"
#include "libos/lib/log.h"
#include "libos/process/core_dump/core_dump.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/signals/io_signal.h"
#include "libos/process/signals/send.h"
#include "libos/process/signals/send_locked.h"

namespace occlum {
namespace {

constinit std::atomic<Pid> main_process = 0;

Process* reaper_for(ProcessTree& tree, Process& process) {
  for (Process* ancestor = process.links(tree).parent.get(); ancestor != nullptr;
       ancestor = ancestor->links(tree).parent.get()) {
    const Process::Links& links = ancestor->links(tree);
    if (links.is_subreaper && !links.is_exiting && !links.is_zombie) return ancestor;
  }
  return tree.processes.find(kReaperPid)->get();
}

// The parent's reference in the table goes: the process vanishes when the last pointer to it does.
void reap(ProcessTree& tree, Process& process, RefPtr<Process>& last) {
  Process::Links& links = process.links(tree);
  links.is_reaped = true;
  if (links.parent) links.parent->links(tree).children.remove(process);
  links.parent = nullptr;
  if (std::optional<RefPtr<Process>> entry = tree.processes.take(process.pid()))
    last = std::move(*entry);
}

bool is_reaped_at_once(Process& parent, int exit_signal) {
  if (parent.is_kernel()) return true;
  if (exit_signal != kSigChld) return false;
  const SignalAction action = parent.actions().get(kSigChld);
  return action.handler == kSigIgn || (action.flags & kSaNoCldWait) != 0;
}

SignalInfo exit_info(ProcessTree& tree, Process& process, int signal) {
  const ChildEnd end = child_end(process.links(tree).exit_status);
  return child_info(tree, process, signal, end.code, end.status);
}

// Tells the parent; true when nobody will wait for the process.
bool notify_parent(ProcessTree& tree, Process& process) {
  Process::Links& links = process.links(tree);
  Process& parent = *links.parent;
  const bool vanishes = is_reaped_at_once(parent, links.exit_signal);
  const bool wants_signal =
      links.exit_signal != 0 && !parent.is_kernel() &&
      !(links.exit_signal == kSigChld && parent.actions().get(kSigChld).handler == kSigIgn);
  if (wants_signal)
    (void)send_locked(tree, parent, nullptr, exit_info(tree, process, links.exit_signal));
  parent.child_queue().wake_all();
  return vanishes;
}

// Whether `parent` keeps the group from being orphaned (setpgid(2)): of another group of the same session.
bool keeps_group(ProcessTree& tree, const Process& parent, const Process& member) {
  const Process::Links& above = parent.links(tree);
  const Process::Links& links = member.links(tree);
  return above.group != links.group && above.session == links.session;
}

// credentials(7): a group that becomes orphaned while a member is stopped gets SIGHUP and SIGCONT.
void wake_orphaned_group(ProcessTree& tree, Pid group, const Process* leaving) {
  if (!tree.is_orphaned(group, leaving)) return;
  bool has_stopped = false;
  for (auto& [pid, member] : tree.processes) {
    if (member->links(tree).group == group && member->links(tree).is_stopped) has_stopped = true;
  }
  if (!has_stopped) return;
  for (auto& [pid, member] : tree.processes) {
    if (member->links(tree).group != group) continue;
    (void)send_locked(tree, *member, nullptr, SignalInfo::from_kernel(kSigHup));
    (void)send_locked(tree, *member, nullptr, SignalInfo::from_kernel(kSigCont));
  }
}

void send_death_signals(ProcessTree& tree, Process& child, Process& parent) {
  for (Thread& thread : child.links(tree).threads) {
    if (thread.parent_death_signal == 0) continue;
    (void)send_locked(tree, child, nullptr,
                      SignalInfo::from_user(thread.parent_death_signal, parent.pid(), 0));
  }
}

// The first thread of a process is the one that has strange children; 0: the reaper has none.
Pid first_thread(ProcessTree& tree, Process& process) {
  const Thread* first = process.links(tree).threads.first();
  return first != nullptr ? first->tid() : 0;
}

// A thread ends and its process lives on: its children are another thread's. To them a parent has died (prctl(2)).
void pass_on_children(ProcessTree& tree, Thread& leaving) {
  Process& process = leaving.process();
  for (Process& child : process.links(tree).children) {
    Process::Links& links = child.links(tree);
    if (links.creator != leaving.tid()) continue;
    links.creator = first_thread(tree, process);
    send_death_signals(tree, child, process);
  }
}

// `gone` collects references that must be dropped without the lock.
void hand_over_children(ProcessTree& tree, Process& process, RefPtr<Process>& gone) {
  Process* reaper = reaper_for(tree, process);
  auto& children = process.links(tree).children;
  while (Process* child = children.pop_front()) {
    send_death_signals(tree, *child, process);
    Process::Links& links = child->links(tree);
    const bool was_kept = keeps_group(tree, process, *child);
    links.parent = ref_to(*reaper);
    links.creator = first_thread(tree, *reaper);
    reaper->links(tree).children.push_back(*child);
    if (was_kept) wake_orphaned_group(tree, links.group, nullptr);
    if (!links.is_zombie) continue;
    links.exit_signal = kSigChld;
    if (!ptrace::holds_back(tree, *child)) announce_end(tree, *child, gone);
  }
}

// Nobody will take them, and they count against the user's limit.
void discard_signals(SpinLocked<PendingSignals>& signals) {
  signals.with([](PendingSignals& pending) { pending.discard(SignalSet::all()); });
}

// The last thread is gone.
void become_zombie(ProcessTree& tree, Process& process, int exit_code, RefPtr<Process>& gone) {
  Process::Links& links = process.links(tree);
  links.exit_status = links.is_exiting ? links.group_status : exited_status(exit_code);
  links.is_exiting = true;
  links.is_zombie = true;
  links.is_stopped = false;
  discard_signals(process.shared_pending());
  hand_over_children(tree, process, gone);
  if (keeps_group(tree, *links.parent, process)) wake_orphaned_group(tree, links.group, &process);
  if (!ptrace::holds_back(tree, process)) announce_end(tree, process, gone);
}

// Takes the thread out of the process table. True: it was the last one.
bool leave_table(Thread& self, int exit_code, uint64_t resident, RefPtr<Process>& gone,
                 RefPtr<Thread>& entry) {
  Process& process = self.process();
  return process_tree().with([&](ProcessTree& tree) {
    Process::Links& links = process.links(tree);
    note_stopped(tree, self);
    pass_on_signals(tree, self, process.shared_pending().with([](PendingSignals& pending) {
      return pending.set();
    }));
    const ResourceUsage usage = thread_usage(self);
    links.ended_threads.add(usage);
    tree.ended.whole += usage.user_time + usage.system_time;
    tree.ended.system += usage.system_time;
    links.ended_threads.max_resident = std::max(links.ended_threads.max_resident, resident);
    links.ended_io.add(self);
    links.last_credentials = self.share_credentials();
    if (self.is_leader() || links.live_threads == 1) links.last_name = self.name();
    links.threads.remove(self);
    --links.live_threads;
    self.set_ended();
    discard_signals(self.own_pending());
    if (std::optional<RefPtr<Thread>> taken = tree.threads.take(self.tid()))
      entry = std::move(*taken);
    ptrace::note_exit(tree, self, exit_code);
    const bool was_last = links.live_threads == 0;
    if (was_last) {
      become_zombie(tree, process, exit_code, gone);
    } else {
      pass_on_children(tree, self);
    }
    return was_last;
  });
}

// wait status as the shell shows it: a code, or 128 + signal.
int shell_status(int wait_status) {
  return (wait_status & 0x7f) != 0 ? 128 + (wait_status & 0x7f) : (wait_status >> 8) & 0xff;
}

// What programs wrote is the host's before the enclave goes (sync(2)).
void write_everything_out() {
  Result<Vec<RefPtr<Mount>>> mounts = mount_table().all();
  if (mounts.is_error()) return;
  for (const RefPtr<Mount>& mount : mounts.value()) (void)mount->file_system().sync();
}

[[noreturn]] void end_enclave(Process& process) {
  write_everything_out();
  const int status =
      process_tree().with([&](ProcessTree& tree) { return process.links(tree).exit_status; });
  shut_down(shell_status(status));
}

// What only the last thread does, after the process is a zombie for others.
void end_process(Process& process) {
  process.stop_timers();
  process.set_program({});
  process.release_vfork_parent();
  ptrace::end_tracer(process);
  const RefPtr<Session> session = process.session();
  if (session && session->id() == process.pid()) session->leader_has_ended();
  process.set_ended();
  process.exit_queue().wake_all();
  if (process.pid() == main_process.load(std::memory_order_relaxed)) end_enclave(process);
}

void leave(Thread& self, int exit_code) {
  Process& process = self.process();
  leave_futexes(self, Leaving::kThread);
  const uint64_t resident = self.memory().peak_committed_bytes();
  self.replace_files(nullptr);
  self.replace_fs(nullptr);
  self.replace_memory(nullptr);
  self.drop_semaphore_undo();
  sysv_memory::sweep();
  if (has_posted_io()) send_posted_io();

  const RefPtr<Process> keep = ref_to(process);
  RefPtr<Process> gone;
  RefPtr<Thread> entry;
  const bool was_last = leave_table(self, exit_code, resident, gone, entry);
  process.exit_queue().wake_all();
  if (was_last) end_process(process);
  // One by one, outside of the lock: see hand_over_children.
  while (gone) {
    gone = process_tree().with(
        [&](ProcessTree& tree) { return std::exchange(gone->links(tree).parent, nullptr); });
  }
}

}  // namespace

void set_main_process(Pid pid) { main_process.store(pid, std::memory_order_relaxed); }

void announce_end(ProcessTree& tree, Process& process, RefPtr<Process>& gone) {
  if (!notify_parent(tree, process)) return;
  RefPtr<Process> last;
  reap(tree, process, last);
  // Chained through its own parent pointer, so that any number is dropped later.
  last->links(tree).parent = std::move(gone);
  gone = std::move(last);
}

void exit_thread(Thread& self, int exit_code) {
  wait_for_core_dump(self);
  ptrace::leave(self, exit_code);
  leave(self, exit_code);
  exit_task();
}

void exit_process(Thread& self, int wait_status) {
  process_tree().with(
      [&](ProcessTree& tree) { begin_group_exit(tree, self.process(), wait_status); });
}

}  // namespace occlum
