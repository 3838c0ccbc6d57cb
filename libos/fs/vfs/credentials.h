// Credentials: as whom a file operation is done (credentials(7)), and the permission check (path_resolution(7),
// "Permissions"; inode(7)).
//
// The process part keeps its real, effective and saved ids and derives one of these whenever they change. Of the
// capabilities (capabilities(7)) it has the effective set.
#pragma once

#include <algorithm>
#include <cstdint>

#include "libos/lib/vec.h"

namespace occlum {

// A capability's number; those that somebody asks for have names.
enum class Capability : uint8_t {};
constexpr Capability kCapChown{0}, kCapDacOverride{1}, kCapDacReadSearch{2}, kCapFowner{3},
    kCapFsetid{4}, kCapKill{5}, kCapSetGid{6}, kCapSetUid{7}, kCapSetPcap{8}, kCapLinuxImmutable{9},
    kCapNetAdmin{12}, kCapNetRaw{13}, kCapIpcLock{14}, kCapIpcOwner{15}, kCapSysChroot{18},
    kCapSysPtrace{19}, kCapSysAdmin{21}, kCapSysNice{23}, kCapSysResource{24}, kCapSysTime{25},
    kCapSysTtyConfig{26}, kCapMknod{27}, kCapMacOverride{32}, kCapCheckpointRestore{40};
constexpr uint64_t kAllCapabilities =
    (uint64_t{1} << 41) - 1;  // CAP_CHOWN .. CAP_CHECKPOINT_RESTORE
constexpr uint64_t capability_bit(Capability capability) {
  return uint64_t{1} << static_cast<unsigned>(capability);
}

struct Credentials {
  uint32_t fsuid = 0;  // file operations; follows the effective id
  uint32_t fsgid = 0;
  uint32_t ruid = 0;  // access(2) judges by the real ids
  uint32_t rgid = 0;
  Vec<uint32_t> groups;  // supplementary
  uint64_t capabilities = kAllCapabilities;

  bool has(Capability capability) const { return (capabilities & capability_bit(capability)) != 0; }
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
    copy.capabilities = capabilities;
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

// May change what only the owner may: the mode, the times.
inline bool is_owner(const Ownership& file, const Credentials& who) {
  return who.fsuid == file.uid || who.has(kCapFowner);
}

// May give a file of the group the set-group-id bit.
inline bool may_set_group_id(uint32_t gid, const Credentials& who) {
  return who.in_group(gid) || who.has(kCapFsetid);
}

// The mode that is left when somebody writes to a file or gives it away: without the set-user-id bit, and without the
// set-group-id bit where that means what it says (chown(2), write(2)).
uint32_t mode_without_set_id(const Ownership& file, const Credentials& who);

}  // namespace occlum
