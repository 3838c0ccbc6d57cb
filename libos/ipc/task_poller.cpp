#include "libos/ipc/task_poller.h"

namespace occlum {

void TaskPoller::Place::join(Task& task, WaitQueue& queue) {
  task_ = &task;
  queue_ = &queue;
  queue.add(*this);
}

void TaskPoller::Place::leave() {
  if (queue_ != nullptr) queue_->remove(*this);
  queue_ = nullptr;
}

bool TaskPoller::Place::on_wake(uint32_t) {
  task_->unpark();
  return false;
}

TaskPoller::~TaskPoller() = default;

Result<void> TaskPoller::watch(WaitQueue& queue) {
  if (used_ < first_.size()) {
    first_[used_++].join(task_, queue);
    return {};
  }
  auto place = make_own<Place>();
  if (place.is_error() || more_.push(place.release_value()).is_error()) {
    failed_ = true;
    return Errno::kNoMem;
  }
  more_.last()->join(task_, queue);
  return {};
}

}  // namespace occlum
