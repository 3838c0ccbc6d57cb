// Numbers of the host's system calls (x86-64) that sockets and streams make through
// host::system_call, and their flags.
#pragma once

#include <cstdint>

namespace occlum {

constexpr long kHostPoll = 7, kHostLseek = 8, kHostIoctl = 16, kHostSocket = 41, kHostConnect = 42,
               kHostAccept = 43, kHostSendto = 44, kHostRecvfrom = 45, kHostSendmsg = 46,
               kHostRecvmsg = 47, kHostShutdown = 48, kHostBind = 49, kHostListen = 50,
               kHostGetsockname = 51, kHostGetpeername = 52, kHostSetsockopt = 54,
               kHostGetsockopt = 55, kHostFtruncate = 77, kHostAccept4 = 288, kHostPreadv2 = 327,
               kHostPwritev2 = 328;
// Flags of socket(2) and accept4(2) beside the type.
constexpr uint64_t kHostNonBlock = 04000, kHostCloseOnExec = 02000000;

}  // namespace occlum
