#include "libos/net/host_options.h"

#include <algorithm>
#include <array>

#include "libos/host/calls.h"
#include "libos/net/host_numbers.h"
#include "libos/net/socket.h"

namespace occlum {

namespace {

enum Direction : uint8_t { kGet = 1, kSet = 2, kBoth = 3 };

// Sizes are of the value: at least `smallest` is needed to set it, at most `largest` is passed on.
struct OptionRule {
  int level;
  int name;
  Direction direction;
  uint16_t smallest;
  uint16_t largest;
};

constexpr int kIp = 0, kTcp = 6, kUdp = 17, kIpv6 = 41, kNetlink = 270;

constexpr OptionRule number(int level, int name, Direction direction = kBoth) {
  return {level, name, direction, 4, 4};
}
// IP options are one byte or an int.
constexpr OptionRule small_number(int level, int name, Direction direction = kBoth) {
  return {level, name, direction, 1, 4};
}

constexpr std::array kRules = {
    number(kSolSocket, kSoDebug),
    number(kSolSocket, kSoReuseAddr),
    number(kSolSocket, kSoError, kGet),
    number(kSolSocket, kSoDontRoute),
    number(kSolSocket, kSoBroadcast),
    number(kSolSocket, kSoSndBuf),
    number(kSolSocket, kSoRcvBuf),
    number(kSolSocket, kSoKeepAlive),
    number(kSolSocket, kSoOobInline),
    number(kSolSocket, kSoPriority),
    OptionRule{kSolSocket, kSoLinger, kBoth, 8, 8},
    number(kSolSocket, kSoReusePort),
    number(kSolSocket, kSoRcvLowat),
    number(kSolSocket, kSoSndLowat, kGet),
    OptionRule{kSolSocket, 25 /* SO_BINDTODEVICE */, kBoth, 0, 16},
    number(kSolSocket, 29 /* SO_TIMESTAMP */),
    number(kSolSocket, kSoAcceptConn, kGet),
    number(kSolSocket, kSoSndBufForce, kSet),
    number(kSolSocket, kSoRcvBufForce, kSet),
    number(kSolSocket, 35 /* SO_TIMESTAMPNS */),
    number(kSolSocket, 36 /* SO_MARK */),
    number(kSolSocket, 37 /* SO_TIMESTAMPING */),
    number(kSolSocket, 40 /* SO_RXQ_OVFL */),
    number(kSolSocket, 42 /* SO_PEEK_OFF */),
    number(kSolSocket, 46 /* SO_BUSY_POLL */),
    OptionRule{kSolSocket, 47 /* SO_MAX_PACING_RATE */, kBoth, 4, 8},
    number(kSolSocket, 49 /* SO_INCOMING_CPU */),
    number(kSolSocket, 56 /* SO_INCOMING_NAPI_ID */, kGet),

    small_number(kIp, 1 /* IP_TOS */),
    small_number(kIp, 2 /* IP_TTL */),
    small_number(kIp, 3 /* IP_HDRINCL */),
    small_number(kIp, 6 /* IP_RECVOPTS */),
    small_number(kIp, 8 /* IP_PKTINFO */),
    small_number(kIp, 10 /* IP_MTU_DISCOVER */),
    small_number(kIp, 11 /* IP_RECVERR */),
    small_number(kIp, 12 /* IP_RECVTTL */),
    small_number(kIp, 13 /* IP_RECVTOS */),
    small_number(kIp, 14 /* IP_MTU */, kGet),
    small_number(kIp, 15 /* IP_FREEBIND */),
    small_number(kIp, 19 /* IP_TRANSPARENT */),
    small_number(kIp, 20 /* IP_RECVORIGDSTADDR */),
    small_number(kIp, 24 /* IP_BIND_ADDRESS_NO_PORT */),
    OptionRule{kIp, 32 /* IP_MULTICAST_IF */, kBoth, 4, 12},
    small_number(kIp, 33 /* IP_MULTICAST_TTL */),
    small_number(kIp, 34 /* IP_MULTICAST_LOOP */),
    OptionRule{kIp, 35 /* IP_ADD_MEMBERSHIP */, kSet, 8, 12},
    OptionRule{kIp, 36 /* IP_DROP_MEMBERSHIP */, kSet, 8, 12},
    small_number(kIp, 49 /* IP_MULTICAST_ALL */),

    number(kIpv6, 16 /* IPV6_UNICAST_HOPS */),
    number(kIpv6, 17 /* IPV6_MULTICAST_IF */),
    number(kIpv6, 18 /* IPV6_MULTICAST_HOPS */),
    number(kIpv6, 19 /* IPV6_MULTICAST_LOOP */),
    OptionRule{kIpv6, 20 /* IPV6_ADD_MEMBERSHIP */, kSet, 20, 20},
    OptionRule{kIpv6, 21 /* IPV6_DROP_MEMBERSHIP */, kSet, 20, 20},
    number(kIpv6, 23 /* IPV6_MTU_DISCOVER */),
    number(kIpv6, 24 /* IPV6_MTU */),
    number(kIpv6, 25 /* IPV6_RECVERR */),
    number(kIpv6, 26 /* IPV6_V6ONLY */),
    number(kIpv6, 49 /* IPV6_RECVPKTINFO */),
    number(kIpv6, 51 /* IPV6_RECVHOPLIMIT */),
    number(kIpv6, 66 /* IPV6_RECVTCLASS */),
    number(kIpv6, 67 /* IPV6_TCLASS */),
    number(kIpv6, 78 /* IPV6_FREEBIND */),

    number(kTcp, 1 /* TCP_NODELAY */),
    number(kTcp, 2 /* TCP_MAXSEG */),
    number(kTcp, 3 /* TCP_CORK */),
    number(kTcp, 4 /* TCP_KEEPIDLE */),
    number(kTcp, 5 /* TCP_KEEPINTVL */),
    number(kTcp, 6 /* TCP_KEEPCNT */),
    number(kTcp, 7 /* TCP_SYNCNT */),
    number(kTcp, 8 /* TCP_LINGER2 */),
    number(kTcp, 9 /* TCP_DEFER_ACCEPT */),
    number(kTcp, 10 /* TCP_WINDOW_CLAMP */),
    OptionRule{kTcp, 11 /* TCP_INFO */, kGet, 0, 512},
    number(kTcp, 12 /* TCP_QUICKACK */),
    OptionRule{kTcp, 13 /* TCP_CONGESTION */, kBoth, 1, 16},
    number(kTcp, 18 /* TCP_USER_TIMEOUT */),
    number(kTcp, 23 /* TCP_FASTOPEN */),
    number(kTcp, 24 /* TCP_TIMESTAMP */),
    number(kTcp, 25 /* TCP_NOTSENT_LOWAT */),
    number(kTcp, 30 /* TCP_FASTOPEN_CONNECT */),
    number(kTcp, 36 /* TCP_INQ */),

    number(kUdp, 1 /* UDP_CORK */),
    number(kUdp, 103 /* UDP_SEGMENT */),
    number(kUdp, 104 /* UDP_GRO */),

    number(kNetlink, 1 /* NETLINK_ADD_MEMBERSHIP */, kSet),
    number(kNetlink, 2 /* NETLINK_DROP_MEMBERSHIP */, kSet),
    number(kNetlink, 3 /* NETLINK_PKTINFO */),
    number(kNetlink, 10 /* NETLINK_CAP_ACK */),
    number(kNetlink, 11 /* NETLINK_EXT_ACK */),
    number(kNetlink, 12 /* NETLINK_GET_STRICT_CHK */),
};

const OptionRule* find_rule(int level, int name, Direction direction) {
  const auto* const rule = std::ranges::find_if(
      kRules, [&](const OptionRule& one) { return one.level == level && one.name == name; });
  return rule == kRules.end() || (rule->direction & direction) == 0 ? nullptr : rule;
}

}  // namespace

Result<void> set_host_option(int fd, int, int level, int name, std::span<const std::byte> value) {
  const OptionRule* rule = find_rule(level, name, kSet);
  if (rule == nullptr) return Errno::kNoProtoOpt;
  if (value.size() < rule->smallest) return Errno::kInval;
  value = value.first(std::min<size_t>(value.size(), rule->largest));
  host::SharedBuffer shared;
  const uint64_t at = TRY(shared.put(value));
  TRY(host::check(
      host::system_call(kHostSetsockopt, static_cast<uint64_t>(fd), static_cast<uint64_t>(level),
                        static_cast<uint64_t>(name), at, value.size()),
      0));
  return {};
}

Result<size_t> get_host_option(int fd, int, int level, int name, std::span<std::byte> value) {
  const OptionRule* rule = find_rule(level, name, kGet);
  if (rule == nullptr) return Errno::kNoProtoOpt;
  auto room = static_cast<uint32_t>(std::min<size_t>(value.size(), rule->largest));
  host::SharedBuffer shared;
  const uint64_t at = TRY(shared.reserve(std::max<size_t>(room, 1)));
  const uint64_t size_at = TRY(shared.put(object_bytes(room)));
  TRY(host::check(
      host::system_call(kHostGetsockopt, static_cast<uint64_t>(fd), static_cast<uint64_t>(level),
                        static_cast<uint64_t>(name), at, size_at),
      0));
  uint32_t claimed = 0;
  TRY(shared.get(size_at, writable_object_bytes(claimed)));
  const size_t size = TRY(Untrusted<uint32_t>(claimed).at_most(room, Errno::kIo));
  TRY(shared.get(at, value.first(size)));
  if (level == kSolSocket && name == kSoError && size == sizeof(int)) {
    // An error number that a program may hand to strerror and switch on: one of Linux's.
    int error = 0;
    copy_bytes(writable_object_bytes(error), value.first(sizeof(error)));
    constexpr int kLargestErrno = 133;
    if (error < 0 || error > kLargestErrno) put_option_int(value, static_cast<int>(Errno::kIo));
  }
  return size;
}

}  // namespace occlum
