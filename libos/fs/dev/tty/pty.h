// Pseudo-terminals (pty(7), pts(4), ptmx(4)): a Terminal whose screen is a ring that the master
// reads, and whose keys are what the master writes.
#pragma once

#include "libos/fs/dev/tty/terminal.h"
#include "libos/lib/function_ref.h"

namespace occlum {

class PtyTerminal : public Terminal {
 public:
  static constexpr size_t kScreenSize = 16 * 1024;
  static constexpr uint32_t kMaxPtys = 4096;

  explicit PtyTerminal(uint32_t number);
  Result<void> create();

  uint32_t number() const { return number_; }
  Result<String> name() const override;

  // --- the master's side ---
  Result<size_t> read_screen(DataSink& sink, Blocking blocking);  // kIo when all slaves are closed
  Result<size_t> write_keys(DataSource& source, Blocking blocking);
  PollEvents poll_master(Poller* poller);
  AsyncList& master_signals() { return master_signals_; }
  size_t screen_pending() const override;
  void set_packet_mode(bool on);
  bool is_packet_mode() const;
  void master_closed();
  void set_locked(bool locked) { locked_.store(locked, std::memory_order_relaxed); }
  bool is_locked() const { return locked_.load(std::memory_order_relaxed); }

  // --- the slaves' side ---
  void slave_opened();
  void slave_closed();

 protected:
  size_t screen_room() override;
  Result<void> put_screen(std::span<const std::byte> output) override;
  void flush_screen() override;
  void tell_status(uint8_t clear, uint8_t set) override;
  void input_taken() override;

 private:
  struct Screen {
    Vec<std::byte> ring;
    uint64_t head = 0, tail = 0;
    uint32_t slaves = 0;
    bool was_opened = false;
    bool is_packet_mode = false;
    uint8_t status = 0;  // PacketStatus that the master has not read yet
    size_t used() const { return static_cast<size_t>(tail - head); }
    bool has_ended() const { return slaves == 0 && was_opened; }
    size_t read(std::span<std::byte> out);
  };
  const uint32_t number_;
  std::atomic<bool> locked_{true};
  std::atomic<bool> master_misses_room_{false};
  mutable SpinLocked<Screen> screen_{LockRank::kSocket};
  WaitQueue master_queue_;
  AsyncList master_signals_;
};

// open(2) of /dev/ptmx: a new pty and its master.
Result<RefPtr<File>> open_ptmx(const Path& path, uint32_t flags);
// open(2) of /dev/pts/N. kNoEnt, kIo (locked, or the master is closed).
Result<RefPtr<File>> open_pty_slave(uint32_t number, const Path& path, uint32_t flags);

// For /dev/pts: the pty of a number (null: none), and all numbers in order.
RefPtr<PtyTerminal> find_pty(uint32_t number);
Result<Vec<uint32_t>> pty_numbers();

}  // namespace occlum
