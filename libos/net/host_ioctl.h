// ioctl(2) of host sockets: queue sizes and questions about network interfaces (netdevice(7)),
// passed on.
#pragma once

#include <cstdint>

#include "libos/lib/result.h"
#include "libos/mm/user.h"

namespace occlum {

// kNotTty for requests that are not known; questions only, nothing that changes the host.
Result<long> host_socket_ioctl(int fd, uint32_t request, UserAddress argument);

// The questions about interfaces that sockets of every family answer, for one that the host knows nothing of.
Result<long> interface_ioctl(uint32_t request, UserAddress argument);

}  // namespace occlum
