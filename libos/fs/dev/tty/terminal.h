// Terminal: a terminal device as programs use it: the line discipline with a lock, waiting, job
// control and a screen.
//
// Derived classes give the screen: the host's terminal (host_terminal.h) or the master side of a
// pty (pty.h). What comes from the keyboard is put in with receive(). Signals are sent without the
// lock held. (tty_ioctl(4), termios(3), credentials(7) "Sessions, process groups")
#pragma once

#include <cstdint>
#include <optional>

#include "libos/fs/dev/tty/line_discipline.h"
#include "libos/fs/vfs/file.h"
#include "libos/fs/vfs/io_signals.h"
#include "libos/ipc/anonymous_inode.h"
#include "libos/ipc/pipe.h"
#include "libos/lib/lock.h"
#include "libos/process/pid.h"

namespace occlum {

class Process;
class TtyFile;

class Terminal : public RefCounted<Terminal> {
 public:
  virtual ~Terminal() = default;
  Result<void> create(const Termios& termios = Termios());

  uint64_t device() const { return device_; }  // st_rdev
  // Owner, mode and times of its node.
  AnonymousInode& inode() { return inode_; }
  // The name in /dev: "/dev/console", "/dev/pts/0".
  virtual Result<String> name() const = 0;

  // How often it had hung up when a file was opened: later ones are the end for that file.
  using Era = uint32_t;
  Era era() const;
  Result<size_t> read(DataSink& sink, Blocking blocking, Era era);
  Result<size_t> write(DataSource& source, Blocking blocking, Era era);
  PollEvents poll(Poller* poller, Era era);
  // `file` becomes the session's terminal with TIOCSCTTY.
  Result<long> ioctl(Thread& self, TtyFile& file, uint32_t request, uint64_t argument);
  // kBusy for those without CAP_SYS_ADMIN after TIOCEXCL.
  Result<void> check_open(const Thread& self) const;
  // The requests that a pty's master passes on: settings, sizes, the foreground group.
  Result<long> shared_ioctl(Thread& self, uint32_t request, uint64_t argument);

  // Keys. Sends signals, echoes, wakes readers. No locks may be held.
  void receive(std::span<const std::byte> keys);
  size_t input_room() const;

  // SIGHUP and SIGCONT to the session's leader; the foreground group is told when the leader ends. For all that have it
  // open now, readers get the end and writers kIo. When the other side is gone, that is so for ever; after vhangup(2) it
  // can be opened again, with its first settings.
  enum class HangUp { kForEver, kForThoseWhoHaveIt };
  void hang_up(HangUp how);
  bool is_hung_up() const;  // for ever
  bool is_hung_up(Era era) const;

  // Makes it the controlling terminal of the process's session, when that has none and the process
  // leads it (open(2) without O_NOCTTY). True when it is now.
  enum class Steal { kNo, kYes };  // from another session (TIOCSCTTY with an argument of 1)
  bool become_controlling(Process& process, TtyFile& file, Steal steal = Steal::kNo);
  // As TIOCSCTTY's "steal" and the start of the first process: without asking.
  Result<void> take_for(Process& process, const RefPtr<TtyFile>& file);
  Pid foreground_group() const;
  // The terminal gives up its session: SIGHUP to the foreground group, and SIGCONT too when the
  // leader does so by TIOCNOTTY.
  enum class Release { kByIoctl, kAtExit };
  void release_session(Pid session, Release why);

  // A new size: the foreground group gets SIGWINCH. As on Linux, whoever sees the new size has been sent the signal, and
  // whoever handles the signal sees the new size.
  void set_window_size(const WindowSize& size);
  // The size now, asking whoever decides it.
  WindowSize update_window_size();

  // Whether TIOCSTI is for everybody at his controlling terminal (dev.tty.legacy_tiocsti), not only for CAP_SYS_ADMIN.
  static std::atomic<bool> anybody_may_type;

  // Of those who have it open: told of input, and of room when a write has missed some.
  AsyncList& signals() { return signals_; }

 protected:
  explicit Terminal(uint64_t device) : device_(device) {}

  // How many bytes the screen takes now without blocking.
  virtual size_t screen_room() = 0;
  // Takes all of `output`, at most screen_room() bytes (more may be dropped).
  virtual Result<void> put_screen(std::span<const std::byte> output) = 0;
  virtual void flush_screen() {}
  // For packet mode: bits of PacketStatus that are no longer so, then those that are.
  virtual void tell_status(uint8_t clear, uint8_t set) {
    static_cast<void>(clear);
    static_cast<void>(set);
  }
  virtual size_t screen_pending() const { return 0; }  // TIOCOUTQ
  virtual bool processes_output() const { return true; }
  // Where somebody else decides the size: what it is since the last call, if that is another. Called by one at a time.
  virtual std::optional<WindowSize> take_new_window_size() { return std::nullopt; }
  // Room in the input again: the keyboard's owner may go on.
  virtual void input_taken() {}
  virtual void join_screen(Poller&) {}

  // The screen takes more.
  void made_room(uint32_t events);

  WaitQueue writable_;  // woken when the screen takes more

 private:
  struct State {
    LineDiscipline discipline;
    Pid session = 0;
    Pid foreground = 0;
    bool is_gone = false;
    Era era = 0;
    bool hung_up(Era opened) const { return is_gone || era != opened; }
  };
  class EchoBuffer;

  Result<void> check_background(int signal);
  Result<size_t> read_raw(DataSink& sink, Blocking blocking);
  Result<size_t> take_input(DataSink& sink, size_t limit, bool& end);
  Result<void> set_termios(UserAddress from, size_t size, uint32_t how);
  Result<void> wait_for_drain();
  Result<void> set_foreground(Thread& self, Pid group);
  Result<void> type(Thread& self, UserAddress key);
  void flush(int queue);
  void stop_output(bool stopped);
  void change_window_size(WindowSize& window, const WindowSize& size);
  bool is_controlling(Thread& self) const;

  static constexpr uint32_t kTtyGroup = 5;
  const uint64_t device_;
  AnonymousInode inode_{type_bits(FileType::kCharDevice) | 0620, 0, kTtyGroup};
  Termios first_termios_;
  SpinLocked<State> state_{LockRank::kPipe};
  MutexLocked<WindowSize> window_{LockRank::kWindowSize};
  WaitQueue readable_;
  AsyncList signals_;
  std::atomic<bool> is_exclusive_{false};  // TIOCEXCL
  std::atomic<bool> misses_room_{false};   // a write has stored only a part
};

// Once at start: what happens to a session's terminal when its leader ends.
void register_terminals();

// An open terminal.
class TtyFile : public File {
 public:
  // `path` is the name that it was opened by, where there is one.
  TtyFile(RefPtr<Terminal> terminal, uint32_t flags, Path path);

  Result<size_t> read(DataSink& sink) override;
  Result<size_t> write(DataSource& source) override;
  Result<long> ioctl(Thread& self, uint32_t request, uint64_t argument) override;
  PollEvents poll(Poller* poller) override;
  Inode* inode() override;
  Result<Stat> stat() override;
  Result<void> set_attributes(const AttributeChange& change) override;
  Result<String> describe() override;
  FileKind kind() const override { return FileKind::kTerminal; }
  AsyncLists async_lists() override { return {&terminal_->signals(), nullptr}; }
  int32_t default_signal_group() override { return terminal_->foreground_group(); }

  Terminal& terminal() { return *terminal_; }
  const RefPtr<Terminal>& share_terminal() const { return terminal_; }
  const Path* path() const override { return path_.is_null() ? nullptr : &path_; }

 private:
  const RefPtr<Terminal> terminal_;
  const Terminal::Era era_;
  const Path path_;
};

}  // namespace occlum
