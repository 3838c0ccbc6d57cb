// The checks that open.cpp and names.cpp share: who may create, remove and what a new file belongs to (inode(7),
// path_resolution(7)).
#pragma once

#include "libos/fs/vfs/mount.h"

namespace occlum {

using InodeGuard = lock_detail::Guard<Mutex>;

// Whether names may be added to the directory: kNoEnt when it was removed, kAcces.
Result<void> check_may_create(const Path& directory, const Credentials& who);
// Whether `child` may be removed from the directory: kAcces; kPerm for a sticky directory; kBusy for a mount point.
Result<void> check_may_remove(const Path& directory, const Dentry& child, const Credentials& who);
// The owner, group and mode of a new file in the directory; `mode` has the type and the umask applied.
Result<NewInode> owned_by(const Path& directory, const Credentials& who, NewInode wanted);

}  // namespace occlum
