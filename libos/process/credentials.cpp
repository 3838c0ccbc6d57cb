#include "libos/process/credentials.h"

#include "libos/process/process.h"
#include "libos/process/thread.h"

namespace occlum {
namespace {

// What setfsuid(2) gives and takes.
constexpr uint64_t kFileCapabilities =
    capability_bit(kCapChown) | capability_bit(kCapDacOverride) |
    capability_bit(kCapDacReadSearch) | capability_bit(kCapFowner) | capability_bit(kCapFsetid) |
    capability_bit(kCapMknod) | capability_bit(kCapLinuxImmutable) |
    capability_bit(kCapMacOverride);

bool has_root(const UserCredentials& user) {
  return user.uid == 0 || user.euid == 0 || user.suid == 0;
}

}  // namespace

void UserCredentials::adjust_capabilities(const UserCredentials& old) {
  if ((secure_bits & kSecureNoSetuidFixup) != 0) return;
  if (has_root(old) && !has_root(*this)) {
    if ((secure_bits & kSecureKeepCaps) == 0) permitted = effective = 0;
    ambient = 0;
  }
  if (old.euid == 0 && euid != 0) effective = 0;
  if (old.euid != 0 && euid == 0) effective = permitted;
}

void UserCredentials::adjust_file_capabilities(const UserCredentials& old) {
  if ((secure_bits & kSecureNoSetuidFixup) != 0) return;
  if (old.files.fsuid == 0 && files.fsuid != 0) effective &= ~kFileCapabilities;
  if (old.files.fsuid != 0 && files.fsuid == 0) effective |= kFileCapabilities & permitted;
}

bool makes_undumpable(const UserCredentials& old, const UserCredentials& next) {
  return old.euid != next.euid || old.egid != next.egid || old.files.fsuid != next.files.fsuid ||
         old.files.fsgid != next.files.fsgid || (next.permitted & ~old.permitted) != 0;
}

Result<void> check_may_trace(Thread& self, Process& target, TracerIds ids) {
  if (&self.process() == &target) return {};
  const UserCredentials& own = self.user();
  if (own.has(kCapSysPtrace)) return {};
  const RefPtr<SharedCredentials> credentials = target.credentials();
  if (!credentials) return Errno::kPerm;
  const UserCredentials& theirs = credentials->value;
  const uint32_t uid = ids == TracerIds::kReal ? own.uid : own.files.fsuid;
  const uint32_t gid = ids == TracerIds::kReal ? own.gid : own.files.fsgid;
  const bool is_same = uid == theirs.uid && uid == theirs.euid && uid == theirs.suid &&
                       gid == theirs.gid && gid == theirs.egid && gid == theirs.sgid;
  const uint64_t capabilities = ids == TracerIds::kReal ? own.permitted : own.effective;
  if (!is_same || !target.dumpable() || (theirs.permitted & ~capabilities) != 0)
    return Errno::kPerm;
  return {};
}

void UserCredentials::derive_file_part() {
  files.ruid = uid;
  files.rgid = gid;
  files.capabilities = effective;
}

Result<RefPtr<SharedCredentials>> SharedCredentials::create(UserCredentials value) {
  value.derive_file_part();
  return make_ref<SharedCredentials>(std::move(value));
}

Result<UserCredentials> UserCredentials::clone() const {
  UserCredentials copy;
  copy.uid = uid;
  copy.euid = euid;
  copy.suid = suid;
  copy.gid = gid;
  copy.egid = egid;
  copy.sgid = sgid;
  copy.permitted = permitted;
  copy.effective = effective;
  copy.inheritable = inheritable;
  copy.bounding = bounding;
  copy.ambient = ambient;
  copy.secure_bits = secure_bits;
  copy.files = TRY(files.clone());
  return copy;
}

}  // namespace occlum
