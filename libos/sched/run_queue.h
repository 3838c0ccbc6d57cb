// RunQueue: who waits for a vCPU, and who of them comes next (sched(7)).
//
// Real-time tasks (SCHED_FIFO, SCHED_RR) come before all others, by priority; equals take turns in order of arrival. The
// others share by weight: each has a virtual run time, the time that it ran divided by its weight, and the least comes
// first (Stoica, Abdel-Wahab: Earliest Eligible Virtual Deadline First, 1995; Linux's CFS uses the same measure). `floor_`
// follows the least virtual time that was picked. A task that comes back from sleep starts a little before it, so that
// it does not wait behind those that computed meanwhile, and so that it cannot save up more than that. What a task ran
// ahead or behind while nobody competed with it is cut to a bound in the same way.
//
// One queue serves all vCPUs; a task is taken by a vCPU that its affinity allows. So that real-time tasks that never
// sleep do not lock the others out, they get 95 % of each second (sched_rt_runtime_us).
//
// The structure locks nothing and reads no clock: the scheduler holds it in a spin lock, tests drive it by hand.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "libos/lib/list.h"
#include "libos/lib/tree_links.h"

namespace occlum {

class Task;

// SCHED_*, in Linux's numbers.
enum class SchedulingPolicy : uint8_t {
  kOther = 0,
  kFifo = 1,
  kRoundRobin = 2,
  kBatch = 3,
  kIdle = 5
};

// What sched_setattr(2) sets.
struct Scheduling {
  SchedulingPolicy policy = SchedulingPolicy::kOther;
  uint8_t priority = 0;         // 1..99 of real-time policies, 0 of the others
  int8_t nice = 0;              // -20..19
  bool resets_on_fork = false;  // SCHED_RESET_ON_FORK
  bool is_realtime() const {
    return policy == SchedulingPolicy::kFifo || policy == SchedulingPolicy::kRoundRobin;
  }
};

constexpr uint64_t kAllVcpus = UINT64_MAX;
constexpr uint32_t kMostVcpus = 64;
constexpr uint64_t kRoundRobinSlice = 100'000'000;  // ns

// How many wait, for looks without the lock. Counted before they are in the queue.
class WaitingTasks {
 public:
  void add(uint64_t affinity) { change(affinity, 1); }
  void remove(uint64_t affinity) { change(affinity, UINT32_MAX); }
  // Whether one waits that this vCPU may run.
  bool any_for(uint32_t vcpu) const {
    return anywhere_.load(std::memory_order_seq_cst) != 0 || any_bound_to(vcpu);
  }
  // Whether one waits that not every vCPU may run, but this one may.
  bool any_bound_to(uint32_t vcpu) const {
    return bound_[vcpu % kMostVcpus].load(std::memory_order_seq_cst) != 0;
  }

 private:
  void change(uint64_t affinity, uint32_t by);
  std::atomic<uint32_t> anywhere_{0};
  std::array<std::atomic<uint32_t>, kMostVcpus> bound_ = {};  // by vCPU, tasks with an affinity
};

// A task as the queue sees it. All of it is under the queue's lock.
class RunEntity : private tree_detail::Links {
 public:
  explicit constexpr RunEntity(Task* task) : task_(task) {}
  RunEntity(const RunEntity&) = delete;
  RunEntity& operator=(const RunEntity&) = delete;

  Task* task() const { return task_; }
  const Scheduling& scheduling() const { return scheduling_; }
  uint64_t affinity() const { return affinity_; }
  bool may_run_on(uint32_t vcpu) const { return (affinity_ >> (vcpu % kMostVcpus) & 1) != 0; }
  bool is_queued() const { return is_queued_; }
  // What counts: its own priority, or one that it inherits from those who wait for it. 0: not real-time.
  uint8_t priority() const;
  uint64_t virtual_time() const { return virtual_time_; }

 private:
  friend class RunQueue;
  Task* const task_;
  ListNode node_;  // among the real-time tasks of its priority
  Scheduling scheduling_;
  uint8_t inherited_priority_ = 0;
  bool is_queued_ = false;
  bool has_run_ = false;
  uint64_t affinity_ = kAllVcpus;
  uint64_t virtual_time_ = 0;
  uint64_t slice_used_ = 0;  // ns, of SCHED_RR
};

class RunQueue {
 public:
  explicit constexpr RunQueue(WaitingTasks& waiting) : waiting_(waiting) {}

  // kAwake: new, or back from sleep. kPreempted: somebody else had to run. kYielded: of its own will.
  enum class Arrival : uint8_t { kAwake, kPreempted, kYielded };
  void add(RunEntity& entity, Arrival arrival);

  // `entity` has run for `ns` on `vcpu`, until `now`.
  void charge(RunEntity& entity, uint64_t ns, uint32_t vcpu, uint64_t now);

  // Takes out who comes next on this vCPU; null: nobody that it may run.
  RunEntity* take(uint32_t vcpu, uint64_t now);
  // The same, when `current`, which is not queued, could go on: null unless another comes before it.
  RunEntity* take_before(const RunEntity& current, uint32_t vcpu, uint64_t now);
  // The same, when `current` gives way: null when all that wait come after it all the same.
  RunEntity* take_for_yield(const RunEntity& current, uint32_t vcpu, uint64_t now);

  // These may be called at any time, queued or not.
  void set_scheduling(RunEntity& entity, const Scheduling& scheduling);
  void set_inherited_priority(RunEntity& entity, uint8_t priority);
  void set_affinity(RunEntity& entity, uint64_t affinity);

 private:
  static constexpr uint32_t kPriorities = 100;
  using Turn = IntrusiveList<RunEntity, &RunEntity::node_>;
  enum class End : uint8_t { kFront, kBack };

  void link(RunEntity& entity, End end);
  void unlink(RunEntity& entity);
  RunEntity* remove(RunEntity* entity);
  template <typename Change>
  void change(RunEntity& entity, End end, Change apply);
  RunEntity* first_realtime(uint32_t vcpu, uint32_t least_priority);
  RunEntity* first_fair(uint32_t vcpu);
  bool is_throttled(uint32_t vcpu, uint64_t now) const;

  struct RealtimeBudget {
    uint64_t second = 0;  // which one
    uint64_t used = 0;    // ns of it
  };

  WaitingTasks& waiting_;
  std::array<Turn, kPriorities> realtime_;
  std::array<uint64_t, 2> occupied_ = {};  // a bit for each priority that has tasks
  tree_detail::Links* fair_ = nullptr;     // by virtual time
  uint64_t floor_ = 0;
  std::array<RealtimeBudget, kMostVcpus> budgets_ = {};
};

}  // namespace occlum
