// Control messages of unix sockets: SCM_RIGHTS and SCM_CREDENTIALS (unix(7), cmsg(3)).
#pragma once

#include <optional>

#include "libos/ipc/unix_mailbox.h"
#include "libos/net/socket.h"

namespace occlum {

class Thread;

struct UnixControl {
  FilesInFlight files;
  std::optional<UserIdentity> identity;  // checked: the sender's own, or it may pretend
};

// Errors: kInval, kBadFd, kPerm, kTooManyRefs.
Result<UnixControl> parse_unix_control(Thread& self, std::span<const std::byte> control);

// Adds a record for a receiver; what does not fit of it is cut off, and kMsgControlTruncated set.
Result<void> add_unix_control(IncomingMessage& message, int type,
                              std::span<const std::byte> payload);

// Builds the records for a receiver: installs the files as new descriptors. What does not fit is
// dropped and kMsgControlTruncated set, as on Linux.
Result<void> build_unix_control(Thread& self, IncomingMessage& message,
                                const UserIdentity* identity, const FilesInFlight& files);

}  // namespace occlum
