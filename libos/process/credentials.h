// Credentials of a thread (credentials(7), capabilities(7)): the ids and capability sets of the process side, and the
// file side (fs/vfs/credentials.h) that is derived from them.
#pragma once

#include <cstdint>

#include "libos/fs/vfs/credentials.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"

namespace occlum {

constexpr uint64_t kAllCapabilities =
    (uint64_t{1} << 41) - 1;  // CAP_CHOWN .. CAP_CHECKPOINT_RESTORE
constexpr uint64_t capability_bit(int capability) { return uint64_t{1} << capability; }
constexpr int kCapChown = 0, kCapDacOverride = 1, kCapKill = 5, kCapSetGid = 6, kCapSetUid = 7,
              kCapSetPcap = 8, kCapSysPtrace = 19, kCapSysAdmin = 21, kCapSysNice = 23,
              kCapSysResource = 24, kCapSysTime = 25;

// PR_SET_SECUREBITS.
constexpr uint32_t kSecureNoRoot = 1, kSecureNoSetuidFixup = 4, kSecureKeepCaps = 16;

struct UserCredentials {
  uint32_t uid = 0, euid = 0, suid = 0;
  uint32_t gid = 0, egid = 0, sgid = 0;
  uint64_t permitted = kAllCapabilities;
  uint64_t effective = kAllCapabilities;
  uint64_t inheritable = 0;
  uint64_t bounding = kAllCapabilities;
  uint64_t ambient = 0;
  uint32_t secure_bits = 0;
  Credentials files;  // fsuid, fsgid and the groups are only here

  bool has(int capability) const { return (effective & capability_bit(capability)) != 0; }
  // Sets what `files` repeats: the real ids and whether it is privileged.
  void derive_file_part();
  Result<UserCredentials> clone() const;
};

// As threads hold them: immutable, replaced as a whole, so that others can read them at any time.
class SharedCredentials : public RefCounted<SharedCredentials> {
 public:
  explicit SharedCredentials(UserCredentials value) : value(std::move(value)) {}
  const UserCredentials value;
};

}  // namespace occlum
