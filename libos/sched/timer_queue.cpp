// The timer heap. Invariant: in the heap, no timer is due before its parent; `child` is the first child, `sibling` the
// next one of the same parent, `previous` the sibling before or, for a first child, the parent.
#include "libos/sched/timer_queue.h"

#include "libos/sched/scheduler.h"

namespace occlum {
namespace {
constinit TimerQueue queue;
}  // namespace

TimerQueue& timer_queue() { return queue; }

Timer* TimerQueue::meld(Timer* a, Timer* b) {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (b->when_ < a->when_) std::swap(a, b);
  b->previous_ = a;
  b->sibling_ = a->child_;
  if (a->child_ != nullptr) a->child_->previous_ = b;
  a->child_ = b;
  return a;
}

// Two passes: meld neighbours left to right, then the results right to left.
Timer* TimerQueue::merge_children(Timer* first) {
  Timer* pairs = nullptr;
  while (first != nullptr) {
    Timer* a = first;
    Timer* b = a->sibling_;
    first = b == nullptr ? nullptr : b->sibling_;
    a->sibling_ = a->previous_ = nullptr;
    if (b != nullptr) b->sibling_ = b->previous_ = nullptr;
    Timer* pair = meld(a, b);
    pair->sibling_ = pairs;
    pairs = pair;
  }
  Timer* root = nullptr;
  while (pairs != nullptr) {
    Timer* next = pairs->sibling_;
    pairs->sibling_ = nullptr;
    root = meld(root, pairs);
    pairs = next;
  }
  return root;
}

void TimerQueue::remove(Heap& heap, Timer& timer) {
  if (heap.root == &timer) {
    heap.root = merge_children(timer.child_);
  } else {
    if (timer.previous_->child_ == &timer) {
      timer.previous_->child_ = timer.sibling_;
    } else {
      timer.previous_->sibling_ = timer.sibling_;
    }
    if (timer.sibling_ != nullptr) timer.sibling_->previous_ = timer.previous_;
    heap.root = meld(heap.root, merge_children(timer.child_));
  }
  timer.child_ = timer.sibling_ = timer.previous_ = nullptr;
  timer.when_ = kNever;
}

void TimerQueue::publish(const Heap& heap) {
  next_.store(heap.root == nullptr ? kNever : heap.root->when_, std::memory_order_release);
}

void TimerQueue::arm(Timer& timer, Nanoseconds when) {
  heap_.with([&](Heap& heap) {
    if (timer.when_ != kNever) remove(heap, timer);
    timer.when_ = when;
    if (when != kNever) heap.root = meld(heap.root, &timer);
    publish(heap);
  });
}

void TimerQueue::cancel(Timer& timer) {
  while (true) {
    const bool running = heap_.with([&](Heap& heap) {
      if (timer.when_ != kNever) {
        remove(heap, timer);
        publish(heap);
      }
      return heap.running == &timer;
    });
    if (!running) return;
    __builtin_ia32_pause();
  }
}

Nanoseconds TimerQueue::expire(Nanoseconds now) {
  while (next_deadline() <= now) {
    Timer* due = heap_.with([&](Heap& heap) -> Timer* {
      // One at a time: `running` names it, so that cancel() can wait for it.
      if (heap.running != nullptr || heap.root == nullptr || heap.root->when_ > now) return nullptr;
      Timer* timer = heap.root;
      remove(heap, *timer);
      publish(heap);
      heap.running = timer;
      return timer;
    });
    if (due == nullptr) break;
    due->expired();
    heap_.with([](Heap& heap) { heap.running = nullptr; });
  }
  return next_deadline();
}

void Timer::arm(Nanoseconds when) {
  timer_queue().arm(*this, when);
  if (when != kNever) want_tick();
}
void Timer::cancel() { timer_queue().cancel(*this); }

}  // namespace occlum
