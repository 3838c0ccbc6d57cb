#include "libos/ipc/unix_mailbox.h"

#include "libos/ipc/unix_collector.h"

namespace occlum {

// --- files in flight ---

FilesInFlight& FilesInFlight::operator=(FilesInFlight&& other) noexcept {
  if (this != &other) {
    drop();
    files_ = std::move(other.files_);
  }
  return *this;
}

void FilesInFlight::drop() {
  if (files_.is_empty()) return;
  for (const RefPtr<File>& file : files_) end_flight(*file);
  release_flown(std::exchange(files_, {}));
}

Result<void> FilesInFlight::add(RefPtr<File> file) {
  TRY(files_.reserve(files_.size() + 1));
  TRY(begin_flight(*file));
  file->add_descriptor();
  files_.push_reserved(std::move(file));
  return {};
}

Result<FilesInFlight> FilesInFlight::clone() const {
  FilesInFlight copy;
  for (const RefPtr<File>& file : files_) TRY(copy.add(file));
  return copy;
}

// --- packets ---

void Packet::set_sender(RefPtr<Mailbox> from, size_t bytes) {
  sender = std::move(from);
  cost = bytes;
  sender->count_sent(bytes);
}

Packet::~Packet() {
  if (sender != nullptr) sender->count_read(cost);
}

// --- senders ---

Mailbox::~Mailbox() { (void)stop_reading(); }

Mailbox::SendState Mailbox::send_state(const Mailbox& sender) const {
  return state_.with([&](const State& state) {
    return SendState{
        .refused = state.stopped,
        .dead = state.dead,
        .has_packet_room = state.only_sender == &sender || state.packets.size() <= kMaxPackets};
  });
}

void Mailbox::set_send_limit(int bytes) {
  send_limit_ = bytes;
  writable.wake_all(kWritable);
}

void Mailbox::count_read(size_t bytes) {
  unread_bytes_ -= bytes;
  if (!is_writable()) return;
  writable.wake_all(kWritable);
  if (misses_room.load(std::memory_order_relaxed) && misses_room.exchange(false))
    signals.post(IoReason::kOut);
}

bool Mailbox::post(OwnPtr<Packet> packet, Urgency urgency) {
  const bool taken = state_.with([&](State& state) {
    if (state.stopped) return false;
    state.data_bytes += packet->data.size();
    Packet& posted = *packet.leak();
    state.packets.push_back(posted);
    if (urgency == Urgency::kNone) return true;
    state.urgent = &posted;
    IoSignals* const signals = state.owner != nullptr ? state.owner->io_signals() : nullptr;
    if (signals != nullptr) signals->post_urgent();
    return true;
  });
  if (!taken) return false;
  if (urgency == Urgency::kUrgent) readable.wake_all(kReadable | kPollPri);
  const bool is_awaited = waiting_readers.load(std::memory_order_relaxed) != 0;
  readable.wake_one(kReadable);
  if (!is_awaited) signals.post(IoReason::kIn);
  return true;
}

void Mailbox::end_of_data(Ending ending, IoReason reason) {
  state_.with([&](State& state) {
    state.ended = true;
    if (ending == Ending::kReset) state.error = Errno::kConnReset;
  });
  readable.wake_all(kReadable | kPollRdHup | kPollHup);
  writable.wake_all(kPollOut | kPollWrNorm | kPollHup);
  if (waiting_readers.load(std::memory_order_relaxed) == 0) signals.post(reason);
}

void Mailbox::lost_peer(const Mailbox& peer) {
  const bool told = state_.with([&](State& state) {
    if (state.dead || state.only_sender != &peer) return false;
    state.error = Errno::kConnReset;
    return true;
  });
  if (!told) return;
  readable.wake_all(kReadable | kPollErr);
  signals.post(IoReason::kError);
}

void Mailbox::for_each_file(FunctionRef<void(File&)> visit) const {
  state_.with([&](const State& state) {
    for (const Packet& packet : state.packets) {
      for (const RefPtr<File>& file : packet.files.files()) visit(*file);
    }
  });
}

// --- the owner ---

Packet* Mailbox::State::packet_at(size_t& skip) {
  Packet* packet = packets.first();
  while (packet != nullptr && skip >= packet->left() &&
         (packet->left() != 0 || skip != 0 || packet->was_peeked)) {
    skip -= packet->left();
    packet = packets.next(*packet);
  }
  return packet;
}

Mailbox::Look Mailbox::begin_read(First first, Reading reading, std::optional<size_t> skip) {
  PacketList passed;
  const Look look = state_.with([&](State& state) {
    if (state.reading) {
      state.contended = true;
      return Look::kBusy;
    }
    Packet* packet = skip ? state.packet_at(*skip) : state.packets.first();
    if (first == First::kPackets && packet != nullptr) {
      packet = state.pass_urgent(packet, reading, takes_urgent_inline, passed);
      if (packet == nullptr && reading.has_something) return Look::kMark;
    }
    if (packet != nullptr && !(state.error && first == First::kError)) {
      state.reading = true;
      return Look::kPacket;
    }
    if (state.error) return Look::kError;
    return state.ended || state.stopped ? Look::kEnd : Look::kNothing;
  });
  drop(passed);
  return look;
}

// Edge-triggered watchers see no new data in what a reader has left.
void Mailbox::end_read(bool waited) {
  bool more = false, contended = false;
  state_.with([&](State& state) {
    state.reading = false;
    more = !state.packets.is_empty();
    contended = std::exchange(state.contended, false);
  });
  if (contended) {
    readable.wake_all(kReadable);
  } else if (more && waited) {
    readable.wake_one(kReadable);
  }
}

Packet* Mailbox::first() {
  return state_.with([](State& state) { return state.packets.first(); });
}

Packet* Mailbox::next(Packet& packet) {
  return state_.with([&](State& state) { return state.packets.next(packet); });
}

Packet* Mailbox::packet_at(size_t& skip) {
  return state_.with([&](State& state) { return state.packet_at(skip); });
}

void Mailbox::consumed(Packet& packet, size_t bytes) {
  state_.with([&](State& state) {
    packet.consumed += bytes;
    state.data_bytes -= bytes;
  });
  if (packet.left() == 0) pop(packet);
}

void Mailbox::pop(Packet& packet) {
  state_.with([&](State& state) { state.take_out(packet); });
  (void)OwnPtr<Packet>::adopt(packet);  // freed here, outside of the lock: it may hold files
}

void Mailbox::shut_reading() {
  state_.with([](State& state) { state.stopped = true; });
  readable.wake_all(kReadable | kPollRdHup);
  space.wake_all(kPollOut | kPollErr);
}

bool Mailbox::stop_reading() {
  // One message without bytes counts as read: so says Linux since 6.14, where it may be what is left of urgent data.
  const bool unread = state_.with([](State& state) {
    state.stopped = state.dead = true;
    Packet* first = state.reading ? nullptr : state.packets.first();
    return first != nullptr && (first->left() != 0 || state.packets.next(*first) != nullptr);
  });
  (void)drop_queued();
  readable.wake_all(kReadable | kPollRdHup);
  space.wake_all(kPollOut | kPollErr);
  return unread;
}

bool Mailbox::drop_queued() {
  bool dropped = false;
  for (;;) {
    // A reader that is at work keeps what it has in hand: it ends soon, and the destructor takes
    // the rest.
    Packet* packet = state_.with([](State& state) -> Packet* {
      if (state.reading) return nullptr;
      Packet* one = state.packets.first();
      if (one != nullptr) state.take_out(*one);
      return one;
    });
    if (packet == nullptr) return dropped;
    dropped = true;
    (void)OwnPtr<Packet>::adopt(*packet);
  }
}

bool Mailbox::has_packet() const {
  return state_.with([](const State& state) { return !state.packets.is_empty(); });
}

bool Mailbox::is_ended() const {
  return state_.with([](const State& state) { return state.ended; });
}

bool Mailbox::has_stopped() const {
  return state_.with([](const State& state) { return state.stopped; });
}

bool Mailbox::has_error() const {
  return state_.with([](const State& state) { return state.error.has_value(); });
}

std::optional<Errno> Mailbox::take_error() {
  return state_.with([](State& state) { return std::exchange(state.error, std::nullopt); });
}

void Mailbox::set_error(Errno error) {
  state_.with([&](State& state) { state.error = error; });
}

size_t Mailbox::queued_bytes() const {
  return state_.with([](const State& state) { return state.data_bytes; });
}

size_t Mailbox::first_size() const {
  return state_.with([](const State& state) {
    const Packet* packet = state.packets.first();
    return packet != nullptr ? packet->left() : 0;
  });
}

void Mailbox::set_name(RefPtr<UnixName> name) {
  state_.with([&](State& state) { std::swap(state.name, name); });
}

RefPtr<UnixName> Mailbox::name() const {
  return state_.with([](const State& state) { return state.name; });
}

void Mailbox::set_only_sender(const Mailbox* sender) {
  state_.with([&](State& state) { state.only_sender = sender; });
}

bool Mailbox::accepts_from(const Mailbox& sender) const {
  return state_.with([&](const State& state) {
    return state.dead || state.only_sender == nullptr || state.only_sender == &sender;
  });
}

}  // namespace occlum
