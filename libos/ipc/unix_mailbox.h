// Mailbox: what arrives at one unix socket (unix(7)): packets in order, and what their senders and
// the owner did.
//
// A socket owns its mailbox and knows its peer's, so sockets never hold each other. One reader at a
// time has the *reading* right and copies out without the lock (user memory may sleep); senders
// only append. A packet carries its sender's identity and the files that travel with it; files in
// flight count as descriptors.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "libos/fs/vfs/file.h"
#include "libos/fs/vfs/io_signals.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/lib/vec.h"
#include "libos/net/socket_address.h"

namespace occlum {

struct UserIdentity {  // struct ucred
  int32_t pid = 0;
  uint32_t uid = UINT32_MAX;
  uint32_t gid = UINT32_MAX;
  bool operator==(const UserIdentity&) const = default;
};
static_assert(sizeof(UserIdentity) == 12);

// Files on their way (SCM_RIGHTS): each counts as a descriptor, so that it is not taken for closed.
class FilesInFlight {
 public:
  FilesInFlight() = default;
  FilesInFlight(FilesInFlight&&) = default;
  FilesInFlight& operator=(FilesInFlight&& other) noexcept;
  ~FilesInFlight() { drop(); }
  Result<void> add(RefPtr<File> file);
  bool is_empty() const { return files_.is_empty(); }
  const Vec<RefPtr<File>>& files() const { return files_; }
  Result<FilesInFlight> clone() const;  // MSG_PEEK

 private:
  void drop();
  Vec<RefPtr<File>> files_;
};

struct Packet {
  Packet() = default;
  Packet(const Packet&) = delete;
  ~Packet();
  // Counts as sent by `from` and unread until it is destroyed.
  void set_sender(RefPtr<class Mailbox> from, size_t bytes);

  ListNode node;
  Vec<std::byte> data;
  size_t consumed = 0;
  RefPtr<class Mailbox> sender;  // whose name, when it is read, is the sender's
  size_t cost = 0;               // to the sender
  UserIdentity identity;
  FilesInFlight files;
  Nanoseconds time = 0;     // when it was sent, if the receiver wanted to know that
  bool was_peeked = false;  // SO_PEEK_OFF passes by an empty one that was
  size_t left() const { return data.size() - consumed; }
};

// The address of a socket, shared by all that refer to it.
class UnixName : public RefCounted<UnixName> {
 public:
  explicit UnixName(const SocketAddress& a) : address(a) {}
  const SocketAddress address;
};

class Mailbox : public RefCounted<Mailbox> {
 public:
  static constexpr int kDefaultLimit = 212992;   // net.core.wmem_default
  static constexpr int kLargestLimit = 4 << 20;  // net.core.wmem_max, and rmem_max
  // net.unix.max_dgram_qlen: from those that the owner is not connected to.
  static constexpr size_t kMaxPackets = 512;

  Mailbox() = default;
  ~Mailbox();

  // --- senders ---
  struct SendState {
    bool refused = false;  // the owner reads no more: kPipe
    bool dead = false;     // ... because it has gone: kConnRefused for datagrams
    bool has_packet_room = false;
  };
  SendState send_state(const Mailbox& sender) const;
  // Appends. False when the owner has stopped reading meanwhile (the packet is dropped).
  enum class Urgency { kNone, kUrgent };
  bool post(OwnPtr<Packet> packet, Urgency urgency = Urgency::kNone);
  // The peer sends no more; `reset`: with a connection reset that the next read reports.
  enum class Ending { kOrderly, kReset };
  // The owner's signal says whether the peer has gone (kHangup) or only ended its stream (kIn).
  void end_of_data(Ending ending, IoReason reason = IoReason::kHangup);
  // A datagram socket that the owner talks to has left the owner for another one, and lost what it
  // had sent: the owner is told, if it is connected to `peer` alone.
  void lost_peer(const Mailbox& peer);

  // --- the owner ---
  struct Reading {
    bool peeks;
    bool has_something;  // from packets before
  };
  // Takes the reading right when there is a packet. Of packets and an error, a stream's reader sees
  // the packets first.
  // With `skip` only what is behind that many bytes counts (SO_PEEK_OFF).
  // A stream's reader stops at a mark if it has something.
  enum class Look { kPacket, kMark, kEnd, kError, kNothing, kBusy };
  enum class First { kPackets, kError };
  Look begin_read(First first, Reading reading = {}, std::optional<size_t> skip = std::nullopt);
  // `waited`: a wake-up was used, which others that wait may need as well.
  void end_read(bool waited = true);
  // With the right: packets from the front.
  Packet* first();
  Packet* next(Packet& packet);
  // The one with byte `skip`, which becomes that byte's place in it; null: there is not so much.
  Packet* packet_at(size_t& skip);
  // Marks bytes of the first packets as read: whole ones go.
  void consumed(Packet& packet, size_t bytes);
  void pop(Packet& packet);
  // --- urgent data: MSG_OOB, a byte of a stream that is also a mark in it (unix(7); net/unix/af_unix.c has the rules)
  // The packet to read at `packet`: the urgent byte is passed by, and what is left of one that was read. Null: there is
  // none, or the mark is here.
  Packet* pass_urgent(Packet* packet, Reading reading);
  Result<std::byte> read_urgent(bool peeks);  // kInval: there is none
  bool has_urgent() const;
  bool is_at_mark() const;
  // Whose owner gets SIGURG; null: nobody.
  void set_owner(File* owner);
  std::atomic<bool> takes_urgent_inline{false};  // SO_OOBINLINE

  // Takes nothing new (SHUT_RD); what is queued can be read.
  void shut_reading();
  // Has gone: drops what is queued. True when something unread was dropped.
  bool stop_reading();
  // Drops what is queued; what a reader has in hand stays. True when something was dropped.
  bool drop_queued();
  // The files in all packets. With the lock held: `visit` takes no lock.
  void for_each_file(FunctionRef<void(File&)> visit) const;

  bool has_packet() const;
  bool is_ended() const;     // the peer sends no more
  bool has_stopped() const;  // the owner reads no more
  // An error that no call has reported yet: a reset, or what recvmmsg(2) kept.
  bool has_error() const;
  std::optional<Errno> take_error();
  void set_error(Errno error);
  size_t queued_bytes() const;
  size_t first_size() const;

  // What the owner has sent and nobody has read, by Linux's count with overhead, and its limit (SO_SNDBUF). One more
  // packet is sent while there is less; a sender that waits is woken when there is much room.
  int send_limit() const { return send_limit_.load(std::memory_order_relaxed); }
  void set_send_limit(int bytes);
  size_t unread_bytes() const { return unread_bytes_.load(std::memory_order_relaxed); }
  bool has_send_room() const { return unread_bytes_ < static_cast<size_t>(send_limit_); }
  bool is_writable() const { return unread_bytes_ * 4 < static_cast<size_t>(send_limit_); }
  void count_sent(size_t bytes) { unread_bytes_ += bytes; }
  void count_read(size_t bytes);

  // The owner's address.
  void set_name(RefPtr<UnixName> name);
  RefPtr<UnixName> name() const;
  // Datagrams are taken from this sender only (the owner has connected to it); null: from all.
  void set_only_sender(const Mailbox* sender);
  bool accepts_from(const Mailbox& sender) const;

  std::atomic<bool> passes_credentials{false};  // SO_PASSCRED
  std::atomic<bool> wants_times{false};         // SO_TIMESTAMP and the like

  // The owner waits here to read, and to send when what it sent has been read.
  WaitQueue readable;
  WaitQueue writable;
  // Senders of datagrams, of whom there may be many, wait here for room in this mailbox.
  WaitQueue space;

  // The owner's O_ASYNC. A stream's reader that waits is not told by signal too; of room is told who has missed it.
  AsyncList signals;
  std::atomic<uint32_t> waiting_readers{0};
  std::atomic<bool> misses_room{false};

 private:
  using PacketList = IntrusiveList<Packet, &Packet::node>;
  static void drop(PacketList& packets);
  struct State {
    PacketList packets;
    size_t data_bytes = 0;
    bool reading = false;
    bool contended = false;
    bool ended = false;
    std::optional<Errno> error;
    bool stopped = false;
    bool dead = false;  // and stopped
    RefPtr<UnixName> name;
    const Mailbox* only_sender = nullptr;
    Packet* urgent = nullptr;  // the last urgent byte, until it is read
    File* owner = nullptr;
    Packet* packet_at(size_t& skip);
    void take_out(Packet& packet);
    Packet* pass_urgent(Packet* packet, Reading reading, bool is_inline, PacketList& passed);
  };
  std::atomic<int> send_limit_{kDefaultLimit};
  std::atomic<size_t> unread_bytes_{0};
  SpinLocked<State> state_{LockRank::kSocket};
};

}  // namespace occlum
