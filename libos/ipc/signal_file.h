// signalfd(2): takes the reader's own pending signals of a set, as a file.
#pragma once

#include <atomic>

#include "libos/fs/vfs/file.h"
#include "libos/lib/lock.h"
#include "libos/lib/vec.h"
#include "libos/process/process.h"

namespace occlum {

class SignalFile : public File {
 public:
  SignalFile(SignalSet wanted, uint32_t flags) : File(flags), wanted_(wanted.bits()) {}
  SignalSet wanted() const { return SignalSet(wanted_.load(std::memory_order_acquire)); }
  void set_wanted(SignalSet wanted) { wanted_.store(wanted.bits(), std::memory_order_release); }

  Result<size_t> read(DataSink& sink) override;
  PollEvents poll(Poller* poller) override;
  Result<String> describe() override;
  FileKind kind() const override { return FileKind::kSignal; }

 private:
  Result<void> remember(Process& process);

  std::atomic<uint64_t> wanted_;
  // Whose queues pollers of this file sit in: they must not go before those pollers do.
  SpinLocked<Vec<RefPtr<Process>>> watched_{LockRank::kPipe};
};

}  // namespace occlum
