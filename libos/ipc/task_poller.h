// TaskPoller: a Poller with which the current task waits on any number of queues: poll(2),
// select(2) and blocking calls built on File::poll. It leaves all queues when it is destroyed.
// Lives on the task's stack; the first few places need no memory. The files whose queues it sits in
// must outlive it.
#pragma once

#include <array>

#include "libos/fs/vfs/file.h"
#include "libos/lib/ptr.h"
#include "libos/lib/vec.h"
#include "libos/sched/task.h"
#include "libos/sched/wait_queue.h"

namespace occlum {

class TaskPoller : public Poller {
 public:
  TaskPoller() : task_(current_task()) {}
  TaskPoller(const TaskPoller&) = delete;
  TaskPoller& operator=(const TaskPoller&) = delete;
  ~TaskPoller();

  Result<void> watch(WaitQueue& queue) override;

  // A place could not be had (kNoMem): not every queue is watched.
  bool failed() const { return failed_; }

 private:
  class Place : public Waiter {
   public:
    Place() = default;
    ~Place() override { leave(); }
    void join(Task& task, WaitQueue& queue);
    void leave();
    // Watching consumes nothing: a task that waits for the same thing alone must be woken, too.
    bool on_wake(uint32_t events) override;

   private:
    Task* task_ = nullptr;
    WaitQueue* queue_ = nullptr;
  };

  Task& task_;
  std::array<Place, 4> first_;
  size_t used_ = 0;
  Vec<OwnPtr<Place>> more_;
  bool failed_ = false;
};

}  // namespace occlum
