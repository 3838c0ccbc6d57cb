#include "libos/process/credentials.h"

namespace occlum {

void UserCredentials::derive_file_part() {
  files.ruid = uid;
  files.rgid = gid;
  files.privileged = has(kCapDacOverride);
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
