// What chmod(2), chown(2) and utimensat(2) change of an inode that lives in memory: tmpfs, devices, pipes, sockets, ...
#pragma once

#include <cstdint>

#include "libos/fs/vfs/inode.h"
#include "libos/fs/vfs/stat.h"

namespace occlum {

// Not locked: whoever has one keeps it in a lock of rank kAttributes.
struct InodeAttributes {
  uint32_t mode = 0;  // with the type
  uint32_t uid = 0, gid = 0;
  FileTime atime, mtime, ctime;

  // A size is for the owner to set; here it counts as a change of the content.
  void apply(const AttributeChange& change, FileTime now) {
    if (change.permissions)
      mode = (mode & kModeTypeMask) | (*change.permissions & kModePermissions);
    uid = change.uid.value_or(uid);
    gid = change.gid.value_or(gid);
    if (change.size) mtime = now;
    atime = change.atime.value_or(atime);
    mtime = change.mtime.value_or(mtime);
    ctime = now;
  }

  void tell(Stat& stat) const {
    stat.mode = mode;
    stat.uid = uid;
    stat.gid = gid;
    stat.atime = atime;
    stat.mtime = mtime;
    stat.ctime = ctime;
  }
};

}  // namespace occlum
