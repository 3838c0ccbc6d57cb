#include "libos/ipc/unix_socket.h"

#include <algorithm>

#include "libos/fs/vfs/operations.h"
#include "libos/ipc/unix_collector.h"
#include "libos/ipc/unix_control.h"
#include "libos/net/host_ioctl.h"
#include "libos/process/process.h"
#include "libos/process/signals/send.h"
#include "libos/process/thread.h"

namespace occlum {

namespace {

constexpr size_t kMaxBacklog = 4096;  // net.core.somaxconn
constexpr uint32_t kAtMark = 0x8905;  // SIOCATMARK

}  // namespace

// Of SO_PEERCRED: the effective ids (unix(7)).
UnixSocket::PeerIdentity UnixSocket::identity_of(Thread& self) {
  RefPtr<SharedCredentials> credentials = self.share_credentials();
  const UserCredentials& user = credentials->value;
  const UserIdentity identity = {.pid = self.pid(), .uid = user.euid, .gid = user.egid};
  return {identity, std::move(credentials)};
}

// --- making and ending ---

UnixSocket::UnixSocket(int type, uint32_t flags, RefPtr<Mailbox> inbox)
    : Socket(kAfUnix, type, 0, flags), inbox_(std::move(inbox)) {
  inbox_->set_owner(this);
}

Result<RefPtr<UnixSocket>> UnixSocket::create(int type, int protocol, uint32_t flags) {
  if (protocol != 0 && protocol != kAfUnix) return Errno::kProtoNoSupport;
  if (type == kRaw) type = kDatagram;  // as Linux
  if (type != kStream && type != kDatagram && type != kSeqPacket) return Errno::kSocktNoSupport;
  return make_ref<UnixSocket>(type, flags, TRY(make_ref<Mailbox>()));
}

Result<UnixSocket::Pair> UnixSocket::create_pair(int type, int protocol, uint32_t flags) {
  Pair pair;
  pair.first = TRY(create(type, protocol, flags));
  pair.second = TRY(create(type, protocol, flags));
  join(*pair.first, *pair.second);
  return pair;
}

// Connects both ends to each other; neither is known to anybody else yet, or it is the connecting
// thread's own.
void UnixSocket::join(UnixSocket& a, UnixSocket& b) {
  const PeerIdentity identity = identity_of(current_thread());
  a.state_.with([&](State& state) {
    state.phase = Phase::kConnected;
    state.peer = b.inbox_;
    state.peer_identity = identity;
  });
  b.state_.with([&](State& state) {
    state.phase = Phase::kConnected;
    state.peer = a.inbox_;
    state.peer_identity = identity;
  });
  if (!a.is_datagram()) return;
  a.inbox_->set_only_sender(b.inbox_.get());
  b.inbox_->set_only_sender(a.inbox_.get());
}

UnixSocket::~UnixSocket() {
  inbox_->set_owner(nullptr);
  binding_.clear();
  Vec<RefPtr<UnixSocket>> backlog;
  RefPtr<Mailbox> peer;
  state_.with([&](State& state) {
    state.closed = true;
    backlog = std::move(state.backlog);
    peer = std::move(state.peer);
  });
  const bool unread = inbox_->stop_reading();
  if (peer != nullptr && !is_datagram()) {
    peer->end_of_data(unread ? Mailbox::Ending::kReset : Mailbox::Ending::kOrderly);
  }
  // Connections that nobody accepted end here, one by one.
  for (const RefPtr<UnixSocket>& socket : backlog) {
    // Told once: by us, not by the end that goes with us.
    const RefPtr<Mailbox> client =
        socket->state_.with([](State& state) { return std::move(state.peer); });
    if (client != nullptr) client->end_of_data(Mailbox::Ending::kReset);
  }
  inbox_->writable.wake_all(kPollErr);
  collect_unreachable_sockets();
}

RefPtr<Mailbox> UnixSocket::peer() const {
  return state_.with([](const State& state) { return state.peer; });
}

Result<void> UnixSocket::bind(const SocketAddress& address) {
  return binding_lock_.with([&](char&) -> Result<void> {
    const bool is_named = inbox_->name() != nullptr;
    RefPtr<UnixName> name = TRY(binding_.bind(current_thread(), *this, address, is_named));
    if (name != nullptr) inbox_->set_name(std::move(name));
    return {};
  });
}

// Who passes its identity on has a name.
Result<void> UnixSocket::name_for_credentials() {
  if (!inbox_->passes_credentials.load(std::memory_order_relaxed) || inbox_->name() != nullptr)
    return {};
  const uint16_t family = kAfUnix;
  return bind(TRY(SocketAddress::create(object_bytes(family))));
}

Result<void> UnixSocket::listen(int backlog) {
  if (is_datagram()) return Errno::kOpNotSupp;
  if (inbox_->name() == nullptr) return Errno::kInval;
  const size_t limit =
      backlog < 0 ? kMaxBacklog : std::min(static_cast<size_t>(backlog), kMaxBacklog);
  PeerIdentity identity = identity_of(current_thread());
  const bool listening = state_.with([&](State& state) {
    if (state.phase == Phase::kConnected) return false;
    state.phase = Phase::kListening;
    std::swap(state.peer_identity, identity);  // his own, which those who connect get
    state.backlog_limit = limit;
    return true;
  });
  if (!listening) return Errno::kInval;
  inbox_->space.wake_all(kWritable);
  return {};
}

// --- connecting ---

Result<void> UnixSocket::check_backlog(const State& state) const {
  if (state.closed || state.phase != Phase::kListening || inbox_->has_stopped())
    return Errno::kConnRefused;
  if (state.backlog.size() > state.backlog_limit) return Errno::kAgain;
  return {};
}

Result<void> UnixSocket::enqueue(RefPtr<UnixSocket> server_end) {
  TRY(state_.with([&](State& state) -> Result<void> {
    TRY(check_backlog(state));
    return state.backlog.push(std::move(server_end));
  }));
  inbox_->readable.wake_one(kReadable);
  inbox_->signals.post(IoReason::kIn);
  return {};
}

// The listener is looked at first, then what this socket is.
Result<void> UnixSocket::may_connect_to(const UnixSocket& listener) const {
  TRY(listener.state_.with([&](const State& state) { return listener.check_backlog(state); }));
  switch (state_.with([](const State& state) { return state.phase; })) {
    case Phase::kConnected:
      return Errno::kIsConn;
    case Phase::kListening:
      return Errno::kInval;
    case Phase::kUnconnected:
      return {};
  }
  return Errno::kInval;
}

Result<void> UnixSocket::connect_stream(Thread& self, const SocketAddress& address) {
  TRY(check_unix_address(address));
  TRY(name_for_credentials());
  const Nanoseconds deadline = send_deadline();
  for (;;) {
    RefPtr<UnixSocket> listener = TRY(find_unix_socket(self, address, type()));
    const auto checked = may_connect_to(*listener);
    if (checked.is_error() && checked.error() != Errno::kAgain) return checked.error();
    // The server's end is another socket with the listener's name and identity; it is complete
    // before anybody sees it.
    auto inbox = TRY(make_ref<Mailbox>());
    inbox->set_name(listener->inbox_->name());
    auto server_end = TRY(make_ref<UnixSocket>(type(), 0u, std::move(inbox)));
    PeerIdentity listeners =
        listener->state_.with([](const State& state) { return state.peer_identity; });
    server_end->inbox_->passes_credentials.store(listener->inbox_->passes_credentials.load());
    server_end->state_.with([&](State& state) {
      state.phase = Phase::kConnected;
      state.peer = inbox_;
      state.peer_identity = identity_of(self);
    });
    const RefPtr<Mailbox> server_inbox = server_end->inbox_;
    const auto queued = listener->enqueue(server_end);
    if (!queued.is_error()) {
      state_.with([&](State& state) {
        state.phase = Phase::kConnected;
        state.peer = server_inbox;
        std::swap(state.peer_identity, listeners);
      });
      inbox_->writable.wake_all(kWritable);
      return {};
    }
    // This end is not to be told that the unused server's end has gone.
    server_end->state_.with([](State& state) { state.peer = nullptr; });
    if (queued.error() != Errno::kAgain || is_nonblocking()) return queued.error();
    const auto waited = wait_until(listener->inbox_->space, deadline, Interruptible::kYes, [&] {
      return listener->state_.with([](const State& state) {
        return state.closed || state.phase != Phase::kListening ||
               state.backlog.size() <= state.backlog_limit;
      });
    });
    if (waited.is_error()) return wait_error(waited.error(), deadline, Errno::kAgain);
  }
}

Result<void> UnixSocket::connect_datagram(Thread& self, const SocketAddress& address) {
  RefPtr<Mailbox> target;
  if (address.family() != kAfUnspec || address.size() < sizeof(uint16_t)) {
    TRY(check_unix_address(address));
    TRY(name_for_credentials());
    RefPtr<UnixSocket> socket = TRY(find_unix_socket(self, address, type()));
    target = socket->inbox_;
    if (!target->accepts_from(*inbox_)) return Errno::kPerm;
  }
  change_peer(std::move(target));
  return {};
}

// What was received from the last peer is lost, and the peer is told so.
void UnixSocket::change_peer(RefPtr<Mailbox> target) {
  const Mailbox* const fresh = target.get();
  inbox_->set_only_sender(fresh);
  state_.with([&](State& state) {
    state.phase = target != nullptr ? Phase::kConnected : Phase::kUnconnected;
    std::swap(state.peer, target);
  });
  if (target != nullptr && target.get() != fresh && inbox_->drop_queued())
    target->lost_peer(*inbox_);
}

Result<void> UnixSocket::connect(const SocketAddress& address) {
  Thread& self = current_thread();
  return is_datagram() ? connect_datagram(self, address) : connect_stream(self, address);
}

Result<Socket::Accepted> UnixSocket::accept(uint32_t flags) {
  if (is_datagram()) return Errno::kOpNotSupp;
  RefPtr<UnixSocket> taken;
  bool is_listening = true, is_shut = false;
  auto attempt = [&] {
    is_shut = inbox_->has_stopped();
    return state_.with([&](State& state) {
      is_listening = state.phase == Phase::kListening;
      if (!state.backlog.is_empty()) taken = state.backlog.remove(0);
      return taken != nullptr || !is_listening || is_shut;
    });
  };
  if (!attempt()) {
    if (is_nonblocking()) return Errno::kAgain;
    const Nanoseconds deadline = receive_deadline();
    const auto waited = wait_until(inbox_->readable, deadline, Interruptible::kYes, attempt);
    if (waited.is_error()) return wait_error(waited.error(), deadline, Errno::kAgain);
  }
  if (taken == nullptr) return is_listening && is_nonblocking() ? Errno::kAgain : Errno::kInval;
  inbox_->space.wake_one(kWritable);
  TRY(taken->set_flags(flags));
  Accepted result;
  result.address = TRY(taken->peer_address());
  result.socket = std::move(taken);
  return result;
}

Result<void> UnixSocket::shutdown(Shutdown how) {
  const RefPtr<Mailbox> other = peer();
  if (how != Shutdown::kRead) {
    state_.with([](State& state) { state.may_send = false; });
    const IoReason reason = how == Shutdown::kWrite ? IoReason::kIn : IoReason::kHangup;
    if (other != nullptr && !is_datagram()) other->end_of_data(Mailbox::Ending::kOrderly, reason);
    inbox_->writable.wake_all(kWritable);
  }
  if (how != Shutdown::kWrite) {
    inbox_->shut_reading();
    if (other != nullptr) other->writable.wake_all(kWritable | kPollHup);
  }
  return {};
}

static Result<SocketAddress> address_of(const RefPtr<UnixName>& name) {
  if (name != nullptr) return name->address;
  const uint16_t family = kAfUnix;
  return SocketAddress::create(object_bytes(family));
}

Result<SocketAddress> UnixSocket::local_address() { return address_of(inbox_->name()); }

Result<SocketAddress> UnixSocket::peer_address() {
  const RefPtr<Mailbox> other = peer();
  if (other == nullptr) return Errno::kNotConn;
  return address_of(other->name());
}

// --- the rest ---

Result<long> UnixSocket::ioctl(Thread&, uint32_t request, uint64_t argument) {
  size_t bytes = 0;
  if (request == kFionRead) {
    if (state_.with([](const State& state) { return state.phase == Phase::kListening; }))
      return Errno::kInval;
    bytes = is_datagram() ? inbox_->first_size() : inbox_->queued_bytes();
  } else if (request == kTiocOutQueue) {
    bytes = inbox_->unread_bytes();
  } else if (request == kAtMark) {
    if (!is_stream()) return Errno::kOpNotSupp;
    bytes = inbox_->is_at_mark() ? 1 : 0;
  } else {
    return interface_ioctl(request, UserAddress(argument));
  }
  TRY(UserOut<int>(UserAddress(argument)).write(static_cast<int>(bytes)));
  return 0L;
}

PollEvents UnixSocket::poll(Poller* poller) {
  RefPtr<Mailbox> other = peer();
  if (poller != nullptr) {
    (void)poller->watch(inbox_->readable);
    (void)poller->watch(inbox_->writable);
    if (is_datagram() && other != nullptr) (void)poller->watch(other->space);
  }
  PollEvents events = 0;
  if (inbox_->has_packet()) events |= kReadable;
  const bool input_ended = inbox_->is_ended() || inbox_->has_stopped();
  if (input_ended) events |= kReadable | kPollRdHup;
  if (inbox_->has_error()) events |= kPollErr;
  if (inbox_->has_urgent()) events |= kPollPri;
  bool may_send = true;
  const Phase phase = state_.with([&](const State& state) {
    if (!state.backlog.is_empty()) events |= kReadable;
    may_send = state.may_send;
    return state.phase;
  });
  if (inbox_->has_stopped() && !may_send) events |= kPollHup;
  const PollEvents writable = inbox_->is_writable() ? kWritable : 0;
  if (!is_datagram() && phase == Phase::kUnconnected) return events | kPollHup | writable;
  if (phase == Phase::kListening) return events;
  if (other == nullptr) return events | writable;
  const Mailbox::SendState sending = other->send_state(*inbox_);
  if (!is_datagram() && input_ended && (!may_send || sending.refused)) events |= kPollHup;
  if (!is_datagram() || sending.has_packet_room) events |= writable;
  return events;
}

}  // namespace occlum
