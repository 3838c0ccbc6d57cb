// Sending and receiving on unix sockets.
#include <algorithm>
#include <utility>

#include "libos/ipc/unix_control.h"
#include "libos/ipc/unix_socket.h"
#include "libos/lib/memory.h"
#include "libos/process/signals/send.h"
#include "libos/process/thread.h"

namespace occlum {

namespace {
constexpr size_t kStreamChunk = 32 * 1024;

bool has_address(const OutgoingMessage& message) {
  return message.to != nullptr && !message.to->is_empty();
}
}  // namespace

// --- sending ---

bool UnixSocket::may_send() const {
  return state_.with([](const State& state) { return state.may_send; });
}

Result<RefPtr<Mailbox>> UnixSocket::stream_destination(const OutgoingMessage& message) const {
  Phase phase = Phase::kUnconnected;
  RefPtr<Mailbox> other = state_.with([&](const State& state) {
    phase = state.phase;
    return state.peer;
  });
  if (has_address(message)) return phase == Phase::kConnected ? Errno::kIsConn : Errno::kOpNotSupp;
  if (other == nullptr) return Errno::kNotConn;
  if (!may_send() || other->send_state(*inbox_).refused) return Errno::kPipe;
  return other;
}

Result<void> UnixSocket::take_error() {
  if (inbox_->take_error()) return Errno::kConnReset;
  return {};
}

// What is wrong before the message and where it goes to are looked at.
Result<void> UnixSocket::check_packet_sender(const OutgoingMessage& message) {
  if (is_datagram() && has_address(message)) TRY(check_unix_address(*message.to));
  TRY(name_for_credentials());
  if (message.data.remaining() > Mailbox::kDefaultLimit - 32) return Errno::kMsgSize;
  TRY(take_error());
  if (!may_send()) return Errno::kPipe;
  return {};
}

// Sequenced packets go to the peer whatever the address.
Result<RefPtr<Mailbox>> UnixSocket::packet_destination(const OutgoingMessage& message) {
  RefPtr<Mailbox> other;
  if (is_datagram() && has_address(message)) {
    other = TRY(find_unix_socket(current_thread(), *message.to, type()))->inbox_;
  } else {
    other = peer();
  }
  if (other == nullptr) return Errno::kNotConn;
  if (!other->accepts_from(*inbox_)) return Errno::kPerm;
  return other;
}

Result<OwnPtr<Packet>> UnixSocket::make_packet(DataSource& data, size_t size) {
  auto packet = TRY(make_own<Packet>());
  packet->data = TRY(Vec<std::byte>::create(size));
  TRY(data.read(packet->data.span()));
  packet->sender = inbox_;
  return packet;
}

// Who sent a message is noted when one of both asks for it; a reader who asks later learns nobody.
UserIdentity UnixSocket::identity_for(const Mailbox& other,
                                      const std::optional<UserIdentity>& given) const {
  constexpr uint32_t kNobody = 65534;  // the overflow ids
  if (given) return *given;
  if (!inbox_->passes_credentials.load(std::memory_order_relaxed) &&
      !other.passes_credentials.load(std::memory_order_relaxed)) {
    return {.pid = 0, .uid = kNobody, .gid = kNobody};
  }
  Thread& self = current_thread();
  return {.pid = self.pid(), .uid = self.user().uid, .gid = self.user().gid};
}

Result<size_t> UnixSocket::send_stream(OutgoingMessage& message, FilesInFlight files,
                                       const std::optional<UserIdentity>& given) {
  const RefPtr<Mailbox> other = TRY(stream_destination(message));
  const Nanoseconds deadline = send_deadline();
  size_t total = 0;
  while (message.data.remaining() != 0) {
    auto failed = [&](Errno error) { return total != 0 ? Result<size_t>(total) : error; };
    Mailbox::SendState sending;
    auto has_room = [&] {
      sending = other->send_state(*inbox_);
      return sending.refused || sending.room > Mailbox::kPacketCost;
    };
    if (!has_room()) {
      inbox_->misses_room.store(true, std::memory_order_relaxed);
      if (must_not_block(message.flags)) return failed(Errno::kAgain);
      const auto waited = wait_until(inbox_->writable, deadline, Interruptible::kYes, has_room);
      if (waited.is_error()) return failed(wait_error(waited.error(), deadline, Errno::kAgain));
    }
    if (sending.refused || !may_send()) return failed(Errno::kPipe);
    const size_t size =
        std::min({message.data.remaining(), kStreamChunk, sending.room - Mailbox::kPacketCost});
    auto packet = make_packet(message.data, size);
    if (packet.is_error()) return failed(packet.error());
    packet.value()->identity = identity_for(*other, given);
    packet.value()->files = std::exchange(files, {});  // The first packet carries them all.
    if (!other->post(packet.release_value())) return failed(Errno::kPipe);
    total += size;
  }
  return total;
}

Result<size_t> UnixSocket::send_packet(OutgoingMessage& message, FilesInFlight files,
                                       const std::optional<UserIdentity>& given) {
  TRY(check_packet_sender(message));
  const size_t size = message.data.remaining();
  auto packet = TRY(make_packet(message.data, size));
  const RefPtr<Mailbox> other = TRY(packet_destination(message));
  packet->identity = identity_for(*other, given);
  packet->files = std::move(files);
  const Nanoseconds deadline = send_deadline();
  bool refused = false, dead = false;
  auto has_room = [&] {
    const Mailbox::SendState sending = other->send_state(*inbox_);
    refused = sending.refused;
    dead = sending.dead;
    return refused || ((sending.has_packet_room || !is_datagram()) &&
                       sending.room >= std::min(size + Mailbox::kPacketCost, other->limit()));
  };
  if (!has_room()) {
    if (must_not_block(message.flags)) return Errno::kAgain;
    WaitQueue& queue = is_datagram() ? other->space : inbox_->writable;
    const auto waited = wait_until(queue, deadline, Interruptible::kYes, has_room);
    if (waited.is_error()) return wait_error(waited.error(), deadline, Errno::kAgain);
  }
  if (refused || !other->post(std::move(packet))) return no_receiver(*other, dead);
  return size;
}

// A datagram socket whose peer has gone is not connected any more.
Errno UnixSocket::no_receiver(const Mailbox& other, bool dead) {
  if (!is_datagram() || !dead) return Errno::kPipe;
  if (peer().get() == &other) change_peer(nullptr);
  return Errno::kConnRefused;
}

// MSG_OOB is as on a Linux without CONFIG_AF_UNIX_OOB.
Result<size_t> UnixSocket::send(OutgoingMessage& message) {
  Thread& self = current_thread();
  if (type() == kSeqPacket) {
    if (inbox_->take_error()) return Errno::kConnReset;
    if (peer() == nullptr) return Errno::kNotConn;
  }
  std::optional<UserIdentity> given;
  FilesInFlight files;
  if (!message.control.empty()) {
    UnixControl control = TRY(parse_unix_control(self, message.control));
    given = control.identity;
    files = std::move(control.files);
  }
  if ((message.flags & kMsgOob) != 0) return Errno::kOpNotSupp;
  const auto sent = is_stream() ? send_stream(message, std::move(files), given)
                                : send_packet(message, std::move(files), given);
  if (sent.is_error() && sent.error() == Errno::kPipe && is_stream() &&
      (message.flags & kMsgNoSignal) == 0) {
    send_signal_to_self(kSigPipe);
  }
  return sent;
}

// --- receiving ---

// Takes the reading right.
Result<UnixSocket::ReadTurn> UnixSocket::wait_to_read(uint32_t message_flags,
                                                      Nanoseconds deadline) {
  ReadTurn turn;
  Mailbox::Look look = Mailbox::Look::kNothing;
  const bool at_once = must_not_block(message_flags);
  auto attempt = [&] {
    look = inbox_->begin_read(is_stream() ? Mailbox::First::kPackets : Mailbox::First::kError);
    if (look == Mailbox::Look::kBusy) return false;
    return look != Mailbox::Look::kNothing || at_once;
  };
  if (!attempt()) {
    turn.waited = true;
    if (is_stream()) inbox_->waiting_readers.fetch_add(1, std::memory_order_relaxed);
    const auto waited = wait_until(inbox_->readable, deadline, Interruptible::kYes, attempt);
    if (is_stream()) inbox_->waiting_readers.fetch_sub(1, std::memory_order_relaxed);
    if (waited.is_error()) {
      inbox_->readable.wake_one(kPollIn | kPollRdNorm);
      return wait_error(waited.error(), deadline, Errno::kAgain);
    }
  }
  switch (look) {
    case Mailbox::Look::kNothing:
    case Mailbox::Look::kBusy:
      return Errno::kAgain;
    case Mailbox::Look::kReset:
      return Errno::kConnReset;
    case Mailbox::Look::kEnd:
      // Only who waits is told that a datagram socket was shut down.
      if (is_datagram() && at_once) return Errno::kAgain;
      turn.ended = true;
      return turn;
    case Mailbox::Look::kPacket:
      return turn;
  }
  return Errno::kIo;
}

void UnixSocket::note_sender(const Packet& packet, IncomingMessage& message) {
  if (const RefPtr<UnixName> name = packet.sender->name()) message.from = name->address;
}

// Who sent it, and what came with it. With the reading right.
Result<void> UnixSocket::describe_packet(Packet& packet, IncomingMessage& message) {
  note_sender(packet, message);
  const bool wants_identity = inbox_->passes_credentials.load(std::memory_order_relaxed);
  if (!wants_identity && packet.files.is_empty()) return {};
  if ((message.flags & kMsgPeek) != 0) {
    const FilesInFlight copies = TRY(packet.files.clone());
    return build_unix_control(current_thread(), message,
                              wants_identity ? &packet.identity : nullptr, copies);
  }
  const FilesInFlight files = std::move(packet.files);
  packet.files = FilesInFlight();
  return build_unix_control(current_thread(), message, wants_identity ? &packet.identity : nullptr,
                            files);
}

void UnixSocket::made_room() {
  inbox_->space.wake_all(kWritable);
  const RefPtr<Mailbox> other = peer();
  if (other == nullptr || is_datagram()) return;
  other->writable.wake_all(kWritable);
  if (!other->misses_room.load(std::memory_order_relaxed)) return;
  const Mailbox::SendState sending = inbox_->send_state(*other);
  if (sending.room >= inbox_->limit() / 4 * 3 && other->misses_room.exchange(false))
    other->signals.post(IoReason::kOut);
}

// Bytes of as many packets as the sink takes, up to and with one that brings files, but not across
// another sender's identity when identities are asked for.
Result<size_t> UnixSocket::take_stream(IncomingMessage& message, size_t wanted, bool& stop) {
  const bool peek = (message.flags & kMsgPeek) != 0;
  const bool wants_identity = inbox_->passes_credentials.load(std::memory_order_relaxed);
  size_t total = 0;
  UserIdentity identity;
  FilesInFlight files;
  bool looked = false;  // the first one even if nothing is wanted, for its files
  // Who peeks has enough, and still looks on for files, as on Linux.
  for (Packet* packet = inbox_->first();
       packet != nullptr && (total < wanted || !looked || peek) && !stop;) {
    if (wants_identity && looked && !(packet->identity == identity)) {
      stop = true;
      break;
    }
    looked = true;
    note_sender(*packet, message);
    identity = packet->identity;
    const size_t count = std::min(packet->left(), wanted - total);
    const std::span<const std::byte> bytes = packet->data.span().subspan(packet->consumed, count);
    if (const auto stored = message.data.write(bytes); stored.is_error()) {
      if (total == 0) return stored.error();
      break;
    }
    total += count;
    if (!packet->files.is_empty()) {
      files = peek ? TRY(packet->files.clone()) : std::move(packet->files);
      if (!peek) packet->files = FilesInFlight();
      stop = true;
    }
    Packet* following = inbox_->next(*packet);
    if (!peek) inbox_->consumed(*packet, count);
    packet = peek ? following : inbox_->first();
  }
  if (looked && message.control.is_empty() && (wants_identity || !files.is_empty()))
    TRY(build_unix_control(current_thread(), message, wants_identity ? &identity : nullptr, files));
  return total;
}

Result<size_t> UnixSocket::take_packet(IncomingMessage& message) {
  Packet* packet = inbox_->first();
  const size_t size = packet->left();
  const size_t count = std::min(size, message.data.remaining());
  if (count < size) message.result_flags |= kMsgTruncated;
  const Result<void> stored = message.data.write(
      std::span<const std::byte>(packet->data.span()).subspan(packet->consumed, count));
  Result<void> described;
  if (!stored.is_error()) described = describe_packet(*packet, message);
  if ((message.flags & kMsgPeek) == 0) inbox_->pop(*packet);
  if (stored.is_error()) return stored.error();
  if (described.is_error()) return described.error();
  return (message.flags & kMsgTruncated) != 0 ? size : count;
}

Result<size_t> UnixSocket::receive(IncomingMessage& message) {
  if (!is_datagram()) {
    const Phase phase = state_.with([](const State& state) { return state.phase; });
    if (phase != Phase::kConnected) return is_stream() ? Errno::kInval : Errno::kNotConn;
  }
  if ((message.flags & kMsgOob) != 0) return is_stream() ? Errno::kInval : Errno::kOpNotSupp;
  const Nanoseconds deadline = receive_deadline();
  const size_t wanted = message.data.remaining();
  const bool peek = (message.flags & kMsgPeek) != 0;
  const bool wait_all = is_stream() && !peek && (message.flags & kMsgWaitAll) != 0;
  // A stream's reader waits for that much, and for something even if it wants nothing.
  size_t least = wanted;
  if (!wait_all) {
    const int lowat = peek ? 1 : receive_least_.load(std::memory_order_relaxed);
    least = std::max<size_t>(std::min(wanted, static_cast<size_t>(lowat)), 1);
  }
  size_t total = 0;
  for (;;) {
    bool stop = false;
    const auto right = wait_to_read(message.flags, deadline);
    if (right.is_error()) return total != 0 ? Result<size_t>(total) : right.error();
    if (right.value().ended) {
      // At the end of a stream nobody has sent: Linux then names a sender of zeros.
      const UserIdentity nobody = {.pid = 0, .uid = 0, .gid = 0};
      if (is_stream() && message.control.is_empty() && inbox_->passes_credentials.load())
        TRY(build_unix_control(current_thread(), message, &nobody, {}));
      return total;
    }
    const auto count =
        is_stream() ? take_stream(message, wanted - total, stop) : take_packet(message);
    inbox_->end_read(right.value().waited);
    if (!peek) made_room();
    if (count.is_error()) return total != 0 ? Result<size_t>(total) : count.error();
    total += count.value();
    if (!is_stream() || stop || total == wanted || total >= least) return total;
  }
}

}  // namespace occlum
