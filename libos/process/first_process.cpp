#include "libos/process/first_process.h"

#include "libos/process/process_table.h"

namespace occlum {

Result<void> make_reaper() {
  RefPtr<SignalActions> actions = TRY(make_ref<SignalActions>());
  RefPtr<Process> reaper =
      TRY(make_ref<Process>(kReaperPid, std::move(actions), Process::Kind::kReaper));
  RefPtr<Session> session = TRY(make_ref<Session>(kReaperPid));
  RefPtr<SharedCredentials> credentials = TRY(make_ref<SharedCredentials>(UserCredentials{}));
  return process_tree().with([&](ProcessTree& tree) -> Result<void> {
    Process::Links& links = reaper->links(tree);
    links.group = kReaperPid;
    links.session = std::move(session);
    links.last_credentials = std::move(credentials);
    links.last_name.text = {'i', 'n', 'i', 't'};
    TRY(tree.processes.insert(kReaperPid, reaper));
    return {};
  });
}

Result<RefPtr<Thread>> make_first_process(Thread::Resources resources, const ResourceLimits& limits,
                                          const InheritedSignals& signals) {
  const Pid pid = TRY(process_tree().with([](ProcessTree& tree) { return tree.allocate_pid(); }));
  RefPtr<SignalActions> actions = TRY(make_ref<SignalActions>());
  actions->ignore(signals.ignored & kInheritable);
  RefPtr<Process> process =
      TRY(make_ref<Process>(pid, std::move(actions), Process::Kind::kProgram));
  process->set_limits(limits);
  RefPtr<Thread> thread = TRY(Thread::create(process, pid, std::move(resources)));
  thread->set_signal_mask(signals.blocked & kInheritable);
  RefPtr<Session> session = TRY(make_ref<Session>(pid));
  TRY(process_tree().with([&](ProcessTree& tree) -> Result<void> {
    TRY(tree.processes.insert(pid, process));
    TRY(tree.threads.insert(pid, thread));
    Process::Links& links = process->links(tree);
    links.parent = *tree.processes.find(kReaperPid);
    links.parent->links(tree).children.push_back(*process);
    links.group = pid;
    links.session = std::move(session);
    links.threads.push_back(*thread);
    links.live_threads = 1;
    return {};
  }));
  return thread;
}

}  // namespace occlum
