// Credentials of a thread (credentials(7), capabilities(7)): the ids and capability sets of the process side, and the
// file side (fs/vfs/credentials.h) that is derived from them.
#pragma once

#include <atomic>
#include <cstdint>

#include "libos/fs/vfs/credentials.h"
#include "libos/lib/ptr.h"
#include "libos/lib/result.h"

namespace occlum {

// PR_SET_SECUREBITS: each bit has the one that locks it right above.
constexpr uint32_t kSecureNoRoot = 1, kSecureNoSetuidFixup = 4, kSecureKeepCaps = 16,
                   kSecureNoCapAmbientRaise = 64;
constexpr uint32_t kSecureAllBits = 0x55, kSecureAllLocks = kSecureAllBits << 1;

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

  bool has(Capability capability) const { return (effective & capability_bit(capability)) != 0; }
  // What a change of the ids from `old` does to the capabilities (capabilities(7), "Effect of user ID changes on
  // capabilities").
  void adjust_capabilities(const UserCredentials& old);
  void adjust_file_capabilities(const UserCredentials& old);  // the same for setfsuid(2)
  // Sets what `files` repeats: the real ids and the effective capabilities. SharedCredentials::create() does.
  void derive_file_part();
  Result<UserCredentials> clone() const;
};

// As threads hold them: immutable, replaced as a whole, so that others can read them at any time.
class SharedCredentials : public RefCounted<SharedCredentials> {
 public:
  // With the file part derived. Errors: kNoMem.
  static Result<RefPtr<SharedCredentials>> create(UserCredentials value);
  explicit SharedCredentials(UserCredentials value) : value(std::move(value)) {}
  const UserCredentials value;
  // Never 0 and never given again: equal ones are not the same (see File::opened_as).
  const uint64_t number = next_number_.fetch_add(1, std::memory_order_relaxed);

 private:
  static inline constinit std::atomic<uint64_t> next_number_{1};
};

class Process;
class Thread;

// ptrace(2), "Ptrace access mode checking": who may look into another process: by pidfd_getfd(2) and the like with the
// real ids, by /proc with those of file operations. kPerm.
enum class TracerIds { kReal, kFileSystem };
Result<void> check_may_trace(Thread& self, Process& target, TracerIds ids);

// prctl(2), PR_SET_DUMPABLE: whose ids or capabilities change cannot be looked into by its former equals.
bool makes_undumpable(const UserCredentials& old, const UserCredentials& next);

}  // namespace occlum
