// The checks between programs, us and the host's sockets (host_socket.h). Pure functions over
// bytes.
#include "libos/lib/bits.h"
#include "libos/lib/bytes.h"
#include "libos/net/host_socket.h"

namespace occlum {

namespace {

constexpr int kLevelIp = 0, kLevelTcp = 6, kLevelUdp = 17, kLevelIpv6 = 41;
constexpr int kScmRights = 1, kScmCredentials = 2, kScmPidFd = 4;

size_t smallest_address(int domain) {
  switch (domain) {
    case kAfInet:
      return 16;
    case kAfInet6:
      return 28;
    case kAfNetlink:
      return 12;
    default:
      return SIZE_MAX;
  }
}

// Calls `visit(header, payload)` for each record; false when one does not fit.
template <typename F>
bool for_each_record(std::span<const std::byte> control, F&& visit) {
  while (control.size() >= sizeof(ControlHeader)) {
    const auto header = read_object<ControlHeader>(control).value();
    if (header.length < sizeof(header) || header.length > control.size()) return false;
    visit(header, control.first(static_cast<size_t>(header.length)));
    const auto padded = checked_align_up<uint64_t>(header.length, 8);
    if (!padded || *padded >= control.size()) break;
    control = control.subspan(static_cast<size_t>(*padded));
  }
  return true;
}

}  // namespace

Result<SocketAddress> check_host_address(std::span<const std::byte> bytes, uint32_t claimed_size,
                                         int domain) {
  if (claimed_size == 0) return SocketAddress();
  // An error queue's address may be of another family; nothing else is expected.
  if (claimed_size > bytes.size() || claimed_size < smallest_address(domain)) return Errno::kIo;
  SocketAddress address = TRY(SocketAddress::create(bytes.first(claimed_size)));
  if (address.family() != domain && address.family() != kAfUnspec) return Errno::kIo;
  return address;
}

Result<Vec<std::byte>> check_host_control(std::span<const std::byte> control) {
  Vec<std::byte> kept;
  TRY(kept.reserve(control.size()));
  Result<void> added;
  const bool well_formed = for_each_record(control, [&](const ControlHeader& header,
                                                        std::span<const std::byte> record) {
    const bool names_host_objects =
        header.level == kSolSocket &&
        (header.type == kScmRights || header.type == kScmCredentials || header.type == kScmPidFd);
    if (names_host_objects || added.is_error()) return;
    added = kept.resize(align_up(kept.size(), 8));
    if (!added.is_error()) added = kept.append(record);
  });
  if (!well_formed) return Errno::kIo;
  if (added.is_error()) return added.error();
  return kept;
}

Result<void> check_user_control(std::span<const std::byte> control) {
  bool allowed = true;
  const bool well_formed =
      for_each_record(control, [&](const ControlHeader& header, std::span<const std::byte>) {
        if (header.level != kLevelIp && header.level != kLevelIpv6 && header.level != kLevelUdp &&
            header.level != kLevelTcp) {
          allowed = false;
        }
      });
  if (!well_formed || !allowed) return Errno::kInval;
  return {};
}

Result<void> check_netlink_request(std::span<const std::byte> data) {
  constexpr size_t kHeader = 16;
  constexpr uint16_t kNoOp = 1, kDone = 3, kFirstRequest = 16;
  while (data.size() >= kHeader) {
    const auto length = load_le<uint32_t>(data);
    const auto type = load_le<uint16_t>(data.subspan(4));
    if (length < kHeader || length > data.size()) return Errno::kInval;
    const bool is_query = type >= kFirstRequest && (type - kFirstRequest) % 4 == 2;  // RTM_GET*
    if (!is_query && type != kNoOp && type != kDone) return Errno::kPerm;
    const auto padded = checked_align_up<uint32_t>(length, 4);
    if (!padded || *padded >= data.size()) return {};
    data = data.subspan(*padded);
  }
  return {};
}

}  // namespace occlum
