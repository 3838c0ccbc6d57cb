// See io_signals.h.
#include "libos/fs/vfs/io_signals.h"

#include "libos/fs/vfs/file.h"

namespace occlum {

namespace {

struct Outbox {
  IntrusiveList<AsyncEntry, &AsyncEntry::posted_node> posted;
};
[[clang::no_destroy]] constinit SpinLocked<Outbox> outbox{LockRank::kReady};
// Posted entries, and those that are being sent.
constinit std::atomic<uint32_t> unsent{0};
constinit std::atomic<Task*> io_sender{nullptr};

void post(Outbox& all, AsyncEntry& entry, IoReason reason) {
  ++entry.times[static_cast<size_t>(reason) - 1];
  if (entry.is_posted) return;
  entry.is_posted = true;
  all.posted.push_back(entry);
  unsent.fetch_add(1);
}

void wake_sender() {
  if (Task* sender = io_sender.load(std::memory_order_acquire)) sender->unpark();
}

// What was posted for it is not sent any more.
void withdraw(Outbox& all, AsyncEntry& entry) {
  if (!entry.is_posted) return;
  all.posted.remove(entry);
  entry.is_posted = false;
  entry.times = {};
  unsent.fetch_sub(1);
}

}  // namespace

IoSignals::IoSignals(File& file) : file_(file) {
  for (AsyncEntry& entry : entries_) entry.signals = this;
  urgent_.signals = this;
}
IoSignals::~IoSignals() {
  leave();
  outbox.with([&](Outbox& all) { withdraw(all, urgent_); });
}

void IoSignals::set_owner(const IoOwner& owner, Replace replace) {
  outbox.with([&](Outbox&) {
    if (replace == Replace::kYes || owner_.number == 0) owner_ = owner;
  });
}
IoOwner IoSignals::owner() const {
  return outbox.with([&](Outbox&) { return owner_; });
}
void IoSignals::set_signal(int signal) {
  outbox.with([&](Outbox&) { signal_ = signal; });
}
int IoSignals::signal() const {
  return outbox.with([&](Outbox&) { return signal_; });
}

void IoSignals::join(AsyncList& list, int fd) {
  outbox.with([&](Outbox&) {
    AsyncEntry* free = nullptr;
    for (AsyncEntry& entry : entries_) {
      if (entry.list == &list) {
        entry.fd = fd;
        return;
      }
      if (entry.list == nullptr && free == nullptr) free = &entry;
    }
    ASSERT(free != nullptr);
    free->list = &list;
    free->fd = fd;
    list.entries_.push_front(*free);
    list.has_entries_.store(true, std::memory_order_relaxed);
    file_.note_async(true);
  });
}

void IoSignals::leave() {
  outbox.with([&](Outbox& all) {
    for (AsyncEntry& entry : entries_) {
      if (entry.list == nullptr) continue;
      withdraw(all, entry);
      entry.list->entries_.remove(entry);
      if (entry.list->entries_.is_empty())
        entry.list->has_entries_.store(false, std::memory_order_relaxed);
      entry.list = nullptr;
      file_.note_async(false);
    }
  });
}

void IoSignals::reset() {
  leave();
  outbox.with([&](Outbox&) {
    owner_ = {};
    signal_ = 0;
  });
}

AsyncList::~AsyncList() {
  outbox.with([&](Outbox& all) {
    while (AsyncEntry* entry = entries_.pop_front()) {
      withdraw(all, *entry);
      entry->list = nullptr;
      entry->signals->file_.note_async(false);
    }
  });
}

void AsyncList::post_to_all(IoReason reason) {
  outbox.with([&](Outbox& all) {
    for (AsyncEntry& entry : entries_) occlum::post(all, entry, reason);
  });
  wake_sender();
}

void IoSignals::post_urgent() {
  outbox.with([&](Outbox& all) {
    if (owner_.number == 0) return;
    occlum::post(all, urgent_, IoReason::kPriority);
    for (const AsyncEntry& entry : entries_) {
      if (entry.list != nullptr) urgent_.fd = entry.fd;
    }
  });
  wake_sender();
}

bool take_posted_io(PostedIo& posted) {
  return outbox.with([&](Outbox& all) {
    AsyncEntry* entry = all.posted.pop_front();
    if (entry == nullptr) return false;
    entry->is_posted = false;
    const IoSignals& signals = *entry->signals;
    posted = {.owner = signals.owner_,
              .signal = signals.signal_,
              .fd = entry->fd,
              .times = std::exchange(entry->times, {}),
              .is_urgent = entry == &signals.urgent_};
    return true;
  });
}

void note_posted_io_sent() { unsent.fetch_sub(1); }
bool has_posted_io() { return unsent.load(std::memory_order_relaxed) != 0; }
void set_io_sender(Task& sender) { io_sender.store(&sender, std::memory_order_release); }

}  // namespace occlum
