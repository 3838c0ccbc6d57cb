// Sending on unix sockets.
#include <algorithm>
#include <bit>
#include <utility>

#include "libos/ipc/unix_control.h"
#include "libos/ipc/unix_socket.h"
#include "libos/lib/bits.h"
#include "libos/lib/memory.h"
#include "libos/process/signals/send.h"
#include "libos/process/thread.h"

namespace occlum {

namespace {
// What a packet counts for its sender is Linux's skb->truesize: itself, a buffer of a power of two with the frame's
// own information, and whole pages for what the buffer should not take (sock_alloc_send_pskb, unix(7) "sockets API").
constexpr size_t kFrame = 256, kSharedInfo = 320, kSmallestBuffer = 512;
constexpr size_t kLargestDatagramBuffer = 16384 - kSharedInfo;    // SKB_MAX_ALLOC
constexpr size_t kLargestStreamBuffer = kPageSize - kSharedInfo;  // SKB_MAX_HEAD(0)
constexpr size_t kMaxPagesSize = 17 * kPageSize;                  // MAX_SKB_FRAGS
constexpr size_t kStreamChunk = kLargestStreamBuffer + 32 * 1024;

size_t truesize(size_t size, bool is_stream) {
  const size_t buffer = is_stream ? kLargestStreamBuffer : kLargestDatagramBuffer;
  size_t pages = size > buffer ? align_up(size - buffer, kPageSize) : 0;
  pages = std::min(pages, kMaxPagesSize);
  const size_t rest = size - std::min(size, pages);
  return kFrame + std::max(kSmallestBuffer, std::bit_ceil(rest + kSharedInfo)) + pages;
}

bool has_address(const OutgoingMessage& message) {
  return message.to != nullptr && !message.to->is_empty();
}
}  // namespace

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
  if (const auto error = inbox_->take_error()) return *error;
  return {};
}

// What is wrong before the message and where it goes to are looked at.
Result<void> UnixSocket::check_packet_sender(const OutgoingMessage& message) {
  if (is_datagram() && has_address(message)) TRY(check_unix_address(*message.to));
  TRY(name_for_credentials());
  constexpr int kOverhead = 32;
  if (message.data.remaining() > static_cast<size_t>(inbox_->send_limit() - kOverhead))
    return Errno::kMsgSize;
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
  packet->set_sender(inbox_, truesize(size, is_stream()));
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

// `other`: whose end ends the waiting.
Result<void> UnixSocket::wait_for_room(uint32_t flags, Nanoseconds deadline, const Mailbox* other) {
  auto is_over = [&] {
    return inbox_->has_send_room() || !may_send() ||
           (other != nullptr && other->send_state(*inbox_).refused);
  };
  if (is_over()) return {};
  inbox_->misses_room.store(true, std::memory_order_relaxed);
  if (must_not_block(flags)) return Errno::kAgain;
  const auto waited = wait_until(inbox_->writable, deadline, Interruptible::kYes, is_over);
  if (waited.is_error()) return wait_error(waited.error(), deadline, Errno::kAgain);
  return {};
}

Result<size_t> UnixSocket::send_stream(OutgoingMessage& message, FilesInFlight files,
                                       const std::optional<UserIdentity>& given) {
  const RefPtr<Mailbox> other = TRY(stream_destination(message));
  const Nanoseconds deadline = send_deadline();
  size_t total = 0;
  while (message.data.remaining() != 0) {
    auto failed = [&](Errno error) { return total != 0 ? Result<size_t>(total) : error; };
    const auto room = wait_for_room(message.flags, deadline, other.get());
    if (room.is_error()) return failed(room.error());
    if (other->send_state(*inbox_).refused || !may_send()) return failed(Errno::kPipe);
    // At least two are in flight, so that the reader has something while the next one is made.
    constexpr size_t kOverhead = 64;
    const size_t half = static_cast<size_t>(inbox_->send_limit()) / 2 - kOverhead;
    // Of urgent data only the last byte is.
    const bool has_urgent = (message.flags & kMsgOob) != 0;
    const bool is_urgent = has_urgent && message.data.remaining() == 1;
    const size_t ordinary = message.data.remaining() - (has_urgent && !is_urgent ? 1 : 0);
    const size_t size = std::min({ordinary, kStreamChunk, half});
    const auto urgency = is_urgent ? Mailbox::Urgency::kUrgent : Mailbox::Urgency::kNone;
    auto packet = make_packet(message.data, size);
    if (packet.is_error()) return failed(packet.error());
    packet.value()->identity = identity_for(*other, given);
    packet.value()->files = std::exchange(files, {});  // The first packet carries them all.
    if (!other->post(packet.release_value(), urgency)) return failed(Errno::kPipe);
    total += size;
  }
  return total;
}

Result<size_t> UnixSocket::send_packet(OutgoingMessage& message, FilesInFlight files,
                                       const std::optional<UserIdentity>& given) {
  TRY(check_packet_sender(message));
  const size_t size = message.data.remaining();
  const Nanoseconds deadline = send_deadline();
  {
    const RefPtr<Mailbox> connected = is_datagram() ? nullptr : peer();
    TRY(wait_for_room(message.flags, deadline, connected.get()));
  }
  auto packet = TRY(make_packet(message.data, size));
  const RefPtr<Mailbox> other = TRY(packet_destination(message));
  packet->identity = identity_for(*other, given);
  packet->files = std::move(files);
  if (other->wants_times.load(std::memory_order_relaxed)) packet->time = realtime_now();
  bool refused = false, dead = false;
  auto has_room = [&] {
    const Mailbox::SendState sending = other->send_state(*inbox_);
    refused = sending.refused;
    dead = sending.dead;
    return refused || !is_datagram() || sending.has_packet_room;
  };
  if (!has_room()) {
    if (must_not_block(message.flags)) return Errno::kAgain;
    const auto waited = wait_until(other->space, deadline, Interruptible::kYes, has_room);
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

Result<size_t> UnixSocket::send(OutgoingMessage& message) {
  Thread& self = current_thread();
  if (type() == kSeqPacket) {
    TRY(take_error());
    if (peer() == nullptr) return Errno::kNotConn;
  }
  std::optional<UserIdentity> given;
  FilesInFlight files;
  if (!message.control.empty()) {
    UnixControl control = TRY(parse_unix_control(self, message.control));
    given = control.identity;
    files = std::move(control.files);
  }
  const bool has_urgent = is_stream() && message.data.remaining() != 0;
  if ((message.flags & kMsgOob) != 0 && !has_urgent) return Errno::kOpNotSupp;
  const auto sent = is_stream() ? send_stream(message, std::move(files), given)
                                : send_packet(message, std::move(files), given);
  if (sent.is_error() && sent.error() == Errno::kPipe && is_stream() &&
      (message.flags & kMsgNoSignal) == 0) {
    send_signal_to_self(kSigPipe);
  }
  return sent;
}

}  // namespace occlum
