// New threads and processes (clone(2); kernel/fork.c's copy_process gives the rules and their order).
//
// Everything that can fail is made first; then, under the process table's lock, the child is linked; then it starts.
#include "libos/process/clone.h"

#include <algorithm>

#include "libos/lib/log.h"
#include "libos/process/pid_file.h"
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/process/ptrace/ptrace.h"
#include "libos/process/rewrite/rewrite.h"
#include "libos/process/thread_limit.h"

namespace occlum {
namespace {

bool has_flag(const CloneRequest& request, uint64_t flag) { return (request.flags & flag) != 0; }

template <typename T>
Result<RefPtr<T>> share_or_copy(RefPtr<T> object, bool share) {
  if (share) return object;
  return object->clone();
}

Result<Thread::Resources> make_resources(Thread& self, const CloneRequest& request) {
  Thread::Resources resources;
  if ((request.flags & (kCloneVm | kCloneVfork)) == kCloneVm) self.memory().note_threads();
  resources.memory =
      has_flag(request, kCloneVm) ? self.share_memory() : TRY(fork_memory(self.memory()));
  // Of another process they are others, though equal.
  resources.credentials = has_flag(request, kCloneThread)
                              ? self.share_credentials()
                              : TRY(make_ref<SharedCredentials>(TRY(self.user().clone())));
  resources.files = TRY(share_or_copy(self.share_files(), has_flag(request, kCloneFiles)));
  resources.fs = TRY(share_or_copy(self.share_fs(), has_flag(request, kCloneFs)));
  resources.io_context = self.share_io_context();
  if (resources.io_context && !has_flag(request, kCloneIo)) {
    const uint16_t priority = self.io_priority();
    resources.io_context = priority == 0 ? nullptr : TRY(make_ref<IoContext>(priority));
  }
  if (has_flag(request, kCloneSysVSem)) resources.semaphore_undo = TRY(self.make_semaphore_undo());
  return resources;
}

Result<RefPtr<Process>> make_process(Thread& self, Pid pid, const CloneRequest& request) {
  Process& parent = self.process();
  RefPtr<SignalActions> actions =
      TRY(share_or_copy(parent.share_actions(), has_flag(request, kCloneSigHand)));
  if (has_flag(request, kCloneClearSigHand)) actions->reset_for_exec();
  RefPtr<Process> child = TRY(make_ref<Process>(pid, std::move(actions), Process::Kind::kProgram));
  child->set_limits(parent.limits());
  child->set_program(TRY(parent.program()));
  child->set_dumpable(parent.dumpable());
  child->core_dump_filter = parent.core_dump_filter.load();
  child->oom_adjustment = parent.oom_adjustment.load();
  return child;
}

Scheduling inherited_scheduling(const Thread& parent) {
  Scheduling scheduling = parent.scheduling();
  if (!scheduling.resets_on_fork) return scheduling;
  return Scheduling{.nice = scheduling.is_realtime() ? int8_t{0}
                                                     : std::max<int8_t>(scheduling.nice, 0)};
}

// The machine state, and what a thread inherits from the one that made it.
void copy_thread_state(Thread& self, Thread& child, const CloneRequest& request) {
  UserRegisters& registers = child.context().user_registers();
  registers = self.context().user_registers();
  registers.rax = 0;
  registers.original_rax = UINT64_MAX;
  if (request.stack_pointer != 0) registers.rsp = request.stack_pointer;
  if (has_flag(request, kCloneSetTls)) registers.fs_base = request.tls;
  child.context().copy_xstate_from(self.context());

  child.set_signal_mask(self.signal_mask());
  if ((request.flags & (kCloneVm | kCloneVfork)) != kCloneVm)
    child.signal_stack = self.signal_stack;
  if (has_flag(request, kCloneChildSetTid)) child.set_child_tid = request.child_tid;
  if (has_flag(request, kCloneChildClearTid)) child.clear_child_tid = request.child_tid;
  child.set_name(self.name().view());
  child.no_new_privileges = self.no_new_privileges;
  child.timer_slack = self.timer_slack;
  child.set_scheduling(inherited_scheduling(self));
  child.tells_waking = child.scheduling().is_realtime();
  child.personality = self.personality;
  child.set_affinity(self.affinity());
  child.makes_it_fail = self.makes_it_fail.load();
}

void link_process(ProcessTree& tree, Thread& self, Process& child, const CloneRequest& request) {
  Process& caller = self.process();
  Process::Links& links = child.links(tree);
  const Process::Links& callers = caller.links(tree);
  const bool is_sibling = has_flag(request, kCloneParent);
  links.parent = is_sibling ? callers.parent : ref_to(caller);
  links.exit_signal = is_sibling ? callers.exit_signal : request.exit_signal;
  links.creator = is_sibling ? callers.creator : self.tid();
  links.group = callers.group;
  links.session = callers.session;
  links.parent->links(tree).children.push_back(child);
}

void link_thread(ProcessTree& tree, Thread& child) {
  Process::Links& links = child.process().links(tree);
  links.threads.push_back(child);
  ++links.live_threads;
  if (!links.is_stopped) return;
  ++links.stopping_threads;
  child.must_count_stop = true;
  child.set_work(Thread::kStop);
}

// Makes the child visible to others. kIntr: the caller is being killed. kAgain: its number was taken meanwhile.
Result<void> link(Thread& self, RefPtr<Thread> child, const CloneRequest& request) {
  const Pid tid = child->tid();
  RefPtr<Process> process = ref_to(child->process());
  const bool is_thread = has_flag(request, kCloneThread);
  TRY(ptrace::prepare_child(self, *child, request));
  auto thread_entry = TRY(decltype(ProcessTree::threads)::prepare(tid, child));
  OwnPtr<decltype(ProcessTree::processes)::Node> process_entry;
  if (!is_thread) process_entry = TRY(decltype(ProcessTree::processes)::prepare(tid, process));
  return process_tree().with([&](ProcessTree& tree) -> Result<void> {
    if (self.must_die()) return Errno::kIntr;
    if (tree.threads.contains(tid) || tree.processes.contains(tid))
      return request.tid ? Errno::kExist : Errno::kAgain;
    tree.threads.insert(std::move(thread_entry));
    if (!is_thread) {
      tree.processes.insert(std::move(process_entry));
      link_process(tree, self, *process, request);
    }
    link_thread(tree, *child);
    ptrace::inherit(self, *child, request, tree);
    return {};
  });
}

void wait_for_vfork(Thread& self, Process& child) {
  const Thread::OnlyFatalInterrupts only_fatal(self);
  (void)wait_until(child.vfork_queue(), kNever, Interruptible::kYes,
                   [&] { return child.vfork_done.load(); });
}

// alloc_pid of kernel/pid.c.
Result<Pid> choose_tid(Thread& self, const CloneRequest& request) {
  if (!request.tid) {
    return process_tree().with([](ProcessTree& tree) { return tree.allocate_pid(); });
  }
  const Pid wanted = *request.tid;
  if (wanted < 1 || wanted >= pid_limit()) return Errno::kInval;
  if (!self.user().has(kCapCheckpointRestore) && !self.user().has(kCapSysAdmin))
    return Errno::kPerm;
  return process_tree().with([&](ProcessTree& tree) { return tree.take_pid(wanted); });
}

}  // namespace

Result<void> check_namespace_flags(uint64_t flags) {
  if ((flags & (kCloneNamespaces | kCloneNewTime)) == 0) return {};
  if ((flags & kCloneNewUser) != 0) return Errno::kInval;
  return current_thread().user().has(kCapSysAdmin) ? Errno::kInval : Errno::kPerm;
}

Result<void> check_clone_flags(uint64_t flags) {
  const auto all = [&](uint64_t bits) { return (flags & bits) == bits; };
  if (all(kCloneNewNs | kCloneFs) || all(kCloneNewUser | kCloneFs)) return Errno::kInval;
  if ((flags & kCloneThread) != 0 && (flags & kCloneSigHand) == 0) return Errno::kInval;
  if ((flags & kCloneSigHand) != 0 && (flags & kCloneVm) == 0) return Errno::kInval;
  if ((flags & kCloneThread) != 0 && (flags & (kCloneNewUser | kCloneNewPid)) != 0)
    return Errno::kInval;
  if (all(kCloneClearSigHand | kCloneSigHand)) return Errno::kInval;
  if ((flags & kClonePidFd) != 0 && (flags & (kCloneDetached | kCloneThread)) != 0)
    return Errno::kInval;
  if ((flags & kCloneIntoCgroup) != 0) return Errno::kPerm;
  return check_namespace_flags(flags);
}

Result<Pid> clone_thread(Thread& self, const CloneRequest& request) {
  TRY(check_clone_flags(request.flags));
  TRY(check_process_limit(self));
  TRY(check_thread_limit());

  const bool is_thread = has_flag(request, kCloneThread);
  const Pid tid = TRY(choose_tid(self, request));
  RefPtr<Process> process =
      is_thread ? ref_to(self.process()) : TRY(make_process(self, tid, request));
  RefPtr<Thread> child = TRY(Thread::create(process, tid, TRY(make_resources(self, request))));
  copy_thread_state(self, *child, request);
  process->vfork_done = !has_flag(request, kCloneVfork) || is_thread;

  if (has_flag(request, kClonePidFd)) {
    FdReservation descriptor = TRY(self.files().reserve(1, CloseOnExec::kYes));
    RefPtr<File> file = TRY(PidFile::create(process, 0));
    const int number = descriptor[0];
    TRY(copy_to_user(self.memory(), UserAddress(request.pidfd), bytes_of(number)));
    TRY(link(self, child, request));
    descriptor.commit(std::move(file));
  } else {
    TRY(link(self, child, request));
  }
  if (has_flag(request, kCloneParentSetTid)) {
    (void)copy_to_user(self.memory(), UserAddress(request.parent_tid), bytes_of(tid));
  }
  start_task(std::move(child));
  if (ptrace::is_traced(self)) ptrace::report_clone(self, request, tid);
  if (has_flag(request, kCloneVfork) && !is_thread) {
    wait_for_vfork(self, *process);
    ptrace::report_vfork_done(self, tid);
  }
  return tid;
}

}  // namespace occlum
