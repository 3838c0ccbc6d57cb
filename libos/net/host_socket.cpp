#include "libos/net/host_socket.h"

#include <algorithm>
#include <array>

#include "libos/fs/vfs/operations.h"
#include "libos/lib/bytes.h"
#include "libos/net/host_ioctl.h"
#include "libos/net/host_numbers.h"
#include "libos/net/host_options.h"
#include "libos/process/signals/send.h"

namespace occlum {

// msghdr of the host, with addresses in the shared buffer.
struct HostMessageHeader {
  uint64_t name;
  uint32_t name_length;
  uint32_t padding;
  uint64_t iov;
  uint64_t iov_count;
  uint64_t control;
  uint64_t control_length;
  int32_t flags;
  uint32_t padding2;
};
static_assert(sizeof(HostMessageHeader) == 56);

namespace {

constexpr size_t kStreamChunk = 128 * 1024;
constexpr size_t kMaxDatagram = 128 * 1024;
constexpr size_t kMaxControl = 8 * 1024;
constexpr uint32_t kSendFlags =
    kMsgOob | kMsgDontRoute | kMsgEndOfRecord | kMsgConfirm | kMsgMore | kMsgFastOpen;
constexpr uint32_t kReceiveFlags = kMsgOob | kMsgPeek | kMsgTruncated | kMsgErrorQueue;
constexpr uint32_t kResultFlags =
    kMsgOob | kMsgControlTruncated | kMsgTruncated | kMsgEndOfRecord | kMsgErrorQueue;

struct HostIovec {
  uint64_t base;
  uint64_t length;
};

bool is_passed_on(int domain, int type, int protocol) {
  switch (domain) {
    case kAfInet:
    case kAfInet6:
      return true;
    case kAfNetlink:
      return (type == kRaw || type == kDatagram) && protocol == 0;  // NETLINK_ROUTE
    default:
      return false;
  }
}

}  // namespace

// --- making ---

Result<RefPtr<Socket>> HostSocket::create(int domain, int type, int protocol, uint32_t flags) {
  if (!is_passed_on(domain, type, protocol)) {
    return domain == kAfNetlink ? Errno::kProtoNoSupport : Errno::kAfNoSupport;
  }
  const long number = TRY(
      host::check(host::system_call(kHostSocket, static_cast<uint64_t>(domain),
                                    static_cast<uint64_t>(type) | kHostNonBlock | kHostCloseOnExec,
                                    static_cast<uint64_t>(protocol)),
                  INT32_MAX));
  HostFd fd(static_cast<int>(number));
  auto socket = TRY(make_ref<HostSocket>(domain, type, protocol, flags));
  TRY(socket->adopt(std::move(fd)));
  return RefPtr<Socket>(std::move(socket));
}

Result<void> HostSocket::adopt(HostFd fd) {
  watch_ = TRY(HostWatch::create(fd.number()));
  fd_ = std::move(fd);
  return {};
}

HostSocket::~HostSocket() {
  if (watch_) signals_.detach(watch_->queue());
  watch_.clear();
  while (take_local()) continue;
}

void HostSocket::deliver(OwnPtr<LocalMessage> message) {
  local_.with([&](LocalMessages& messages) { messages.push_back(*message.leak()); });
  watch_->queue().wake_all(kPollIn | kPollRdNorm);
}

OwnPtr<LocalMessage> HostSocket::take_local() {
  LocalMessage* const first =
      local_.with([](LocalMessages& messages) { return messages.pop_front(); });
  return first == nullptr ? OwnPtr<LocalMessage>() : OwnPtr<LocalMessage>::adopt(*first);
}

bool HostSocket::must_not_block(uint32_t message_flags) const {
  return is_nonblocking() || (message_flags & kMsgDontWait) != 0;
}

template <typename Attempt>
auto HostSocket::blocking(Nanoseconds deadline, Errno at_timeout, Attempt&& attempt)
    -> decltype(attempt()) {
  decltype(attempt()) result = attempt();
  if (!result.is_error() || result.error() != Errno::kAgain) return result;
  const Result<void> waited = wait_until(watch_->queue(), deadline, Interruptible::kYes, [&] {
    result = attempt();
    return !result.is_error() || result.error() != Errno::kAgain;
  });
  if (waited.is_error()) return wait_error(waited.error(), deadline, at_timeout);
  return result;
}

// --- connections ---

Result<void> HostSocket::bind(const SocketAddress& address) {
  host::SharedBuffer shared;
  const uint64_t at = TRY(shared.put(address.bytes()));
  TRY(host::check(host::system_call(kHostBind, fd(), at, address.size()), 0));
  return {};
}

Result<void> HostSocket::listen(int backlog) {
  TRY(host::check(
      host::system_call(kHostListen, fd(), static_cast<uint64_t>(static_cast<int64_t>(backlog))),
      0));
  return {};
}

Result<Socket::Accepted> HostSocket::try_accept(uint32_t flags) {
  std::array<std::byte, SocketAddress::kMaxSize> bytes = {};
  uint32_t size = bytes.size();
  HostFd accepted;
  {
    host::SharedBuffer shared;
    const uint64_t at = TRY(shared.reserve(bytes.size()));
    const uint64_t size_at = TRY(shared.put(object_bytes(size)));
    const long number = TRY(host::check(
        host::system_call(kHostAccept4, fd(), at, size_at, kHostNonBlock | kHostCloseOnExec),
        INT32_MAX));
    accepted = HostFd(static_cast<int>(number));
    TRY(shared.get(at, bytes));
    TRY(shared.get(size_at, writable_object_bytes(size)));
  }
  Accepted result;
  result.address = TRY(check_host_address(bytes, size, domain()));
  auto socket = TRY(make_ref<HostSocket>(domain(), type(), protocol(), flags));
  TRY(socket->adopt(std::move(accepted)));
  result.socket = std::move(socket);
  return result;
}

Result<Socket::Accepted> HostSocket::accept(uint32_t flags) {
  if (is_nonblocking()) return try_accept(flags);
  return blocking(receive_deadline(), Errno::kAgain, [&] { return try_accept(flags); });
}

// kAgain while the connection is being made; asking again gives the outcome.
Result<void> HostSocket::try_connect(const SocketAddress& address) {
  host::SharedBuffer shared;
  const uint64_t at = TRY(shared.put(address.bytes()));
  const auto result = host::check(host::system_call(kHostConnect, fd(), at, address.size()), 0);
  if (!result.is_error()) return {};
  return result.error();
}

Result<void> HostSocket::connect(const SocketAddress& address) {
  Result<void> first = try_connect(address);
  if (first.is_error() && first.error() == Errno::kInProgress) signals_.note_missed_room();
  if (!first.is_error() || is_nonblocking()) return first;
  if (first.error() != Errno::kInProgress && first.error() != Errno::kAlready) return first;
  return blocking(send_deadline(), Errno::kInProgress, [&]() -> Result<void> {
    const auto events = watch_->current_events();
    if ((events & (kPollOut | kPollErr | kPollHup)) == 0) return Errno::kAgain;
    const Result<void> again = try_connect(address);
    if (again.is_error() &&
        (again.error() == Errno::kAlready || again.error() == Errno::kInProgress)) {
      return Errno::kAgain;
    }
    if (again.is_error() && again.error() == Errno::kIsConn) return {};
    return again;
  });
}

Result<void> HostSocket::shutdown(Shutdown how) {
  TRY(host::check(host::system_call(kHostShutdown, fd(), static_cast<uint64_t>(how)), 0));
  return {};
}

Result<SocketAddress> HostSocket::address_by(long call) {
  std::array<std::byte, SocketAddress::kMaxSize> bytes = {};
  uint32_t size = bytes.size();
  host::SharedBuffer shared;
  const uint64_t at = TRY(shared.reserve(bytes.size()));
  const uint64_t size_at = TRY(shared.put(object_bytes(size)));
  TRY(host::check(host::system_call(call, fd(), at, size_at), 0));
  TRY(shared.get(at, bytes));
  TRY(shared.get(size_at, writable_object_bytes(size)));
  return check_host_address(bytes, size, domain());
}

Result<SocketAddress> HostSocket::local_address() { return address_by(kHostGetsockname); }
Result<SocketAddress> HostSocket::peer_address() { return address_by(kHostGetpeername); }

// --- data ---

Result<size_t> HostSocket::try_send(std::span<const std::byte> data,
                                    const OutgoingMessage& message) {
  host::SharedBuffer shared;
  HostMessageHeader header = {};
  const HostIovec iovec = {TRY(shared.put(data)), data.size()};
  header.iov = TRY(shared.put(object_bytes(iovec)));
  header.iov_count = 1;
  if (message.to != nullptr) {
    header.name = TRY(shared.put(message.to->bytes()));
    header.name_length = static_cast<uint32_t>(message.to->size());
  }
  if (!message.control.empty()) {
    header.control = TRY(shared.put(message.control));
    header.control_length = message.control.size();
  }
  const uint64_t at = TRY(shared.put(object_bytes(header)));
  const uint64_t flags = (message.flags & kSendFlags) | kMsgDontWait | kMsgNoSignal;
  const long sent = TRY(host::check(host::system_call(kHostSendmsg, fd(), at, flags),
                                    static_cast<long>(data.size())));
  return static_cast<size_t>(sent);
}

Result<size_t> HostSocket::send(OutgoingMessage& message) {
  TRY(take_error());
  TRY(check_user_control(message.control));
  if (message.control.size() > kMaxControl) return Errno::kNoBufs;
  if (!is_stream() && message.data.remaining() > kMaxDatagram) return Errno::kMsgSize;
  const Nanoseconds deadline = send_deadline();
  size_t total = 0;
  auto failed = [&](Errno error) -> Result<size_t> {
    if (total != 0) return total;
    if (error == Errno::kPipe && is_stream() && (message.flags & kMsgNoSignal) == 0)
      send_signal_to_self(kSigPipe);
    return error;
  };
  do {
    auto buffer = TRY(Vec<std::byte>::create(std::min(message.data.remaining(), kStreamChunk)));
    if (const auto copied = message.data.read(buffer.span()); copied.is_error())
      return failed(copied.error());
    if (domain() == kAfNetlink) TRY(check_netlink_request(buffer.span()));
    std::span<const std::byte> left = buffer.span();
    do {
      auto attempt = [&] {
        Result<size_t> tried = try_send(left, message);
        if (tried.is_error() && tried.error() == Errno::kAgain) signals_.note_missed_room();
        return tried;
      };
      const Result<size_t> sent =
          must_not_block(message.flags) ? attempt() : blocking(deadline, Errno::kAgain, attempt);
      if (sent.is_error()) return failed(sent.error());
      total += sent.value();
      left = left.subspan(sent.value());
      if (!is_stream()) return total;
      // A host that takes nothing of something would keep us here for ever.
      if (sent.value() == 0 && !left.empty()) return failed(Errno::kIo);
    } while (!left.empty());
  } while (message.data.remaining() != 0);
  return total;
}

Result<size_t> HostSocket::try_receive(std::span<std::byte> buffer, IncomingMessage& message) {
  if (domain() == kAfNetlink) {
    if (const OwnPtr<LocalMessage> local = take_local()) {
      const size_t size = std::min(buffer.size(), local->data.size());
      copy_bytes(buffer, local->data.span().first(size));
      return size;
    }
  }
  std::array<std::byte, SocketAddress::kMaxSize> name = {};
  const size_t control_room = std::min(message.control_room, kMaxControl);
  host::SharedBuffer shared;
  const HostIovec iovec = {TRY(shared.reserve(std::max<size_t>(buffer.size(), 1))), buffer.size()};
  HostMessageHeader header = {};
  header.iov = TRY(shared.put(object_bytes(iovec)));
  header.iov_count = 1;
  header.name = TRY(shared.reserve(name.size()));
  header.name_length = name.size();
  if (control_room != 0) {
    header.control = TRY(shared.reserve(control_room));
    header.control_length = control_room;
  }
  const uint64_t at = TRY(shared.put(object_bytes(header)));
  const uint64_t flags = (message.flags & kReceiveFlags) | kMsgDontWait | kMsgCloseOnExec;
  // With MSG_TRUNC a datagram's real size comes back, and a stream's bytes are thrown away
  // uncopied.
  const bool real_size = (message.flags & kMsgTruncated) != 0;
  const long limit = real_size ? INT32_MAX : static_cast<long>(buffer.size());
  const long count = TRY(host::check(host::system_call(kHostRecvmsg, fd(), at, flags), limit));
  const size_t copied = std::min(static_cast<size_t>(count), buffer.size());
  if (!(real_size && is_stream())) TRY(shared.get(iovec.base, buffer.first(copied)));

  HostMessageHeader answer = {};
  TRY(shared.get(at, writable_object_bytes(answer)));
  message.result_flags = static_cast<uint32_t>(answer.flags) & kResultFlags;
  TRY(shared.get(header.name, name));
  message.from = TRY(check_host_address(name, answer.name_length, domain()));
  if (control_room != 0 && answer.control_length != 0) {
    if (answer.control_length > control_room) return Errno::kIo;
    auto control = TRY(Vec<std::byte>::create(static_cast<size_t>(answer.control_length)));
    TRY(shared.get(header.control, control.span()));
    message.control = TRY(check_host_control(control.span()));
  }
  return static_cast<size_t>(count);
}

Result<void> HostSocket::take_error() {
  if (const int error = error_.exchange(0)) return static_cast<Errno>(error);
  return {};
}

Result<size_t> HostSocket::receive(IncomingMessage& message) {
  const Nanoseconds deadline = receive_deadline();
  const size_t wanted = message.data.remaining();
  const size_t chunk = std::min(wanted, is_stream() ? kStreamChunk : kMaxDatagram);
  const bool wait_all =
      is_stream() && (message.flags & kMsgWaitAll) != 0 && (message.flags & kMsgPeek) == 0;
  const bool discards = is_stream() && (message.flags & kMsgTruncated) != 0;
  auto buffer = TRY(Vec<std::byte>::create(chunk));
  size_t total = 0;
  for (;;) {
    const std::span<std::byte> room = buffer.span().first(std::min(chunk, wanted - total));
    const bool takes_error = (message.flags & kMsgErrorQueue) == 0;
    auto attempt = [&]() -> Result<size_t> {
      if (takes_error && !is_stream()) TRY(take_error());
      const Result<size_t> result = try_receive(room, message);
      // A stream's data come first.
      if (takes_error && result.is_error() && result.error() == Errno::kAgain) TRY(take_error());
      return result;
    };
    // Nothing waits for errors.
    const bool at_once = must_not_block(message.flags) || (message.flags & kMsgErrorQueue) != 0;
    const Result<size_t> count = at_once ? attempt() : blocking(deadline, Errno::kAgain, attempt);
    if (count.is_error()) return total != 0 ? Result<size_t>(total) : count;
    const size_t copied = std::min(count.value(), room.size());
    if (!discards) {
      if (const auto stored = message.data.write(room.first(copied)); stored.is_error()) {
        return total != 0 ? Result<size_t>(total) : stored.error();
      }
    }
    total += is_stream() ? copied : count.value();
    if (!wait_all || copied == 0 || total == wanted) return total;
  }
}

// --- the rest ---

Result<void> HostSocket::set_option(int level, int name, std::span<const std::byte> value) {
  if (auto base = set_base_option(level, name, value)) return *base;
  return set_host_option(fd_.number(), domain(), level, name, value);
}

Result<size_t> HostSocket::get_option(int level, int name, std::span<std::byte> value) {
  if (auto base = get_base_option(level, name, value)) return *base;
  if (level == kSolSocket && name == kSoError) {
    if (const int error = error_.exchange(0)) return put_option_int(value, error);
  }
  return get_host_option(fd_.number(), domain(), level, name, value);
}

Result<long> HostSocket::ioctl(Thread&, uint32_t request, uint64_t argument) {
  return host_socket_ioctl(fd_.number(), request, UserAddress(argument));
}

PollEvents HostSocket::poll(Poller* poller) {
  if (poller != nullptr) (void)poller->watch(watch_->queue());
  const bool has_local =
      local_.with([](const LocalMessages& messages) { return !messages.is_empty(); });
  const PollEvents error = error_.load() != 0 ? kPollErr : 0;
  return watch_->current_events() | error | (has_local ? kPollIn | kPollRdNorm : 0);
}

}  // namespace occlum
