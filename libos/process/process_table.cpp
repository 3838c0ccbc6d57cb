// The process table: see process_table.h.
#include "libos/process/process_table.h"

#include "libos/process/statistics.h"

namespace occlum {
namespace {

constinit SpinLocked<ProcessTree> the_tree{LockRank::kProcessTable};
constinit std::atomic<uint64_t> created = 0;
constinit std::atomic<Pid> the_pid_limit = kPidLimit;
constexpr Pid kReservedPids = 300;  // kernel/pid.c: these are given only once, at the start

}  // namespace

constinit ObjectCounts object_counts;

void report_process_counters(CounterReport report) {
  report("objects.processes", object_counts.processes.load(std::memory_order_relaxed));
  report("objects.threads", object_counts.threads.load(std::memory_order_relaxed));
}

SpinLocked<ProcessTree>& process_tree() { return the_tree; }

// Numbers go up and start over at kReservedPids; a group or session keeps its number while it has members.
bool ProcessTree::is_used(Pid pid) const {
  if (processes.contains(pid) || threads.contains(pid)) return true;
  for (auto& [number, process] : processes) {
    const Process::Links& links = process->links(*this);
    if (links.group == pid || (links.session && links.session->id() == pid)) return true;
  }
  return false;
}

Result<Pid> ProcessTree::allocate_pid() {
  const Pid limit = pid_limit();
  for (Pid tries = 0; tries < limit; ++tries) {
    last_pid = last_pid + 1 < limit ? last_pid + 1 : kReservedPids;
    if (is_used(last_pid)) continue;
    created.fetch_add(1, std::memory_order_relaxed);
    return last_pid;
  }
  return Errno::kAgain;
}

Result<Pid> ProcessTree::take_pid(Pid wanted) {
  if (is_used(wanted)) return Errno::kExist;
  created.fetch_add(1, std::memory_order_relaxed);
  return wanted;
}

Pid pid_limit() { return the_pid_limit.load(std::memory_order_relaxed); }

Result<void> set_pid_limit(int64_t limit) {
  if (limit <= kReservedPids || limit > kPidLimit) return Errno::kInval;
  the_pid_limit.store(static_cast<Pid>(limit), std::memory_order_relaxed);
  return {};
}

bool is_pid_used(Pid pid) {
  return the_tree.with([&](ProcessTree& tree) { return tree.is_used(pid); });
}

RefPtr<Process> find_process(Pid pid) {
  return the_tree.with([&](ProcessTree& tree) -> RefPtr<Process> {
    RefPtr<Process>* found = tree.processes.find(pid);
    return found != nullptr ? *found : nullptr;
  });
}

RefPtr<Thread> find_thread(Pid tid) {
  return the_tree.with([&](ProcessTree& tree) -> RefPtr<Thread> {
    RefPtr<Thread>* found = tree.threads.find(tid);
    return found != nullptr ? *found : nullptr;
  });
}

// The snapshot is allocated without the lock; more processes may have come until it is filled: try again.
Result<void> for_each_process(FunctionRef<void(Process&)> visit) {
  Vec<RefPtr<Process>> all;
  for (bool complete = false; !complete;) {
    TRY(all.reserve(process_count() + 16));
    complete = the_tree.with([&](ProcessTree& tree) {
      if (tree.processes.size() > all.capacity()) return false;
      for (auto& [pid, process] : tree.processes) all.push_reserved(process);
      return true;
    });
  }
  for (RefPtr<Process>& process : all) visit(*process);
  return {};
}

size_t process_count() {
  return the_tree.with([](ProcessTree& tree) { return tree.processes.size(); });
}
size_t thread_count() {
  return the_tree.with([](ProcessTree& tree) { return tree.threads.size(); });
}
Pid last_pid() {
  return the_tree.with([](ProcessTree& tree) { return tree.last_pid; });
}
uint64_t processes_created() { return created.load(std::memory_order_relaxed); }

ResourceUsage told_thread_usage(ProcessTree&, Thread& thread) {
  ResourceUsage usage = thread_usage(thread);
  thread.told_times.apply(usage);
  return usage;
}

ResourceUsage told_usage(Thread& thread) {
  return the_tree.with([&](ProcessTree& tree) { return told_thread_usage(tree, thread); });
}

CpuTimes total_cpu_times() {
  return the_tree.with([](ProcessTree& tree) {
    CpuTimes sum = tree.ended;
    for (auto& [tid, thread] : tree.threads) {
      sum.system += thread->system_time();
      sum.whole += thread->cpu_time();
    }
    return sum;
  });
}

size_t runnable_threads() {
  return the_tree.with([](ProcessTree& tree) {
    size_t count = 0;
    for (auto& [tid, thread] : tree.threads) count += thread->is_runnable() ? 1 : 0;
    return count;
  });
}

Pid session_of_group(Pid group) {
  return the_tree.with([&](ProcessTree& tree) -> Pid {
    for (auto& [pid, process] : tree.processes) {
      const Process::Links& links = process->links(tree);
      if (links.group == group && links.session) return links.session->id();
    }
    return 0;
  });
}

RefPtr<Session> find_session(Pid id) {
  if (id == 0) return nullptr;
  return the_tree.with([&](ProcessTree& tree) -> RefPtr<Session> {
    for (auto& [pid, process] : tree.processes) {
      const RefPtr<Session>& session = process->links(tree).session;
      if (session && session->id() == id) return session;
    }
    return nullptr;
  });
}

bool ProcessTree::is_orphaned(Pid group, const Process* leaving) const {
  for (auto& [pid, process] : processes) {
    const Process::Links& links = process->links(*this);
    if (links.group != group || process.get() == leaving || links.is_zombie) continue;
    if (!links.parent || links.parent->is_kernel()) continue;
    const Process::Links& parent = links.parent->links(*this);
    if (parent.group != group && parent.session == links.session) return false;
  }
  return true;
}

bool is_orphaned_group(Pid group) {
  return the_tree.with([&](ProcessTree& tree) { return tree.is_orphaned(group, nullptr); });
}

}  // namespace occlum
