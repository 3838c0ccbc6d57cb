// Credentials: as whom a file operation is done (credentials(7)), and the permission check (path_resolution(7),
// "Permissions"; inode(7)).
//
// The process part keeps its real, effective and saved ids and derives one of these whenever they change.
#pragma once

#include <algorithm>
#include <cstdint>

#include "libos/lib/vec.h"

namespace occlum {

struct Credentials {
  uint32_t fsuid = 0;  // file operations; follows the effective id
  uint32_t fsgid = 0;
  uint32_t ruid = 0;  // access(2) judges by the real ids
  uint32_t rgid = 0;
  Vec<uint32_t> groups;  // supplementary
  // All capabilities, or none: CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_CHOWN, CAP_FSETID, CAP_MKNOD, CAP_SYS_ADMIN, ...
  bool privileged = true;

  bool in_group(uint32_t gid) const {
    return gid == fsgid || std::ranges::find(groups, gid) != groups.end();
  }

  Result<Credentials> clone() const {
    Credentials copy;
    copy.fsuid = fsuid;
    copy.fsgid = fsgid;
    copy.ruid = ruid;
    copy.rgid = rgid;
    copy.groups = TRY(groups.clone());
    copy.privileged = privileged;
    return copy;
  }
};

// Bits of a permission request, as access(2)'s R_OK, W_OK, X_OK.
constexpr uint32_t kMayExecute = 1, kMayWrite = 2, kMayRead = 4;

// The owner, the mode and the type that permission depends on.
struct Ownership {
  uint32_t mode = 0;  // with the type
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// kAcces unless `who` may do all of `request`.
Result<void> check_permission(const Ownership& file, const Credentials& who, uint32_t request);

// The owner of the file, or privileged.
inline bool is_owner(const Ownership& file, const Credentials& who) {
  return who.privileged || who.fsuid == file.uid;
}

}  // namespace occlum
