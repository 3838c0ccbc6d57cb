// The signals of files (F_SETOWN, F_SETSIG in fcntl(2)): for now only leases (fs/vfs/leases.h) send any.
#pragma once

#include "libos/lib/result.h"

namespace occlum {

class File;
class Thread;

// F_SETOWN: kSrch, kInval.
Result<void> set_signal_owner(Thread& self, File& file, int who);
// F_SETLEASE; `type` is F_RDLCK, F_WRLCK or F_UNLCK. kInval, kAcces, kAgain.
Result<void> set_lease_of(Thread& self, File& file, int fd, int type);

void register_io_signals();

}  // namespace occlum
