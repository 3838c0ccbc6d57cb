// Who is unreachable: of the sockets that travel, those are *candidates* that have no other references
// than those of messages. What lies in the mailbox of somebody else is live, and so is what lies in
// the mailbox of a live one. The rest only hold each other.
#include "libos/ipc/unix_collector.h"

#include "libos/ipc/unix_socket.h"
#include "libos/lib/address.h"
#include "libos/lib/hash_map.h"
#include "libos/lib/list.h"

namespace occlum {

namespace {

struct Flight {
  UnixSocket* socket = nullptr;
  uint32_t messages = 0;  // that it is in
  uint32_t inside = 0;    // of these, in candidates' mailboxes
  bool live = false;
  Flight* next_live = nullptr;  // of the live ones that are still to be followed
};
struct Flights {
  HashMap<uint64_t, Flight> sockets;  // by address
};
constinit SpinLocked<Flights> flights{LockRank::kPipe};
constinit std::atomic<size_t> in_flight{0};

UnixSocket* unix_socket_of(File& file) {
  if (file.kind() != FileKind::kSocket || static_cast<Socket&>(file).domain() != kAfUnix)
    return nullptr;
  return &static_cast<UnixSocket&>(file);
}

void mark_live(Flight& flight, Flight*& to_follow) {
  if (flight.live) return;
  flight.live = true;
  flight.next_live = std::exchange(to_follow, &flight);
}

// Marks what is live, in time that grows with the number of messages.
void find_live(Flights& all) {
  Flight* to_follow = nullptr;
  const auto has_owner = [](const Flight& flight) {
    return flight.socket->reference_count() != flight.messages;
  };
  all.sockets.for_each([&](uint64_t, Flight& flight) {
    flight.inside = 0;
    flight.live = false;
  });
  all.sockets.for_each([&](uint64_t, Flight& flight) {
    if (has_owner(flight)) return mark_live(flight, to_follow);
    flight.socket->inbox().for_each_file([&](File& file) {
      if (Flight* inner = all.sockets.find(address_of(&file))) ++inner->inside;
    });
  });
  all.sockets.for_each([&](uint64_t, Flight& flight) {
    if (flight.inside != flight.messages) mark_live(flight, to_follow);
  });
  while (to_follow != nullptr) {
    Flight& flight = *to_follow;
    to_follow = flight.next_live;
    flight.socket->inbox().for_each_file([&](File& file) {
      if (Flight* inner = all.sockets.find(address_of(&file))) mark_live(*inner, to_follow);
    });
  }
}

// One task's releases: those that it causes by releasing are put off to its outermost one.
struct Drain {
  ListNode node;
  const Task* task = nullptr;
  Vec<RefPtr<File>> files;
};
struct Drains {
  IntrusiveList<Drain, &Drain::node> list;
};
constinit SpinLocked<Drains> drains{LockRank::kPipe};

bool put_off(Vec<RefPtr<File>>& files) {
  const Task* const self = &current_task();
  return drains.with([&](Drains& all) {
    for (Drain& drain : all.list) {
      if (drain.task != self) continue;
      if (drain.files.reserve(drain.files.size() + files.size()).is_error()) return false;
      for (RefPtr<File>& file : files) drain.files.push_reserved(std::move(file));
      return true;
    }
    return false;
  });
}

}  // namespace

Result<void> begin_flight(File& file) {
  if (UnixSocket* const socket = unix_socket_of(file)) {
    TRY(flights.with([&](Flights& all) -> Result<void> {
      Flight* flight = all.sockets.find(address_of(&file));
      if (flight == nullptr) flight = TRY(all.sockets.insert(address_of(&file), Flight{}));
      flight->socket = socket;
      ++flight->messages;
      return {};
    }));
  }
  in_flight.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void end_flight(File& file) {
  in_flight.fetch_sub(1, std::memory_order_relaxed);
  if (unix_socket_of(file) == nullptr) return;
  flights.with([&](Flights& all) {
    Flight* const flight = all.sockets.find(address_of(&file));
    if (flight != nullptr && --flight->messages == 0) all.sockets.remove(address_of(&file));
  });
}

size_t files_in_flight() { return in_flight.load(std::memory_order_relaxed); }

void release_flown(Vec<RefPtr<File>> files) {
  if (files.is_empty() || put_off(files)) return;
  Drain drain;
  drain.task = &current_task();
  drain.files = std::move(files);
  drains.with([&](Drains& all) { all.list.push_back(drain); });
  while (true) {
    const RefPtr<File> next = drains.with([&](Drains& all) -> RefPtr<File> {
      if (!drain.files.is_empty()) return drain.files.pop();
      all.list.remove(drain);
      return nullptr;
    });
    if (next == nullptr) return;
    next->remove_descriptor();
  }
}

void collect_unreachable_sockets() {
  Vec<RefPtr<UnixSocket>> unreachable;
  flights.with([&](Flights& all) {
    if (all.sockets.is_empty()) return;
    find_live(all);
    all.sockets.for_each([&](uint64_t, Flight& flight) {
      if (!flight.live) (void)unreachable.push(ref_to(*flight.socket));
    });
  });
  for (const RefPtr<UnixSocket>& socket : unreachable) (void)socket->inbox().stop_reading();
}

}  // namespace occlum
