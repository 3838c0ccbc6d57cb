// Urgent data of unix streams (MSG_OOB): one byte, which is also a mark that no read goes across. It stays in the queue,
// and when it has been read its empty packet still is the mark. (manage_oob of net/unix/af_unix.c)
#include "libos/ipc/unix_mailbox.h"
#include "libos/ipc/unix_socket.h"

namespace occlum {

void Mailbox::State::take_out(Packet& packet) {
  data_bytes -= packet.left();
  packets.remove(packet);
  if (urgent == &packet) urgent = nullptr;
}

// Outside of the lock: they may hold files.
void Mailbox::drop(PacketList& packets) {
  while (Packet* const packet = packets.pop_front()) (void)OwnPtr<Packet>::adopt(*packet);
}

Packet* Mailbox::State::pass_urgent(Packet* packet, Reading reading, bool is_inline,
                                    PacketList& passed) {
  const auto pass = [&](Packet& one) {
    Packet* const following = packets.next(one);
    if (!reading.peeks) {
      take_out(one);
      passed.push_back(one);
    }
    return following;
  };
  if (packet->left() == 0) {
    if (reading.has_something && (urgent == nullptr || packet == urgent)) return nullptr;
    packet = pass(*packet);
  }
  if (packet == nullptr || packet != urgent) return packet;
  if (reading.has_something) return nullptr;
  if (!is_inline) return pass(*packet);
  if (!reading.peeks) urgent = nullptr;
  return packet;
}

Packet* Mailbox::pass_urgent(Packet* packet, Reading reading) {
  if (packet == nullptr) return nullptr;
  PacketList passed;
  Packet* const result = state_.with([&](State& state) {
    return state.pass_urgent(packet, reading, takes_urgent_inline, passed);
  });
  drop(passed);
  return result;
}

// The mark before it, if nothing is between them, goes.
Result<std::byte> Mailbox::read_urgent(bool peeks) {
  PacketList passed;
  const auto byte = state_.with([&](State& state) -> Result<std::byte> {
    Packet* const urgent = state.urgent;
    if (urgent == nullptr || takes_urgent_inline) return Errno::kInval;
    const std::byte value = urgent->data[urgent->consumed];
    if (peeks) return value;
    Packet* before = nullptr;
    for (Packet& packet : state.packets) {
      if (&packet == urgent) break;
      before = &packet;
    }
    if (before != nullptr && before->left() == 0) {
      state.take_out(*before);
      passed.push_back(*before);
    }
    ++urgent->consumed;
    --state.data_bytes;
    state.urgent = nullptr;
    return value;
  });
  drop(passed);
  return byte;
}

bool Mailbox::has_urgent() const {
  return state_.with([](const State& state) { return state.urgent != nullptr; });
}

// SIOCATMARK
bool Mailbox::is_at_mark() const {
  return state_.with([](const State& state) {
    const Packet* const first = state.packets.first();
    if (first == nullptr) return false;
    if (first == state.urgent) return true;
    return first->left() == 0 &&
           (state.urgent == nullptr || state.packets.next(*first) == state.urgent);
  });
}

void Mailbox::set_owner(File* owner) {
  state_.with([&](State& state) { state.owner = owner; });
}

Result<size_t> UnixSocket::receive_urgent(IncomingMessage& message) {
  const std::byte byte = TRY(inbox_->read_urgent((message.flags & kMsgPeek) != 0));
  if (message.data.remaining() == 0) return Errno::kFault;
  TRY(message.data.write(std::span(&byte, 1)));
  message.result_flags |= kMsgOob;
  return size_t{1};
}

}  // namespace occlum
