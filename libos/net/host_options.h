// Socket options that are passed on to the host: an allow-list with the sizes of their values
// (socket(7), ip(7), ipv6(7), tcp(7), udp(7), netlink(7)). All others are kNoProtoOpt.
#pragma once

#include <cstddef>
#include <span>

#include "libos/lib/result.h"

namespace occlum {

Result<void> set_host_option(int fd, int domain, int level, int name,
                             std::span<const std::byte> value);
// Fills `value` from the front; returns the size of the answer.
Result<size_t> get_host_option(int fd, int domain, int level, int name, std::span<std::byte> value);

}  // namespace occlum
