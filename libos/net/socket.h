// Socket: what every kind of socket offers to the system calls (socket(2) and its family).
//
// Unix sockets (ipc/unix_socket.h) live in the enclave; the others (host_socket.h) are sockets of
// the host. Here are the messages that they exchange with the system calls, and the options that
// need nothing below: timeouts, type, domain.
#pragma once

#include <optional>

#include "libos/fs/vfs/file.h"
#include "libos/ipc/anonymous_inode.h"
#include "libos/lib/counted.h"
#include "libos/lib/lock.h"
#include "libos/lib/vec.h"
#include "libos/net/socket_address.h"

namespace occlum {

enum SocketType : int { kStream = 1, kDatagram = 2, kRaw = 3, kSeqPacket = 5 };

enum MessageFlag : uint32_t {
  kMsgOob = 1,
  kMsgPeek = 2,
  kMsgDontRoute = 4,
  kMsgControlTruncated = 8,
  kMsgTruncated = 0x20,
  kMsgDontWait = 0x40,
  kMsgEndOfRecord = 0x80,
  kMsgWaitAll = 0x100,
  kMsgConfirm = 0x800,
  kMsgErrorQueue = 0x2000,
  kMsgNoSignal = 0x4000,
  kMsgMore = 0x8000,
  kMsgWaitForOne = 0x10000,
  kMsgFastOpen = 0x20000000,
  kMsgCloseOnExec = 0x40000000,
};

struct OutgoingMessage {
  DataSource& data;
  const SocketAddress* to = nullptr;        // null: the connected peer
  std::span<const std::byte> control = {};  // cmsghdr records as the program built them
  uint32_t flags = 0;
};

struct IncomingMessage {
  DataSink& data;
  uint32_t flags = 0;
  size_t control_room = 0;  // bytes that the program offers
  // Results:
  SocketAddress from = {};      // empty: none is known
  Vec<std::byte> control = {};  // at most control_room bytes
  uint32_t result_flags = 0;    // kMsgTruncated, ...
  Vec<int> descriptors =
      {};  // new ones, of the caller: the payload of the record that `control` ends with
};

enum class Shutdown : int { kRead = 0, kWrite = 1, kBoth = 2 };

// A record of control data (cmsg(3)): header, payload, padding to 8 bytes.
struct ControlHeader {
  uint64_t length;  // with this header
  int32_t level;
  int32_t type;
};
static_assert(sizeof(ControlHeader) == 16);

class Socket : public File, Counted<Socket> {
 public:
  Socket(int domain, int type, int protocol, uint32_t flags)
      : File(2 | flags), domain_(domain), type_(type), protocol_(protocol) {}

  FileKind kind() const override { return FileKind::kSocket; }
  int domain() const { return domain_; }
  int type() const { return type_; }
  int protocol() const { return protocol_; }

  virtual Result<void> bind(const SocketAddress& address) = 0;
  virtual Result<void> listen(int backlog) = 0;
  struct Accepted {
    RefPtr<Socket> socket;
    SocketAddress address;
  };
  // `flags`: O_NONBLOCK for the new socket.
  virtual Result<Accepted> accept(uint32_t flags) = 0;
  virtual Result<void> connect(const SocketAddress& address) = 0;
  virtual Result<void> shutdown(Shutdown how) = 0;
  virtual Result<SocketAddress> local_address() = 0;
  virtual Result<SocketAddress> peer_address() = 0;
  virtual Result<size_t> send(OutgoingMessage& message) = 0;  // raises SIGPIPE itself
  virtual Result<size_t> receive(IncomingMessage& message) = 0;
  // Fails with the error that is pending and forgets it, for who asks before all data (recvmmsg(2)). What is pending at
  // the host, receive() tells.
  virtual Result<void> take_error() { return {}; }
  // It is pending again, or now.
  virtual void set_error(Errno error) = 0;
  // The options of socket(7) that are the same everywhere are answered here first (base_option).
  virtual Result<void> set_option(int level, int name, std::span<const std::byte> value) = 0;
  // Fills `value` from the front; returns the size of the answer. When that is more than `value` has, nothing is filled:
  // kRange for the program, which learns the size.
  virtual Result<size_t> get_option(int level, int name, std::span<std::byte> value) = 0;

  Result<size_t> read(DataSink& sink) override;
  Result<size_t> write(DataSource& source) override;
  Result<Stat> stat() override;
  Result<void> set_attributes(const AttributeChange& change) override;
  Result<String> describe() override;
  LockAnchor& lock_anchor() override { return inode_.lock_anchor(); }
  // What `system.sockprotoname` says.
  std::string_view protocol_name() const;

 protected:
  // SO_RCVTIMEO, SO_SNDTIMEO, SO_TYPE, SO_DOMAIN, SO_PROTOCOL; nullopt: another option.
  std::optional<Result<void>> set_base_option(int level, int name,
                                              std::span<const std::byte> value);
  std::optional<Result<size_t>> get_base_option(int level, int name, std::span<std::byte> value);
  Nanoseconds receive_deadline() const { return deadline_of(receive_timeout_); }
  Nanoseconds send_deadline() const { return deadline_of(send_timeout_); }
  // What a wait's error means to the program: the end of a socket timeout is `at_timeout`; with a
  // timeout set, a signal does not restart the call (signal(7)).
  Errno wait_error(Errno error, Nanoseconds deadline, Errno at_timeout) const;

 private:
  using Timeout = std::atomic<uint64_t>;  // ns; 0: none
  static Nanoseconds deadline_of(const Timeout& timeout);

  const int domain_, type_, protocol_;
  Timeout receive_timeout_{0}, send_timeout_{0};
  AnonymousInode inode_{type_bits(FileType::kSocket) | 0777};
};

// Options of socket(7) that several files name.
constexpr int kSolSocket = 1;
constexpr int kSoDebug = 1, kSoReuseAddr = 2, kSoType = 3, kSoError = 4, kSoDontRoute = 5,
              kSoBroadcast = 6, kSoSndBuf = 7, kSoRcvBuf = 8, kSoKeepAlive = 9, kSoOobInline = 10,
              kSoNoCheck = 11, kSoPriority = 12, kSoLinger = 13, kSoReusePort = 15,
              kSoPassCred = 16, kSoPeerCred = 17, kSoRcvLowat = 18, kSoSndLowat = 19,
              kSoRcvTimeout = 20, kSoSndTimeout = 21, kSoTimestamp = 29, kSoAcceptConn = 30,
              kSoSndBufForce = 32, kSoRcvBufForce = 33, kSoPassSec = 34, kSoTimestampNs = 35,
              kSoMark = 36, kSoProtocol = 38, kSoDomain = 39, kSoRxQueueOverflow = 40,
              kSoPeekOff = 42, kSoSelectErrorQueue = 45, kSoCookie = 57, kSoPeerGroups = 59,
              kSoTimestampNew = 63, kSoTimestampNsNew = 64, kSoRcvTimeoutNew = 66,
              kSoSndTimeoutNew = 67;

// Copies an int, or what fits of it, as getsockopt(2) does. Returns the size.
size_t put_option_int(std::span<std::byte> value, int number);
// kInval when there are fewer than 4 bytes.
Result<int> get_option_int(std::span<const std::byte> value);

}  // namespace occlum
