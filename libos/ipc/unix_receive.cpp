// Receiving on unix sockets.
#include <algorithm>

#include "libos/ipc/unix_control.h"
#include "libos/ipc/unix_socket.h"
#include "libos/process/thread.h"

namespace occlum {

// Takes the reading right.
Result<UnixSocket::ReadTurn> UnixSocket::wait_to_read(uint32_t message_flags, Nanoseconds deadline,
                                                      bool has_something) {
  ReadTurn turn;
  Mailbox::Look look = Mailbox::Look::kNothing;
  const bool at_once = must_not_block(message_flags);
  std::optional<Errno> failure;
  auto attempt = [&] {
    look = inbox_->begin_read(is_stream() ? Mailbox::First::kPackets : Mailbox::First::kError,
                              {(message_flags & kMsgPeek) != 0, has_something},
                              peek_offset(message_flags));
    if (look == Mailbox::Look::kError) failure = inbox_->take_error();
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
    case Mailbox::Look::kError:
      return failure.value_or(Errno::kAgain);  // none: another reader was faster
    case Mailbox::Look::kMark:
      turn.ended = true;
      return turn;
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

std::optional<size_t> UnixSocket::peek_offset(uint32_t message_flags) const {
  const int offset = peek_offset_.load(std::memory_order_relaxed);
  if ((message_flags & kMsgPeek) == 0 || offset < 0) return std::nullopt;
  return static_cast<size_t>(offset);
}

void UnixSocket::move_peek_offset(size_t taken, uint32_t message_flags) {
  const int offset = peek_offset_.load(std::memory_order_relaxed);
  if (offset < 0) return;  // it is not used
  const int64_t step = static_cast<int64_t>(taken);
  const int64_t moved = (message_flags & kMsgPeek) != 0 ? offset + step : offset - step;
  peek_offset_.store(static_cast<int>(std::clamp<int64_t>(moved, 0, INT32_MAX)),
                     std::memory_order_relaxed);
}

// When it was sent; of what came before somebody asked, now.
Result<void> UnixSocket::tell_time(Packet& packet, IncomingMessage& message) {
  constexpr Nanoseconds kSecond = 1'000'000'000, kMicrosecond = 1000;
  struct TimeRecord {  // struct timeval or timespec
    int64_t seconds, rest;
  };
  if (packet.time == 0) packet.time = realtime_now();
  const auto seconds = static_cast<int64_t>(packet.time / kSecond);
  const auto rest = static_cast<int64_t>(packet.time % kSecond);
  const int option = time_option_.load(std::memory_order_relaxed);
  if (option == kSoTimestamp || option == kSoTimestampNew) {
    const TimeRecord time = {seconds, rest / static_cast<int64_t>(kMicrosecond)};
    return add_unix_control(message, option, object_bytes(time));
  }
  const TimeRecord time = {seconds, rest};
  return add_unix_control(message, option, object_bytes(time));
}

void UnixSocket::note_sender(const Packet& packet, IncomingMessage& message) {
  if (const RefPtr<UnixName> name = packet.sender->name()) message.from = name->address;
}

// Who sent it, and what came with it. With the reading right.
Result<void> UnixSocket::describe_packet(Packet& packet, IncomingMessage& message) {
  note_sender(packet, message);
  if (inbox_->wants_times.load(std::memory_order_relaxed)) TRY(tell_time(packet, message));
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

// Bytes of as many packets as the sink takes, up to and with one that brings files, but not across
// another sender's identity when identities are asked for, nor across a mark. `before`: bytes taken before.
Result<size_t> UnixSocket::take_stream(IncomingMessage& message, size_t before, size_t wanted,
                                       bool& stop) {
  const bool peek = (message.flags & kMsgPeek) != 0;
  const bool wants_identity = inbox_->passes_credentials.load(std::memory_order_relaxed);
  size_t total = 0;
  UserIdentity identity;
  FilesInFlight files;
  bool looked = false;  // the first one even if nothing is wanted, for its files
  const auto offset = peek_offset(message.flags);
  size_t skip = offset.value_or(0);
  // Who peeks has enough, and still looks on for files, as on Linux.
  for (Packet* packet = offset ? inbox_->packet_at(skip) : inbox_->first();
       (total < wanted || !looked || peek) && !stop;) {
    packet = inbox_->pass_urgent(packet, {peek, before + total != 0});
    if (packet == nullptr) break;
    if (wants_identity && looked && !(packet->identity == identity)) {
      stop = true;
      break;
    }
    looked = true;
    note_sender(*packet, message);
    identity = packet->identity;
    const size_t count = std::min(packet->left() - skip, wanted - total);
    const std::span<const std::byte> bytes =
        packet->data.span().subspan(packet->consumed + skip, count);
    skip = 0;
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
    move_peek_offset(count, message.flags);
    packet = peek ? following : inbox_->first();
  }
  if (looked && message.control.is_empty() && (wants_identity || !files.is_empty()))
    TRY(build_unix_control(current_thread(), message, wants_identity ? &identity : nullptr, files));
  return total;
}

Result<size_t> UnixSocket::take_packet(IncomingMessage& message) {
  const auto offset = peek_offset(message.flags);
  size_t skip = offset.value_or(0);
  const bool peek = (message.flags & kMsgPeek) != 0;
  Packet* packet = offset ? inbox_->packet_at(skip) : inbox_->first();
  const size_t whole = packet->left(), size = whole - skip;
  const size_t count = std::min(size, message.data.remaining());
  if (count < size) message.result_flags |= kMsgTruncated;
  const Result<void> stored = message.data.write(
      std::span<const std::byte>(packet->data.span()).subspan(packet->consumed + skip, count));
  if (!stored.is_error()) move_peek_offset(peek ? count : whole, message.flags);
  packet->was_peeked = peek;
  Result<void> described;
  if (!stored.is_error()) described = describe_packet(*packet, message);
  if (!peek) inbox_->pop(*packet);
  if (stored.is_error()) return stored.error();
  if (described.is_error()) return described.error();
  return (message.flags & kMsgTruncated) != 0 ? size : count;
}

Result<size_t> UnixSocket::receive(IncomingMessage& message) {
  if (!is_datagram()) {
    const Phase phase = state_.with([](const State& state) { return state.phase; });
    if (phase != Phase::kConnected) return is_stream() ? Errno::kInval : Errno::kNotConn;
  }
  if ((message.flags & kMsgOob) != 0)
    return is_stream() ? receive_urgent(message) : Errno::kOpNotSupp;
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
    const auto right = wait_to_read(message.flags, deadline, total != 0);
    if (right.is_error()) return total != 0 ? Result<size_t>(total) : right.error();
    if (right.value().ended) {
      // At the end of a stream nobody has sent: Linux then names a sender of zeros.
      const UserIdentity nobody = {.pid = 0, .uid = 0, .gid = 0};
      if (is_stream() && message.control.is_empty() && inbox_->passes_credentials.load())
        TRY(build_unix_control(current_thread(), message, &nobody, {}));
      return total;
    }
    const auto count =
        is_stream() ? take_stream(message, total, wanted - total, stop) : take_packet(message);
    inbox_->end_read(right.value().waited);
    if (!peek && is_datagram()) inbox_->space.wake_all(kWritable);
    if (count.is_error()) return total != 0 ? Result<size_t>(total) : count.error();
    total += count.value();
    if (!is_stream() || stop || total == wanted || total >= least) return total;
  }
}

}  // namespace occlum
