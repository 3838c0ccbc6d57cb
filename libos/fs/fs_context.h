// FsContext: a process's view of the tree: working directory, root and umask (chdir(2), chroot(2), umask(2)). Shared
// by CLONE_FS, copied by fork.
#pragma once

#include "libos/fs/vfs/lookup.h"
#include "libos/lib/counted.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"

namespace occlum {

class FsContext : public RefCounted<FsContext>, Counted<FsContext> {
 public:
  struct State {
    Path root, cwd;
    uint32_t umask = 022;
  };
  explicit FsContext(State state);  // for make_ref
  static Result<RefPtr<FsContext>> create(Path root, Path cwd, uint32_t umask = 022);
  ~FsContext() = default;
  Result<RefPtr<FsContext>> clone() const;

  Path root() const;
  Path cwd() const;
  void set_root(Path root);
  void set_cwd(Path cwd);
  uint32_t umask() const;
  uint32_t set_umask(uint32_t mask);  // returns the old one

  // For paths relative to the working directory.
  WalkContext walk(const Credentials& credentials) const;

 private:
  mutable SpinLocked<State> state_;
};

}  // namespace occlum
