// Host sockets against a host that lies: every answer of the host is made up, and nothing that the
// program gets is beyond what it asked for.
#include "libos/net/host_socket.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "libos/net/host_numbers.h"
#include "libos/net/host_options.h"
#include "tests/unit/ipc_tasks.h"

namespace occlum {

// There is no thread whose it could be.
AnonymousInode::AnonymousInode(uint32_t mode) : AnonymousInode(mode, 0, 0) {}

namespace {

std::mt19937 random_source(3);
long next_result = 0;
bool lies = false;
alignas(16) std::array<std::byte, host::SharedBuffer::kSize> untrusted;

long any_number() {
  switch (random_source() % 8) {
    case 0:
      return 0;
    case 1:
      return -static_cast<long>(random_source() % 200);
    case 2:
      return LONG_MAX;
    case 3:
      return LONG_MIN;
    case 4:
      return static_cast<long>(random_source() % 100);
    default:
      return static_cast<long>((uint64_t{random_source()} << 32 | random_source()) >>
                               random_source() % 64);
  }
}

}  // namespace

namespace host {

SharedBuffer::SharedBuffer() : base_(reinterpret_cast<uint64_t>(untrusted.data())) {}
Result<uint64_t> SharedBuffer::reserve(size_t size) {
  const size_t rounded = (size + 15) & ~size_t{15};
  if (rounded < size || rounded > kSize - used_) return Errno::kNoMem;
  const uint64_t at = base_ + used_;
  used_ += rounded;
  return at;
}
Result<uint64_t> SharedBuffer::put(std::span<const std::byte> data) {
  const uint64_t at = TRY(reserve(data.size()));
  if (!data.empty()) std::memcpy(reinterpret_cast<void*>(at), data.data(), data.size());
  return at;
}
Result<void> SharedBuffer::get(uint64_t address, std::span<std::byte> to) const {
  if (address < base_ || address - base_ > kSize || to.size() > kSize - (address - base_))
    return Errno::kFault;
  if (!to.empty()) std::memcpy(to.data(), reinterpret_cast<const void*>(address), to.size());
  return {};
}

// The host also writes what it likes into the shared memory.
Untrusted<long> system_call(long number, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                            uint64_t) {
  if (!lies) return Untrusted<long>(next_result);
  for (int i = 0; i < 64; ++i)
    untrusted[random_source() % 1024] = static_cast<std::byte>(random_source());
  if (number == kHostSocket || number == kHostAccept4)
    return Untrusted<long>(1000 + random_source() % 1000);
  return Untrusted<long>(any_number());
}

// As libos/host/calls.cpp.
Result<long> check(Untrusted<long> result, long limit) {
  const long value = result.any_value_is_harmless();
  if (value >= 0) return value <= limit ? Result<long>(value) : Errno::kIo;
  return value >= -133 ? static_cast<Errno>(-value) : Errno::kIo;
}

Result<long> ioctl_int(int, uint32_t, int& value) {
  value = static_cast<int>(any_number());
  return 0L;
}

}  // namespace host

HostFd::~HostFd() = default;
Result<OwnPtr<HostWatch>> HostWatch::create(int) { return make_own<HostWatch>(); }
HostWatch::~HostWatch() = default;
uint32_t HostWatch::current_events() const { return static_cast<uint32_t>(random_source()); }

namespace {

TEST(HostSocket, AHostThatLiesGivesErrorsOrShortData) {
  lies = true;
  for (int round = 0; round < 20'000; ++round) {
    const int domain = random_source() % 2 == 0 ? kAfInet : kAfInet6;
    const int type = random_source() % 2 == 0 ? kStream : kDatagram;
    auto made = HostSocket::create(domain, type, 0, 04000);
    ASSERT_FALSE(made.is_error());
    RefPtr<Socket> socket = made.release_value();
    std::array<std::byte, 300> buffer = {};
    {
      DataSink sink(std::span(buffer).first(random_source() % 300));
      IncomingMessage message = {.data = sink,
                                 .flags = static_cast<uint32_t>(random_source() % 0x200),
                                 .control_room = random_source() % 200};
      const auto got = socket->receive(message);
      if (!got.is_error()) EXPECT_LE(sink.transferred(), 300u);
      EXPECT_LE(message.control.size(), 200u);
      EXPECT_LE(message.from.size(), SocketAddress::kMaxSize);
    }
    {
      DataSource source(std::span<const std::byte>(buffer).first(random_source() % 300));
      const size_t size = source.remaining();
      OutgoingMessage message = {.data = source, .flags = kMsgNoSignal};
      const auto sent = socket->send(message);
      if (!sent.is_error()) EXPECT_LE(sent.value(), size);
    }
    (void)socket->local_address();
    (void)socket->accept(0);
    const size_t room = random_source() % 64;
    const auto option = socket->get_option(kSolSocket, kSoError, std::span(buffer).first(room));
    if (!option.is_error()) {
      ASSERT_LE(option.value(), std::min<size_t>(room, 4));
      if (option.value() == 4) {
        int error = 0;
        std::memcpy(&error, buffer.data(), 4);
        EXPECT_GE(error, 0);
        EXPECT_LE(error, 133);
      }
    }
    const auto info = socket->get_option(6, 11, buffer);  // TCP_INFO
    if (!info.is_error()) EXPECT_LE(info.value(), buffer.size());
  }
  lies = false;
}

TEST(HostSocket, MoreThanWasAskedForIsRefused) {
  next_result = 5;
  RefPtr<Socket> socket = MUST(HostSocket::create(kAfInet, kStream, 0, 04000));
  std::array<std::byte, 4> buffer = {};
  DataSink sink(buffer);
  IncomingMessage message = {.data = sink};
  EXPECT_EQ(socket->receive(message).error(), Errno::kIo);
  DataSource source(std::span<const std::byte>(buffer).first(4));
  OutgoingMessage out = {.data = source};
  EXPECT_EQ(socket->send(out).error(), Errno::kIo);
}

TEST(HostSocket, FamiliesAndOptionsThatAreNotPassedOn) {
  next_result = 3;
  EXPECT_EQ(HostSocket::create(17, kRaw, 0, 0).error(), Errno::kAfNoSupport);  // AF_PACKET
  EXPECT_EQ(HostSocket::create(kAfNetlink, kRaw, 9, 0).error(),
            Errno::kProtoNoSupport);  // NETLINK_AUDIT
  next_result = 0;
  const int on = 1;
  const auto value = std::as_bytes(std::span(&on, 1));
  EXPECT_EQ(set_host_option(3, kAfInet, kSolSocket, 26, value).error(),
            Errno::kNoProtoOpt);  // SO_ATTACH_FILTER
  EXPECT_EQ(set_host_option(3, kAfInet, kSolSocket, kSoKeepAlive, value.first(3)).error(),
            Errno::kInval);
  EXPECT_FALSE(set_host_option(3, kAfInet, 6, 1, value).is_error());
}

TEST(HostChecks, Addresses) {
  std::array<std::byte, 128> bytes = {};
  bytes[0] = std::byte{kAfInet};
  EXPECT_EQ(MUST(check_host_address(bytes, 16, kAfInet)).size(), 16u);
  EXPECT_EQ(MUST(check_host_address(bytes, 0, kAfInet)).size(), 0u);
  EXPECT_EQ(check_host_address(bytes, 129, kAfInet).error(), Errno::kIo);
  EXPECT_EQ(check_host_address(bytes, 8, kAfInet).error(), Errno::kIo);
  EXPECT_EQ(check_host_address(bytes, 28, kAfInet6).error(), Errno::kIo);
}

std::vector<std::byte> record(uint64_t length, int level, int type, size_t payload) {
  const ControlHeader header = {length, level, type};
  std::vector<std::byte> bytes(sizeof(header) + payload);
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

TEST(HostChecks, ControlRecords) {
  EXPECT_EQ(MUST(check_host_control(record(20, 0, 2, 4))).size(), 20u);
  EXPECT_EQ(MUST(check_host_control(record(20, kSolSocket, 1, 4))).size(),
            0u);  // SCM_RIGHTS of the host
  EXPECT_EQ(check_host_control(record(21, 0, 2, 4)).error(), Errno::kIo);
  EXPECT_EQ(check_host_control(record(15, 0, 2, 4)).error(), Errno::kIo);
  EXPECT_EQ(check_host_control(record(UINT64_MAX, 0, 2, 4)).error(), Errno::kIo);
  EXPECT_EQ(check_user_control(record(20, kSolSocket, 1, 4)).error(), Errno::kInval);
  EXPECT_FALSE(check_user_control(record(20, 0, 2, 4)).is_error());
}

TEST(HostChecks, NetlinkAsksOnly) {
  auto message = [](uint32_t length, uint16_t type, size_t size) {
    std::vector<std::byte> bytes(size);
    std::memcpy(bytes.data(), &length, 4);
    std::memcpy(bytes.data() + 4, &type, 2);
    return bytes;
  };
  EXPECT_FALSE(check_netlink_request(message(20, 22, 20)).is_error());          // RTM_GETADDR
  EXPECT_EQ(check_netlink_request(message(20, 20, 20)).error(), Errno::kPerm);  // RTM_NEWADDR
  EXPECT_EQ(check_netlink_request(message(21, 22, 20)).error(), Errno::kInval);
  EXPECT_EQ(check_netlink_request(message(3, 22, 20)).error(), Errno::kInval);
  auto two = message(16, 22, 32);
  const uint32_t length = 16;
  const uint16_t type = 24;  // RTM_NEWROUTE behind an innocent one
  std::memcpy(two.data() + 16, &length, 4);
  std::memcpy(two.data() + 20, &type, 2);
  EXPECT_EQ(check_netlink_request(two).error(), Errno::kPerm);
}

}  // namespace
}  // namespace occlum
