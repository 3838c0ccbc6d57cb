// HostSocket: AF_INET, AF_INET6 and AF_NETLINK (route queries) as sockets of the host.
//
// The host socket is always non-blocking; blocking is done here, on a HostWatch, so that no vCPU
// waits in the host. Data crosses through the vCPU's shared buffer, once in and once out. What the
// host returns is checked: counts against what was asked, address sizes against the family, control
// records for their form; a host that lies can only give the program wrong data, which it could
// anyway (use TLS).
#pragma once

#include "libos/host/calls.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/net/socket.h"
#include "libos/net/socket_signals.h"
#include "libos/sched/host_events.h"

namespace occlum {

// What the LibOS itself sends to a netlink socket.
struct LocalMessage {
  explicit LocalMessage(Vec<std::byte> data) : data(std::move(data)) {}
  ListNode node;
  Vec<std::byte> data;
};

class HostSocket : public Socket {
 public:
  // socket(2). `flags`: O_NONBLOCK. Errors: kAfNoSupport for families that are not passed on, and
  // the host's.
  static Result<RefPtr<Socket>> create(int domain, int type, int protocol, uint32_t flags);
  HostSocket(int domain, int type, int protocol, uint32_t flags)
      : Socket(domain, type, protocol, flags) {}
  ~HostSocket() override;

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
  void set_error(Errno error) override { error_.store(static_cast<int>(error)); }
  Result<void> set_option(int level, int name, std::span<const std::byte> value) override;
  Result<size_t> get_option(int level, int name, std::span<std::byte> value) override;
  Result<long> ioctl(Thread& self, uint32_t request, uint64_t argument) override;
  PollEvents poll(Poller* poller) override;
  AsyncLists async_lists() override { return {&signals_.listen_at(watch_->queue()), nullptr}; }

  // Comes before what the host has. For mq_notify(2), which tells the C library's thread in this way.
  void deliver(OwnPtr<LocalMessage> message);

 private:
  using LocalMessages = IntrusiveList<LocalMessage, &LocalMessage::node>;
  OwnPtr<LocalMessage> take_local();
  Result<void> adopt(HostFd fd);
  uint64_t fd() const { return static_cast<uint64_t>(fd_.number()); }
  bool must_not_block(uint32_t message_flags) const;
  bool is_stream() const { return type() == kStream; }

  // One attempt each; kAgain when it would block.
  Result<Accepted> try_accept(uint32_t flags);
  Result<void> try_connect(const SocketAddress& address);
  Result<size_t> try_send(std::span<const std::byte> data, const OutgoingMessage& message);
  Result<size_t> try_receive(std::span<std::byte> buffer, IncomingMessage& message);
  Result<SocketAddress> address_by(long call);

  // Repeats `attempt` until it is not kAgain, or `deadline`.
  template <typename Attempt>
  auto blocking(Nanoseconds deadline, Errno at_timeout, Attempt&& attempt) -> decltype(attempt());

  HostFd fd_;
  OwnPtr<HostWatch> watch_;
  SocketSignals signals_{*this};
  std::atomic<int> error_{0};  // what was kept for the next call; what the host keeps is the host's
  SpinLocked<LocalMessages> local_{LockRank::kSocket};
};

// Checks an address that the host gave for a socket of `domain`; empty when it gave none. kIo.
Result<SocketAddress> check_host_address(std::span<const std::byte> bytes, uint32_t claimed_size,
                                         int domain);

// Checks control records from the host and leaves out those that mean the host's own descriptors.
Result<Vec<std::byte>> check_host_control(std::span<const std::byte> control);

// Control records of a program for an IP socket: well-formed, of IP levels only. kInval.
Result<void> check_user_control(std::span<const std::byte> control);

// Route queries only: every message is a request for information. kPerm, kInval.
Result<void> check_netlink_request(std::span<const std::byte> data);

}  // namespace occlum
