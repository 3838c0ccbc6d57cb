// Session: setsid(2)'s: the processes that share a controlling terminal (credentials(7), tty_ioctl(4)).
#pragma once

#include "libos/lib/counted.h"
#include "libos/lib/lock.h"
#include "libos/lib/ptr.h"
#include "libos/process/pid.h"

namespace occlum {

class File;

class Session : public RefCounted<Session>, Counted<Session> {
 public:
  explicit Session(Pid id) : id_(id) {}
  ~Session();

  Pid id() const { return id_; }

  // The controlling terminal: some open file of it, null when there is none, and its device number (for /proc).
  struct Terminal {
    RefPtr<File> file;
    uint64_t device = 0;
    Pid lost_foreground = 0;
  };
  RefPtr<File> terminal() const;
  uint64_t terminal_device() const;
  // Returns what was there (dropped by the caller, outside the lock).
  RefPtr<File> set_terminal(RefPtr<File> file, uint64_t device);

  // The terminal has hung up: `foreground` is told when the leader ends. Returns what set_terminal does.
  RefPtr<File> lose_terminal(Pid foreground);
  // Whom lose_terminal named, once; 0: nobody.
  Pid take_lost_foreground();

  // Called when the leader has ended: the terminal is given up (hook of the terminal driver).
  void leader_has_ended();
  using EndHook = void (*)(Session& session);
  static void set_end_hook(EndHook hook);

 private:
  const Pid id_;
  SpinLocked<Terminal> terminal_{LockRank::kProcess};
};

}  // namespace occlum
