// Tasks for the tests of ipc/ and net/: every host thread is a task, parking is a futex, and the
// wait queues are the real ones. Include it once per test program; it takes the place of the
// harness's stand-ins.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

#include "libos/process/signals/send.h"
#include "libos/sched/task.h"
#include "libos/sched/timer.h"
#include "libos/sched/wait_queue.cpp"

namespace occlum {

TaskContext::~TaskContext() = default;

Nanoseconds monotonic_now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

class Scheduler {
 public:
  static std::atomic<uint32_t>& permit(Task& task) { return task.permit_; }
};

namespace testing {

class ThreadTask final : public Task {
 public:
  [[noreturn]] void run() override { abort(); }
  bool has_interrupt() const override { return interrupted.load(); }
  std::atomic<bool> interrupted{false};
};

inline ThreadTask& this_task() {
  thread_local ThreadTask task;
  return task;
}

inline std::atomic<int> broken_pipes = 0;

}  // namespace testing

Task& current_task() { return testing::this_task(); }

void Task::unpark() {
  permit_.store(1);
  syscall(SYS_futex, &permit_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void Task::interrupt() {
  static_cast<testing::ThreadTask*>(this)->interrupted.store(true);
  unpark();
}

ParkResult park(Nanoseconds deadline, Interruptible interruptible) {
  assert_may_sleep();
  testing::ThreadTask& task = testing::this_task();
  std::atomic<uint32_t>& permit = Scheduler::permit(task);
  for (;;) {
    if (interruptible == Interruptible::kYes && task.has_interrupt())
      return ParkResult::kInterrupted;
    if (permit.exchange(0) != 0) return ParkResult::kUnparked;
    const Nanoseconds now = monotonic_now();
    if (now >= deadline) return ParkResult::kTimedOut;
    const Nanoseconds left = deadline == kNever ? 1'000'000'000 : deadline - now;
    const timespec timeout = {static_cast<time_t>(left / 1'000'000'000),
                              static_cast<long>(left % 1'000'000'000)};
    syscall(SYS_futex, &permit, FUTEX_WAIT_PRIVATE, 0, &timeout, nullptr, 0);
  }
}

void send_signal_to_self(int signal) {
  if (signal == kSigPipe) ++testing::broken_pipes;
}

// Timers that are due at once run when the test says so.
namespace testing {
inline std::atomic<Timer*> due_timer = nullptr;
}
void Timer::arm(Nanoseconds when) {
  if (when != kNever) testing::due_timer = this;
}
void Timer::cancel() {
  Timer* self = this;
  testing::due_timer.compare_exchange_strong(self, nullptr);
}

}  // namespace occlum
