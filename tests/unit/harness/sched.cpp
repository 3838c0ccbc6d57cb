// What fs/ needs of sched/ and ipc/ in the hosted tests: time, and wait queues that nobody sleeps in. A
// test's own come first.
#include <time.h>

#include <cstdio>
#include <cstdlib>

#include "libos/fs/vfs/file.h"
#include "libos/sched/timer.h"
#include "libos/sched/wait_queue.h"

namespace occlum {

namespace {
uint64_t now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}
[[noreturn]] void no_tasks(const char* what) {
  std::fprintf(stderr, "%s: there are no tasks in this test\n", what);
  std::abort();
}
}  // namespace

Nanoseconds monotonic_now() { return now(CLOCK_MONOTONIC); }
Nanoseconds realtime_now() { return now(CLOCK_REALTIME); }

Task& current_task() { no_tasks("current_task"); }
ParkResult park(Nanoseconds, Interruptible) { no_tasks("park"); }
void Task::unpark() { no_tasks("unpark"); }
bool recall_program(uint64_t) { return true; }

void WaitQueue::add(Waiter&) { no_tasks("WaitQueue::add"); }
void WaitQueue::remove(Waiter&) {}
bool WaitQueue::wake_one(uint32_t) { return false; }
void WaitQueue::wake_all(uint32_t) {}
Result<void> wait_until(WaitQueue&, Nanoseconds, Interruptible, FunctionRef<bool()> condition) {
  if (condition()) return {};
  return Errno::kRestartSys;  // as if a signal came
}

void Timer::arm(Nanoseconds) {}
void Timer::cancel() {}

__attribute__((weak)) void File::leave_epolls() {}

}  // namespace occlum
