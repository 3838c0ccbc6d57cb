// Process: a running program: a group of threads with one number, one parent, one set of signal handlers and limits.
//
// Who is whose child, thread, group and session lies under the one lock of the process table (process_table.h), as
// under Linux's tasklist_lock; `links(tree)` needs that lock's data as proof. A process lives until its parent has
// waited for it.
#pragma once

#include <atomic>
#include <optional>

#include "libos/lib/function_ref.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/lib/string.h"
#include "libos/process/core_dump/filter.h"
#include "libos/process/pid.h"
#include "libos/process/rlimit.h"
#include "libos/process/session.h"
#include "libos/process/signals/actions.h"
#include "libos/process/signals/pending.h"
#include "libos/process/thread.h"
#include "libos/process/timers.h"
#include "libos/process/usage.h"
#include "libos/sched/wait_queue.h"

namespace occlum {

struct ProcessTree;

// What /proc/<pid>/io tells.
struct IoTotals {
  uint64_t bytes_read = 0, bytes_written = 0, reads = 0, writes = 0;
  void add(const Thread& thread);
};
// How the process stands, as /proc/<pid>/stat says it.
enum class ProcessState : char {
  kRunning = 'R',
  kSleeping = 'S',
  kStopped = 'T',
  kTraced = 't',
  kZombie = 'Z',
};

class Process : public RefCounted<Process> {
  ListNode sibling_node_;  // among its parent's children

 public:
  enum class Kind { kProgram, kReaper };
  Process(Pid pid, RefPtr<SignalActions> actions, Kind kind);  // use make_ref
  ~Process();

  Pid pid() const { return pid_; }
  Pid parent_pid() const;  // 0: none
  Pid group_id() const;
  Pid session_id() const;
  RefPtr<Session> session() const;
  ProcessState state() const;
  bool is_kernel() const { return is_kernel_; }  // the reaper
  // The leader when it is alive, else any thread that is; null for a zombie.
  RefPtr<Thread> any_thread() const;
  uint32_t thread_count() const;
  bool is_reaped() const;
  int exit_signal() const;                      // that its parent gets
  int exit_status() const;                      // wait status; 0 while it lives
  Result<Vec<RefPtr<Thread>>> threads() const;  // a snapshot, for /proc/<pid>/task

  // --- what its threads share; null when it has ended (taken from any_thread()) ---
  RefPtr<AddressSpace> memory() const;
  RefPtr<FileTable> files() const;
  RefPtr<FsContext> fs() const;
  RefPtr<SharedCredentials> credentials() const;  // of the last thread when it has ended
  Thread::Name name() const;                      // of the leader; kept when it has ended

  // --- the program (exec) ---
  struct Program {
    String path;        // absolute, as resolved: /proc/<pid>/exe
    RefPtr<File> file;  // null for the reaper and zombies
  };
  Result<Program> program() const;
  void set_program(Program program);
  // argv as it lies in the program's memory, NULs between (/proc/<pid>/cmdline); likewise the environment.
  Result<String> command_line() const;
  Result<String> environment() const;
  bool dumpable() const { return dumpable_.load(std::memory_order_relaxed); }
  void set_dumpable(bool on) { dumpable_.store(on, std::memory_order_relaxed); }
  std::atomic<uint32_t> core_dump_filter{kDumpFilterDefault};  // /proc/<pid>/coredump_filter
  bool is_dumping_core() const;
  std::atomic<bool> huge_pages_disabled{false};  // PR_SET_THP_DISABLE
  std::atomic<int> oom_adjustment{0};            // /proc/<pid>/oom_score_adj
  bool has_executed() const { return has_executed_.load(std::memory_order_relaxed); }
  void set_has_executed() { has_executed_.store(true, std::memory_order_relaxed); }

  // --- limits and accounts ---
  ResourceLimit limit(Resource resource) const;
  uint64_t descriptor_limit() const { return descriptor_limit_.load(std::memory_order_relaxed); }
  ResourceLimits limits() const;
  ResourceLimit set_limit(Resource resource, ResourceLimit limit);  // returns the old one
  void set_limits(const ResourceLimits& limits);
  void raise_limit(Resource resource, uint64_t more);  // the soft one, when it was reached
  void watch_realtime();                               // RLIMIT_RTTIME: it has real-time threads
  ResourceUsage usage();                               // of all its threads, ended ones too
  ResourceUsage children_usage() const;                // of the children that were waited for
  IoTotals io_totals() const;                          // of all its threads, ended ones too
  uint64_t cpu_time() const;                           // ns
  uint64_t user_time();                                // of these
  // Exec: the most that was resident there was so in this process, too.
  void note_resident(const AddressSpace& memory);
  Nanoseconds start_time() const { return start_time_; }

  // --- signals: sending is in signals/send.h ---
  SignalActions& actions() { return *actions_; }
  const RefPtr<SignalActions>& share_actions() const { return actions_; }
  void swap_actions(RefPtr<SignalActions>& actions) { std::swap(actions_, actions); }
  SpinLocked<PendingSignals>& shared_pending() { return pending_; }
  // Woken whenever a signal is sent to the process or one of its threads (signalfd's poll).
  WaitQueue& signal_queue() { return signal_queue_; }
  // Woken when a child changes state (wait4(2)).
  WaitQueue& child_queue() { return child_queue_; }
  // Woken when the process has ended (pidfd), and when one of its threads has ended (exec, exit).
  WaitQueue& exit_queue() { return exit_queue_; }
  bool has_ended() const { return ended_.load(std::memory_order_acquire); }
  void set_ended() { ended_.store(true, std::memory_order_release); }

  // --- the process table's part ---
  struct Links {
    RefPtr<Process> parent;
    IntrusiveList<Process, &Process::sibling_node_> children;
    IntrusiveList<Thread, &Thread::sibling_node_> threads;
    uint32_t live_threads = 0;
    Pid creator = 0;  // the parent's thread that made it, or took it over from one that has ended
    // ptrace(2): what its threads trace, and the ends of such that are not yet waited for.
    IntrusiveList<Thread, &Thread::tracee_node_> tracees;
    IntrusiveList<TraceeRecord, &TraceeRecord::node> tracee_deaths;
    // Ends of its own threads that a tracer is to hear of before its own end can be reported, and that of the leader.
    uint32_t unreported_deaths = 0;
    bool awaits_tracer = false;
    Pid group = 0;
    RefPtr<Session> session;
    int exit_signal = kSigChld;
    int exit_status = 0;  // wait status, when is_zombie
    bool is_zombie = false;
    bool is_reaped = false;
    bool is_subreaper = false;  // PR_SET_CHILD_SUBREAPER
    // The whole process is going: exit_group(2), a fatal signal.
    bool is_exiting = false;
    int group_status = 0;             // wait status that they end with
    Thread* sole_survivor = nullptr;  // the thread in exec that the others make room for
    // The thread that writes a core file (core_dump/core_dump.h), and how many others do not wait for that yet.
    Thread* dumper = nullptr;
    uint32_t missing_in_dump = 0;
    // Job control.
    bool is_stopped = false;
    int stop_signal = 0;
    uint32_t stopping_threads = 0;  // still to notice the stop
    bool report_stop = false;       // a parent may wait for it (WUNTRACED)
    bool report_continue = false;   // (WCONTINUED)
    ResourceUsage ended_threads;    // of threads that are gone
    IoTotals ended_io;              // likewise
    ResourceUsage waited_children;
    RefPtr<SharedCredentials> last_credentials;
    Thread::Name last_name;

    ToldTimes told_times;

    uint64_t cpu_time() const;  // ns, of all threads
    ResourceUsage usage();      // of all threads, ended ones too
  };
  Links& links(ProcessTree&) { return links_; }
  const Links& links(const ProcessTree&) const { return links_; }

  // vfork(2): the parent sleeps here until the child has executed a program or ended.
  WaitQueue& vfork_queue() { return vfork_queue_; }
  std::atomic<bool> vfork_done{true};
  void release_vfork_parent() {
    if (!vfork_done.exchange(true)) vfork_queue_.wake_all();
  }
  // Timers of the process (alarm, setitimer, timer_create); made on first use.
  ProcessTimers* timers() const;  // null: none yet
  void stop_timers();             // exit
  Result<ProcessTimers*> make_timers();
  // membarrier(2): which kinds it has registered for.
  std::atomic<uint32_t> membarrier_kinds{0};
  // Threads of a stopped process sleep here.
  WaitQueue& stop_queue() { return stop_queue_; }
  // How often SIGCONT came: a stop signal that was taken before is void.
  std::atomic<uint32_t> continues{0};

 private:
  struct Properties {
    Program program;
    ResourceLimits limits;
  };

  const Pid pid_;
  const Nanoseconds start_time_;
  const bool is_kernel_;
  std::atomic<bool> dumpable_{true};
  std::atomic<bool> has_executed_{false};
  std::atomic<bool> ended_{false};
  RefPtr<SignalActions> actions_;
  mutable SpinLocked<PendingSignals> pending_{LockRank::kSignal};
  mutable SpinLocked<Properties> properties_{LockRank::kProcess};
  std::atomic<uint64_t> descriptor_limit_{0};  // the soft one of the limits, for each open(2)
  SpinLocked<OwnPtr<ProcessTimers>> timers_lock_{LockRank::kProcess};
  CpuLimitTimer cpu_limit_;
  RealtimeLimitTimer realtime_limit_;
  WaitQueue signal_queue_, child_queue_, exit_queue_, vfork_queue_, stop_queue_;
  Links links_;
};

}  // namespace occlum
