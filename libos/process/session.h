// Session: setsid(2)'s: the processes that share a controlling terminal (credentials(7), tty_ioctl(4)).
#pragma once

#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/process/pid.h"

namespace occlum {

class File;

class Session : public RefCounted<Session> {
 public:
  explicit Session(Pid id) : id_(id) {}
  ~Session();

  Pid id() const { return id_; }

  // The controlling terminal: some open file of it, null when there is none, and its device number (for /proc).
  struct Terminal {
    RefPtr<File> file;
    uint64_t device = 0;
  };
  RefPtr<File> terminal() const;
  uint64_t terminal_device() const;
  // Returns what was there (dropped by the caller, outside the lock).
  RefPtr<File> set_terminal(RefPtr<File> file, uint64_t device);

  // Called when the leader has ended: the terminal hangs up (hook of the terminal driver).
  void leader_has_ended();
  using EndHook = void (*)(Session& session);
  static void set_end_hook(EndHook hook);

 private:
  const Pid id_;
  SpinLocked<Terminal> terminal_{LockRank::kProcess};
};

}  // namespace occlum
