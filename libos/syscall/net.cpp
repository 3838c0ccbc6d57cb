// socket(2) and its family: decode, call the Socket, encode.
#include "libos/fs/file_table.h"
#include "libos/fs/vfs/operations.h"
#include "libos/fs/vfs/regular_file.h"
#include "libos/ipc/unix_socket.h"
#include "libos/lib/bits.h"
#include "libos/lib/bytes.h"
#include "libos/net/host_socket.h"
#include "libos/process/thread.h"
#include "libos/syscall/deadline.h"
#include "libos/syscall/dispatch.h"

namespace occlum {

namespace {

constexpr uint32_t kTypeMask = 0xf;
constexpr size_t kMaxOption = 4096;
constexpr size_t kMaxGroupList = 65536 * sizeof(uint32_t);  // NGROUPS_MAX
constexpr uint64_t kMaxControl = 64 * 1024;
constexpr uint32_t kMaxMessages = 1024;  // UIO_MAXIOV

Result<RefPtr<Socket>> get_socket(Thread& self, Fd fd) {
  RefPtr<File> file = TRY(self.files().get(number(fd)));
  if ((file->flags() & kOpenPath) != 0) return Errno::kBadFd;
  if (file->kind() != FileKind::kSocket) return Errno::kNotSock;
  return static_ptr_cast<Socket>(std::move(file));
}

CloseOnExec close_on_exec(uint32_t flags) {
  return (flags & kOpenCloseOnExec) != 0 ? CloseOnExec::kYes : CloseOnExec::kNo;
}

// SOCK_NONBLOCK and SOCK_CLOEXEC are open(2)'s bits.
Result<uint32_t> socket_flags(uint32_t type) {
  const uint32_t flags = type & ~kTypeMask;
  if ((flags & ~(kOpenNonblock | kOpenCloseOnExec)) != 0) return Errno::kInval;
  return flags;
}

// Stores an address with its size as accept(2) and the like do: what does not fit is cut off, the
// size is the real one.
Result<void> store_required_address(const SocketAddress& address, UserAddress to,
                                    UserInOut<uint32_t> size) {
  const auto room = static_cast<int32_t>(TRY(size.read()));
  if (room < 0) return Errno::kInval;
  const std::span<const std::byte> bytes = address.bytes();
  TRY(copy_to_user(current_memory(), to,
                   bytes.first(std::min(static_cast<size_t>(room), bytes.size()))));
  return size.write(static_cast<uint32_t>(bytes.size()));
}

// MSG_CMSG_COMPAT is the 32-bit calls' own.
Result<void> check_message_flags(Flags flags) {
  constexpr uint32_t kCompat = 0x80000000;
  if ((bits(flags) & kCompat) != 0) return Errno::kInval;
  return {};
}

// A buffer out of a program's half of the addresses is refused before anything is moved.
Result<void> check_buffer(UserAddress buffer, size_t count) {
  if (buffer.value() > kTaskSizeMax ||
      std::min(count, kMaxTransfer) > kTaskSizeMax - buffer.value()) {
    return Errno::kFault;
  }
  return {};
}

// accept(2), recvfrom(2): the caller may not want it.
Result<void> store_address(const SocketAddress& address, UserAddress to, UserInOut<uint32_t> size) {
  if (to.is_null()) return {};
  return store_required_address(address, to, size);
}

Result<long> send_message(Socket& socket, UserAddress at, uint32_t flags) {
  const MessageHeader header = TRY(UserIn<MessageHeader>(at).read());
  if (header.iov_count > 1024) return Errno::kMsgSize;
  DataSource data(TRY(read_iovec(UserAddress(header.iov), header.iov_count)));
  SocketAddress address;
  OutgoingMessage message = {.data = data, .flags = flags};
  if (header.name != 0 && header.name_length != 0) {
    if (static_cast<int32_t>(header.name_length) < 0) return Errno::kInval;
    address = TRY(SocketAddress::from_user(
        UserAddress(header.name), std::min<uint32_t>(header.name_length, SocketAddress::kMaxSize)));
    message.to = &address;
  }
  Vec<std::byte> control;
  if (header.control_length != 0) {
    if (header.control_length > kMaxControl) return Errno::kNoBufs;
    TRY(control.resize(header.control_length));
    TRY(copy_from_user(current_memory(), control.span(), UserAddress(header.control)));
    message.control = control.span();
  }
  return static_cast<long>(TRY(socket.send(message)));
}

// Of new descriptors those are closed whose numbers cannot be told (scm_detach_fds of net/core/scm.c). Other records that
// cannot be told beside the data are left out (put_cmsg there): the data has been taken.
void store_control(IncomingMessage& message, UserAddress to) {
  Vec<std::byte>& control = message.control;
  Vec<int>& files = message.descriptors;
  const size_t payload = control.size() - files.size() * sizeof(int);  // where their record's is
  while (copy_to_user(current_memory(), to, control.span()).is_error()) {
    message.result_flags |= files.is_empty() ? 0 : kMsgControlTruncated;
    if (files.is_empty()) return control.clear();
    (void)current_thread().files().close(files.pop());
    const uint64_t length = sizeof(ControlHeader) + files.size() * sizeof(int);
    const size_t record = payload - sizeof(ControlHeader);
    control.truncate(files.is_empty() ? record : record + length);
    if (!files.is_empty()) store_le<uint64_t>(control.span().subspan(record), length);
  }
}

Result<long> receive_message(Socket& socket, UserAddress at, uint32_t flags) {
  MessageHeader header = TRY(UserIn<MessageHeader>(at).read());
  if (header.iov_count > 1024) return Errno::kMsgSize;
  DataSink data(TRY(read_iovec(UserAddress(header.iov), header.iov_count)));
  IncomingMessage message = {.data = data, .flags = flags};
  if (header.control != 0)
    message.control_room = std::min<uint64_t>(header.control_length, kMaxControl);
  const size_t count = TRY(socket.receive(message));
  if (header.name != 0) {
    const auto room = static_cast<int32_t>(header.name_length);
    if (room < 0) return Errno::kInval;
    const std::span<const std::byte> bytes = message.from.bytes();
    TRY(copy_to_user(current_memory(), UserAddress(header.name),
                     bytes.first(std::min(static_cast<size_t>(room), bytes.size()))));
    header.name_length = static_cast<uint32_t>(bytes.size());
  }
  store_control(message, UserAddress(header.control));
  // The last record counts with its padding as far as there is room (put_cmsg of net/core/scm.c).
  header.control_length =
      std::min<uint64_t>(align_up(message.control.size(), 8), message.control_room);
  header.flags = static_cast<int32_t>(message.result_flags | (flags & kMsgCloseOnExec));
  TRY(UserOut<MessageHeader>(at).write(header));
  return static_cast<long>(count);
}

}  // namespace

Result<long> sys_socket(Thread& self, int domain, uint32_t type, int protocol) {
  const uint32_t flags = TRY(socket_flags(type));
  const auto kind = static_cast<int>(type & kTypeMask);
  RefPtr<Socket> socket;
  if (domain == kAfUnix) {
    socket = TRY(UnixSocket::create(kind, protocol, flags & kOpenNonblock));
  } else {
    socket = TRY(HostSocket::create(domain, kind, protocol, flags & kOpenNonblock));
  }
  return static_cast<long>(TRY(self.files().install(std::move(socket), close_on_exec(flags))));
}

Result<long> sys_socketpair(Thread& self, int domain, uint32_t type, int protocol,
                            UserOut<FdPair> fds) {
  const uint32_t flags = TRY(socket_flags(type));
  FdReservation reserved = TRY(self.files().reserve(2, close_on_exec(flags)));
  TRY(fds.write({reserved[0], reserved[1]}));
  const auto kind = static_cast<int>(type & kTypeMask);
  if (domain != kAfUnix) {
    // Only what can be made at all is refused for not coming in pairs.
    (void)TRY(HostSocket::create(domain, kind, protocol, flags & kOpenNonblock));
    return Errno::kOpNotSupp;
  }
  auto pair = TRY(UnixSocket::create_pair(kind, protocol, flags & kOpenNonblock));
  reserved.commit(std::move(pair.first), std::move(pair.second));
  return 0L;
}

Result<long> sys_bind(Thread& self, Fd fd, UserAddress address, uint32_t size) {
  auto socket = TRY(get_socket(self, fd));
  TRY(socket->bind(TRY(SocketAddress::from_user(address, size))));
  return 0L;
}

Result<long> sys_listen(Thread& self, Fd fd, int backlog) {
  TRY(TRY(get_socket(self, fd))->listen(backlog));
  return 0L;
}

Result<long> sys_accept4(Thread& self, Fd fd, UserAddress address, UserInOut<uint32_t> size,
                         Flags flags) {
  // The order is Linux's: the descriptor, the flags, room for the new one, what the descriptor is.
  if ((TRY(self.files().get(number(fd)))->flags() & kOpenPath) != 0) return Errno::kBadFd;
  if ((bits(flags) & ~(kOpenNonblock | kOpenCloseOnExec)) != 0) return Errno::kInval;
  FdReservation reserved = TRY(self.files().reserve(1, close_on_exec(bits(flags))));
  auto socket = TRY(get_socket(self, fd));
  Socket::Accepted accepted = TRY(socket->accept(bits(flags) & kOpenNonblock));
  TRY(store_address(accepted.address, address, size));
  const int result = reserved[0];
  reserved.commit(std::move(accepted.socket));
  return static_cast<long>(result);
}

Result<long> sys_accept(Thread& self, Fd fd, UserAddress address, UserInOut<uint32_t> size) {
  return sys_accept4(self, fd, address, size, Flags{});
}

Result<long> sys_connect(Thread& self, Fd fd, UserAddress address, uint32_t size) {
  auto socket = TRY(get_socket(self, fd));
  TRY(socket->connect(TRY(SocketAddress::from_user(address, size))));
  return 0L;
}

Result<long> sys_getsockname(Thread& self, Fd fd, UserAddress address, UserInOut<uint32_t> size) {
  TRY(store_required_address(TRY(TRY(get_socket(self, fd))->local_address()), address, size));
  return 0L;
}

Result<long> sys_getpeername(Thread& self, Fd fd, UserAddress address, UserInOut<uint32_t> size) {
  TRY(store_required_address(TRY(TRY(get_socket(self, fd))->peer_address()), address, size));
  return 0L;
}

Result<long> sys_shutdown(Thread& self, Fd fd, int how) {
  auto socket = TRY(get_socket(self, fd));
  if (how < 0 || how > 2) return Errno::kInval;
  TRY(socket->shutdown(static_cast<Shutdown>(how)));
  return 0L;
}

Result<long> sys_sendto(Thread& self, Fd fd, UserAddress buffer, size_t count, Flags flags,
                        UserAddress to, uint32_t size) {
  TRY(check_buffer(buffer, count));
  auto socket = TRY(get_socket(self, fd));
  DataSource data(buffer, std::min(count, kMaxTransfer));
  SocketAddress address;
  OutgoingMessage message = {.data = data, .flags = bits(flags)};
  if (!to.is_null()) {
    address = TRY(SocketAddress::from_user(to, size));
    message.to = &address;
  }
  return static_cast<long>(TRY(socket->send(message)));
}

Result<long> sys_recvfrom(Thread& self, Fd fd, UserAddress buffer, size_t count, Flags flags,
                          UserAddress from, UserInOut<uint32_t> size) {
  TRY(check_buffer(buffer, count));
  auto socket = TRY(get_socket(self, fd));
  DataSink data(buffer, std::min(count, kMaxTransfer));
  IncomingMessage message = {.data = data, .flags = bits(flags)};
  const size_t received = TRY(socket->receive(message));
  TRY(store_address(message.from, from, size));
  return static_cast<long>(received);
}

Result<long> sys_sendmsg(Thread& self, Fd fd, UserAddress message, Flags flags) {
  TRY(check_message_flags(flags));
  return send_message(*TRY(get_socket(self, fd)), message, bits(flags));
}

Result<long> sys_recvmsg(Thread& self, Fd fd, UserAddress message, Flags flags) {
  TRY(check_message_flags(flags));
  return receive_message(*TRY(get_socket(self, fd)), message, bits(flags));
}

// An error after the first message is kept for later by Linux; here the next call finds it again.
Result<long> sys_sendmmsg(Thread& self, Fd fd, UserAddress messages, uint32_t count, Flags flags) {
  TRY(check_message_flags(flags));
  auto socket = TRY(get_socket(self, fd));
  count = std::min(count, kMaxMessages);
  for (uint32_t i = 0; i < count; ++i) {
    const UserAddress at = messages + i * sizeof(MultiMessageHeader);
    const auto sent = send_message(*socket, at, bits(flags));
    if (sent.is_error()) return i != 0 ? Result<long>(i) : sent;
    TRY(UserOut<uint32_t>(at + offsetof(MultiMessageHeader, length))
            .write(static_cast<uint32_t>(sent.value())));
  }
  return static_cast<long>(count);
}

// An error after the first message is for the next call, or for who asks (recvmmsg(2)); but not that there is nothing
// more, and a signal is noticed by itself.
static void keep_error(Socket& socket, Errno error) {
  if (error != Errno::kAgain && error != Errno::kRestartSys) socket.set_error(error);
}

Result<long> sys_recvmmsg(Thread& self, Fd fd, UserAddress messages, uint32_t count, Flags flags,
                          UserInOut<Timespec> timeout) {
  TRY(check_message_flags(flags));
  auto socket = TRY(get_socket(self, fd));
  count = std::min(count, kMaxMessages);
  Nanoseconds deadline = kNever;
  if (!timeout.is_null()) deadline = deadline_after(TRY(to_nanoseconds(TRY(timeout.read()))));
  if ((bits(flags) & kMsgErrorQueue) == 0) TRY(socket->take_error());
  uint32_t each = bits(flags) & ~kMsgWaitForOne;
  uint32_t done = 0;
  while (done < count) {
    const UserAddress at = messages + done * sizeof(MultiMessageHeader);
    const auto received = receive_message(*socket, at, each);
    if (received.is_error()) {
      if (done == 0) return received;
      keep_error(*socket, received.error());
      break;
    }
    TRY(UserOut<uint32_t>(at + offsetof(MultiMessageHeader, length))
            .write(static_cast<uint32_t>(received.value())));
    ++done;
    if ((bits(flags) & kMsgWaitForOne) != 0) each |= kMsgDontWait;
    if (deadline != kNever && remaining_until(deadline) == 0) break;
  }
  if (!timeout.is_null() && deadline != kNever)
    TRY(timeout.write(to_timespec(remaining_until(deadline))));
  return static_cast<long>(done);
}

Result<long> sys_setsockopt(Thread& self, Fd fd, int level, int name, UserAddress value,
                            uint32_t size) {
  auto socket = TRY(get_socket(self, fd));
  if (static_cast<int32_t>(size) < 0) return Errno::kInval;
  if (size > kMaxOption) return Errno::kInval;
  auto bytes = TRY(Vec<std::byte>::create(size));
  TRY(copy_from_user(current_memory(), bytes.span(), value));
  TRY(socket->set_option(level, name, bytes.span()));
  return 0L;
}

Result<long> sys_getsockopt(Thread& self, Fd fd, int level, int name, UserAddress value,
                            UserInOut<uint32_t> size) {
  auto socket = TRY(get_socket(self, fd));
  const auto room = static_cast<int32_t>(TRY(size.read()));
  if (room < 0) return Errno::kInval;
  const size_t limit = level == kSolSocket && name == kSoPeerGroups ? kMaxGroupList : kMaxOption;
  auto bytes = TRY(Vec<std::byte>::create(std::min(static_cast<size_t>(room), limit)));
  const size_t count = TRY(socket->get_option(level, name, bytes.span()));
  if (count > bytes.size()) {
    TRY(size.write(static_cast<uint32_t>(count)));
    return Errno::kRange;
  }
  TRY(copy_to_user(current_memory(), value, bytes.span().first(count)));
  TRY(size.write(static_cast<uint32_t>(count)));
  return 0L;
}

}  // namespace occlum
