// Task: what the scheduler runs. A LibOS thread (process/thread.h) is a Task; so is a kernel service.
//
// M:N: vCPUs are host threads in TCSs, tasks are multiplexed onto them inside the enclave. The LibOS itself is not
// preempted: a task gives up its vCPU by blocking, by yield(), or at the way back to user mode when a tick asked for
// it. Blocking is park()/unpark(): park() puts the current task to sleep until somebody unparks it, a deadline passes
// or an interrupt (a signal) comes; an unpark() before the park() is remembered, so there is no lost wake-up. All
// other blocking (WaitQueue, mutexes, futexes, poll) is built on these two.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/arch/task_context.h"
#include "libos/lib/list.h"
#include "libos/lib/lock_rank.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"
#include "libos/sched/run_queue.h"

namespace occlum {

// Nanoseconds of CLOCK_MONOTONIC. kNever sorts after every real time.
using Nanoseconds = uint64_t;
constexpr Nanoseconds kNever = UINT64_MAX;
// A clock tick, in which times(2) and /proc count: 100 a second (USER_HZ).
constexpr Nanoseconds kNanosecondsPerTick = 10'000'000;

enum class ParkResult { kUnparked, kTimedOut, kInterrupted };
enum class Interruptible { kNo, kYes };

class Task : public RefCounted<Task> {
 public:
  virtual ~Task() = default;

  // What runs first on the task's own kernel stack. Must not return.
  [[noreturn]] virtual void run() = 0;

  // Wakes the task from park(), or makes its next park() return at once. Callable from any task, with any lock of a
  // rank above kScheduler held.
  void unpark();

  // Like unpark(), but an interruptible park() reports kInterrupted. Signals use it: set the signal pending first.
  void interrupt();

  // True when an interruptible wait must not begin or go on: a signal is pending for this task.
  virtual bool has_interrupt() const { return false; }

  // The task is about to wait, or can run (again). Called by the scheduler with any lock held: only counts.
  virtual void on_wait() {}
  virtual void on_runnable() {}

  TaskContext& context() { return context_; }
  // ns that it ran, in user mode and in the LibOS; and in the LibOS alone, as samples tell (arch/system_time.h).
  uint64_t cpu_time() const;
  uint64_t system_time() const;

  // --- who runs when (run_queue.h) ---
  Scheduling scheduling() const;
  void set_scheduling(const Scheduling& scheduling);
  // The priority of those who wait for a lock that this task holds; 0: none.
  void inherit_priority(uint8_t priority);
  // sched_setaffinity(2)'s mask: bit n is vCPU n. A task that runs elsewhere leaves that vCPU at once.
  uint64_t affinity() const;
  void set_affinity(uint64_t mask);
  // How often it was given a vCPU: changes whenever it may have been away from one.
  uint32_t turns() const { return turns_; }
  // getrusage(2): page faults of its own and of the LibOS in its memory on its behalf. Only the task itself counts.
  void count_fault(bool is_major) {
    std::atomic<uint64_t>& faults = is_major ? major_faults_ : minor_faults_;
    faults.store(faults.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  uint64_t minor_faults() const { return minor_faults_.load(std::memory_order_relaxed); }
  uint64_t major_faults() const { return major_faults_.load(std::memory_order_relaxed); }
  // getrusage(2): how often it left its vCPU to wait, and how often because others had to run.
  uint64_t voluntary_switches() const {
    return voluntary_switches_.load(std::memory_order_relaxed);
  }
  uint64_t involuntary_switches() const {
    return involuntary_switches_.load(std::memory_order_relaxed);
  }

 private:
  friend class Scheduler;
  enum class State : uint32_t { kNew, kRunnable, kRunning, kParked, kDead };

  ListNode grave_node_;
  mutable RunEntity run_{this};
  TaskContext context_;
  std::atomic<uint32_t> permit_{0};  // of unpark() and park(): see scheduler.cpp
  std::atomic<State> state_{State::kNew};
  std::atomic<uint64_t> cpu_time_{0};
  std::atomic<uint64_t> slice_start_{0};
  uint64_t charged_until_ = 0;  // by this time its run is in run_'s account
  uint32_t turns_ = 0;
  std::atomic<uint64_t> voluntary_switches_{0}, involuntary_switches_{0};
  std::atomic<uint64_t> minor_faults_{0}, major_faults_{0};
  std::atomic<uint32_t> vcpu_{0};  // where it ran last
  uint64_t last_seen_ns_ = 0;      // the clock when it left its last vCPU

 public:
  // fault_injection.h: counts down with the task's allocations, the one that makes it 0 fails (0: none); whether the
  // knobs choose of its allocations, which what it clones inherits. The task's own: what failed, and whether nothing may.
  std::atomic<uint32_t> fail_nth{0};
  std::atomic<bool> makes_it_fail{false};
  uint32_t failures = 0, never_fails = 0;
  LockRankStack lock_ranks;  // the locks that the task holds (debug builds check their order)
  // For /proc: true while it runs or waits for a vCPU; and where it ran last.
  bool is_runnable() const {
    const State state = state_.load(std::memory_order_relaxed);
    return state == State::kRunnable || state == State::kRunning;
  }
  uint32_t last_vcpu() const { return vcpu_.load(std::memory_order_relaxed); }
};

Task& current_task();

// Starts a new task: it becomes runnable and the scheduler holds a reference until it ends.
void start_task(RefPtr<Task> task);

// Puts the current task to sleep; see above. `deadline` is absolute. No locks may be held.
ParkResult park(Nanoseconds deadline, Interruptible interruptible);

// Lets others run. Returns at once when nobody waits.
void yield_task();

// Asks vCPUs that may execute programs of this memory (AddressSpace::id) to come in. True: none does, and as long as
// has_return_work() says so, none will.
bool recall_program(uint64_t memory);

// Ends the current task. Its stack and the scheduler's reference are given up by whoever runs next.
[[noreturn]] void exit_task();

// True when a tick asked for the current vCPU and others wait; long LibOS loops call preemption_point().
void preemption_point();

// CLOCK_MONOTONIC of the LibOS: never goes back, whatever the host says.
Nanoseconds monotonic_now();
// CLOCK_REALTIME in ns since the epoch: the host's word at start plus monotonic time.
Nanoseconds realtime_now();

uint32_t vcpu_count();
uint32_t current_vcpu();

}  // namespace occlum
