#include "libos/ipc/message_queue.h"

#include "libos/process/process_table.h"
#include "libos/process/signals/send.h"

namespace occlum {

MessageQueue::~MessageQueue() {
  state_.with([](State& state) {
    while (QueuedMessage* message = state.list.pop_front())
      (void)OwnPtr<QueuedMessage>::adopt(*message);
  });
}

// Behind all of its priority and above.
static void insert_by_priority(IntrusiveList<QueuedMessage, &QueuedMessage::node>& list,
                               QueuedMessage& message) {
  QueuedMessage* before = list.last();
  while (before != nullptr && before->priority < message.priority) before = list.previous(*before);
  QueuedMessage* const after = before == nullptr ? list.first() : list.next(*before);
  if (after == nullptr) {
    list.push_back(message);
  } else {
    list.insert_before(*after, message);
  }
}

void NotificationCookie::send(News news) {
  message_->data[kSize - 1] = static_cast<std::byte>(news);
  socket_->deliver(std::move(message_));
}

static void notify(const QueueNotification& notification) {
  if (notification.cookie) notification.cookie->send(NotificationCookie::News::kMessage);
  if (notification.process == 0 || !notification.by_signal || notification.signal == 0) return;
  const RefPtr<Process> process = find_process(notification.process);
  if (process == nullptr) return;
  const Thread& sender = current_thread();
  SignalInfo info =
      SignalInfo::from_user(notification.signal, sender.pid(), sender.user().uid, kSiMesgQ);
  info.sender.value = notification.value;
  (void)send_signal(*process, info);
}

Result<void> MessageQueue::send(OwnPtr<QueuedMessage> message, bool blocking,
                                Nanoseconds deadline) {
  QueueNotification told;
  auto attempt = [&] {
    return state_.with([&](State& state) {
      if (state.list.size() >= shape.max_messages) return false;
      // Only a message that comes to an empty queue which nobody reads is news.
      if (state.list.is_empty() && state.receivers == 0)
        told = std::exchange(state.notification, {});
      state.bytes += message->data.size();
      insert_by_priority(state.list, *message.leak());
      return true;
    });
  };
  if (!attempt()) {
    if (!blocking) return Errno::kAgain;
    if (const auto waited = wait_until(writable_, deadline, Interruptible::kYes, attempt);
        waited.is_error()) {
      writable_.wake_one(kWritable);
      return waited;
    }
  }
  readable_.wake_one(kReadable);
  notify(told);
  return {};
}

Result<OwnPtr<QueuedMessage>> MessageQueue::receive(bool blocking, Nanoseconds deadline) {
  OwnPtr<QueuedMessage> taken;
  auto attempt = [&] {
    return state_.with([&](State& state) {
      QueuedMessage* const first = state.list.pop_front();
      if (first == nullptr) return false;
      taken = OwnPtr<QueuedMessage>::adopt(*first);
      state.bytes -= first->data.size();
      return true;
    });
  };
  if (!attempt()) {
    if (!blocking) return Errno::kAgain;
    state_.with([](State& state) { ++state.receivers; });
    const auto waited = wait_until(readable_, deadline, Interruptible::kYes, attempt);
    state_.with([](State& state) { --state.receivers; });
    if (waited.is_error()) {
      readable_.wake_one(kReadable);
      return waited.error();
    }
  }
  writable_.wake_one(kWritable);
  return taken;
}

size_t MessageQueue::messages() const {
  return state_.with([](const State& state) { return state.list.size(); });
}

uint64_t MessageQueue::queued_bytes() const {
  return state_.with([](const State& state) { return state.bytes; });
}

PollEvents MessageQueue::poll(Poller* poller) {
  if (poller != nullptr) {
    (void)poller->watch(readable_);
    (void)poller->watch(writable_);
  }
  const size_t count = messages();
  return (count != 0 ? kReadable : 0) | (count < shape.max_messages ? kWritable : 0);
}

Result<void> MessageQueue::set_notification(const QueueNotification& notification) {
  return state_.with([&](State& state) -> Result<void> {
    if (state.notification.process != 0) return Errno::kBusy;
    state.notification = notification;
    return {};
  });
}

void MessageQueue::forget_notification(Pid process) {
  QueueNotification gone;
  state_.with([&](State& state) {
    if (state.notification.process == process) std::swap(gone, state.notification);
  });
  if (gone.cookie) gone.cookie->send(NotificationCookie::News::kRemoved);
}

QueueNotification MessageQueue::notification() const {
  return state_.with([](const State& state) { return state.notification; });
}

}  // namespace occlum
