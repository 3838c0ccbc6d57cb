// Unix sockets (unix(7)): streams, sequenced packets and datagrams between programs in the enclave.
//
// A socket owns a mailbox (unix_mailbox.h) that its peer posts into. Connecting makes the server's
// end at once and puts it into the listener's backlog; accept takes it from there. Nothing here
// leaves the enclave.
#pragma once

#include "libos/ipc/unix_mailbox.h"
#include "libos/ipc/unix_names.h"
#include "libos/net/socket.h"
#include "libos/process/credentials.h"

namespace occlum {

class UnixSocket : public Socket {
 public:
  // `flags`: O_NONBLOCK. kSocktNoSupport, kProtoNoSupport.
  static Result<RefPtr<UnixSocket>> create(int type, int protocol, uint32_t flags);
  struct Pair {
    RefPtr<UnixSocket> first, second;
  };
  static Result<Pair> create_pair(int type, int protocol, uint32_t flags);
  UnixSocket(int type, uint32_t flags, RefPtr<Mailbox> inbox);
  ~UnixSocket() override;

  Result<void> bind(const SocketAddress& address) override;
  Result<void> listen(int backlog) override;
  Result<Accepted> accept(uint32_t flags) override;
  Result<void> connect(const SocketAddress& address) override;
  Result<void> shutdown(Shutdown how) override;
  Result<SocketAddress> local_address() override;
  Result<SocketAddress> peer_address() override;
  Result<size_t> send(OutgoingMessage& message) override;
  Result<size_t> receive(IncomingMessage& message) override;
  Result<void> take_error() override;
  void set_error(Errno error) override { inbox_->set_error(error); }
  Result<void> set_option(int level, int name, std::span<const std::byte> value) override;
  Result<size_t> get_option(int level, int name, std::span<std::byte> value) override;
  Result<long> ioctl(Thread& self, uint32_t request, uint64_t argument) override;
  PollEvents poll(Poller* poller) override;
  AsyncLists async_lists() override { return {&inbox_->signals, nullptr}; }

  // The listening socket's path, where it has one, for /proc/net/unix.
  RefPtr<UnixName> name() const { return inbox_->name(); }
  Mailbox& inbox() { return *inbox_; }

 private:
  enum class Phase { kUnconnected, kListening, kConnected };
  struct PeerIdentity {
    UserIdentity user;                      // SO_PEERCRED
    RefPtr<SharedCredentials> credentials;  // SO_PEERGROUPS; null: it has never had a peer
  };
  static PeerIdentity identity_of(Thread& self);
  struct State {
    Phase phase = Phase::kUnconnected;
    RefPtr<Mailbox> peer;             // where it sends to
    bool may_send = true;             // no SHUT_WR yet
    Vec<RefPtr<UnixSocket>> backlog;  // oldest first
    size_t backlog_limit = 0;
    bool closed = false;
    PeerIdentity peer_identity;  // as of when they met
  };

  bool is_datagram() const { return type() == kDatagram; }
  bool is_stream() const { return type() == kStream; }
  RefPtr<Mailbox> peer() const;
  bool must_not_block(uint32_t message_flags) const {
    return is_nonblocking() || (message_flags & kMsgDontWait) != 0;
  }

  Result<void> connect_datagram(Thread& self, const SocketAddress& address);
  Result<void> connect_stream(Thread& self, const SocketAddress& address);
  static void join(UnixSocket& a, UnixSocket& b);
  // The listener's part of a connection: kAgain when the backlog is full, kConnRefused.
  Result<void> enqueue(RefPtr<UnixSocket> server_end);
  Result<void> check_backlog(const State& state) const;
  // connect(2) to `listener`, which is kAgain when it is full.
  Result<void> may_connect_to(const UnixSocket& listener) const;
  void change_peer(RefPtr<Mailbox> target);
  Result<void> name_for_credentials();

  Result<RefPtr<Mailbox>> stream_destination(const OutgoingMessage& message) const;
  Result<RefPtr<Mailbox>> packet_destination(const OutgoingMessage& message);
  Result<void> check_packet_sender(const OutgoingMessage& message);
  Errno no_receiver(const Mailbox& other, bool dead);
  bool may_send() const;
  Result<OwnPtr<Packet>> make_packet(DataSource& data, size_t size);
  // `given`: the identity that the sender put into the message.
  UserIdentity identity_for(const Mailbox& other, const std::optional<UserIdentity>& given) const;
  Result<size_t> send_stream(OutgoingMessage& message, FilesInFlight files,
                             const std::optional<UserIdentity>& given);
  Result<size_t> send_packet(OutgoingMessage& message, FilesInFlight files,
                             const std::optional<UserIdentity>& given);
  struct ReadTurn {
    bool ended = false;  // there is nothing and there will not be: no right was taken
    bool waited = false;
  };
  Result<ReadTurn> wait_to_read(uint32_t message_flags, Nanoseconds deadline, bool has_something);
  Result<size_t> receive_urgent(IncomingMessage& message);
  Result<size_t> take_stream(IncomingMessage& message, size_t before, size_t wanted, bool& stop);
  Result<size_t> take_packet(IncomingMessage& message);
  static void note_sender(const Packet& packet, IncomingMessage& message);
  Result<void> describe_packet(Packet& packet, IncomingMessage& message);
  Result<void> wait_for_room(uint32_t flags, Nanoseconds deadline, const Mailbox* other);
  Result<void> tell_time(Packet& packet, IncomingMessage& message);
  // SO_PEEK_OFF: where the next peek begins; what is behind the bytes that a peek or a read took.
  std::optional<size_t> peek_offset(uint32_t message_flags) const;
  void move_peek_offset(size_t taken, uint32_t message_flags);

  const RefPtr<Mailbox> inbox_;
  UnixBinding binding_;
  MutexLocked<char> binding_lock_{LockRank::kProcess, '\0'};
  SpinLocked<State> state_{LockRank::kSocket};
  // Options that are kept and have no meaning here: SO_KEEPALIVE and the like, a bit for each name.
  bool flag_option(int name) const;
  void set_flag_option(int name, bool on);
  Result<void> set_buffer_size(int name, int number);
  Result<size_t> peer_groups(std::span<std::byte> value) const;
  uint64_t cookie();
  std::atomic<uint64_t> flag_options_{0};
  std::atomic<int> linger_seconds_{0}, priority_{0}, mark_{0};
  std::atomic<int> receive_least_{1};  // SO_RCVLOWAT
  std::atomic<int> receive_buffer_{Mailbox::kDefaultLimit};
  std::atomic<int> time_option_{0};   // SO_TIMESTAMP or another of these, the one that was set
  std::atomic<int> peek_offset_{-1};  // SO_PEEK_OFF
  std::atomic<uint64_t> cookie_{0};   // SO_COOKIE, when it has been asked for
};

}  // namespace occlum
