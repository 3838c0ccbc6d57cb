// The scheduler: tasks onto vCPUs. See sched/task.h for what blocking means.
//
// One run queue for all vCPUs; who comes next is its business (run_queue.h). A vCPU with nothing to run idles on its own stack: it expires timers, spins for a
// moment and then sleeps in one host call that ends on a kick, a timer or a host event. A switch goes straight from
// task to task; what must be done with the task that was left (queue it again, publish it as parked, bury it) is done
// after its stack is no longer in use, by whoever runs next on that vCPU (finish_switch).
//
// Wake-up protocol: the task's permit is one word, which unpark() exchanges for "woken" and finish_switch() changes from
// "none" to "parked". Whoever is second finds what the first left, so exactly one of them queues the task; and neither
// touches it after that one step, because it may run, end and be freed on another vCPU at once.
//
// A vCPU asks for ticks (1 ms, tick_wanted in shared memory) while something needs them: tasks wait for it, or
// timers and host watches that no sleeping vCPU attends to. On a tick it also wakes a sleeping vCPU, or starts one
// more: so short hand-overs stay on one vCPU, long work spreads, and a busy program alone is not disturbed. A task that
// has real-time priority, or that this vCPU may not run, does not wait for that: call_for_vcpu().
#include "libos/sched/scheduler.h"

#include "abi/host_call.h"
#include "libos/arch/enclave/host_exit.h"
#include "libos/arch/enclave/vcpu.h"
#include "libos/arch/enclave/xstate.h"
#include "libos/arch/vcpus.h"
#include "libos/lib/lock.h"
#include "libos/lib/log.h"
#include "libos/sched/event_collector.h"
#include "libos/sched/parked_task.h"
#include "libos/sched/timer.h"
#include "libos/sched/timer_queue.h"
#include "libos/sched/vcpu_account.h"

namespace occlum {
namespace {

extern "C" void switch_stack(uint64_t* save_here, uint64_t new_stack);

// Whether somebody asked this vCPU to look at what there is to do; the caller does.
bool take_reschedule(VcpuBlock& vcpu) {
  if ((vcpu.work.load(std::memory_order_relaxed) & kWorkReschedule) == 0) return false;
  vcpu.work.fetch_and(~kWorkReschedule, std::memory_order_relaxed);
  return true;
}

constexpr Nanoseconds kIdleSpin = 50'000;  // ns; a sleep and a wake cost about as much

enum class After : uint8_t { kNothing, kPark, kYield, kPreempt, kBury };
using Arrival = RunQueue::Arrival;

constexpr int kNobody = -1;

constexpr uint32_t kNone = 0, kWoken = 1, kParked = 2, kLookedAt = 3;  // Task::permit_

// What the vCPU's next finish_switch() does, and what others read about it.
struct VcpuState {
  RefPtr<Task> buried;
  Task* left = nullptr;
  After after = After::kNothing;
  std::atomic<bool> tick_on{false};  // what its tick_wanted says
  std::atomic<bool> sleeping{false};
  std::atomic<int> priority{kNobody};  // of the task that it runs; 0: not a real-time one
  bool is_nice = false;                // that task's nice value is above 0
  VcpuAccount account;
};
constinit std::array<VcpuState, abi::kMaxVcpus> states;
constinit WaitingTasks waiting_tasks;
constinit std::atomic<bool> poller_sleeps{false};
constinit std::atomic<Nanoseconds> poller_deadline{
    kNever};  // when the sleeping poller wakes by itself
constinit std::atomic<int> host_watches{0};
constinit std::atomic<int> file_waits{0};
constinit std::atomic<uint64_t> context_switches{0};

// Only the task itself counts.
void count(std::atomic<uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

VcpuState& this_state() { return states[this_vcpu().index]; }

}  // namespace

// The part of Task that only the scheduler touches.
class Scheduler {
 public:
  static SpinLocked<RunQueue> run_queue;

  static void enqueue(Task& task, Arrival arrival) {
    task.state_.store(Task::State::kRunnable, std::memory_order_release);
    struct Placed {
      uint8_t priority;
      uint64_t affinity;
    };
    const Placed placed = run_queue.with([&](RunQueue& queue) {
      queue.add(task.run_, arrival);
      return Placed{.priority = task.run_.priority(), .affinity = task.run_.affinity()};
    });
    want_tick();
    const bool may_run_here = (placed.affinity >> this_vcpu().index & 1) != 0;
    if (!may_run_here || (placed.priority != 0 && arrival == Arrival::kAwake)) {
      call_for_vcpu(placed.priority, placed.affinity);
    }
  }

  // A vCPU of `affinity` whose task has less priority than `priority` shall look at the queue now, and if there is none,
  // any of them at its next tick. What needs a host call is done on the way back to the program (spread_work).
  static void call_for_vcpu(int priority, uint64_t affinity) {
    VcpuBlock& here = this_vcpu();
    here.work.fetch_or(kWorkReschedule, std::memory_order_release);
    VcpuBlock* chosen = nullptr;
    int least = abi::kMaxVcpus * 2;
    for (uint32_t index = 0; index < started_vcpus(); ++index) {
      VcpuBlock* vcpu = vcpu_block(index);
      if (vcpu == nullptr || (affinity >> index & 1) == 0) continue;
      const int its = states[index].priority.load(std::memory_order_relaxed);
      if (vcpu == &here && its < priority) return;
      if (its >= least) continue;
      least = its;
      chosen = vcpu;
    }
    if (chosen == nullptr || chosen == &here || least == kNobody) return;
    if (least < priority) chosen->work.fetch_or(kWorkReschedule, std::memory_order_release);
    request_tick(*chosen);
  }

  // Who runs next on this vCPU instead of `task`, which leaves it for the reason `after`. Null: nobody.
  struct Choice {
    Task* next = nullptr;
    bool may_stay = true;
  };
  static Choice choose(After after, Task& task) {
    const uint32_t vcpu = this_vcpu().index;
    const Nanoseconds now = machine_monotonic_ns();
    const uint64_t ran = now - std::min(now, std::exchange(task.charged_until_, now));
    return run_queue.with([&](RunQueue& queue) {
      queue.charge(task.run_, ran, vcpu, now);
      RunEntity* next = after == After::kPreempt ? queue.take_before(task.run_, vcpu, now)
                        : after == After::kYield ? queue.take_for_yield(task.run_, vcpu, now)
                                                 : queue.take(vcpu, now);
      note_choice(next != nullptr ? *next : task.run_);
      return Choice{.next = next == nullptr ? nullptr : next->task(),
                    .may_stay = task.run_.may_run_on(vcpu)};
    });
  }

  static Task* pick() {
    const uint32_t vcpu = this_vcpu().index;
    if (!waiting_tasks.any_for(vcpu)) return nullptr;
    const Nanoseconds now = machine_monotonic_ns();
    return run_queue.with([&](RunQueue& queue) {
      RunEntity* next = queue.take(vcpu, now);
      if (next == nullptr) return static_cast<Task*>(nullptr);
      note_choice(*next);
      return next->task();
    });
  }

  static void note_choice(const RunEntity& chosen) {
    VcpuState& state = this_state();
    state.priority.store(chosen.priority(), std::memory_order_relaxed);
    state.is_nice = chosen.scheduling().nice > 0;
  }

  static void begin_turn(const Task& task, Nanoseconds now) {
    VcpuState& state = this_state();
    state.account.begin(&task, now, task.context_.system_time.read(now), state.is_nice);
  }
  static void end_turn(const Task& task, Nanoseconds now) {
    this_state().account.end(now, task.context_.system_time.read(now));
  }
  // It stays, but its nice value may be another now.
  static void go_on(const Task& task) {
    if (this_state().account.is_nice() == this_state().is_nice) return;
    const Nanoseconds now = machine_monotonic_ns();
    end_turn(task, now);
    begin_turn(task, now);
  }

  static void unpark(Task& task) {
    if (task.permit_.exchange(kWoken, std::memory_order_seq_cst) == kParked) make_runnable(task);
  }

  // A wake-up that comes meanwhile is made up for.
  static bool look_at_parked(Task& task, FunctionRef<void()> look) {
    uint32_t permit = kParked;
    if (!task.permit_.compare_exchange_strong(permit, kLookedAt, std::memory_order_seq_cst))
      return false;
    look();
    permit = kLookedAt;
    if (!task.permit_.compare_exchange_strong(permit, kParked, std::memory_order_seq_cst))
      make_runnable(task);
    return true;
  }

  static void make_runnable(Task& task) {
    task.on_runnable();
    enqueue(task, Arrival::kAwake);
  }

  // A running task on another vCPU notices at its next way back to user mode, which a tick brings about.
  static void interrupt(Task& task) {
    unpark(task);
    if (task.state_.load(std::memory_order_seq_cst) != Task::State::kRunning) return;
    VcpuBlock* vcpu = vcpu_block(task.last_vcpu());
    if (vcpu == nullptr) return;
    vcpu->work.fetch_or(kWorkInterrupt, std::memory_order_release);
    if (vcpu != &this_vcpu()) request_tick(*vcpu);
  }

  static void request_tick(VcpuBlock& vcpu) {
    states[vcpu.index].tick_on.store(true, std::memory_order_relaxed);
    (void)store_untrusted(vcpu.shared + offsetof(abi::VcpuShared, tick_wanted), 1);
  }

  // See task.h. A vCPU says what it executes before it looks for work a last time (user_return.cpp).
  static bool recall_program(uint64_t memory) {
    bool is_left = true;
    for (uint32_t index = 0; VcpuBlock* vcpu = vcpu_block(index); ++index) {
      if (vcpu->program.load(std::memory_order_seq_cst) != memory) continue;
      is_left = false;
      vcpu->work.fetch_or(kWorkInterrupt, std::memory_order_seq_cst);
      tick_vcpu_now(index);
    }
    return is_left;
  }

  static void set_tick(bool on) {
    if (this_state().tick_on.exchange(on, std::memory_order_relaxed) == on) return;
    (void)store_untrusted(vcpu_shared() + offsetof(abi::VcpuShared, tick_wanted), on ? 1 : 0);
  }
  static void want_tick() { set_tick(true); }

  // Timers and host events are seen to by a vCPU that sleeps in the host, and wakes early enough.
  static bool is_attended() {
    return poller_sleeps.load(std::memory_order_relaxed) &&
           poller_deadline.load(std::memory_order_relaxed) <= timer_queue().next_deadline();
  }
  static bool needs_attention() {
    return (timer_queue().next_deadline() != kNever ||
            host_watches.load(std::memory_order_relaxed) != 0) &&
           !is_attended();
  }

  static bool needs_tick() { return waiting_tasks.any_for(this_vcpu().index) || needs_attention(); }

  static void install(VcpuBlock& vcpu, Task& task) {
    // In this order: who finds that the task runs finds where.
    task.vcpu_.store(vcpu.index, std::memory_order_relaxed);
    task.state_.store(Task::State::kRunning, std::memory_order_seq_cst);
    ++task.turns_;
    // The task saw the time of the vCPU that it ran on before: this one's clock must not be behind it.
    vcpu.last_ns = std::max(vcpu.last_ns, task.last_seen_ns_);
    task.charged_until_ = machine_monotonic_ns();
    task.slice_start_.store(task.charged_until_, std::memory_order_relaxed);
    task.context_.system_time.resume(task.charged_until_);
    begin_turn(task, task.charged_until_);
    vcpu.current = &task;
    vcpu.context = &task.context_;
    vcpu.task_lock_ranks = &task.lock_ranks;
    vcpu.kernel_stack_top = task.context_.kernel_stack_top();
    context_switches.fetch_add(1, std::memory_order_relaxed);
  }

  // Leaves the current task. Comes back, perhaps on another vCPU, when it is picked again.
  static void leave(After after, RefPtr<Task> buried = {}) {
    VcpuBlock& vcpu = this_vcpu();
    Task& task = *vcpu.current;
    const auto [next, may_stay] = choose(after, task);
    const bool could_stay = after == After::kYield || after == After::kPreempt;
    if (next == nullptr && could_stay && may_stay) return go_on(task);
    VcpuState& state = this_state();
    count(after == After::kPark ? task.voluntary_switches_ : task.involuntary_switches_);
    stash_xstate(task.context_);
    const Nanoseconds now = machine_monotonic_ns();
    task.cpu_time_.store(task.cpu_time_.load(std::memory_order_relaxed) + now -
                             task.slice_start_.load(std::memory_order_relaxed),
                         std::memory_order_relaxed);
    task.context_.system_time.pause(now);
    end_turn(task, now);
    task.last_seen_ns_ = vcpu.last_ns;
    state.left = &task;
    state.after = after;
    state.buried = std::move(buried);
    uint64_t stack = vcpu.idle_stack_pointer;
    if (next != nullptr) {
      install(vcpu, *next);
      stack = next->context_.saved_stack_pointer;
    } else {
      vcpu.current = nullptr;
      vcpu.context = nullptr;
      vcpu.task_lock_ranks = nullptr;
      state.priority.store(kNobody, std::memory_order_relaxed);
    }
    switch_stack(&task.context_.saved_stack_pointer, stack);
    finish_switch();
  }

  static void publish_parked(Task& task) {
    uint32_t permit = kNone;
    if (!task.permit_.compare_exchange_strong(permit, kParked, std::memory_order_seq_cst))
      make_runnable(task);
  }

  static void finish_switch() {
    VcpuState& state = this_state();
    Task* left = std::exchange(state.left, nullptr);
    if (left == nullptr) return;
    switch (std::exchange(state.after, After::kNothing)) {
      case After::kNothing:
        break;
      case After::kPark:
        left->on_wait();
        left->state_.store(Task::State::kParked, std::memory_order_relaxed);
        publish_parked(*left);
        break;
      case After::kYield:
        enqueue(*left, Arrival::kYielded);
        break;
      case After::kPreempt:
        enqueue(*left, Arrival::kPreempted);
        break;
      case After::kBury:
        left->state_.store(Task::State::kDead, std::memory_order_relaxed);
        reap(std::move(state.buried));
        break;
    }
  }

  static ParkResult park(Nanoseconds deadline, Interruptible interruptible) {
    class Alarm final : public Timer {
     public:
      explicit Alarm(Task& task) : task_(task) {}
      std::atomic<bool> rang{false};

     private:
      void expired() override {
        rang.store(true, std::memory_order_release);
        task_.unpark();
      }
      Task& task_;
    };
    assert_may_sleep();
    Task& task = current_task();
    const auto interrupted = [&] {
      return interruptible == Interruptible::kYes && task.has_interrupt();
    };
    if (task.permit_.exchange(kNone, std::memory_order_seq_cst) != kNone) {
      return interrupted() ? ParkResult::kInterrupted : ParkResult::kUnparked;
    }
    if (interrupted()) return ParkResult::kInterrupted;
    Alarm alarm(task);
    if (deadline != kNever) {
      if (deadline <= monotonic_now()) return ParkResult::kTimedOut;
      alarm.arm(deadline);
    }
    leave(After::kPark);
    if (deadline != kNever) alarm.cancel();
    task.permit_.store(kNone, std::memory_order_seq_cst);
    if (interrupted()) return ParkResult::kInterrupted;
    return alarm.rang.load(std::memory_order_acquire) ? ParkResult::kTimedOut
                                                      : ParkResult::kUnparked;
  }

  // A dead task's last reference may free much: not on the way between two tasks, but in idle().
  static void reap(RefPtr<Task> task) {
    graveyard.with([&](Graveyard& dead) { dead.push_back(*task.leak()); });
  }
  using Graveyard = IntrusiveList<Task, &Task::grave_node_>;
  static SpinLocked<Graveyard> graveyard;
  static void bury_dead() {
    while (Task* task = graveyard.with([](Graveyard& dead) { return dead.pop_front(); })) {
      (void)RefPtr<Task>::adopt(*task);
    }
  }

  // Wakes sleeping vCPUs, or starts more, because work waits or nobody attends to timers and the host: one for all that
  // any of them can do, and each that a waiting task is bound to. This one may have nothing to do itself and sleep next,
  // and no other would wake them.
  static void spread_work() {
    const bool attend = needs_attention();
    bool has_one = false;
    const auto wants = [&](uint32_t index) {
      if (waiting_tasks.any_bound_to(index)) return true;
      return !has_one && (attend || waiting_tasks.any_for(index));
    };
    const uint32_t started = started_vcpus();
    for (uint32_t index = 0; index < started; ++index) {
      if (!states[index].sleeping.load(std::memory_order_seq_cst) || !wants(index)) continue;
      (void)make_host_call(abi::HostCallNumber::kKick, index);
      has_one = true;
    }
    for (uint32_t index = started; index < vcpu_count(); ++index) {
      if (!wants(index)) continue;
      if (!start_vcpus_up_to(index)) return;
      has_one = true;
    }
  }

  // False: somebody else is starting one, and spreads work in its turn; or the host gives no more.
  static bool start_vcpus_up_to(uint32_t index) {
    while (started_vcpus() <= index) {
      const uint32_t before = started_vcpus();
      start_one_more_vcpu();
      if (started_vcpus() == before) return false;
    }
    return true;
  }

  static void reschedule() {
    timer_queue().expire(machine_monotonic_ns());
    if (host_watches.load(std::memory_order_relaxed) != 0 && !poller_sleeps.exchange(true)) {
      collect_host_events(0);
      poller_sleeps.store(false);
    }
    deliver_host_signals();
    bury_dead();
    spread_work();
    leave(After::kPreempt);
    set_tick(needs_tick());
  }

  // A task that is running is told on its vCPU; one that waits may now have another to wait for.
  static void look_again(Task& task) {
    struct Placed {
      int priority;
      uint64_t affinity;
    };
    const Placed placed = run_queue.with([&](RunQueue&) {
      return Placed{.priority = task.run_.priority(), .affinity = task.run_.affinity()};
    });
    const Task::State state = task.state_.load(std::memory_order_seq_cst);
    if (state == Task::State::kRunnable) return call_for_vcpu(placed.priority, placed.affinity);
    if (state != Task::State::kRunning) return;
    VcpuBlock* vcpu = vcpu_block(task.last_vcpu());
    if (vcpu == nullptr) return;
    states[vcpu->index].priority.store(placed.priority, std::memory_order_relaxed);
    vcpu->work.fetch_or(kWorkReschedule, std::memory_order_release);
    if (vcpu != &this_vcpu()) request_tick(*vcpu);
  }

  // Spinning does not see what the host's disk has done, if this vCPU is the one to ask.
  static bool is_spinning_useful() {
    return file_waits.load(std::memory_order_relaxed) == 0 ||
           poller_sleeps.load(std::memory_order_relaxed);
  }

  static bool spin_for_work() {
    const Nanoseconds until = machine_monotonic_ns() + kIdleSpin;
    do {
      if (waiting_tasks.any_for(this_vcpu().index)) return true;
      if (timer_queue().next_deadline() <= machine_monotonic_ns()) return true;
      for (int i = 0; i < 16; ++i) __builtin_ia32_pause();
    } while (machine_monotonic_ns() < until);
    return false;
  }

  static void sleep() {
    VcpuState& state = this_state();
    state.sleeping.store(true, std::memory_order_seq_cst);
    if (!waiting_tasks.any_for(this_vcpu().index)) {
      const Nanoseconds deadline = timer_queue().next_deadline();
      const Nanoseconds now = machine_monotonic_ns();
      const Nanoseconds timeout = deadline == kNever ? kNever : deadline > now ? deadline - now : 0;
      const bool polls = !poller_sleeps.exchange(true);
      if (polls) poller_deadline.store(deadline);
      set_tick(false);
      wait_for_host(timeout, polls);
      if (polls) {
        poller_deadline.store(kNever);
        poller_sleeps.store(false);
      }
    }
    state.sleeping.store(false, std::memory_order_seq_cst);
  }

  // Work that only other vCPUs may do has come by way of this one.
  static void for_others() {
    if (!take_reschedule(this_vcpu())) return;
    for (uint32_t index = 0; index < vcpu_count(); ++index) {
      if (waiting_tasks.any_for(index)) return spread_work();
    }
  }

  [[noreturn]] static void idle() {
    spread_work();  // whoever started this vCPU may have found that it takes more
    while (true) {
      timer_queue().expire(machine_monotonic_ns());
      deliver_host_signals();
      bury_dead();
      VcpuBlock& vcpu = this_vcpu();
      if (Task* next = pick(); next != nullptr) {
        set_tick(needs_tick());
        install(vcpu, *next);
        switch_stack(&vcpu.idle_stack_pointer, next->context_.saved_stack_pointer);
        finish_switch();
      } else {
        for_others();
        if (!is_spinning_useful() || !spin_for_work()) sleep();
      }
    }
  }
};

constinit SpinLocked<RunQueue> Scheduler::run_queue{LockRank::kScheduler, waiting_tasks};
constinit SpinLocked<Scheduler::Graveyard> Scheduler::graveyard{LockRank::kScheduler};

// The slice that is running counts too; the fields are read without a lock, so the sum may miss the switch of a moment.
uint64_t Task::cpu_time() const {
  const uint64_t finished = cpu_time_.load(std::memory_order_relaxed);
  if (state_.load(std::memory_order_relaxed) != State::kRunning) return finished;
  const uint64_t now = machine_monotonic_ns(), start = slice_start_.load(std::memory_order_relaxed);
  return finished + (now > start ? now - start : 0);
}

// What is measured by samples can be off: it is never more than the whole.
uint64_t Task::system_time() const {
  const uint64_t whole = cpu_time();
  return std::min(context_.system_time.read(machine_monotonic_ns()), whole);
}

void Task::unpark() { Scheduler::unpark(*this); }
void Task::interrupt() { Scheduler::interrupt(*this); }
bool with_parked_task(Task& task, FunctionRef<void()> look) {
  return Scheduler::look_at_parked(task, look);
}

Task& current_task() { return *this_vcpu().current; }

Scheduling Task::scheduling() const {
  return Scheduler::run_queue.with([&](RunQueue&) { return run_.scheduling(); });
}

void Task::set_scheduling(const Scheduling& scheduling) {
  Scheduler::run_queue.with([&](RunQueue& queue) { queue.set_scheduling(run_, scheduling); });
  Scheduler::look_again(*this);
}

void Task::inherit_priority(uint8_t priority) {
  Scheduler::run_queue.with([&](RunQueue& queue) { queue.set_inherited_priority(run_, priority); });
  Scheduler::look_again(*this);
}

uint64_t Task::affinity() const {
  return Scheduler::run_queue.with([&](RunQueue&) { return run_.affinity(); });
}

void Task::set_affinity(uint64_t mask) {
  Scheduler::run_queue.with([&](RunQueue& queue) { queue.set_affinity(run_, mask); });
  Scheduler::look_again(*this);
}

void start_task(RefPtr<Task> task) {
  task->on_runnable();
  Scheduler::enqueue(*task.leak(), Arrival::kAwake);
}

bool recall_program(uint64_t memory) { return Scheduler::recall_program(memory); }

ParkResult park(Nanoseconds deadline, Interruptible interruptible) {
  return Scheduler::park(deadline, interruptible);
}

void yield_task() {
  // Whoever yields until something happens must let it happen: host events and signals too.
  if (take_reschedule(this_vcpu())) {
    reschedule();
  } else {
    timer_queue().expire(machine_monotonic_ns());
  }
  Scheduler::leave(After::kYield);
}

void exit_task() {
  // The scheduler's own reference, given by start_task().
  Scheduler::leave(After::kBury, RefPtr<Task>::adopt(current_task()));
  panic("a dead task was resumed");
}

void preemption_point() {
  VcpuBlock& vcpu = this_vcpu();
  if (vcpu.current == nullptr) return;
  note_long_work();
  if (take_reschedule(vcpu)) reschedule();
}

void task_first_run() {
  Scheduler::finish_switch();
  current_task().run();
}

void reschedule() { Scheduler::reschedule(); }
void vcpu_main() { Scheduler::idle(); }

void start_scheduler() {
  class InitTask final : public Task {
   public:
    void run() override { kernel_main(); }
  };
  auto task = make_ref<InitTask>();
  if (task.is_error() || task.value()->context().create().is_error())
    panic("no memory for the first task");
  start_task(task.release_value());
  Scheduler::idle();
}

Nanoseconds monotonic_now() { return machine_monotonic_ns(); }
Nanoseconds realtime_now() { return machine_monotonic_ns() + machine_boot_realtime_ns(); }
VcpuAccount::Reading read_vcpu_account(uint32_t vcpu) { return states[vcpu].account.read(); }
uint64_t context_switch_count() { return context_switches.load(std::memory_order_relaxed); }
uint32_t current_vcpu() { return this_vcpu().index; }
void want_tick() { Scheduler::want_tick(); }
void note_host_watch(int change) {
  host_watches.fetch_add(change, std::memory_order_relaxed);
  Scheduler::want_tick();
}
void note_file_wait(int change) {
  file_waits.fetch_add(change, std::memory_order_relaxed);
  note_host_watch(change);
}
bool runs_task() { return this_vcpu().current != nullptr; }

}  // namespace occlum
