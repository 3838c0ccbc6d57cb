#include "libos/net/host_ioctl.h"

#include <algorithm>
#include <array>

#include "libos/fs/vfs/file.h"
#include "libos/host/calls.h"
#include "libos/lib/memory.h"
#include "libos/net/host_numbers.h"
#include "libos/net/socket.h"

namespace occlum {

namespace {

constexpr uint32_t kAtMark = 0x8905, kOutQueueNotSent = 0x894b;
constexpr uint32_t kInterfaceName = 0x8910, kInterfaceList = 0x8912;
// SIOCGIF* that take and give one struct ifreq of plain data.
constexpr std::array<uint32_t, 14> kInterfaceQuestions = {kInterfaceName,
                                                          0x8913 /* flags */,
                                                          0x8915 /* address */,
                                                          0x8917 /* destination */,
                                                          0x8919 /* broadcast */,
                                                          0x891b /* netmask */,
                                                          0x891d /* metric */,
                                                          0x8921 /* mtu */,
                                                          0x8927 /* hardware address */,
                                                          0x8933 /* index */,
                                                          0x8935 /* private flags */,
                                                          0x8942 /* queue length */,
                                                          0x8938 /* bridge */,
                                                          0x8925 /* slave */};

using InterfaceRequest = std::array<std::byte, 40>;  // struct ifreq

struct InterfaceList {  // struct ifconf
  int32_t length;
  uint32_t padding;
  uint64_t buffer;
};
static_assert(sizeof(InterfaceList) == 16);

constexpr size_t kMaxList = 16 * 1024;

Result<void> call(int fd, uint32_t request, uint64_t argument) {
  TRY(host::check(host::system_call(kHostIoctl, static_cast<uint64_t>(fd), request, argument),
                  INT32_MAX));
  return {};
}

Result<long> list_interfaces(int fd, UserAddress argument) {
  InterfaceList list = TRY(UserIn<InterfaceList>(argument).read());
  if (list.length < 0) return Errno::kInval;
  const size_t room = std::min(static_cast<size_t>(list.length), kMaxList);
  host::SharedBuffer shared;
  const bool wants_size = list.buffer == 0;
  InterfaceList asked = {};
  if (!wants_size) {
    asked.buffer = TRY(shared.reserve(std::max<size_t>(room, 1)));
    asked.length = static_cast<int32_t>(room);
  }
  const uint64_t at = TRY(shared.put(object_bytes(asked)));
  TRY(call(fd, kInterfaceList, at));
  InterfaceList answer = {};
  TRY(shared.get(at, writable_object_bytes(answer)));
  const int32_t limit = wants_size ? static_cast<int32_t>(kMaxList) : asked.length;
  list.length = TRY(Untrusted<int32_t>(answer.length).at_most(limit, Errno::kIo));
  if (!wants_size) {
    auto records = TRY(Vec<std::byte>::create(static_cast<size_t>(list.length)));
    TRY(shared.get(asked.buffer, records.span()));
    TRY(copy_to_user(current_memory(), UserAddress(list.buffer), records.span()));
  }
  TRY(UserOut<InterfaceList>(argument).write(list));
  return 0L;
}

Result<long> ask_interface(int fd, uint32_t request, UserAddress argument) {
  if (request == kInterfaceList) return list_interfaces(fd, argument);
  InterfaceRequest record = TRY(UserIn<InterfaceRequest>(argument).read());
  host::SharedBuffer shared;
  const uint64_t at = TRY(shared.put(record));
  TRY(call(fd, request, at));
  TRY(shared.get(at, record));
  TRY(UserOut<InterfaceRequest>(argument).write(record));
  return 0L;
}

bool is_about_interfaces(uint32_t request) {
  return request == kInterfaceList ||
         std::ranges::find(kInterfaceQuestions, request) != kInterfaceQuestions.end();
}

}  // namespace

Result<long> host_socket_ioctl(int fd, uint32_t request, UserAddress argument) {
  switch (request) {
    case kFionRead:
    case kTiocOutQueue:
    case kOutQueueNotSent:
    case kAtMark: {
      int value = 0;
      TRY(host::ioctl_int(fd, request, value));
      TRY(UserOut<int>(argument).write(std::max(value, 0)));
      return 0L;
    }
    default:
      return is_about_interfaces(request) ? ask_interface(fd, request, argument)
                                          : Result<long>(Errno::kNotTty);
  }
}

// A unix socket of the host is asked: those of other families answer more than Linux does here.
Result<long> interface_ioctl(uint32_t request, UserAddress argument) {
  if (!is_about_interfaces(request)) return Errno::kNotTty;
  const long number = TRY(host::check(
      host::system_call(kHostSocket, kAfUnix, kDatagram | kHostCloseOnExec, 0), INT32_MAX));
  const HostFd socket(static_cast<int>(number));
  return ask_interface(socket.number(), request, argument);
}

}  // namespace occlum
