// User and group ids (credentials(7), setuid(2), setresuid(2), getgroups(2)).
//
// As on Linux each thread has its own; C libraries bring a process's threads in step by themselves.
#include "libos/process/process.h"
#include "libos/process/process_table.h"
#include "libos/syscall/dispatch.h"

namespace occlum {
namespace {

constexpr uint32_t kUnchanged = UINT32_MAX;

Result<long> install(Thread& self, UserCredentials next) {
  const bool changes = makes_undumpable(self.user(), next);
  TRY(self.set_credentials(std::move(next)));
  if (changes) {
    self.process().set_dumpable(false);
    self.parent_death_signal = 0;
  }
  return 0;
}

// After a change of user ids.
Result<long> install_user(Thread& self, UserCredentials next) {
  next.adjust_capabilities(self.user());
  const bool is_other_user = next.uid != self.user().uid;
  TRY(install(self, std::move(next)));
  if (is_other_user) note_process_limit(self);
  return 0;
}

bool is_one_of(uint32_t id, uint32_t a, uint32_t b, uint32_t c) {
  return id == a || id == b || id == c;
}

}  // namespace

Result<long> sys_getuid(Thread& self) { return self.user().uid; }
Result<long> sys_geteuid(Thread& self) { return self.user().euid; }
Result<long> sys_getgid(Thread& self) { return self.user().gid; }
Result<long> sys_getegid(Thread& self) { return self.user().egid; }

Result<long> sys_getresuid(Thread& self, UserOut<uint32_t> real, UserOut<uint32_t> effective,
                           UserOut<uint32_t> saved) {
  TRY(real.write(self.user().uid));
  TRY(effective.write(self.user().euid));
  TRY(saved.write(self.user().suid));
  return 0;
}

Result<long> sys_getresgid(Thread& self, UserOut<uint32_t> real, UserOut<uint32_t> effective,
                           UserOut<uint32_t> saved) {
  TRY(real.write(self.user().gid));
  TRY(effective.write(self.user().egid));
  TRY(saved.write(self.user().sgid));
  return 0;
}

// setuid(2): all three ids for the privileged, the effective one for others.
Result<long> sys_setuid(Thread& self, uint32_t uid) {
  if (uid == kUnchanged) return Errno::kInval;
  UserCredentials next = TRY(self.user().clone());
  if (next.has(kCapSetUid)) {
    next.uid = next.suid = uid;
  } else if (uid != next.uid && uid != next.suid) {
    return Errno::kPerm;
  }
  next.euid = next.files.fsuid = uid;
  return install_user(self, std::move(next));
}

Result<long> sys_setgid(Thread& self, uint32_t gid) {
  if (gid == kUnchanged) return Errno::kInval;
  UserCredentials next = TRY(self.user().clone());
  if (next.has(kCapSetGid)) {
    next.gid = next.sgid = gid;
  } else if (gid != next.gid && gid != next.sgid) {
    return Errno::kPerm;
  }
  next.egid = next.files.fsgid = gid;
  return install(self, std::move(next));
}

Result<long> sys_setreuid(Thread& self, uint32_t real, uint32_t effective) {
  const UserCredentials& old = self.user();
  UserCredentials next = TRY(old.clone());
  const bool may = old.has(kCapSetUid);
  if (real != kUnchanged) {
    if (!may && real != old.uid && real != old.euid) return Errno::kPerm;
    next.uid = real;
  }
  if (effective != kUnchanged) {
    if (!may && !is_one_of(effective, old.uid, old.euid, old.suid)) return Errno::kPerm;
    next.euid = effective;
  }
  if (real != kUnchanged || (effective != kUnchanged && effective != old.uid))
    next.suid = next.euid;
  next.files.fsuid = next.euid;
  return install_user(self, std::move(next));
}

Result<long> sys_setregid(Thread& self, uint32_t real, uint32_t effective) {
  const UserCredentials& old = self.user();
  UserCredentials next = TRY(old.clone());
  const bool may = old.has(kCapSetGid);
  if (real != kUnchanged) {
    if (!may && real != old.gid && real != old.egid) return Errno::kPerm;
    next.gid = real;
  }
  if (effective != kUnchanged) {
    if (!may && !is_one_of(effective, old.gid, old.egid, old.sgid)) return Errno::kPerm;
    next.egid = effective;
  }
  if (real != kUnchanged || (effective != kUnchanged && effective != old.gid))
    next.sgid = next.egid;
  next.files.fsgid = next.egid;
  return install(self, std::move(next));
}

Result<long> sys_setresuid(Thread& self, uint32_t real, uint32_t effective, uint32_t saved) {
  const UserCredentials& old = self.user();
  // What changes nothing leaves the file system's id, too, where it is.
  if ((real == kUnchanged || real == old.uid) && (saved == kUnchanged || saved == old.suid) &&
      (effective == kUnchanged || (effective == old.euid && effective == old.files.fsuid))) {
    return 0L;
  }
  if (!old.has(kCapSetUid)) {
    for (const uint32_t id : {real, effective, saved}) {
      if (id != kUnchanged && !is_one_of(id, old.uid, old.euid, old.suid)) return Errno::kPerm;
    }
  }
  UserCredentials next = TRY(old.clone());
  if (real != kUnchanged) next.uid = real;
  if (effective != kUnchanged) next.euid = effective;
  if (saved != kUnchanged) next.suid = saved;
  next.files.fsuid = next.euid;
  return install_user(self, std::move(next));
}

Result<long> sys_setresgid(Thread& self, uint32_t real, uint32_t effective, uint32_t saved) {
  const UserCredentials& old = self.user();
  if ((real == kUnchanged || real == old.gid) && (saved == kUnchanged || saved == old.sgid) &&
      (effective == kUnchanged || (effective == old.egid && effective == old.files.fsgid))) {
    return 0L;
  }
  if (!old.has(kCapSetGid)) {
    for (const uint32_t id : {real, effective, saved}) {
      if (id != kUnchanged && !is_one_of(id, old.gid, old.egid, old.sgid)) return Errno::kPerm;
    }
  }
  UserCredentials next = TRY(old.clone());
  if (real != kUnchanged) next.gid = real;
  if (effective != kUnchanged) next.egid = effective;
  if (saved != kUnchanged) next.sgid = saved;
  next.files.fsgid = next.egid;
  return install(self, std::move(next));
}

// setfsuid(2): always the old value; no error is ever told.
Result<long> sys_setfsuid(Thread& self, uint32_t uid) {
  const UserCredentials& user = self.user();
  const uint32_t old = user.files.fsuid;
  if (uid != old && (user.has(kCapSetUid) || is_one_of(uid, user.uid, user.euid, user.suid)) &&
      uid != kUnchanged) {
    UserCredentials next = TRY(user.clone());
    next.files.fsuid = uid;
    next.adjust_file_capabilities(user);
    TRY(install(self, std::move(next)));
  }
  return old;
}

Result<long> sys_setfsgid(Thread& self, uint32_t gid) {
  const UserCredentials& user = self.user();
  const uint32_t old = user.files.fsgid;
  if (gid != old && (user.has(kCapSetGid) || is_one_of(gid, user.gid, user.egid, user.sgid)) &&
      gid != kUnchanged) {
    UserCredentials next = TRY(user.clone());
    next.files.fsgid = gid;
    TRY(install(self, std::move(next)));
  }
  return old;
}

Result<long> sys_getgroups(Thread& self, int size, UserOut<uint32_t> groups) {
  const Vec<uint32_t>& own = self.credentials().groups;
  if (size < 0) return Errno::kInval;
  if (size != 0) {
    if (static_cast<size_t>(size) < own.size()) return Errno::kInval;
    TRY(groups.write_array(own.span()));
  }
  return static_cast<long>(own.size());
}

Result<long> sys_setgroups(Thread& self, size_t size, UserIn<uint32_t> groups) {
  constexpr size_t kMostGroups = 65536;
  if (!self.user().has(kCapSetGid)) return Errno::kPerm;
  if (size > kMostGroups) return Errno::kInval;
  UserCredentials next = TRY(self.user().clone());
  next.files.groups = TRY(groups.read_array(size));
  if (std::ranges::find(next.files.groups, kUnchanged) != next.files.groups.end())
    return Errno::kInval;
  std::ranges::sort(next.files.groups);
  TRY(self.set_credentials(std::move(next)));
  return 0;
}

namespace {

constexpr uint32_t kVersion1 = 0x19980330, kVersion2 = 0x20071026, kVersion3 = 0x20080522;

// How many 32-bit halves the caller speaks of; a version that nobody knows is answered with ours. It is looked at before
// the rest of the header.
Result<size_t> halves_of(UserAddress header) {
  const UserInOut<uint32_t> version(header);
  switch (TRY(version.read())) {
    case kVersion1:
      return size_t{1};
    case kVersion2:
    case kVersion3:
      return size_t{2};
    default:
      TRY(version.write(kVersion3));
      return Errno::kInval;
  }
}

}  // namespace

// capget(2).
Result<long> sys_capget(Thread& self, UserInOut<CapabilityHeader> header,
                        UserOut<CapabilityData> data) {
  const Result<size_t> halves = halves_of(header.address());
  if (halves.is_error())
    return data.is_null() && halves.error() == Errno::kInval ? Result<long>(0) : halves.error();
  if (data.is_null()) return 0;
  const CapabilityHeader given = TRY(header.read());
  if (given.pid < 0) return Errno::kInval;
  const RefPtr<Thread> thread = given.pid == 0 ? ref_to(self) : find_thread(given.pid);
  const RefPtr<SharedCredentials> credentials = thread ? thread->share_credentials() : nullptr;
  if (!credentials) return Errno::kSrch;
  for (size_t half = 0; half < halves.value(); ++half) {
    const auto part = [&](uint64_t set) { return static_cast<uint32_t>(set >> (32 * half)); };
    const UserCredentials& user = credentials->value;
    TRY(data.write_at(half, {.effective = part(user.effective),
                             .permitted = part(user.permitted),
                             .inheritable = part(user.inheritable)}));
  }
  return 0;
}

// capset(2): nothing that is not permitted becomes permitted.
Result<long> sys_capset(Thread& self, UserInOut<CapabilityHeader> header,
                        UserIn<CapabilityData> data) {
  const size_t halves = TRY(halves_of(header.address()));
  const CapabilityHeader given = TRY(header.read());
  if (given.pid != 0 && given.pid != self.tid()) return Errno::kPerm;
  uint64_t effective = 0, permitted = 0, inheritable = 0;
  for (size_t half = 0; half < halves; ++half) {
    const CapabilityData part = TRY(data.read_at(half));
    effective |= uint64_t{part.effective} << (32 * half);
    permitted |= uint64_t{part.permitted} << (32 * half);
    inheritable |= uint64_t{part.inheritable} << (32 * half);
  }
  effective &= kAllCapabilities;
  permitted &= kAllCapabilities;
  inheritable &= kAllCapabilities;
  const UserCredentials& old = self.user();
  if ((permitted & ~old.permitted) != 0 || (effective & ~permitted) != 0) return Errno::kPerm;
  if (!old.has(kCapSetPcap) && (inheritable & ~(old.inheritable | old.permitted)) != 0)
    return Errno::kPerm;
  if ((inheritable & ~(old.inheritable | old.bounding)) != 0) return Errno::kPerm;
  UserCredentials next = TRY(old.clone());
  next.effective = effective;
  next.permitted = permitted;
  next.inheritable = inheritable;
  next.ambient &= permitted & inheritable;
  TRY(self.set_credentials(std::move(next)));
  return 0;
}

}  // namespace occlum
