#include "libos/ipc/epoll.h"

#include <algorithm>

#include "libos/lib/string.h"

namespace occlum {

namespace {

constexpr uint32_t kAlwaysReported = kPollErr | kPollHup;
constexpr uint32_t kFlags = kEpollExclusive | kEpollWakeup | kEpollOneShot | kEpollEdge;
constexpr uint32_t kExclusiveAllowed =
    kPollIn | kPollOut | kPollErr | kPollHup | kEpollWakeup | kEpollEdge | kEpollExclusive;
// How many sets may contain each other in a row, below the outermost one.
constexpr int kMaxNesting = 4;

// One epoll_ctl at a time that puts a set into a set, so that two cannot close a loop together.
struct Nothing {};
constinit MutexLocked<Nothing> nesting{LockRank::kFutex};

}  // namespace

// --- items ---

EpollFile::Item::~Item() { leave_queues(); }

void EpollFile::Item::Place::join(Item& item, WaitQueue& queue) {
  item_ = &item;
  queue_ = &queue;
  queue.add(*this);
}

void EpollFile::Item::Place::leave() {
  if (queue_ != nullptr) queue_->remove(*this);
  queue_ = nullptr;
}

bool EpollFile::Item::Place::on_wake(uint32_t events) {
  return item_->set_.item_woken(*item_, events);
}

Result<void> EpollFile::Item::watch(WaitQueue& queue) {
  return places_.with([&](Places& places) -> Result<void> {
    if (places.closed) return {};
    if (!places.first_used) {
      places.first_used = true;
      places.first.join(*this, queue);
      return {};
    }
    auto place = make_own<Place>();
    if (place.is_error() || places.more.push(place.release_value()).is_error()) {
      places.failed = true;
      return Errno::kNoMem;
    }
    places.more.last()->join(*this, queue);
    return {};
  });
}

void EpollFile::Item::leave_queues() {
  places_.with([](Places& places) {
    places.closed = true;
    places.first.leave();
    for (OwnPtr<Place>& place : places.more) place->leave();
  });
}

bool EpollFile::Item::watch_failed() const {
  return places_.with([](const Places& places) { return places.failed; });
}

// --- wakers ---

void EpollFile::wake_sleeper(Ready& ready) {
  if (Sleeper* sleeper = ready.sleepers.pop_front()) sleeper->task.unpark();
}

PollEvents EpollFile::reported(const Item& item, PollEvents current) {
  if (item.is_gone_ || item.is_spent_) return 0;
  return current & ((item.events_ & ~kFlags) | kAlwaysReported);
}

// In a waker's context, with the file's queue locked. True: this exclusive item consumed the wake.
bool EpollFile::item_woken(Item& item, uint32_t events) {
  const bool consumed = ready_.with([&](Ready& ready) {
    if (reported(item, events) == 0) return false;
    const bool has_sleeper = !ready.sleepers.is_empty();
    if (!item.ready_node_.is_linked()) ready.items.push_back(item);
    wake_sleeper(ready);
    return (item.events_ & kEpollExclusive) != 0 && has_sleeper;
  });
  if (is_polled_.load(std::memory_order_acquire)) nested_wake_.arm(monotonic_now());
  return consumed;
}

void EpollFile::NestedWake::expired() { set_.pollers_.wake_all(kPollIn | kPollRdNorm); }

void EpollFile::make_ready(Item& item) {
  ready_.with([&](Ready& ready) {
    if (item.is_gone_) return;
    if (!item.ready_node_.is_linked()) ready.items.push_back(item);
    wake_sleeper(ready);
  });
  if (is_polled_.load(std::memory_order_acquire)) pollers_.wake_all(kPollIn | kPollRdNorm);
}

// --- epoll_ctl ---

EpollFile::~EpollFile() {
  Tree<Key, RefPtr<Item>> tree;
  items_.with([&](Items& items) { std::swap(tree, items.tree); });
  for (auto& entry : tree) {
    EpollRegistry::remove(*entry.key.file, *this);
    drop(entry.value);
  }
}

// Takes the item out of the queues and off the ready list; it is in the tree no more.
void EpollFile::drop(RefPtr<Item> item) {
  item->leave_queues();
  ready_.with([&](Ready& ready) {
    item->is_gone_ = true;
    if (item->ready_node_.is_linked()) ready.items.remove(*item);
  });
}

Result<Vec<RefPtr<File>>> EpollFile::watched_sets() const {
  Vec<RefPtr<File>> sets;
  TRY(items_.with([&](const Items& items) -> Result<void> {
    for (const auto& entry : items.tree) {
      if (entry.value->file().kind() == FileKind::kEpoll) TRY(sets.push(entry.value->file_));
    }
    return {};
  }));
  return sets;
}

Result<void> EpollFile::check_nesting(const EpollFile& target, int depth) const {
  if (this == &target || depth > kMaxNesting) return Errno::kLoop;
  for (const RefPtr<File>& set : TRY(watched_sets())) {
    TRY(static_cast<const EpollFile&>(*set).check_nesting(target, depth + 1));
  }
  return {};
}

Result<void> EpollFile::add(int fd, const RefPtr<File>& file, EpollEvent event) {
  const bool is_set = file->kind() == FileKind::kEpoll;
  if ((event.events & kEpollExclusive) != 0 &&
      (is_set || (event.events & ~kExclusiveAllowed) != 0)) {
    return Errno::kInval;
  }
  auto item = TRY(make_ref<Item>(*this, fd, file));
  item->events_ = event.events;
  item->data_ = event.data;
  auto insert = [&]() -> Result<void> {
    return items_.with([&](Items& items) -> Result<void> {
      const Key key = {fd, file.get()};
      if (items.tree.find(key) != nullptr) return Errno::kExist;
      TRY(items.tree.insert(key, item));
      return {};
    });
  };
  if (is_set) {
    has_sets_.store(true, std::memory_order_release);
    TRY(nesting.with([&](Nothing&) -> Result<void> {
      const int above = EpollRegistry::sets_above(*this, kMaxNesting);
      TRY(static_cast<EpollFile&>(*file).check_nesting(*this, above + 1));
      return insert();
    }));
  } else {
    TRY(insert());
  }
  Result<void> result = EpollRegistry::add(*file, *this);
  const PollEvents current = result.is_error() ? 0 : file->poll(item.get());
  if (!result.is_error() && item->watch_failed()) result = Errno::kNoMem;
  if (result.is_error()) {
    (void)remove(fd, *file);
    return result;
  }
  if ((current & (event.events | kAlwaysReported)) != 0) make_ready(*item);
  return {};
}

Result<void> EpollFile::modify(int fd, File& file, EpollEvent event) {
  if ((event.events & kEpollExclusive) != 0) return Errno::kInval;
  RefPtr<Item> item = items_.with([&](Items& items) {
    RefPtr<Item>* found = items.tree.find(Key{fd, &file});
    return found != nullptr ? *found : RefPtr<Item>();
  });
  if (item == nullptr) return Errno::kNoEnt;
  const bool refused = ready_.with([&](Ready&) {
    if ((item->events_ & kEpollExclusive) != 0) return true;
    item->events_ = event.events;
    item->data_ = event.data;
    item->is_spent_ = false;
    return false;
  });
  if (refused) return Errno::kInval;
  if ((file.poll(nullptr) & (event.events | kAlwaysReported)) != 0) make_ready(*item);
  return {};
}

Result<void> EpollFile::remove(int fd, File& file) {
  auto taken = items_.with([&](Items& items) { return items.tree.take(Key{fd, &file}); });
  if (!taken) return Errno::kNoEnt;
  drop(*taken);
  EpollRegistry::remove(file, *this);
  return {};
}

// The file's last descriptor is gone: all its items here go.
void EpollFile::forget(const File& file) {
  for (;;) {
    RefPtr<Item> item;
    items_.with([&](Items& items) {
      for (auto& entry : items.tree) {
        if (entry.key.file != &file) continue;
        item = entry.value;
        break;
      }
      if (item != nullptr) items.tree.remove(Key{item->fd_, &file});
    });
    if (item == nullptr) return;
    drop(std::move(item));
  }
}

// --- epoll_wait ---

RefPtr<EpollFile::Item> EpollFile::next_ready() {
  return ready_.with([](Ready& ready) {
    Item* item = ready.items.pop_front();
    return item != nullptr ? ref_to(*item) : RefPtr<Item>();
  });
}

// The wake-up of a set inside may still be on its way through a timer: level-triggered items of sets
// are looked at here.
void EpollFile::look_into_sets() {
  if (!has_sets_.load(std::memory_order_acquire)) return;
  Vec<RefPtr<Item>> sets;
  items_.with([&](Items& items) {
    for (const auto& entry : items.tree) {
      if (entry.value->file().kind() == FileKind::kEpoll) (void)sets.push(entry.value);
    }
  });
  for (const RefPtr<Item>& item : sets) {
    const PollEvents current = item->file().poll(nullptr);
    ready_.with([&](Ready& ready) {
      if ((item->events_ & kEpollEdge) != 0 || reported(*item, current) == 0) return;
      if (!item->ready_node_.is_linked()) ready.items.push_back(*item);
    });
  }
}

// Judges an item that was taken off the list. True: it is to be reported.
bool EpollFile::collect(Item& item, PollEvents current, EpollEvent& event) {
  return ready_.with([&](Ready& ready) {
    event.events = reported(item, current);
    event.data = item.data_;
    if (event.events == 0) return false;
    if ((item.events_ & kEpollOneShot) != 0) {
      item.is_spent_ = true;
    } else if ((item.events_ & kEpollEdge) == 0 && !item.ready_node_.is_linked()) {
      ready.items.push_back(item);
    }
    return true;
  });
}

size_t EpollFile::collect_all(std::span<EpollEvent> events) {
  look_into_sets();
  // Items that are put back are not looked at twice.
  size_t left = ready_.with([](Ready& ready) { return ready.items.size(); });
  size_t count = 0;
  for (; left != 0 && count < events.size(); --left) {
    const RefPtr<Item> item = next_ready();
    if (item == nullptr) break;
    if (collect(*item, item->file().poll(nullptr), events[count])) ++count;
  }
  return count;
}

Result<size_t> EpollFile::wait(std::span<EpollEvent> events, Nanoseconds deadline) {
  Task& task = current_task();
  for (;;) {
    const size_t count = collect_all(events);
    if (count != 0) {
      ready_.with([](Ready& ready) {
        if (!ready.items.is_empty()) wake_sleeper(ready);
      });
      return count;
    }
    if (deadline == 0) return size_t{0};
    if (task.has_interrupt()) return Errno::kIntr;
    Sleeper sleeper(task);
    const bool must_sleep = ready_.with([&](Ready& ready) {
      if (!ready.items.is_empty()) return false;
      ready.sleepers.push_back(sleeper);
      return true;
    });
    if (!must_sleep) continue;
    const ParkResult parked = park(deadline, Interruptible::kYes);
    ready_.with([&](Ready& ready) {
      if (sleeper.node.is_linked()) {
        ready.sleepers.remove(sleeper);
      } else if (parked != ParkResult::kUnparked && !ready.items.is_empty()) {
        wake_sleeper(ready);  // the wake was for us, but we leave
      }
    });
    if (parked == ParkResult::kInterrupted) return Errno::kIntr;
    if (parked == ParkResult::kTimedOut) return collect_all(events);
  }
}

PollEvents EpollFile::poll(Poller* poller) {
  if (poller != nullptr) {
    is_polled_.store(true, std::memory_order_release);
    (void)poller->watch(pollers_);
  }
  look_into_sets();
  size_t left = ready_.with([](Ready& ready) { return ready.items.size(); });
  for (; left != 0; --left) {
    const RefPtr<Item> item = next_ready();
    if (item == nullptr) break;
    const PollEvents current = item->file().poll(nullptr);
    const bool is_ready = ready_.with([&](Ready& ready) {
      if (reported(*item, current) == 0) return false;
      if (!item->ready_node_.is_linked()) ready.items.push_back(*item);
      return true;
    });
    if (is_ready) return kPollIn | kPollRdNorm;
  }
  return 0;
}

Result<String> EpollFile::describe() { return String::create("anon_inode:[eventpoll]"); }

Result<Vec<EpollFile::Watched>> EpollFile::watched() const {
  Vec<Watched> all;
  TRY(items_.with([&](const Items& items) -> Result<void> {
    for (const auto& entry : items.tree) {
      TRY(all.push({entry.key.fd, {entry.value->events_, entry.value->data_}}));
    }
    return {};
  }));
  return all;
}

Result<RefPtr<File>> EpollFile::target(int fd, uint32_t offset) const {
  return items_.with([&](const Items& items) -> Result<RefPtr<File>> {
    for (const auto& entry : items.tree) {
      if (entry.key.fd == fd && offset-- == 0) return entry.value->file_;
    }
    return Errno::kNoEnt;
  });
}

}  // namespace occlum
