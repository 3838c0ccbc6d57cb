#include "libos/ipc/inotify_file.h"

#include <array>

#include "libos/fs/vfs/watch.h"
#include "libos/lib/bits.h"
#include "libos/lib/memory.h"
#include "libos/lib/text.h"
#include "libos/mm/user.h"

namespace occlum {
namespace {

// struct inotify_event without its name.
struct Header {
  int32_t watch;
  uint32_t mask, cookie, name_bytes;
};
static_assert(sizeof(Header) == 16);

// By the low bits of the user's number, as for queued signals.
constexpr size_t kUserCounts = 256;
constexpr uint32_t kMostQueues = 128;  // max_user_instances
constinit std::array<std::atomic<uint32_t>, kUserCounts> queue_counts = {};
std::atomic<uint32_t>& queues_of(uint32_t user) { return queue_counts[user % kUserCounts]; }

}  // namespace

size_t InotifyQueue::Event::name_bytes() const {
  return name.is_empty() ? 0 : align_up(name.size() + 1, sizeof(Header));
}
size_t InotifyQueue::Event::bytes() const { return sizeof(Header) + name_bytes(); }

bool InotifyQueue::Event::is_like(const Event& other) const {
  return mask == other.mask && watch == other.watch && name.view() == other.name.view() &&
         (mask & kNotifyIgnored) == 0;
}

InotifyQueue::State::~State() {
  while (Event* event = events.pop_front()) (void)OwnPtr<Event>::adopt(*event);
}

InotifyQueue::~InotifyQueue() { queues_of(user_).fetch_sub(1, std::memory_order_relaxed); }

// The latest event is not queued twice. When the queue is full, one event says that others were lost; when there is no
// memory, they are lost as well.
void InotifyQueue::on_event(const Watch& watch, uint32_t mask, uint32_t cookie,
                            std::string_view name) {
  Result<OwnPtr<Event>> made = make_own<Event>();
  Result<String> copy = String::create(name);
  if (made.is_error() || copy.is_error()) return;
  OwnPtr<Event> event = made.release_value();
  event->watch = watch.number;
  event->mask = mask;
  event->cookie = cookie;
  event->name = copy.release_value();
  const bool queued = state_.with([&](State& state) {
    const Event* last = state.events.last();
    if (last != nullptr && last->is_like(*event)) return false;
    if (state.events.size() > kMostEvents) return false;
    if (state.events.size() == kMostEvents) {
      event->watch = -1;
      event->mask = kNotifyOverflow;
      event->cookie = 0;
      event->name = String();
    }
    state.bytes += event->bytes();
    state.events.push_back(*event.leak());
    return true;
  });
  if (!queued) return;
  readable_.wake_all(kReadable);
  signals_.post(IoReason::kIn);
}

Result<size_t> InotifyQueue::take(DataSink& sink) {
  size_t total = 0;
  while (true) {
    bool is_too_large = false;
    Event* next = state_.with([&](State& state) -> Event* {
      Event* first = state.events.first();
      if (first == nullptr) return nullptr;
      is_too_large = first->bytes() > sink.remaining();
      if (is_too_large) return nullptr;
      state.bytes -= first->bytes();
      return state.events.pop_front();
    });
    if (next == nullptr) {
      if (total != 0) return total;
      return is_too_large ? Errno::kInval : Errno::kAgain;
    }
    const OwnPtr<Event> event = OwnPtr<Event>::adopt(*next);
    const Header header{.watch = event->watch,
                        .mask = event->mask,
                        .cookie = event->cookie,
                        .name_bytes = static_cast<uint32_t>(event->name_bytes())};
    TRY(sink.write(object_bytes(header)));
    TRY(sink.write(text_bytes(event->name.view())));
    TRY(sink.write_zeroes(event->name_bytes() - event->name.size()));
    total += event->bytes();
  }
}

bool InotifyQueue::is_empty() const {
  return state_.with([](const State& state) { return state.events.is_empty(); });
}
size_t InotifyQueue::readable_bytes() const {
  return state_.with([](const State& state) { return state.bytes; });
}

Result<RefPtr<File>> InotifyFile::create(uint32_t user, uint32_t flags) {
  std::atomic<uint32_t>& count = queues_of(user);
  if (count.fetch_add(1, std::memory_order_relaxed) >= kMostQueues) {
    count.fetch_sub(1, std::memory_order_relaxed);
    return Errno::kMFile;
  }
  Result<RefPtr<InotifyQueue>> queue = make_ref<InotifyQueue>(user);
  if (queue.is_error()) {
    count.fetch_sub(1, std::memory_order_relaxed);
    return queue.error();
  }
  return RefPtr<File>(TRY(make_ref<InotifyFile>(queue.release_value(), flags)));
}

InotifyFile::~InotifyFile() { remove_all_watches(*queue_); }

Result<size_t> InotifyFile::read(DataSink& sink) {
  while (true) {
    const Result<size_t> taken = queue_->take(sink);
    if (!taken.is_error() || taken.error() != Errno::kAgain || is_nonblocking()) return taken;
    TRY(wait_until(queue_->readable(), kNever, Interruptible::kYes,
                   [&] { return !queue_->is_empty(); }));
  }
}

Result<long> InotifyFile::ioctl(Thread&, uint32_t request, uint64_t argument) {
  if (request != kFionRead) return Errno::kNotTty;
  TRY(UserOut<int>(UserAddress(argument)).write(static_cast<int>(queue_->readable_bytes())));
  return 0L;
}

PollEvents InotifyFile::poll(Poller* poller) {
  if (poller != nullptr) (void)poller->watch(queue_->readable());
  return queue_->is_empty() ? 0 : kReadable;
}

Result<String> InotifyFile::describe() { return String::create("anon_inode:inotify"); }

}  // namespace occlum
