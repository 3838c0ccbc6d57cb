// The process table: every process and thread by number, and the one lock over how they are related.
//
//     process_tree().with([&](ProcessTree& tree) { ... process.links(tree).children ... });
//
// Number 1 is the reaper, a process without threads or memory that the LibOS itself plays: orphans become its
// children and vanish when they end, as under a container's init. So the first program is number 2 with parent 1: it
// has none of the special protection from signals that pid 1 has on Linux, and no program mistakes being its child for
// being orphaned. When the first program ends, the enclave ends, and with it whoever is left, as in a container.
#pragma once

#include "libos/lib/function_ref.h"
#include "libos/lib/tree.h"
#include "libos/process/process.h"

namespace occlum {

// ns
struct CpuTimes {
  uint64_t whole = 0, system = 0;
};

struct ProcessTree {
  Tree<Pid, RefPtr<Process>> processes;  // until they are reaped
  Tree<Pid, RefPtr<Thread>> threads;     // until they have ended
  Pid last_pid = kReaperPid;
  CpuTimes ended;  // of threads that are gone

  bool is_used(Pid pid) const;  // as pid, tid, group or session
  // A number that nobody uses. kAgain when there is none.
  Result<Pid> allocate_pid();
  // Just this one. kExist: somebody uses it.
  Result<Pid> take_pid(Pid wanted);

  // setpgid(2): no member (but `leaving`) has a parent in another group of the same session.
  bool is_orphaned(Pid group, const Process* leaving) const;
};

SpinLocked<ProcessTree>& process_tree();

// thread_usage(), as it is told (ToldTimes).
ResourceUsage told_thread_usage(ProcessTree& tree, Thread& thread);
ResourceUsage told_usage(Thread& thread);

bool is_pid_used(Pid pid);              // as pid, tid, group or session
RefPtr<Process> find_process(Pid pid);  // zombies too
RefPtr<Thread> find_thread(Pid tid);    // any thread that has not ended

// Calls back for a snapshot of the processes, in order of their numbers, without locks. Errors: kNoMem.
Result<void> for_each_process(FunctionRef<void(Process&)> visit);
size_t process_count();
size_t thread_count();
// /proc/sys/kernel/pid_max: new numbers are below it. What has a higher one keeps it.
Pid pid_limit();
Result<void> set_pid_limit(int64_t limit);  // kInval: from 301 to kPidLimit
// For /proc/loadavg and /proc/sys/kernel: the number that was given last, and how many were ever made.
Pid last_pid();
uint64_t processes_created();
// Of all threads that there are and were; and how many run or wait for a vCPU now.
CpuTimes total_cpu_times();
size_t runnable_threads();

// getpgid(2) and friends look these up for a terminal: the session that a group is in, 0 when there is no such group;
// and whether no member has a parent in another group of the same session (its stops are then pointless: EIO).
Pid session_of_group(Pid group);
RefPtr<Session> find_session(Pid id);  // null when it has no member
bool is_orphaned_group(Pid group);

}  // namespace occlum
